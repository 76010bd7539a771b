/*
 * memory_io.c - stdin, stdout and the progress bar for the verbs of cmd_memory.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "bot/cmd_memory.h"

#define LINE_MAX_BYTES  ((size_t)128 * 1024 * 1024) /* the longest turn, every byte escaped */
#define STDIN_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define BLOCK_BYTES     65536
#define BOM             "\xef\xbb\xbf" /* some editors begin UTF-8 with it */

#define REAL_DIGITS_MIN 15
#define REAL_DIGITS_MAX 17

#define BAR_AFTER_MS 1000
#define BAR_EVERY_MS 200
#define BAR_CELLS    30

/* ---- out ----------------------------------------------------------------------------------
 */

int memory_say_failed(const struct memory_call *call, const struct err *err)
{
    fprintf(stderr, "threadkeeper memory %s: %s\n", call->verb, err->message);
    return CLI_FAILED;
}

void memory_put(struct memory_call *call, const char *text)
{
    AUTO_BUF struct buf clean = { 0 };

    if (call->is_terminal) {
        buf_init(&clean, SIZE_MAX);
        utf8_append_clean(&clean, text, strlen(text));
        text = buf_text(&clean);
    }
    if (!call->out_errno && fputs(text, stdout) == EOF)
        call->out_errno = errno ? errno : EIO;
}

void memory_putf(struct memory_call *call, const char *format, ...)
{
    AUTO_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    memory_put(call, text);
}

/* The fewest digits with which this number is read back as it is. */
static int digits_of(double number)
{
    char text[64];

    for (int digits = REAL_DIGITS_MIN; digits < REAL_DIGITS_MAX; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            return digits;
    }
    return REAL_DIGITS_MAX;
}

/* For all the numbers in a value: jansson writes them with one precision, by default as
 * 0.10000000000000001. */
static int digits_in(const json_t *value)
{
    int digits = REAL_DIGITS_MIN;
    const char *name;
    json_t *item;
    size_t index;

    if (json_is_real(value))
        return digits_of(json_real_value(value));
    json_array_foreach((json_t *)value, index, item)
    {
        int needed = digits_in(item);

        digits = needed > digits ? needed : digits;
    }
    json_object_foreach((json_t *)value, name, item)
    {
        int needed = digits_in(item);

        digits = needed > digits ? needed : digits;
    }
    return digits;
}

void memory_put_json(struct memory_call *call, json_t *value)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits_in(value));
    AUTO_FREE char *text = json_dumps(value, flags);

    memory_put(call, text ? text : "null");
    json_decref(value);
}

bool memory_out_is_open(const struct memory_call *call)
{
    return !call->out_errno;
}

int memory_out_end(struct memory_call *call)
{
    struct err err = { 0 };

    if (!call->out_errno && fflush(stdout) == EOF)
        call->out_errno = errno ? errno : EIO;
    if (!call->out_errno || call->out_errno == EPIPE)
        return CLI_OK;
    errno = call->out_errno;
    err_set_errno(&err, ERR_SYSTEM, "cannot write");
    return memory_say_failed(call, &err);
}

/* ---- in -----------------------------------------------------------------------------------
 */

const char *memory_word(const struct memory_call *call, size_t index)
{
    return index < call->args.words_count ? call->args.words[index] : NULL;
}

const char *memory_word_or_stdin(const struct memory_call *call, size_t index,
                                 struct buf *ret_text, struct err *err)
{
    const char *word = memory_word(call, index);
    char block[BLOCK_BYTES];
    size_t got;

    if (!word || strcmp(word, "-") != 0)
        return word;
    buf_init(ret_text, STDIN_MAX_BYTES);
    while ((got = fread(block, 1, sizeof(block), stdin)) > 0)
        buf_append(ret_text, block, got);
    if (ferror(stdin)) {
        err_set_errno(err, ERR_SYSTEM, "cannot read stdin");
        return NULL;
    }
    if (buf_finish(ret_text, err) < 0)
        return NULL;
    if (strlen(buf_text(ret_text)) != ret_text->len) {
        err_set(err, ERR_INPUT, "stdin holds a NUL byte");
        return NULL;
    }
    if (ret_text->len && ret_text->data[ret_text->len - 1] == '\n')
        buf_truncate(ret_text, ret_text->len - 1);
    return buf_text(ret_text);
}

int memory_lines_open(struct memory_lines *lines, const char *path, struct err *err)
{
    bool is_stdin = !path || strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set_errno(err, ERR_INPUT, "cannot open %s", path);
    *lines = (struct memory_lines){ .fd = fd, .name = is_stdin ? "stdin" : path };
    buf_init(&lines->line, LINE_MAX_BYTES);
    return 0;
}

