#include "memory/conversation.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/decimal.h"

#define SHARD_COUNT       16 /* a power of two */
#define SHARD_BITS        4
#define BUCKETS_MIN       16
#define MALLOC_HEAD_BYTES 16

enum conversation_state { CONVERSATION_UNLOADED, CONVERSATION_LOADING, CONVERSATION_READY };

struct shard;

struct conversation {
    struct conversation *next; /* in its bucket */
    struct conversation *newer;
    struct conversation *older;
    struct shard *shard;
    int64_t used_ms;
    int64_t last_seq;
    int64_t window_seq;
    int64_t unsaved_id;
    struct pack pack; /* the window's turns; the newest has last_seq */
    uint32_t hash;    /* of the key, without the bits that chose the shard */
    uint32_t pins;
    uint32_t lent; /* the first so many of the pack are a parent's, not stored under this key */
    uint32_t charged; /* bytes counted for it */
    enum conversation_state state;
    bool stale;
    struct store_summary *summary; /* one allocation with its texts; NULL: none */
    uint32_t summary_bytes;
    char key[];
};

struct shard {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    struct conversation **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    struct conversation *newest; /* order of use */
    struct conversation *oldest;
};

struct conversations {
    struct store *store;
    _Atomic int64_t max_bytes;
    _Atomic int64_t cache_ttl_ms;
    _Atomic int64_t max_turns;
    _Atomic int64_t bytes;
    _Atomic int64_t count;
    _Atomic int64_t saved_id;
    _Atomic bool stuck; /* over the limit, and nothing could leave */
    struct metric *hits;
    struct metric *misses;
    struct metric *evictions;
    struct metric *bytes_gauge;
    struct metric *count_gauge;
    struct shard shards[SHARD_COUNT];
};

struct conversations *conversations_new(struct store *store,
                                        const struct conversation_limits *limits,
                                        struct metrics *metrics)
{
    struct conversations *set = xcalloc(1, sizeof(*set));

    set->store = store;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_init(&set->shards[i].lock, NULL);
        pthread_cond_init(&set->shards[i].loaded, NULL);
    }
    conversations_set_limits(set, limits);
    set->hits = metrics_counter(metrics, "memory_lookups_total", "result=\"hit\"",
                                "Conversations wanted, found in RAM or not");
    set->misses = metrics_counter(metrics, "memory_lookups_total", "result=\"miss\"", "");
    set->evictions = metrics_counter(metrics, "memory_evictions_total", "",
                                     "Conversations that left RAM for others or by age");
    set->bytes_gauge =
        metrics_gauge(metrics, "memory_bytes", "", "Bytes of conversations in RAM");
    set->count_gauge =
        metrics_gauge(metrics, "memory_conversations", "", "Conversations in RAM");
    return set;
}

static void conversation_free(struct conversation *conversation)
{
    pack_deinit(&conversation->pack);
    free(conversation->summary);
    free(conversation);
}

void conversations_free(struct conversations *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &set->shards[i];

        while (shard->oldest) {
            struct conversation *conversation = shard->oldest;

            shard->oldest = conversation->newer;
            conversation_free(conversation);
        }
        free(shard->buckets);
        pthread_cond_destroy(&shard->loaded);
        pthread_mutex_destroy(&shard->lock);
    }
    free(set);
}

void conversations_set_limits(struct conversations *set,
                              const struct conversation_limits *limits)
{
    atomic_store(&set->max_bytes, limits->max_bytes);
    atomic_store(&set->cache_ttl_ms, limits->cache_ttl_ms);
    atomic_store(&set->max_turns, limits->max_turns < 1 ? 1 : limits->max_turns);
}

/* ---- the hash ---------------------------------------------------------------------------- */

static struct conversation **bucket_of(const struct shard *shard, uint32_t hash)
{
    return &shard->buckets[hash & (shard->bucket_count - 1)];
}

