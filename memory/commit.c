#include "memory/commit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "memory.commit"
#include "base/log.h"

#define SNAPSHOT_STEP_ROWS 64

/* Turns of one conversation as the store takes them: the appends, then the trim. */
struct batch {
    struct store_mutation *mutations;
    struct memory_turn *turns;
    size_t count; /* mutations */
};

static void batch_deinit(struct batch *batch)
{
    free(batch->mutations);
    free(batch->turns);
}

static void batch_init(struct batch *batch, size_t max_turns)
{
    batch->mutations = xcalloc(max_turns + 1, sizeof(batch->mutations[0]));
    batch->turns = xcalloc(max_turns, sizeof(batch->turns[0]));
    batch->count = 0;
}

static void batch_add_turn(struct batch *batch, const char *key, const struct memory_turn *turn,
                           int64_t seq)
{
    batch->turns[batch->count] = *turn;
    batch->turns[batch->count].seq = seq;
    batch->mutations[batch->count] = (struct store_mutation){
        .kind = STORE_APPEND_TURN, .key = key, .turn = &batch->turns[batch->count], .seq = seq
    };
    batch->count++;
}

static void batch_add_pack(struct batch *batch, const char *key, const struct pack *pack,
                           int64_t first_seq)
{
    struct memory_turn turn;
    size_t offset = 0;

    for (uint32_t i = 0; i < pack->count && pack_next(pack, &offset, &turn); i++)
        batch_add_turn(batch, key, &turn, first_seq++);
}

static void batch_add_trim(struct batch *batch, const char *key, int64_t last_seq,
                           int64_t max_turns)
{
    if (last_seq > max_turns)
        batch->mutations[batch->count++] = (struct store_mutation){
            .kind = STORE_TRIM_TURNS, .key = key, .seq = last_seq - max_turns + 1
        };
}

/* ---- committing -------------------------------------------------------------------------- */

struct commit_job {
    struct journal_job base;
    struct commit_path *path;
    const char *key;
    const struct batch *batch;  /* for the store, NULL: it is done or not asked */
    const struct pack *unsaved; /* for the unsaved table, or NULL */
    int64_t first_seq;
    const int64_t *ledger_ids;
    size_t ledger_count;
    enum ledger_state state;
    int64_t pending_change;
    int64_t unsaved_id;
};

static int insert_unsaved(struct commit_job *job, struct db *db, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_INSERT);

    db_bind_text(statement, 1, job->key);
    sqlite3_bind_int64(statement, 2, job->first_seq);
    sqlite3_bind_int64(statement, 3, job->unsaved->base_wall_s);
    sqlite3_bind_int64(statement, 4, job->unsaved->count);
    db_bind_secret_bytes(db, statement, 5, job->unsaved->bytes, job->unsaved->len);
    if (db_run(db, statement, "cannot keep turns", err) < 0)
        return -1;
    job->unsaved_id = db_last_id(db);
    return 0;
}

static int commit_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct commit_job *job = (struct commit_job *)base;
    struct store *store = job->path->store;

    if (job->batch &&
        store->ops->apply(store, db, job->batch->mutations, job->batch->count, err) < 0)
        return -1;
    if (job->unsaved && insert_unsaved(job, db, err) < 0)
        return -1;
    return ledger_apply_state(db, job->ledger_ids, job->ledger_count, job->state,
                              &job->pending_change, err);
}

static void note_unsaved(struct commit_path *path, int64_t id)
{
    int64_t newest = atomic_load(&path->unsaved_id);

    while (id > newest && !atomic_compare_exchange_weak(&path->unsaved_id, &newest, id))
        ;
}

