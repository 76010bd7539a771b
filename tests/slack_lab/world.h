/*
 * world.h - who and what there is in the lab's workspace: people, channels, messages, statuses
 * and agent sessions. It knows no protocol.
 *
 * Everything lives until world_free(); a deleted message stays as `is_deleted`. Channels and
 * people whose id holds "LOAD" come into being when they are first named, so that a load of
 * any size has real conversations; so do their messages.
 */
#ifndef SLACK_LAB_WORLD_H
#define SLACK_LAB_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/buf.h"

#define WORLD_ID_BYTES 32
#define WORLD_TS_BYTES 32

enum channel_kind { CHANNEL_PUBLIC, CHANNEL_PRIVATE, CHANNEL_DIRECT, CHANNEL_GROUP_DIRECT };

struct user {
    char id[WORLD_ID_BYTES];
    char name[64];
    bool is_bot;
    bool is_guest;
    bool is_deleted;
    UT_hash_handle hh;
};

struct channel {
    char id[WORLD_ID_BYTES];
    char name[64];
    enum channel_kind kind;
    char user[WORLD_ID_BYTES]; /* a direct message's person */
    bool bot_is_member;
    bool is_archived;
    int64_t last_post_us;      /* by the app, for the pacing of chat.postMessage */
    struct message **messages; /* oldest first */
    size_t message_count;
    size_t message_capacity;
    UT_hash_handle hh;
};

enum stream_state {
    STREAM_NONE,
    STREAM_IN_PROGRESS,
    STREAM_STOPPED, /* the person pressed Stop; the app has not closed it yet */
    STREAM_COMPLETED,
    STREAM_ERRORED, /* its life was over */
};

struct message {
    char key[2 * WORLD_ID_BYTES]; /* "channel/ts" */
    char ts[WORLD_TS_BYTES];
    char thread_ts[WORLD_TS_BYTES]; /* "" for a message that is not in a thread */
    struct channel *channel;
    char user[WORLD_ID_BYTES];
    char ephemeral_user[WORLD_ID_BYTES]; /* "" for a message that all can see */
    bool is_app;                         /* by the app itself */
    bool is_deleted;
    bool is_markdown;
    unsigned edits;
    unsigned replies;
    struct buf text;
    json_t *blocks; /* NULL or an array */
    json_t *chunks; /* task and plan chunks of a stream: NULL or an array */
    json_t *metadata;
    json_t *files;     /* NULL or an array */
    json_t *reactions; /* array of {"name":..,"users":[..]} */
    enum stream_state stream;
    int64_t stream_started_us;
    size_t stream_bytes;
    UT_hash_handle hh;
};

struct status {
    char key[2 * WORLD_ID_BYTES]; /* "channel/thread_ts" */
    char channel[WORLD_ID_BYTES];
    char thread_ts[WORLD_TS_BYTES];
    char *text; /* "" when none */
    json_t *loading_messages;
    int64_t set_us;
    char session[16]; /* "", active, processing, suspended, closed */
    char title[256];
    UT_hash_handle hh;
};

struct world {
    struct user *users;
    struct channel *channels;
    struct message *messages;
    struct status *statuses;
    int64_t last_ts_us;
};

struct world *world_new(void);
void world_free(struct world *world);

/* The next timestamp: wall time in microseconds, never twice the same. */
void world_next_ts(struct world *world, char ret_ts[WORLD_TS_BYTES]);

struct user *world_user(struct world *world, const char *id); /* NULL: no such person */
struct user *world_add_user(struct world *world, const char *id, const char *name);
struct channel *world_channel(struct world *world, const char *id); /* NULL: no such */
struct channel *world_add_channel(struct world *world, const char *id, const char *name,
                                  enum channel_kind kind, const char *user);

struct message *world_message(struct world *world, const char *channel, const char *ts);

/* A new message with its own ts; thread_ts "" puts it into the channel itself. */
struct message *world_add_message(struct world *world, struct channel *channel,
                                  const char *user, const char *thread_ts);
void message_set_text(struct message *message, const char *text);

/* False when that person had (add) or had not (remove) reacted so. */
bool message_react(struct message *message, const char *name, const char *user);
bool message_unreact(struct message *message, const char *name, const char *user);

const char *stream_state_name(enum stream_state state);

/* The message as the API and events show it; new. */
json_t *message_json(const struct message *message, bool with_metadata);
json_t *channel_json(const struct channel *channel);
json_t *user_json(const struct user *user);

/* The thread's status, made when `create`; else NULL when there never was one. */
struct status *world_status(struct world *world, const char *channel, const char *thread_ts,
                            bool create);
void status_clear(struct status *status);

#endif
