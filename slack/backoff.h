/*
 * backoff.h - how soon to try again: growing jittered delays, and a bucket that no bug can
 * outrun.
 *
 * Slack rates apps.connections.open as Tier 1 (about one a minute, small bursts). The bucket
 * allows a burst, enough for the start of all links and for quick replacements, and then one
 * request every few seconds, which is above the documented rate on purpose: a 429 with its
 * Retry-After is the finer brake, the bucket only stops a storm.
 *
 * Owns:    nothing; plain structs of the caller.
 * Threads: any, one at a time.
 */
#ifndef SLACK_BACKOFF_H
#define SLACK_BACKOFF_H

#include <stdint.h>

#define SLACK_BUCKET_BURST     10
#define SLACK_BUCKET_REFILL_MS 6000

struct slack_bucket {
    int64_t empty_since_ms; /* when it would have been empty: age / refill = tokens */
};

void slack_bucket_init(struct slack_bucket *bucket, int64_t now_ms); /* starts full */

/* 0: a token is taken. Else the milliseconds until there is one, and nothing is taken. */
int64_t slack_bucket_take(struct slack_bucket *bucket, int64_t now_ms);

enum slack_retry {
    SLACK_RETRY_SOON,     /* full jitter, 1 s doubling to 60 s */
    SLACK_RETRY_SLOWLY,   /* the same to 300 s: too_many_websockets */
    SLACK_RETRY_PATIENTLY /* minutes from the start: link_disabled, a human must act first */
};

/* The delay before attempt number `failures` + 1, at least 1 ms. */
int64_t slack_backoff_delay_ms(enum slack_retry retry, unsigned failures);

#endif
