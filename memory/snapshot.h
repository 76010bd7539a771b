/*
 * snapshot.h - turns on their way through the "unsaved" table (see commit.h): put there
 * with the ledger, brought into the store later, a bounded piece at a time.
 *
 * A piece is one transaction of the database, in which rows are read, applied and forgotten. So
 * several processes may do this at once: the lock lets one at a time, and the next finds only
 * what is left. That is why a command beside a running daemon may take a snapshot too. Where
 * the store is not the database, its part is done first; a crash in between does it again.
 *
 * Owns:    nothing.
 * Threads: the journal thread, or before it lives and after it has ended.
 */
#ifndef MEMORY_SNAPSHOT_H
#define MEMORY_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/commit.h"

/* Turns as a row holds them, sealed where there is a vault. */
struct aside {
    struct buf bytes;
    int64_t base_wall_s;
    int64_t count;
};
void aside_init(struct aside *aside, int64_t base_wall_s);
void aside_deinit(struct aside *aside); /* safe on a zeroed struct, and twice */
int aside_add(struct aside *aside, const struct vault *vault, const struct memory_turn *turn,
              struct err *err);

/* Inside the caller's transaction; *ret_id is the row's. */
int aside_insert(struct db *db, const char *key, int64_t first_seq, const struct aside *aside,
                 int64_t *ret_id, struct err *err);

/* The store has what this row holds. Inside the caller's transaction. */
int aside_forget(struct db *db, int64_t id, struct err *err);

/*
 * Brings the oldest unsaved turns into the store, for about `max_us`, one row at least;
 * *ret_more says whether there are others.
 */
int snapshot_step(struct commit_path *path, struct db *db, int64_t max_us, bool *ret_more,
                  struct err *err);

#endif
