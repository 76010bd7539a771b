#include "bot/memory_args.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "config/value.h"

#define TTL_MAX_S (INT64_MAX / 1000)

enum kind { KIND_FLAG, KIND_TEXT, KIND_COUNT, KIND_TIME, KIND_TTL };

/* Empty they would mean everybody and everything. */
#define WANTS_WORD (MEMORY_OPTION_USER | MEMORY_OPTION_CONVERSATION | MEMORY_OPTION_PATTERN)

#define AT(member) offsetof(struct memory_args, member)

static const struct option {
    const char *name;
    enum memory_option bit;
    enum kind kind;
    size_t offset; /* of what it sets */
} options_table[] = {
    { "json", MEMORY_OPTION_JSON, KIND_FLAG, 0 },
    { "user", MEMORY_OPTION_USER, KIND_TEXT, AT(user) },
    { "pattern", MEMORY_OPTION_PATTERN, KIND_TEXT, AT(pattern) },
    { "limit", MEMORY_OPTION_LIMIT, KIND_COUNT, AT(limit) },
    { "after", MEMORY_OPTION_AFTER, KIND_TEXT, AT(after) },
    { "since", MEMORY_OPTION_SINCE, KIND_TIME, AT(since_wall_s) },
    { "until", MEMORY_OPTION_UNTIL, KIND_TIME, AT(until_wall_s) },
    { "summaries", MEMORY_OPTION_SUMMARIES, KIND_FLAG, 0 },
    { "conversation", MEMORY_OPTION_CONVERSATION, KIND_TEXT, AT(conversation) },
    { "before", MEMORY_OPTION_BEFORE, KIND_TIME, AT(before_wall_s) },
    { "yes", MEMORY_OPTION_YES, KIND_FLAG, 0 },
    { "dry-run", MEMORY_OPTION_DRY_RUN, KIND_FLAG, 0 },
    { "skip-bad", MEMORY_OPTION_SKIP_BAD, KIND_FLAG, 0 },
    { "budget", MEMORY_OPTION_BUDGET, KIND_COUNT, AT(budget) },
    { "ttl", MEMORY_OPTION_TTL, KIND_TTL, AT(ttl_ms) },
    { "default", MEMORY_OPTION_DEFAULT, KIND_TEXT, AT(fallback) },
    { "author", MEMORY_OPTION_AUTHOR, KIND_TEXT, AT(author) },
    { "metadata", MEMORY_OPTION_METADATA, KIND_TEXT, AT(metadata) },
    { "at", MEMORY_OPTION_AT, KIND_TIME, AT(at_wall_s) },
    { "to-config", MEMORY_OPTION_TO_CONFIG, KIND_TEXT, AT(to_config) },
    { "keep", MEMORY_OPTION_KEEP, KIND_COUNT, AT(keep) },
};

/* ---- times --------------------------------------------------------------------------------
 */

/* "+02:00", "-0530", "Z" or nothing, to the end of the text. */
static bool parse_offset(const char *text, int64_t *ret_offset_s)
{
    int sign = *text == '-' ? -1 : 1;
    int64_t digits[4];
    size_t count = 0;

    *ret_offset_s = 0;
    if (*text == '\0' || strcmp(text, "Z") == 0)
        return true;
    if (*text != '+' && *text != '-')
        return false;
    for (text++; *text; text++) {
        if (*text == ':' && count == 2)
            continue;
        if (*text < '0' || *text > '9' || count == ARRAY_LEN(digits))
            return false;
        digits[count++] = *text - '0';
    }
    if (count != 4)
        return false;
    *ret_offset_s =
        sign * ((digits[0] * 10 + digits[1]) * 3600 + (digits[2] * 10 + digits[3]) * 60);
    return true;
}

static bool parse_date(const char *text, int64_t *ret_wall_s)
{
    static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                           "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct tm parts = { 0 };
        const char *end = strptime(text, formats[i], &parts);
        int64_t offset_s;

        if (end && *end == '.') /* of a second */
            end += 1 + strspn(end + 1, "0123456789");
        if (!end || !parse_offset(end, &offset_s))
            continue;
        *ret_wall_s = (int64_t)timegm(&parts) - offset_s;
        return true;
    }
    return false;
}

static bool parse_seconds(const char *text, int64_t *ret_wall_s)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? 1 + strspn(text + whole + 1, "0123456789") : 0;

    if (!whole || whole > 12 || text[whole + fraction])
        return false;
    *ret_wall_s = strtoll(text, NULL, 10);
    return true;
}

