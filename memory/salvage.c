#include "memory/salvage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "memory/db.h"
#include "memory/salvage_head.h"
#include "memory/schema.h"

#define LOG_MODULE "memory.salvage"
#include "base/log.h"

#define COLUMNS_MAX    24
#define COMMIT_ROWS    10000
#define HOLES_MAX      10000
#define BIGGEST_STRIDE (INT64_C(1) << 40)

struct copying {
    sqlite3 *from;
    struct db *to;
    const char *table;
    char *columns; /* both have them */
    int columns_count;
    sqlite3_stmt *insert;
    int64_t rows;
    int64_t holes;
    int64_t uncommitted;
    struct err *err;
};

static sqlite3_stmt *prepare(sqlite3 *handle, char *sql)
{
    sqlite3_stmt *statement = NULL;

    sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    return statement;
}

/* ---- the columns that the old table has as well ------------------------------------------ */

static bool has_column(sqlite3 *handle, const char *table, const char *column)
{
    sqlite3_stmt *statement = prepare(
        handle, sqlite3_mprintf("SELECT \"%w\".\"%w\" FROM \"%w\"", table, column, table));
    bool has = statement != NULL;

    sqlite3_finalize(statement);
    return has;
}

/* False when the old file has no such table, or its schema does not read. */
static bool find_columns(struct copying *copying)
{
    sqlite3_stmt *all = prepare(db_handle(copying->to),
                                sqlite3_mprintf("SELECT * FROM \"%w\"", copying->table));
    struct buf columns;
    struct buf marks;

    buf_init(&columns, 4096);
    buf_init(&marks, 256);
    for (int i = 0; i < sqlite3_column_count(all) && i < COLUMNS_MAX; i++) {
        const char *name = sqlite3_column_name(all, i);

        if (!has_column(copying->from, copying->table, name))
            continue;
        buf_printf(&columns, "%s\"%s\"", columns.len ? ", " : "", name);
        buf_printf(&marks, "%s?", marks.len ? ", " : "");
        copying->columns_count++;
    }
    sqlite3_finalize(all);
    copying->columns = columns.len ? buf_take(&columns) : NULL;
    if (copying->columns)
        copying->insert =
            prepare(db_handle(copying->to),
                    sqlite3_mprintf("INSERT OR IGNORE INTO \"%w\"(%s) VALUES(%s)",
                                    copying->table, copying->columns, buf_text(&marks)));
    buf_deinit(&columns);
    buf_deinit(&marks);
    return copying->insert != NULL;
}

/* ---- rows -------------------------------------------------------------------------------- */

static int commit_some(struct copying *copying)
{
    if (++copying->uncommitted < COMMIT_ROWS)
        return 0;
    copying->uncommitted = 0;
    if (db_commit(copying->to, copying->err) < 0)
        return -1;
    return db_begin(copying->to, copying->err);
}

/* Column 0 of `row` is its place, the others go along. A row that is no longer of its type is
 * left out. */
static int put_row(struct copying *copying, sqlite3_stmt *row)
{
    int rc;

    for (int i = 0; i < copying->columns_count; i++)
        sqlite3_bind_value(copying->insert, i + 1, sqlite3_column_value(row, i + 1));
    rc = sqlite3_step(copying->insert);
    sqlite3_reset(copying->insert);
    if (rc != SQLITE_DONE && (rc & 0xff) != SQLITE_CONSTRAINT && (rc & 0xff) != SQLITE_TOOBIG)
        return err_set(copying->err, ERR_SYSTEM, "cannot write what was salvaged: %s",
                       sqlite3_errmsg(db_handle(copying->to)));
    copying->rows += rc == SQLITE_DONE && db_changes(copying->to) > 0;
    return commit_some(copying);
}

/*
 * From behind `*place` on, or backwards. 1: to the end; 0: something did not read, *place is
 * the last row that did; -1: the new file cannot be written.
 */
