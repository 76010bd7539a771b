/*
 * upkeep.h - what is done beside the turns: snapshots, what another process changed, RAM that
 * nobody uses, and erasing what has grown older than its retention or has expired.
 *
 *   sweep   a minute after the start, then hourly (oftener where retention is short): the
 * store, then the text that the ledger still holds. In bounded pieces, so that commits pass in
 * between; what went is counted in the log, the bytes are scrubbed, and RAM reads anew. A
 * visitor leaves it to the daemon.
 *
 * Owns:    struct upkeep, a part of struct memory.
 * Threads: said at each function.
 * Errors:  what fails is logged once, and tried again.
 */
#ifndef MEMORY_UPKEEP_H
#define MEMORY_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/store.h"

struct db;
struct memory;

/* The journal thread's, all of it. */
struct upkeep {
    bool is_visitor;
    bool snapshot_failing; /* said once, as below */
    bool sweep_failing;
    bool is_sweeping;
    int64_t sweep_due_ms;
    int64_t before_wall_s;    /* of the sweep under way; 0: only what has expired */
    int64_t ledger_after_id;  /* how far it came in the ledger, -1: not begun */
    int64_t ledger_texts;     /* emptied */
    struct store_swept swept; /* by the sweep under way */
};

void upkeep_init(struct memory *memory, bool is_visitor);

/* journal_hooks: `context` is the memory. */
int64_t upkeep_run(void *context, struct db *db, int64_t now_ms);
void upkeep_after_batch(void *context, struct db *db);

/*
 * A sweep by hand, waited for: erases what is older than `max_age_ms` (0: only what has
 * expired) and scrubs. ret_swept is set on failure too. Any but the loop and the journal.
 */
int upkeep_sweep(struct memory *memory, int64_t max_age_ms, struct store_swept *ret_swept,
                 struct err *err);

#endif
