#include "memory/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "memory/shelf.h"

#define LOG_MODULE "memory.conversation"
#include "base/log.h"

#define LOAD_TRIES    3
#define RESERVE_BYTES 4096

struct conversations *conversations_new(struct store *store,
                                        const struct conversation_limits *limits,
                                        struct metrics *metrics)
{
    struct conversations *set = xcalloc(1, sizeof(*set));

    set->store = store;
    shelf_init(set);
    conversations_set_limits(set, limits);
    set->hits = metrics_counter(metrics, "memory_lookups_total", "result=\"hit\"",
                                "Conversations wanted, found in RAM or not");
    set->misses = metrics_counter(metrics, "memory_lookups_total", "result=\"miss\"", "");
    set->evictions = metrics_counter(metrics, "memory_evictions_total", "",
                                     "Conversations that left RAM: for others, by age, or "
                                     "because another process wrote");
    set->bytes_gauge =
        metrics_gauge(metrics, "memory_bytes", "", "Bytes of conversations in RAM");
    set->count_gauge =
        metrics_gauge(metrics, "memory_conversations", "", "Conversations in RAM");
    return set;
}

void conversations_free(struct conversations *set)
{
    if (!set)
        return;
    shelf_deinit(set);
    free(set);
}

void conversations_set_limits(struct conversations *set,
                              const struct conversation_limits *limits)
{
    atomic_store(&set->max_bytes, limits->max_bytes);
    atomic_store(&set->cache_ttl_ms, limits->cache_ttl_ms);
    atomic_store(&set->max_turns, limits->max_turns < 1 ? 1 : limits->max_turns);
}

void conversations_set_flush(struct conversations *set, conversations_flush_fn flush,
                             void *context)
{
    set->flush = flush;
    set->flush_context = context;
}

void conversations_sweep(struct conversations *set, int64_t now_ms)
{
    shelf_let_go_unused(set, now_ms - atomic_load(&set->cache_ttl_ms));
}

bool conversations_want_snapshot(const struct conversations *set)
{
    return atomic_load(&set->stuck);
}

void conversations_note_saved(struct conversations *set, int64_t unsaved_id)
{
    shelf_note_saved(set, unsaved_id);
}

/* ---- loading ----------------------------------------------------------------------------- */

/* What is being read, apart from the conversation until it is whole: no lock is held then. */
struct loading {
    struct pack pack;
    struct kept_summary *summary;
    struct store_head head;
    bool lent;
    struct err err;
    bool failed;
};

static void loading_deinit(struct loading *loading)
{
    pack_deinit(&loading->pack);
    free(loading->summary);
    *loading = (struct loading){ 0 };
}

static void load_turn(void *context, const struct memory_turn *turn)
{
    struct loading *loading = context;
    size_t bytes = strlen(turn->text) + strlen(turn->author) + strlen(turn->slack_ts);

    /* Doubled while it is being filled, fitted when it is complete. */
    if (loading->pack.capacity - loading->pack.len < bytes + RESERVE_BYTES / 4)
        pack_reserve(&loading->pack, bytes + loading->pack.len + RESERVE_BYTES);
    if (!loading->failed && pack_append(&loading->pack, turn, &loading->err) < 0)
        loading->failed = true;
}

static struct kept_summary *keep_summary(const struct store_summary *summary)
{
    size_t source_bytes = strlen(summary->source) + 1;
    size_t text_bytes = strlen(summary->text) + 1;
    size_t pinned_bytes = strlen(summary->pinned) + 1;
    size_t bytes = sizeof(struct kept_summary) + source_bytes + text_bytes + pinned_bytes;
    struct kept_summary *kept = xcalloc(1, bytes);
    char *at = kept->texts;

    kept->bytes = (uint32_t)bytes;
    kept->summary = *summary;
    kept->summary.source = memcpy(at, summary->source, source_bytes);
    kept->summary.text = memcpy(at + source_bytes, summary->text, text_bytes);
    kept->summary.pinned =
        memcpy(at + source_bytes + text_bytes, summary->pinned, pinned_bytes);
    return kept;
}