void memory_lines_close(struct memory_lines *lines)
{
    if (lines->fd > STDIN_FILENO)
        close(lines->fd);
    lines->fd = STDIN_FILENO;
    buf_deinit(&lines->line);
}

/* Up to the newline into the line; false when more must be read for it. */
static bool take_from_block(struct memory_lines *lines, bool *ret_is_any)
{
    char *begin = lines->block + lines->block_at;
    size_t left = lines->block_len - lines->block_at;
    char *newline = left ? memchr(begin, '\n', left) : NULL;
    size_t len = newline ? (size_t)(newline - begin) : left;

    buf_append(&lines->line, begin, len);
    lines->block_at += len + (newline != NULL);
    *ret_is_any = *ret_is_any || left;
    return newline != NULL;
}

int memory_lines_next(struct memory_lines *lines, struct err *err)
{
    bool is_any = false;

    buf_clear(&lines->line);
    lines->number++;
    while (!take_from_block(lines, &is_any) && !lines->line.overflowed) {
        ssize_t got = read(lines->fd, lines->block, sizeof(lines->block));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, ERR_SYSTEM, "cannot read %s", lines->name);
        if (got == 0)
            break;
        lines->block_at = 0;
        lines->block_len = (size_t)got;
    }
    if (lines->number == 1 && strncmp(buf_text(&lines->line), BOM, strlen(BOM)) == 0)
        buf_consume(&lines->line, strlen(BOM));
    if (lines->line.overflowed)
        return err_set(err, ERR_INPUT, "%s:%" PRId64 ": the line is longer than %zu bytes",
                       lines->name, lines->number, LINE_MAX_BYTES);
    return is_any;
}

/* ---- progress -----------------------------------------------------------------------------
 */

void memory_progress_begin(struct memory_progress *progress, const char *what)
{
    *progress = (struct memory_progress){ .what = what,
                                          .begun_ms = clock_now_ms(),
                                          .is_wanted = isatty(STDERR_FILENO) };
}

void memory_progress_show(void *context, int64_t done, int64_t total)
{
    struct memory_progress *progress = context;
    int64_t now_ms = progress->is_wanted ? clock_now_ms() : 0;
    char bar[BAR_CELLS + 1];
    int filled;

    if (!progress->is_wanted || now_ms - progress->begun_ms < BAR_AFTER_MS ||
        now_ms - progress->shown_ms < BAR_EVERY_MS)
        return;
    progress->shown_ms = now_ms;
    if (total <= 0) { /* nobody knows how much there is */
        fprintf(stderr, "\r%s  %" PRId64 " \033[K", progress->what, done);
        return;
    }
    done = done > total ? total : done;
    filled = (int)((double)done / (double)total * BAR_CELLS);
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, "\r%s  [%s] %3d %%  %" PRId64 " of %" PRId64 " \033[K", progress->what, bar,
            (int)((double)done / (double)total * 100), done, total);
}

void memory_progress_end(struct memory_progress *progress)
{
    if (progress->shown_ms)
        fputs("\r\033[K", stderr);
    progress->is_wanted = false;
}

/* ---- shared -------------------------------------------------------------------------------
 */

static const char *const role_names[] = {
    [MEMORY_ROLE_USER] = "user",
    [MEMORY_ROLE_ASSISTANT] = "assistant",
    [MEMORY_ROLE_SYSTEM] = "system",
};

const char *memory_role_name(enum memory_role role)
{
    return (size_t)role < ARRAY_LEN(role_names) ? role_names[role] : "system";
}

bool memory_role_parse(const char *name, enum memory_role *ret_role)
{
    for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
        if (strcmp(role_names[i], name) == 0) {
            *ret_role = (enum memory_role)i;
            return true;
        }
    }
    return false;
}

json_t *memory_json_text(const char *text)
{
    json_t *value = json_string(text);
    AUTO_BUF struct buf clean = { 0 };

    if (value)
        return value;
    buf_init(&clean, SIZE_MAX);
    utf8_append_clean(&clean, text, strlen(text));
    return json_string(buf_text(&clean));
}

json_t *memory_figures_json(const struct store_conversation *conversation)
{
    return json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "key", memory_json_text(conversation->key),
        "turns", (json_int_t)conversation->turns, "bytes", (json_int_t)conversation->bytes,
        "first_at", (json_int_t)conversation->first_wall_s, "used_at",
        (json_int_t)conversation->used_wall_s, "last_seq", (json_int_t)conversation->last_seq,
        "summaries", (json_int_t)conversation->summaries, "fields",
        (json_int_t)conversation->fields);
}
