#include "memory/shelf.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"
#include "base/clock.h"

#define SHARD_BITS       5
#define BUCKETS_MIN      4
#define BUCKETS_SPARE    8 /* fewer conversations than the eighth part: half of the buckets go */
#define SHELF_TICK_SHIFT 4   /* 16 ms: 32 bits of them are two years */
#define STEP_MAX         256 /* conversations that one hold of a lock may move */
#define MALLOC_HEAD      8
#define MALLOC_ALIGN     16
#define MALLOC_LEAST     32

_Static_assert(SHELF_SHARDS == 1 << SHARD_BITS, "the bits choose the shard");

void shelf_init(struct conversations *set)
{
    for (size_t i = 0; i < SHELF_SHARDS; i++) {
        pthread_mutex_init(&set->shards[i].lock, NULL);
        pthread_cond_init(&set->shards[i].loaded, NULL);
    }
    atomic_init(&set->epoch, 1);
}

static size_t head_size(const char *key)
{
    return offsetof(struct conversation, key) + strlen(key) + 1;
}

static void conversation_free(struct conversation *conversation)
{
    pack_deinit(&conversation->pack);
    free(conversation->summary);
    slab_give(&conversation->shard->heads, conversation, head_size(conversation->key),
              conversation->slab_place);
}

void shelf_deinit(struct conversations *set)
{
    for (size_t i = 0; i < SHELF_SHARDS; i++) {
        struct shard *shard = &set->shards[i];

        for (size_t bucket = 0; bucket < shard->bucket_count; bucket++) {
            while (shard->buckets[bucket]) {
                struct conversation *conversation = shard->buckets[bucket];

                shard->buckets[bucket] = conversation->next;
                conversation_free(conversation);
            }
        }
        free(shard->buckets);
        pthread_cond_destroy(&shard->loaded);
        pthread_mutex_destroy(&shard->lock);
    }
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* What malloc takes for a block. */
static int64_t block_bytes(size_t size)
{
    size_t bytes = (size + MALLOC_HEAD + MALLOC_ALIGN - 1) / MALLOC_ALIGN * MALLOC_ALIGN;

    return (int64_t)(bytes < MALLOC_LEAST ? MALLOC_LEAST : bytes);
}

static void count_bytes(struct conversations *set, int64_t change)
{
    metric_set(set->bytes_gauge, atomic_fetch_add(&set->bytes, change) + change);
}

void shelf_charge(struct conversations *set, struct conversation *conversation)
{
    int64_t bytes = (int64_t)slab_item_bytes(head_size(conversation->key));

    if (conversation->pack.bytes)
        bytes += block_bytes(conversation->pack.capacity);
    if (conversation->summary)
        bytes += block_bytes(conversation->summary->bytes);
    if (bytes != conversation->charged)
        count_bytes(set, bytes - (int64_t)conversation->charged);
    conversation->charged = (uint32_t)bytes;
}

/* ---- the hash ---------------------------------------------------------------------------- */

struct shard *shelf_shard(struct conversations *set, const char *key, uint32_t *ret_hash)
{
    uint64_t hash = XXH3_64bits(key, strlen(key));

    *ret_hash = (uint32_t)(hash >> SHARD_BITS);
    return &set->shards[hash & (SHELF_SHARDS - 1)];
}

static struct conversation **bucket_of(const struct shard *shard, uint32_t hash)
{
    return &shard->buckets[hash & (shard->bucket_count - 1)];
}

static void set_bucket_count(struct conversations *set, struct shard *shard, size_t count)
{
    size_t old_count = shard->bucket_count;
    struct conversation **old = shard->buckets;

    shard->bucket_count = count;
    shard->buckets = count ? xcalloc(count, sizeof(struct conversation *)) : NULL;
    count_bytes(set, ((int64_t)count - (int64_t)old_count) * (int64_t)sizeof(void *));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            struct conversation *moved = old[i];
            struct conversation **bucket = bucket_of(shard, moved->hash);

            old[i] = moved->next;
            moved->next = *bucket;
            *bucket = moved;
        }
    }
    free(old);
}

