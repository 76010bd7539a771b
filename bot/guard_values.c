#include "bot/guard_values.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/secrets.h"

#define LOG_MODULE "bot.guard"
#include "base/log.h"

#define BLANKS       " \t\r"
#define KEY_LINE_MIN 24

void guard_values_deinit(struct guard_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        explicit_bzero(values->items[i].bytes, values->items[i].len);
        free(values->items[i].bytes);
    }
    free(values->items);
    *values = (struct guard_values){ 0 };
}

static bool is_there(const struct guard_values *values, const char *bytes, size_t len)
{
    for (size_t i = 0; i < values->count; i++) {
        if (values->items[i].len == len && memcmp(values->items[i].bytes, bytes, len) == 0)
            return true;
    }
    return false;
}

int guard_values_add(struct guard_values *values, const char *bytes, size_t len,
                     struct err *err)
{
    struct guard_value *value;

    if (is_there(values, bytes, len))
        return 0;
    if (len > GUARD_VALUES_MAX_BYTES - values->bytes)
        return err_set(err, ERR_INPUT, "more than %zu KiB of secrets",
                       GUARD_VALUES_MAX_BYTES >> 10);
    if (values->count == values->capacity) {
        values->capacity = values->capacity ? values->capacity * 2 : 16;
        values->items = xrealloc(values->items, values->capacity, sizeof(*values->items));
    }
    value = &values->items[values->count++];
    value->bytes = xcalloc(len + 1, 1);
    memcpy(value->bytes, bytes, len);
    value->len = len;
    values->bytes += len;
    return 0;
}

/* ---- a file of secrets --------------------------------------------------------------------
 */

struct line {
    const char *bytes;
    size_t len;
};

static void trim(struct line *line)
{
    while (line->len && strchr(BLANKS, line->bytes[0]) && line->bytes[0]) {
        line->bytes++;
        line->len--;
    }
    while (line->len && strchr(BLANKS, line->bytes[line->len - 1]) &&
           line->bytes[line->len - 1])
        line->len--;
}

static bool begins_with(const struct line *line, const char *part)
{
    return line->len >= strlen(part) && memcmp(line->bytes, part, strlen(part)) == 0;
}

static void drop(struct line *line, size_t len)
{
    line->bytes += len;
    line->len -= len;
    trim(line);
}

static size_t name_length(const struct line *line)
{
    size_t len = 0;

    while (len < line->len &&
           ((line->bytes[len] >= '0' && line->bytes[len] <= '9' && len > 0) ||
            (line->bytes[len] >= 'A' && line->bytes[len] <= 'Z') ||
            (line->bytes[len] >= 'a' && line->bytes[len] <= 'z') || line->bytes[len] == '_'))
        len++;
    return len;
}

/* NAME=value is its value; a secret whose base64 ends in = is all of it. */
static void take_value(struct line *line)
{
    size_t name = name_length(line);
    struct line value = *line;

    if (name && name < line->len && line->bytes[name] == '=') {
        drop(&value, name + 1);
        if (value.len && !(value.len == 1 && value.bytes[0] == '='))
            *line = value;
    }
    if (line->len >= 2 && (line->bytes[0] == '"' || line->bytes[0] == '\'') &&
        line->bytes[line->len - 1] == line->bytes[0]) {
        line->bytes++;
        line->len -= 2;
    }
}

static int add_line(struct guard_values *values, struct line line, const char *path,
                    size_t number, struct err *err)
{
    trim(&line);
    if (!line.len || line.bytes[0] == '#')
        return 0;
    if (begins_with(&line, "export ") || begins_with(&line, "export\t"))
        drop(&line, 7);
    take_value(&line);
    if (line.len < GUARD_VALUE_MIN_BYTES) {
        if (line.len)
            log_warn("%s:%zu: shorter than %d bytes, so it is not masked", path, number,
                     GUARD_VALUE_MIN_BYTES);
        return 0;
    }
    return guard_values_add(values, line.bytes, line.len, err);
}

/* The length of the key block at the beginning of `text`, 0 when there is none (complete). */
static size_t block_length(const char *text, size_t len)
{
    const char *end;
    const char *close;

    if (len < 11 || memcmp(text, "-----BEGIN ", 11) != 0)
        return 0;
    end = memmem(text, len, "\n-----END ", 10);
    close = end ? memmem(end + 10, len - (size_t)(end + 10 - text), "-----", 5) : NULL;
    return close ? (size_t)(close + 5 - text) : 0;
}

