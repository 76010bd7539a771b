#include "memory/commit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/person.h"
#include "memory/snapshot.h"

#define LOG_MODULE "memory.commit"
#include "base/log.h"

/* Turns of one conversation on their way: what the parent lent, then what is new. */
struct batch {
    const char *key;
    int64_t first_seq;
    struct memory_turn *turns;
    size_t turns_count;
    struct pack lent;
    uint32_t epoch; /* when they were copied */
    bool was_stale;
    char (*lent_ts)[PACK_TS_BYTES];
    struct store_mutation *mutations; /* for the store now */
    size_t count;
    struct aside aside; /* for the store later */
};

static void batch_deinit(struct batch *batch)
{
    free(batch->mutations);
    free(batch->turns);
    free(batch->lent_ts);
    pack_deinit(&batch->lent);
    aside_deinit(&batch->aside);
}

static void batch_init(struct batch *batch, struct conversations *set,
                       const struct conversation *conversation, const struct memory_turn *turns,
                       size_t count)
{
    size_t offset = 0;
    size_t lent = 0;

    *batch = (struct batch){ .key = conversation_key(conversation),
                             .epoch = conversations_epoch(set) };
    batch->was_stale =
        !conversation_copy_lent(set, conversation, &batch->lent, &batch->first_seq);
    if (!batch->lent.count)
        batch->first_seq = conversation_last_seq(conversation) + 1;
    batch->turns = xcalloc(batch->lent.count + count + 1, sizeof(batch->turns[0]));
    batch->lent_ts = xcalloc(batch->lent.count + 1, sizeof(batch->lent_ts[0]));
    while (pack_next_with_ts(&batch->lent, &offset, &batch->turns[lent], batch->lent_ts[lent]))
        lent++;
    if (count)
        memcpy(batch->turns + lent, turns, count * sizeof(turns[0]));
    batch->turns_count = lent + count;
    for (size_t i = 0; i < batch->turns_count; i++)
        batch->turns[i].seq = batch->first_seq + (int64_t)i;
}

/* The appends, then the trim. */
static void add_mutations(struct batch *batch, int64_t max_turns)
{
    int64_t last_seq = batch->first_seq + (int64_t)batch->turns_count - 1;

    batch->mutations = xcalloc(batch->turns_count + 1, sizeof(batch->mutations[0]));
    for (size_t i = 0; i < batch->turns_count; i++)
        batch->mutations[batch->count++] =
            (struct store_mutation){ .kind = STORE_APPEND_TURN,
                                     .key = batch->key,
                                     .turn = &batch->turns[i],
                                     .seq = batch->turns[i].seq };
    if (last_seq > max_turns)
        batch->mutations[batch->count++] = (struct store_mutation){
            .kind = STORE_TRIM_TURNS, .key = batch->key, .seq = last_seq - max_turns + 1
        };
}

/* What the turns teach of those who said them, in the same transaction. */
static void add_lessons(struct batch *batch, const struct lessons *lessons)
{
    if (!lessons->count)
        return;
    batch->mutations =
        xrealloc(batch->mutations, batch->count + lessons->count, sizeof(batch->mutations[0]));
    memcpy(batch->mutations + batch->count, lessons->mutations,
           lessons->count * sizeof(lessons->mutations[0]));
    batch->count += lessons->count;
}

static int put_aside(struct batch *batch, const struct vault *vault, struct err *err)
{
    int64_t base_wall_s = batch->turns_count ? batch->turns[0].at_wall_s : 0;

    for (size_t i = 1; i < batch->turns_count; i++) {
        if (batch->turns[i].at_wall_s < base_wall_s)
            base_wall_s = batch->turns[i].at_wall_s;
    }
    aside_init(&batch->aside, base_wall_s);
    for (size_t i = 0; i < batch->turns_count; i++) {
        if (aside_add(&batch->aside, vault, &batch->turns[i], err) < 0)
            return -1;
    }
    return 0;
}

static int check_lengths(const struct memory_turn *turns, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(turns[i].text) > PACK_TEXT_MAX_BYTES)
            return err_set(err, ERR_INPUT, "a turn of %zu bytes is too long to keep",
                           strlen(turns[i].text));
    }
    return 0;
}

