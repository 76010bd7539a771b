/* chat.* but for streams: posting, changing and deleting messages. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "tests/slack_lab/api.h"
#include "tests/slack_lab/events.h"
#include "tests/slack_lab/journal.h"

#define MARKDOWN_MAX_CHARS 12000
#define TEXT_MAX_CHARS     40000
#define UPDATE_MAX_CHARS   4000

static size_t characters(const char *text)
{
    return utf8_length(text, strlen(text));
}

/* What may stand together, and how long it may be. */
static const char *check_content(struct call *call, size_t text_max_chars)
{
    bool has_text = call_has(call, "text");
    bool has_blocks = call_has(call, "blocks");
    bool has_markdown = call_has(call, "markdown_text");

    if (has_markdown && (has_text || has_blocks))
        return call_refuse(call, "markdown_text_conflict",
                           "[ERROR] markdown_text with text or blocks");
    if (!*call_text(call, "text") && !*call_text(call, "markdown_text") &&
        json_array_size(json_object_get(call->args, "blocks")) == 0)
        return "no_text";
    if (characters(call_text(call, "markdown_text")) > MARKDOWN_MAX_CHARS ||
        characters(call_text(call, "text")) > text_max_chars)
        return "msg_too_long";
    return has_blocks ? call_check_blocks(call, json_object_get(call->args, "blocks")) : NULL;
}

static const char *check_thread(struct call *call, const struct channel *channel)
{
    const char *thread_ts = call_text(call, "thread_ts");
    struct message *root;

    if (!*thread_ts)
        return NULL;
    root = world_message(call->lab->world, channel->id, thread_ts);
    if (!root)
        return call_refuse(call, "thread_not_found", "[ERROR] no message %s", thread_ts);
    if (*root->thread_ts && strcmp(root->thread_ts, root->ts) != 0)
        return call_refuse(call, "cannot_reply_to_message",
                           "[ERROR] thread_ts %s is a reply, not its thread's root", thread_ts);
    return NULL;
}

static const char *check_custom_looks(struct call *call)
{
    if (!call_has(call, "username") && !call_has(call, "icon_emoji") &&
        !call_has(call, "icon_url"))
        return NULL;
    if (strstr(call->lab->settings.scopes, "chat:write.customize"))
        return NULL;
    snprintf(call->needed_scope, sizeof(call->needed_scope), "chat:write.customize");
    return "missing_scope";
}

static void set_content(struct call *call, struct message *message)
{
    const char *markdown = call_text(call, "markdown_text");

    message->is_markdown = *markdown != '\0';
    message_set_text(message, *markdown ? markdown : call_text(call, "text"));
    json_decref(message->blocks);
    message->blocks = *markdown
                          ? json_pack("[{s:s, s:s}]", "type", "markdown", "text", markdown)
                          : json_incref(json_object_get(call->args, "blocks"));
    if (call_has(call, "metadata")) {
        json_decref(message->metadata);
        message->metadata = json_incref(json_object_get(call->args, "metadata"));
    }
}

static bool is_too_fast(struct call *call, struct channel *channel)
{
    int64_t now = clock_now_us();
    int64_t interval_us = call->lab->settings.post_interval_ms * 1000;

    if (interval_us > 0 && channel->last_post_us > 0 &&
        now - channel->last_post_us < interval_us)
        return true;
    channel->last_post_us = now;
    return false;
}

static const char *post_message(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel", &error);

    if (!error)
        error = check_content(call, TEXT_MAX_CHARS);
    if (!error)
        error = check_thread(call, channel);
    if (!error)
        error = check_custom_looks(call);
    if (error)
        return error;
    if (is_too_fast(call, channel))
        return "ratelimited";

    struct message *message = world_add_message(call->lab->world, channel, LAB_BOT_USER,
                                                call_text(call, "thread_ts"));

    message->is_app = true;
    set_content(call, message);
    call_app_wrote(call, channel->id, call_text(call, "thread_ts"));
    events_app_posted(call->lab, message);
    json_object_set_new(call->result, "channel", json_string(channel->id));
    json_object_set_new(call->result, "ts", json_string(message->ts));
    json_object_set_new(call->result, "message", message_json(message, true));
    return NULL;
}

