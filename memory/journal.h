/*
 * journal.h - the one thread that writes SQLite. It takes whatever is queued, applies it in one
 * transaction, commits (one fdatasync for the batch) and then tells each job. There is no timer
 * for batches: they form by themselves while the disk is busy.
 *
 *   submit -> queue -> BEGIN, apply each, COMMIT -> done(NULL) for each, in order
 *                              | failed: ROLLBACK -> done(err) for each, serving goes on
 *
 * Owns:    its thread and queue; borrows the connection, which only its thread uses until
 *          journal_free(). A job belongs to the journal from submit until its done().
 * Threads: submit and run from any; apply, done and housekeeping happen on the journal thread.
 * Errors:  a job whose apply() fails with ERR_INPUT is refused alone and the rest of its batch
 *          applied again without it; any other failure rolls back and fails the whole batch. It
 *          is logged once, and once more when commits succeed again. Another process holding
 *          the lock is waited for, several times the busy timeout.
 */
#ifndef MEMORY_JOURNAL_H
#define MEMORY_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metrics.h"
#include "memory/db.h"

struct journal_job {
    /* Inside the transaction; may be called again after a rollback. */
    int (*apply)(struct journal_job *job, struct db *db, struct err *err);
    /* After the commit: `err` is NULL when the job is durable. Takes the job over. */
    void (*done)(struct journal_job *job, const struct err *err);
    bool refused; /* the journal's own */
    struct err *refusal;
};

struct journal;

/*
 * Upkeep between batches: called when due, on the journal thread, outside a transaction;
 * returns the monotonic time at which it wants to be called next (CLOCK_FOREVER_MS: when asked
 * by journal_call_at()).
 */
typedef int64_t (*journal_upkeep_fn)(void *context, struct db *db, int64_t now_ms);

/* Called on the journal thread after each batch, outside a transaction, before its jobs are
 * told: what it notices, they find noticed. */
typedef void (*journal_after_batch_fn)(void *context, struct db *db);

struct journal_hooks {
    journal_upkeep_fn upkeep;
    journal_after_batch_fn after_batch; /* may be NULL */
    void *context;
};

int journal_new(struct db *db, const struct journal_hooks *hooks, struct metrics *metrics,
                struct journal **ret_journal, struct err *err);

/* Applies what is queued, stops the thread. NULL is fine. The connection stays open. */
void journal_free(struct journal *journal);

/* False when the queue is full or closed: the job stays the caller's. Never blocks on disk. */
bool journal_submit(struct journal *journal, struct journal_job *job);

/*
 * Submits and waits; 0 when it is durable. done() is not called and the job stays the
 * caller's. Has room kept for it when the queue is full for others. ERR_INPUT on the
 * journal's own thread, which would wait for itself.
 */
int journal_run(struct journal *journal, struct journal_job *job, struct err *err);

/*
 * Calls `call` on the journal thread, outside a transaction, after everything that was
 * submitted before; waits and returns what it returned. What takes long is cut into several
 * calls, for every commit waits behind it. ERR_INPUT on the journal's own thread.
 */
typedef int (*journal_call_fn)(void *context, struct db *db, struct err *err);
int journal_call(struct journal *journal, journal_call_fn call, void *context, struct err *err);

/* Calls upkeep at `when_ms` at the latest. Any thread. */
void journal_call_at(struct journal *journal, int64_t when_ms);

#endif