static void schedule_snapshot(struct commit_path *path)
{
    int64_t due_ms = CLOCK_FOREVER_MS;
    int64_t now_ms = clock_now_ms();
    int64_t when_ms = now_ms + atomic_load(&path->snapshot_interval_ms);

    if (conversations_want_snapshot(path->conversations)) {
        atomic_store(&path->snapshot_due_ms, now_ms);
        journal_call_at(path->journal, now_ms);
    } else if (atomic_compare_exchange_strong(&path->snapshot_due_ms, &due_ms, when_ms)) {
        journal_call_at(path->journal, when_ms);
    }
}

/* What the parent lent, then what is new: into the batch, or packed for the unsaved table. */
static int gather(const struct commit_path *path, struct conversation *conversation,
                  const struct memory_turn *turns, size_t count, const struct pack *lent,
                  struct batch *batch, struct pack *unsaved, int64_t first_seq, struct err *err)
{
    const char *key = conversation_key(conversation);
    int64_t seq = first_seq + lent->count;
    struct memory_turn turn;
    size_t offset = 0;

    for (size_t i = 0; i < count; i++) {
        if (strlen(turns[i].text) > PACK_TEXT_MAX_BYTES)
            return err_set(err, ERR_INPUT, "a turn of %zu bytes is too long to keep",
                           strlen(turns[i].text));
    }
    if (path->durability == MEMORY_DURABILITY_INTERVAL) {
        while (pack_next(lent, &offset, &turn)) {
            if (pack_append(unsaved, &turn, err) < 0)
                return -1;
        }
        for (size_t i = 0; i < count; i++) {
            if (pack_append(unsaved, &turns[i], err) < 0)
                return -1;
        }
        return 0;
    }
    batch_add_pack(batch, key, lent, first_seq);
    for (size_t i = 0; i < count; i++)
        batch_add_turn(batch, key, &turns[i], seq++);
    batch_add_trim(batch, key, seq - 1, atomic_load(&path->max_turns));
    return 0;
}

static int run_commit(struct commit_path *path, struct commit_job *job,
                      const struct batch *batch, const struct pack *unsaved, struct err *err)
{
    const struct store_ops *ops = path->store->ops;

    job->base.apply = commit_apply;
    job->unsaved = unsaved->count ? unsaved : NULL;
    if (batch->count && ops->joins_journal)
        job->batch = batch;
    else if (batch->count &&
             ops->apply(path->store, NULL, batch->mutations, batch->count, err) < 0)
        return -1;
    if (journal_run(path->journal, &job->base, err) < 0)
        return -1;
    ledger_add_pending(path->ledger, job->pending_change);
    return 0;
}

int commit_turns(struct commit_path *path, struct conversation *conversation,
                 const struct memory_turn *turns, size_t turns_count, const int64_t *ledger_ids,
                 size_t ledger_count, enum ledger_state state, struct err *err)
{
    struct commit_job job = { .path = path,
                              .key = conversation_key(conversation),
                              .ledger_ids = ledger_ids,
                              .ledger_count = ledger_count,
                              .state = state };
    struct pack lent = { 0 };
    struct pack unsaved = { 0 };
    struct batch batch;
    int rc;

    conversation_copy_lent(conversation, &lent, &job.first_seq);
    if (!lent.count)
        job.first_seq = conversation_last_seq(conversation) + 1;
    batch_init(&batch, lent.count + turns_count);
    rc = gather(path, conversation, turns, turns_count, &lent, &batch, &unsaved, job.first_seq,
                err);
    if (rc == 0)
        rc = run_commit(path, &job, &batch, &unsaved, err);
    batch_deinit(&batch);
    pack_deinit(&unsaved);
    pack_deinit(&lent);
    if (rc < 0) {
        if (err && err->kind == ERR_INPUT)
            conversation_mark_stale(path->conversations, conversation);
        return -1;
    }
    conversation_append(path->conversations, conversation, turns, turns_count, job.unsaved_id);
    if (job.unsaved_id) {
        note_unsaved(path, job.unsaved_id);
        schedule_snapshot(path);
    }
    return 0;
}

