#include "base/secrets_parts.h"

#include <string.h>

#include "base/alloc.h"

#define RUN_MAX 160 /* what is longer is hidden whatever it ends in: see secrets_run_on() */

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(unsigned char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(unsigned char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alnum(unsigned char c)
{
    return is_digit(c) || is_upper(c) || is_lower(c);
}

#define UPPER  (1U << SECRETS_UPPER_DIGIT)
#define ALNUM  (1U << SECRETS_ALNUM)
#define WORD   (1U << SECRETS_WORD)
#define TOKEN  (1U << SECRETS_TOKEN)
#define BASE64 (1U << SECRETS_BASE64)
#define VALUE  (1U << SECRETS_VALUE)
#define ALL    (UPPER | ALNUM | WORD | TOKEN | BASE64 | VALUE)

/* One bit a class. */
static const unsigned char classes[256] = {
    ['!'] = VALUE,
    ['#' ... '$'] = VALUE,
    ['%'] = TOKEN | VALUE,
    ['('] = VALUE,
    ['*'] = VALUE,
    ['+'] = TOKEN | BASE64 | VALUE,
    ['-'] = WORD | TOKEN | VALUE,
    ['.'] = TOKEN | VALUE,
    ['/'] = TOKEN | BASE64 | VALUE,
    ['0' ... '9'] = ALL,
    [':'] = VALUE,
    ['='] = TOKEN | BASE64 | VALUE,
    ['?' ... '@'] = VALUE,
    ['A' ... 'Z'] = ALL,
    ['['] = VALUE,
    ['\\'] = VALUE,
    ['^'] = VALUE,
    ['_'] = WORD | TOKEN | VALUE,
    ['a' ... 'z'] = ALL & ~UPPER,
    ['{'] = VALUE,
    ['~'] = TOKEN | VALUE,
    [0x80 ... 0xff] = VALUE,
};

bool secrets_is_of(enum secrets_class class, unsigned char c)
{
    return classes[c] >> class & 1;
}

size_t secrets_skip(const struct secrets_text *text, size_t at, enum secrets_class class,
                    size_t limit)
{
    while (at < text->len && at < limit && secrets_is_of(class, (unsigned char)text->bytes[at]))
        at++;
    return at;
}

static unsigned char lower(unsigned char c)
{
    return is_upper(c) ? (unsigned char)(c | 0x20) : c;
}

enum secrets_look secrets_at(const struct secrets_text *text, size_t at, const char *prefix,
                             bool any_case)
{
    for (size_t i = 0; prefix[i]; i++) {
        unsigned char c;

        if (at + i == text->len)
            return text->is_end ? SECRETS_NO : SECRETS_WANTS_MORE;
        c = (unsigned char)text->bytes[at + i];
        if ((any_case ? lower(c) : c) != (unsigned char)prefix[i])
            return SECRETS_NO;
    }
    return SECRETS_FOUND;
}

/* ---- the table ----------------------------------------------------------------------------
 */

/* What else must be true of the characters behind the prefix. */
enum rule {
    RULE_NONE,
    RULE_DIGIT, /* one is a digit: "xoxb-your-token" is none */
    RULE_MIXED, /* small, capital and digit; or 32 and more without a break: sk-... */
    RULE_EXACT, /* not longer than `min` */
};

struct shape {
    const char *prefix;
    const char *kind;
    enum secrets_class class;
    enum rule rule;
    size_t min; /* characters of the class behind the prefix */
};

#define SLACK  "a Slack token"
#define AWS    "an AWS access key"
#define GITHUB "a GitHub token"
#define GITLAB "a GitLab token"
#define STRIPE "a Stripe key"
#define GOOGLE "a Google key"
#define CURSOR "a Cursor key"
#define API    "an API key"

static const struct shape shapes[] = {
    { "xoxb-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxp-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxa-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxe-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxe.", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxr-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxs-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxc-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xoxd-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xapp-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "xwfp-", SLACK, SECRETS_TOKEN, RULE_DIGIT, 7 },
    { "hooks.slack.com/", "a Slack webhook", SECRETS_TOKEN, RULE_DIGIT, 30 },
    { "AKIA", AWS, SECRETS_UPPER_DIGIT, RULE_EXACT, 16 },
    { "ASIA", AWS, SECRETS_UPPER_DIGIT, RULE_EXACT, 16 },
    { "ghp_", GITHUB, SECRETS_ALNUM, RULE_DIGIT, 30 },
    { "gho_", GITHUB, SECRETS_ALNUM, RULE_DIGIT, 30 },
    { "ghu_", GITHUB, SECRETS_ALNUM, RULE_DIGIT, 30 },
    { "ghs_", GITHUB, SECRETS_ALNUM, RULE_DIGIT, 30 },
    { "ghr_", GITHUB, SECRETS_ALNUM, RULE_DIGIT, 30 },
    { "github_pat_", GITHUB, SECRETS_WORD, RULE_DIGIT, 22 },
    { "glpat-", GITLAB, SECRETS_WORD, RULE_DIGIT, 20 },
    { "gldt-", GITLAB, SECRETS_WORD, RULE_DIGIT, 20 },
    { "glrt-", GITLAB, SECRETS_WORD, RULE_DIGIT, 20 },
    { "sk_live_", STRIPE, SECRETS_ALNUM, RULE_DIGIT, 16 },
    { "sk_test_", STRIPE, SECRETS_ALNUM, RULE_DIGIT, 16 },
    { "rk_live_", STRIPE, SECRETS_ALNUM, RULE_DIGIT, 16 },
    { "rk_test_", STRIPE, SECRETS_ALNUM, RULE_DIGIT, 16 },
    { "whsec_", STRIPE, SECRETS_BASE64, RULE_DIGIT, 20 },
    { "AIza", GOOGLE, SECRETS_WORD, RULE_NONE, 35 },
    { "ya29.", GOOGLE, SECRETS_WORD, RULE_DIGIT, 20 },
    { "GOCSPX-", GOOGLE, SECRETS_WORD, RULE_NONE, 20 },
    { "key_", CURSOR, SECRETS_ALNUM, RULE_DIGIT, 32 },
    { "crsr_", CURSOR, SECRETS_ALNUM, RULE_DIGIT, 32 },
    { "sk-", API, SECRETS_WORD, RULE_MIXED, 20 }, /* OpenAI, Anthropic and others */
    { "xai-", API, SECRETS_ALNUM, RULE_DIGIT, 40 },
    { "gsk_", API, SECRETS_ALNUM, RULE_DIGIT, 40 },
    { "hf_", API, SECRETS_ALNUM, RULE_NONE, 30 },
    { "SG.", API, SECRETS_TOKEN, RULE_DIGIT, 50 }, /* SendGrid */
    { "shpat_", API, SECRETS_ALNUM, RULE_DIGIT, 32 },
    { "dop_v1_", API, SECRETS_ALNUM, RULE_DIGIT, 60 },
    { "lin_api_", API, SECRETS_ALNUM, RULE_DIGIT, 30 },
    { "ATATT3", API, SECRETS_TOKEN, RULE_DIGIT, 50 }, /* Atlassian */
    { "npm_", "an npm token", SECRETS_ALNUM, RULE_DIGIT, 36 },
    { "pypi-", "a PyPI token", SECRETS_WORD, RULE_DIGIT, 50 },
    { "AGE-SECRET-KEY-1", "a private key", SECRETS_UPPER_DIGIT, RULE_DIGIT, 50 },
};

static bool is_mixed(const char *text, size_t len)
{
    bool has_digit = false;
    bool has_upper = false;
    bool has_lower = false;
    size_t unbroken = 0;
    size_t longest = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        has_digit = has_digit || is_digit(c);
        has_upper = has_upper || is_upper(c);
        has_lower = has_lower || is_lower(c);
        unbroken = is_alnum(c) ? unbroken + 1 : 0;
        longest = unbroken > longest ? unbroken : longest;
    }
    return has_digit && ((has_upper && has_lower) || longest >= 32);
}

static bool holds_digit(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_digit((unsigned char)text[i]))
            return true;
    }
    return false;
}

