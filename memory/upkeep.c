#include "memory/upkeep.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "memory/cleaning.h"
#include "memory/conversation.h"
#include "memory/db.h"
#include "memory/journal.h"
#include "memory/ledger.h"
#include "memory/person.h"
#include "memory/rooms.h"
#include "memory/snapshot.h"

#define LOG_MODULE "memory.upkeep"
#include "base/log.h"

#define ROUND_MAX_MS   (INT64_C(5) * 60 * 1000)
#define ROUND_MIN_MS   1000
#define PIECE_AGAIN_MS 50 /* between two pieces of work: commits come first */
#define SWEEP_FIRST_MS (INT64_C(60) * 1000)
#define SWEEP_MAX_MS   (INT64_C(3600) * 1000)
#define SWEEP_MIN_MS   (INT64_C(60) * 1000)
#define SWEEP_AGE_PART 24 /* of the retention: how late something may go */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t between(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : earlier(value, high);
}

/* ---- snapshots --------------------------------------------------------------------------- */

/* A piece of it, so that commits pass in between. */
static void snapshot_if_due(struct memory *memory, struct db *db, int64_t now_ms)
{
    struct upkeep *upkeep = &memory->upkeep;
    struct err err = { 0 };
    bool more = false;
    int64_t retry_ms;

    if (now_ms < atomic_load(&memory->path.snapshot_due_ms))
        return;
    /* Before the work: what is committed meanwhile sets the next one. */
    atomic_store(&memory->path.snapshot_due_ms, CLOCK_FOREVER_MS);
    if (snapshot_step(&memory->path, db, COMMIT_SNAPSHOT_STEP_US, &more, &err) == 0) {
        if (upkeep->snapshot_failing)
            log_info("snapshots succeed again");
        upkeep->snapshot_failing = false;
        if (more)
            atomic_store(&memory->path.snapshot_due_ms, now_ms);
        return;
    }
    if (!upkeep->snapshot_failing)
        log_warn("a snapshot failed, the turns stay in the ledger until one succeeds: %s",
                 err.message);
    upkeep->snapshot_failing = true;
    retry_ms = atomic_load(&memory->path.snapshot_interval_ms);
    atomic_store(&memory->path.snapshot_due_ms,
                 now_ms + (retry_ms < ROUND_MIN_MS ? ROUND_MIN_MS : retry_ms));
}

/* ---- sweeping ---------------------------------------------------------------------------- */

/* Without a retention only what has expired goes. */
static int64_t before_of(int64_t max_age_ms)
{
    return max_age_ms > 0 ? clock_wall_s() - max_age_ms / 1000 : 0;
}

static bool has_erased_turns(const struct store_swept *swept)
{
    return swept->conversations || swept->turns;
}

/* RAM may hold what is erased, and the disk its bytes. */
static int clean_after(struct memory *memory, struct db *db, const struct store_swept *swept,
                       int64_t ledger_texts, struct err *err)
{
    if (has_erased_turns(swept))
        conversations_mark_all_stale(memory->conversations);
    if (!has_erased_turns(swept) && !swept->fields && !swept->values && !ledger_texts)
        return 0;
    cleaning_owe(memory);
    return cleaning_run(memory, db, err);
}

static void begin_sweep(struct memory *memory)
{
    struct upkeep *upkeep = &memory->upkeep;

    upkeep->is_sweeping = true;
    upkeep->before_wall_s = before_of(atomic_load(&memory->retention_ms));
    upkeep->ledger_after_id = -1;
    upkeep->ledger_texts = 0;
    upkeep->swept = (struct store_swept){ 0 };
}

/* 1: there is more, 0: it is done, -1. */
static int sweep_piece(struct memory *memory, struct db *db, struct err *err)
{
    struct upkeep *upkeep = &memory->upkeep;
    const struct store_ops *ops = memory->store->ops;
    int rc;

    if (upkeep->ledger_after_id < 0) {
        rc = ops->sweep(memory->store, ops->joins_journal ? db : NULL, upkeep->before_wall_s,
                        &upkeep->swept, err);
        if (rc == 0)
            upkeep->ledger_after_id = 0;
        return rc < 0 ? -1 : 1;
    }
    return ledger_expire(db, upkeep->before_wall_s * 1000000, &upkeep->ledger_after_id,
                         &upkeep->ledger_texts, err);
}

static void tell(const struct upkeep *upkeep)
{
    const struct store_swept *swept = &upkeep->swept;

    if (!has_erased_turns(swept) && !swept->fields && !swept->values && !upkeep->ledger_texts)
        return;
    log_info("what is past retention or has expired is erased: conversations=%lld turns=%lld "
             "fields=%lld values=%lld messages=%lld",
             (long long)swept->conversations, (long long)swept->turns, (long long)swept->fields,
             (long long)swept->values, (long long)upkeep->ledger_texts);
}

