/*
 * shelf.h - where conversations stand in RAM: a sharded hash from key to conversation, the
 * order in which they may leave, and the count of their bytes. Behind conversation.h; only its
 * module includes this.
 *
 *              pin                         unpin
 *   IDLE  ------------>  PINNED  ----------------------------> IDLE     saved: may leave, the
 *     ^                    ^   \                                        longest unused first
 *     |                    |    ------------> UNSAVED                   no snapshot holds it
 * yet |                    |-------- pin ------ |
 *      ------------- shelf_note_saved ----------
 *
 * Only IDLE ones stand in the list that is searched for one to leave, so that it is found at
 * once however many are pinned or unsaved.
 *
 * Owns:    the conversations; borrows the store.
 * Threads: any. A shard's lock guards its chains, its lists and what stands in them.
 */
#ifndef MEMORY_SHELF_H
#define MEMORY_SHELF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/conversation.h"
#include "memory/pack.h"
#include "memory/slab.h"
#include "memory/store.h"

#define SHELF_SHARDS     32 /* a power of two */
#define SHELF_TICK_SHIFT 4  /* 16 ms: 32 bits of them are two years */

enum conversation_state { CONVERSATION_UNLOADED, CONVERSATION_LOADING, CONVERSATION_READY };
enum shelf_place { SHELF_PINNED, SHELF_IDLE, SHELF_UNSAVED, SHELF_LISTS };

struct shard;
struct kept_summary;

/* Counted in bytes, for there may be a million: no member without need. */
struct conversation {
    struct conversation *next; /* in its bucket */
    struct conversation *newer;
    struct conversation *older;
    struct shard *shard;
    struct kept_summary *summary; /* NULL: none */
    int64_t last_seq;
    int64_t unsaved_id;
    struct pack pack; /* the window's turns */
    uint32_t hash;    /* of the key, without the bits that chose the shard */
    uint32_t used;    /* when it was unpinned, in ticks of 16 ms */
    uint32_t charged; /* bytes counted for it */
    uint32_t epoch;   /* of the set when it was loaded; another one: it is stale */
    uint16_t pins;
    uint8_t slab_place;
    uint8_t state : 2;  /* enum conversation_state */
    uint8_t place : 2;  /* enum shelf_place */
    bool lent : 1;      /* the pack is a parent's, not stored under this key */
    bool was_reset : 1; /* an empty window is meant to be empty */
    bool was_found : 1; /* in RAM, when it was pinned last */
    char key[];
};

/* The newest summary, its texts behind it. */
struct kept_summary {
    struct store_summary summary;
    uint32_t bytes;
    char texts[];
};

struct shelf_list {
    struct conversation *newest;
    struct conversation *oldest;
};

struct shard {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    struct conversation **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    struct shelf_list lists[SHELF_LISTS];
    struct slab_pool heads;
};

struct conversations {
    struct store *store;
    conversations_flush_fn flush;
    void *flush_context;
    _Atomic int64_t max_bytes;
    _Atomic int64_t cache_ttl_ms;
    _Atomic int64_t max_turns;
    _Atomic int64_t bytes;
    _Atomic int64_t count;
    _Atomic int64_t saved_id;
    _Atomic uint32_t epoch; /* never 0: that one is always stale */
    _Atomic bool stuck;     /* over the limit, and nothing could leave */
    struct metric *hits;
    struct metric *misses;
    struct metric *evictions;
    struct metric *bytes_gauge;
    struct metric *count_gauge;
    struct shard shards[SHELF_SHARDS];
};

void shelf_init(struct conversations *set);
void shelf_deinit(struct conversations *set);

struct shard *shelf_shard(struct conversations *set, const char *key, uint32_t *ret_hash);

/* All of these: with the shard locked. */
struct conversation *shelf_find(const struct shard *shard, uint32_t hash, const char *key);
struct conversation *shelf_add(struct conversations *set, struct shard *shard, uint32_t hash,
                               const char *key);
void shelf_remove(struct conversations *set, struct conversation *conversation);

/* Puts it where its pins and what is saved say. Afterwards it may be gone: a stale one, or one
 * that was never loaded, leaves as soon as nothing holds it. */
void shelf_place(struct conversations *set, struct conversation *conversation);

/* Brings the counted bytes up to what the conversation takes now. */
void shelf_charge(struct conversations *set, struct conversation *conversation);

bool shelf_is_stale(const struct conversations *set, const struct conversation *conversation);
bool shelf_is_saved(const struct conversations *set, const struct conversation *conversation);

/* All of these: without any lock. */

/* Lets the longest unused go while there are more bytes than allowed. */
void shelf_keep_within_limit(struct conversations *set);
/* Lets those go that were last used before `before_ms`. */
void shelf_let_go_unused(struct conversations *set, int64_t before_ms);
/* Those of older epochs. */
void shelf_let_go_stale(struct conversations *set);
/* Those that were only waiting for a snapshot may leave from now on. */
void shelf_note_saved(struct conversations *set, int64_t unsaved_id);

#endif