bool commit_puts_aside(const struct commit_path *path)
{
    return !path->is_volatile &&
           (path->durability == MEMORY_DURABILITY_INTERVAL || !path->store->ops->joins_journal);
}

/* ---- committing -------------------------------------------------------------------------- */

struct commit_job {
    struct journal_job base;
    struct commit_path *path;
    const struct batch *batch; /* NULL: the store's part is done */
    const struct batch *aside; /* NULL: nothing is put aside */
    const int64_t *ledger_ids;
    size_t ledger_count;
    enum ledger_state state;
    int64_t pending_change;
    int64_t unsaved_id;
};

static int commit_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct commit_job *job = (struct commit_job *)base;
    struct store *store = job->path->store;

    if (job->batch &&
        store->ops->apply(store, db, job->batch->mutations, job->batch->count, err) < 0)
        return -1;
    if (job->aside && aside_insert(db, job->aside->key, job->aside->first_seq,
                                   &job->aside->aside, &job->unsaved_id, err) < 0)
        return -1;
    return ledger_apply_state(db, job->ledger_ids, job->ledger_count, job->state,
                              &job->pending_change, err);
}

static void note_unsaved(struct commit_path *path, int64_t id)
{
    int64_t newest = atomic_load(&path->unsaved_id);

    while (id > newest && !atomic_compare_exchange_weak(&path->unsaved_id, &newest, id))
        ;
}

void commit_snapshot_soon(struct commit_path *path)
{
    int64_t now_ms = clock_now_ms();

    atomic_store(&path->snapshot_due_ms, now_ms);
    journal_call_at(path->journal, now_ms);
}

static void schedule_snapshot(struct commit_path *path)
{
    int64_t due_ms = CLOCK_FOREVER_MS;
    int64_t when_ms = clock_now_ms() + atomic_load(&path->snapshot_interval_ms);

    if (conversations_want_snapshot(path->conversations))
        commit_snapshot_soon(path);
    else if (atomic_compare_exchange_strong(&path->snapshot_due_ms, &due_ms, when_ms))
        journal_call_at(path->journal, when_ms);
}

static int run_commit(struct commit_path *path, struct commit_job *job,
                      const struct batch *batch, struct err *err)
{
    job->path = path;
    job->base.apply = commit_apply;
    job->aside = batch->aside.count ? batch : NULL;
    job->batch = batch->count && path->store->ops->joins_journal ? batch : NULL;
    if (batch->count && path->is_volatile &&
        path->store->ops->apply(path->store, NULL, batch->mutations, batch->count, err) < 0)
        return -1;
    if (journal_run(path->journal, &job->base, err) < 0)
        return -1;
    ledger_add_pending(path->ledger, job->pending_change);
    return 0;
}

/* ---- a store that does not join the journal ---------------------------------------------- */

struct forget_job {
    struct journal_job base;
    int64_t unsaved_id;
};

static int forget_apply(struct journal_job *base, struct db *db, struct err *err)
{
    return aside_forget(db, ((struct forget_job *)base)->unsaved_id, err);
}

static void forget_done(struct journal_job *base, const struct err *err)
{
    if (err)
        log_debug("a turn that the store has stays unsaved, the next start finds out: %s",
                  err->message);
    free(base);
}

/*
 * The turns are durable, with the ledger; now the store is to have them. True when it has: then
 * the row goes, with the next commit. While an earlier snapshot is due (or failing) this one
 * waits for it as well: the store is not asked out of order, nor when it is known to be down.
 */
static bool hand_over(struct commit_path *path, const struct batch *batch, int64_t unsaved_id)
{
    struct forget_job *job;
    struct err err = { 0 };

    if (atomic_load(&path->snapshot_due_ms) != CLOCK_FOREVER_MS)
        return false;
    if (path->store->ops->apply(path->store, NULL, batch->mutations, batch->count, &err) < 0) {
        log_warn("the store does not take a turn now, the ledger keeps it until it does: %s",
                 err.message);
        return false;
    }
    job = xcalloc(1, sizeof(*job));
    job->base.apply = forget_apply;
    job->base.done = forget_done;
    job->unsaved_id = unsaved_id;
    if (!journal_submit(path->journal, &job->base))
        free(job); /* full or closing: the row is found to be saved later */
    return true;
}

