#include "memory/store_sqlite.h"

#include <stdlib.h>

#include "base/alloc.h"

/* The same SQL over a database in RAM: nothing of it outlives the process. */

#define ERASE_STEP_TURNS INT64_C(1000)

static void none_free(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;

    if (!store)
        return;
    db_close(store->db);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

/* 1: there is another conversation than the one used last; 0: no. */
static int erase_oldest_locked(struct sqlite_store *store, struct err *err)
{
    struct store_swept swept = { 0 };
    sqlite3_stmt *statement = db_statement(store->db, DB_CONVERSATION_OLDEST);
    int64_t ids[2] = { 0 };
    int found = 0;
    int rc;

    while ((rc = db_next(store->db, statement, "cannot find what to erase", err)) > 0)
        ids[found++] = sqlite3_column_int64(statement, 0);
    if (rc < 0 || found < 2)
        return rc;
    do {
        rc = sqlite_erase(store->db, ids[0], ERASE_STEP_TURNS, &swept, err);
    } while (rc > 0);
    return rc < 0 ? -1 : 1;
}

/* Conversations that were not used for longest go until the rest fits. */
static int bound_locked(struct sqlite_store *store, struct err *err)
{
    int rc = 1;

    while (rc > 0 && db_bytes(store->db) > store->max_bytes)
        rc = erase_oldest_locked(store, err);
    return rc < 0 ? -1 : 0;
}

static int apply_locked(struct sqlite_store *store, struct store_mutation *mutations,
                        size_t count, struct err *err)
{
    if (db_begin(store->db, err) < 0)
        return -1;
    if (sqlite_write(store->db, mutations, count, err) == 0 && bound_locked(store, err) == 0 &&
        db_commit(store->db, err) == 0)
        return 0;
    db_rollback(store->db);
    return -1;
}

static int none_apply(struct store *base, struct db *journal_db,
                      struct store_mutation *mutations, size_t count, struct err *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    int rc;

    (void)journal_db;
    pthread_mutex_lock(&store->lock);
    rc = apply_locked(store, mutations, count, err);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static int none_sweep(struct store *base, struct db *journal_db, int64_t before_wall_s,
                      struct store_swept *swept, struct err *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    int rc;

    (void)journal_db;
    pthread_mutex_lock(&store->lock);
    rc = sqlite_sweep(store, store->db, before_wall_s, swept, err);
    pthread_mutex_unlock(&store->lock);
    return rc;
}

/* There is no file that could hold erased bytes. */
static int none_scrub(struct store *store, struct db *journal_db, struct err *err)
{
    (void)store;
    (void)journal_db;
    (void)err;
    return 0;
}

static int64_t none_foreign_version(struct store *store, struct db *journal_db)
{
    (void)store;
    (void)journal_db;
    return 0; /* nobody else can write it */
}

struct store *store_none_new(int64_t max_bytes, struct err *err)
{
    static const struct store_ops ops = {
        .name = "none",
        .joins_journal = false,
        .free = none_free,
        .load = sqlite_load,
        .history = sqlite_history,
        .summaries = sqlite_summaries,
        .list = sqlite_list,
        .size = sqlite_size,
        .fields = sqlite_fields,
        .items = sqlite_items,
        .values = sqlite_values,
        .stats = sqlite_stats,
        .apply = none_apply,
        .sweep = none_sweep,
        .scrub = none_scrub,
        .backup = sqlite_backup,
        .foreign_version = none_foreign_version,
    };
    struct sqlite_store *store = xcalloc(1, sizeof(*store));

    store->base.ops = &ops;
    store->max_bytes = max_bytes;
    pthread_mutex_init(&store->lock, NULL);
    if (db_open("memory in RAM", DB_ROLE_PRIVATE, &store->db, err) < 0) {
        none_free(&store->base);
        return NULL;
    }
    return &store->base;
}

void store_none_set_limit(struct store *store, int64_t max_bytes)
{
    struct sqlite_store *own = (struct sqlite_store *)store;

    pthread_mutex_lock(&own->lock);
    own->max_bytes = max_bytes;
    pthread_mutex_unlock(&own->lock);
}
