#include "memory/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/db.h"
#include "memory/readers.h"

struct sqlite_store {
    struct store base;
    struct readers *readers;
};

static void sqlite_free(struct store *store)
{
    free(store);
}

/* 1 found, 0 no such key, -1. */
static int find_conversation(struct db *db, const char *key, int64_t *ret_id,
                             int64_t *ret_last_seq, int64_t *ret_window_seq, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATION_FIND);
    int rc;

    db_bind_text(statement, 1, key);
    rc = db_next(db, statement, "cannot find a conversation", err);
    if (rc > 0) {
        *ret_id = sqlite3_column_int64(statement, 0);
        *ret_last_seq = sqlite3_column_int64(statement, 1);
        *ret_window_seq = sqlite3_column_int64(statement, 2);
    }
    sqlite3_reset(statement);
    return rc;
}

static const char *text_or_empty(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text ? (const char *)text : "";
}

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
            .author = text_or_empty(statement, 2),
            .text = text_or_empty(statement, 3),
            .slack_ts = text_or_empty(statement, 4),
            .at_wall_s = sqlite3_column_int64(statement, 5),
            .tokens = sqlite3_column_int64(statement, 6),
        };

        on_turn(context, &turn);
    }
    return rc;
}

/*
 * Two statements without a transaction around them: turns committed in between are newer than
 * *ret_last_seq says, but the one conversation's writer is the one that loads it.
 */
static int sqlite_load(struct store *store, const char *key, size_t max_turns,
                       store_turn_fn on_turn, void *context, struct store_head *ret_head,
                       struct err *err)
{
    struct readers *readers = ((struct sqlite_store *)store)->readers;
    struct db *db = readers_borrow(readers, err);
    int64_t id = 0;
    int64_t last_seq = 0;
    int64_t window_seq = 0;
    int rc;

    if (!db)
        return -1;
    rc = find_conversation(db, key, &id, &last_seq, &window_seq, err);
    if (rc > 0)
        rc = load_turns(db, id, window_seq, max_turns, on_turn, context, err);
    readers_return(readers, db);
    if (rc < 0)
        return -1;
    *ret_head = (struct store_head){ .last_seq = last_seq, .window_seq = window_seq };
    return 0;
}

static int touch(struct db *db, const struct store_mutation *mutation, int64_t *ret_id,
                 struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATION_TOUCH);
    int rc;

    db_bind_text(statement, 1, mutation->key);
    sqlite3_bind_int64(statement, 2, mutation->turn->seq);
    sqlite3_bind_int64(statement, 3, mutation->turn->at_wall_s);
    rc = db_next(db, statement, "cannot keep a conversation", err);
    if (rc <= 0)
        return -1;
    *ret_id = sqlite3_column_int64(statement, 0);
    return db_run(db, statement, "cannot keep a conversation", err); /* RETURNING: to its end */
}

/* The seq is taken: by this very turn (applied twice), or by another? */
static int check_same_turn(struct db *db, int64_t id, const struct memory_turn *turn,
                           const char *key, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_TURN_FIND);
    bool same;

    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, turn->seq);
    if (db_next(db, statement, "cannot compare a turn", err) < 0)
        return -1;
    same = sqlite3_column_int(statement, 0) == (int)turn->role &&
           strcmp(text_or_empty(statement, 1), turn->text) == 0;
    sqlite3_reset(statement);
    return same ? 0
                : err_set(err, ERR_INPUT,
                          "conversation %s was continued elsewhere: turn %lld is another one",
                          key, (long long)turn->seq);
}

static int append_turn(struct db *db, const struct store_mutation *mutation, struct err *err)
{
    const struct memory_turn *turn = mutation->turn;
    sqlite3_stmt *statement;
    int64_t id = 0;

    if (touch(db, mutation, &id, err) < 0)
        return -1;
    statement = db_statement(db, DB_TURN_INSERT);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, turn->seq);
    sqlite3_bind_int(statement, 3, (int)turn->role);
    db_bind_text(statement, 4, turn->author);
    db_bind_text(statement, 5, turn->text);
    db_bind_text(statement, 6, turn->slack_ts);
    sqlite3_bind_int64(statement, 7, turn->at_wall_s);
    sqlite3_bind_int64(statement, 8, turn->tokens);
    if (db_run(db, statement, "cannot keep a turn", err) < 0)
        return -1;
    return db_changes(db) ? 0 : check_same_turn(db, id, turn, mutation->key, err);
}

static int set_window(struct db *db, const struct store_mutation *mutation, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATION_WINDOW);

    db_bind_text(statement, 1, mutation->key);
    sqlite3_bind_int64(statement, 2, mutation->seq);
    sqlite3_bind_int64(statement, 3, clock_wall_s());
    return db_run(db, statement, "cannot begin a conversation anew", err);
}

static int trim(struct db *db, const struct store_mutation *mutation, int64_t below_seq,
                int64_t *ret_id, struct err *err)
{
    sqlite3_stmt *statement;
    int64_t last_seq = 0;
    int64_t window_seq = 0;
    int rc = find_conversation(db, mutation->key, ret_id, &last_seq, &window_seq, err);

    if (rc <= 0)
        return rc;
    statement = db_statement(db, DB_TURNS_TRIM);
    sqlite3_bind_int64(statement, 1, *ret_id);
    sqlite3_bind_int64(statement, 2, below_seq);
    return db_run(db, statement, "cannot erase turns", err) < 0 ? -1 : 1;
}

static int erase(struct db *db, const struct store_mutation *mutation, struct err *err)
{
    sqlite3_stmt *statement;
    int64_t id = 0;
    int rc = trim(db, mutation, INT64_MAX, &id, err);

    if (rc <= 0)
        return rc;
    statement = db_statement(db, DB_CONVERSATION_ERASE);
    sqlite3_bind_int64(statement, 1, id);
    return db_run(db, statement, "cannot erase a conversation", err);
}

static int apply_one(struct db *db, const struct store_mutation *mutation, struct err *err)
{
    int64_t id = 0;

    switch (mutation->kind) {
    case STORE_APPEND_TURN:
        return append_turn(db, mutation, err);
    case STORE_SET_WINDOW:
        return set_window(db, mutation, err);
    case STORE_TRIM_TURNS:
        return trim(db, mutation, mutation->seq, &id, err) < 0 ? -1 : 0;
    case STORE_ERASE:
        return erase(db, mutation, err);
    default:
        break;
    }
    return err_set(err, ERR_INPUT, "no such mutation: %d", (int)mutation->kind);
}

static int sqlite_apply(struct store *store, struct db *journal_db,
                        struct store_mutation *mutations, size_t count, struct err *err)
{
    (void)store;
    for (size_t i = 0; i < count; i++) {
        if (apply_one(journal_db, &mutations[i], err) < 0)
            return -1;
    }
    return 0;
}

struct store *store_sqlite_new(struct readers *readers, struct vault *vault)
{
    static const struct store_ops ops = {
        .name = "sqlite",
        .joins_journal = true,
        .free = sqlite_free,
        .load = sqlite_load,
        .apply = sqlite_apply,
    };
    struct sqlite_store *store = xcalloc(1, sizeof(*store));

    store->base.ops = &ops;
    (void)vault;
    store->readers = readers;
    return &store->base;
}