static void grow_locked(struct shard *shard)
{
    size_t old_count = shard->bucket_count;
    struct conversation **old = shard->buckets;

    shard->bucket_count = old_count ? old_count * 2 : BUCKETS_MIN;
    shard->buckets = xcalloc(shard->bucket_count, sizeof(void *));
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

static struct conversation *find_locked(const struct shard *shard, uint32_t hash,
                                        const char *key)
{
    struct conversation *found = shard->bucket_count ? *bucket_of(shard, hash) : NULL;

    while (found && (found->hash != hash || strcmp(found->key, key) != 0))
        found = found->next;
    return found;
}

static void unlink_use_locked(struct conversation *conversation)
{
    struct shard *shard = conversation->shard;

    if (conversation->newer)
        conversation->newer->older = conversation->older;
    else
        shard->newest = conversation->older;
    if (conversation->older)
        conversation->older->newer = conversation->newer;
    else
        shard->oldest = conversation->newer;
}

static void link_newest_locked(struct conversation *conversation)
{
    struct shard *shard = conversation->shard;

    conversation->newer = NULL;
    conversation->older = shard->newest;
    if (shard->newest)
        shard->newest->newer = conversation;
    else
        shard->oldest = conversation;
    shard->newest = conversation;
}

/* Brings the counted bytes up to what the conversation takes now. */
static void charge_locked(struct conversations *set, struct conversation *conversation)
{
    size_t bytes = sizeof(*conversation) + strlen(conversation->key) + 1 + MALLOC_HEAD_BYTES +
                   sizeof(void *);

    if (conversation->pack.bytes)
        bytes += conversation->pack.capacity + MALLOC_HEAD_BYTES;
    if (conversation->summary)
        bytes += conversation->summary_bytes + MALLOC_HEAD_BYTES;
    atomic_fetch_add(&set->bytes, (int64_t)bytes - (int64_t)conversation->charged);
    conversation->charged = (uint32_t)bytes;
    metric_set(set->bytes_gauge, atomic_load(&set->bytes));
}

static struct conversation *insert_locked(struct conversations *set, struct shard *shard,
                                          uint32_t hash, const char *key)
{
    size_t key_len = strlen(key);
    struct conversation *conversation = xcalloc(1, sizeof(*conversation) + key_len + 1);
    struct conversation **bucket;

    if (shard->count >= shard->bucket_count)
        grow_locked(shard);
    memcpy(conversation->key, key, key_len + 1);
    conversation->shard = shard;
    conversation->hash = hash;
    bucket = bucket_of(shard, hash);
    conversation->next = *bucket;
    *bucket = conversation;
    shard->count++;
    link_newest_locked(conversation);
    charge_locked(set, conversation);
    metric_set(set->count_gauge, atomic_fetch_add(&set->count, 1) + 1);
    return conversation;
}

static void remove_locked(struct conversations *set, struct conversation *conversation)
{
    struct shard *shard = conversation->shard;
    struct conversation **link = bucket_of(shard, conversation->hash);

    while (*link != conversation)
        link = &(*link)->next;
    *link = conversation->next;
    shard->count--;
    unlink_use_locked(conversation);
    metric_set(set->bytes_gauge,
               atomic_fetch_sub(&set->bytes, conversation->charged) - conversation->charged);
    metric_set(set->count_gauge, atomic_fetch_sub(&set->count, 1) - 1);
    conversation_free(conversation);
}

/* ---- leaving ----------------------------------------------------------------------------- */

static bool may_leave_locked(const struct conversations *set,
                             const struct conversation *conversation)
{
    return !conversation->pins && conversation->unsaved_id <= atomic_load(&set->saved_id);
}

static struct conversation *oldest_idle_locked(const struct conversations *set,
                                               const struct shard *shard)
{
    struct conversation *found = shard->oldest;

    while (found && !may_leave_locked(set, found))
        found = found->newer;
    return found;
}

/* The shard whose idle conversation has waited longest, or NULL. */
static struct shard *choose_shard(struct conversations *set, int64_t *ret_used_ms)
{
    struct shard *chosen = NULL;

    *ret_used_ms = INT64_MAX;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &set->shards[i];
        const struct conversation *oldest;

        pthread_mutex_lock(&shard->lock);
        oldest = oldest_idle_locked(set, shard);
        if (oldest && oldest->used_ms < *ret_used_ms) {
            *ret_used_ms = oldest->used_ms;
            chosen = shard;
        }
        pthread_mutex_unlock(&shard->lock);
    }
    return chosen;
}

/* Lets the one longest unused go if that was before `before_ms`; false when there is none. */
static bool evict_one(struct conversations *set, int64_t before_ms)
{
    int64_t used_ms;
    struct shard *shard = choose_shard(set, &used_ms);
    struct conversation *oldest;

    if (!shard || used_ms >= before_ms)
        return false;
    pthread_mutex_lock(&shard->lock);
    /* Somebody may have taken it meanwhile: then another one of the shard leaves, or none. */
    oldest = oldest_idle_locked(set, shard);
    if (oldest && oldest->used_ms < before_ms) {
        remove_locked(set, oldest);
        metric_add(set->evictions, 1);
    }
    pthread_mutex_unlock(&shard->lock);
    return true;
}

