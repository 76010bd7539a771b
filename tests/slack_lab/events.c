#include "tests/slack_lab/events.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/slack_lab/envelope.h"

json_t *events_tell(struct lab *lab, json_t *inner, const char *ts, size_t fragments)
{
    char hex[17];
    char event_id[32];

    random_hex(hex, 5);
    snprintf(event_id, sizeof(event_id), "Ev0%s", hex);

    json_t *payload = json_pack(
        "{s:s, s:s, s:n, s:s, s:s, s:s, s:I, s:s, s:b, s:[{s:n, s:s, s:s, s:b, s:b}], s:o}",
        "token", "legacy-do-not-use", "team_id", LAB_TEAM_ID, "enterprise_id", "api_app_id",
        LAB_APP_ID, "type", "event_callback", "event_id", event_id, "event_time",
        (json_int_t)clock_wall_s(), "event_context", "4-lab", "is_ext_shared_channel", 0,
        "authorizations", "enterprise_id", "team_id", LAB_TEAM_ID, "user_id", LAB_BOT_USER,
        "is_bot", 1, "is_enterprise_install", 0, "event", inner);

    envelopes_send_event(lab->envelopes, payload, ts, fragments);
    return json_string(event_id);
}

static const char *channel_type(const struct channel *channel)
{
    switch (channel->kind) {
    case CHANNEL_PUBLIC:
        return "channel";
    case CHANNEL_PRIVATE:
        return "group";
    case CHANNEL_DIRECT:
        return "im";
    case CHANNEL_GROUP_DIRECT:
        return "mpim";
    }
    return "channel";
}

static json_t *inner_message(struct lab *lab, const struct message *message)
{
    json_t *inner = message_json(message, true);
    struct message *root = world_message(lab->world, message->channel->id, message->thread_ts);

    json_object_del(inner, "reply_count");
    json_object_set_new(inner, "channel", json_string(message->channel->id));
    json_object_set_new(inner, "channel_type", json_string(channel_type(message->channel)));
    json_object_set_new(inner, "event_ts", json_string(message->ts));
    if (root)
        json_object_set_new(inner, "parent_user_id", json_string(root->user));
    if (message->files)
        json_object_set_new(inner, "subtype", json_string("file_share"));
    return inner;
}

/* A mention is the same message without what Slack leaves out of app_mention. */
static json_t *inner_mention(json_t *message)
{
    json_t *mention = json_deep_copy(message);

    json_object_set_new(mention, "type", json_string("app_mention"));
    json_object_del(mention, "channel_type");
    json_object_del(mention, "parent_user_id");
    json_object_del(mention, "files");
    json_object_del(mention, "subtype");
    return mention;
}

static bool mention_goes_first(const struct lab *lab)
{
    if (strcmp(lab->settings.mention_order, "mention") == 0)
        return true;
    return strcmp(lab->settings.mention_order, "message") != 0 && random_below(2) == 0;
}

json_t *events_say(struct lab *lab, const struct message *message, json_t *extra,
                   size_t fragments)
{
    json_t *ids = json_array();
    json_t *inner = inner_message(lab, message);
    char uuid[RANDOM_UUID_BYTES];
    bool mentioned = message->channel->kind != CHANNEL_DIRECT &&
                     strstr(buf_text(&message->text), "<@" LAB_BOT_USER);
    bool first = mentioned && mention_goes_first(lab);

    random_uuid(uuid);
    json_object_set_new(inner, "client_msg_id", json_string(uuid));
    if (lab->settings.agent_surface && message->channel->kind == CHANNEL_DIRECT)
        json_object_set_new(inner, "app_context", json_pack("{s:[]}", "entities"));
    if (extra)
        json_object_update(inner, extra);

    json_t *mention = mentioned ? inner_mention(inner) : NULL;

    if (mention && first)
        json_array_append_new(ids, events_tell(lab, mention, message->ts, fragments));
    json_array_append_new(ids, events_tell(lab, inner, message->ts, fragments));
    if (mention && !first)
        json_array_append_new(ids, events_tell(lab, mention, message->ts, fragments));
    return ids;
}

void events_app_posted(struct lab *lab, const struct message *message)
{
    if (!lab->settings.echo || *message->ephemeral_user)
        return;

    json_t *inner = inner_message(lab, message);

    if (message->stream != STREAM_NONE)
        json_object_set_new(inner, "subtype", json_string("bot_message"));
    json_decref(events_tell(lab, inner, message->ts, 1));
}

static json_t *tell_changed(struct lab *lab, const struct message *message,
                            const char *old_text)
{
    char event_ts[WORLD_TS_BYTES];
    json_t *previous = message_json(message, true);

    world_next_ts(lab->world, event_ts);
    if (old_text)
        json_object_set_new(previous, "text", json_string(old_text));
    return events_tell(lab,
                       json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:o, s:o}", "type",
                                 "message", "subtype", "message_changed", "channel",
                                 message->channel->id, "channel_type",
                                 channel_type(message->channel), "hidden", 1, "ts", event_ts,
                                 "event_ts", event_ts, "message", message_json(message, true),
                                 "previous_message", previous),
                       message->ts, 1);
}

void events_app_changed(struct lab *lab, const struct message *message)
{
    if (lab->settings.echo)
        json_decref(tell_changed(lab, message, NULL));
}