static bool keeps_rule(const struct shape *shape, const char *text, size_t len)
{
    switch (shape->rule) {
    case RULE_NONE:
        break;
    case RULE_DIGIT:
        return holds_digit(text, len);
    case RULE_MIXED:
        return is_mixed(text, len);
    case RULE_EXACT:
        return len == shape->min;
    }
    return true;
}

static enum secrets_run run_of(enum secrets_class class)
{
    return class == SECRETS_TOKEN || class == SECRETS_BASE64 ? SECRETS_RUN_TOKEN
                                                             : SECRETS_RUN_WORD;
}

/*
 * An access key of AWS is a name; its secret is forty characters of base64 that often follow
 * it. The end of both, or 0 when more bytes are wanted.
 */
#define AWS_SECRET_BYTES 40
static size_t find_pair(const struct secrets_text *text, size_t end)
{
    size_t at = end;
    size_t stop;

    while (at < text->len && at - end < 8 && strchr(" \t\r\n,;:|/\"'`", text->bytes[at]) &&
           text->bytes[at])
        at++;
    stop = secrets_skip(text, at, SECRETS_BASE64, at + AWS_SECRET_BYTES + 1);
    if (stop == text->len && !text->is_end && stop <= at + AWS_SECRET_BYTES)
        return 0;
    return at > end && stop - at == AWS_SECRET_BYTES &&
                   is_mixed(text->bytes + at, AWS_SECRET_BYTES)
               ? stop
               : end;
}