/* The newest comes first. */
static bool load_summary(void *context, const struct store_summary *summary)
{
    struct loading *loading = context;

    loading->summary = keep_summary(summary);
    return false;
}

static int read_store(struct conversations *set, const char *key, struct loading *loading,
                      struct err *err)
{
    const struct store_ops *ops = set->store->ops;

    if (ops->load(set->store, key, (size_t)atomic_load(&set->max_turns), load_turn, loading,
                  &loading->head, err) < 0)
        return -1;
    if (loading->failed) {
        if (err)
            *err = loading->err;
        return -1;
    }
    pack_fit(&loading->pack);
    if (!ops->summaries || !loading->head.last_seq)
        return 0;
    if (ops->summaries(set->store, key, load_summary, loading, err) < 0)
        return -1;
    /* Of what was said before a !new. */
    if (loading->summary && loading->summary->summary.first_seq < loading->head.window_seq) {
        free(loading->summary);
        loading->summary = NULL;
    }
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
    char ts[PACK_TS_BYTES];
    size_t offset = 0;
    bool included = true;

    while (pack_next_with_ts(pack, &offset, &turn, ts)) {
        if (turn.role == MEMORY_ROLE_USER && *turn.slack_ts && *lending->until_ts)
            included = decimal_compare(turn.slack_ts, lending->until_ts) <= 0;
        turn.seq = lending->pack->count + 1;
        if (included && pack_append(lending->pack, &turn, NULL) < 0)
            return;
    }
}

static int borrow_turns(struct conversations *set, struct loading *loading,
                        const char *parent_key, const char *until_ts, struct err *err)
{
    struct lending lending = { .pack = &loading->pack, .until_ts = until_ts ? until_ts : "" };
    struct conversation *parent = NULL;

    if (conversations_pin(set, parent_key, NULL, NULL, &parent, err) < 0)
        return -1;
    conversation_visit(parent, lend, &lending);
    conversations_unpin(set, parent);
    loading->lent = loading->pack.count > 0;
    loading->head.last_seq = loading->pack.count;
    return 0;
}

static int load(struct conversations *set, const char *key, const char *parent_key,
                const char *until_ts, struct loading *loading, struct err *err)
{
    int rc = read_store(set, key, loading, err);

    if (rc == 0 && parent_key && strcmp(parent_key, key) != 0 && !loading->head.last_seq &&
        !loading->head.window_seq)
        return borrow_turns(set, loading, parent_key, until_ts, err);
    return rc < 0 ? err_wrap(err, "conversation %s", key) : 0;
}

/* What follows is called and returns with the shard locked; others that want the same
 * conversation wait meanwhile. */

static void adopt_locked(struct conversations *set, struct conversation *conversation,
                         struct loading *loading)
{
    pack_deinit(&conversation->pack);
    free(conversation->summary);
    conversation->pack = loading->pack;
    conversation->summary = take_ptr(&loading->summary);
    conversation->last_seq = loading->head.last_seq;
    conversation->was_reset = loading->head.window_seq > 0;
    conversation->lent = loading->lent;
    loading->pack = (struct pack){ 0 };
    shelf_charge(set, conversation);
}

/* The store changed while it was read? Then it is read again, within reason. */
static int load_locked(struct conversations *set, struct conversation *conversation,
                       const char *parent_key, const char *until_ts, struct err *err)
{
    struct shard *shard = conversation->shard;
    struct loading loading = { 0 };
    int rc = 0;

    metric_add(set->misses, 1);
    conversation->was_found = false;
    conversation->state = CONVERSATION_LOADING;
    for (int tries = 0;
         rc == 0 && tries < LOAD_TRIES && (!tries || shelf_is_stale(set, conversation));
         tries++) {
        conversation->epoch = atomic_load(&set->epoch);
        pthread_mutex_unlock(&shard->lock);
        loading_deinit(&loading);
        rc = load(set, conversation->key, parent_key, until_ts, &loading, err);
        pthread_mutex_lock(&shard->lock);
    }
    if (rc == 0)
        adopt_locked(set, conversation, &loading);
    conversation->state = rc == 0 ? CONVERSATION_READY : CONVERSATION_UNLOADED;
    loading_deinit(&loading);
    pthread_cond_broadcast(&shard->loaded);
    return rc;
}

