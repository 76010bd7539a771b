/*
 * commit.h - finished turns on their way to the disk.
 *
 *   turn, store in the journal   turns -> store, ids -> DONE: one transaction
 *   turn, any other store        turns -> "unsaved" row, ids -> DONE: one transaction; then
 *                                turns -> store, and the row goes. Where the store fails, the
 *                                row waits for the next snapshot
 *   interval                     turns -> "unsaved" row, ids -> DONE: one transaction; every
 *                                snapshot_interval, at close, at the next open: row -> store
 *
 *   no store to speak of (none)  turns -> RAM, then ids -> DONE
 *
 * So there is one moment at which a turn is committed, whatever the store: a crash before it
 * asks again, one after it loses nothing and asks nothing again. What a row brings twice, the
 * store takes once, by its seq.
 *
 * Owns:    nothing; borrows store, conversations, persons, ledger and journal.
 * Threads: commit and reset on any but the loop and the journal; snapshot on the journal
 *          thread, or before it lives and after it has ended.
 * Errors:  on failure RAM and disk are as before. ERR_INPUT "continued elsewhere": another
 *          process has written the same conversation; the next begin loads it anew.
 */
#ifndef MEMORY_COMMIT_H
#define MEMORY_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/conversation.h"
#include "memory/journal.h"
#include "memory/ledger.h"
#include "memory/memory.h"
#include "memory/store.h"

#define COMMIT_SNAPSHOT_STEP_US 4000 /* how long a commit may wait for a snapshot */

struct persons;
struct vault;

struct commit_path {
    struct store *store;
    struct conversations *conversations;
    struct ledger *ledger;
    struct journal *journal;
    struct vault *vault;     /* NULL: nothing is sealed */
    struct persons *persons; /* learn from what is said; NULL: nobody does */
    enum memory_durability durability;
    bool is_visitor;  /* another process may put turns aside */
    bool is_volatile; /* the store goes with the process: nothing is put aside for it */
    _Atomic int64_t max_turns;
    _Atomic int64_t snapshot_interval_ms;
    _Atomic int64_t unsaved_id;      /* the newest unsaved row of this process */
    int64_t foreign_version;         /* journal thread: of the store, when last looked at */
    _Atomic int64_t snapshot_due_ms; /* CLOCK_FOREVER_MS: nothing is unsaved */
};

/* memory_conversation_commit() and _reset(). */
int commit_turns(struct commit_path *path, struct conversation *conversation,
                 const struct memory_turn *turns, size_t turns_count, const int64_t *ledger_ids,
                 size_t ledger_count, enum ledger_state state, struct err *err);
int commit_reset(struct commit_path *path, const char *key, struct err *err);

/*
 * Applies a batch of mutations, all or nothing - through the journal when the store joins it -
 * and waits for the commit; the results in the mutations are valid when it returns 0. For what
 * is no turn of a running conversation: RAM does not learn of it (conversations_reload()). What
 * erases first brings into the store what waits for a snapshot, so that none of it comes back
 * later; who lists what to erase calls commit_flush() before.
 */
int commit_mutations(struct commit_path *path, struct store_mutation *mutations, size_t count,
                     struct err *err);

/* Whether turns go through the "unsaved" table. */
bool commit_puts_aside(const struct commit_path *path);

/* Brings everything unsaved into the store and waits. Any but the loop and the journal. */
int commit_flush(struct commit_path *path, struct err *err);

/* The same, without waiting. Any thread. */
void commit_snapshot_soon(struct commit_path *path);

/* Another process may have written to the store: then what RAM holds is let go. True when it
 * has. Journal thread, outside a transaction. */
bool commit_notice_foreign(struct commit_path *path, struct db *db);

/* Brings everything unsaved into the store, when nobody waits for a commit: at open and at
 * close. Safe to repeat after a failure. */
int commit_snapshot(struct commit_path *path, struct db *db, struct err *err);

#endif
