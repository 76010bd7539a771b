/*
 * store.h - where conversations live outside RAM: one table of functions that every backend
 * fills in, with a batch of mutations as its unit, applied whole or not at all. Shaped so that
 * a key-value server can stand behind it as well: no SQL, no cursors, no transactions in the
 * interface.
 *
 * Owns:    a store owns its connections.
 * Threads: load from any thread; apply from the journal only.
 */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/memory.h"

enum store_mutation_kind {
    STORE_APPEND_TURN, /* key, turn: idempotent by (key, seq) */
    STORE_SET_WINDOW,  /* key, seq: turns below it are no longer injected */
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

struct store;
struct store_ops {
    const char *name;
    void (*free)(struct store *store);
    /* The last `max_turns` turns at or above the window, oldest first; *ret_last_seq 0: no such
     * key. */
    int (*load)(struct store *store, const char *key, size_t max_turns, store_turn_fn on_turn,
                void *context, int64_t *ret_last_seq, int64_t *ret_window_seq, struct err *err);
    /* All or nothing. */
    int (*apply)(struct store *store, const struct store_mutation *mutations, size_t count,
                 struct err *err);
};

struct store {
    const struct store_ops *ops;
};

#endif
