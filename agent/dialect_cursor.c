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

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

#define SEGMENT_MAX_BYTES AGENT_LINE_MAX_BYTES
#define TARGET_MAX_BYTES  48

struct cursor_state {
    struct buf segment;     /* deltas since the last flush */
    struct buf flushed;     /* the segment that was closed last */
    bool has_boundary;      /* a tool ran: the next text opens a new paragraph */
    bool is_flush_repeated; /* nothing but flushes came since the last one */
};

static void *new_state(void)
{
    struct cursor_state *state = xcalloc(1, sizeof(*state));

    buf_init(&state->segment, SEGMENT_MAX_BYTES);
    buf_init(&state->flushed, SEGMENT_MAX_BYTES);
    return state;
}

static void free_state(void *opaque)
{
    struct cursor_state *state = opaque;

    buf_deinit(&state->segment);
    buf_deinit(&state->flushed);
    free(state);
}

static void append_arguments(const struct agent_spec *spec, struct dialect_argv *argv)
{
    static const char *const always[] = { "-p", "--output-format", "stream-json",
                                          "--stream-partial-output", "--trust" };

    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        dialect_argv_add(argv, always[i]);
    dialect_argv_add(argv, "--workspace");
    dialect_argv_add(argv, spec->workspace);
    switch (spec->mode) {
    case AGENT_MODE_ASK:
        dialect_argv_add(argv, "--mode");
        dialect_argv_add(argv, "ask");
        break;
    case AGENT_MODE_PLAN:
        dialect_argv_add(argv, "--mode");
        dialect_argv_add(argv, "plan");
        break;
    case AGENT_MODE_WRITE:
        dialect_argv_add(argv, "--force"); /* nobody is there to approve a command */
        break;
    }
    if (spec->model && spec->model[0]) {
        dialect_argv_add(argv, "--model");
        dialect_argv_add(argv, spec->model);
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void emit_text(struct cursor_state *state, struct agent_stream *stream, const char *text,
                      size_t len)
{
    if (len == 0)
        return;
    if (state->has_boundary && agent_stream_summary(stream)->has_text)
        agent_stream_emit(stream, AGENT_EVENT_SEGMENT, "", 0);
    state->has_boundary = false;
    agent_stream_emit(stream, AGENT_EVENT_TEXT, text, len);
}

static bool starts_with(const struct buf *text, const char *prefix, size_t len)
{
    return len <= text->len && memcmp(buf_text(text), prefix, len) == 0;
}

static bool ends_with(const struct buf *text, const char *suffix, size_t len)
{
    return len <= text->len && memcmp(buf_text(text) + text->len - len, suffix, len) == 0;
}

/*
 * The whole segment once more. What was shown cannot be taken back, so only what is missing is
 * added: the rest when it goes further, all of it as a paragraph of its own when it differs.
 */
static void close_segment(struct cursor_state *state, struct agent_stream *stream,
                          const struct buf *whole)
{
    const char *text = buf_text(whole);
    const struct buf *seen = &state->segment;
    bool is_repeated = state->is_flush_repeated && whole->len == state->flushed.len &&
                       starts_with(&state->flushed, text, whole->len);

    if (whole->len == 0 || is_repeated)
        return;
    if (!seen->overflowed && !starts_with(seen, text, whole->len) &&
        !ends_with(seen, text, whole->len)) {
        bool goes_further =
            whole->len > seen->len && memcmp(text, buf_text(seen), seen->len) == 0;

        if (!goes_further)
            state->has_boundary = true;
        emit_text(state, stream, goes_further ? text + seen->len : text,
                  goes_further ? whole->len - seen->len : whole->len);
    }
    buf_clear(&state->flushed);
    buf_append(&state->flushed, text, whole->len);
    buf_clear(&state->segment);
    state->is_flush_repeated = true;
    state->has_boundary = true;
}

static void read_assistant(struct cursor_state *state, struct agent_stream *stream,
                           const json_t *root)
{
    const json_t *content = json_object_get(json_object_get(root, "message"), "content");
    bool is_delta =
        json_object_get(root, "timestamp_ms") && !json_object_get(root, "model_call_id");
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, SEGMENT_MAX_BYTES);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const json_t *value = json_object_get(part, "text");

        if (strcmp(text_of(part, "type"), "text") == 0 && json_is_string(value))
            utf8_append_clean(&text, json_string_value(value), json_string_length(value));
    }
    if (!is_delta) {
        close_segment(state, stream, &text);
        return;
    }
    emit_text(state, stream, buf_text(&text), text.len);
    buf_append(&state->segment, buf_text(&text), text.len);
    state->is_flush_repeated = false;
}

