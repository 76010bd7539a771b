/*
 * `opencode run --format json`: one JSON object a line, whole parts and no deltas.
 *
 *   step_start, text, tool_use, ..., step_finish{part{reason, tokens}}   for each step
 *
 * There is no terminal event. The last step finishes with reason "stop" ("tool-calls" means
 * that more follows), then the process exits with 0, which it may also do behind an `error`.
 */
#include "agent/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "agent/dialect_kit.h"
#include "base/alloc.h"

struct opencode_state {
    struct kit_answer answer;
};

static void *new_state(void)
{
    struct opencode_state *state = xcalloc(1, sizeof(*state));

    kit_answer_init(&state->answer);
    return state;
}

static void free_state(void *opaque)
{
    struct opencode_state *state = opaque;

    kit_answer_deinit(&state->answer);
    free(state);
}

static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    dialect_argv_add(argv, "run");
    dialect_argv_add_option(argv, "--format", "json");
    dialect_argv_add_option(argv, "--dir", spec->workspace);
    dialect_argv_add_option(argv, "--agent", spec->mode == AGENT_MODE_WRITE ? "build" : "plan");
    dialect_argv_add_option(argv, "--model", spec->model);
    if (!spec->is_new_chat)
        dialect_argv_add_option(argv, "--session", spec->chat_id);
}

static void read_text(struct opencode_state *state, struct agent_stream *stream,
                      const json_t *part)
{
    const json_t *text = json_object_get(part, "text");

    if (!json_is_string(text))
        return;
    state->answer.has_boundary = true;
    kit_answer_add(&state->answer, stream, json_string_value(text), json_string_length(text));
}

static const struct kit_tool tools[] = {
    { "read", "Reading", "filePath" },
    { "write", "Writing", "filePath" },
    { "edit", "Editing", "filePath" },
    { "multiedit", "Editing", "filePath" },
    { "patch", "Editing several files", NULL },
    { "apply_patch", "Editing several files", NULL },
    { "list", "Listing", "path" },
    { "bash", "Running a command", NULL },
    { "glob", "Looking for files", NULL },
    { "grep", "Searching the files", NULL },
    { "todowrite", "Planning the steps", NULL },
    { "todoread", "Planning the steps", NULL },
    { "websearch", "Searching the web", NULL },
    { "webfetch", "Reading a web page", NULL },
    { "question", "Asking a question", NULL },
    { "task", "Working on a part of the task", NULL },
    { "skill", "Using", "name" },
    { NULL, NULL, NULL },
};

static bool is_refusal(const char *error)
{
    return strstr(error, "rejected permission") || strstr(error, "prevents you from using");
}

/* A tool may come while it runs, and comes when it has ended: then both are told. */
static void read_tool(struct opencode_state *state, struct agent_stream *stream,
                      const json_t *part)
{
    const json_t *call = json_object_get(part, "state");
    const char *id = kit_text(part, "callID");
    bool is_failed = kit_says(call, "status", "error");
    enum agent_tool_end end = is_failed ? AGENT_TOOL_FAILED : AGENT_TOOL_OK;
    AUTO_BUF struct buf title = { 0 };

    if (is_failed && is_refusal(kit_text(call, "error")))
        end = AGENT_TOOL_REJECTED;
    buf_init(&title, 256);
    kit_append_title(&title, tools, kit_text(part, "tool"), json_object_get(call, "input"));
    state->answer.has_boundary = true;
    agent_stream_emit_tool(stream, AGENT_EVENT_TOOL, buf_text(&title), title.len, id,
                           AGENT_TOOL_OK);
    if (!is_failed && !kit_says(call, "status", "completed"))
        return;
    if (end == AGENT_TOOL_REJECTED)
        agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, buf_text(&title), title.len, id,
                               end);
    agent_stream_emit_tool(stream, AGENT_EVENT_TOOL_DONE, buf_text(&title), title.len, id, end);
}

/* Each step is a request of its own: the run's tokens are their sum, what a cache did
 * included. */
static void finish_step(struct agent_summary *summary, const json_t *part)
{
    const json_t *tokens = json_object_get(part, "tokens");
    const json_t *cache = json_object_get(tokens, "cache");
    int64_t read = kit_count(cache, "read");
    int64_t written = kit_count(cache, "write");

    summary->is_settled = !kit_says(part, "reason", "tool-calls");
    if (!json_is_object(tokens))
        return;
    summary->cache_read_tokens = kit_add_counts(summary->cache_read_tokens, read);
    summary->cache_write_tokens = kit_add_counts(summary->cache_write_tokens, written);
    summary->input_tokens =
        kit_add_counts(summary->input_tokens, kit_add_counts(kit_count(tokens, "input"),
                                                             kit_add_counts(read, written)));
    summary->output_tokens =
        kit_add_counts(summary->output_tokens, kit_add_counts(kit_count(tokens, "output"),
                                                              kit_count(tokens, "reasoning")));
}

static void read_error(struct agent_stream *stream, const json_t *error)
{
    agent_stream_summary(stream)->is_error = true;
    kit_note_error(stream, kit_text(error, "name"),
                   kit_text(json_object_get(error, "data"), "message"));
}

static void read_line(void *opaque, struct agent_stream *stream, const char *line, size_t len)
{
    struct opencode_state *state = opaque;
    json_auto_t *root = kit_parse_line(stream, line, len);
    const json_t *part = json_object_get(root, "part");
    struct agent_summary *summary = agent_stream_summary(stream);

    if (!root)
        return;
    kit_start(stream, "");
    kit_note_chat(stream, kit_text(root, "sessionID"));
    if (kit_says(root, "type", "step_finish"))
        finish_step(summary, part);
    else if (kit_says(root, "type", "step_start"))
        summary->is_settled = false;
    else if (kit_says(root, "type", "text"))
        read_text(state, stream, part);
    else if (kit_says(root, "type", "tool_use"))
        read_tool(state, stream, part);
    else if (kit_says(root, "type", "error"))
        read_error(stream, json_object_get(root, "error"));
}

const struct dialect dialect_opencode = {
    .name = "opencode",
    .has_lines = true,
    .ends_by_exit = true,
    .needs_settled = true,
    .has_version = true,
    .chats = AGENT_CHATS_GIVEN,
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free_state,
    .read = read_line,
};
