/*
 * scrub.h - bytes that SQLite leaves behind. With secure_delete it zeroes what is deleted; but
 * when rows move between pages, a page may keep copies of them in the gap between its cell
 * pointers and its cells, and these are nobody's when the rows are deleted later. The gap means
 * nothing to SQLite, so it is zeroed in the file.
 *
 * Owns:    nothing.
 * Threads: the connection's.
 */
#ifndef MEMORY_SCRUB_H
#define MEMORY_SCRUB_H

#include <sqlite3.h>

#include "base/err.h"

/*
 * `handle` is in a write transaction that has changed nothing, and the write-ahead log is
 * empty: then nobody else writes the file. Reads all of it: 0.1 s for 200 MB in the page cache.
 */
int scrub_gaps(sqlite3 *handle, struct err *err);

#endif
