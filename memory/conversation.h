/*
 * conversation.h - the conversations in RAM: a sharded hash from key to a packed buffer of
 * turns, loaded from the store at the first use, bounded in bytes, the least recently used
 * leaving first.
 *
 *   pin -> found | loaded (others that want the same key wait) -> used -> unpin -> may leave
 *
 * A conversation that is pinned, or whose last turns no snapshot holds yet, never leaves.
 *
 * Owns:    its conversations; borrows the store.
 * Threads: any. A shard's lock guards its chain, its order of use and the turns inside; it is
 *          never held while the store is asked.
 */
#ifndef MEMORY_CONVERSATION_H
#define MEMORY_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metrics.h"
#include "memory/memory.h"
#include "memory/pack.h"
#include "memory/store.h"

struct conversations;

struct conversation_limits {
    int64_t max_bytes;
    int64_t cache_ttl_ms;
    int64_t max_turns;
};

struct conversations *conversations_new(struct store *store,
                                        const struct conversation_limits *limits,
                                        struct metrics *metrics);
void conversations_free(struct conversations *set); /* NULL is fine; none may be pinned */

/* Effective at once; what is too much leaves with the next use. */
void conversations_set_limits(struct conversations *set,
                              const struct conversation_limits *limits);

/* memory_conversation_begin() and _end(). */
int conversations_pin(struct conversations *set, const char *key, const char *parent_key,
                      const char *parent_until_ts, struct conversation **ret_conversation,
                      struct err *err);
void conversations_unpin(struct conversations *set, struct conversation *conversation);

/*
 * How to bring everything unsaved into the store, asked for before a conversation that holds
 * unsaved turns is loaded anew; called without a lock. Startup.
 */
typedef int (*conversations_flush_fn)(void *context, struct err *err);
void conversations_set_flush(struct conversations *set, conversations_flush_fn flush,
                             void *context);

const char *conversation_key(const struct conversation *conversation);
int64_t conversation_last_seq(const struct conversation *conversation);

/*
 * Copies (into a zeroed `ret_pack`, the caller's to deinit) the turns that a parent lent and no
 * store holds under this key yet; *ret_first_seq is the first one's. None leaves it empty.
 * False, and nothing is copied: the store changed since, the parent may have been erased.
 */
bool conversation_copy_lent(const struct conversations *set,
                            const struct conversation *conversation, struct pack *ret_pack,
                            int64_t *ret_first_seq);

/*
 * Takes over turns that are durable now and gives them their seq; `unsaved_id` above 0 keeps
 * the conversation in RAM until conversations_note_saved() has passed it. The lent turns count
 * as stored from here on.
 */
void conversation_append(struct conversations *set, struct conversation *conversation,
                         const struct memory_turn *turns, size_t count, int64_t unsaved_id);

/* Empties the window, without a summary; seq goes on. */
void conversation_reset(struct conversations *set, struct conversation *conversation);

/*
 * The newest summary of the window is loaded with the conversation and stays with it in RAM.
 * Replaces it, after the store has it; NULL: there is none any more.
 */
void conversation_set_summary(struct conversations *set, struct conversation *conversation,
                              const struct store_summary *summary);

/* Calls `visit` with it, as conversation_visit() does; false when there is none. */
bool conversation_visit_summary(const struct conversation *conversation, store_summary_fn visit,
                                void *context);

/* Somebody else has continued it: the next pin loads it anew. */
void conversation_mark_stale(struct conversations *set, struct conversation *conversation);

/*
 * The store has other contents than RAM, by whoever changed it. reload: it leaves RAM or, while
 * somebody holds the pin, is loaded anew at the next one. drop: the same, and its text leaves
 * RAM at once although it is pinned: it was erased. A key that is not in RAM is no error.
 */
void conversations_reload(struct conversations *set, const char *key);
void conversations_drop(struct conversations *set, const char *key);

/* conversations_reload() of all: another process has written to the store. */
void conversations_mark_all_stale(struct conversations *set);

/* Another one than before: all were marked stale in between. */
uint32_t conversations_epoch(const struct conversations *set);

/* Every unsaved_id up to this one is in the store. */
void conversations_note_saved(struct conversations *set, int64_t unsaved_id);

/*
 * Calls `visit` with the packed turns of the window, under the shard's lock: short, and without
 * calling back in here.
 */
typedef void (*conversation_visit_fn)(void *context, const struct pack *pack);
void conversation_visit(const struct conversation *conversation, conversation_visit_fn visit,
                        void *context);

/* Lets those go that have not been used for cache_ttl. */
void conversations_sweep(struct conversations *set, int64_t now_ms);

/* True when unsaved conversations alone fill the byte limit: a snapshot would help. */
bool conversations_want_snapshot(const struct conversations *set);

struct conversation_figures {
    int64_t conversations;
    int64_t bytes;
    int64_t hits;
    int64_t misses;
    int64_t evictions;
};
void conversations_get_figures(const struct conversations *set,
                               struct conversation_figures *ret_figures);

#endif
