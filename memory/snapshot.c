#include "memory/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/record.h"
#include "memory/vault.h"

#define LOG_MODULE "memory.snapshot"
#include "base/log.h"

#define STEP_MAX_ROWS   64
#define ASIDE_MAX_BYTES ((size_t)256 << 20)

/* ---- putting aside ----------------------------------------------------------------------- */

void aside_init(struct aside *aside, int64_t base_wall_s)
{
    *aside = (struct aside){ .base_wall_s = base_wall_s };
    buf_init(&aside->bytes, ASIDE_MAX_BYTES);
}

void aside_deinit(struct aside *aside)
{
    buf_deinit(&aside->bytes);
}

int aside_add(struct aside *aside, const struct vault *vault, const struct memory_turn *turn,
              struct err *err)
{
    struct memory_turn sealed = *turn;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *metadata = NULL;

    if (vault) {
        text = vault_seal(vault, turn->text, strlen(turn->text));
        sealed.text = text;
    }
    if (vault && turn->metadata && *turn->metadata) {
        metadata = vault_seal(vault, turn->metadata, strlen(turn->metadata));
        sealed.metadata = metadata;
    }
    if (record_append(&aside->bytes, aside->base_wall_s, &sealed, err) < 0)
        return -1;
    aside->count++;
    return buf_finish(&aside->bytes, err);
}

int aside_insert(struct db *db, const char *key, int64_t first_seq, const struct aside *aside,
                 int64_t *ret_id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_INSERT);

    db_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, first_seq);
    sqlite3_bind_int64(statement, 3, aside->base_wall_s);
    sqlite3_bind_int64(statement, 4, aside->count);
    sqlite3_bind_blob64(statement, 5, buf_text(&aside->bytes), aside->bytes.len, SQLITE_STATIC);
    if (db_run(db, statement, "cannot keep turns", err) < 0)
        return -1;
    *ret_id = db_last_id(db);
    return 0;
}

int aside_forget(struct db *db, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_FORGET);

    sqlite3_bind_int64(statement, 1, id);
    return db_run(db, statement, "cannot clear unsaved turns", err);
}

/* ---- one row ----------------------------------------------------------------------------- */

struct row {
    int64_t id;
    char *key;
    int64_t first_seq;
    int64_t base_wall_s;
    int64_t claimed; /* turns that should be in it */
    char *bytes;
    size_t len;
};

static void rows_free(struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(rows[i].key);
        free(rows[i].bytes);
    }
}

static int read_rows(struct db *db, struct row *rows, size_t max, size_t *ret_count,
                     struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_SCAN);
    size_t count = 0;
    int rc;

    sqlite3_bind_int64(statement, 1, (int64_t)max);
    while ((rc = db_next(db, statement, "cannot read unsaved turns", err)) > 0) {
        const void *bytes = sqlite3_column_blob(statement, 5);
        size_t len = (size_t)sqlite3_column_bytes(statement, 5);

        rows[count] =
            (struct row){ .id = sqlite3_column_int64(statement, 0),
                          .key = xstrdup((const char *)sqlite3_column_text(statement, 1)),
                          .first_seq = sqlite3_column_int64(statement, 2),
                          .base_wall_s = sqlite3_column_int64(statement, 3),
                          .claimed = sqlite3_column_int64(statement, 4),
                          .bytes = xcalloc(1, len + 1),
                          .len = len };
        if (len)
            memcpy(rows[count].bytes, bytes, len);
        count++;
    }
    *ret_count = count;
    return rc;
}

/* Without a key what is sealed goes on as it is: the store gives it out to whoever has it. */
static int open_text(const struct vault *vault, const char *stored, const char **ret_text,
                     char **ret_owned, struct err *err)
{
    *ret_text = stored;
    if (!vault || !vault_is_sealed(stored))
        return 0;
    if (vault_open_text(vault, stored, ret_owned, err) < 0) {
        /* Another key, not a row that does not fit: nothing is to be moved about. */
        if (err)
            err->kind = ERR_SYSTEM;
        return err_wrap(err, "unsaved turns");
    }
    *ret_text = *ret_owned;
    return 0;
}

/* The turns of a row, ready for the store. */
struct opened {
    struct store_mutation *mutations;
    struct memory_turn *turns;
    char **owned; /* two a turn */
    size_t count;
};

static void opened_deinit(struct opened *opened)
{
    for (size_t i = 0; i < 2 * opened->count; i++)
        free(opened->owned[i]);
    free(opened->owned);
    free(opened->turns);
    free(opened->mutations);
}

static int open_row(const struct commit_path *path, const struct row *row, int64_t first_seq,
                    struct opened *opened, struct err *err)
{
    size_t most = row->len / RECORD_TURN_MIN_BYTES;
    size_t max =
        row->claimed < 0 || (uint64_t)row->claimed > most ? most : (size_t)row->claimed;
    size_t offset = 0;

    opened->mutations = xcalloc(max + 1, sizeof(opened->mutations[0]));
    opened->turns = xcalloc(max + 1, sizeof(opened->turns[0]));
    opened->owned = xcalloc(2 * (max + 1), sizeof(opened->owned[0]));
    while (opened->count < max) {
        struct memory_turn *turn = &opened->turns[opened->count];
        char **owned = &opened->owned[2 * opened->count];

        if (!record_next(row->bytes, row->len, row->base_wall_s, &offset, turn))
            break;
        turn->seq = first_seq + (int64_t)opened->count;
        opened->mutations[opened->count] = (struct store_mutation){
            .kind = STORE_APPEND_TURN, .key = row->key, .turn = turn, .seq = turn->seq
        };
        opened->count++;
        if (open_text(path->vault, turn->text, &turn->text, &owned[0], err) < 0 ||
            open_text(path->vault, turn->metadata, &turn->metadata, &owned[1], err) < 0)
            return -1;
    }
    if ((int64_t)opened->count != row->claimed)
        log_err("unsaved turns are damaged: conversation=%s readable=%zu of=%lld", row->key,
                opened->count, (long long)row->claimed);
    return 0;
}

