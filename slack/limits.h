/*
 * limits.h - pacing: one bucket per Web API method, and one per channel for chat.postMessage.
 *
 * Slack's tiers are per method, workspace and app ("Rate limits"), so all threads share one
 * table. Buckets start full with a burst that an ordinary answer never exhausts. A 429 freezes
 * one method; for chat.postMessage first the channel, and the method only when a second channel
 * is refused while the first is frozen.
 *
 * struct slack_limits, slack_limits_new() and slack_limits_free() are in slack/web.h.
 *
 * Threads: any.
 */
#ifndef SLACK_LIMITS_H
#define SLACK_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "slack/web.h"

enum slack_count {
    SLACK_COUNT_CALLS,
    SLACK_COUNT_FAILED,  /* calls that ended in -1 */
    SLACK_COUNT_RETRIES, /* requests after the first of a call */
    SLACK_COUNT_LIMITED, /* refused with 429 */
    SLACK_COUNT_PACED,   /* waits before a request, so that it would not be refused */
};

/*
 * Takes one token and returns 0, or takes nothing and returns how many milliseconds to wait
 * before asking again. `channel` may be "".
 */
int64_t slack_limits_take(struct slack_limits *limits, const char *method, const char *channel,
                          int64_t now_ms);

/*
 * Is there room for an agents.sessions.setStatus that may as well be left out? Enough stays for
 * those that may not. Takes nothing.
 */
bool slack_limits_have_spare_session(struct slack_limits *limits, int64_t now_ms);

/* Slack refused with 429: nothing more of this kind until `until_ms`. */
void slack_limits_freeze(struct slack_limits *limits, const char *method, const char *channel,
                         int64_t now_ms, int64_t until_ms);

void slack_limits_count(struct slack_limits *limits, enum slack_count count);

#endif
