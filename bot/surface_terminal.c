#include "bot/surface_terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#define ANSWER_MAX_BYTES (16U << 20)

struct surface_terminal {
    struct surface surface; /* first */
    struct buf raw;         /* bytes of a character that is not complete yet */
    struct buf answer;
    bool shows_status; /* the status line is on the screen */
};

static struct surface_terminal *from(struct surface *surface)
{
    return (struct surface_terminal *)surface;
}

static void clear_status(struct surface_terminal *terminal)
{
    if (terminal->shows_status)
        fputs("\r\033[K", stderr);
    terminal->shows_status = false;
}

static void set_status(struct surface *surface, const char *status, int64_t now_ms)
{
    struct surface_terminal *terminal = from(surface);

    (void)now_ms;
    if (!isatty(STDERR_FILENO) || !isatty(STDOUT_FILENO) || terminal->answer.len)
        return;
    clear_status(terminal);
    fprintf(stderr, "\033[2m... %s\033[0m", status);
    terminal->shows_status = true;
}

static void begin(struct surface *surface, int64_t now_ms)
{
    set_status(surface, "starting", now_ms);
}

static int resume(struct surface *surface, const char *state, struct err *err)
{
    (void)surface;
    (void)state;
    return err_set(err, ERR_INPUT, "a terminal has nothing to go on with");
}

/* The status says it; a list of steps would stand in the way of the answer. */
static void show_step(struct surface *surface, const struct surface_step *step)
{
    (void)surface;
    (void)step;
}

static void append(struct surface *surface, const char *text, size_t len)
{
    struct surface_terminal *terminal = from(surface);
    size_t before = terminal->answer.len;
    size_t whole;

    clear_status(terminal);
    buf_append(&terminal->raw, text, len);
    whole =
        terminal->raw.len - utf8_incomplete_tail(buf_text(&terminal->raw), terminal->raw.len);
    utf8_append_clean(&terminal->answer, buf_text(&terminal->raw), whole);
    buf_consume(&terminal->raw, whole);
    fwrite(buf_text(&terminal->answer) + before, 1, terminal->answer.len - before, stdout);
    fflush(stdout);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): one of struct surface_ops */
static int64_t tick(struct surface *surface, int64_t now_ms, bool *ret_stopped)
{
    (void)surface;
    (void)now_ms;
    (void)ret_stopped;
    return CLOCK_FOREVER_MS;
}

static const char *answer(const struct surface *surface)
{
    return buf_text(&((const struct surface_terminal *)surface)->answer);
}

static int end(struct surface *surface, const char *note, struct err *err)
{
    struct surface_terminal *terminal = from(surface);

    clear_status(terminal);
    if (*note)
        printf("%s%s", terminal->answer.len ? "\n" : "", note);
    putchar('\n');
    if (fflush(stdout) != 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot write the answer");
    return 0;
}

static int failed(struct surface *surface, const char *sentence, const char *retry,
                  struct err *err)
{
    (void)retry;
    return end(surface, sentence, err);
}

static void free_surface(struct surface *surface)
{
    struct surface_terminal *terminal = from(surface);

    buf_deinit(&terminal->raw);
    buf_deinit(&terminal->answer);
    free(terminal);
}

static const struct surface_ops terminal_ops = {
    .begin = begin,
    .resume = resume,
    .set_status = set_status,
    .show_step = show_step,
    .append = append,
    .tick = tick,
    .answer = answer,
    .end = end,
    .failed = failed,
    .free = free_surface,
};

struct surface *surface_terminal_new(void)
{
    struct surface_terminal *terminal = xcalloc(1, sizeof(*terminal));

    terminal->surface.ops = &terminal_ops;
    buf_init(&terminal->raw, ANSWER_MAX_BYTES);
    buf_init(&terminal->answer, ANSWER_MAX_BYTES);
    return &terminal->surface;
}
