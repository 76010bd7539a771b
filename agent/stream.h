/*
 * stream.h - the agent's output on its way from bytes to events: cut into lines (or not), read
 * by a dialect, queued.
 *
 *   bytes -> agent_stream_feed() -> dialect -> agent_stream_emit() -> agent_stream_take()
 *
 * Memory is bounded: a line over AGENT_LINE_MAX_BYTES is skipped to its end and counted, and
 * the caller takes the events out before it feeds the next chunk.
 *
 * Owns:    the dialect's state and the queued events.
 * Threads: any, one at a time.
 */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/run.h"

#define AGENT_LINE_MAX_BYTES ((size_t)8 * 1024 * 1024)

struct agent_stream;
struct dialect;

/* What the dialect has learned so far; it writes here, run.c reads. */
struct agent_summary {
    bool has_started;
    bool has_text;
    bool has_result; /* a terminal event came */
    bool is_error;   /* and it said that the run failed */
    /* Of an agent without a terminal event: it said that its answer is whole; what comes after
     * may take that back. */
    bool is_settled;
    char chat_id[AGENT_CHAT_ID_BYTES]; /* of the agent's own chat, "" unless it told one */
    char error_text[256];
    /* -1 unknown. cache_read is a part of input: a dialect whose agent counts it apart adds it.
     */
    int64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
    size_t skipped_lines;
};

struct agent_stream *agent_stream_new(const struct dialect *dialect);
void agent_stream_free(struct agent_stream *stream); /* NULL is fine */

void agent_stream_feed(struct agent_stream *stream, const char *bytes, size_t len);

/* No more bytes come: reads a last line that has no newline. */
void agent_stream_finish(struct agent_stream *stream);

/* The oldest event; false when there is none. Its text lasts until the next call. */
bool agent_stream_take(struct agent_stream *stream, struct agent_event *ret_event);

struct agent_summary *agent_stream_summary(struct agent_stream *stream);

/* For dialects: queues an event; text is scrubbed to clean UTF-8, empty TEXT is dropped. */
void agent_stream_emit(struct agent_stream *stream, enum agent_event_kind kind,
                       const char *text, size_t len);

/* The same for TOOL, TOOL_DONE and DENIED; `tool_id` "" for none, cut at 128 bytes. */
void agent_stream_emit_tool(struct agent_stream *stream, enum agent_event_kind kind,
                            const char *title, size_t len, const char *tool_id,
                            enum agent_tool_end tool_end);

#endif
