#include "memory/ledger_erase.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/db.h"

#define PAGE_ROWS 256

struct erase_job {
    struct journal_job base;
    const int64_t *ids;
    size_t count;
    bool is_alone;
    int64_t pending_change;
};

static int is_pending(struct db *db, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENTRY_STATE);
    int rc;

    sqlite3_bind_int64(statement, 1, id);
    rc = db_next(db, statement, "cannot read a message's state", err);
    if (rc > 0)
        rc = sqlite3_column_int(statement, 0) <= LEDGER_RUNNING;
    sqlite3_reset(statement);
    return rc;
}

static int erase_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct erase_job *job = (struct erase_job *)base;

    job->pending_change = 0;
    for (size_t i = 0; i < job->count; i++) {
        sqlite3_stmt *statement = db_statement(db, DB_ENTRY_ERASE);
        int before = is_pending(db, job->ids[i], err);
        int after;

        if (before < 0)
            return -1;
        sqlite3_bind_int64(statement, 1, job->ids[i]);
        sqlite3_bind_int(statement, 2, job->is_alone);
        if (db_run(db, statement, "cannot erase a message", err) < 0)
            return -1;
        after = is_pending(db, job->ids[i], err);
        if (after < 0)
            return -1;
        job->pending_change += after - before;
    }
    return 0;
}

static void add_once(char ***items, size_t *count, const char *text)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*items)[i], text) == 0)
            return;
    }
    *items = xrealloc(*items, *count + 1, sizeof(**items));
    (*items)[(*count)++] = xstrdup(text);
}

static const char *column(sqlite3_stmt *statement, int index)
{
    const unsigned char *text = sqlite3_column_text(statement, index);

    return text ? (const char *)text : "";
}

static void note_row(sqlite3_stmt *statement, const struct ledger_erase *what,
                     struct ledger_erased *erased)
{
    const char *run_id = column(statement, 2);

    if (what->ts)
        add_once(&erased->conversations, &erased->conversations_count, column(statement, 3));
    if (*run_id && (what->is_alone || sqlite3_column_int(statement, 1) != LEDGER_RUNNING))
        add_once(&erased->run_ids, &erased->run_ids_count, run_id);
}

static void bind_search(sqlite3_stmt *statement, const struct ledger_erase *what,
                        int64_t after_id)
{
    sqlite3_bind_int64(statement, 1, after_id);
    sqlite3_bind_int64(statement, 2, PAGE_ROWS);
    if (what->ts) {
        db_bind_text(statement, 3, what->ts);
        db_bind_text(statement, 4, what->channel);
        db_bind_text(statement, 5, what->team ? what->team : "");
        return;
    }
    db_bind_text(statement, 3, what->conversation ? what->conversation : "");
    db_bind_text(statement, 4, what->user ? what->user : "");
    sqlite3_bind_int64(statement, 5, what->before_wall_us);
}

static int read_page(struct readers *readers, const struct ledger_erase *what, int64_t after_id,
                     int64_t *ids, size_t *ret_count, struct ledger_erased *erased,
                     struct err *err)
{
    struct db *db = readers_borrow(readers, err);
    sqlite3_stmt *statement;
    size_t count = 0;
    int rc = 0;

    if (!db)
        return -1;
    statement = db_statement(db, what->ts ? DB_ENTRIES_AT : DB_ENTRIES_MEANT);
    bind_search(statement, what, after_id);
    while (count < PAGE_ROWS &&
           (rc = db_next(db, statement, "cannot search the ledger", err)) > 0) {
        ids[count++] = sqlite3_column_int64(statement, 0);
        note_row(statement, what, erased);
    }
    sqlite3_reset(statement);
    readers_return(readers, db);
    *ret_count = count;
    return rc < 0 ? -1 : 0;
}

int ledger_erase(struct ledger *ledger, struct readers *readers, struct journal *journal,
                 const struct ledger_erase *what, struct ledger_erased *ret_erased,
                 struct err *err)
{
    int64_t ids[PAGE_ROWS];
    int64_t after_id = 0;
    size_t count = PAGE_ROWS;

    while (count == PAGE_ROWS) {
        struct erase_job job = { .base.apply = erase_apply,
                                 .ids = ids,
                                 .is_alone = what->is_alone };

        if (read_page(readers, what, after_id, ids, &count, ret_erased, err) < 0)
            return -1;
        if (!count)
            break;
        after_id = ids[count - 1];
        job.count = count;
        if (journal_run(journal, &job.base, err) < 0)
            return -1;
        ledger_add_pending(ledger, job.pending_change);
        ret_erased->messages += (int64_t)count;
    }
    return 0;
}

void ledger_erased_deinit(struct ledger_erased *erased)
{
    for (size_t i = 0; i < erased->run_ids_count; i++)
        free(erased->run_ids[i]);
    for (size_t i = 0; i < erased->conversations_count; i++)
        free(erased->conversations[i]);
    free(erased->run_ids);
    free(erased->conversations);
    *erased = (struct ledger_erased){ 0 };
}
