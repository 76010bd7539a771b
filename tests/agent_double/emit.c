#include "tests/agent_double/emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "tests/agent_double/personality.h"

#define TURN_MAX_BYTES ((size_t)64 * 1024 * 1024)

static struct emit_turn turn;

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

void emit_line(json_t *event)
{
    AUTO_FREE char *text = json_dumps(event, JSON_COMPACT);

    json_decref(event);
    if (!text)
        return;
    text = xrealloc(text, strlen(text) + 2, 1);
    memcpy(text + strlen(text), "\n", 2);
    emit_raw_text(text);
}

const char *emit_session_id(void)
{
    return turn.session_id;
}

void emit_begin(const struct arguments *arguments, const char *prompt)
{
    const struct voice *voice = personality()->voice;
    const char *id =
        arguments->resume && arguments->resume[0] ? arguments->resume : arguments->new_session;

    turn.arguments = arguments;
    turn.prompt = prompt;
    turn.started_ms = clock_now_ms();
    if (turn.session_id[0])
        return;
    random_uuid(turn.request_id);
    if (id)
        snprintf(turn.session_id, sizeof(turn.session_id), "%s", id);
    else if (voice->new_session_id)
        voice->new_session_id(turn.session_id, sizeof(turn.session_id));
    else
        random_uuid(turn.session_id);
    buf_init(&turn.segment, TURN_MAX_BYTES);
    buf_init(&turn.whole, TURN_MAX_BYTES);
}

void emit_init(void)
{
    personality()->voice->init(&turn);
}

void emit_prompt(void)
{
    AUTO_FREE char *clean = utf8_clean_copy(turn.prompt, strlen(turn.prompt), TURN_MAX_BYTES);

    if (personality()->voice->prompt)
        personality()->voice->prompt(&turn, clean);
}

void emit_thinking(const char *text)
{
    if (personality()->voice->thinking)
        personality()->voice->thinking(&turn, text);
}

void emit_delta(const char *text)
{
    buf_append_text(&turn.segment, text);
    buf_append_text(&turn.whole, text);
    if (personality()->voice->delta)
        personality()->voice->delta(&turn, text);
}

void emit_flush_as(const char *text, bool is_before_tool)
{
    turn.model_calls += is_before_tool;
    if (text[0])
        personality()->voice->segment(&turn, text, is_before_tool);
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
    json_auto_t *arguments = json_loads(arguments_json, 0, &why);
    json_auto_t *result = result_json ? json_loads(result_json, 0, &why) : NULL;

    personality()->voice->tool(&turn, call_id, kind, arguments, result);
}

void emit_connection(const char *type, const char *subtype, int attempt)
{
    if (personality()->voice->connection)
        personality()->voice->connection(&turn, type, subtype, attempt);
}

void emit_result_with(bool is_error, const char *result_text)
{
    personality()->voice->result(&turn, is_error,
                                 result_text ? result_text : buf_text(&turn.whole));
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
