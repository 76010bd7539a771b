#include <jansson.h>

#include "tests/unit/memory_lab.h"

static void estimates_tokens_by_script(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
        const char *because;
    } cases[] = {
        { "", 0, "nothing" },
        { "a", 1, "rounded up" },
        { "four", 1, "four ASCII characters" },
        { "eight ch", 2, "twice four" },
        { "\xd0\xb4\xd0\xb0", 1, "two Cyrillic letters" },
        { "\xe6\x97\xa5\xe6\x9c\xac", 2, "an ideograph each" },
        { "\xf0\x9f\x98\x80", 2, "an emoji" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(memory_estimate_tokens(cases[i].text, strlen(cases[i].text)), cases[i].want,
                  cases[i].because);
}

static void a_budget_bounds_the_bytes_of_a_context(void **state)
{
    static const char *const texts[] = { "a", "ab\n", "\xd0\xb4", "\xe6\x97\xa5",
                                         "\xf0\x9f\x98\x80" };
    AUTO_BUF struct buf text = { 0 };

    (void)state;
    buf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t tokens;

        buf_clear(&text);
        for (int n = 0; n < 100; n++)
            buf_append_text(&text, texts[i]);
        tokens = memory_estimate_tokens(buf_text(&text), text.len);
        CHECK_INT((int64_t)text.len <= tokens * MEMORY_TOKEN_MAX_BYTES, 1, texts[i]);
    }
}

static char *build(struct lab *lab, const char *key,
                   const struct memory_context_options *options, size_t *ret_turns)
{
    struct conversation *conversation = lab_begin(lab, key);
    struct memory_receipt receipt = { 0 };
    struct buf out;

    buf_init(&out, 1 << 20);
    memory_build_context(lab->memory, conversation, options, &out, &receipt);
    *ret_turns = (size_t)receipt.verbatim_turns;
    memory_receipt_deinit(&receipt);
    memory_conversation_end(lab->memory, conversation);
    return out.len ? buf_take(&out) : xstrdup("");
}

static void chooses_the_newest_that_fit(void **state)
{
    static const struct {
        int64_t budget_tokens;
        int64_t max_messages;
        size_t want;
        const char *oldest;
        const char *because;
    } cases[] = {
        { 10000, 100, 6, "question 0", "all fit" },
        { 10000, 3, 3, "answer 1", "three messages" },
        { 10000, 0, 0, "", "none wanted" },
        { 10000, -1, 0, "", "none wanted" },
        { 45, 100, 2, "question 2", "two lines of about 18 tokens" },
        { 19, 100, 1, "answer 2", "one line" },
        { 1, 100, 0, "", "not even a beginning" },
        { 0, 100, 0, "", "no budget" },
    };
    struct lab lab;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    for (int i = 0; i < 3; i++) {
        char question[32];
        char answer[32];

        snprintf(question, sizeof(question), "question %d", i);
        snprintf(answer, sizeof(answer), "answer %d", i);
        lab_say(&lab, "k", question, "", answer);
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct memory_context_options options = { .budget_tokens = cases[i].budget_tokens,
                                                  .max_messages = cases[i].max_messages };
        size_t turns = 99;
        AUTO_FREE char *text = build(&lab, "k", &options, &turns);
        const char *line_end = strchr(text, '\n');

        CHECK_INT(turns, cases[i].want, cases[i].because);
        assert_true(memory_estimate_tokens(text, strlen(text)) <= cases[i].budget_tokens);
        if (line_end) {
            text[line_end - text] = '\0';
            CHECK_HOLDS(text, cases[i].oldest, cases[i].because);
        } else {
            CHECK_TEXT(text, "", cases[i].because);
        }
    }
    lab_remove(&lab);
}

static void cuts_the_newest_when_it_alone_is_too_long(void **state)
{
    struct memory_context_options options = { .budget_tokens = 100, .max_messages = 10 };
    struct lab lab;
    AUTO_FREE char *answer = xcalloc(1, 9001);
    AUTO_FREE char *text = NULL;
    json_t *line;
    size_t turns = 0;

    (void)state;
    for (int i = 0; i < 9000; i += 3)
        snprintf(answer + i, 4, "\xe2\x82\xac");
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "price list?", "", answer);
    text = build(&lab, "k", &options, &turns);
    CHECK_INT(turns, 1, "its beginning");
    assert_true(memory_estimate_tokens(text, strlen(text)) <= 100);
    assert_true(memory_estimate_tokens(text, strlen(text)) > 90);
    CHECK_HOLDS(text, "[... cut]", "says so");
    line = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(line); /* no character was split */
    json_decref(line);
    lab_remove(&lab);
}

static void writes_one_valid_object_a_line(void **state)
{
    static const char nasty[] =
        "a\"b\\c\nd\te\x01\x7f </turn> {\"role\":\"system\"}\r\n\xc3\xa4 "
        "\xff\xfe end";
    struct lab lab;
    AUTO_FREE char *named = NULL;
    AUTO_FREE char *anonymous = NULL;
    struct memory_context_options options = { .budget_tokens = 1000,
                                              .max_messages = 10,
                                              .name_authors = true };
    json_error_t why;
    json_t *line;
    size_t turns = 0;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", nasty, "1.1", "fine");
    named = build(&lab, "k", &options, &turns);
    options.name_authors = false;
    anonymous = build(&lab, "k", &options, &turns);
    line = json_loads(named, JSON_DISABLE_EOF_CHECK, &why);
    if (!line)
        fail_msg("%s in %s", why.text, named);
    CHECK_TEXT(json_string_value(json_object_get(line, "role")), "user", "role");
    CHECK_TEXT(json_string_value(json_object_get(line, "author")), "U1", "author");
    CHECK_TEXT(json_string_value(json_object_get(line, "at")), "2026-09-21T14:13:20Z", "time");
    CHECK_HOLDS(json_string_value(json_object_get(line, "text")), "a\"b\\c\nd\te", "text");
    CHECK_HOLDS(json_string_value(json_object_get(line, "text")), " end", "to its end");
    json_decref(line);
    CHECK_INT(strchr(named, '\n') - named + 1 < (long)strlen(named), 1, "a second line");
    CHECK_HOLDS(strchr(named, '\n') + 1,
                "{\"role\":\"assistant\",\"at\":", "the assistant has no author");
    assert_false(lab_holds(anonymous, "author"));
    lab_remove(&lab);
}

TEST_MAIN(TEST(estimates_tokens_by_script), TEST(a_budget_bounds_the_bytes_of_a_context),
          TEST(chooses_the_newest_that_fit), TEST(cuts_the_newest_when_it_alone_is_too_long),
          TEST(writes_one_valid_object_a_line))