static void grow_if_full(struct conversations *set, struct shard *shard)
{
    if (shard->count >= shard->bucket_count)
        set_bucket_count(set, shard,
                         shard->bucket_count ? shard->bucket_count * 2 : BUCKETS_MIN);
}

static void shrink_if_empty(struct conversations *set, struct shard *shard)
{
    if (!shard->count)
        set_bucket_count(set, shard, 0);
    else if (shard->bucket_count > BUCKETS_MIN &&
             shard->count < shard->bucket_count / BUCKETS_SPARE)
        set_bucket_count(set, shard, shard->bucket_count / 2);
}

struct conversation *shelf_find(const struct shard *shard, uint32_t hash, const char *key)
{
    struct conversation *found = shard->bucket_count ? *bucket_of(shard, hash) : NULL;

    while (found && (found->hash != hash || strcmp(found->key, key) != 0))
        found = found->next;
    return found;
}

struct conversation *shelf_add(struct conversations *set, struct shard *shard, uint32_t hash,
                               const char *key)
{
    struct conversation **bucket;
    uint8_t slab_place;
    struct conversation *conversation = slab_take(&shard->heads, head_size(key), &slab_place);

    grow_if_full(set, shard);
    memcpy(conversation->key, key, strlen(key) + 1);
    conversation->shard = shard;
    conversation->slab_place = slab_place;
    conversation->hash = hash;
    bucket = bucket_of(shard, hash);
    conversation->next = *bucket;
    *bucket = conversation;
    shard->count++;
    shelf_charge(set, conversation);
    metric_set(set->count_gauge, atomic_fetch_add(&set->count, 1) + 1);
    return conversation;
}

static void leave_list(struct conversation *conversation)
{
    struct shelf_list *list = &conversation->shard->lists[conversation->place];

    if (conversation->place == SHELF_PINNED)
        return;
    if (conversation->newer)
        conversation->newer->older = conversation->older;
    else
        list->newest = conversation->older;
    if (conversation->older)
        conversation->older->newer = conversation->newer;
    else
        list->oldest = conversation->newer;
    conversation->place = SHELF_PINNED;
}

static void join_list(struct conversation *conversation, enum shelf_place place)
{
    struct shelf_list *list = &conversation->shard->lists[place];

    conversation->place = (uint8_t)place;
    conversation->newer = NULL;
    conversation->older = list->newest;
    if (list->newest)
        list->newest->newer = conversation;
    else
        list->oldest = conversation;
    list->newest = conversation;
}

void shelf_remove(struct conversations *set, struct conversation *conversation)
{
    struct shard *shard = conversation->shard;
    struct conversation **link = bucket_of(shard, conversation->hash);

    while (*link != conversation)
        link = &(*link)->next;
    *link = conversation->next;
    shard->count--;
    leave_list(conversation);
    count_bytes(set, -(int64_t)conversation->charged);
    metric_set(set->count_gauge, atomic_fetch_sub(&set->count, 1) - 1);
    conversation_free(conversation);
    shrink_if_empty(set, shard);
}

/* ---- places ------------------------------------------------------------------------------ */

bool shelf_is_stale(const struct conversations *set, const struct conversation *conversation)
{
    return conversation->epoch != atomic_load(&set->epoch);
}

bool shelf_is_saved(const struct conversations *set, const struct conversation *conversation)
{
    return conversation->unsaved_id <= atomic_load(&set->saved_id);
}

void shelf_place(struct conversations *set, struct conversation *conversation)
{
    bool is_loaded = conversation->state == CONVERSATION_READY;

    leave_list(conversation);
    if (conversation->pins)
        return;
    if (is_loaded && !shelf_is_saved(set, conversation))
        join_list(conversation, SHELF_UNSAVED);
    else if (is_loaded && !shelf_is_stale(set, conversation))
        join_list(conversation, SHELF_IDLE);
    else
        shelf_remove(set, conversation);
}

