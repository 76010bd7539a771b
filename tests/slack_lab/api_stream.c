/* chat.startStream, appendStream, stopStream, and the statuses that go with a running answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "tests/slack_lab/api.h"
#include "tests/slack_lab/events.h"

#define MARKDOWN_MAX_CHARS 12000
#define LOADING_MAX        10
#define TASK_TEXT_MAX      256

static const char *check_task(struct call *call, json_t *chunk)
{
    static const char *const states[] = { "pending", "in_progress", "complete", "error" };
    const char *status = json_string_value(json_object_get(chunk, "status"));
    bool good = false;

    for (size_t i = 0; status && i < ARRAY_LEN(states); i++)
        good = good || strcmp(status, states[i]) == 0;
    if (!good || !json_is_string(json_object_get(chunk, "id")) ||
        !json_is_string(json_object_get(chunk, "title")))
        return call_refuse(call, "invalid_chunks",
                           "[ERROR] task_update wants id, title and status");
    if (utf8_length(json_string_value(json_object_get(chunk, "title")),
                    json_string_length(json_object_get(chunk, "title"))) > TASK_TEXT_MAX)
        return call_refuse(call, "invalid_chunks", "[ERROR] a title over %d characters",
                           TASK_TEXT_MAX);
    return NULL;
}

static const char *check_chunk(struct call *call, json_t *chunk)
{
    const char *type = json_string_value(json_object_get(chunk, "type"));

    if (!type)
        return call_refuse(call, "invalid_chunks", "[ERROR] chunk without type");
    if (strcmp(type, "markdown_text") == 0)
        return json_is_string(json_object_get(chunk, "text"))
                   ? NULL
                   : call_refuse(call, "invalid_chunks", "[ERROR] markdown_text wants text");
    if (strcmp(type, "plan_update") == 0)
        return json_is_string(json_object_get(chunk, "title"))
                   ? NULL
                   : call_refuse(call, "invalid_chunks", "[ERROR] plan_update wants title");
    if (strcmp(type, "task_update") == 0)
        return call->lab->settings.cards ? check_task(call, chunk) : "invalid_chunks";
    if (strcmp(type, "blocks") == 0)
        return call_check_blocks(call, json_object_get(chunk, "blocks"));
    return call_refuse(call, "invalid_chunks", "[ERROR] unknown chunk type %s", type);
}

static const char *check_stream_content(struct call *call)
{
    const char *markdown = call_text(call, "markdown_text");
    json_t *chunks = json_object_get(call->args, "chunks");
    size_t i;
    json_t *chunk;

    if (*markdown && chunks)
        return call_refuse(call, "invalid_arguments", "[ERROR] markdown_text and chunks");
    if (utf8_length(markdown, strlen(markdown)) > MARKDOWN_MAX_CHARS)
        return "msg_too_long";
    json_array_foreach(chunks, i, chunk)
    {
        const char *error = check_chunk(call, chunk);

        if (error)
            return error;
    }
    return NULL;
}

/* How much the call adds to the message, in bytes. */
static size_t content_bytes(const struct call *call)
{
    size_t bytes = strlen(call_text(call, "markdown_text"));
    size_t i;
    json_t *chunk;

    json_array_foreach(json_object_get(call->args, "chunks"), i, chunk)
    {
        AUTO_FREE char *text = json_dumps(chunk, JSON_COMPACT);

        bytes += json_object_get(chunk, "text")
                     ? json_string_length(json_object_get(chunk, "text"))
                     : strlen(text);
    }
    return bytes;
}

/* The same task again updates its card: title and status replace, details append. */
static void merge_task(struct message *message, json_t *chunk)
{
    size_t i;
    json_t *old;
    const char *id = json_string_value(json_object_get(chunk, "id"));

    json_array_foreach(message->chunks, i, old)
    {
        const char *old_id = json_string_value(json_object_get(old, "id"));

        if (id && old_id && strcmp(id, old_id) == 0) {
            const char *was = json_string_value(json_object_get(old, "details"));
            const char *more = json_string_value(json_object_get(chunk, "details"));
            json_t *details = json_sprintf("%s%s", was ? was : "", more ? more : "");

            json_object_update(old, chunk);
            json_object_set_new(old, "details", details);
            return;
        }
    }
    json_array_append(message->chunks, chunk);
}