static void flush_locked(struct conversations *set, struct conversation *conversation)
{
    struct shard *shard = conversation->shard;
    struct err err = { 0 };

    conversation->state = CONVERSATION_LOADING;
    pthread_mutex_unlock(&shard->lock);
    if (set->flush && set->flush(set->flush_context, &err) < 0)
        log_warn(
            "conversation %s changed in the store and is not read anew, for its last turns "
            "cannot be saved: %s",
            conversation->key, err.message);
    pthread_mutex_lock(&shard->lock);
    conversation->state = CONVERSATION_READY;
    pthread_cond_broadcast(&shard->loaded);
}

static int make_ready_locked(struct conversations *set, struct conversation *conversation,
                             const char *parent_key, const char *until_ts, struct err *err)
{
    while (conversation->state == CONVERSATION_LOADING)
        pthread_cond_wait(&conversation->shard->loaded, &conversation->shard->lock);
    if (conversation->state == CONVERSATION_READY && shelf_is_stale(set, conversation) &&
        conversation->pins == 1) {
        if (!shelf_is_saved(set, conversation))
            flush_locked(set, conversation);
        if (shelf_is_saved(set, conversation))
            conversation->state = CONVERSATION_UNLOADED;
    }
    if (conversation->state != CONVERSATION_READY)
        return load_locked(set, conversation, parent_key, until_ts, err);
    metric_add(set->hits, 1);
    conversation->was_found = true;
    return 0;
}

static void unpin_locked(struct conversations *set, struct conversation *conversation)
{
    conversation->pins--;
    conversation->used = (uint32_t)(clock_now_ms() >> SHELF_TICK_SHIFT);
    shelf_place(set, conversation);
}

int conversations_pin(struct conversations *set, const char *key, const char *parent_key,
                      const char *parent_until_ts, struct conversation **ret_conversation,
                      struct err *err)
{
    struct conversation *conversation;
    struct shard *shard;
    uint32_t hash;
    int rc;

