/* secrets_parts.h: a value behind "password =", "token:" and their like, that looks random. */
#include <string.h>

#include "base/alloc.h"
#include "base/secrets_parts.h"

#define VALUE_MIN     8
#define VALUE_MAX     300
#define BLANKS_MAX    8
#define CLOSERS_MAX   3 /* of quotes and of Markdown behind the word */
#define QUOTES_MAX    3
#define DISTINCT_MIN  5
#define LONG_NAME_MIN 16

/* Longer ones before those that they begin with. */
static const char *const words[] = {
    "password",  "passwort",        "passphrase",     "passwd",      "pwd",
    "kennwort",  "secret_key_base", "secret_key",     "secretkey",   "secret",
    "token",     "api_key",         "api-key",        "apikey",      "access_key",
    "accesskey", "private_key",     "encryption_key", "signing_key", "auth_key",
};

/* A cursor over what is looked at; `wants_more` once it ran out of bytes. */
struct reader {
    const struct secrets_text *text;
    size_t at;
    bool wants_more;
};

/* The byte at the cursor; 0 at the end. */
static char peek(struct reader *reader)
{
    if (reader->at < reader->text->len)
        return reader->text->bytes[reader->at];
    reader->wants_more = reader->wants_more || !reader->text->is_end;
    return '\0';
}

static size_t skip_any(struct reader *reader, const char *these, size_t max)
{
    size_t count = 0;

    while (count < max && peek(reader) && strchr(these, peek(reader))) {
        reader->at++;
        count++;
    }
    return count;
}

/* The word; its length, or 0. */
static size_t read_word(struct reader *reader)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        enum secrets_look look = secrets_at(reader->text, 0, words[i], true);

        if (look == SECRETS_FOUND)
            return strlen(words[i]);
        if (look == SECRETS_WANTS_MORE) {
            reader->wants_more = true;
            return 0;
        }
    }
    return 0;
}

/* "=", ":", ":=", "=>", or the word "is" between blanks. */
static bool read_separator(struct reader *reader)
{
    size_t blanks = skip_any(reader, " \t", BLANKS_MAX);
    char c = peek(reader);

    if (c == '=' || c == ':') {
        reader->at++;
        skip_any(reader, "=>", 1);
        return peek(reader) != ':'; /* std::token::x */
    }
    if (blanks && c == 'i') {
        reader->at++;
        if (peek(reader) != 's')
            return false;
        reader->at++;
        return peek(reader) == ' ' || peek(reader) == ':';
    }
    return false;
}

struct value {
    const char *bytes;
    size_t len;
    bool is_quoted;
    bool is_cut;
};

static bool ends_value(const struct value *value, char quote, unsigned char c)
{
    if (value->is_quoted)
        return c == (unsigned char)quote || c < ' ';
    return !secrets_is_of(SECRETS_VALUE, c);
}

static struct value read_value(struct reader *reader)
{
    struct value value = { 0 };
    char quote = '\0';

    skip_any(reader, " \t:*\\", BLANKS_MAX); /* **Password:** "x" */
    for (size_t i = 0; i < QUOTES_MAX && peek(reader) && strchr("\"'`", peek(reader)); i++)
        quote = reader->text->bytes[reader->at++];
    value.is_quoted = quote != '\0';
    value.bytes = reader->text->bytes + reader->at;
    while (value.len < VALUE_MAX && peek(reader) &&
           !ends_value(&value, quote, (unsigned char)peek(reader))) {
        reader->at++;
        value.len++;
    }
    value.is_cut = value.len == VALUE_MAX;
    if (value.is_cut)
        reader->wants_more = false;
    return value;
}

/* ---- does it look like one? ---------------------------------------------------------------
 */

struct traits {
    size_t letters;
    size_t digits;
    size_t uppers;
    size_t others;
    size_t distinct;
    bool is_named; /* letters, digits and _ - only */
};

static struct traits traits_of(const struct value *value)
{
    struct traits traits = { .is_named = true };
    bool seen[256] = { false };

    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->bytes[i];
        bool is_digit = c >= '0' && c <= '9';
        bool is_letter = !is_digit && secrets_is_of(SECRETS_ALNUM, c);

        traits.digits += is_digit;
        traits.letters += is_letter;
        traits.uppers += c >= 'A' && c <= 'Z';
        traits.others += !is_digit && !is_letter;
        traits.distinct += !seen[c];
        traits.is_named = traits.is_named && secrets_is_of(SECRETS_WORD, c);
        seen[c] = true;
    }
    return traits;
}

