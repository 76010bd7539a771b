/* Connecting, identity, conversations, people and reactions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/slack_lab/api.h"
#include "tests/slack_lab/events.h"
#include "tests/slack_lab/link.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

static const char *connections_open(struct call *call)
{
    char url[256];

    links_issue_url(call->lab->links, false, url, sizeof(url));
    json_object_set_new(call->result, "url", json_string(url));
    return NULL;
}

static const char *auth_test(struct call *call)
{
    json_auto_t *who =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "url", call->lab->base_url, "team",
                  "Lab", "user", "threadkeeper", "team_id", LAB_TEAM_ID, "user_id",
                  LAB_BOT_USER, "bot_id", LAB_BOT_ID, "is_enterprise_install", 0);

    json_object_update(call->result, who);
    return NULL;
}

/* Is the message within oldest and latest? Timestamps of one length sort as texts. */
static bool is_in_range(const struct call *call, const struct message *message)
{
    const char *oldest = call_text(call, "oldest");
    const char *latest = call_text(call, "latest");
    bool inclusive = call_bool(call, "inclusive");
    int after = strcmp(message->ts, oldest);
    int before = *latest ? strcmp(message->ts, latest) : -1;

    return (after > 0 || (inclusive && after == 0)) &&
           (before < 0 || (inclusive && before == 0));
}

static bool is_visible(const struct message *message)
{
    return !message->is_deleted && !*message->ephemeral_user;
}

/* Puts one page of `all` (adopted) into the result; the cursor is where the next begins. */
static const char *answer_page(struct call *call, json_t *all)
{
    size_t limit = (size_t)call_number(call, "limit", PAGE_DEFAULT);
    size_t from = (size_t)strtoull(call_text(call, "cursor"), NULL, 10);
    size_t count = json_array_size(all);
    json_t *page = json_array();
    char cursor[24] = "";

    if (limit == 0 || limit > PAGE_MAX || from > count) {
        json_decref(page);
        json_decref(all);
        return from > count ? "invalid_cursor" : "invalid_limit";
    }
    for (size_t i = from; i < count && i < from + limit; i++)
        json_array_append(page, json_array_get(all, i));
    if (from + limit < count)
        snprintf(cursor, sizeof(cursor), "%zu", from + limit);
    json_object_set_new(call->result, "messages", page);
    json_object_set_new(call->result, "has_more", json_boolean(*cursor));
    json_object_set_new(call->result, "response_metadata",
                        json_pack("{s:s}", "next_cursor", cursor));
    json_decref(all);
    return NULL;
}

static const char *replies(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel", &error);
    const char *ts = call_text(call, "ts");
    bool metadata = call_bool(call, "include_all_metadata");

    if (error)
        return error;
    if (!world_message(call->lab->world, channel->id, ts))
        return "thread_not_found";

    json_t *all = json_array();

    for (size_t i = 0; i < channel->message_count; i++) {
        const struct message *message = channel->messages[i];
        bool is_root = strcmp(message->ts, ts) == 0;

        if (is_visible(message) &&
            (is_root || (strcmp(message->thread_ts, ts) == 0 && is_in_range(call, message))))
            json_array_append_new(all, message_json(message, metadata));
    }
    return answer_page(call, all);
}

static const char *history(struct call *call)
{
    const char *error = NULL;
    struct channel *channel = call_channel(call, "channel", &error);
    bool metadata = call_bool(call, "include_all_metadata");

    if (error)
        return error;

    json_t *all = json_array();

    for (size_t i = channel->message_count; i-- > 0;) {
        const struct message *message = channel->messages[i];
        bool is_reply = *message->thread_ts && strcmp(message->thread_ts, message->ts) != 0;

        if (is_visible(message) && !is_reply && is_in_range(call, message))
            json_array_append_new(all, message_json(message, metadata));
    }
    return answer_page(call, all);
}

static const char *conversations_info(struct call *call)
{
    struct channel *channel = world_channel(call->lab->world, call_text(call, "channel"));

    if (!channel)
        return "channel_not_found";
    json_object_set_new(call->result, "channel", channel_json(channel));
    return NULL;
}

static const char *conversations_open(struct call *call)
{
    const char *users = call_text(call, "users");
    struct channel *channel, *next;

    if (!world_user(call->lab->world, users))
        return "user_not_found";
    HASH_ITER(hh, call->lab->world->channels, channel, next)
    {
        if (channel->kind == CHANNEL_DIRECT && strcmp(channel->user, users) == 0)
            break;
    }
    if (!channel) {
        char id[WORLD_ID_BYTES + 1];

        snprintf(id, sizeof(id), "D%.*s", WORLD_ID_BYTES - 2, users + 1);
        channel = world_add_channel(call->lab->world, id, "", CHANNEL_DIRECT, users);
    }
    json_object_set_new(call->result, "channel", json_pack("{s:s}", "id", channel->id));
    return NULL;
}