static int add_block(struct guard_values *values, const char *text, size_t len, struct err *err)
{
    size_t at = 0;

    if (guard_values_add(values, text, len, err) < 0)
        return -1;
    while (at < len) {
        const char *newline = memchr(text + at, '\n', len - at);
        struct line line = { text + at, newline ? (size_t)(newline - text) - at : len - at };

        at += line.len + 1;
        trim(&line);
        if (line.len >= KEY_LINE_MIN && line.bytes[0] != '-' &&
            guard_values_add(values, line.bytes, line.len, err) < 0)
            return -1;
    }
    return 0;
}

static int add_text(struct guard_values *values, const char *path, const char *text, size_t len,
                    struct err *err)
{
    size_t number = 1;
    size_t at = 0;

    while (at < len) {
        size_t block = block_length(text + at, len - at);
        const char *newline = memchr(text + at + block, '\n', len - at - block);
        size_t end = newline ? (size_t)(newline - text) : len;
        int rc =
            block ? add_block(values, text + at, block, err)
                  : add_line(values, (struct line){ text + at, end - at }, path, number, err);

        if (rc < 0)
            return -1;
        for (; at <= end && at < len; at++)
            number += text[at] == '\n';
    }
    return 0;
}

/* Not from a pipe, which would keep us waiting. */
static int read_whole(const char *path, struct buf *text, struct err *err)
{
    struct stat info;

    buf_init(text, GUARD_FILE_MAX_BYTES);
    if (stat(path, &info) < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot read %s", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_INPUT, "%s is not a file", path);
    return file_read(path, text, err);
}

int guard_values_read_file(struct guard_values *values, const char *path, struct err *err)
{
    AUTO_BUF struct buf text = { 0 };
    int rc = read_whole(path, &text, err);

    if (rc == 0)
        rc = add_text(values, path, buf_text(&text), text.len, err);
    if (rc < 0)
        err_wrap(err, "guard.secret_files");
    if (text.data)
        explicit_bzero(text.data, text.len);
    return rc;
}

/* ---- the configuration --------------------------------------------------------------------
 */

struct reading {
    struct guard_values *values;
    struct err *err;
    int rc;
};

/* Handed to the agent are also a proxy's address, a language, a path: they are no secrets. */
static bool is_named_as_secret(const char *name)
{
    static const char *const parts[] = { "KEY",  "TOKEN", "SECRET", "PASS", "CREDENTIAL",
                                         "AUTH", "PAT",   "COOKIE", "DSN" };
    static const char *const others[] = { "PATH", "AUTHOR" };

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strstr(name, others[i]))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strcasestr(name, parts[i]))
            return true;
    }
    return false;
}

static void on_secret(void *context, const char *variable, const char *value)
{
    struct reading *reading = context;
    struct secrets_match match;
    size_t len = strlen(value);
    bool is_one = !*variable || is_named_as_secret(variable) ||
                  (len && secrets_look(0, value, len, true, &match) == SECRETS_FOUND);

    if (reading->rc == 0 && is_one && len >= GUARD_VALUE_MIN_BYTES)
        reading->rc = guard_values_add(reading->values, value, len, reading->err);
}

/* It may not be text at all; then its other forms are looked for. */
static int read_key_file(struct guard_values *values, const char *path, struct err *err)
{
    AUTO_BUF struct buf text = { 0 };
    int rc = read_whole(path, &text, err);
    struct line key;

    key = (struct line){ buf_text(&text), text.len };
    while (key.len && strchr(" \t\r\n", key.bytes[key.len - 1]) && key.bytes[key.len - 1])
        key.len--;
    if (rc == 0 && key.len >= GUARD_VALUE_MIN_BYTES)
        rc = guard_values_add(values, key.bytes, key.len, err);
    if (rc < 0)
        err_wrap(err, "memory.encryption_key_file");
    if (text.data)
        explicit_bzero(text.data, text.len);
    return rc;
}

int guard_values_read_config(struct guard_values *values, const struct config *config,
                             struct err *err)
{
    struct reading reading = { .values = values, .err = err };

    config_each_secret(config, on_secret, &reading);
    if (reading.rc < 0)
        return -1;
    if (*config->memory.encryption_key_file &&
        read_key_file(values, config->memory.encryption_key_file, err) < 0)
        return -1;
    for (size_t i = 0; i < config->guard.secret_files.count; i++) {
        if (guard_values_read_file(values, config->guard.secret_files.items[i], err) < 0)
            return -1;
    }
    return 0;
}
