/*
 * ledger.h - the rows of what was received: deduplicated by event_id and by (team, channel,
 * ts), RECEIVED -> RUNNING -> DONE | FAILED | CANCELLED, kept for 48 hours so that a delivery
 * repeated by Slack (minutes to a day later) is still known; and the threads the bot is in.
 *
 * Owns:    nothing beyond its counters; borrows journal and readers.
 * Threads: said in memory.h at the function of the same meaning.
 */
#ifndef MEMORY_LEDGER_H
#define MEMORY_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metrics.h"
#include "memory/db.h"
#include "memory/journal.h"
#include "memory/memory.h"
#include "memory/readers.h"

#define LEDGER_KEPT_US   (INT64_C(48) * 3600 * 1000000)
#define LEDGER_ENGAGED_S (INT64_C(90) * 24 * 3600)

struct ledger;

/* `writer` is used here only, before the journal takes it. */
int ledger_new(struct db *writer, struct readers *readers, struct metrics *metrics,
               struct ledger **ret_ledger, struct err *err);
void ledger_free(struct ledger *ledger); /* NULL is fine */

/* Must be called once before what follows. */
void ledger_set_journal(struct ledger *ledger, struct journal *journal);

bool ledger_record(struct ledger *ledger, const struct ledger_request *request);
int ledger_pending(struct ledger *ledger, int64_t after_id, struct ledger_entry **ret_entries,
                   size_t max, size_t *ret_count, struct err *err);
int ledger_find(struct ledger *ledger, int64_t id, struct ledger_entry **ret_entry,
                struct err *err);
int ledger_mark_running(struct ledger *ledger, const int64_t *ids, size_t count,
                        const char *run_id, struct err *err);
void ledger_note_reply(struct ledger *ledger, const int64_t *ids, size_t count,
                       const char *reply_state);
int ledger_mark(struct ledger *ledger, const int64_t *ids, size_t count,
                enum ledger_state state, struct err *err);
bool ledger_cancel(struct ledger *ledger, int64_t id);

/*
 * Sets the state of `ids` inside a journal job's apply(); *ret_pending_change is what the
 * job's done() hands to ledger_add_pending() once it is durable. ERR_INPUT: no such id.
 */
int ledger_apply_state(struct db *db, const int64_t *ids, size_t count, enum ledger_state state,
                       int64_t *ret_pending_change, struct err *err);
void ledger_add_pending(struct ledger *ledger, int64_t change);
int64_t ledger_pending_count(const struct ledger *ledger);

/*
 * One small step of forgetting what is finished and older than the dedupe window, and threads
 * unused for 90 days. Journal thread, outside a transaction. *ret_more: call again soon.
 */
int ledger_prune(struct ledger *ledger, struct db *db, int64_t now_wall_us, bool *ret_more,
                 struct err *err);

/*
 * One small step of emptying the text of what is finished and was received before
 * `before_wall_us`; what could still be retried no longer can. *after_id is how far it came, 0
 * at first, *count grows. 1: call again, 0: done, -1. As ledger_prune().
 */
int ledger_expire(struct db *db, int64_t before_wall_us, int64_t *after_id, int64_t *count,
                  struct err *err);

#endif