static const char *post_ephemeral(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel", &error);

    if (!error)
        error = check_content(call, TEXT_MAX_CHARS);
    if (!error)
        error = check_thread(call, channel);
    if (!error && !world_user(call->lab->world, call_text(call, "user")))
        error = "user_not_in_channel";
    if (error)
        return error;

    struct message *message = world_add_message(call->lab->world, channel, LAB_BOT_USER,
                                                call_text(call, "thread_ts"));

    message->is_app = true;
    snprintf(message->ephemeral_user, sizeof(message->ephemeral_user), "%s",
             call_text(call, "user"));
    set_content(call, message);
    json_object_set_new(call->result, "message_ts", json_string(message->ts));
    return NULL;
}

/* The app's own message that `ts` names. */
static struct message *own_message(struct call *call, const char *not_own,
                                   const char **ret_error)
{
    struct channel *channel = call_channel(call, "channel", ret_error);
    struct message *message =
        channel ? world_message(call->lab->world, channel->id, call_text(call, "ts")) : NULL;

    if (channel && (!message || *message->ephemeral_user))
        *ret_error = "message_not_found";
    else if (message && !message->is_app)
        *ret_error = not_own;
    return *ret_error ? NULL : message;
}

static const char *update(struct call *call)
{
    const char *error = NULL;
    struct message *message = own_message(call, "cant_update_message", &error);

    if (!error)
        error = check_content(call, UPDATE_MAX_CHARS);
    if (!error && (message->stream == STREAM_IN_PROGRESS || message->stream == STREAM_STOPPED))
        error = "streaming_state_conflict";
    if (error)
        return error;
    set_content(call, message);
    json_decref(message->chunks);
    message->chunks = NULL; /* an edit wipes a finished stream's task cards */
    message->edits++;
    events_app_changed(call->lab, message);
    json_object_set_new(call->result, "channel", json_string(message->channel->id));
    json_object_set_new(call->result, "ts", json_string(message->ts));
    json_object_set_new(call->result, "text", json_string(buf_text(&message->text)));
    json_object_set_new(call->result, "message", message_json(message, true));
    return NULL;
}

static const char *delete_message(struct call *call)
{
    const char *error = NULL;
    struct message *message = own_message(call, "cant_delete_message", &error);

    if (error)
        return error;
    message->is_deleted = true;
    if (call->lab->settings.echo)
        json_decref(events_deleted(call->lab, message));
    json_object_set_new(call->result, "channel", json_string(message->channel->id));
    json_object_set_new(call->result, "ts", json_string(message->ts));
    return NULL;
}

static const char *get_permalink(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel", &error);
    const char *ts = call_text(call, "message_ts");
    char url[256];

    if (error)
        return error;
    if (!world_message(call->lab->world, channel->id, ts))
        return "message_not_found";
    snprintf(url, sizeof(url), "%sarchives/%s/p%s", call->lab->base_url, channel->id, ts);
    json_object_set_new(call->result, "channel", json_string(channel->id));
    json_object_set_new(call->result, "permalink", json_string(url));
    return NULL;
}

#define CONTENT "text markdown_text blocks:a attachments:a metadata:o parse link_names:b "
#define LOOKS   "username icon_emoji icon_url "

const struct method api_chat_methods[] = {
    { "chat.postMessage", "chat:write",
      "channel* thread_ts reply_broadcast:b unfurl_links:b unfurl_media:b mrkdwn:b " CONTENT
          LOOKS,
      false, false, post_message },
    { "chat.postEphemeral", "chat:write", "channel* user* thread_ts " CONTENT LOOKS, false,
      false, post_ephemeral },
    { "chat.update", "chat:write", "channel* ts* reply_broadcast:b file_ids:a " CONTENT, false,
      false, update },
    { "chat.delete", "chat:write", "channel* ts*", false, false, delete_message },
    { "chat.getPermalink", "", "channel* message_ts*", true, false, get_permalink },
    { NULL, NULL, NULL, false, false, NULL },
};
