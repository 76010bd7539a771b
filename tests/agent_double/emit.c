#include "tests/agent_double/emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/utf8.h"

#define TURN_MAX_BYTES ((size_t)64 * 1024 * 1024)

static struct {
    const struct arguments *arguments;
    const char *prompt;
    const char *format;
    char session_id[RANDOM_UUID_BYTES];
    char request_id[RANDOM_UUID_BYTES];
    struct buf segment; /* since the last flush */
    struct buf whole;   /* all segments, joined without a separator */
    int64_t started_ms;
    int model_calls;
    bool is_stream;
} turn;

void emit_raw(const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t put = write(STDOUT_FILENO, at, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            _exit(1); /* as Node does on EFBIG or EPIPE: an error that nobody catches */
        at += put;
        len -= (size_t)put;
    }
}

void emit_raw_text(const char *text)
{
    emit_raw(text, strlen(text));
}

void emit_pause(int pause_ms)
{
    struct timespec left = { .tv_sec = pause_ms / 1000,
                             .tv_nsec = (long)(pause_ms % 1000) * 1000000 };

    while (pause_ms > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

/* Adds the fields that every event has, prints the line, frees it. */
static void emit_event(json_t *event, bool has_timestamp)
{
    AUTO_FREE char *text = NULL;

    json_object_set_new(event, "session_id", json_string(turn.session_id));
    if (has_timestamp)
        json_object_set_new(event, "timestamp_ms", json_integer(clock_wall_us() / 1000));
    text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (!text || !turn.is_stream)
        return;
    text = xrealloc(text, strlen(text) + 2, 1);
    memcpy(text + strlen(text), "\n", 2);
    emit_raw_text(text);
}

void emit_begin(const struct arguments *arguments, const char *prompt)
{
    turn.arguments = arguments;
    turn.prompt = prompt;
    turn.started_ms = clock_now_ms();
    turn.format = arguments->format ? arguments->format : "text";
    turn.is_stream = strcmp(turn.format, "stream-json") == 0;
    random_uuid(turn.session_id);
    random_uuid(turn.request_id);
    if (arguments->resume && arguments->resume[0])
        snprintf(turn.session_id, sizeof(turn.session_id), "%s", arguments->resume);
    buf_init(&turn.segment, TURN_MAX_BYTES);
    buf_init(&turn.whole, TURN_MAX_BYTES);
}

void emit_init(void)
{
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    const char *model =
        turn.arguments->model && turn.arguments->model[0] ? turn.arguments->model : "Auto";

    emit_event(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "system", "subtype", "init",
                         "apiKeySource", "env", "cwd", cwd ? cwd : "/", "model", model,
                         "permissionMode", "default"),
               false);
}

static json_t *message(const char *role, const char *text)
{
    return json_pack("{s:s, s:[{s:s, s:s}]}", "role", role, "content", "type", "text", "text",
                     text);
}

void emit_prompt(void)
{
    AUTO_FREE char *clean = utf8_clean_copy(turn.prompt, strlen(turn.prompt), TURN_MAX_BYTES);

    emit_event(json_pack("{s:s, s:o}", "type", "user", "message", message("user", clean)),
               false);
}

void emit_thinking(const char *text)
{
    emit_event(
        json_pack("{s:s, s:s, s:s}", "type", "thinking", "subtype", "delta", "text", text),
        true);
    emit_event(json_pack("{s:s, s:s}", "type", "thinking", "subtype", "completed"), true);
}

static void emit_assistant(const char *text, bool has_timestamp, bool has_model_call)
{
    json_t *event =
        json_pack("{s:s, s:o}", "type", "assistant", "message", message("assistant", text));

    if (has_model_call)
        json_object_set_new(event, "model_call_id", json_sprintf("mc-%d", turn.model_calls));
    emit_event(event, has_timestamp);
}

void emit_delta(const char *text)
{
    buf_append_text(&turn.segment, text);
    buf_append_text(&turn.whole, text);
    if (turn.arguments->is_partial)
        emit_assistant(text, true, false);
}

void emit_flush_as(const char *text, bool is_before_tool)
{
    turn.model_calls += is_before_tool;
    if (text[0])
        emit_assistant(text, is_before_tool, is_before_tool);
    buf_clear(&turn.segment);
}

void emit_flush_before_tool(void)
{
    AUTO_FREE char *text = buf_take(&turn.segment);

    emit_flush_as(text, true);
}

void emit_tool(const char *call_id, const char *kind, const char *arguments_json,
               const char *result_json)
{
    json_error_t why;
    json_t *call = json_pack("{s:o}", "args", json_loads(arguments_json, 0, &why));

    if (result_json)
        json_object_set_new(call, "result", json_loads(result_json, 0, &why));
    emit_event(json_pack("{s:s, s:s, s:s, s:{s:o, s:[], s:s, s:s}, s:o}", "type", "tool_call",
                         "subtype", result_json ? "completed" : "started", "call_id", call_id,
                         "tool_call", kind, call, "hookAdditionalContexts", "toolCallId",
                         call_id, "startedAtMs", "1790000001600", "model_call_id",
                         json_sprintf("mc-%d", turn.model_calls)),
               true);
}

void emit_connection(const char *type, const char *subtype, int attempt)
{
    emit_event(json_pack("{s:s, s:s, s:i, s:s}", "type", type, "subtype", subtype, "attempt",
                         attempt, "endpoint_url", "https://api2.cursor.sh"),
               true);
}

void emit_result_with(bool is_error, const char *result_text)
{
    const char *text = result_text ? result_text : buf_text(&turn.whole);
    json_int_t duration = clock_now_ms() - turn.started_ms;
    json_t *result =
        json_pack("{s:s, s:s, s:I, s:I, s:b, s:s, s:s, s:{s:I, s:i, s:i, s:i}}", "type",
                  "result", "subtype", is_error ? "error" : "success", "duration_ms", duration,
                  "duration_api_ms", duration, "is_error", (int)is_error, "result", text,
                  "request_id", turn.request_id, "usage", "inputTokens",
                  (json_int_t)14210 + (json_int_t)(strlen(turn.prompt) / 4), "outputTokens",
                  (int)(strlen(text) / 4 + 1), "cacheReadTokens", 9216, "cacheWriteTokens", 0);

    if (strcmp(turn.format, "text") == 0) {
        emit_raw_text(turn.segment.len ? buf_text(&turn.segment) : text);
        emit_raw_text("\n");
    }
    if (turn.segment.len > 0)
        emit_assistant(buf_text(&turn.segment), false, false);
    turn.is_stream = turn.is_stream || strcmp(turn.format, "json") == 0; /* one line the same */
    emit_event(result, false);
}

void emit_result(void)
{
    emit_result_with(false, NULL);
}

void emit_opening(void)
{
    emit_init();
    emit_prompt();
    emit_thinking("Let me look");
}

void emit_words(const char *text, int pause_ms)
{
    while (*text) {
        size_t len = strcspn(text, " ");
        AUTO_FREE char *word = NULL;

        len += strspn(text + len, " ");
        word = xstrndup(text, len);
        emit_delta(word);
        emit_pause(pause_ms);
        text += len;
    }
}
