/*
 * Claude Code in print mode: one JSON object a line.
 *
 * With partial messages a text comes as content_block_delta events and then whole, in an
 * `assistant` event for each finished block (or for several). Both carry parent_tool_use_id
 * when they are a subagent's, whose words are not the answer.
 */
#include "agent/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect_kit.h"
#include "base/alloc.h"

#define ID_BYTES 128

struct claude_state {
    struct kit_answer answer;
    struct kit_calls calls;
    char message_id[ID_BYTES]; /* of the message that the text belongs to */
    bool is_retrying;          /* the next message begins the same one again */
};

static void *new_state(void)
{
    struct claude_state *state = xcalloc(1, sizeof(*state));

    kit_answer_init(&state->answer);
    return state;
}

static void free_state(void *opaque)
{
    struct claude_state *state = opaque;

    kit_answer_deinit(&state->answer);
    free(state);
}

static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    static const char *const always[] = {
        "-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages", NULL
    };
    /* dontAsk refuses what is not in the list; acceptEdits accepts edits, also as root, where
     * skipping all permissions is not possible. */
    static const char *const ask[] = { "--permission-mode",   "dontAsk",
                                       "--allowedTools",      "Read,Grep,Glob",
                                       "--strict-mcp-config", NULL };
    static const char *const plan[] = { "--permission-mode",   "plan",
                                        "--allowedTools",      "Read,Grep,Glob",
                                        "--strict-mcp-config", NULL };
    static const char *const write[] = {
        "--permission-mode", "acceptEdits", "--allowedTools",
        "Bash,Edit,Write,NotebookEdit,Read,Grep,Glob,WebFetch,WebSearch,TodoWrite,Task", NULL
    };
    static const char *const *const modes[] = {
        [AGENT_MODE_ASK] = ask, [AGENT_MODE_PLAN] = plan, [AGENT_MODE_WRITE] = write
    };

    dialect_argv_add_all(argv, always);
    dialect_argv_add_all(argv, modes[spec->mode]);
    dialect_argv_add_option(argv, "--model", spec->model);
    dialect_argv_add_option(argv, spec->is_new_chat ? "--session-id" : "--resume",
                            spec->chat_id);
}

/* Another message of the answer is another paragraph. */
static void begin_message(struct claude_state *state, const char *id)
{
    if (!id[0] || strcmp(id, state->message_id) == 0)
        return;
    snprintf(state->message_id, sizeof(state->message_id), "%s", id);
    if (!state->is_retrying)
        state->answer.has_boundary = true;
    state->is_retrying = false;
}

static void read_partial(struct claude_state *state, struct agent_stream *stream,
                         const json_t *root)
{
    const json_t *event = json_object_get(root, "event");
    const json_t *delta = json_object_get(event, "delta");
    const json_t *text = json_object_get(delta, "text");

    if (kit_says(event, "type", "message_start"))
        begin_message(state, kit_text(json_object_get(event, "message"), "id"));
    else if (kit_says(event, "type", "content_block_delta") &&
             kit_says(delta, "type", "text_delta") && json_is_string(text))
        kit_answer_delta(&state->answer, stream, json_string_value(text),
                         json_string_length(text));
}

static const struct kit_tool tools[] = {
    { "Read", "Reading", "file_path" },
    { "Write", "Writing", "file_path" },
    { "Edit", "Editing", "file_path" },
    { "MultiEdit", "Editing", "file_path" },
    { "NotebookEdit", "Editing", "notebook_path" },
    { "LS", "Listing", "path" },
    { "Bash", "Running a command", NULL },
    { "BashOutput", "Waiting for a command", NULL },
    { "KillShell", "Stopping a command", NULL },
    { "Glob", "Looking for files", NULL },
    { "Grep", "Searching the files", NULL },
    { "TodoWrite", "Planning the steps", NULL },
    { "WebSearch", "Searching the web", NULL },
    { "WebFetch", "Reading a web page", NULL },
    { "AskUserQuestion", "Asking a question", NULL },
    { "ExitPlanMode", "Writing a plan", NULL },
    { "Task", "Working on a part of the task", NULL },
    { "Agent", "Working on a part of the task", NULL },
    { "Skill", "Using", "skill" },
    { NULL, NULL, NULL },
};

/* A server's tool is called mcp__SERVER__TOOL. */
static void append_title(struct buf *out, const char *name, const json_t *input)
{
    const char *at = strncmp(name, "mcp__", 5) == 0 ? strstr(name + 5, "__") : NULL;

    kit_append_title(out, tools, at && at[2] ? at + 2 : name, input);
}

static void tell_tool(struct claude_state *state, struct agent_stream *stream,
                      const json_t *part)
{
    AUTO_BUF struct buf title = { 0 };

    buf_init(&title, 256);
    append_title(&title, kit_text(part, "name"), json_object_get(part, "input"));
    agent_stream_emit_tool(stream, AGENT_EVENT_TOOL, buf_text(&title), title.len,
                           kit_text(part, "id"), AGENT_TOOL_OK);
    kit_calls_note(&state->calls, kit_text(part, "id"), buf_text(&title));
    state->answer.has_boundary = true;
}