static bool holds(const struct value *value, const char *part)
{
    struct secrets_text text = { .bytes = value->bytes, .len = value->len, .is_end = true };

    for (size_t at = 0; at < value->len; at++) {
        if (secrets_at(&text, at, part, true) == SECRETS_FOUND)
            return true;
    }
    return false;
}

/* What stands where a secret would: ${NAME}, <token>, xxxx, a call, a path, a name in code. */
static bool is_stand_in(const struct value *value)
{
    static const char *const
        parts[] = { "xxx",         "...",      "***",         "your", "example", "changeme",
                    "placeholder", "redacted", "replace",     "${",   "{{",      "://",
                    "->",          "::",       "\xe2\x80\xa6" /* an ellipsis */ };

    if (strchr("$<{%[(*&@!", value->bytes[0]) && !value->is_quoted)
        return true;
    if (strchr("$<{%[(*", value->bytes[0]) && (value->len < 2 || value->bytes[1] < '0'))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (holds(value, parts[i]))
            return true;
    }
    return memchr(value->bytes, ' ', value->len) ||
           (!value->is_quoted &&
            (memchr(value->bytes, '(', value->len) || memchr(value->bytes, '[', value->len)));
}

/* os.environ, config.db2.password: names with dots between. */
static bool is_dotted(const struct value *value)
{
    bool begins = true;
    size_t dots = 0;

    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->bytes[i];

        if (c == '.') {
            if (begins)
                return false;
            dots++;
            begins = true;
            continue;
        }
        if (!secrets_is_of(SECRETS_WORD, c) || c == '-' || (begins && c >= '0' && c <= '9'))
            return false;
        begins = false;
    }
    return dots > 0 && !begins;
}

static bool is_path(const struct value *value, const struct traits *traits)
{
    bool is_rooted = value->bytes[0] == '/' || value->bytes[0] == '~' ||
                     (value->bytes[0] == '.' && memchr(value->bytes, '/', value->len));
    /* The secret of an AWS key may begin with a slash, too. */
    bool is_random = value->len >= 32 && traits->digits >= 3 && traits->uppers >= 3 &&
                     !memchr(value->bytes, '.', value->len);

    return is_rooted && !is_random;
}

static bool is_secret(const struct value *value)
{
    struct traits traits;

    if (value->len < VALUE_MIN || is_stand_in(value))
        return false;
    traits = traits_of(value);
    if (!traits.letters || !traits.digits || traits.distinct < DISTINCT_MIN)
        return false;
    /* Names in code hold a digit now and then: user2faToken. */
    if (traits.is_named && !value->is_quoted && traits.digits < 3 &&
        (traits.digits < 2 || value->len < LONG_NAME_MIN))
        return false;
    return !is_dotted(value) && !is_path(value, &traits);
}

/* What has a shape of its own is better named by that. */
static bool is_known(const struct value *value, bool is_end)
{
    struct secrets_text text = { .bytes = value->bytes, .len = value->len, .is_end = is_end };
    struct secrets_match match;

    return secrets_look_known(&text, &match) == SECRETS_FOUND;
}

enum secrets_look secrets_look_value(const struct secrets_text *text,
                                     struct secrets_match *ret_match)
{
    struct reader reader = { .text = text };
    struct value value;

    reader.at = read_word(&reader);
    if (reader.at) {
        skip_any(&reader, "\"'`*]\\", CLOSERS_MAX);
        if (!read_separator(&reader) && !reader.wants_more)
            return SECRETS_NO;
    }
    if (!reader.at && !reader.wants_more)
        return SECRETS_NO;
    if (reader.wants_more)
        return SECRETS_WANTS_MORE;
    value = read_value(&reader);
    if (reader.wants_more)
        return SECRETS_WANTS_MORE;
    /* What ends a sentence, or begins the \" that ends a quote within one. */
    while (!value.is_cut && value.len &&
           strchr(value.is_quoted ? "\\" : ".:*_", value.bytes[value.len - 1]))
        value.len--;
    if (!is_secret(&value) || is_known(&value, true))
        return SECRETS_NO;
    *ret_match = (struct secrets_match){
        .skip = (size_t)(value.bytes - text->bytes),
        .len = value.len,
        .run = value.is_cut ? SECRETS_RUN_VALUE : SECRETS_RUN_NONE,
        .kind = "a password or key",
        .is_guess = true,
    };
    return SECRETS_FOUND;
}
