/*
 * twins.h - Slack tells of a mention twice, as app_mention and as message, in any order; only
 * the second is sure to name the files. Whoever took the first waits here a moment for the
 * other.
 *
 * Owns:    the places of the last messages seen.
 * Threads: any.
 */
#ifndef BOT_TWINS_H
#define BOT_TWINS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct twins;

struct twins *twins_new(void);
void twins_free(struct twins *twins); /* NULL is fine; nobody may wait */

/* The `message` copy is in the ledger, or has completed what was there. */
void twins_note(struct twins *twins, const char *channel, const char *ts);

/*
 * Waits until the copy was noted, at most `limit_ms` or until *is_stopping. False when it was
 * not: after three in a row it is no longer waited for, until one comes again (an app that is
 * not subscribed to message events never gets any).
 */
bool twins_wait(struct twins *twins, const char *channel, const char *ts, int64_t limit_ms,
                const atomic_bool *is_stopping);

#endif
