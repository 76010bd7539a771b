#include "agent/stream.h"

#include <stdlib.h>
#include <string.h>

#include "agent/dialect.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

#define TOOL_ID_MAX_BYTES ((size_t)128)

struct queued_event {
    enum agent_event_kind kind;
    enum agent_tool_end tool_end;
    struct buf text;
    struct buf tool_id; /* without memory where there is none */
};

struct agent_stream {
    const struct dialect *dialect;
    void *state;
    struct agent_summary summary;
    struct buf line;
    bool is_skipping; /* inside a line that is too long */
    bool is_past_start;
    struct queued_event *events; /* events[head .. head + count) wait */
    size_t head, count, capacity;
    struct buf taken; /* the text of the event handed out last */
    struct buf taken_id;
};

struct agent_stream *agent_stream_new(const struct dialect *dialect)
{
    struct agent_stream *stream = xcalloc(1, sizeof(*stream));

    stream->dialect = dialect;
    stream->state = dialect->new_state();
    stream->summary = (struct agent_summary){ .input_tokens = -1,
                                              .output_tokens = -1,
                                              .cache_read_tokens = -1,
                                              .cache_write_tokens = -1 };
    buf_init(&stream->line, AGENT_LINE_MAX_BYTES);
    return stream;
}

void agent_stream_free(struct agent_stream *stream)
{
    if (!stream)
        return;
    for (size_t i = 0; i < stream->count; i++) {
        buf_deinit(&stream->events[stream->head + i].text);
        buf_deinit(&stream->events[stream->head + i].tool_id);
    }
    free(stream->events);
    buf_deinit(&stream->taken);
    buf_deinit(&stream->taken_id);
    buf_deinit(&stream->line);
    stream->dialect->free_state(stream->state);
    free(stream);
}

struct agent_summary *agent_stream_summary(struct agent_stream *stream)
{
    return &stream->summary;
}

static struct queued_event *add_event(struct agent_stream *stream, enum agent_event_kind kind)
{
    struct queued_event *event = NULL;

    if (stream->head + stream->count == stream->capacity) {
        if (stream->head > 0) {
            memmove(stream->events, stream->events + stream->head,
                    stream->count * sizeof(*stream->events));
            stream->head = 0;
        } else {
            stream->capacity = stream->capacity ? stream->capacity * 2 : 16;
            stream->events =
                xrealloc(stream->events, stream->capacity, sizeof(*stream->events));
        }
    }
    event = &stream->events[stream->head + stream->count++];
    *event = (struct queued_event){ .kind = kind };
    buf_init(&event->text, SIZE_MAX / 4); /* bounded by the line or chunk it comes from */
    buf_init(&event->tool_id, TOOL_ID_MAX_BYTES * 2);
    return event;
}

void agent_stream_emit(struct agent_stream *stream, enum agent_event_kind kind,
                       const char *text, size_t len)
{
    struct queued_event *event = NULL;

    if (kind == AGENT_EVENT_TEXT && len == 0)
        return;
    /* Text that follows text becomes one event: a hundred deltas in a read are one edit. */
    if (kind == AGENT_EVENT_TEXT && stream->count > 0) {
        event = &stream->events[stream->head + stream->count - 1];
        if (event->kind != AGENT_EVENT_TEXT)
            event = NULL;
    }
    if (!event)
        event = add_event(stream, kind);
    utf8_append_clean(&event->text, text, len);
    if (kind == AGENT_EVENT_STARTED)
        stream->summary.has_started = true;
    if (kind == AGENT_EVENT_TEXT && event->text.len > 0)
        stream->summary.has_text = true;
}

void agent_stream_emit_tool(struct agent_stream *stream, enum agent_event_kind kind,
                            const char *title, size_t len, const char *tool_id,
                            enum agent_tool_end tool_end)
{
    struct queued_event *event = NULL;
    AUTO_FREE char *id = utf8_clean_copy(tool_id, strlen(tool_id), TOOL_ID_MAX_BYTES);

    agent_stream_emit(stream, kind, title, len);
    event = &stream->events[stream->head + stream->count - 1];
    event->tool_end = tool_end;
    buf_append_text(&event->tool_id, id);
}

bool agent_stream_take(struct agent_stream *stream, struct agent_event *ret_event)
{
    struct queued_event *event = NULL;

    buf_deinit(&stream->taken);
    buf_deinit(&stream->taken_id);
    if (stream->count == 0)
        return false;
    event = &stream->events[stream->head++];
    if (--stream->count == 0)
        stream->head = 0;
    stream->taken = event->text;
    stream->taken_id = event->tool_id;
    *ret_event = (struct agent_event){ .kind = event->kind,
                                       .text = buf_text(&stream->taken),
                                       .text_len = stream->taken.len,
                                       .tool_id = buf_text(&stream->taken_id),
                                       .tool_end = event->tool_end };
    return true;
}

static void read_line(struct agent_stream *stream, const char *line, size_t len)
{
    if (!stream->is_past_start && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        len -= 3;
    }
    stream->is_past_start = true;
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (len > 0)
        stream->dialect->read(stream->state, stream, line, len);
}

static void end_line(struct agent_stream *stream)
{
    if (stream->is_skipping)
        stream->summary.skipped_lines++;
    else
        read_line(stream, buf_text(&stream->line), stream->line.len);
    stream->is_skipping = false;
    buf_deinit(&stream->line); /* a long line's memory is not kept for the short ones */
    buf_init(&stream->line, AGENT_LINE_MAX_BYTES);
}

static void hold_part(struct agent_stream *stream, const char *bytes, size_t len)
{
    if (!stream->is_skipping)
        buf_append(&stream->line, bytes, len);
    if (stream->line.overflowed) {
        stream->is_skipping = true;
        buf_deinit(&stream->line);
        buf_init(&stream->line, AGENT_LINE_MAX_BYTES);
    }
}

void agent_stream_feed(struct agent_stream *stream, const char *bytes, size_t len)
{
    if (!stream->dialect->has_lines) {
        if (len > 0)
            stream->dialect->read(stream->state, stream, bytes, len);
        return;
    }
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t part = newline ? (size_t)(newline - bytes) : len;

        if (newline && stream->line.len == 0 && !stream->is_skipping) {
            read_line(stream, bytes, part); /* whole in this chunk: no copy */
        } else {
            hold_part(stream, bytes, part);
            if (newline)
                end_line(stream);
        }
        part += newline ? 1 : 0;
        bytes += part;
        len -= part;
    }
}

void agent_stream_finish(struct agent_stream *stream)
{
    if (!stream->dialect->has_lines)
        stream->dialect->read(stream->state, stream, "", 0);
    else if (stream->line.len > 0 || stream->is_skipping)
        end_line(stream);
}