int commit_reset(struct commit_path *path, const char *key, struct err *err)
{
    struct conversation *conversation = NULL;
    struct store_mutation mutation = { .kind = STORE_SET_WINDOW, .key = key };
    struct batch batch = { .mutations = &mutation, .count = 1 };
    struct commit_job job = { .path = path, .key = key };
    struct pack unsaved = { 0 };
    int rc;

    if (conversations_pin(path->conversations, key, NULL, NULL, &conversation, err) < 0)
        return -1;
    mutation.seq = conversation_last_seq(conversation) + 1;
    rc = run_commit(path, &job, &batch, &unsaved, err);
    if (rc == 0)
        conversation_reset(path->conversations, conversation, mutation.seq);
    conversations_unpin(path->conversations, conversation);
    return rc;
}

/* ---- snapshots --------------------------------------------------------------------------- */

struct unsaved_row {
    int64_t id;
    char *key;
    int64_t first_seq;
    int64_t claimed; /* turns that should be in it */
    struct pack pack;
};

static void free_rows(struct unsaved_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(rows[i].key);
        pack_deinit(&rows[i].pack);
    }
}

static int read_rows(struct db *db, struct unsaved_row *rows, size_t *ret_count,
                     struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_UNSAVED_SCAN);
    size_t count = 0;
    int rc;

    sqlite3_bind_int64(statement, 1, SNAPSHOT_STEP_ROWS);
    while ((rc = db_next(db, statement, "cannot read unsaved turns", err)) > 0) {
        struct unsaved_row *row = &rows[count++];
        char *bytes = NULL;
        size_t len = 0;
        int64_t most;

        if (db_column_secret_bytes(db, statement, 5, &bytes, &len, err) < 0) {
            rc = -1;
            count--;
            sqlite3_reset(statement);
            break;
        }
        most = (int64_t)len / PACK_TURN_MIN_BYTES;
        row->id = sqlite3_column_int64(statement, 0);
        row->claimed = sqlite3_column_int64(statement, 4);
        row->key = xstrdup((const char *)sqlite3_column_text(statement, 1));
        row->first_seq = sqlite3_column_int64(statement, 2);
        row->pack = (struct pack){
            .bytes = bytes,
            .len = (uint32_t)len,
            .capacity = (uint32_t)len + 1,
            .count = (uint32_t)(row->claimed < 0 || row->claimed > most ? most : row->claimed),
            .base_wall_s = sqlite3_column_int64(statement, 3)
        };
    }
    *ret_count = count;
    return rc;
}

static int apply_row(struct commit_path *path, struct db *db, const struct unsaved_row *row,
                     int64_t first_seq, struct err *err)
{
    struct store *store = path->store;
    struct batch batch;
    int rc;

    batch_init(&batch, row->pack.count);
    batch_add_pack(&batch, row->key, &row->pack, first_seq);
    if ((int64_t)batch.count != row->claimed)
        log_err("unsaved turns are damaged: conversation=%s readable=%zu of=%lld", row->key,
                batch.count, (long long)row->claimed);
    batch_add_trim(&batch, row->key, first_seq + (int64_t)batch.count - 1,
                   atomic_load(&path->max_turns));
    rc = store->ops->apply(store, store->ops->joins_journal ? db : NULL, batch.mutations,
                           batch.count, err);
    batch_deinit(&batch);
    return rc;
}

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

/*
 * Applies rows and forgets them in one transaction. A row whose place another process has taken
 * is put behind what is there (`one`): out of order is better than lost.
 */
