#include "memory/store_sqlite.h"

#include <stdlib.h>

#include "base/alloc.h"

struct db *sqlite_borrow(struct sqlite_store *store, struct err *err)
{
    if (store->readers)
        return readers_borrow(store->readers, err);
    pthread_mutex_lock(&store->lock);
    return store->db;
}

void sqlite_return(struct sqlite_store *store, struct db *db)
{
    if (store->readers)
        readers_return(store->readers, db);
    else
        pthread_mutex_unlock(&store->lock);
}

int sqlite_find(struct db *db, const char *key, int64_t *ret_id, struct store_head *ret_head,
                struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATION_FIND);
    int rc;

    db_bind_text(statement, 1, key);
    rc = db_next(db, statement, "cannot find a conversation", err);
    if (rc > 0) {
        *ret_id = sqlite3_column_int64(statement, 0);
        ret_head->last_seq = sqlite3_column_int64(statement, 1);
        ret_head->window_seq = sqlite3_column_int64(statement, 2);
    }
    sqlite3_reset(statement);
    return rc;
}

/* The one visit that is made with the connection in hand: it only copies into RAM. */
static int load_turns(struct db *db, int64_t id, int64_t window_seq, size_t max_turns,
                      store_turn_fn on_turn, void *context, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_TURNS_LOAD);
    int rc;

    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, window_seq);
    sqlite3_bind_int64(statement, 3, (int64_t)max_turns);
    while ((rc = db_next(db, statement, "cannot load a conversation", err)) > 0) {
        struct memory_turn turn = {
            .seq = sqlite3_column_int64(statement, 0),
            .role = (enum memory_role)sqlite3_column_int(statement, 1),
            .author = db_column_text(statement, 2),
            .text = db_column_secret(db, statement, 3, err),
            .slack_ts = db_column_text(statement, 4),
            .at_wall_s = sqlite3_column_int64(statement, 5),
            .tokens = sqlite3_column_int64(statement, 6),
        };

        if (!turn.text) {
            sqlite3_reset(statement);
            return -1;
        }
        on_turn(context, &turn);
    }
    return rc;
}

/*
 * Two statements without a transaction around them: turns committed in between are newer than
 * *ret_head says, but the one conversation's writer is the one that loads it.
 */
int sqlite_load(struct store *base, const char *key, size_t max_turns, store_turn_fn on_turn,
                void *context, struct store_head *ret_head, struct err *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    struct db *db = sqlite_borrow(store, err);
    struct store_head head = { 0 };
    int64_t id = 0;
    int rc;

    if (!db)
        return -1;
    rc = sqlite_find(db, key, &id, &head, err);
    if (rc > 0)
        rc = load_turns(db, id, head.window_seq, max_turns, on_turn, context, err);
    sqlite_return(store, db);
    if (rc < 0)
        return -1;
    *ret_head = head;
    return 0;
}

static int joined_apply(struct store *store, struct db *journal_db,
                        struct store_mutation *mutations, size_t count, struct err *err)
{
    (void)store;
    return sqlite_write(journal_db, mutations, count, err);
}

static int joined_sweep(struct store *store, struct db *journal_db, int64_t before_wall_s,
                        struct store_swept *swept, struct err *err)
{
    return sqlite_sweep((struct sqlite_store *)store, journal_db, before_wall_s, swept, err);
}

static int joined_scrub(struct store *store, struct db *journal_db, struct err *err)
{
    (void)store;
    return db_scrub(journal_db, err);
}

static int64_t joined_foreign_version(struct store *store, struct db *journal_db)
{
    sqlite3_stmt *statement = db_statement(journal_db, DB_DATA_VERSION);
    int64_t version = 0;

    (void)store;
    if (db_next(journal_db, statement, "cannot ask for changes", NULL) > 0)
        version = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return version;
}

static void joined_free(struct store *store)
{
    free(store);
}

struct store *store_sqlite_new(struct readers *readers, struct vault *vault)
{
    static const struct store_ops ops = {
        .name = "sqlite",
        .joins_journal = true,
        .free = joined_free,
        .load = sqlite_load,
        .history = sqlite_history,
        .summaries = sqlite_summaries,
        .list = sqlite_list,
        .size = sqlite_size,
        .fields = sqlite_fields,
        .items = sqlite_items,
        .values = sqlite_values,
        .stats = sqlite_stats,
        .apply = joined_apply,
        .sweep = joined_sweep,
        .scrub = joined_scrub,
        .backup = sqlite_backup,
        .foreign_version = joined_foreign_version,
    };
    struct sqlite_store *store = xcalloc(1, sizeof(*store));

    store->base.ops = &ops;
    store->readers = readers;
    if (vault)
        readers_set_vault(readers, vault);
    return &store->base;
}