static int apply_row(struct commit_path *path, struct db *db, const struct row *row,
                     int64_t first_seq, struct err *err)
{
    const struct store_ops *ops = path->store->ops;
    struct opened opened = { 0 };
    int64_t max_turns = atomic_load(&path->max_turns);
    int64_t last_seq;
    size_t count;
    int rc = open_row(path, row, first_seq, &opened, err);

    count = opened.count;
    last_seq = first_seq + (int64_t)count - 1;
    if (last_seq > max_turns)
        opened.mutations[count++] = (struct store_mutation){ .kind = STORE_TRIM_TURNS,
                                                             .key = row->key,
                                                             .seq = last_seq - max_turns + 1 };
    if (rc == 0)
        rc = ops->apply(path->store, ops->joins_journal ? db : NULL, opened.mutations, count,
                        err);
    opened_deinit(&opened);
    return rc;
}

/* ---- a piece of a snapshot --------------------------------------------------------------- */

static int delete_rows(struct db *db, int64_t up_to_id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_DELETE);

    sqlite3_bind_int64(statement, 1, up_to_id);
    return db_run(db, statement, "cannot clear unsaved turns", err);
}

static void forget_turn(void *context, const struct memory_turn *turn)
{
    (void)context;
    (void)turn;
}

/* A row whose place another process has taken is put behind what is there: out of order is
 * better than lost. */
static int move_row(struct commit_path *path, struct db *db, const struct row *row,
                    struct err *err)
{
    struct store_head head = { 0 };

    if (path->store->ops->load(path->store, row->key, 1, forget_turn, NULL, &head, err) < 0)
        return -1;
    return apply_row(path, db, row, head.last_seq + 1, err);
}

struct piece {
    struct row rows[STEP_MAX_ROWS];
    size_t count;   /* rows read */
    size_t applied; /* of them */
    size_t max;     /* to read */
    bool moves;     /* the first one to where there is room */
    bool conflicts; /* the row after the applied ones cannot stand where it belongs */
};

static int apply_rows(struct commit_path *path, struct db *db, struct piece *piece,
                      int64_t deadline_us, struct err *err)
{
    do {
        const struct row *row = &piece->rows[piece->applied];
        int rc = piece->moves ? move_row(path, db, row, err)
                              : apply_row(path, db, row, row->first_seq, err);

        if (rc < 0) {
            piece->conflicts = err->kind == ERR_INPUT;
            return -1;
        }
        piece->applied++;
    } while (piece->applied < piece->count && clock_now_us() < deadline_us);
    return delete_rows(db, piece->rows[piece->applied - 1].id, err);
}

/* One transaction. On a conflict nothing has happened but what piece->applied says could. */
static int run_piece(struct commit_path *path, struct db *db, struct piece *piece,
                     int64_t deadline_us, struct err *err)
{
    if (db_begin(db, err) < 0)
        return -1;
    if (read_rows(db, piece->rows, piece->max, &piece->count, err) < 0 ||
        (piece->count && apply_rows(path, db, piece, deadline_us, err) < 0) ||
        db_commit(db, err) < 0) {
        db_rollback(db);
        return -1;
    }
    return 0;
}

/* Up to the row that conflicts, and that one by itself. */
static int run_with_conflict(struct commit_path *path, struct db *db, struct piece *piece,
                             int64_t deadline_us, struct err *err)
{
    size_t before = piece->applied;

    rows_free(piece->rows, piece->count);
    *piece = (struct piece){ .max = before ? before : 1, .moves = !before };
    if (piece->moves)
        log_warn("turns are kept out of order: %s", err->message);
    return run_piece(path, db, piece, deadline_us, err);
}

static bool is_anything_unsaved(struct db *db)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_SCAN);
    bool found;

    sqlite3_bind_int64(statement, 1, 1);
    found = db_next(db, statement, "cannot read unsaved turns", NULL) != 0;
    sqlite3_reset(statement);
    return found; /* also when it cannot be read: the transaction will say why */
}

int snapshot_step(struct commit_path *path, struct db *db, int64_t max_us, bool *ret_more,
                  struct err *err)
{
    int64_t deadline_us = clock_now_us() + max_us;
    /* Read first: whatever is committed and no longer in the table has been saved, be it by
     * another process. */
    int64_t saved_id = atomic_load(&path->unsaved_id);
    struct piece piece = { .max = STEP_MAX_ROWS };
    struct err local = { 0 };
    int rc = 0;

    if (is_anything_unsaved(db)) {
        rc = run_piece(path, db, &piece, deadline_us, &local);
        if (rc < 0 && piece.conflicts)
            rc = run_with_conflict(path, db, &piece, deadline_us, &local);
    }
    *ret_more =
        rc == 0 && piece.count && (piece.applied < piece.count || piece.count == piece.max);
    if (rc == 0) {
        if (piece.applied && (*ret_more || piece.rows[piece.applied - 1].id > saved_id))
            saved_id = piece.rows[piece.applied - 1].id;
        conversations_note_saved(path->conversations, saved_id);
    } else if (err) {
        *err = local;
    }
    rows_free(piece.rows, piece.count);
    return rc;
}