static void end_sweep(struct memory *memory, struct db *db, int64_t now_ms, struct err *err)
{
    struct upkeep *upkeep = &memory->upkeep;
    int64_t part_ms = atomic_load(&memory->retention_ms) / SWEEP_AGE_PART;

    upkeep->is_sweeping = false;
    upkeep->sweep_due_ms = now_ms + between(part_ms, SWEEP_MIN_MS, SWEEP_MAX_MS);
    tell(upkeep);
    if (clean_after(memory, db, &upkeep->swept, upkeep->ledger_texts, err) < 0)
        log_warn("erased bytes are not given back yet, trying again: %s", err->message);
}

/* When it wants to go on. */
static int64_t sweep_if_due(struct memory *memory, struct db *db, int64_t now_ms)
{
    struct upkeep *upkeep = &memory->upkeep;
    struct err err = { 0 };
    int rc;

    if (upkeep->is_visitor)
        return CLOCK_FOREVER_MS;
    if (now_ms < upkeep->sweep_due_ms)
        return upkeep->sweep_due_ms;
    if (!upkeep->is_sweeping)
        begin_sweep(memory);
    rc = sweep_piece(memory, db, &err);
    if (rc > 0)
        return now_ms + PIECE_AGAIN_MS;
    if (rc == 0) {
        upkeep->sweep_failing = false;
        end_sweep(memory, db, now_ms, &err);
        return upkeep->sweep_due_ms;
    }
    if (!upkeep->sweep_failing)
        log_warn("what is past retention was not erased, trying again: %s", err.message);
    upkeep->sweep_failing = true;
    upkeep->sweep_due_ms = now_ms + SWEEP_MIN_MS;
    return upkeep->sweep_due_ms;
}

/* ---- by hand ----------------------------------------------------------------------------- */

struct sweeping {
    struct memory *memory;
    int64_t before_wall_s;
    struct store_swept swept;
    bool more;
};

static int sweep_call(void *context, struct db *db, struct err *err)
{
    struct sweeping *sweeping = context;
    struct store *store = sweeping->memory->store;
    int rc = store->ops->sweep(store, db, sweeping->before_wall_s, &sweeping->swept, err);

    sweeping->more = rc > 0;
    return rc < 0 ? -1 : 0;
}

static int clean_call(void *context, struct db *db, struct err *err)
{
    struct sweeping *sweeping = context;

    return clean_after(sweeping->memory, db, &sweeping->swept, 0, err);
}

/* On the journal's thread where the store joins it, one piece a call: turns pass in between. */
static int call(struct sweeping *sweeping, journal_call_fn function, struct err *err)
{
    struct memory *memory = sweeping->memory;

    return memory->store->ops->joins_journal
               ? journal_call(memory->journal, function, sweeping, err)
               : function(sweeping, NULL, err);
}

int upkeep_sweep(struct memory *memory, int64_t max_age_ms, struct store_swept *ret_swept,
                 struct err *err)
{
    struct sweeping sweeping = { .memory = memory, .before_wall_s = before_of(max_age_ms) };
    struct err local = { 0 };
    int rc;

    do {
        rc = call(&sweeping, sweep_call, err);
    } while (rc == 0 && sweeping.more);
    *ret_swept = sweeping.swept;
    if (rc < 0)
        return -1;
    /* A reader in the way: what was erased is overwritten, its place is given back later. */
    rc = journal_call(memory->journal, clean_call, &sweeping, &local);
    if (rc == 0 || local.kind == ERR_TEMP)
        return 0;
    if (err)
        *err = local;
    return -1;
}

/* ---- the hooks --------------------------------------------------------------------------- */

void upkeep_init(struct memory *memory, bool is_visitor)
{
    memory->upkeep = (struct upkeep){ .is_visitor = is_visitor,
                                      .sweep_due_ms = clock_now_ms() + SWEEP_FIRST_MS };
}

static void notice_foreign(struct memory *memory, struct db *db)
{
    if (commit_notice_foreign(&memory->path, db))
        persons_drop(memory->persons, NULL);
}

int64_t upkeep_run(void *context, struct db *db, int64_t now_ms)
{
    struct memory *memory = context;
    int64_t round_ms =
        between(atomic_load(&memory->cache_ttl_ms) / 4, ROUND_MIN_MS, ROUND_MAX_MS);
    struct err err = { 0 };
    int64_t sweep_ms;
    bool more = false;

    notice_foreign(memory, db);
    snapshot_if_due(memory, db, now_ms);
    conversations_sweep(memory->conversations, now_ms);
    sweep_ms = sweep_if_due(memory, db, now_ms);
    if (!memory->upkeep.is_visitor)
        sweep_ms = earlier(sweep_ms, cleaning_run_if_due(memory, db, now_ms));
    if (!memory->upkeep.is_visitor &&
        ledger_prune(memory->ledger, db, clock_wall_us(), &more, &err) < 0)
        log_warn("old messages were not forgotten, trying again later: %s", err.message);
    return earlier(earlier(now_ms + (more ? PIECE_AGAIN_MS : round_ms), sweep_ms),
                   atomic_load(&memory->path.snapshot_due_ms));
}

/* A command beside this process may have erased or imported something. */
void upkeep_after_batch(void *context, struct db *db)
{
    struct memory *memory = context;

    notice_foreign(memory, db);
}
