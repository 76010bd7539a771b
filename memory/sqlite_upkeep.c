#include "memory/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define HOUR_S             3600
#define SWEEP_EXPIRED      INT64_C(500)  /* fields, and values, in one piece */
#define SWEEP_SCAN         INT64_C(4000) /* conversations looked at */
#define SWEEP_CONVERSATION INT64_C(64)   /* conversations erased */
#define SWEEP_TURNS        INT64_C(500)
#define BACKUP_PAGES       256
#define AT_THE_END         INT64_C(-1)

/* ---- sweeping ---------------------------------------------------------------------------- */

static int sweep_expired(struct db *db, enum db_statement which, int64_t *count,
                         struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, which);

    sqlite3_bind_int64(statement, 1, clock_wall_us() / 1000);
    sqlite3_bind_int64(statement, 2, SWEEP_EXPIRED);
    if (db_run(db, statement, "cannot erase what has expired", err) < 0)
        return -1;
    *count += db_changes(db);
    return db_changes(db) == SWEEP_EXPIRED;
}

/* Ids of conversations that nobody has used since, from `after` on; *ret_after: how far it has
 * looked, or AT_THE_END. */
static int find_unused(struct db *db, int64_t before_wall_s, int64_t after, int64_t *ret_ids,
                       size_t *ret_count, int64_t *ret_after, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATIONS_SCAN);
    size_t count = 0;
    int64_t seen = 0;
    int rc = 0;

    sqlite3_bind_int64(statement, 1, after);
    sqlite3_bind_int64(statement, 2, SWEEP_SCAN);
    while (count < SWEEP_CONVERSATION &&
           (rc = db_next(db, statement, "cannot look for old conversations", err)) > 0) {
        seen++;
        after = sqlite3_column_int64(statement, 0);
        if (sqlite3_column_int64(statement, 1) < before_wall_s)
            ret_ids[count++] = after;
    }
    sqlite3_reset(statement);
    *ret_count = count;
    *ret_after = count == SWEEP_CONVERSATION || seen == SWEEP_SCAN ? after : AT_THE_END;
    return rc < 0 ? -1 : 0;
}

/* *ret_after is where the next piece begins, or AT_THE_END. */
static int sweep_conversations(struct db *db, int64_t before_wall_s, int64_t after,
                               struct store_swept *swept, int64_t *ret_after, struct err *err)
{
    int64_t ids[SWEEP_CONVERSATION];
    int64_t turns_before = swept->turns;
    size_t count = 0;

    if (find_unused(db, before_wall_s, after, ids, &count, ret_after, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        int64_t left = SWEEP_TURNS - (swept->turns - turns_before);
        int rc = sqlite_erase(db, ids[i], left < 1 ? 1 : left, swept, err);

        if (rc < 0)
            return -1;
        if (rc > 0) { /* the next piece goes on with this one */
            *ret_after = ids[i] - 1;
            return 0;
        }
    }
    return 0;
}

/* The first turn that was not surely stored before the hour of `before_wall_s`. */
static int first_kept(struct db *db, int64_t before_wall_s, int64_t *ret_id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_HOUR_FIRST_TURN);
    int rc;

    sqlite3_bind_int64(statement, 1, before_wall_s / HOUR_S);
    rc = db_next(db, statement, "cannot read the hours", err);
    if (rc > 0)
        *ret_id = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return rc < 0 ? -1 : 0;
}

static int prune_speakers(struct db *db, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_SPEAKERS_PRUNE);

    sqlite3_bind_int64(statement, 1, id);
    return db_run(db, statement, "cannot forget who spoke", err);
}

/* A summary of what went would keep it; the next one is made from what is left. */
static int drop_outlived(struct db *db, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_SUMMARIES_OUTLIVED);

    sqlite3_bind_int64(statement, 1, id);
    return db_run(db, statement, "cannot forget a summary", err);
}

static int subtract_turn(struct db *db, int64_t id, int64_t bytes, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATION_SUBTRACT);

    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, 1);
    sqlite3_bind_int64(statement, 3, bytes);
    return db_run(db, statement, "cannot keep a conversation's figures", err);
}

