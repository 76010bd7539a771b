/*
 * rows.h - a page of a query's result, copied, so that the connection is free again before
 * anybody looks at it: whoever is shown a row may ask the store again, or take their time.
 *
 * Owns:    the copies.
 * Threads: one at a time.
 */
#ifndef MEMORY_ROWS_H
#define MEMORY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/db.h"

#define ROWS_COLUMNS_MAX 8

struct rows {
    size_t count;
    bool is_whole; /* the statement had no more rows */
    /* Its own: */
    int64_t (*values)[ROWS_COLUMNS_MAX]; /* a number, or where the text begins in `texts` */
    size_t capacity;
    struct buf texts;
};

void rows_deinit(struct rows *rows); /* safe on a zeroed struct, and twice */

/*
 * Steps `statement` to its end, or until some megabytes are read (one row at least), and resets
 * it. `columns`: a letter each - i a number, t a text, s a text that may be sealed. What was in
 * `rows` is gone, its memory is used again.
 */
int rows_read(struct rows *rows, struct db *db, sqlite3_stmt *statement, const char *columns,
              const char *what, struct err *err);

int64_t rows_number(const struct rows *rows, size_t row, size_t column);
const char *rows_text(const struct rows *rows, size_t row, size_t column); /* borrowed */

#endif