    shard = shelf_shard(set, key, &hash);
    pthread_mutex_lock(&shard->lock);
    conversation = shelf_find(shard, hash, key);
    if (!conversation)
        conversation = shelf_add(set, shard, hash, key);
    conversation->pins++;
    shelf_place(set, conversation);
    rc = make_ready_locked(set, conversation, parent_key, parent_until_ts, err);
    if (rc < 0)
        unpin_locked(set, conversation);
    pthread_mutex_unlock(&shard->lock);
    if (rc < 0)
        return -1;
    shelf_keep_within_limit(set);
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
    unpin_locked(set, conversation);
    pthread_mutex_unlock(&shard->lock);
    shelf_keep_within_limit(set);
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

bool memory_conversation_was_cached(const struct conversation *conversation)
{
    bool was_found;

    pthread_mutex_lock(&conversation->shard->lock);
    was_found = conversation->was_found;
    pthread_mutex_unlock(&conversation->shard->lock);
    return was_found;
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

bool conversation_copy_lent(const struct conversations *set,
                            const struct conversation *conversation, struct pack *ret_pack,
                            int64_t *ret_first_seq)
{
    bool is_stale;

    struct memory_turn turn;
    char ts[PACK_TS_BYTES];
    size_t offset = 0;

    pthread_mutex_lock(&conversation->shard->lock);
    *ret_first_seq = conversation->pack.base_seq;
    is_stale = conversation->lent && shelf_is_stale(set, conversation);
    while (conversation->lent && !is_stale &&
           pack_next_with_ts(&conversation->pack, &offset, &turn, ts) &&
           pack_append(ret_pack, &turn, NULL) == 0)
        ;
    pthread_mutex_unlock(&conversation->shard->lock);
    return !is_stale;
}

void conversation_append(struct conversations *set, struct conversation *conversation,
                         const struct memory_turn *turns, size_t count, int64_t unsaved_id)
{
    size_t max_turns = (size_t)atomic_load(&set->max_turns);
    struct pack *pack = &conversation->pack;

    pthread_mutex_lock(&conversation->shard->lock);
    for (size_t i = 0; i < count; i++) {
        struct memory_turn turn = turns[i];

        turn.seq = ++conversation->last_seq;
        /* Too much for one buffer: the old go, the store has them. */
        while (pack_append(pack, &turn, NULL) < 0 && pack->count)
            pack_drop(pack, pack->count);
    }
    if (pack->count > max_turns)
        pack_drop(pack, pack->count - max_turns);
    conversation->lent = false;
    if (unsaved_id > conversation->unsaved_id)
        conversation->unsaved_id = unsaved_id;
    shelf_charge(set, conversation);
    pthread_mutex_unlock(&conversation->shard->lock);
    shelf_keep_within_limit(set);
}

static void replace_summary_locked(struct conversations *set, struct conversation *conversation,
                                   struct kept_summary *kept)
{
    free(conversation->summary);
    conversation->summary = kept;
    shelf_charge(set, conversation);
}

static void empty_locked(struct conversations *set, struct conversation *conversation)
{
    pack_deinit(&conversation->pack);
    conversation->lent = false;
    shelf_charge(set, conversation);
}

void conversation_reset(struct conversations *set, struct conversation *conversation)
{
    pthread_mutex_lock(&conversation->shard->lock);
    conversation->was_reset = true;
    replace_summary_locked(set, conversation, NULL);
    empty_locked(set, conversation);
    pthread_mutex_unlock(&conversation->shard->lock);
}

void conversation_set_summary(struct conversations *set, struct conversation *conversation,
                              const struct store_summary *summary)
{
    struct kept_summary *kept = summary ? keep_summary(summary) : NULL;

    pthread_mutex_lock(&conversation->shard->lock);
    replace_summary_locked(set, conversation, kept);
    pthread_mutex_unlock(&conversation->shard->lock);
    shelf_keep_within_limit(set);
}

bool conversation_visit_summary(const struct conversation *conversation, store_summary_fn visit,
                                void *context)
{
    bool is_there;

    pthread_mutex_lock(&conversation->shard->lock);
    is_there = conversation->summary != NULL;
    if (is_there)
        visit(context, &conversation->summary->summary);
    pthread_mutex_unlock(&conversation->shard->lock);
    return is_there;
}

/* ---- what others changed ----------------------------------------------------------------- */

void conversation_mark_stale(struct conversations *set, struct conversation *conversation)
{
    (void)set;
    pthread_mutex_lock(&conversation->shard->lock);
    conversation->epoch = 0;
    pthread_mutex_unlock(&conversation->shard->lock);
}

static void let_go(struct conversations *set, const char *key, bool is_erased)
{
    struct conversation *conversation;
    struct shard *shard;
    uint32_t hash;

    shard = shelf_shard(set, key, &hash);
    pthread_mutex_lock(&shard->lock);
    conversation = shelf_find(shard, hash, key);
    if (conversation) {
        conversation->epoch = 0;
        if (is_erased && conversation->state == CONVERSATION_READY) {
            replace_summary_locked(set, conversation, NULL);
            empty_locked(set, conversation);
        }
        shelf_place(set, conversation);
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
    /* 0 is no epoch: it says stale in any. */
    if (atomic_fetch_add(&set->epoch, 1) == UINT32_MAX)
        atomic_fetch_add(&set->epoch, 1);
    shelf_let_go_stale(set);
}

uint32_t conversations_epoch(const struct conversations *set)
{
    return atomic_load(&set->epoch);
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