/* ---- turns and resets -------------------------------------------------------------------- */

/* Durability interval, and the store takes no part in the journal: it is asked now and then,
 * but what was learnt, which is rare, goes there at once. */
static void teach_store(struct commit_path *path, const struct lessons *lessons)
{
    struct err err = { 0 };

    if (lessons->count && path->store->ops->apply(path->store, NULL, lessons->mutations,
                                                  lessons->count, &err) < 0)
        log_warn("the store is away: a fact about somebody is not learnt: %s", err.message);
}

static int prepare(const struct commit_path *path, struct batch *batch,
                   const struct lessons *lessons, struct err *err)
{
    if (commit_puts_aside(path) && put_aside(batch, path->vault, err) < 0)
        return -1;
    if (path->durability != MEMORY_DURABILITY_INTERVAL)
        add_mutations(batch, atomic_load(&path->max_turns));
    if (path->durability != MEMORY_DURABILITY_INTERVAL || path->store->ops->joins_journal)
        add_lessons(batch, lessons);
    return 0;
}

static int run_turns(struct commit_path *path, struct commit_job *job, struct batch *batch,
                     struct err *err)
{
    const struct store_ops *ops = path->store->ops;
    struct lessons lessons = { 0 };
    int rc;

    if (path->persons)
        persons_learn(path->persons, batch->key, batch->turns + batch->lent.count,
                      batch->turns_count - batch->lent.count, &lessons);
    rc = prepare(path, batch, &lessons, err);
    if (rc == 0)
        rc = run_commit(path, job, batch, err);
    if (rc == 0 && path->durability == MEMORY_DURABILITY_INTERVAL && !ops->joins_journal)
        teach_store(path, &lessons);
    else if (rc == 0 && job->aside && !ops->joins_journal &&
             hand_over(path, batch, job->unsaved_id))
        job->unsaved_id = 0;
    if (path->persons)
        persons_learned(path->persons, &lessons);
    return rc;
}

/*
 * The parent may have been erased since it lent: what was lent leaves RAM and, where it became
 * durable while that happened, the store. The turns that are this conversation's own stay.
 */
static void take_back_lent(struct commit_path *path, const struct batch *batch)
{
    size_t count = batch->lent.count;
    struct store_mutation *erase;
    struct err err = { 0 };

    if (batch->was_stale)
        conversations_drop(path->conversations, batch->key);
    if (!count || batch->epoch == conversations_epoch(path->conversations))
        return;
    erase = xcalloc(count, sizeof(erase[0]));
    for (size_t i = 0; i < count; i++)
        erase[i] = (struct store_mutation){ .kind = STORE_ERASE_TURN,
                                            .key = batch->key,
                                            .seq = batch->first_seq + (int64_t)i };
    if (commit_mutations(path, erase, count, &err) < 0)
        log_err("what was lent may be erased and stays: conversation=%s: %s", batch->key,
                err.message);
    conversations_drop(path->conversations, batch->key);
    free(erase);
}

int commit_turns(struct commit_path *path, struct conversation *conversation,
                 const struct memory_turn *turns, size_t turns_count, const int64_t *ledger_ids,
                 size_t ledger_count, enum ledger_state state, struct err *err)
{
    struct commit_job job = { .ledger_ids = ledger_ids,
                              .ledger_count = ledger_count,
                              .state = state };
    struct err local = { 0 };
    struct batch batch;
    int rc = check_lengths(turns, turns_count, err);

    if (rc < 0)
        return -1;
    batch_init(&batch, path->conversations, conversation, turns, turns_count);
    rc = run_turns(path, &job, &batch, &local);
    if (rc < 0) {
        batch_deinit(&batch);
        if (local.kind == ERR_INPUT)
            conversation_mark_stale(path->conversations, conversation);
        if (err)
            *err = local;
        return -1;
    }
    conversation_append(path->conversations, conversation, turns, turns_count, job.unsaved_id);
    if (job.unsaved_id) {
        note_unsaved(path, job.unsaved_id);
        schedule_snapshot(path);
    }
    take_back_lent(path, &batch);
    batch_deinit(&batch);
    return 0;
}