static int save_rows(struct commit_path *path, struct db *db, const struct unsaved_row *rows,
                     size_t count, bool move, struct err *err)
{
    struct store *store = path->store;
    struct store_head head = { 0 };

    if (move && store->ops->load(store, rows->key, 0, forget_turn, NULL, &head, err))
        return -1;
    if (db_begin(db, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (apply_row(path, db, &rows[i], move ? head.last_seq + 1 : rows[i].first_seq, err) <
            0)
            goto undo;
    }
    if (delete_rows(db, rows[count - 1].id, err) == 0 && db_commit(db, err) == 0)
        return 0;
undo:
    db_rollback(db);
    return -1;
}

static int save_one_by_one(struct commit_path *path, struct db *db,
                           const struct unsaved_row *rows, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (save_rows(path, db, &rows[i], 1, false, err) == 0)
            continue;
        if (err->kind != ERR_INPUT)
            return -1;
        log_warn("turns are kept out of order: %s", err->message);
        if (save_rows(path, db, &rows[i], 1, true, err) < 0)
            return -1;
    }
    return 0;
}

int commit_snapshot(struct commit_path *path, struct db *db, struct err *err)
{
    struct unsaved_row rows[SNAPSHOT_STEP_ROWS] = { 0 };
    struct err local = { 0 };
    size_t count = 0;
    int rc;

    do {
        /* Read first: whatever is committed and no longer in the table has been saved, be it
         * by another process that opened the database. */
        int64_t saved_id = atomic_load(&path->unsaved_id);

        rc = read_rows(db, rows, &count, &local);
        if (rc == 0 && count) {
            rc = save_rows(path, db, rows, count, false, &local);
            if (rc < 0 && local.kind == ERR_INPUT)
                rc = save_one_by_one(path, db, rows, count, &local);
        }
        if (count == SNAPSHOT_STEP_ROWS || (count && rows[count - 1].id > saved_id))
            saved_id = rows[count - 1].id;
        if (rc == 0)
            conversations_note_saved(path->conversations, saved_id);
        free_rows(rows, count);
    } while (rc == 0 && count == SNAPSHOT_STEP_ROWS);
    if (rc < 0 && err)
        *err = local;
    return rc;
}

static int flush_call(void *context, struct db *db, struct err *err)
{
    return commit_snapshot(context, db, err);
}

int commit_flush(struct commit_path *path, struct err *err)
{
    if (path->durability != MEMORY_DURABILITY_INTERVAL)
        return 0;
    return journal_call(path->journal, flush_call, path, err);
}

bool commit_notice_foreign(struct commit_path *path, struct db *db)
{
    const struct store_ops *ops = path->store->ops;
    struct err err = { 0 };
    int64_t version = ops->foreign_version ? ops->foreign_version(path->store, db) : 0;

    if (version == path->foreign_version)
        return false;
    path->foreign_version = version;
    if (path->durability == MEMORY_DURABILITY_INTERVAL && commit_snapshot(path, db, &err) < 0)
        log_warn("another process wrote, and a snapshot failed: unsaved conversations are read "
                 "anew when one succeeds: %s",
                 err.message);
    conversations_mark_all_stale(path->conversations);
    return true;
}

/* ---- whatever else is written ------------------------------------------------------------ */

struct mutations_job {
    struct journal_job base;
    struct store *store;
    struct store_mutation *mutations;
    size_t count;
};

static int apply_mutations(struct journal_job *base, struct db *db, struct err *err)
{
    struct mutations_job *job = (struct mutations_job *)base;

    return job->store->ops->apply(job->store, db, job->mutations, job->count, err);
}

static bool erases_turns(const struct store_mutation *mutations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (mutations[i].kind == STORE_TRIM_TURNS || mutations[i].kind == STORE_ERASE_TURN ||
            mutations[i].kind == STORE_ERASE)
            return true;
    }
    return false;
}

int commit_mutations(struct commit_path *path, struct store_mutation *mutations, size_t count,
                     struct err *err)
{
    const struct store_ops *ops = path->store->ops;
    struct mutations_job job = { .base.apply = apply_mutations,
                                 .store = path->store,
                                 .mutations = mutations,
                                 .count = count };

    if (erases_turns(mutations, count) && commit_flush(path, err) < 0)
        return -1;
    if (ops->joins_journal)
        return journal_run(path->journal, &job.base, err);
    return ops->apply(path->store, NULL, mutations, count, err);
}
