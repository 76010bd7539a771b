#include "config/environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"

#define SECRETS_MAX 64

static struct {
    char *name;
    char *value; /* NULL while the environment still has it */
} secrets[SECRETS_MAX];
static size_t secrets_count;

/* The place of `name`, which is `secrets_count` when it is new. */
static size_t find_secret(const char *name)
{
    size_t i = 0;

    while (i < secrets_count && strcmp(secrets[i].name, name) != 0)
        i++;
    return i;
}

static void note_secret(const char *name)
{
    size_t i = find_secret(name);

    if (i < secrets_count || secrets_count == SECRETS_MAX)
        return;
    secrets[secrets_count++].name = xstrdup(name);
}

bool environment_is_secret(const char *name)
{
    return find_secret(name) < secrets_count;
}

const char *environment_get(const char *name)
{
    size_t i = find_secret(name);

    if (i < secrets_count && secrets[i].value)
        return secrets[i].value;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): variables are set at startup only */
    return getenv(name);
}

/* The length of NAME at the start of `text`, 0 when there is none. */
static size_t name_length(const char *text)
{
    size_t len =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

    return *text >= '0' && *text <= '9' ? 0 : len;
}

int environment_expand(const char *text, bool is_secret, struct buf *out, struct err *err)
{
    while (*text) {
        size_t plain = strcspn(text, "$");
        size_t len;
        const char *value;

        buf_append(out, text, plain);
        text += plain;
        if (strncmp(text, "$${", 3) == 0) {
            buf_append_text(out, "${");
            text += 3;
            continue;
        }
        if (strncmp(text, "${", 2) != 0) {
            if (*text)
                buf_append_char(out, *text++);
            continue;
        }
        len = name_length(text + 2);
        if (!len || text[2 + len] != '}')
            return err_set(
                err, ERR_INPUT,
                "holds ${ without a variable's name and }, write $${ for a plain ${");
        AUTO_FREE char *name = xstrndup(text + 2, len);

        value = environment_get(name);
        if (is_secret)
            note_secret(name);
        if (!value)
            return err_set(err, ERR_TEMP, "the environment variable %s is not set", name);
        buf_append_text(out, value);
        text += len + 3;
    }
    return 0;
}

void environment_escape(const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (strncmp(text, "${", 2) == 0)
            buf_append_char(out, '$');
        buf_append_char(out, *text);
    }
}

static bool is_slack_token(const char *value)
{
    return strncmp(value, "xoxb-", 5) == 0 || strncmp(value, "xapp-", 5) == 0 ||
           strncmp(value, "xoxp-", 5) == 0;
}

/* The index of the secret that an entry NAME=value of the environment is; SECRETS_MAX for none.
 */
static size_t secret_of_entry(const char *entry)
{
    const char *equals = strchr(entry, '=');
    AUTO_FREE char *name = equals ? xstrndup(entry, (size_t)(equals - entry)) : NULL;
    size_t i;

    if (!name)
        return SECRETS_MAX;
    if (is_slack_token(equals + 1))
        note_secret(name);
    i = find_secret(name);
    return i < secrets_count ? i : SECRETS_MAX;
}

void environment_hide_secrets(void)
{
    for (char **entry = environ; entry && *entry; entry++) {
        size_t i = secret_of_entry(*entry);
        char *value = strchr(*entry, '=');

        if (i == SECRETS_MAX || !value[1])
            continue;
        free(secrets[i].value);
        secrets[i].value = xstrdup(value + 1);
        log_add_secret(secrets[i].value);
        explicit_bzero(value + 1, strlen(value + 1));
    }
    for (size_t i = 0; i < secrets_count; i++) {
        if (secrets[i].value)
            unsetenv(secrets[i].name); /* NOLINT(concurrency-mt-unsafe): before threads */
    }
}

void environment_each_secret(void (*on_secret)(void *context, const char *variable,
                                               const char *value),
                             void *context)
{
    for (size_t i = 0; i < secrets_count; i++) {
        if (secrets[i].value)
            on_secret(context, "", secrets[i].value);
    }
}