static enum secrets_look look_shape(const struct secrets_text *text, const struct shape *shape,
                                    struct secrets_match *ret_match)
{
    size_t prefix = strlen(shape->prefix);
    size_t end = secrets_skip(text, prefix, shape->class, prefix + RUN_MAX);
    bool is_cut = end == prefix + RUN_MAX;

    if (end == text->len && !is_cut && !text->is_end)
        return SECRETS_WANTS_MORE;
    /* A sentence may end behind it. */
    while (!is_cut && end > prefix && strchr(".=/%~", text->bytes[end - 1]))
        end--;
    if (end - prefix < shape->min || !keeps_rule(shape, text->bytes + prefix, end - prefix))
        return SECRETS_NO;
    if (shape->rule == RULE_EXACT) {
        end = find_pair(text, end);
        if (!end)
            return SECRETS_WANTS_MORE;
    }
    *ret_match = (struct secrets_match){
        .len = end,
        .prefix = prefix,
        .run = is_cut ? run_of(shape->class) : SECRETS_RUN_NONE,
        .kind = shape->kind,
    };
    return SECRETS_FOUND;
}

/* header.payload.signature: the first two are JSON objects, which in base64 begin with eyJ. */
static enum secrets_look look_jwt(const struct secrets_text *text,
                                  struct secrets_match *ret_match)
{
    enum { HEADER_MIN = 12, PAYLOAD_MIN = 8 };
    enum secrets_look look = secrets_at(text, 0, "eyJ", false);
    size_t end;

    if (look != SECRETS_FOUND)
        return look;
    end = secrets_skip(text, 0, SECRETS_WORD, SECRETS_LOOK_MAX_BYTES - 64);
    if (end == text->len && !text->is_end && end < SECRETS_LOOK_MAX_BYTES - 64)
        return SECRETS_WANTS_MORE;
    if (end < HEADER_MIN)
        return SECRETS_NO;
    look = secrets_at(text, end, ".eyJ", false);
    if (look != SECRETS_FOUND)
        return look;
    if (text->len < end + 4 + PAYLOAD_MIN)
        return text->is_end ? SECRETS_NO : SECRETS_WANTS_MORE;
    if (secrets_skip(text, end + 4, SECRETS_WORD, end + 4 + PAYLOAD_MIN) <
        end + 4 + PAYLOAD_MIN)
        return SECRETS_NO;
    *ret_match = (struct secrets_match){ .len = end + 4 + PAYLOAD_MIN,
                                         .prefix = 3,
                                         .run = SECRETS_RUN_TOKEN,
                                         .kind = "a signed token (JWT)" };
    return SECRETS_FOUND;
}

enum secrets_look secrets_look_known(const struct secrets_text *text,
                                     struct secrets_match *ret_match)
{
    enum secrets_look look = look_jwt(text, ret_match);

    for (size_t i = 0; i < ARRAY_LEN(shapes) && look == SECRETS_NO; i++) {
        if (shapes[i].prefix[0] != text->bytes[0])
            continue;
        look = secrets_at(text, 0, shapes[i].prefix, false);
        if (look == SECRETS_FOUND)
            look = look_shape(text, &shapes[i], ret_match);
    }
    return look;
}

/* ---- all of them --------------------------------------------------------------------------
 */