static void keep_within_limit(struct conversations *set)
{
    bool stuck = false;

    while (!stuck && atomic_load(&set->bytes) > atomic_load(&set->max_bytes))
        stuck = !evict_one(set, INT64_MAX);
    atomic_store(&set->stuck, stuck);
}

void conversations_sweep(struct conversations *set, int64_t now_ms)
{
    while (evict_one(set, now_ms - atomic_load(&set->cache_ttl_ms)))
        ;
}

bool conversations_want_snapshot(const struct conversations *set)
{
    return atomic_load(&set->stuck);
}

void conversations_note_saved(struct conversations *set, int64_t unsaved_id)
{
    atomic_store(&set->saved_id, unsaved_id);
}

/* ---- loading ----------------------------------------------------------------------------- */

struct loading {
    struct pack pack;
    struct store_summary *summary;
    size_t summary_bytes;
    struct err err;
    bool failed;
};

static void load_turn(void *context, const struct memory_turn *turn)
{
    struct loading *loading = context;

    if (!loading->failed && pack_append(&loading->pack, turn, &loading->err) < 0)
        loading->failed = true;
}

static struct store_summary *copy_summary(const struct store_summary *summary,
                                          size_t *ret_bytes)
{
    size_t source_bytes = strlen(summary->source) + 1;
    size_t text_bytes = strlen(summary->text) + 1;
    size_t pinned_bytes = strlen(summary->pinned) + 1;
    size_t bytes = sizeof(*summary) + source_bytes + text_bytes + pinned_bytes;
    struct store_summary *copy = xcalloc(1, bytes);
    char *at = (char *)(copy + 1);

    *copy = *summary;
    copy->source = memcpy(at, summary->source, source_bytes);
    copy->text = memcpy(at + source_bytes, summary->text, text_bytes);
    copy->pinned = memcpy(at + source_bytes + text_bytes, summary->pinned, pinned_bytes);
    *ret_bytes = bytes;
    return copy;
}

/* The newest comes first. */
static bool load_summary(void *context, const struct store_summary *summary)
{
    struct loading *loading = context;

    loading->summary = copy_summary(summary, &loading->summary_bytes);
    return false;
}

/* Without a lock: the conversation is pinned and LOADING, so nobody else touches it. */
static int load(struct conversations *set, struct conversation *conversation, struct err *err)
{
    struct loading loading = { 0 };
    struct store_head head = { 0 };
    const struct store_ops *ops = set->store->ops;
    int rc = ops->load(set->store, conversation->key, (size_t)atomic_load(&set->max_turns),
                       load_turn, &loading, &head, err);

    if (rc == 0 && loading.failed) {
        if (err)
            *err = loading.err;
        rc = -1;
    }
    if (rc == 0 && ops->summaries)
        rc = ops->summaries(set->store, conversation->key, load_summary, &loading, err);
    if (rc < 0) {
        pack_deinit(&loading.pack);
        free(loading.summary);
        return err_wrap(err, "conversation %s", conversation->key);
    }
    pack_deinit(&conversation->pack);
    conversation->pack = loading.pack;
    conversation->last_seq = head.last_seq;
    conversation->window_seq = head.window_seq;
    conversation->lent = 0;
    free(conversation->summary);
    conversation->summary = loading.summary;
    conversation->summary_bytes = (uint32_t)loading.summary_bytes;
    return 0;
}

struct lending {
    struct pack *pack;
    const char *until_ts;
};

/* An answer goes with the question before it, whenever it was posted. */
static void lend(void *context, const struct pack *pack)
{
    struct lending *lending = context;
    struct memory_turn turn;
    size_t offset = 0;
    bool included = true;

    while (pack_next(pack, &offset, &turn)) {
        if (turn.role == MEMORY_ROLE_USER && *turn.slack_ts && *lending->until_ts)
            included = decimal_compare(turn.slack_ts, lending->until_ts) <= 0;
        if (included && pack_append(lending->pack, &turn, NULL) < 0)
            return;
    }
}

static int borrow_turns(struct conversations *set, struct conversation *conversation,
                        const char *parent_key, const char *until_ts, struct err *err)
{
    struct lending lending = { .pack = &conversation->pack,
                               .until_ts = until_ts ? until_ts : "" };
    struct conversation *parent = NULL;

    if (conversations_pin(set, parent_key, NULL, NULL, &parent, err) < 0)
        return -1;
    conversation_visit(parent, lend, &lending);
    conversations_unpin(set, parent);
    conversation->lent = conversation->pack.count;
    conversation->last_seq = conversation->pack.count;
    return 0;
}