static void add_content(struct call *call, struct message *message)
{
    size_t i;
    json_t *chunk;

    buf_append_text(&message->text, call_text(call, "markdown_text"));
    json_array_foreach(json_object_get(call->args, "chunks"), i, chunk)
    {
        const char *type = json_string_value(json_object_get(chunk, "type"));

        if (strcmp(type, "markdown_text") == 0) {
            buf_append_text(&message->text, json_string_value(json_object_get(chunk, "text")));
            continue;
        }
        if (!message->chunks)
            message->chunks = json_array();
        merge_task(message, chunk);
    }
    message->stream_bytes += content_bytes(call);
}

static const char *check_start(struct call *call, const struct channel *channel)
{
    struct world *world = call->lab->world;
    const char *thread_ts = call_text(call, "thread_ts");
    struct message *root = world_message(world, channel->id, thread_ts);

    if (!root)
        return call_refuse(call, "thread_not_found", "[ERROR] no message %s", thread_ts);
    if (*root->thread_ts && strcmp(root->thread_ts, root->ts) != 0)
        return call_refuse(call, "cannot_reply_to_message",
                           "[ERROR] thread_ts %s is a reply, not its thread's root", thread_ts);
    if (channel->kind != CHANNEL_DIRECT) {
        if (!*call_text(call, "recipient_user_id"))
            return "missing_recipient_user_id";
        if (!*call_text(call, "recipient_team_id"))
            return "missing_recipient_team_id";
    }
    if (*call_text(call, "recipient_user_id") &&
        !world_user(world, call_text(call, "recipient_user_id")))
        return "user_not_found";
    return NULL;
}

static const char *start_stream(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel", &error);

    if (!call->lab->settings.streams)
        return "unknown_method";
    if (!error)
        error = check_start(call, channel);
    if (!error)
        error = check_stream_content(call);
    if (!error && (int64_t)content_bytes(call) > call->lab->settings.stream_cap_bytes)
        error = "msg_too_long";
    if (error)
        return error;

    struct message *message = world_add_message(call->lab->world, channel, LAB_BOT_USER,
                                                call_text(call, "thread_ts"));

    message->is_app = true;
    message->is_markdown = true;
    message->stream = STREAM_IN_PROGRESS;
    message->stream_started_us = clock_now_us();
    add_content(call, message);
    call_app_wrote(call, channel->id, message->thread_ts);
    events_app_posted(call->lab, message);
    json_object_set_new(call->result, "channel", json_string(channel->id));
    json_object_set_new(call->result, "ts", json_string(message->ts));
    return NULL;
}

/* The stream that the call goes on with. */
static struct message *open_stream(struct call *call, const char **ret_error)
{
    struct channel *channel = call_channel(call, "channel", ret_error);
    struct message *message =
        channel ? world_message(call->lab->world, channel->id, call_text(call, "ts")) : NULL;

    if (!call->lab->settings.streams)
        *ret_error = "unknown_method";
    else if (channel && !message)
        *ret_error = "message_not_found";
    else if (message && !message->is_app)
        *ret_error = "message_not_owned_by_app";
    if (*ret_error || !message)
        return NULL;
    if (message->stream == STREAM_IN_PROGRESS &&
        clock_now_us() - message->stream_started_us > call->lab->settings.stream_life_ms * 1000)
        message->stream = STREAM_ERRORED;
    if (message->stream != STREAM_IN_PROGRESS && message->stream != STREAM_STOPPED)
        *ret_error = "message_not_in_streaming_state";
    return *ret_error ? NULL : message;
}

static const char *check_room(struct call *call, const struct message *message)
{
    const char *error = check_stream_content(call);
    size_t bytes = message->stream_bytes + content_bytes(call);

    if (!error && (int64_t)bytes > call->lab->settings.stream_cap_bytes)
        return call_refuse(call, "msg_too_long", "[ERROR] %zu bytes in one streamed message",
                           bytes);
    return error;
}

static const char *append_stream(struct call *call)
{
    const char *error = NULL;
    struct message *message = open_stream(call, &error);

    if (!error && message->stream == STREAM_STOPPED)
        error = "stopped_by_user";
    if (!error && !*call_text(call, "markdown_text") &&
        json_array_size(json_object_get(call->args, "chunks")) == 0)
        error = "no_text";
    if (!error)
        error = check_room(call, message);
    if (error)
        return error;
    add_content(call, message);
    events_app_changed(call->lab, message);
    json_object_set_new(call->result, "channel", json_string(message->channel->id));
    json_object_set_new(call->result, "ts", json_string(message->ts));
    return NULL;
}