int memory_args_parse_time(const char *text, int64_t now_wall_s, int64_t *ret_wall_s,
                           struct err *err)
{
    int64_t ago_ms;

    if (parse_seconds(text, ret_wall_s) || parse_date(text, ret_wall_s))
        return 0;
    if (value_parse_duration_ms(text, &ago_ms)) {
        *ret_wall_s = now_wall_s - ago_ms / 1000;
        return 0;
    }
    return err_set(err, ERR_INPUT,
                   "'%s' is no time; give a date (2026-11-20 or 2026-11-20T12:00:00Z), seconds "
                   "since 1970, or how long ago (30d 12h 15m)",
                   text);
}

bool memory_args_parse_ttl(const char *text, int64_t *ret_ms)
{
    int64_t seconds;

    if (strcmp(text, "never") == 0) {
        *ret_ms = -1;
        return true;
    }
    if (value_parse_number(text, &seconds)) {
        *ret_ms = seconds * 1000;
        return seconds > 0 && seconds <= TTL_MAX_S;
    }
    return value_parse_duration_ms(text, ret_ms) && *ret_ms > 0;
}

/* ---- options ------------------------------------------------------------------------------
 */

static const struct option *find_option(const char *name, size_t len, unsigned allowed)
{
    for (size_t i = 0; i < ARRAY_LEN(options_table); i++) {
        if ((options_table[i].bit & allowed) && strlen(options_table[i].name) == len &&
            strncmp(options_table[i].name, name, len) == 0)
            return &options_table[i];
    }
    return NULL;
}

static int set_number(const struct option *option, const char *text, int64_t *ret_number,
                      struct err *err)
{
    if (option->kind == KIND_TIME)
        return memory_args_parse_time(text, clock_wall_s(), ret_number, err);
    if (option->kind == KIND_TTL)
        return memory_args_parse_ttl(text, ret_number)
                   ? 0
                   : err_set(err, ERR_INPUT,
                             "--%s wants a duration such as 90s 15m 24h 30d, or never; '%s' is "
                             "none",
                             option->name, text);
    return value_parse_number(text, ret_number) && *ret_number > 0
               ? 0
               : err_set(err, ERR_INPUT, "--%s wants a number above 0, not '%s'", option->name,
                         text);
}

static int set_option(const struct option *option, const char *text, struct memory_args *args,
                      struct err *err)
{
    char *member = (char *)args + option->offset;

    args->given |= option->bit;
    if (option->kind == KIND_FLAG)
        return 0;
    if (!*text && (option->bit & WANTS_WORD))
        return err_set(err, ERR_INPUT, "--%s wants a value, not an empty one", option->name);
    if (option->kind == KIND_TEXT) {
        *(const char **)(void *)member = text;
        return 0;
    }
    return set_number(option, text, (int64_t *)(void *)member, err);
}

/* argv[*index] is an option; takes its value, which may be the next argument. */
static int take_option(int argc, char **argv, int *index, unsigned allowed,
                       struct memory_args *args, struct err *err)
{
    const char *name = argv[*index] + 2;
    size_t len = strcspn(name, "=");
    const struct option *option = find_option(name, len, allowed);
    const char *value = name[len] ? name + len + 1 : NULL;

    if (!option)
        return err_set(err, ERR_INPUT,
                       find_option(name, len, ~0U) ? "--%.*s means nothing here"
                                                   : "unknown option --%.*s",
                       (int)len, name);
    if (option->kind == KIND_FLAG && value)
        return err_set(err, ERR_INPUT, "--%s takes no value", option->name);
    if (option->kind != KIND_FLAG && !value) {
        if (*index + 1 == argc)
            return err_set(err, ERR_INPUT, "--%s wants a value", option->name);
        value = argv[++*index];
    }
    return set_option(option, value, args, err);
}

int memory_args_parse(int argc, char **argv, unsigned options, struct memory_args *ret_args,
                      struct err *err)
{
    struct memory_args args = { .words = argv };
    bool only_words = false;

    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (only_words || strncmp(argv[i], "--", 2) != 0)
            argv[args.words_count++] = argv[i];
        else if (take_option(argc, argv, &i, options, &args, err) < 0)
            return -1;
    }
    *ret_args = args;
    return 0;
}
