/*
 * cursor-agent in print mode: one JSON object a line.
 *
 * With partial output each stretch of text comes twice: as deltas, and once more whole when a
 * tool call or the end of the turn closes it. Which is which is told by two fields:
 *
 *   timestamp_ms  model_call_id
 *   present       absent          delta: append
 *   present       present         whole segment before a tool call: compare
 *   absent        any             whole last segment: compare
 *
 * Deltas are never compared with one another: "ha" twice is "haha".
 */
#include "agent/dialect.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/dialect_kit.h"
#include "agent/environment.h"
#include "base/alloc.h"

struct cursor_state {
    struct kit_answer answer;
    struct buf refused; /* a question that was answered with no, until its tool says so too */
};

static void *new_state(void)
{
    struct cursor_state *state = xcalloc(1, sizeof(*state));

    kit_answer_init(&state->answer);
    buf_init(&state->refused, 256);
    return state;
}

static void free_state(void *opaque)
{
    struct cursor_state *state = opaque;

    kit_answer_deinit(&state->answer);
    buf_deinit(&state->refused);
    free(state);
}

static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    static const char *const always[] = { "-p",      "--output-format",         "stream-json",
                                          "--trust", "--stream-partial-output", NULL };

    dialect_argv_add_all(argv, always);
    dialect_argv_add_option(argv, "--workspace", spec->workspace);
    switch (spec->mode) {
    case AGENT_MODE_ASK:
        dialect_argv_add_option(argv, "--mode", "ask");
        break;
    case AGENT_MODE_PLAN:
        dialect_argv_add_option(argv, "--mode", "plan");
        break;
    case AGENT_MODE_WRITE:
        dialect_argv_add(argv, "--force"); /* nobody is there to approve a command */
        break;
    }
    dialect_argv_add_option(argv, "--model", spec->model);
    /* The same for a new chat: an id that is not known begins one. The value is optional, so it
     * must be joined. */
    if (spec->chat_id) {
        AUTO_FREE char *resume = xasprintf("--resume=%s", spec->chat_id);

        dialect_argv_add(argv, resume);
    }
}

static void read_assistant(struct cursor_state *state, struct agent_stream *stream,
                           const json_t *root)
{
    const json_t *content = json_object_get(json_object_get(root, "message"), "content");
    bool is_delta =
        json_object_get(root, "timestamp_ms") && !json_object_get(root, "model_call_id");
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, AGENT_LINE_MAX_BYTES);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const json_t *value = json_object_get(part, "text");

        if (kit_says(part, "type", "text") && json_is_string(value))
            buf_append(&text, json_string_value(value), json_string_length(value));
    }
    if (is_delta)
        kit_answer_delta(&state->answer, stream, buf_text(&text), text.len);
    else
        kit_answer_whole(&state->answer, stream, buf_text(&text), text.len);
}

static const struct kit_tool tools[] = {
    { "readToolCall", "Reading", "path" },
    { "writeToolCall", "Writing", "path" },
    { "editToolCall", "Editing", "path" },
    { "deleteToolCall", "Deleting", "path" },
    { "lsToolCall", "Listing", "path" },
    { "shellToolCall", "Running a command", NULL },
    { "globToolCall", "Looking for files", NULL },
    { "grepToolCall", "Searching the files", NULL },
    { "semSearchToolCall", "Searching the code", NULL },
    { "readLintsToolCall", "Checking for problems", NULL },
    { "updateTodosToolCall", "Planning the steps", NULL },
    { "webSearchToolCall", "Searching the web", NULL },
    { "webFetchToolCall", "Reading a web page", NULL },
    { "askQuestionToolCall", "Asking a question", NULL },
    { "createPlanToolCall", "Writing a plan", NULL },
    { "taskToolCall", "Working on a part of the task", NULL },
    { "mcpToolCall", "Using", "toolName" },
    { "function", "Using", "name" },
    { NULL, NULL, NULL },
};

