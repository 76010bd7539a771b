/*
 * health.h - a damaged database does not keep the bot from starting, and never goes unnoticed.
 *
 *   open -> does it read? -> go on
 *            | no
 *            moved aside (threadkeeper.db.damaged-TIME, with its -wal), what reads is salvaged
 *            into a new one, an error in the log names the file and the figures
 *
 * Checking all of a big file takes longer than a start may, so: at the start the schema and the
 * beginning of every table are read; after a shutdown that was not clean the whole file is
 * checked beside the work; and whenever SQLite finds damage while running, a mark is left
 * (threadkeeper.db.suspect), upon which the next start checks the whole file first.
 *
 * Owns:    the thread that checks.
 * Threads: startup; the check runs on its own.
 */
#ifndef MEMORY_HEALTH_H
#define MEMORY_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/db.h"

struct health;

/*
 * db_open() as the writer, with the above. A visitor leaves a damaged file to the one who owns
 * it: ERR_SYSTEM. *ret_health (free it before the connection) has the check under way.
 */
int health_open(const char *path, bool is_visitor, struct db **ret_db,
                struct health **ret_health, struct err *err);
void health_free(struct health *health); /* stops the check; NULL is fine */

/* Damaged files that lie beside this one, and whether damage was found since the start. */
int64_t health_quarantined(const struct health *health);
bool health_is_suspect(const struct health *health);

/* Waits until the check has ended. For tests. */
void health_wait(struct health *health);

#endif