static void read_assistant(struct claude_state *state, struct agent_stream *stream,
                           const json_t *root)
{
    const json_t *message = json_object_get(root, "message");
    const json_t *content = json_object_get(message, "content");
    bool is_error = kit_text(root, "error")[0] != '\0';
    bool had_boundary = false;
    AUTO_BUF struct buf text = { 0 };

    begin_message(state, kit_text(message, "id"));
    buf_init(&text, AGENT_LINE_MAX_BYTES);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const json_t *value = json_object_get(part, "text");

        if (kit_says(part, "type", "text") && json_is_string(value))
            buf_append(&text, json_string_value(value), json_string_length(value));
    }
    if (is_error) { /* not the model's words: the program's own */
        kit_note_error(stream, kit_text(root, "error"), buf_text(&text));
        return;
    }
    had_boundary = state->answer.has_boundary;
    kit_answer_whole(&state->answer, stream, buf_text(&text), text.len);
    /* The message may go on with another block of the same paragraph. */
    state->answer.has_boundary = had_boundary && text.len == 0;
    for (size_t i = 0; i < json_array_size(content); i++) {
        if (kit_says(json_array_get(content, i), "type", "tool_use"))
            tell_tool(state, stream, json_array_get(content, i));
    }
}

static void read_user(const struct claude_state *state, struct agent_stream *stream,
                      const json_t *root)
{
    const json_t *content = json_object_get(json_object_get(root, "message"), "content");

    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const char *id = kit_text(part, "tool_use_id");
        const char *title = kit_calls_find(&state->calls, id);
        bool is_error = json_is_true(json_object_get(part, "is_error"));

        if (kit_says(part, "type", "tool_result"))
            agent_stream_emit_tool(stream, AGENT_EVENT_TOOL_DONE, title, strlen(title), id,
                                   is_error ? AGENT_TOOL_FAILED : AGENT_TOOL_OK);
    }
}

static void tell_denied(struct agent_stream *stream, const json_t *denials)
{
    for (size_t i = 0; i < json_array_size(denials); i++) {
        const json_t *denial = json_array_get(denials, i);
        AUTO_BUF struct buf title = { 0 };

        buf_init(&title, 256);
        append_title(&title, kit_text(denial, "tool_name"),
                     json_object_get(denial, "tool_input"));
        agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, buf_text(&title), title.len,
                               kit_text(denial, "tool_use_id"), AGENT_TOOL_REJECTED);
    }
}

/* What was read from a cache and written to it is counted apart: here it is all input. */
static void read_usage(struct agent_summary *summary, const json_t *usage)
{
    summary->cache_read_tokens = kit_count(usage, "cache_read_input_tokens");
    summary->cache_write_tokens = kit_count(usage, "cache_creation_input_tokens");
    summary->output_tokens = kit_count(usage, "output_tokens");
    summary->input_tokens = kit_count(usage, "input_tokens");
    if (summary->input_tokens >= 0)
        summary->input_tokens =
            kit_add_counts(kit_add_counts(summary->input_tokens, summary->cache_read_tokens),
                           summary->cache_write_tokens);
}

static void read_result(struct claude_state *state, struct agent_stream *stream,
                        const json_t *root)
{
    struct agent_summary *summary = agent_stream_summary(stream);
    const json_t *text = json_object_get(root, "result");
    const json_t *errors = json_object_get(root, "errors");

    tell_denied(stream, json_object_get(root, "permission_denials"));
    read_usage(summary, json_object_get(root, "usage"));
    summary->has_result = true;
    summary->is_error = json_is_true(json_object_get(root, "is_error")) ||
                        (kit_text(root, "subtype")[0] && !kit_says(root, "subtype", "success"));
    if (summary->is_error) {
        const char *first = json_string_value(json_array_get(errors, 0));

        kit_note_error(stream,
                       kit_says(root, "subtype", "success") ? "" : kit_text(root, "subtype"),
                       first ? first : kit_text(root, "result"));
    } else if (!summary->has_text && json_is_string(text)) {
        kit_answer_add(&state->answer, stream, json_string_value(text),
                       json_string_length(text));
    }
}

static void read_system(struct claude_state *state, const json_t *root)
{
    if (!kit_says(root, "subtype", "api_retry"))
        return;
    kit_answer_retry(&state->answer);
    state->is_retrying = true;
}

static void read_line(void *opaque, struct agent_stream *stream, const char *line, size_t len)
{
    struct claude_state *state = opaque;
    json_auto_t *root = kit_parse_line(stream, line, len);

    if (!root || agent_stream_summary(stream)->has_result)
        return;
    kit_start(stream, kit_says(root, "type", "system") ? kit_text(root, "model") : "");
    kit_note_chat(stream, kit_text(root, "session_id"));
    if (kit_says(root, "type", "result"))
        read_result(state, stream, root);
    else if (kit_text(root, "parent_tool_use_id")[0])
        return; /* a subagent's */
    else if (kit_says(root, "type", "system"))
        read_system(state, root);
    else if (kit_says(root, "type", "stream_event"))
        read_partial(state, stream, root);
    else if (kit_says(root, "type", "assistant"))
        read_assistant(state, stream, root);
    else if (kit_says(root, "type", "user"))
        read_user(state, stream, root);
    /* rate_limit_event and what is not known yet: signs of life. */
}

static const char *const login_check[] = { "auth", "status", NULL };

const struct dialect dialect_claude = {
    .name = "claude",
    .has_lines = true,
    .has_version = true,
    .login_check = login_check,
    .chats = AGENT_CHATS_CHOSEN,
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free_state,
    .read = read_line,
};
