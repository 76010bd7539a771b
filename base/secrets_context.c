/* secrets_parts.h: what is known by its surroundings: key blocks, addresses, bearers. */
#include <string.h>

#include "base/alloc.h"
#include "base/secrets_parts.h"

#define BEHIND_HEADER_MAX 400 /* where the lines of a key begin, behind its headers */
#define KEY_LINE_MIN      24
#define USER_MAX          64
#define PASSWORD_MAX      256

/* "-----BEGIN RSA PRIVATE KEY-----" alone is no secret; lines behind it are. */
enum secrets_look secrets_look_key_block(const struct secrets_text *text,
                                         struct secrets_match *ret_match)
{
    enum { LABEL_AT = 11, LABEL_MAX = 48 };
    enum secrets_look look = secrets_at(text, 0, "-----BEGIN ", false);
    size_t end = LABEL_AT;
    size_t run = 0;

    if (look != SECRETS_FOUND)
        return look;
    while (end < text->len && end < LABEL_AT + LABEL_MAX &&
           (secrets_is_of(SECRETS_UPPER_DIGIT, (unsigned char)text->bytes[end]) ||
            text->bytes[end] == ' '))
        end++;
    look = secrets_at(text, end, "-----", false);
    if (look != SECRETS_FOUND)
        return look;
    if (!memmem(text->bytes + LABEL_AT, end - LABEL_AT, "PRIVATE KEY", 11))
        return SECRETS_NO;
    end += 5;
    for (size_t at = end; at < text->len && at < end + BEHIND_HEADER_MAX; at++) {
        run = secrets_is_of(SECRETS_BASE64, (unsigned char)text->bytes[at]) ? run + 1 : 0;
        if (run < KEY_LINE_MIN)
            continue;
        *ret_match = (struct secrets_match){
            .len = at + 1, .prefix = end, .run = SECRETS_RUN_KEY, .kind = "a private key"
        };
        return SECRETS_FOUND;
    }
    return text->is_end || text->len >= end + BEHIND_HEADER_MAX ? SECRETS_NO
                                                                : SECRETS_WANTS_MORE;
}

static bool is_of_address(char c)
{
    return (unsigned char)c > ' ' && c != '\x7f' && !strchr("/?#\"'`<>@", c);
}

/*
 * postgres://user:password@host, from the slashes on, lest the colon of any sentence wait for
 * them. Only the password is hidden.
 */
enum secrets_look secrets_look_address(const struct secrets_text *text,
                                       struct secrets_match *ret_match)
{
    enum { BEGIN = 2 };
    enum secrets_look look = secrets_at(text, 0, "//", false);
    size_t at = BEGIN;
    size_t password;

    if (look != SECRETS_FOUND)
        return look;
    while (at < text->len && at < BEGIN + USER_MAX && is_of_address(text->bytes[at]) &&
           text->bytes[at] != ':')
        at++;
    if (at == text->len && at < BEGIN + USER_MAX)
        return text->is_end ? SECRETS_NO : SECRETS_WANTS_MORE;
    if (at == text->len || text->bytes[at] != ':')
        return SECRETS_NO;
    password = ++at;
    while (at < text->len && at < password + PASSWORD_MAX && is_of_address(text->bytes[at]))
        at++;
    if (at == text->len && at < password + PASSWORD_MAX)
        return text->is_end ? SECRETS_NO : SECRETS_WANTS_MORE;
    /* ${PASSWORD}, {{password}}, %s, ***: where one would stand */
    if (at == text->len || text->bytes[at] != '@' || at == password ||
        strchr("${%*[(", text->bytes[password]))
        return SECRETS_NO;
    *ret_match = (struct secrets_match){ .skip = password,
                                         .len = at - password,
                                         .kind = "a password in an address",
                                         .is_guess = true };
    return SECRETS_FOUND;
}

enum secrets_look secrets_look_bearer(const struct secrets_text *text,
                                      struct secrets_match *ret_match)
{
    static const struct {
        const char *prefix;
        size_t min;
        bool wants_digit; /* else it is a word: "bearer authentication" */
    } bearers[] = { { "bearer ", 16, true }, { "authorization: basic ", 12, false } };
    enum { TOKEN_MAX = 300 };

    for (size_t i = 0; i < ARRAY_LEN(bearers); i++) {
        enum secrets_look look = secrets_at(text, 0, bearers[i].prefix, true);
        size_t begin = strlen(bearers[i].prefix);
        size_t end;
        bool has_digit = false;

        if (look == SECRETS_NO)
            continue;
        if (look == SECRETS_WANTS_MORE)
            return look;
        end = secrets_skip(text, begin, SECRETS_TOKEN, begin + TOKEN_MAX);
        if (end == text->len && end < begin + TOKEN_MAX && !text->is_end)
            return SECRETS_WANTS_MORE;
        for (size_t at = begin; at < end; at++)
            has_digit = has_digit || (text->bytes[at] >= '0' && text->bytes[at] <= '9');
        if (end - begin < bearers[i].min || (bearers[i].wants_digit && !has_digit))
            return SECRETS_NO;
        *ret_match = (struct secrets_match){
            .skip = begin,
            .len = end - begin,
            .run = end == begin + TOKEN_MAX ? SECRETS_RUN_TOKEN : SECRETS_RUN_NONE,
            .kind = "a bearer token",
            .is_guess = true,
        };
        return SECRETS_FOUND;
    }
    return SECRETS_NO;
}
