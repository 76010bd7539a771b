/*
 * Gemini CLI without a terminal: one JSON object a line, the prompt on stdin.
 *
 * Its plan mode is not asked for: without a terminal it ends its plan by itself and goes on to
 * carry it out. The default mode leaves out whatever would need an approval.
 */
#include "agent/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "agent/dialect_kit.h"
#include "base/alloc.h"

struct gemini_state {
    struct kit_answer answer;
    struct kit_calls calls;
};

static void *new_state(void)
{
    struct gemini_state *state = xcalloc(1, sizeof(*state));

    kit_answer_init(&state->answer);
    return state;
}

static void free_state(void *opaque)
{
    struct gemini_state *state = opaque;

    kit_answer_deinit(&state->answer);
    free(state);
}

static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    dialect_argv_add_option(argv, "--output-format", "stream-json");
    dialect_argv_add_option(argv, "--approval-mode",
                            spec->mode == AGENT_MODE_WRITE ? "yolo" : "default");
    dialect_argv_add_option(argv, "--model", spec->model);
    if (!spec->is_new_chat)
        dialect_argv_add_option(argv, "--resume", spec->chat_id);
}

static void read_message(struct gemini_state *state, struct agent_stream *stream,
                         const json_t *root)
{
    const json_t *text = json_object_get(root, "content");

    if (!kit_says(root, "role", "assistant") || !json_is_string(text))
        return; /* the echo of the prompt */
    if (json_is_true(json_object_get(root, "delta")))
        kit_answer_delta(&state->answer, stream, json_string_value(text),
                         json_string_length(text));
    else
        kit_answer_whole(&state->answer, stream, json_string_value(text),
                         json_string_length(text));
}

static const struct kit_tool tools[] = {
    { "read_file", "Reading", "file_path" },
    { "read_many_files", "Reading several files", NULL },
    { "write_file", "Writing", "file_path" },
    { "replace", "Editing", "file_path" },
    { "list_directory", "Listing", "dir_path" },
    { "run_shell_command", "Running a command", NULL },
    { "glob", "Looking for files", NULL },
    { "grep_search", "Searching the files", NULL },
    { "search_file_content", "Searching the files", NULL },
    { "write_todos", "Planning the steps", NULL },
    { "google_web_search", "Searching the web", NULL },
    { "web_fetch", "Reading a web page", NULL },
    { "ask_user", "Asking a question", NULL },
    { "save_memory", "Taking a note", NULL },
    { NULL, NULL, NULL },
};

static void read_tool_use(struct gemini_state *state, struct agent_stream *stream,
                          const json_t *root)
{
    AUTO_BUF struct buf title = { 0 };

    buf_init(&title, 256);
    kit_append_title(&title, tools, kit_text(root, "tool_name"),
                     json_object_get(root, "parameters"));
    agent_stream_emit_tool(stream, AGENT_EVENT_TOOL, buf_text(&title), title.len,
                           kit_text(root, "tool_id"), AGENT_TOOL_OK);
    kit_calls_note(&state->calls, kit_text(root, "tool_id"), buf_text(&title));
    /* What is said behind a tool is a segment of its own. */
    kit_answer_end_segment(&state->answer);
}

static void read_tool_result(const struct gemini_state *state, struct agent_stream *stream,
                             const json_t *root)
{
    const char *what = kit_calls_find(&state->calls, kit_text(root, "tool_id"));
    const char *type = kit_text(json_object_get(root, "error"), "type");
    const char *id = kit_text(root, "tool_id");
    enum agent_tool_end end =
        kit_says(root, "status", "error") ? AGENT_TOOL_FAILED : AGENT_TOOL_OK;

    if (strcmp(type, "policy_violation") == 0 || strcmp(type, "permission_denied") == 0)
        end = AGENT_TOOL_REJECTED;
    if (end == AGENT_TOOL_REJECTED)
        agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, what, strlen(what), id, end);
    agent_stream_emit_tool(stream, AGENT_EVENT_TOOL_DONE, what, strlen(what), id, end);
}

static void read_result(struct agent_stream *stream, const json_t *root)
{
    struct agent_summary *summary = agent_stream_summary(stream);
    const json_t *stats = json_object_get(root, "stats");

    summary->has_result = true;
    summary->is_error = !kit_says(root, "status", "success");
    summary->input_tokens = kit_count(stats, "input_tokens");
    summary->output_tokens = kit_count(stats, "output_tokens");
    summary->cache_read_tokens = kit_count(stats, "cached");
    kit_note_error(stream, "", kit_text(json_object_get(root, "error"), "message"));
}

static void read_line(void *opaque, struct agent_stream *stream, const char *line, size_t len)
{
    struct gemini_state *state = opaque;
    json_auto_t *root = kit_parse_line(stream, line, len);

    if (!root || agent_stream_summary(stream)->has_result)
        return;
    kit_start(stream, kit_says(root, "type", "init") ? kit_text(root, "model") : "");
    kit_note_chat(stream, kit_text(root, "session_id"));
    if (kit_says(root, "type", "message"))
        read_message(state, stream, root);
    else if (kit_says(root, "type", "tool_use"))
        read_tool_use(state, stream, root);
    else if (kit_says(root, "type", "tool_result"))
        read_tool_result(state, stream, root);
    else if (kit_says(root, "type", "error"))
        kit_note_error(stream, "", kit_text(root, "message")); /* also warnings */
    else if (kit_says(root, "type", "result"))
        read_result(stream, root);
}

static const struct agent_exit exits[] = {
    { 41, AGENT_NOT_AUTHENTICATED },   { 42, AGENT_BAD_OPTION }, /* input */
    { 44, AGENT_NOT_STARTED },                                   /* its sandbox */
    { 52, AGENT_BAD_OPTION },                                    /* its configuration */
    { 53, AGENT_REPORTED_ERROR },                                /* its limit of turns */
    { 54, AGENT_REPORTED_ERROR },                                /* a tool */
    { 55, AGENT_UNTRUSTED_WORKSPACE }, { 130, AGENT_NO_RESULT }, { 0, AGENT_OK },
};

const struct dialect dialect_gemini = {
    .name = "gemini",
    .has_lines = true,
    .has_version = true,
    .exits = exits,
    .chats = AGENT_CHATS_GIVEN,
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free_state,
    .read = read_line,
};