bool secrets_may_begin(unsigned char before, const char *text, size_t len)
{
    /* The second byte behind each first one: of the table, of "//" and of key blocks, of the
     * words before values, and of bearers. */
    static const char *const seconds[256] = {
        ['-'] = "-",       ['/'] = "/",  ['A'] = "KSITGpPcCuU", ['B'] = "eE",    ['E'] = "nN",
        ['G'] = "O",       ['K'] = "eE", ['P'] = "aAwWrR",      ['S'] = "GeEiI", ['T'] = "oO",
        ['a'] = "pPcCuU",  ['b'] = "eE", ['c'] = "r",           ['d'] = "o",     ['e'] = "ynN",
        ['g'] = "hils",    ['h'] = "of", ['k'] = "eE",          ['l'] = "i",     ['n'] = "p",
        ['p'] = "yaAwWrR", ['r'] = "k",  ['s'] = "kheEiI",      ['t'] = "oO",    ['w'] = "h",
        ['x'] = "oaw",     ['y'] = "a",
    };
    unsigned char first = (unsigned char)text[0];

    if (first == '/' && before != ':') /* not a comment */
        return false;
    if (!seconds[first] ||
        (is_alnum(before) && is_alnum(first) && !(is_lower(before) && is_upper(first))))
        return false;
    return len < 2 || (text[1] && strchr(seconds[first], text[1]));
}

static enum secrets_look look_at(unsigned char before, const struct secrets_text *text,
                                 struct secrets_match *ret_match)
{
    unsigned char first = (unsigned char)text->bytes[0];
    enum secrets_look look = SECRETS_NO;

    if (first == '/')
        return before == ':' ? secrets_look_address(text, ret_match) : SECRETS_NO;
    if (first == '-')
        return secrets_look_key_block(text, ret_match);
    if (!is_alnum(before)) {
        look = secrets_look_known(text, ret_match);
        if (look == SECRETS_NO)
            look = secrets_look_bearer(text, ret_match);
    }
    /* A word also within a name: DB_PASSWORD, dbPassword. */
    if (look == SECRETS_NO && (!is_alnum(before) || (is_lower(before) && is_upper(first))))
        look = secrets_look_value(text, ret_match);
    return look;
}

/* The first look that is not a no counts, so that it does not matter how much is seen when. */
enum secrets_look secrets_look(unsigned char before, const char *text, size_t len, bool is_end,
                               struct secrets_match *ret_match)
{
    bool is_all = len >= SECRETS_LOOK_MAX_BYTES;
    struct secrets_text looked = { .bytes = text,
                                   .len = is_all ? SECRETS_LOOK_MAX_BYTES : len,
                                   .is_end = is_end || is_all };

    return look_at(before, &looked, ret_match);
}

/* ---- what goes on -------------------------------------------------------------------------
 */

/* Behind the lines of a key: its END, which is part of it. */
static size_t run_to_end(const struct secrets_text *text, size_t at, enum secrets_run *ret_run)
{
    enum { END_MAX = 80 };
    enum secrets_look look = secrets_at(text, at, "-----END ", false);

    *ret_run = SECRETS_RUN_NONE;
    if (look == SECRETS_NO)
        return at;
    for (size_t i = at + 9; i + 5 <= text->len && i < at + END_MAX; i++) {
        if (memcmp(text->bytes + i, "-----", 5) == 0)
            return i + 5;
    }
    if (text->len < at + END_MAX + 5 && !text->is_end)
        *ret_run = SECRETS_RUN_KEY;
    return at;
}

size_t secrets_run_on(enum secrets_run run, const char *text, size_t len, bool is_end,
                      enum secrets_run *ret_run)
{
    struct secrets_text looked = { .bytes = text, .len = len, .is_end = is_end };
    size_t at = 0;

    *ret_run = run;
    switch (run) {
    case SECRETS_RUN_NONE:
        return 0;
    case SECRETS_RUN_WORD:
        at = secrets_skip(&looked, 0, SECRETS_WORD, len);
        break;
    case SECRETS_RUN_TOKEN:
        at = secrets_skip(&looked, 0, SECRETS_TOKEN, len);
        break;
    case SECRETS_RUN_VALUE:
        at = secrets_skip(&looked, 0, SECRETS_VALUE, len);
        break;
    case SECRETS_RUN_KEY:
        while (at < len && text[at] &&
               (secrets_is_of(SECRETS_BASE64, (unsigned char)text[at]) ||
                strchr(" \t\r\n\\>|\"'`,", text[at])))
            at++;
        return at < len ? run_to_end(&looked, at, ret_run) : at;
    }
    if (at < len)
        *ret_run = SECRETS_RUN_NONE;
    return at;
}
