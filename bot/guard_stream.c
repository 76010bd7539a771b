/*
 * guard.h: a text that comes in pieces, through two sieves one behind the other.
 *
 *   bytes -> known values -> shapes -> out
 *
 * The first is the automaton: every byte that belongs to some known value is hidden, and each
 * run of hidden bytes becomes one mark. What may still become part of a value waits in
 * `pending`. The second looks for shapes in what the first lets through; what it cannot judge
 * yet waits in `behind`, at most SECRETS_LOOK_MAX_BYTES.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secrets.h"
#include "bot/guard_parts.h"
#include "bot/guard_values.h"

#define WAITING_MAX_BYTES (SIZE_MAX / 4) /* the longest value and what was appended last */

static const char known_kind[] = "a secret that is known here";

/* Bytes of `pending` that belong to a known value. */
struct span {
    size_t begin;
    size_t end;
};

struct guard_stream {
    struct guard *guard;
    enum guard_direction direction;
    bool knows_guesses;
    struct guard_known *known;
    uint32_t at; /* the walk */
    struct buf pending;
    struct span *spans; /* ascending, apart from each other */
    size_t spans_count;
    size_t spans_capacity;
    bool is_hiding; /* the last byte that left `pending` was hidden */
    struct buf behind;
    unsigned char before; /* the byte in front of `behind` */
    enum secrets_run run; /* of a shape whose end has not come yet */
    struct guard_tally tally;
};

struct guard_stream *guard_stream_make(struct guard *guard, enum guard_direction direction,
                                       bool knows_guesses)
{
    struct guard_stream *stream = xcalloc(1, sizeof(*stream));

    stream->guard = guard;
    stream->direction = direction;
    stream->knows_guesses = knows_guesses;
    stream->known = guard_known_ref(guard);
    buf_init(&stream->pending, WAITING_MAX_BYTES);
    buf_init(&stream->behind, WAITING_MAX_BYTES);
    return stream;
}

struct guard_stream *guard_stream_new(struct guard *guard)
{
    return guard_stream_make(guard, GUARD_OUTGOING, true);
}

static void wipe(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->capacity);
    buf_deinit(buf);
}

void guard_stream_free(struct guard_stream *stream)
{
    if (!stream)
        return;
    guard_known_unref(stream->known);
    wipe(&stream->pending);
    wipe(&stream->behind);
    free(stream->spans);
    free(stream);
}

static void note_masked(struct guard_stream *stream, const char *kind)
{
    size_t i = 0;

    stream->tally.count++;
    guard_count_masked(stream->guard, stream->direction, 1);
    while (i < GUARD_KINDS_MAX && stream->tally.kinds[i] && stream->tally.kinds[i] != kind)
        i++;
    if (i < GUARD_KINDS_MAX)
        stream->tally.kinds[i] = kind;
}

/* ---- shapes -------------------------------------------------------------------------------
 */

/* Goes on hiding what belongs to the shape found last; false when more bytes decide that. */
static bool hide_rest(struct guard_stream *stream, size_t *at, bool is_end)
{
    size_t hidden = secrets_run_on(stream->run, stream->behind.data + *at,
                                   stream->behind.len - *at, is_end, &stream->run);

    if (hidden)
        stream->before = (unsigned char)stream->behind.data[*at + hidden - 1];
    *at += hidden;
    return stream->run == SECRETS_RUN_NONE;
}

/* The place where the next shape may begin, or the end; everything before `shown` is hidden. */
static size_t find_candidate(const struct guard_stream *stream, size_t shown, size_t at)
{
    const struct buf *text = &stream->behind;
    unsigned char before = at > shown ? (unsigned char)text->data[at - 1] : stream->before;

    while (at < text->len && !secrets_may_begin(before, text->data + at, text->len - at))
        before = (unsigned char)text->data[at++];
    return at;
}

/* Lets text through up to `to`. */
static void show(struct guard_stream *stream, size_t *from, size_t to, struct buf *out)
{
    if (to == *from)
        return;
    buf_append(out, stream->behind.data + *from, to - *from);
    stream->before = (unsigned char)stream->behind.data[to - 1];
    *from = to;
}

