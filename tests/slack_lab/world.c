#include "tests/slack_lab/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/slack_lab/lab.h"

#define TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)

struct world *world_new(void)
{
    struct world *world = xcalloc(1, sizeof(*world));

    world_add_user(world, LAB_BOT_USER, "threadkeeper")->is_bot = true;
    world_add_user(world, "U0ALICE", "Alice");
    world_add_user(world, "U0BOB", "Bob");
    world_add_user(world, "U0GUEST", "Guest")->is_guest = true;
    world_add_channel(world, "C0GENERAL", "general", CHANNEL_PUBLIC, "");
    world_add_channel(world, "C0DEV", "dev", CHANNEL_PUBLIC, "");
    world_add_channel(world, "D0ALICE", "", CHANNEL_DIRECT, "U0ALICE");
    world_add_channel(world, "D0BOB", "", CHANNEL_DIRECT, "U0BOB");
    return world;
}

static void message_free(struct message *message)
{
    buf_deinit(&message->text);
    json_decref(message->blocks);
    json_decref(message->chunks);
    json_decref(message->metadata);
    json_decref(message->files);
    json_decref(message->reactions);
    free(message);
}

void world_free(struct world *world)
{
    if (!world)
        return;

    /* Only the table goes here; the items keep their order and are freed one by one. */
    struct user *user = world->users;
    struct channel *channel = world->channels;
    struct message *message = world->messages;
    struct status *status = world->statuses;

    HASH_CLEAR(hh, world->users);
    HASH_CLEAR(hh, world->channels);
    HASH_CLEAR(hh, world->messages);
    HASH_CLEAR(hh, world->statuses);
    for (struct user *next; user; user = next) {
        next = user->hh.next;
        free(user);
    }
    for (struct message *next; message; message = next) {
        next = message->hh.next;
        message_free(message);
    }
    for (struct channel *next; channel; channel = next) {
        next = channel->hh.next;
        free(channel->messages);
        free(channel);
    }
    for (struct status *next; status; status = next) {
        next = status->hh.next;
        free(status->text);
        json_decref(status->loading_messages);
        free(status);
    }
    free(world);
}

void world_next_ts(struct world *world, char ret_ts[WORLD_TS_BYTES])
{
    int64_t now = clock_wall_us();

    if (now <= world->last_ts_us)
        now = world->last_ts_us + 1;
    world->last_ts_us = now;
    snprintf(ret_ts, WORLD_TS_BYTES, "%lld.%06lld", (long long)(now / 1000000),
             (long long)(now % 1000000));
}

struct user *world_add_user(struct world *world, const char *id, const char *name)
{
    struct user *user = xcalloc(1, sizeof(*user));

    snprintf(user->id, sizeof(user->id), "%s", id);
    snprintf(user->name, sizeof(user->name), "%s", name);
    HASH_ADD_STR(world->users, id, user);
    return user;
}

struct user *world_user(struct world *world, const char *id)
{
    struct user *user = NULL;

    HASH_FIND_STR(world->users, id, user);
    if (!user && *id == 'U' && strstr(id, "LOAD") && strlen(id) < WORLD_ID_BYTES)
        user = world_add_user(world, id, id);
    return user;
}

struct channel *world_add_channel(struct world *world, const char *id, const char *name,
                                  enum channel_kind kind, const char *user)
{
    struct channel *channel = xcalloc(1, sizeof(*channel));

    snprintf(channel->id, sizeof(channel->id), "%s", id);
    snprintf(channel->name, sizeof(channel->name), "%s", name);
    snprintf(channel->user, sizeof(channel->user), "%s", user);
    channel->kind = kind;
    channel->bot_is_member = true;
    HASH_ADD_STR(world->channels, id, channel);
    return channel;
}

struct channel *world_channel(struct world *world, const char *id)
{
    struct channel *channel = NULL;

    HASH_FIND_STR(world->channels, id, channel);
    if (!channel && strstr(id, "LOAD") && strlen(id) < WORLD_ID_BYTES) {
        char user[WORLD_ID_BYTES + 1];

        snprintf(user, sizeof(user), "U%s", id + 1);
        channel = world_add_channel(world, id, id, *id == 'D' ? CHANNEL_DIRECT : CHANNEL_PUBLIC,
                                    *id == 'D' ? user : "");
    }
    return channel;
}

