#include "memory/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define ENOUGH_BYTES ((size_t)4 << 20)
#define MOST_BYTES   ((size_t)1 << 30) /* SQLite's own limit for a row */
#define FIRST_ROWS   16

void rows_deinit(struct rows *rows)
{
    free(rows->values);
    rows->values = NULL;
    rows->capacity = 0;
    rows->count = 0;
    buf_deinit(&rows->texts);
}

static void clear(struct rows *rows)
{
    rows->count = 0;
    rows->is_whole = false;
    if (rows->texts.data)
        buf_clear(&rows->texts);
    else
        buf_init(&rows->texts, MOST_BYTES);
}

static void make_room(struct rows *rows)
{
    if (rows->count < rows->capacity)
        return;
    rows->capacity = rows->capacity ? rows->capacity * 2 : FIRST_ROWS;
    rows->values = xrealloc(rows->values, rows->capacity, sizeof(rows->values[0]));
}

static int copy_row(struct rows *rows, struct db *db, sqlite3_stmt *statement,
                    const char *columns, struct err *err)
{
    int64_t *values;

    make_room(rows);
    values = rows->values[rows->count];
    for (int i = 0; columns[i]; i++) {
        const char *text;

        if (columns[i] == 'i') {
            values[i] = sqlite3_column_int64(statement, i);
            continue;
        }
        text = columns[i] == 's' ? db_column_secret(db, statement, i, err)
                                 : db_column_text(statement, i);
        if (!text)
            return -1;
        values[i] = (int64_t)rows->texts.len;
        buf_append(&rows->texts, text, strlen(text) + 1);
    }
    rows->count++;
    return buf_finish(&rows->texts, err);
}

int rows_read(struct rows *rows, struct db *db, sqlite3_stmt *statement, const char *columns,
              const char *what, struct err *err)
{
    int rc = 0;

    clear(rows);
    while (rows->texts.len < ENOUGH_BYTES) {
        rc = db_next(db, statement, what, err);
        if (rc <= 0)
            break;
        rc = copy_row(rows, db, statement, columns, err);
        if (rc < 0)
            break;
        rc = 1;
    }
    rows->is_whole = rc == 0;
    sqlite3_reset(statement);
    return rc < 0 ? -1 : 0;
}

int64_t rows_number(const struct rows *rows, size_t row, size_t column)
{
    return rows->values[row][column];
}

const char *rows_text(const struct rows *rows, size_t row, size_t column)
{
    return rows->texts.data + rows->values[row][column];
}
