/*
 * catchup.h - after an outage, asks Slack what was said meanwhile.
 *
 * Slack sends an event that nobody takes three more times, the last one some five minutes
 * later, and then forgets it ("The Events API", retries). So when no link was READY for longer,
 * or the last message on disk is older at the start, one short-lived thread reads what was said
 * since the newest message that we know: in the threads and direct messages of the day before
 * the gap (CATCHUP_PLACES_MAX at most, the newest first) and in the channels that they stand
 * in. What it finds takes the way of any other message (intake_message()): the same guards,
 * and the ledger's (team, channel, ts) keeps one from being answered twice, whether Slack's own
 * late delivery comes before or after.
 *
 *   links gone -> back after a long gap -> "owed since" on disk -> places from the ledger
 *     -> a page at a time from Slack -> loop -> intake -> ledger -> dispatcher -> paid
 *
 * What is owed stays owed until it is paid: over failures of Slack and of the disk (tried again
 * a few times, then when the links are next back), and over a restart. A place that Slack
 * refuses (no scope, not in the channel) is logged once and passed over.
 *
 * Owns:    its thread and the file state_dir/catchup.
 * Threads: loop for catchup_links(), startup and shutdown for the rest.
 */
#ifndef BOT_CATCHUP_H
#define BOT_CATCHUP_H

#include <stdint.h>

struct app;
struct catchup;

#define CATCHUP_PLACES_MAX 50

struct catchup_options {
    int64_t gap_ms;   /* shorter gaps are left to Slack's own retries */
    int64_t pause_ms; /* before each call: Slack's tier 3 and no more, so that turns find the
                         bucket full */
    int64_t retry_ms; /* before what failed is tried again */
};
#define CATCHUP_OPTIONS_DEFAULT                                                         \
    {                                                                                   \
        .gap_ms = INT64_C(5) * 60 * 1000, .pause_ms = 1200, .retry_ms = INT64_C(30000), \
    }

struct catchup *catchup_new(struct app *app, const struct catchup_options *options);

/* The number of READY links changed; the first time one is, the gap since the last message on
 * disk counts. */
void catchup_links(struct catchup *catchup, unsigned ready, int64_t now_ms);

/* Waits for the thread, which ends within a second once app->is_stopping is set. NULL is fine.
 */
void catchup_join(struct catchup *catchup);

/* Join first; the loop's mailbox and the journal must be empty of what it sent. NULL is fine.
 */
void catchup_free(struct catchup *catchup);

#endif