static struct message *insert_message(struct world *world, struct channel *channel,
                                      const char *ts)
{
    struct message *message = xcalloc(1, sizeof(*message));

    message->channel = channel;
    snprintf(message->ts, sizeof(message->ts), "%s", ts);
    snprintf(message->key, sizeof(message->key), "%s/%s", channel->id, ts);
    buf_init(&message->text, TEXT_MAX_BYTES);
    message->reactions = json_array();
    HASH_ADD_STR(world->messages, key, message);
    if (channel->message_count == channel->message_capacity) {
        channel->message_capacity = 2 * channel->message_capacity + 16;
        channel->messages =
            xrealloc(channel->messages, channel->message_capacity, sizeof(struct message *));
    }
    channel->messages[channel->message_count++] = message;
    return message;
}

struct message *world_message(struct world *world, const char *channel, const char *ts)
{
    char key[2 * WORLD_ID_BYTES];
    struct message *message = NULL;
    int len = snprintf(key, sizeof(key), "%s/%s", channel, ts);

    if (len < 0 || (size_t)len >= sizeof(key))
        return NULL;
    HASH_FIND_STR(world->messages, key, message);
    if (!message && strstr(channel, "LOAD") && strspn(ts, "0123456789.") == strlen(ts) &&
        strlen(ts) == 17) {
        message = insert_message(world, world_channel(world, channel), ts);
        snprintf(message->user, sizeof(message->user), "U%s", channel + 1);
    }
    return message && !message->is_deleted ? message : NULL;
}

struct message *world_add_message(struct world *world, struct channel *channel,
                                  const char *user, const char *thread_ts)
{
    char ts[WORLD_TS_BYTES];
    struct message *message;

    world_next_ts(world, ts);
    message = insert_message(world, channel, ts);
    snprintf(message->user, sizeof(message->user), "%s", user);
    snprintf(message->thread_ts, sizeof(message->thread_ts), "%s", thread_ts);
    if (*thread_ts) {
        struct message *root = world_message(world, channel->id, thread_ts);

        if (root)
            root->replies++;
    }
    return message;
}

void message_set_text(struct message *message, const char *text)
{
    buf_clear(&message->text);
    buf_append_text(&message->text, text);
}

static json_t *find_reaction(const struct message *message, const char *name)
{
    size_t i;
    json_t *reaction;

    json_array_foreach(message->reactions, i, reaction)
    {
        if (strcmp(json_string_value(json_object_get(reaction, "name")), name) == 0)
            return reaction;
    }
    return NULL;
}

static size_t find_text(const json_t *array, const char *text)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        if (strcmp(json_string_value(item), text) == 0)
            return i;
    }
    return SIZE_MAX;
}

bool message_react(struct message *message, const char *name, const char *user)
{
    json_t *reaction = find_reaction(message, name);

    if (!reaction) {
        reaction = json_pack("{s:s, s:[]}", "name", name, "users");
        json_array_append_new(message->reactions, reaction);
    }
    if (find_text(json_object_get(reaction, "users"), user) != SIZE_MAX)
        return false;
    json_array_append_new(json_object_get(reaction, "users"), json_string(user));
    return true;
}

bool message_unreact(struct message *message, const char *name, const char *user)
{
    json_t *reaction = find_reaction(message, name);
    json_t *users = json_object_get(reaction, "users");
    size_t at = find_text(users, user);

    if (!reaction || at == SIZE_MAX)
        return false;
    json_array_remove(users, at);
    if (json_array_size(users) == 0) {
        size_t i;
        json_t *other;

        json_array_foreach(message->reactions, i, other)
        {
            if (other == reaction) {
                json_array_remove(message->reactions, i);
                break;
            }
        }
    }
    return true;
}

const char *stream_state_name(enum stream_state state)
{
    switch (state) {
    case STREAM_NONE:
        return "";
    case STREAM_IN_PROGRESS:
        return "in_progress";
    case STREAM_STOPPED:
        return "stopped";
    case STREAM_COMPLETED:
        return "completed";
    case STREAM_ERRORED:
        return "errored";
    }
    return "";
}

