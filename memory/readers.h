/*
 * readers.h - a few connections for reading beside the journal, lent one at a time. Each is
 * opened when it is first needed; a reader sees every commit that was reported before it began.
 *
 * Owns:    its connections. Lend them for short reads only: the write-ahead log cannot be
 *          emptied past the oldest read that is open.
 * Threads: any; waits when all are lent.
 */
#ifndef MEMORY_READERS_H
#define MEMORY_READERS_H

#include "base/err.h"
#include "memory/db.h"

struct readers;

struct readers *readers_new(const char *db_path);
void readers_free(struct readers *readers); /* NULL is fine; none may be lent */

/* For connections lent from now on; borrowed. Before threads are there. */
void readers_set_vault(struct readers *readers, struct vault *vault);

/* A connection, or NULL and `err`; give it back with readers_return(). */
struct db *readers_borrow(struct readers *readers, struct err *err);
void readers_return(struct readers *readers, struct db *db); /* NULL is fine */

#endif
