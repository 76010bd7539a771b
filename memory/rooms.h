/*
 * rooms.h - struct memory, for the modules behind the door of memory.h; nobody else includes
 * it.
 *
 * Owns:    see memory.h.
 * Threads: see each part.
 */
#ifndef MEMORY_ROOMS_H
#define MEMORY_ROOMS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory/cleaning.h"
#include "memory/commit.h"
#include "memory/memory.h"
#include "memory/tokens.h"
#include "memory/upkeep.h"

struct db;
struct health;
struct persons;
struct readers;
struct vault;

struct memory {
    struct db *db; /* the journal's from the moment it lives */
    struct health *health;
    struct readers *readers;
    struct vault *vault; /* NULL: not encrypted */
    struct store *store;
    struct ledger *ledger;
    struct conversations *conversations;
    struct persons *persons;
    struct journal *journal;
    struct metrics *metrics;
    struct commit_path path;
    _Atomic int64_t cache_ttl_ms;
    _Atomic int64_t session_ttl_ms;
    _Atomic int64_t retention_ms;
    pthread_mutex_t learnt_lock;
    struct tokens_learnt learnt; /* guarded by learnt_lock */
    struct upkeep upkeep;
    struct cleaning cleaning;
};

#endif
