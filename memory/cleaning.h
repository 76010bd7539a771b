/*
 * cleaning.h - erased bytes leave the files: the scrub of database and store, and that it is
 * owed until one has succeeded. A file beside the database says so, for another process may be
 * in the way for longer than a command lives, and a crash may come before the scrub.
 *
 * Owns:    struct cleaning, a part of struct memory; the mark beside the database.
 * Threads: said at each function.
 * Errors:  ERR_TEMP while a reader is in the way. A mark that cannot be written is logged: then
 *          only this process knows what it owes.
 */
#ifndef MEMORY_CLEANING_H
#define MEMORY_CLEANING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct db;
struct memory;

struct cleaning {
    char *mark;
    _Atomic bool is_owed; /* by this process; the mark speaks for the others */
    bool was_tried;       /* this and the next: the journal thread's */
    int64_t tried_ms;
    bool is_failing;
};

void cleaning_init(struct cleaning *cleaning, const char *db_path);
void cleaning_deinit(struct cleaning *cleaning); /* safe on a zeroed struct */

/* Something is about to be erased, or was. Any but the loop. */
void cleaning_owe(struct memory *memory);

/* Scrubs, and owes nothing any more when that succeeds. Journal, outside of a transaction. */
int cleaning_run(struct memory *memory, struct db *db, struct err *err);

/* Tries again what is owed, a minute after the last time. Returns when it wants to go on.
 * Journal. */
int64_t cleaning_run_if_due(struct memory *memory, struct db *db, int64_t now_ms);

#endif