static bool is_session_status(const char *status)
{
    static const char *const known[] = { "active", "processing", "suspended", "closed" };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(status, known[i]) == 0)
            return true;
    }
    return false;
}

static void set_session(struct call *call, const char *channel, const char *thread_ts,
                        const char *state)
{
    struct status *status = world_status(call->lab->world, channel, thread_ts, true);

    snprintf(status->session, sizeof(status->session), "%s", state);
    if (strcmp(state, "processing") != 0)
        status_clear(status);
}

static const char *stop_stream(struct call *call)
{
    const char *error = NULL;
    struct message *message = open_stream(call, &error);
    json_t *blocks = json_object_get(call->args, "blocks");
    const char *session = call_text(call, "session_status");

    if (!error)
        error = check_room(call, message);
    if (!error && blocks)
        error = call_check_blocks(call, blocks);
    if (!error && *session && !is_session_status(session))
        error = "invalid_arguments";
    if (error)
        return error;
    add_content(call, message);
    message->stream = STREAM_COMPLETED;
    if (blocks)
        message->blocks = json_incref(blocks);
    if (call_has(call, "metadata"))
        message->metadata = json_incref(json_object_get(call->args, "metadata"));
    set_session(call, message->channel->id, message->thread_ts, *session ? session : "active");
    events_app_changed(call->lab, message);
    json_object_set_new(call->result, "channel", json_string(message->channel->id));
    json_object_set_new(call->result, "ts", json_string(message->ts));
    json_object_set_new(call->result, "message", message_json(message, true));
    return NULL;
}

static const char *set_thread_status(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel_id", &error);
    const char *thread_ts = call_text(call, "thread_ts");
    json_t *loading = json_object_get(call->args, "loading_messages");

    if (error)
        return error;
    if (!world_message(call->lab->world, channel->id, thread_ts))
        return "invalid_thread_ts";
    if (json_array_size(loading) > LOADING_MAX)
        return call_refuse(call, "invalid_arguments", "[ERROR] over 10 loading_messages");

    struct status *status = world_status(call->lab->world, channel->id, thread_ts, true);

    status_clear(status);
    free(status->text);
    status->text = xstrdup(call_text(call, "status"));
    status->loading_messages = json_incref(loading);
    status->set_us = clock_now_us();
    return NULL;
}

static const char *set_session_status(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel_id", &error);
    const char *thread_ts = call_text(call, "thread_ts");
    const char *state = call_text(call, "status");

    if (error)
        return error;
    if (!call->lab->settings.sessions)
        return "feature_disabled";
    if (!is_session_status(state))
        return call_refuse(call, "invalid_status", "[ERROR] status \"%s\"", state);
    if (!*thread_ts)
        return "thread_ts_required";
    if (!world_message(call->lab->world, channel->id, thread_ts))
        return "invalid_thread_ts";
    set_session(call, channel->id, thread_ts, state);
    if (call_has(call, "title")) {
        struct status *status = world_status(call->lab->world, channel->id, thread_ts, true);

        snprintf(status->title, sizeof(status->title), "%s", call_text(call, "title"));
    }
    json_object_set_new(call->result, "status", json_string(state));
    json_object_set_new(call->result, "agent_status", json_string(state));
    return NULL;
}

#define TEXT  "markdown_text chunks:a "
#define LOOKS "username icon_emoji icon_url "

const struct method api_stream_methods[] = {
    { "chat.startStream", "chat:write",
      "channel* thread_ts* recipient_user_id recipient_team_id task_display_mode " TEXT LOOKS,
      false, false, start_stream },
    { "chat.appendStream", "chat:write", "channel* ts* " TEXT, false, false, append_stream },
    { "chat.stopStream", "chat:write", "channel* ts* blocks:a metadata:o session_status " TEXT,
      false, false, stop_stream },
    { "assistant.threads.setStatus", "chat:write assistant:write",
      "channel_id* thread_ts* status* loading_messages:a " LOOKS, false, false,
      set_thread_status },
    { "agents.sessions.setStatus", "chat:write",
      "channel_id* status* thread_ts title initiator_user_id " LOOKS, false, false,
      set_session_status },
    { NULL, NULL, NULL, false, false, NULL },
};