void shelf_note_saved(struct conversations *set, int64_t unsaved_id)
{
    atomic_store(&set->saved_id, unsaved_id);
    for (size_t i = 0; i < SHELF_SHARDS; i++) {
        struct shard *shard = &set->shards[i];
        bool more = true;

        while (more) {
            pthread_mutex_lock(&shard->lock);
            for (size_t step = 0; more && step < STEP_MAX; step++) {
                struct conversation *oldest = shard->lists[SHELF_UNSAVED].oldest;

                more = oldest && shelf_is_saved(set, oldest);
                if (more)
                    shelf_place(set, oldest);
            }
            pthread_mutex_unlock(&shard->lock);
        }
    }
}

/* ---- leaving ----------------------------------------------------------------------------- */

/* How long it has not been used, in ticks; they wrap. */
static int32_t age_of(const struct conversation *conversation)
{
    uint32_t now = (uint32_t)(clock_now_ms() >> SHELF_TICK_SHIFT);

    return (int32_t)(now - conversation->used);
}

/* The shard whose oldest idle conversation has waited longest, or NULL. */
static struct shard *choose_shard(struct conversations *set)
{
    struct shard *chosen = NULL;
    int32_t longest = -1;

    for (size_t i = 0; i < SHELF_SHARDS; i++) {
        struct shard *shard = &set->shards[i];
        const struct conversation *oldest;

        pthread_mutex_lock(&shard->lock);
        oldest = shard->lists[SHELF_IDLE].oldest;
        if (oldest && age_of(oldest) > longest) {
            longest = age_of(oldest);
            chosen = shard;
        }
        pthread_mutex_unlock(&shard->lock);
    }
    return chosen;
}

static void evict(struct conversations *set, struct conversation *conversation)
{
    shelf_remove(set, conversation);
    metric_add(set->evictions, 1);
}

void shelf_keep_within_limit(struct conversations *set)
{
    bool stuck = false;

    while (!stuck && atomic_load(&set->bytes) > atomic_load(&set->max_bytes)) {
        struct shard *shard = choose_shard(set);

        stuck = !shard;
        if (stuck)
            break;
        pthread_mutex_lock(&shard->lock);
        if (shard->lists[SHELF_IDLE].oldest)
            evict(set, shard->lists[SHELF_IDLE].oldest);
        pthread_mutex_unlock(&shard->lock);
    }
    if (stuck != atomic_load(&set->stuck))
        atomic_store(&set->stuck, stuck);
}

typedef bool (*leaves_fn)(const struct conversations *set,
                          const struct conversation *conversation, int32_t age);

/* From the oldest on, while `leaves` says so; the lock is given back now and then. */
static void let_go(struct conversations *set, leaves_fn leaves, int32_t age)
{
    for (size_t i = 0; i < SHELF_SHARDS; i++) {
        struct shard *shard = &set->shards[i];
        bool more = true;

        while (more) {
            pthread_mutex_lock(&shard->lock);
            for (size_t step = 0; more && step < STEP_MAX; step++) {
                struct conversation *oldest = shard->lists[SHELF_IDLE].oldest;

                more = oldest && leaves(set, oldest, age);
                if (more)
                    evict(set, oldest);
            }
            pthread_mutex_unlock(&shard->lock);
        }
    }
}

static bool is_older(const struct conversations *set, const struct conversation *conversation,
                     int32_t age)
{
    (void)set;
    return age_of(conversation) > age;
}

void shelf_let_go_unused(struct conversations *set, int64_t before_ms)
{
    int64_t age = (clock_now_ms() - before_ms) >> SHELF_TICK_SHIFT;

    let_go(set, is_older, age > INT32_MAX ? INT32_MAX : (int32_t)age);
}

static bool is_of_old_epoch(const struct conversations *set,
                            const struct conversation *conversation, int32_t age)
{
    (void)age;
    return shelf_is_stale(set, conversation);
}

void shelf_let_go_stale(struct conversations *set)
{
    let_go(set, is_of_old_epoch, 0);
}