/* The questions that headless cursor-agent answers by itself. */
static const struct kit_tool questions[] = {
    { "shellRequestQuery", "Running a command", NULL },
    { "webFetchRequestQuery", "Reading a web page", NULL },
    { "webSearchRequestQuery", "Searching the web", NULL },
    { "createPlanRequestQuery", "Writing a plan", NULL },
    { "askQuestionInteractionQuery", "Asking a question", NULL },
    { NULL, NULL, NULL },
};

static bool is_tool_key(const char *key)
{
    static const char suffix[] = "ToolCall";
    size_t len = strlen(key);

    return strcmp(key, "function") == 0 ||
           (len >= sizeof(suffix) && strcmp(key + len - strlen(suffix), suffix) == 0);
}

/* A result holds "success", "rejected", or what went wrong; forms not known yet are no failure.
 */
static enum agent_tool_end end_of(const json_t *result)
{
    if (json_object_get(result, "rejected"))
        return AGENT_TOOL_REJECTED;
    if (json_object_get(result, "failure") || json_object_get(result, "error") ||
        json_is_true(json_object_get(json_object_get(result, "success"), "isError")))
        return AGENT_TOOL_FAILED;
    return AGENT_TOOL_OK;
}

/* Rows of the table only: another key is no name that means anything to a person. */
static void append_title(struct buf *out, const char *key, const json_t *call)
{
    const json_t *arguments = json_object_get(call, "args");
    const struct kit_tool *row = tools;

    while (row->name && strcmp(row->name, key) != 0)
        row++;
    kit_append_title(out, tools, row->name ? key : "",
                     json_object_size(arguments) ? arguments : call);
}

static void read_tool_call(struct cursor_state *state, struct agent_stream *stream,
                           const json_t *root)
{
    json_t *calls = json_object_get(root, "tool_call");
    const char *id = kit_text(root, "call_id");
    const char *key = NULL;
    const json_t *call = NULL;
    json_t *value = NULL;
    AUTO_BUF struct buf title = { 0 };

    buf_init(&title, 256);
    json_object_foreach(calls, key, value)
    {
        if (!call && is_tool_key(key)) {
            call = value;
            append_title(&title, key, call);
        }
    }
    if (!call)
        append_title(&title, "", NULL);
    state->answer.has_boundary = true;
    if (kit_says(root, "subtype", "started")) {
        agent_stream_emit_tool(stream, AGENT_EVENT_TOOL, buf_text(&title), title.len, id,
                               AGENT_TOOL_OK);
    } else if (kit_says(root, "subtype", "completed")) {
        enum agent_tool_end end = end_of(json_object_get(call, "result"));

        if (end == AGENT_TOOL_REJECTED) {
            agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, buf_text(&title), title.len, id,
                                   end);
            buf_clear(&state->refused);
        }
        agent_stream_emit_tool(stream, AGENT_EVENT_TOOL_DONE, buf_text(&title), title.len, id,
                               end);
    }
}

static void tell_refused(struct cursor_state *state, struct agent_stream *stream)
{
    if (state->refused.len > 0)
        agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, buf_text(&state->refused),
                               state->refused.len, "", AGENT_TOOL_REJECTED);
    buf_clear(&state->refused);
}

/*
 * A no comes here first, and once more as the tool's result; not every tool has one. So it is
 * told when nothing followed.
 */
static void read_query(struct cursor_state *state, struct agent_stream *stream,
                       const json_t *root)
{
    json_t *response = json_object_get(root, "response");
    const char *key = NULL;
    json_t *value = NULL;
    bool is_rejected = false;

    json_object_foreach(response, key, value)
    {
        is_rejected = is_rejected || json_object_get(value, "rejected");
    }
    if (!is_rejected)
        return;
    tell_refused(state, stream);
    kit_append_title(&state->refused, questions, kit_text(root, "query_type"), NULL);
}