int commit_reset(struct commit_path *path, const char *key, struct err *err)
{
    struct conversation *conversation = NULL;
    struct store_mutation mutation = { .kind = STORE_SET_WINDOW, .key = key };
    struct batch batch = { .key = key, .mutations = &mutation, .count = 1 };
    struct commit_job job = { 0 };
    int rc;

    if (conversations_pin(path->conversations, key, NULL, NULL, &conversation, err) < 0)
        return -1;
    mutation.seq = conversation_last_seq(conversation) + 1;
    rc = path->store->ops->joins_journal
             ? run_commit(path, &job, &batch, err)
             : path->store->ops->apply(path->store, NULL, &mutation, 1, err);
    if (rc == 0)
        conversation_reset(path->conversations, conversation);
    conversations_unpin(path->conversations, conversation);
    return rc;
}

/* ---- what waits for a snapshot ----------------------------------------------------------- */

int commit_snapshot(struct commit_path *path, struct db *db, struct err *err)
{
    bool more = true;
    int rc = 0;

    while (rc == 0 && more)
        rc = snapshot_step(path, db, COMMIT_SNAPSHOT_STEP_US, &more, err);
    return rc;
}

struct flushing {
    struct commit_path *path;
    bool more;
};

static int flush_call(void *context, struct db *db, struct err *err)
{
    struct flushing *flushing = context;

    return snapshot_step(flushing->path, db, COMMIT_SNAPSHOT_STEP_US, &flushing->more, err);
}

int commit_flush(struct commit_path *path, struct err *err)
{
    struct flushing flushing = { .path = path, .more = true };
    int rc = 0;

    /* Beside a visitor there may be a daemon that puts aside. */
    if (!commit_puts_aside(path) && !path->is_visitor)
        return 0;
    /* One piece a call: the turns of others pass in between. */
    while (rc == 0 && flushing.more)
        rc = journal_call(path->journal, flush_call, &flushing, err);
    return rc;
}

bool commit_notice_foreign(struct commit_path *path, struct db *db)
{
    const struct store_ops *ops = path->store->ops;
    int64_t version = ops->foreign_version ? ops->foreign_version(path->store, db) : 0;

    if (version == path->foreign_version)
        return false;
    path->foreign_version = version;
    conversations_mark_all_stale(path->conversations);
    /* What is unsaved stays until it is saved, or until somebody wants it. */
    if (commit_puts_aside(path))
        commit_snapshot_soon(path);
    return true;
}

/* ---- whatever else is written ------------------------------------------------------------ */

struct mutations_job {
    struct journal_job base;
    struct store *store;
    struct store_mutation *mutations;
    size_t count;
};

static int apply_mutations(struct journal_job *base, struct db *db, struct err *err)
{
    struct mutations_job *job = (struct mutations_job *)base;

    return job->store->ops->apply(job->store, db, job->mutations, job->count, err);
}

static bool erases_turns(const struct store_mutation *mutations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (mutations[i].kind == STORE_TRIM_TURNS || mutations[i].kind == STORE_ERASE_TURN ||
            mutations[i].kind == STORE_ERASE)
            return true;
    }
    return false;
}

int commit_mutations(struct commit_path *path, struct store_mutation *mutations, size_t count,
                     struct err *err)
{
    const struct store_ops *ops = path->store->ops;
    struct mutations_job job = { .base.apply = apply_mutations,
                                 .store = path->store,
                                 .mutations = mutations,
                                 .count = count };

    if (erases_turns(mutations, count) && commit_flush(path, err) < 0)
        return -1;
    if (ops->joins_journal)
        return journal_run(path->journal, &job.base, err);
    return ops->apply(path->store, NULL, mutations, count, err);
}