static const char *conversations_list(struct call *call)
{
    json_t *all = json_array();
    struct channel *channel, *next;

    HASH_ITER(hh, call->lab->world->channels, channel, next)
    json_array_append_new(all, channel_json(channel));
    json_object_set_new(call->result, "channels", all);
    json_object_set_new(call->result, "response_metadata",
                        json_pack("{s:s}", "next_cursor", ""));
    return NULL;
}

static const char *conversations_join(struct call *call)
{
    struct channel *channel = world_channel(call->lab->world, call_text(call, "channel"));

    if (!channel)
        return "channel_not_found";
    if (channel->kind != CHANNEL_PUBLIC)
        return "method_not_supported_for_channel_type";
    channel->bot_is_member = true;
    json_object_set_new(call->result, "channel", channel_json(channel));
    return NULL;
}

static const char *users_info(struct call *call)
{
    struct user *user = world_user(call->lab->world, call_text(call, "user"));

    if (!user)
        return "user_not_found";
    json_object_set_new(call->result, "user", user_json(user));
    return NULL;
}

static const char *bots_info(struct call *call)
{
    if (strcmp(call_text(call, "bot"), LAB_BOT_ID) != 0)
        return "bot_not_found";
    json_object_set_new(call->result, "bot",
                        json_pack("{s:s, s:s, s:s, s:s}", "id", LAB_BOT_ID, "app_id",
                                  LAB_APP_ID, "user_id", LAB_BOT_USER, "name", "threadkeeper"));
    return NULL;
}

static struct message *reaction_target(struct call *call, const char **ret_error)
{
    struct channel *channel = call_channel(call, "channel", ret_error);
    const char *name = call_text(call, "name");
    struct message *message =
        channel ? world_message(call->lab->world, channel->id, call_text(call, "timestamp"))
                : NULL;

    if (channel && !message)
        *ret_error = "message_not_found";
    else if (message &&
             strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_+-'") != strlen(name))
        *ret_error = "invalid_name";
    return *ret_error ? NULL : message;
}

/* An app hears of its own reactions, too. */
static void tell_reaction(struct call *call, const struct message *message, bool is_added)
{
    if (call->lab->settings.echo)
        json_decref(events_reacted(call->lab, message, call_text(call, "name"), LAB_BOT_USER,
                                   is_added));
}

static const char *add_reaction(struct call *call)
{
    const char *error = NULL;
    struct message *message = reaction_target(call, &error);

    if (!error && !message_react(message, call_text(call, "name"), LAB_BOT_USER))
        error = "already_reacted";
    if (!error)
        tell_reaction(call, message, true);
    return error;
}

static const char *remove_reaction(struct call *call)
{
    const char *error = NULL;
    struct message *message = reaction_target(call, &error);

    if (!error && !message_unreact(message, call_text(call, "name"), LAB_BOT_USER))
        error = "no_reaction";
    if (!error)
        tell_reaction(call, message, false);
    return error;
}

#define RANGE "cursor limit:n oldest latest inclusive:b include_all_metadata:b"
#define READS "channels:history groups:history im:history mpim:history"
#define INFOS "channels:read groups:read im:read mpim:read"

const struct method api_other_methods[] = {
    { "apps.connections.open", "connections:write", "", false, true, connections_open },
    { "auth.test", "", "", false, false, auth_test },
    { "conversations.replies", READS, "channel* ts* " RANGE, true, false, replies },
    { "conversations.history", READS, "channel* " RANGE, true, false, history },
    { "conversations.info", INFOS, "channel* include_locale:b include_num_members:b", true,
      false, conversations_info },
    { "conversations.open", "im:write mpim:write", "users* return_im:b", false, false,
      conversations_open },
    { "conversations.list", INFOS, "types cursor limit:n exclude_archived:b", true, false,
      conversations_list },
    { "conversations.join", "channels:join", "channel*", false, false, conversations_join },
    { "users.info", "users:read", "user* include_locale:b", true, false, users_info },
    { "bots.info", "users:read", "bot*", true, false, bots_info },
    { "reactions.add", "reactions:write", "channel* timestamp* name*", false, false,
      add_reaction },
    { "reactions.remove", "reactions:write", "channel* timestamp* name*", false, false,
      remove_reaction },
    { NULL, NULL, NULL, false, false, NULL },
};