/* What a person reads while a tool runs. Arguments may hold secrets or whole files, so only
 * the last part of a path or a tool's name ever follows. */
static const struct tool_title {
    const char *key;
    const char *title;
    const char *target; /* the argument whose last path component is shown; NULL for none */
} tool_titles[] = {
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
};

static bool is_tool_key(const char *key)
{
    static const char suffix[] = "ToolCall";
    size_t len = strlen(key);

    return strcmp(key, "function") == 0 ||
           (len >= sizeof(suffix) && strcmp(key + len - strlen(suffix), suffix) == 0);
}

/* The last component, without anything that could be markup where it is shown. */
static void append_target(struct buf *out, const char *value)
{
    const char *slash = NULL;
    AUTO_FREE char *clean = NULL;
    size_t len = strlen(value);

    while (len > 1 && value[len - 1] == '/')
        len--;
    slash = memrchr(value, '/', len);
    if (slash && len > 1) {
        len -= (size_t)(slash + 1 - value);
        value = slash + 1;
    }
    clean = utf8_clean_copy(value, len, TARGET_MAX_BYTES);
    for (char *at = clean; *at; at++) {
        if (*at == '\n' || *at == '\t')
            *at = ' ';
        else if (strchr("<>&`*~|", *at))
            *at = '?';
    }
    buf_append_text(out, clean);
}