static void sift_shapes(struct guard_stream *stream, bool is_end, struct buf *out)
{
    const struct buf *text = &stream->behind;
    size_t shown = 0; /* everything before it is dealt with */
    size_t at = 0;

    if (stream->run != SECRETS_RUN_NONE && text->len && !hide_rest(stream, &shown, is_end))
        at = text->len;
    else
        at = find_candidate(stream, shown, shown);
    while (at < text->len) {
        struct secrets_match match;
        unsigned char before = at > shown ? (unsigned char)text->data[at - 1] : stream->before;
        enum secrets_look look =
            secrets_look(before, text->data + at, text->len - at, is_end, &match);

        if (look == SECRETS_WANTS_MORE)
            break;
        if (look == SECRETS_NO || (match.is_guess && !stream->knows_guesses)) {
            at = find_candidate(stream, shown, at + 1);
            continue;
        }
        show(stream, &shown, at + match.skip, out);
        buf_append_text(out, GUARD_MARK);
        note_masked(stream, match.kind);
        shown += match.len;
        stream->before = (unsigned char)text->data[shown - 1];
        stream->run = match.run;
        if (stream->run != SECRETS_RUN_NONE && !hide_rest(stream, &shown, is_end)) {
            at = text->len;
            break;
        }
        at = find_candidate(stream, shown, shown);
    }
    if (stream->run == SECRETS_RUN_NONE)
        show(stream, &shown, at, out);
    buf_consume(&stream->behind, shown);
}

/* ---- known values -------------------------------------------------------------------------
 */

/* A value was found: joins it with those that it touches. */
static void hide_span(struct guard_stream *stream, size_t begin, size_t end)
{
    while (stream->spans_count && stream->spans[stream->spans_count - 1].end >= begin) {
        const struct span *last = &stream->spans[--stream->spans_count];

        begin = last->begin < begin ? last->begin : begin;
        end = last->end > end ? last->end : end;
    }
    if (stream->spans_count == stream->spans_capacity) {
        stream->spans_capacity = stream->spans_capacity ? stream->spans_capacity * 2 : 8;
        stream->spans = xrealloc(stream->spans, stream->spans_capacity, sizeof(*stream->spans));
    }
    stream->spans[stream->spans_count++] = (struct span){ begin, end };
}

/* Takes the first `len` bytes out of `pending`, into the second sieve. */
static void let_through(struct guard_stream *stream, size_t len)
{
    size_t at = 0;
    size_t kept = 0;

    for (size_t i = 0; i < stream->spans_count; i++) {
        struct span span = stream->spans[i];
        size_t begin = span.begin < len ? span.begin : len;
        size_t end = span.end < len ? span.end : len;

        if (begin > at) {
            buf_append(&stream->behind, stream->pending.data + at, begin - at);
            stream->is_hiding = false;
        }
        at = end > at ? end : at;
        if (end > begin && !stream->is_hiding) {
            buf_append_text(&stream->behind, GUARD_MARK);
            note_masked(stream, known_kind);
            stream->is_hiding = true;
        }
        if (span.end > len)
            stream->spans[kept++] =
                (struct span){ span.begin > len ? span.begin - len : 0, span.end - len };
    }
    stream->spans_count = kept;
    if (len > at) {
        buf_append(&stream->behind, stream->pending.data + at, len - at);
        stream->is_hiding = false;
    }
    buf_consume(&stream->pending, len);
}

void guard_stream_append(struct guard_stream *stream, const char *text, size_t len,
                         struct buf *out)
{
    const struct patterns *patterns = stream->known->patterns;
    size_t seen = stream->pending.len;
    size_t shortest;

    if (!len)
        return;
    buf_append(&stream->pending, text, len);
    for (; seen < stream->pending.len; seen++) {
        size_t match;

        stream->at =
            patterns_step(patterns, stream->at, (unsigned char)stream->pending.data[seen]);
        match = stream->at ? patterns_match(patterns, stream->at) : 0;
        if (match)
            hide_span(stream, seen + 1 - match, seen + 1);
    }
    let_through(stream, seen - patterns_pending(patterns, stream->at, &shortest));
    sift_shapes(stream, false, out);
}

void guard_stream_end(struct guard_stream *stream, struct buf *out)
{
    size_t shortest;
    size_t begun = patterns_pending(stream->known->patterns, stream->at, &shortest);

    if (begun >= GUARD_VALUE_MIN_BYTES && begun * 2 >= shortest)
        hide_span(stream, stream->pending.len - begun, stream->pending.len);
    stream->at = 0;
    let_through(stream, stream->pending.len);
    sift_shapes(stream, true, out);
    stream->run = SECRETS_RUN_NONE;
    stream->before = 0;
    stream->is_hiding = false;
}

bool guard_stream_holds(const struct guard_stream *stream)
{
    return stream->pending.len || stream->behind.len;
}

const struct guard_tally *guard_stream_tally(const struct guard_stream *stream)
{
    return &stream->tally;
}