/* Loads a pinned conversation unless somebody did; called and returns with the shard locked. */
static int make_ready_locked(struct conversations *set, struct conversation *conversation,
                             const char *parent_key, const char *until_ts, struct err *err)
{
    struct shard *shard = conversation->shard;
    int rc;

    while (conversation->state == CONVERSATION_LOADING)
        pthread_cond_wait(&shard->loaded, &shard->lock);
    if (conversation->state == CONVERSATION_READY && conversation->stale &&
        conversation->pins == 1)
        conversation->state = CONVERSATION_UNLOADED;
    if (conversation->state == CONVERSATION_READY) {
        metric_add(set->hits, 1);
        return 0;
    }
    metric_add(set->misses, 1);
    conversation->state = CONVERSATION_LOADING;
    conversation->stale = false; /* before the load: what changes from here on is not in it */
    pthread_mutex_unlock(&shard->lock);

    rc = load(set, conversation, err);
    if (rc == 0 && parent_key && strcmp(parent_key, conversation->key) != 0 &&
        !conversation->last_seq && !conversation->window_seq)
        rc = borrow_turns(set, conversation, parent_key, until_ts, err);

    pthread_mutex_lock(&shard->lock);
    conversation->state = rc == 0 ? CONVERSATION_READY : CONVERSATION_UNLOADED;
    charge_locked(set, conversation);
    pthread_cond_broadcast(&shard->loaded);
    return rc;
}

static void unpin_locked(struct conversations *set, struct conversation *conversation)
{
    conversation->pins--;
    conversation->used_ms = clock_now_ms();
    if ((conversation->stale && may_leave_locked(set, conversation)) ||
        (!conversation->pins && conversation->state == CONVERSATION_UNLOADED))
        remove_locked(set, conversation);
}

int conversations_pin(struct conversations *set, const char *key, const char *parent_key,
                      const char *parent_until_ts, struct conversation **ret_conversation,
                      struct err *err)
{
    uint64_t hash = XXH3_64bits(key, strlen(key));
    struct shard *shard = &set->shards[hash & (SHARD_COUNT - 1)];
    uint32_t chain_hash = (uint32_t)(hash >> SHARD_BITS);
    struct conversation *conversation;
    int rc;

    pthread_mutex_lock(&shard->lock);
    conversation = find_locked(shard, chain_hash, key);
    if (!conversation)
        conversation = insert_locked(set, shard, chain_hash, key);
    conversation->pins++;
    unlink_use_locked(conversation);
    link_newest_locked(conversation);
    rc = make_ready_locked(set, conversation, parent_key, parent_until_ts, err);
    if (rc < 0)
        unpin_locked(set, conversation);
    pthread_mutex_unlock(&shard->lock);
    if (rc < 0)
        return -1;
    keep_within_limit(set);
    *ret_conversation = conversation;
    return 0;
}

void conversations_unpin(struct conversations *set, struct conversation *conversation)
{
    struct shard *shard;

    if (!conversation)
        return;
    shard = conversation->shard;
    pthread_mutex_lock(&shard->lock);
    unlink_use_locked(conversation);
    link_newest_locked(conversation);
    unpin_locked(set, conversation);
    pthread_mutex_unlock(&shard->lock);
    keep_within_limit(set);
}

/* ---- use --------------------------------------------------------------------------------- */

const char *conversation_key(const struct conversation *conversation)
{
    return conversation->key;
}

int64_t conversation_last_seq(const struct conversation *conversation)
{
    int64_t last_seq;

    pthread_mutex_lock(&conversation->shard->lock);
    last_seq = conversation->last_seq;
    pthread_mutex_unlock(&conversation->shard->lock);
    return last_seq;
}

size_t memory_conversation_turns(const struct conversation *conversation)
{
    size_t count;

    pthread_mutex_lock(&conversation->shard->lock);
    count = conversation->pack.count;
    pthread_mutex_unlock(&conversation->shard->lock);
    return count;
}

void conversation_visit(const struct conversation *conversation, conversation_visit_fn visit,
                        void *context)
{
    pthread_mutex_lock(&conversation->shard->lock);
    visit(context, &conversation->pack);
    pthread_mutex_unlock(&conversation->shard->lock);
}

void conversation_copy_lent(const struct conversation *conversation, struct pack *ret_pack,
                            int64_t *ret_first_seq)
{
    struct memory_turn turn;
    size_t offset = 0;

    pthread_mutex_lock(&conversation->shard->lock);
    *ret_first_seq = conversation->last_seq - conversation->pack.count + 1;
    for (uint32_t i = 0;
         i < conversation->lent && pack_next(&conversation->pack, &offset, &turn); i++) {
        if (pack_append(ret_pack, &turn, NULL) < 0)
            break;
    }
    pthread_mutex_unlock(&conversation->shard->lock);
}

