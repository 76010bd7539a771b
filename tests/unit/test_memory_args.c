#include "bot/memory_args.h"

#include "tests/test.h"

#define NOW INT64_C(1790000000)

static void times_are_read_as_people_write_them(void)
{
    static const struct {
        const char *text;
        int64_t want; /* -1: refused */
        const char *because;
    } cases[] = {
        { "1790000000", 1790000000, "seconds" },
        { "1790000000.75", 1790000000, "with a fraction" },
        { "0", 0, "the beginning" },
        { "2026-09-21", 1789948800, "a day" },
        { "2026-09-21T14:13", 1789999980, "a minute" },
        { "2026-09-21T14:13:20", 1790000000, "a second" },
        { "2026-09-21 14:13:20", 1790000000, "with a blank" },
        { "2026-09-21T14:13:20Z", 1790000000, "in UTC" },
        { "2026-09-21T14:13:20.5Z", 1790000000, "with a fraction" },
        { "2026-09-21T16:13:20+02:00", 1790000000, "east of it" },
        { "2026-09-21T08:43:20-0530", 1790000000, "west of it" },
        { "30d", NOW - 2592000, "days ago" },
        { "15m", NOW - 900, "minutes ago" },
        { "", -1, "nothing" },
        { "yesterday", -1, "a word" },
        { "-5", -1, "below 0" },
        { "1790000000x", -1, "something behind" },
        { "2026-13-01", -1, "no such month" },
        { "2026-09-21T14:13:20+2", -1, "half an offset" },
        { "2026-09-21T14:13:20 UTC", -1, "a name of a zone" },
        { "99999999999999999999", -1, "too far" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        int64_t got = -1;
        int rc = memory_args_parse_time(cases[i].text, NOW, &got, &err);

        CHECK_INT(rc, cases[i].want < 0 ? -1 : 0, cases[i].text);
        CHECK_INT(got, cases[i].want, cases[i].because);
        CHECK_INT(err.kind, rc < 0 ? ERR_INPUT : ERR_NONE, cases[i].because);
    }
}

static int parse(unsigned options, struct memory_args *args, struct err *err, int argc,
                 const char *const *words)
{
    static char *argv[8];

    for (int i = 0; i < argc; i++)
        argv[i] = (char *)words[i];
    return memory_args_parse(argc, argv, options, args, err);
}

static void options_stand_anywhere_between_words(void)
{
    static const char *const words[] = {
        "--limit=3", "KEY", "--json", "--user", "--json", "-5"
    };
    static const char *const behind[] = { "KEY", "--", "--json", "--" };
    struct memory_args args = { 0 };
    struct err err = { 0 };

    CHECK_INT(parse(MEMORY_OPTION_LIMIT | MEMORY_OPTION_JSON | MEMORY_OPTION_USER, &args, &err,
                    (int)ARRAY_LEN(words), words),
              0, "read");
    CHECK_INT(args.limit, 3, "behind =");
    CHECK_TEXT(args.user, "--json", "a value may look like an option");
    CHECK_INT(args.words_count, 2, "two words");
    CHECK_TEXT(args.words[0], "KEY", "the first");
    CHECK_TEXT(args.words[1], "-5", "a number is a word");
    CHECK_INT(parse(MEMORY_OPTION_JSON, &args, &err, (int)ARRAY_LEN(behind), behind), 0, "--");
    CHECK_INT(args.words_count, 3, "behind -- all are words");
    CHECK_INT(args.given, 0, "and no options");
}

static void what_means_nothing_is_refused(void)
{
    static const struct {
        const char *word;
        const char *says;
    } cases[] = {
        { "--bogus", "unknown option --bogus" },
        { "--user=U1", "--user means nothing here" },
        { "--json=1", "--json takes no value" },
        { "--limit", "--limit wants a value" },
        { "--limit=0", "--limit wants a number above 0" },
        { "--limit=x", "--limit wants a number above 0" },
        { "--ttl=soon", "--ttl wants a duration" },
        { "--since=soon", "'soon' is no time" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct memory_args args = { 0 };
        struct err err = { 0 };

        CHECK_INT(parse(MEMORY_OPTION_LIMIT | MEMORY_OPTION_JSON | MEMORY_OPTION_TTL |
                            MEMORY_OPTION_SINCE,
                        &args, &err, 1, &cases[i].word),
                  -1, cases[i].word);
        CHECK_HOLDS(err.message, cases[i].says, cases[i].word);
    }
}

TEST_MAIN(TEST(times_are_read_as_people_write_them), TEST(options_stand_anywhere_between_words),
          TEST(what_means_nothing_is_refused))
