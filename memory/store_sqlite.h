/*
 * store_sqlite.h - the insides of the SQLite store, for its own files: store_sqlite.c (how it
 * is made, loading), sqlite_write.c (mutations), sqlite_read.c (lists, ranges, figures),
 * sqlite_upkeep.c (sweep, scrub, backup). The `none` store is the same over a database in RAM.
 *
 * Owns:    see store.h.
 * Threads: see store.h.
 */
#ifndef MEMORY_STORE_SQLITE_H
#define MEMORY_STORE_SQLITE_H

#include <pthread.h>
#include <stdint.h>

#include "memory/db.h"
#include "memory/readers.h"
#include "memory/store.h"

struct sqlite_store {
    struct store base;
    struct readers *readers; /* NULL: in RAM */
    int64_t sweep_after;     /* how far the sweep has come: a conversation's id */

    /* In RAM: one connection, used by one at a time. */
    pthread_mutex_t lock;
    struct db *db; /* with `lock` */
    int64_t max_bytes;
};

/* A connection to read from; give it back before calling anybody. NULL and `err`. */
struct db *sqlite_borrow(struct sqlite_store *store, struct err *err);
void sqlite_return(struct sqlite_store *store, struct db *db);

/* 1 found, 0 no such key, -1. */
int sqlite_find(struct db *db, const char *key, int64_t *ret_id, struct store_head *ret_head,
                struct err *err);

/* The functions of struct store_ops. */
int sqlite_load(struct store *base, const char *key, size_t max_turns, store_turn_fn on_turn,
                void *context, struct store_head *ret_head, struct err *err);
int sqlite_history(struct store *store, const char *key, const struct store_range *range,
                   store_visit_turn_fn visit, void *context, struct err *err);
int sqlite_summaries(struct store *store, const char *key, store_summary_fn visit,
                     void *context, struct err *err);
int sqlite_list(struct store *store, const struct store_list *list, store_conversation_fn visit,
                void *context, struct err *err);
int sqlite_size(struct store *store, const char *key, struct store_conversation *ret,
                struct err *err);
int sqlite_fields(struct store *store, const char *key, const char *name, store_value_fn visit,
                  void *context, struct err *err);
int sqlite_items(struct store *store, const char *user, enum store_item_kind kind,
                 store_item_fn visit, void *context, struct err *err);
int sqlite_values(struct store *store, const char *key, bool is_pattern, const char *after,
                  size_t limit, store_value_fn visit, void *context, struct err *err);
int sqlite_stats(struct store *base, struct store_stats *ret_stats, struct err *err);
int sqlite_backup(struct store *base, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err);

/* The same for both, inside a transaction of `db`. */
int sqlite_write(struct db *db, struct store_mutation *mutations, size_t count,
                 struct err *err);
/* Erases a conversation: at most `max_turns` of its turns, the rest when none is left. 1: more
 * is left, 0: it is gone. Adds to *swept. */
int sqlite_erase(struct db *db, int64_t id, int64_t max_turns, struct store_swept *swept,
                 struct err *err);

/* The same for both, outside of a transaction. */
int sqlite_sweep(struct sqlite_store *store, struct db *db, int64_t before_wall_s,
                 struct store_swept *swept, struct err *err);

/* A pattern as GLOB takes it, and the keys among which those that fit are: from `*ret_from` on
 * (caller frees both) and, bound by sqlite_bind_end(), before the end of that prefix. */
char *sqlite_glob(const char *pattern, char **ret_prefix);
void sqlite_bind_end(sqlite3_stmt *statement, int index, const char *prefix);

#endif
