/*
 * lab.h - the lab: a strict Slack on loopback, and all that its rooms share.
 *
 * world    who and what there is: people, channels, messages, statuses
 * api*     the Web API under /api/
 * link     Socket Mode: tickets, envelopes, acks, redelivery
 * events   what happens in the world, told as events
 * faults   misbehaving on command
 * files    what people send and the app uploads
 * control  /lab/..., for tests and for the page
 * journal  everything that happened, in order
 *
 * Owns:    everything, from main() until the process ends.
 * Threads: one; every function of the lab runs on it.
 */
#ifndef SLACK_LAB_LAB_H
#define SLACK_LAB_LAB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_TEAM_ID   "T0LAB"
#define LAB_APP_ID    "A0LAB"
#define LAB_BOT_ID    "B0BOT"
#define LAB_BOT_USER  "U0BOT"
#define LAB_APP_TOKEN "xapp-1-A0LAB-100-0123456789abcdef0123456789abcdef"
#define LAB_BOT_TOKEN "xoxb-100-200-labLabLabLabLabLabLabLab"

#define LAB_BODY_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define LAB_RETRIES_MAX    3

struct lws_context;
struct journal;
struct world;
struct links;
struct envelopes;
struct faults;
struct files;
struct load;
struct requests;

/* What /lab/settings may change; the defaults are Slack's own numbers. */
struct settings {
    int64_t ack_timeout_ms;
    int64_t redeliver_delays_ms[LAB_RETRIES_MAX];
    int64_t ping_interval_ms;
    int64_t pong_timeout_ms;
    int64_t connection_time_s; /* approximate_connection_time; the link is recycled then */
    int64_t refresh_close_ms;  /* from a disconnect message to the close */
    int64_t ticket_life_ms;
    int64_t max_links;
    int64_t stream_life_ms;
    int64_t stream_cap_bytes;
    int64_t status_life_ms;
    int64_t post_interval_ms; /* per channel, for chat.postMessage; 0: not limited */
    int64_t clock_ahead_s;    /* of Slack's clock, as its Date says */
    bool hello;               /* false: a new link is left without a word */
    bool echo;                /* tell the app about its own messages too */
    bool streams;             /* false: chat.*Stream answer unknown_method */
    bool cards;               /* false: streams refuse task_update chunks */
    bool sessions;            /* false: agents.sessions.* answer feature_disabled */
    bool agent_surface;       /* direct messages come from the agent view */
    char mention_order[16];   /* random | mention | message: which copy goes first */
    char scopes[1024];        /* granted to the bot token */
    char token_error[48];     /* what every bot token call answers; "" for none */
    char app_token_error[48];
};

struct lab {
    struct lws_context *lws;
    int port;
    char base_url[64]; /* http://127.0.0.1:PORT/ */
    int64_t started_us;
    struct settings settings;
    struct journal *journal;
    struct world *world;
    struct links *links;
    struct envelopes *envelopes;
    struct faults *faults;
    struct files *files;
    struct load *load;
    struct requests *requests;
};

void settings_init(struct settings *settings);

/* Changes what `changes` names. NULL, or the name of the first key that is wrong. */
const char *settings_apply(struct settings *settings, json_t *changes);
json_t *settings_json(const struct settings *settings); /* new */

#endif