static int copy_run(struct copying *copying, sqlite3_stmt *rows, int64_t *place, bool *ret_any)
{
    int rc;

    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        *ret_any = true;
        *place = sqlite3_column_int64(rows, 0);
        if (put_row(copying, rows) < 0)
            return -1;
    }
    return rc == SQLITE_DONE;
}

static int copy_between(struct copying *copying, int64_t above, int64_t below,
                        bool is_backwards, int64_t *ret_place, bool *ret_any)
{
    sqlite3_stmt *rows = prepare(
        copying->from,
        sqlite3_mprintf("SELECT rowid, %s FROM \"%w\" WHERE rowid > %lld AND rowid < %lld"
                        " ORDER BY rowid %s",
                        copying->columns, copying->table, (long long)above, (long long)below,
                        is_backwards ? "DESC" : "ASC"));
    int rc = rows ? copy_run(copying, rows, ret_place, ret_any) : 0;

    sqlite3_finalize(rows);
    return rc;
}

/* Forwards; at a hole in ever longer strides over it, then back to its far edge. */
static int copy_by_rowid(struct copying *copying)
{
    int64_t place = -1;

    for (;;) {
        int64_t edge;
        int64_t stride = 1;
        bool any = false;
        int rc = copy_between(copying, place, INT64_MAX, false, &place, &any);

        if (rc != 0)
            return rc < 0 ? -1 : 0;
        if (copying->holes++ == HOLES_MAX)
            return 0;
        edge = place;
        for (any = false; !any && stride < BIGGEST_STRIDE; stride *= 2) {
            int64_t landed = edge + stride;

            rc = copy_between(copying, landed, INT64_MAX, false, &place, &any);
            if (rc < 0)
                return -1;
            if (any || rc > 0) {
                int64_t back = landed;
                bool ignored = false;

                if (copy_between(copying, edge, landed + 1, true, &back, &ignored) < 0)
                    return -1;
            }
            if (rc > 0)
                return 0;
        }
        if (!any)
            return 0;
    }
}

/* Tables without a rowid are small: from either end as far as it reads. */
static int copy_from_both_ends(struct copying *copying)
{
    static const char *const orders[] = { "", " DESC" };

    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        AUTO_FREE char *first = xstrndup(copying->columns, strcspn(copying->columns, ","));
        sqlite3_stmt *rows = prepare(
            copying->from, sqlite3_mprintf("SELECT 0, %s FROM \"%w\" ORDER BY %s%s",
                                           copying->columns, copying->table, first, orders[i]));
        int64_t place = 0;
        bool any = false;
        int rc = rows ? copy_run(copying, rows, &place, &any) : 0;

        sqlite3_finalize(rows);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        copying->holes++;
    }
    return 0;
}