static void append_title(struct buf *out, const char *key, const json_t *call)
{
    const struct tool_title *row = NULL;
    const char *target = "";

    for (size_t i = 0; i < ARRAY_LEN(tool_titles) && !row; i++) {
        if (strcmp(tool_titles[i].key, key) == 0)
            row = &tool_titles[i];
    }
    if (row && row->target) {
        target = text_of(json_object_get(call, "args"), row->target);
        if (!target[0])
            target = text_of(call, row->target);
    }
    buf_append_text(out, row ? row->title : "Using");
    if (target[0]) {
        buf_append_char(out, ' ');
        append_target(out, target);
    } else if (!row || strcmp(row->title, "Using") == 0) {
        buf_append_text(out, " a tool");
    } else if (row->target) {
        buf_append_text(out, " a file");
    }
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

static void read_tool_call(struct cursor_state *state, struct agent_stream *stream,
                           const json_t *root)
{
    json_t *tools = json_object_get(root, "tool_call");
    const char *subtype = text_of(root, "subtype");
    const char *id = text_of(root, "call_id");
    const char *key = NULL;
    json_t *call = NULL;
    AUTO_BUF struct buf title = { 0 };

    buf_init(&title, 256);
    json_object_foreach(tools, key, call)
    {
        if (!is_tool_key(key))
            continue;
        append_title(&title, key, call);
        break;
    }
    if (title.len == 0)
        buf_append_text(&title, "Using a tool");
    state->has_boundary = true;
    if (strcmp(subtype, "started") == 0) {
        agent_stream_emit_tool(stream, AGENT_EVENT_TOOL, buf_text(&title), title.len, id,
                               AGENT_TOOL_OK);
    } else if (strcmp(subtype, "completed") == 0) {
        enum agent_tool_end end = end_of(json_object_get(call, "result"));

        if (end == AGENT_TOOL_REJECTED)
            agent_stream_emit_tool(stream, AGENT_EVENT_DENIED, buf_text(&title), title.len, id,
                                   end);
        agent_stream_emit_tool(stream, AGENT_EVENT_TOOL_DONE, buf_text(&title), title.len, id,
                               end);
    }
}

static int64_t count_of(const json_t *usage, const char *key)
{
    const json_t *value = json_object_get(usage, key);
    double number = json_number_value(value);

    return json_is_number(value) && number >= 0 && number < 1e15 ? (int64_t)number : -1;
}

static void read_result(struct cursor_state *state, struct agent_stream *stream,
                        const json_t *root)
{
    struct agent_summary *summary = agent_stream_summary(stream);
    const json_t *text = json_object_get(root, "result");
    const json_t *usage = json_object_get(root, "usage");
    const char *subtype = text_of(root, "subtype");

    summary->has_result = true;
    summary->is_error = json_is_true(json_object_get(root, "is_error")) ||
                        (subtype[0] && strcmp(subtype, "success") != 0);
    summary->input_tokens = count_of(usage, "inputTokens");
    summary->output_tokens = count_of(usage, "outputTokens");
    summary->cache_read_tokens = count_of(usage, "cacheReadTokens");
    summary->cache_write_tokens = count_of(usage, "cacheWriteTokens");
    if (summary->is_error) {
        AUTO_FREE char *clean =
            utf8_clean_copy(text_of(root, "result"), strlen(text_of(root, "result")),
                            sizeof(summary->error_text) - 1);

        memcpy(summary->error_text, clean, strlen(clean) + 1);
    } else if (!summary->has_text && json_is_string(text)) {
        emit_text(state, stream, json_string_value(text), json_string_length(text));
    }
}

/* Integers are read as reals: one beyond 64 bits must not cost the whole line. */
static json_t *parse(const char *line, size_t len)
{
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t why;
    json_t *root = json_loadb(line, len, flags, &why);
    AUTO_BUF struct buf clean = { 0 };

    if (root)
        return root;
    /* Broken UTF-8 and raw control characters are what a second look can mend. */
    buf_init(&clean, len * 3 + 1);
    utf8_append_clean(&clean, line, len);
    if (clean.len == len && memcmp(buf_text(&clean), line, len) == 0)
        return NULL;
    return json_loadb(buf_text(&clean), clean.len, flags, &why);
}

static void read_line(void *opaque, struct agent_stream *stream, const char *line, size_t len)
{
    struct cursor_state *state = opaque;
    struct agent_summary *summary = agent_stream_summary(stream);
    const char *brace = memchr(line, '{', len < 8 ? len : 8); /* after blanks or a stray NUL */
    json_auto_t *root = brace ? parse(line, len) : NULL;
    const char *type = text_of(root, "type");

    if (!json_is_object(root) || !type[0]) {
        summary->skipped_lines++;
        return;
    }
    if (summary->has_result)
        return; /* the end of the protocol; helpers may still chatter */
    if (!summary->has_started) {
        bool is_init = strcmp(type, "system") == 0;
        const char *model = is_init ? text_of(root, "model") : "";

        agent_stream_emit(stream, AGENT_EVENT_STARTED, model, strlen(model));
    }
    if (strcmp(type, "assistant") == 0)
        read_assistant(state, stream, root);
    else if (strcmp(type, "tool_call") == 0)
        read_tool_call(state, stream, root);
    else if (strcmp(type, "result") == 0)
        read_result(state, stream, root);
    /* user (echo of the prompt), thinking, connection, retry and what is not known yet: signs
     * of life, nothing to show. */
}

const struct dialect dialect_cursor = {
    .name = "cursor",
    .has_lines = true,
    .ends_by_exit = false,
    .login_check = "models",
    .append_arguments = append_arguments,
    .new_state = new_state,
    .free_state = free_state,
    .read = read_line,
};