void conversation_append(struct conversations *set, struct conversation *conversation,
                         const struct memory_turn *turns, size_t count, int64_t unsaved_id)
{
    size_t max_turns = (size_t)atomic_load(&set->max_turns);

    pthread_mutex_lock(&conversation->shard->lock);
    for (size_t i = 0; i < count; i++) {
        /* Too much for one buffer: the old go, the store has them. */
        while (pack_append(&conversation->pack, &turns[i], NULL) < 0 &&
               conversation->pack.count)
            pack_drop(&conversation->pack, conversation->pack.count);
        conversation->last_seq++;
    }
    if (conversation->pack.count > max_turns)
        pack_drop(&conversation->pack, conversation->pack.count - max_turns);
    conversation->lent = 0;
    if (unsaved_id > conversation->unsaved_id)
        conversation->unsaved_id = unsaved_id;
    charge_locked(set, conversation);
    pthread_mutex_unlock(&conversation->shard->lock);
    keep_within_limit(set);
}

void conversation_reset(struct conversations *set, struct conversation *conversation,
                        int64_t window_seq)
{
    pthread_mutex_lock(&conversation->shard->lock);
    conversation->window_seq = window_seq;
    conversation->lent = 0;
    pack_deinit(&conversation->pack);
    charge_locked(set, conversation);
    pthread_mutex_unlock(&conversation->shard->lock);
}

void conversation_mark_stale(struct conversations *set, struct conversation *conversation)
{
    (void)set;
    pthread_mutex_lock(&conversation->shard->lock);
    conversation->stale = true;
    pthread_mutex_unlock(&conversation->shard->lock);
}

void conversation_set_summary(struct conversations *set, struct conversation *conversation,
                              const struct store_summary *summary)
{
    size_t bytes = 0;
    struct store_summary *copy = summary ? copy_summary(summary, &bytes) : NULL;

    pthread_mutex_lock(&conversation->shard->lock);
    free(conversation->summary);
    conversation->summary = copy;
    conversation->summary_bytes = (uint32_t)bytes;
    charge_locked(set, conversation);
    pthread_mutex_unlock(&conversation->shard->lock);
    keep_within_limit(set);
}

bool conversation_visit_summary(const struct conversation *conversation, store_summary_fn visit,
                                void *context)
{
    bool is_there;

    pthread_mutex_lock(&conversation->shard->lock);
    is_there = conversation->summary != NULL;
    if (is_there)
        visit(context, conversation->summary);
    pthread_mutex_unlock(&conversation->shard->lock);
    return is_there;
}

static void let_go(struct conversations *set, const char *key, bool is_erased)
{
    uint64_t hash = XXH3_64bits(key, strlen(key));
    struct shard *shard = &set->shards[hash & (SHARD_COUNT - 1)];
    struct conversation *conversation;

    pthread_mutex_lock(&shard->lock);
    conversation = find_locked(shard, (uint32_t)(hash >> SHARD_BITS), key);
    if (conversation && may_leave_locked(set, conversation)) {
        remove_locked(set, conversation);
    } else if (conversation) {
        conversation->stale = true;
        if (is_erased && conversation->state == CONVERSATION_READY) {
            pack_deinit(&conversation->pack);
            free(conversation->summary);
            conversation->summary = NULL;
            conversation->lent = 0;
            charge_locked(set, conversation);
        }
    }
    pthread_mutex_unlock(&shard->lock);
}

void conversations_reload(struct conversations *set, const char *key)
{
    let_go(set, key, false);
}

void conversations_drop(struct conversations *set, const char *key)
{
    let_go(set, key, true);
}

void conversations_mark_all_stale(struct conversations *set)
{
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &set->shards[i];
        struct conversation *conversation;
        struct conversation *newer;

        pthread_mutex_lock(&shard->lock);
        for (conversation = shard->oldest; conversation; conversation = newer) {
            newer = conversation->newer;
            if (may_leave_locked(set, conversation))
                remove_locked(set, conversation);
            else
                conversation->stale = true;
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

void conversations_get_figures(const struct conversations *set,
                               struct conversation_figures *ret_figures)
{
    *ret_figures = (struct conversation_figures){
        .conversations = atomic_load(&set->count),
        .bytes = atomic_load(&set->bytes),
        .hits = metric_value(set->hits),
        .misses = metric_value(set->misses),
        .evictions = metric_value(set->evictions),
    };
}