/* Old turns of conversations that go on. */
static int sweep_turns(struct db *db, int64_t before_wall_s, struct store_swept *swept,
                       struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_TURNS_SWEEP);
    int64_t ids[SWEEP_TURNS];
    int64_t bytes[SWEEP_TURNS];
    int64_t first_id = 0;
    size_t count = 0;
    int rc;

    if (first_kept(db, before_wall_s, &first_id, err) < 0)
        return -1;
    sqlite3_bind_int64(statement, 1, first_id);
    sqlite3_bind_int64(statement, 2, SWEEP_TURNS);
    while ((rc = db_next(db, statement, "cannot erase old turns", err)) > 0) {
        ids[count] = sqlite3_column_int64(statement, 0);
        bytes[count++] = sqlite3_column_int64(statement, 1);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = subtract_turn(db, ids[i], bytes[i], err);
        if (rc == 0 && (i + 1 == count || ids[i] != ids[i + 1]))
            rc = prune_speakers(db, ids[i], err) < 0 ? -1 : drop_outlived(db, ids[i], err);
    }
    swept->turns += (int64_t)count;
    return rc < 0 ? -1 : count == SWEEP_TURNS;
}

static int prune_hours(struct db *db, int64_t before_wall_s, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_HOURS_PRUNE);

    sqlite3_bind_int64(statement, 1, before_wall_s / HOUR_S);
    sqlite3_bind_int64(statement, 2, clock_wall_s() / HOUR_S);
    return db_run(db, statement, "cannot forget hours", err);
}

/* Expired, then whole conversations, then turns: in that order most turns go with theirs. */
static int sweep_piece(struct sqlite_store *store, struct db *db, int64_t before_wall_s,
                       struct store_swept *swept, int64_t *ret_after, struct err *err)
{
    int fields = sweep_expired(db, DB_FIELDS_SWEEP, &swept->fields, err);
    int values = fields < 0 ? -1 : sweep_expired(db, DB_VALUES_SWEEP, &swept->values, err);
    int turns;

    if (values < 0 ||
        sweep_conversations(db, before_wall_s, store->sweep_after, swept, ret_after, err) < 0)
        return -1;
    if (*ret_after != AT_THE_END || fields || values)
        return 1;
    turns = sweep_turns(db, before_wall_s, swept, err);
    if (turns == 0 && prune_hours(db, before_wall_s, err) < 0)
        return -1;
    return turns;
}

int sqlite_sweep(struct sqlite_store *store, struct db *db, int64_t before_wall_s,
                 struct store_swept *swept, struct err *err)
{
    struct store_swept piece = *swept;
    int64_t after = AT_THE_END;
    int rc;

    if (db_begin(db, err) < 0)
        return -1;
    rc = sweep_piece(store, db, before_wall_s, &piece, &after, err);
    if (rc < 0 || db_commit(db, err) < 0) {
        db_rollback(db);
        return -1;
    }
    store->sweep_after = after == AT_THE_END ? 0 : after;
    *swept = piece;
    return rc;
}

/* ---- backup ------------------------------------------------------------------------------ */

static int copy_pages(struct db *db, sqlite3 *to,
                      void (*progress)(void *context, int64_t done, int64_t total),
                      void *context, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", db_handle(db), "main");
    int rc;

    if (!backup)
        return err_set(err, ERR_SYSTEM, "cannot begin a backup: %s", sqlite3_errmsg(to));
    do {
        rc = sqlite3_backup_step(backup, BACKUP_PAGES);
        if (progress)
            progress(context,
                     sqlite3_backup_pagecount(backup) - sqlite3_backup_remaining(backup),
                     sqlite3_backup_pagecount(backup));
    } while (rc == SQLITE_OK);
    sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE
               ? 0
               : err_set(err, ERR_SYSTEM, "cannot write a backup: %s", sqlite3_errmsg(to));
}

/* The read transaction holds one state of the file: without it every commit of the journal
 * would begin the copy anew. */
static int copy_state(struct db *db, const char *path,
                      void (*progress)(void *context, int64_t done, int64_t total),
                      void *context, struct err *err)
{
    sqlite3 *to = NULL;
    int rc;

    if (sqlite3_exec(db_handle(db), "BEGIN; SELECT 1 FROM sqlite_schema", NULL, NULL, NULL) !=
        SQLITE_OK)
        return db_fail(db, "cannot begin a backup", err);
    if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK)
        rc = copy_pages(db, to, progress, context, err);
    else
        rc = err_set(err, ERR_SYSTEM, "cannot open %s: %s", path, sqlite3_errmsg(to));
    sqlite3_close(to);
    db_rollback(db);
    return rc;
}

static int backup(struct db *db, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err)
{
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set_errno(err, errno == EEXIST ? ERR_INPUT : ERR_SYSTEM, "cannot make %s",
                             path);
    if (copy_state(db, path, progress, context, err) < 0) {
        unlink(path);
        return -1;
    }
    return fsync(fd) == 0 ? 0 : err_set_errno(err, ERR_SYSTEM, "cannot write %s", path);
}

int sqlite_backup(struct store *base, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    struct db *db = sqlite_borrow(store, err);
    int rc;

    if (!db)
        return -1;
    rc = backup(db, path, progress, context, err);
    sqlite_return(store, db);
    return rc;
}