static void read_result(struct cursor_state *state, struct agent_stream *stream,
                        const json_t *root)
{
    struct agent_summary *summary = agent_stream_summary(stream);
    const json_t *text = json_object_get(root, "result");
    const json_t *usage = json_object_get(root, "usage");

    tell_refused(state, stream);
    summary->has_result = true;
    summary->is_error = json_is_true(json_object_get(root, "is_error")) ||
                        (kit_text(root, "subtype")[0] && !kit_says(root, "subtype", "success"));
    summary->input_tokens = kit_count(usage, "inputTokens");
    summary->output_tokens = kit_count(usage, "outputTokens");
    summary->cache_read_tokens = kit_count(usage, "cacheReadTokens");
    summary->cache_write_tokens = kit_count(usage, "cacheWriteTokens");
    if (summary->is_error)
        kit_note_error(stream, "", kit_text(root, "result"));
    else if (!summary->has_text && json_is_string(text))
        kit_answer_add(&state->answer, stream, json_string_value(text),
                       json_string_length(text));
}

static void read_line(void *opaque, struct agent_stream *stream, const char *line, size_t len)
{
    struct cursor_state *state = opaque;
    json_auto_t *root = kit_parse_line(stream, line, len);

    if (!root || agent_stream_summary(stream)->has_result)
        return; /* behind the end of the protocol helpers may still chatter */
    kit_start(stream, kit_says(root, "type", "system") ? kit_text(root, "model") : "");
    kit_note_chat(stream, kit_text(root, "session_id"));
    if (kit_says(root, "type", "assistant"))
        read_assistant(state, stream, root);
    else if (kit_says(root, "type", "tool_call"))
        read_tool_call(state, stream, root);
    else if (kit_says(root, "type", "interaction_query"))
        read_query(state, stream, root);
    else if (kit_says(root, "type", "retry"))
        kit_answer_retry(&state->answer);
    else if (kit_says(root, "type", "result"))
        read_result(state, stream, root);
    /* user (echo of the prompt), thinking, connection and what is not known yet: signs of life,
     * nothing to show. */
}

/* Where it looks by itself; to be freed. */
static char *find_chats(void)
{
    const char *root = agent_environment_get("CURSOR_CONFIG_DIR");
    const char *home = agent_environment_get("HOME");

    if (root && root[0])
        return xasprintf("%s/chats", root);
    root = agent_environment_get("XDG_CONFIG_HOME");
    if (root && root[0])
        return xasprintf("%s/cursor/chats", root);
    return xasprintf("%s/.cursor/chats", home ? home : "");
}

static bool has_entry(const char *directory, const char *name, const char *suffix)
{
    AUTO_FREE char *path = xasprintf("%s/%s%s", directory, name, suffix);

    return access(path, F_OK) == 0;
}

/* <config>/chats/<made of the workspace's path>/<id>/, or one file for each chat. */
static bool has_chat(const char *chats_dir, const char *chat_id)
{
    AUTO_FREE char *chats = chats_dir ? xstrdup(chats_dir) : find_chats();
    DIR *dir = opendir(chats);
    const struct dirent *entry = NULL;
    bool is_found = false;

    if (!dir)
        return false;
    is_found = has_entry(chats, chat_id, ".json");
    while (!is_found && (entry = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe): our own */
        AUTO_FREE char *workspace = xasprintf("%s/%s", chats, entry->d_name);

        is_found = entry->d_name[0] != '.' && has_entry(workspace, chat_id, "");
    }
    closedir(dir);
    return is_found;
}

static const char *const login_check[] = { "models", NULL };

const struct dialect dialect_cursor = {
    .name = "cursor",
    .has_lines = true,
    .has_version = true,
    .login_check = login_check,
    .chats = AGENT_CHATS_CHOSEN,
    .has_chat = has_chat,
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free_state,
    .read = read_line,
};
