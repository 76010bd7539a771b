#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/secrets.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES   8192
#define SECRETS_MAX      1024
#define SECRET_MIN_BYTES 8

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_int current_format = LOG_FORMAT_TEXT;

/* Written under the lock; readers see a whole entry because the count is raised after it. */
static pthread_mutex_t secrets_lock = PTHREAD_MUTEX_INITIALIZER;
static char *secrets[SECRETS_MAX];
static atomic_int secrets_count;

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_add_secret(const char *secret)
{
    int count;
    bool known = false;

    if (!secret || strlen(secret) < SECRET_MIN_BYTES)
        return;
    pthread_mutex_lock(&secrets_lock);
    count = atomic_load(&secrets_count);
    for (int i = 0; i < count; i++)
        known = known || strcmp(secrets[i], secret) == 0;
    if (!known && count < SECRETS_MAX) {
        secrets[count] = xstrdup(secret);
        atomic_store(&secrets_count, count + 1);
    }
    pthread_mutex_unlock(&secrets_lock);
}

/* Replaces `len` bytes at `at` by "***", closing the gap. */
static void mask_span(char *at, size_t len)
{
    size_t shown = len < 3 ? len : 3;

    memset(at, '*', shown);
    memmove(at + shown, at + len, strlen(at + len) + 1);
}

/* The one-time ticket in a websocket URL. */
static void mask_tickets(char *text)
{
    static const char ticket[] = "ticket=";

    for (char *at = text; (at = strstr(at, ticket)) != NULL;) {
        at += sizeof(ticket) - 1;
        mask_span(at, strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-._"));
    }
}

/* What looks like a token, a key or a password; that it is one ("xoxb-") stays readable. */
static void mask_shapes(char *text)
{
    unsigned char before = 0;
    char *at = text;

    while (*at) {
        struct secrets_match match;
        enum secrets_run run;
        size_t hidden;

        if (!secrets_may_begin(before, at, at[1] ? 2 : 1) ||
            secrets_look(before, at, strnlen(at, SECRETS_LOOK_MAX_BYTES), true, &match) !=
                SECRETS_FOUND) {
            before = (unsigned char)*at++;
            continue;
        }
        at += match.skip + match.prefix;
        hidden = match.len - match.prefix;
        if (match.run != SECRETS_RUN_NONE)
            hidden += secrets_run_on(match.run, at + hidden, strlen(at + hidden), true, &run);
        mask_span(at, hidden);
        at += hidden < 3 ? hidden : 3;
        before = '*';
    }
}

void log_mask_secrets(char *text)
{
    int count = atomic_load(&secrets_count);

    for (int i = 0; i < count; i++) {
        size_t len = strlen(secrets[i]);
        char *at = text;

        while ((at = strstr(at, secrets[i])) != NULL)
            mask_span(at, len);
    }
    mask_shapes(text);
    mask_tickets(text);
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };

    return names[level];
}

static int syslog_priority(enum log_level level)
{
    static const int priorities[] = { 3, 4, 6, 7 };

    return priorities[level];
}

static void append_escaped(struct buf *line, const char *text, bool json)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (json && (*c == '"' || *c == '\\'))
            buf_printf(line, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            buf_printf(line, json ? "\\u%04x" : "\\x%02x", *c);
        else
            buf_append_char(line, (char)*c);
    }
}

static void format_line(struct buf *line, enum log_level level, const char *module,
                        const char *message)
{
    char at[CLOCK_ISO_BYTES];

    if (atomic_load(&current_format) == LOG_FORMAT_JSON) {
        buf_printf(line, "{\"at\":\"%s\",\"level\":\"%s\",\"module\":\"%s\",\"message\":\"",
                   clock_iso_utc(clock_wall_s(), at), level_name(level), module);
        append_escaped(line, message, true);
        buf_append_text(line, "\"}");
        return;
    }
    if (!isatty(STDERR_FILENO))
        buf_printf(line, "<%d>", syslog_priority(level));
    if (level <= LOG_LEVEL_WARN)
        buf_printf(line, "%s: ", level_name(level));
    buf_printf(line, "%s: ", module);
    append_escaped(line, message, false);
}

/* Cuts to the longest line, and to valid UTF-8: JSON is nothing else. */
static void make_clean(char **message)
{
    size_t len = strlen(*message);

    if (utf8_is_valid(*message, len)) {
        (*message)[utf8_cut(*message, len, LINE_MAX_BYTES)] = '\0';
    } else {
        char *clean = utf8_clean_copy(*message, len, LINE_MAX_BYTES);

        free(*message);
        *message = clean;
    }
}

void log_line(enum log_level level, const char *module, const char *format, ...)
{
    AUTO_BUF struct buf line = { 0 };
    AUTO_FREE char *message = NULL;
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    message = xvasprintf(format, args);
    va_end(args);
    log_mask_secrets(message); /* first: half a secret would not be known as one */
    make_clean(&message);
    buf_init(&line, (size_t)LINE_MAX_BYTES * 8);
    format_line(&line, level, module, message);
    buf_append_char(&line, '\n');
    if (write(STDERR_FILENO, buf_text(&line), line.len) < 0)
        return; /* nowhere left to say it */
}
