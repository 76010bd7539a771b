/*
 * `codex exec --json`: one JSON object a line, whole items and no deltas.
 *
 *   thread.started{thread_id} turn.started
 *   item.started | item.updated | item.completed {item{id, type, ...}}   the same id again
 *   turn.completed{usage} | turn.failed{error{message}}
 *
 * An item that comes again replaces what it was. An answer cannot be taken back from where it
 * is shown, so a message is shown when it is completed, or when its turn is.
 */
#include "agent/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect_kit.h"
#include "base/alloc.h"

#define ID_BYTES 64

struct codex_state {
    struct kit_answer answer;
    struct buf message; /* as it is now, not shown yet */
    char message_id[ID_BYTES];
    char shown_id[ID_BYTES]; /* the message that was completed last */
};

static void *new_state(void)
{
    struct codex_state *state = xcalloc(1, sizeof(*state));

    kit_answer_init(&state->answer);
    buf_init(&state->message, AGENT_LINE_MAX_BYTES);
    return state;
}

static void free_state(void *opaque)
{
    struct codex_state *state = opaque;

    kit_answer_deinit(&state->answer);
    buf_deinit(&state->message);
    free(state);
}

/*
 * The sandbox is asked for twice: `-s` does not hold for a thread that is resumed by every
 * version. All options stand before `resume`, which takes only some of them.
 */
static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    bool may_write = spec->mode == AGENT_MODE_WRITE;

    dialect_argv_add(argv, "exec");
    dialect_argv_add(argv, "--json");
    dialect_argv_add(argv, "--skip-git-repo-check");
    dialect_argv_add_option(argv, "-s", may_write ? "workspace-write" : "read-only");
    dialect_argv_add_option(argv, "-c",
                            may_write ? "sandbox_mode=\"workspace-write\""
                                      : "sandbox_mode=\"read-only\"");
    dialect_argv_add_option(argv, "-C", spec->workspace);
    dialect_argv_add_option(argv, "-m", spec->model);
    if (!spec->is_new_chat)
        dialect_argv_add_option(argv, "resume", spec->chat_id);
    dialect_argv_add(argv, "-"); /* the prompt is on stdin */
}

static void show_message(struct codex_state *state, struct agent_stream *stream)
{
    if (state->message.len == 0)
        return;
    state->answer.has_boundary = true;
    kit_answer_add(&state->answer, stream, buf_text(&state->message), state->message.len);
    snprintf(state->shown_id, sizeof(state->shown_id), "%s", state->message_id);
    buf_clear(&state->message);
}

static void read_message(struct codex_state *state, struct agent_stream *stream,
                         const json_t *item, bool is_completed)
{
    const char *id = kit_text(item, "id");
    const json_t *text = json_object_get(item, "text");

    if (id[0] && strcmp(id, state->shown_id) == 0)
        return; /* shown already */
    if (strcmp(id, state->message_id) != 0)
        show_message(state, stream); /* another one began before this one was completed */
    snprintf(state->message_id, sizeof(state->message_id), "%s", id);
    if (json_is_string(text)) {
        buf_clear(&state->message);
        buf_append(&state->message, json_string_value(text), json_string_length(text));
    }
    if (is_completed)
        show_message(state, stream);
}

static const struct kit_tool tools[] = {
    { "command_execution", "Running a command", NULL },
    { "file_change", "Editing", "path" },
    { "mcp_tool_call", "Using", "tool" },
    { "web_search", "Searching the web", NULL },
    { "todo_list", "Planning the steps", NULL },
    { "collab_tool_call", "Working on a part of the task", NULL },
    { NULL, NULL, NULL },
};

static bool is_tool(const char *type)
{
    for (const struct kit_tool *row = tools; row->name; row++) {
        if (strcmp(row->name, type) == 0)
            return true;
    }
    return false;
}

static void read_tool(struct codex_state *state, struct agent_stream *stream,
                      const json_t *item, const char *event)
{
    const json_t *change = json_array_get(json_object_get(item, "changes"), 0);
    const char *id = kit_text(item, "id");
    enum agent_tool_end end = kit_says(item, "status", "declined") ? AGENT_TOOL_REJECTED
                              : kit_says(item, "status", "failed") ? AGENT_TOOL_FAILED
                                                                   : AGENT_TOOL_OK;
    AUTO_BUF struct buf title = { 0 };

    buf_init(&title, 256);
    kit_append_title(&title, tools, kit_text(item, "type"), change ? change : item);
    state->answer.has_boundary = true;
    if (strcmp(event, "item.started") == 0)
        agent_stream_emit_tool(stream, AGENT_EVENT_TOOL, buf_text(&title), title.len, id,
                               AGENT_TOOL_OK);
    if (strcmp(event, "item.completed") != 0)
        return;
    if (end == AGENT_TOOL_REJECTED)
        agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, buf_text(&title), title.len, id,
                               end);
    agent_stream_emit_tool(stream, AGENT_EVENT_TOOL_DONE, buf_text(&title), title.len, id, end);
}

static void read_item(struct codex_state *state, struct agent_stream *stream,
                      const json_t *root)
{
    const json_t *item = json_object_get(root, "item");
    const char *event = kit_text(root, "type");

    if (kit_says(item, "type", "agent_message"))
        read_message(state, stream, item, strcmp(event, "item.completed") == 0);
    else if (kit_says(item, "type", "error"))
        kit_note_error(stream, "", kit_text(item, "message"));
    else if (is_tool(kit_text(item, "type")))
        read_tool(state, stream, item, event);
    /* reasoning and what is not known yet: signs of life */
}

static void end_turn(struct codex_state *state, struct agent_stream *stream, const json_t *root)
{
    struct agent_summary *summary = agent_stream_summary(stream);
    const json_t *usage = json_object_get(root, "usage");

    show_message(state, stream);
    summary->has_result = true;
    summary->input_tokens = kit_count(usage, "input_tokens");
    summary->cache_read_tokens = kit_count(usage, "cached_input_tokens");
    summary->output_tokens = kit_count(usage, "output_tokens");
}

static void fail_turn(struct agent_stream *stream, const json_t *root)
{
    struct agent_summary *summary = agent_stream_summary(stream);

    summary->has_result = true;
    summary->is_error = true;
    kit_note_error(stream, "", kit_text(json_object_get(root, "error"), "message"));
}

static void read_line(void *opaque, struct agent_stream *stream, const char *line, size_t len)
{
    struct codex_state *state = opaque;
    json_auto_t *root = kit_parse_line(stream, line, len);
    const char *type = kit_text(root, "type");

    if (!root || agent_stream_summary(stream)->has_result)
        return;
    kit_start(stream, "");
    kit_note_chat(stream, kit_text(root, "thread_id"));
    if (strncmp(type, "item.", 5) == 0)
        read_item(state, stream, root);
    else if (strcmp(type, "turn.completed") == 0)
        end_turn(state, stream, root);
    else if (strcmp(type, "turn.failed") == 0)
        fail_turn(stream, root);
    else if (strcmp(type, "error") == 0)
        kit_note_error(stream, "", kit_text(root, "message")); /* also "reconnecting 1/5" */
}

static const char *const login_check[] = { "login", "status", NULL };

const struct dialect dialect_codex = {
    .name = "codex",
    .has_lines = true,
    .has_version = true,
    .login_check = login_check,
    .login_variable = "CODEX_API_KEY",
    .chats = AGENT_CHATS_GIVEN,
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free_state,
    .read = read_line,
};