static int copy_table(sqlite3 *from, struct db *to, const char *table, int64_t *ret_rows,
                      int64_t *holes, struct err *err)
{
    struct copying copying = { .from = from, .to = to, .table = table, .err = err };
    int rc = 0;

    if (!find_columns(&copying))
        copying.holes++;
    else if (db_begin(to, err) < 0)
        rc = -1;
    else
        rc = has_column(from, table, "rowid") ? copy_by_rowid(&copying)
                                              : copy_from_both_ends(&copying);
    sqlite3_finalize(copying.insert);
    free(copying.columns);
    if (rc == 0 && copying.columns_count)
        rc = db_commit(to, err);
    if (rc < 0)
        db_rollback(to);
    *ret_rows = copying.rows;
    *holes += copying.holes;
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* What the rows that were saved say themselves: figures, who spoke, numbers. What belongs to a
 * conversation that is gone cannot be found by anybody. */
static const char mend[] =
    "BEGIN;"
    "DELETE FROM turn WHERE conversation NOT IN (SELECT id FROM conversation);"
    "DELETE FROM summary WHERE conversation NOT IN (SELECT id FROM conversation);"
    "DELETE FROM field WHERE conversation NOT IN (SELECT id FROM conversation);"
    "DELETE FROM speaker WHERE conversation NOT IN (SELECT id FROM conversation);"
    "INSERT OR IGNORE INTO speaker(conversation, user)"
    " SELECT DISTINCT conversation, author FROM turn WHERE role = 0 AND author <> '';"
    "UPDATE conversation SET (turns, bytes, last_seq) ="
    " (SELECT count(*), coalesce(sum(length(CAST(text AS BLOB))), 0),"
    "   max(conversation.last_seq, coalesce(max(seq), 0))"
    "  FROM turn WHERE turn.conversation = conversation.id);"
    /* The hours of turns from an older schema, or lost ones, count from now. */
    "INSERT OR IGNORE INTO turn_hour(hour, first_turn)"
    " SELECT unixepoch() / 3600, 1 WHERE NOT EXISTS (SELECT 1 FROM turn_hour);"
    "COMMIT;";

static int64_t count(struct db *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = 0;

    if (sqlite3_prepare_v2(db_handle(db), sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static int copy_all(sqlite3 *from, struct db *to, struct salvaged *salvaged, struct err *err)
{
    for (size_t i = 0; from && i < schema_tables_count; i++) {
        int64_t rows = 0;

        if (copy_table(from, to, schema_tables[i], &rows, &salvaged->holes, err) < 0)
            return -1;
        if (rows)
            log_info("salvaged: table=%s rows=%lld", schema_tables[i], (long long)rows);
    }
    if (sqlite3_exec(db_handle(to), mend, NULL, NULL, NULL) != SQLITE_OK)
        return err_set(err, ERR_SYSTEM, "cannot put in order what was salvaged: %s",
                       sqlite3_errmsg(db_handle(to)));
    salvaged->messages = count(to, "SELECT count(*) FROM ledger");
    salvaged->pending = count(to, "SELECT count(*) FROM ledger WHERE state <= 1");
    salvaged->conversations = count(to, "SELECT count(*) FROM conversation");
    salvaged->turns = count(to, "SELECT count(*) FROM turn");
    db_checkpoint(to, true);
    return 0;
}

/* NULL when not even the list of its tables reads. A schema that is damaged in one place is
 * read in the others. */
static sqlite3 *open_damaged(const char *path)
{
    sqlite3 *from = NULL;
    sqlite3_stmt *tables = NULL;
    bool reads;

    if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK)
        sqlite3_exec(from, "PRAGMA writable_schema=ON; PRAGMA cell_size_check=ON", NULL, NULL,
                     NULL);
    reads = sqlite3_prepare_v2(from, "SELECT 1 FROM sqlite_schema", -1, &tables, NULL) ==
                SQLITE_OK &&
            sqlite3_step(tables) == SQLITE_ROW;
    sqlite3_finalize(tables);
    if (reads)
        return from;
    sqlite3_close(from);
    return NULL;
}

/* By a head that a new file lends. */
static sqlite3 *open_with_head(const char *path, struct db *to, const char *to_path,
                               const char *copy_path)
{
    struct err err = { 0 };

    db_checkpoint(to, true);
    if (salvage_lend_head(path, to_path, copy_path, &err) == 0)
        return open_damaged(copy_path);
    log_warn("nothing will be salvaged: %s", err.message);
    return NULL;
}

int salvage_copy(const char *from_path, const char *to_path, struct salvaged *ret_salvaged,
                 struct err *err)
{
    AUTO_FREE char *copy_path = xasprintf("%s" SALVAGE_HEAD, to_path);
    struct salvaged salvaged = { 0 };
    struct db *to = NULL;
    sqlite3 *from = open_damaged(from_path);
    int rc = db_open(to_path, DB_ROLE_WRITER, &to, err);

    if (rc == 0 && !from)
        from = open_with_head(from_path, to, to_path, copy_path);
    if (rc == 0)
        rc = copy_all(from, to, &salvaged, err);
    sqlite3_close(from);
    db_close(to);
    unlink(copy_path);
    if (rc < 0)
        return -1;
    *ret_salvaged = salvaged;
    return 0;
}