static void add_app_fields(const struct message *message, json_t *json)
{
    json_object_set_new(json, "bot_id", json_string(LAB_BOT_ID));
    json_object_set_new(json, "app_id", json_string(LAB_APP_ID));
    json_object_set_new(json, "bot_profile",
                        json_pack("{s:s, s:s, s:s, s:s}", "id", LAB_BOT_ID, "app_id",
                                  LAB_APP_ID, "name", "threadkeeper", "team_id", LAB_TEAM_ID));
    if (message->stream != STREAM_NONE)
        json_object_set_new(json, "streaming_state",
                            json_string(message->stream == STREAM_STOPPED
                                            ? "in_progress"
                                            : stream_state_name(message->stream)));
}

json_t *message_json(const struct message *message, bool with_metadata)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s#, s:s}", "type", "message", "ts", message->ts,
                             "user", message->user, "text", buf_text(&message->text),
                             (int)message->text.len, "team", LAB_TEAM_ID);

    if (*message->thread_ts || message->replies > 0)
        json_object_set_new(
            json, "thread_ts",
            json_string(*message->thread_ts ? message->thread_ts : message->ts));
    if (message->replies > 0)
        json_object_set_new(json, "reply_count", json_integer(message->replies));
    if (message->blocks)
        json_object_set(json, "blocks", message->blocks);
    if (json_array_size(message->reactions) > 0)
        json_object_set_new(json, "reactions", json_deep_copy(message->reactions));
    if (message->edits > 0)
        json_object_set_new(json, "edited",
                            json_pack("{s:s, s:s}", "user", message->user, "ts", message->ts));
    if (with_metadata && message->metadata)
        json_object_set(json, "metadata", message->metadata);
    if (message->files)
        json_object_set(json, "files", message->files);
    if (message->is_app)
        add_app_fields(message, json);
    return json;
}

json_t *channel_json(const struct channel *channel)
{
    bool direct = channel->kind == CHANNEL_DIRECT;
    json_t *json =
        json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "id", channel->id, "is_im",
                  direct, "is_mpim", channel->kind == CHANNEL_GROUP_DIRECT, "is_channel",
                  channel->kind == CHANNEL_PUBLIC, "is_private",
                  channel->kind == CHANNEL_PRIVATE, "is_archived", channel->is_archived,
                  "is_ext_shared", 0, "is_member", channel->bot_is_member);

    if (direct)
        json_object_set_new(json, "user", json_string(channel->user));
    else
        json_object_set_new(json, "name", json_string(channel->name));
    json_object_set_new(json, "topic", json_pack("{s:s}", "value", ""));
    json_object_set_new(json, "purpose", json_pack("{s:s}", "value", ""));
    return json;
}

json_t *user_json(const struct user *user)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:{s:s, s:s}}", "id",
                     user->id, "team_id", LAB_TEAM_ID, "name", user->name, "real_name",
                     user->name, "tz", "Etc/UTC", "locale", "en-US", "deleted",
                     user->is_deleted, "is_bot", user->is_bot, "is_restricted", user->is_guest,
                     "is_ultra_restricted", 0, "profile", "display_name", user->name,
                     "real_name", user->name);
}

struct status *world_status(struct world *world, const char *channel, const char *thread_ts,
                            bool create)
{
    char key[2 * WORLD_ID_BYTES];
    struct status *status = NULL;

    snprintf(key, sizeof(key), "%s/%s", channel, thread_ts);
    HASH_FIND_STR(world->statuses, key, status);
    if (status || !create)
        return status;
    status = xcalloc(1, sizeof(*status));
    memcpy(status->key, key, sizeof(key));
    snprintf(status->channel, sizeof(status->channel), "%s", channel);
    snprintf(status->thread_ts, sizeof(status->thread_ts), "%s", thread_ts);
    status->text = xstrdup("");
    HASH_ADD_STR(world->statuses, key, status);
    return status;
}

void status_clear(struct status *status)
{
    if (!status)
        return;
    free(status->text);
    status->text = xstrdup("");
    json_decref(status->loading_messages);
    status->loading_messages = NULL;
}
