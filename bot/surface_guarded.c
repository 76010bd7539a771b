#include "bot/surface_guarded.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define LOG_MODULE "bot.guard"
#include "base/log.h"

#define KINDS_MAX_BYTES 256
#define TEXT_MAX_BYTES  (SIZE_MAX / 4) /* bounded by what is appended */

struct surface_guarded {
    struct surface surface; /* first */
    struct surface *inner;
    struct guard *guard;
    struct guard_stream *stream;
    char *what;
    char cut[4]; /* the beginning of a character whose rest has not come */
    size_t cut_len;
    unsigned told; /* how much of the tally the log has */
};

static struct surface_guarded *from(struct surface *surface)
{
    return (struct surface_guarded *)surface;
}

static void tell_log(struct surface_guarded *guarded)
{
    const struct guard_tally *tally = guard_stream_tally(guarded->stream);
    AUTO_BUF struct buf kinds = { 0 };

    if (tally->count == guarded->told)
        return;
    guarded->told = tally->count;
    buf_init(&kinds, KINDS_MAX_BYTES);
    guard_print_kinds(tally, &kinds);
    log_warn("masked in an answer, %s: count=%u kind=%s", guarded->what, tally->count,
             buf_text(&kinds));
}

static void begin(struct surface *surface, int64_t now_ms)
{
    struct surface *inner = from(surface)->inner;

    inner->ops->begin(inner, now_ms);
}

static int resume(struct surface *surface, const char *state, struct err *err)
{
    struct surface *inner = from(surface)->inner;

    return inner->ops->resume(inner, state, err);
}

static void set_status(struct surface *surface, const char *status, int64_t now_ms)
{
    struct surface_guarded *guarded = from(surface);
    AUTO_FREE char *masked = guard_mask(guarded->guard, GUARD_OUTGOING, status, NULL);

    guarded->inner->ops->set_status(guarded->inner, masked, now_ms);
}

static void show_step(struct surface *surface, const struct surface_step *step)
{
    struct surface_guarded *guarded = from(surface);
    AUTO_FREE char *masked = guard_mask(guarded->guard, GUARD_OUTGOING, step->title, NULL);
    struct surface_step shown = *step;

    shown.title = masked;
    guarded->inner->ops->show_step(guarded->inner, &shown);
}

/*
 * Made clean first, as the surfaces do it once more: a control character within a secret would
 * hide it from the guard and be dropped behind it.
 */
static void sieve(struct surface_guarded *guarded, const char *text, size_t len, bool is_end)
{
    AUTO_BUF struct buf clean = { 0 };
    AUTO_BUF struct buf masked = { 0 };

    buf_init(&clean, len * 3 + 1);
    buf_init(&masked, TEXT_MAX_BYTES);
    utf8_append_clean(&clean, text, len);
    guard_stream_append(guarded->stream, buf_text(&clean), clean.len, &masked);
    if (is_end)
        guard_stream_end(guarded->stream, &masked);
    if (masked.len)
        guarded->inner->ops->append(guarded->inner, buf_text(&masked), masked.len);
}

static void append(struct surface *surface, const char *text, size_t len)
{
    struct surface_guarded *guarded = from(surface);
    AUTO_BUF struct buf whole = { 0 };
    size_t tail;

    buf_init(&whole, len + sizeof(guarded->cut));
    buf_append(&whole, guarded->cut, guarded->cut_len);
    buf_append(&whole, text, len);
    tail = utf8_incomplete_tail(buf_text(&whole), whole.len);
    sieve(guarded, buf_text(&whole), whole.len - tail, false);
    guarded->cut_len = tail;
    memcpy(guarded->cut, buf_text(&whole) + whole.len - tail, tail);
}

static int64_t tick(struct surface *surface, int64_t now_ms, bool *ret_stopped)
{
    struct surface *inner = from(surface)->inner;

    return inner->ops->tick(inner, now_ms, ret_stopped);
}

static const char *answer(const struct surface *surface)
{
    const struct surface_guarded *guarded = (const struct surface_guarded *)surface;
    const char *text = guarded->inner->ops->answer(guarded->inner);

    return !*text && guard_stream_holds(guarded->stream) ? "..." : text;
}

/* The rest goes out. Nothing is left to do when the end is tried again. */
static void finish(struct surface_guarded *guarded)
{
    sieve(guarded, guarded->cut, guarded->cut_len, true);
    guarded->cut_len = 0;
    tell_log(guarded);
}

static int end(struct surface *surface, const char *note, struct err *err)
{
    struct surface_guarded *guarded = from(surface);
    AUTO_FREE char *masked = guard_mask(guarded->guard, GUARD_OUTGOING, note, NULL);

    finish(guarded);
    return guarded->inner->ops->end(guarded->inner, masked, err);
}

static int failed(struct surface *surface, const char *sentence, const char *retry,
                  struct err *err)
{
    struct surface_guarded *guarded = from(surface);
    AUTO_FREE char *masked = guard_mask(guarded->guard, GUARD_OUTGOING, sentence, NULL);

    finish(guarded);
    return guarded->inner->ops->failed(guarded->inner, masked, retry, err);
}

static void free_surface(struct surface *surface)
{
    struct surface_guarded *guarded = from(surface);

    guarded->inner->ops->free(guarded->inner);
    guard_stream_free(guarded->stream);
    free(guarded->what);
    free(guarded);
}

static const struct surface_ops guarded_ops = {
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

struct surface *surface_guarded_new(struct surface *inner, struct guard *guard,
                                    const char *what)
{
    struct surface_guarded *guarded = xcalloc(1, sizeof(*guarded));

    guarded->surface.ops = &guarded_ops;
    guarded->inner = inner;
    guarded->guard = guard;
    guarded->stream = guard_stream_new(guard);
    guarded->what = xstrdup(what);
    return &guarded->surface;
}
