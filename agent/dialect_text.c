/*
 * The plainest agent: stdout is the answer, exit status 0 is success. Everything else, down to
 * the command's own arguments, is the administrator's.
 */
#include "agent/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

struct text_state {
    char held[4]; /* the beginning of a character that the last chunk cut */
    size_t held_len;
};

static void *new_state(void)
{
    return xcalloc(1, sizeof(struct text_state));
}

static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    (void)spec;
    (void)argv;
}

static void read_bytes(void *opaque, struct agent_stream *stream, const char *bytes, size_t len)
{
    struct text_state *state = opaque;
    bool is_last = len == 0;
    AUTO_BUF struct buf text = { 0 };
    size_t tail = 0;

    buf_init(&text, len + sizeof(state->held));
    buf_append(&text, state->held, state->held_len);
    buf_append(&text, bytes, len);
    if (text.len == 0)
        return;
    tail = is_last ? 0 : utf8_incomplete_tail(buf_text(&text), text.len);
    memcpy(state->held, buf_text(&text) + text.len - tail, tail);
    state->held_len = tail;
    if (!agent_stream_summary(stream)->has_started)
        agent_stream_emit(stream, AGENT_EVENT_STARTED, "", 0);
    agent_stream_emit(stream, AGENT_EVENT_TEXT, buf_text(&text), text.len - tail);
}

const struct dialect dialect_text = {
    .name = "text",
    .has_lines = false,
    .ends_by_exit = true,
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free,
    .read = read_bytes,
};
