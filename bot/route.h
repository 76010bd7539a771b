/*
 * route.h - decides what an event is to us: a message for the agent, a command for the desk, a
 * button, or nothing. A pure function of the event, our identity and the configuration.
 *
 * Owns:    the strings of a struct route, until route_deinit().
 * Threads: any; route_guard belongs to the loop.
 */
#ifndef BOT_ROUTE_H
#define BOT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "slack/event.h"
#include "slack/web.h"

enum route_verdict {
    ROUTE_IGNORE,
    ROUTE_REFUSE,    /* addressed to us by somebody who may not: tell them, once in a while */
    ROUTE_MESSAGE,   /* for the agent */
    ROUTE_COMMAND,   /* !help and its like, for the desk */
    ROUTE_STOP,      /* Slack's Stop button */
    ROUTE_STOP_SIGN, /* a stop sign as a reaction to a message */
    ROUTE_RETRY,     /* our Retry button; `argument` holds the ledger ids, comma-separated */
    ROUTE_DELETED,   /* a message is gone: withdraw it if it still waits */
    ROUTE_DEAD,      /* the app was uninstalled or its tokens revoked */
};

#define ROUTE_RETRY_ACTION "threadkeeper_retry"

struct route {
    enum route_verdict verdict;
    const char *reason;   /* for the log and for ROUTE_REFUSE; a constant */
    bool only_if_engaged; /* holds only if the bot is in that thread (the ledger knows) */
    bool engages;         /* from now on it is */
    bool is_from_bot;
    char *conversation; /* the memory key */
    char *reply_thread; /* thread_ts of the answer, "" answers flat */
    char *parent;       /* key of the conversation it may start from, "" for none */
    char *parent_until; /* ... and up to which ts */
    char *text;         /* plain */
    char *argument;     /* ROUTE_COMMAND: "word arguments"; ROUTE_RETRY: the ids */
};

void route_event(const struct slack_event *event, const struct slack_identity *self,
                 const struct config *config, struct route *ret_route);
void route_deinit(struct route *route); /* safe on a zeroed struct, and twice */

/* Whether a user is among access.admins. */
bool route_is_admin(const struct config *config, const char *user);

/*
 * Counts messages of other bots in a row in one thread; a person's message starts anew. False
 * when a bot has had its share (ROUTE_BOT_TURNS_MAX), so that two bots cannot talk for ever.
 */
#define ROUTE_BOT_TURNS_MAX 5
struct route_guard;
struct route_guard *route_guard_new(void);
void route_guard_free(struct route_guard *guard); /* NULL is fine */
bool route_guard_allows(struct route_guard *guard, const char *conversation, bool is_from_bot);

#endif