json_t *events_edited(struct lab *lab, const struct message *message, const char *old_text)
{
    return tell_changed(lab, message, old_text);
}

static json_t *tell_tombstone(struct lab *lab, const struct message *message,
                              const char *event_ts)
{
    json_t *tombstone = message_json(message, true);

    json_object_del(tombstone, "blocks");
    json_object_set_new(tombstone, "subtype", json_string("tombstone"));
    json_object_set_new(tombstone, "user", json_string("USLACKBOT"));
    json_object_set_new(tombstone, "text", json_string("This message was deleted."));
    return events_tell(lab,
                       json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:o, s:o}", "type",
                                 "message", "subtype", "message_changed", "channel",
                                 message->channel->id, "channel_type",
                                 channel_type(message->channel), "hidden", 1, "ts", event_ts,
                                 "event_ts", event_ts, "message", tombstone, "previous_message",
                                 message_json(message, true)),
                       message->ts, 1);
}

json_t *events_deleted(struct lab *lab, const struct message *message)
{
    char event_ts[WORLD_TS_BYTES];

    world_next_ts(lab->world, event_ts);
    if (message->replies > 0)
        return tell_tombstone(lab, message, event_ts);
    return events_tell(lab,
                       json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:o}", "type",
                                 "message", "subtype", "message_deleted", "channel",
                                 message->channel->id, "channel_type",
                                 channel_type(message->channel), "hidden", 1, "ts", event_ts,
                                 "event_ts", event_ts, "deleted_ts", message->ts,
                                 "previous_message", message_json(message, true)),
                       message->ts, 1);
}

json_t *events_stop_pressed(struct lab *lab, const char *channel, const char *thread_ts,
                            const char *user, json_t *streaming_ts)
{
    char event_ts[WORLD_TS_BYTES];

    world_next_ts(lab->world, event_ts);
    return events_tell(lab,
                       json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "type",
                                 "agent_session_stopped", "channel", channel, "user", user,
                                 "thread_ts", thread_ts, "streaming_message_ts", streaming_ts,
                                 "event_ts", event_ts),
                       "", 1);
}

json_t *events_reacted(struct lab *lab, const struct message *message, const char *name,
                       const char *user, bool is_added)
{
    char event_ts[WORLD_TS_BYTES];

    if (!strstr(lab->settings.scopes, "reactions:read"))
        return NULL;
    world_next_ts(lab->world, event_ts);
    return events_tell(lab,
                       json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:s}", "type",
                                 is_added ? "reaction_added" : "reaction_removed", "user", user,
                                 "reaction", name, "item_user", message->user, "item", "type",
                                 "message", "channel", message->channel->id, "ts", message->ts,
                                 "event_ts", event_ts),
                       "", 1);
}

/* The element with that action_id ("" is the first that has one), in any block. Borrowed. */
static json_t *find_button(json_t *blocks, const char *action_id, json_t **ret_block)
{
    size_t i, j;
    json_t *block, *element;

    json_array_foreach(blocks, i, block)
    {
        json_array_foreach(json_object_get(block, "elements"), j, element)
        {
            const char *id = json_string_value(json_object_get(element, "action_id"));

            if (id && (!*action_id || strcmp(id, action_id) == 0)) {
                *ret_block = block;
                return element;
            }
        }
    }
    return NULL;
}

json_t *events_click(struct lab *lab, const struct message *message, const char *action_id,
                     const char *user)
{
    json_t *block = NULL;
    json_t *button = find_button(message->blocks, action_id, &block);
    char action_ts[WORLD_TS_BYTES];
    char trigger[48];
    AUTO_FREE char *response_url = NULL;

    if (!button)
        return NULL;
    world_next_ts(lab->world, action_ts);
    snprintf(trigger, sizeof(trigger), "trigger.%s", action_ts);
    response_url = xasprintf("%sresponse/%s", lab->base_url, action_ts);

    json_t *action = json_deep_copy(button);
    json_t *container = json_pack("{s:s, s:s, s:s, s:b}", "type", "message", "message_ts",
                                  message->ts, "channel_id", message->channel->id,
                                  "is_ephemeral", *message->ephemeral_user != '\0');

    if (*message->thread_ts)
        json_object_set_new(container, "thread_ts", json_string(message->thread_ts));
    json_object_set_new(action, "action_ts", json_string(action_ts));
    if (json_object_get(block, "block_id"))
        json_object_set(action, "block_id", json_object_get(block, "block_id"));
    envelopes_send_once(
        lab->envelopes, "interactive",
        json_pack("{s:s, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s}, s:s, s:o, s:{s:s, s:s}, s:o, "
                  "s:s, s:s, s:[o], s:n, s:b}",
                  "type", "block_actions", "user", "id", user, "username", user, "name", user,
                  "team_id", LAB_TEAM_ID, "team", "id", LAB_TEAM_ID, "domain", "lab",
                  "api_app_id", LAB_APP_ID, "container", container, "channel", "id",
                  message->channel->id, "name", message->channel->name, "message",
                  message_json(message, true), "trigger_id", trigger, "response_url",
                  response_url, "actions", action, "enterprise", "is_enterprise_install", 0),
        NULL);
    return json_pack("{s:s, s:s}", "action_ts", action_ts, "trigger_id", trigger);
}
