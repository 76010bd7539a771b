/*
 * courier.h - small Slack calls that nobody waits for: the reaction that says "seen". They have
 * a thread and a bounded queue of their own, so that a rate limit on them delays nothing else;
 * what does not fit is dropped and counted.
 *
 * Owns:    one thread, one slack_web.
 * Threads: any for courier_react().
 */
#ifndef BOT_COURIER_H
#define BOT_COURIER_H

#include "base/metrics.h"
#include "slack/web.h"

struct courier;

struct courier *courier_new(const char *api_url, const char *bot_token,
                            struct slack_limits *limits, struct metrics *metrics);
void courier_free(
    struct courier *courier); /* NULL is fine; stops the thread, drops what waits */

/* Adds reaction `name` to a message, soon. */
void courier_react(struct courier *courier, const char *channel, const char *ts,
                   const char *name);

#endif
