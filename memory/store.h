/*
 * store.h - where conversations live outside RAM: one table of functions that every backend
 * fills in, with a batch of mutations as its unit, applied whole or not at all. Shaped so that
 * a key-value server can stand behind it as well: no SQL, no cursors, no transactions in the
 * interface, and every mutation may be applied twice with the effect of once.
 *
 * Two ways to be durable together with the ledger:
 *   joins_journal   the store is the journal's own database: apply() runs inside its
 *                   transaction, turn and ledger commit as one.
 *   otherwise       apply() is called first, by the one who waits; only when it has succeeded
 *                   is the ledger told. A crash in between applies the same turns again.
 *
 * Owns:    a store owns its connections.
 * Threads: load from any thread; apply on the journal thread when it joins the journal, else
 *          from any.
 */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/memory.h"

enum store_mutation_kind {
    STORE_APPEND_TURN, /* key, turn: idempotent by (key, seq) */
    STORE_SET_WINDOW,  /* key, seq: turns below it are no longer injected; never goes back */
    STORE_TRIM_TURNS,  /* key, seq: turns below it are erased */
    STORE_ERASE,       /* key: everything */
};

struct store_mutation {
    enum store_mutation_kind kind;
    const char *key;
    const struct memory_turn *turn;
    int64_t seq;
};

/* Takes one stored turn; its strings are borrowed for the call. */
typedef void (*store_turn_fn)(void *context, const struct memory_turn *turn);

struct db;
struct readers;
struct store;
struct store_ops {
    const char *name;
    bool joins_journal;
    void (*free)(struct store *store); /* NULL is fine */
    /* The last `max_turns` turns at or above the window, oldest first; *ret_last_seq 0 and
     * *ret_window_seq 0: no such key. */
    int (*load)(struct store *store, const char *key, size_t max_turns, store_turn_fn on_turn,
                void *context, int64_t *ret_last_seq, int64_t *ret_window_seq, struct err *err);
    /*
     * All or nothing: with joins_journal `journal_db` is the journal's connection in a
     * transaction, which the caller rolls back on -1; else NULL. ERR_INPUT: another turn stands
     * at that seq already (somebody else continued the conversation), or it cannot be stored.
     */
    int (*apply)(struct store *store, struct db *journal_db,
                 const struct store_mutation *mutations, size_t count, struct err *err);
};

struct store {
    const struct store_ops *ops;
};

struct store *store_none_new(void);                      /* keeps nothing */
struct store *store_sqlite_new(struct readers *readers); /* borrows `readers` */

#endif
