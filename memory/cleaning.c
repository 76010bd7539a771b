#include "memory/cleaning.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "memory/db.h"
#include "memory/rooms.h"
#include "memory/store.h"

#define LOG_MODULE "memory.cleaning"
#include "base/log.h"

#define MARK     ".unscrubbed"
#define AGAIN_MS (INT64_C(60) * 1000)

void cleaning_init(struct cleaning *cleaning, const char *db_path)
{
    *cleaning = (struct cleaning){ .mark = xasprintf("%s" MARK, db_path) };
}

void cleaning_deinit(struct cleaning *cleaning)
{
    free(cleaning->mark);
    cleaning->mark = NULL;
}

static bool is_marked(const struct cleaning *cleaning)
{
    return access(cleaning->mark, F_OK) == 0;
}

void cleaning_owe(struct memory *memory)
{
    struct cleaning *cleaning = &memory->cleaning;
    struct err err = { 0 };

    atomic_store(&cleaning->is_owed, true);
    if (!is_marked(cleaning) && file_write(cleaning->mark, "", 0, 0600, &err) < 0)
        log_warn("that erased bytes are to be scrubbed is not noted: %s", err.message);
}

/* The ledger is in the database whatever the store. */
static int scrub(struct memory *memory, struct db *db, struct err *err)
{
    const struct store_ops *ops = memory->store->ops;

    if (ops->joins_journal)
        return ops->scrub(memory->store, db, err);
    return db_scrub(db, err) < 0 ? -1 : ops->scrub(memory->store, NULL, err);
}

int cleaning_run(struct memory *memory, struct db *db, struct err *err)
{
    struct cleaning *cleaning = &memory->cleaning;

    cleaning->was_tried = true;
    cleaning->tried_ms = clock_now_ms();
    if (scrub(memory, db, err) < 0)
        return -1;
    atomic_store(&cleaning->is_owed, false);
    unlink(cleaning->mark);
    if (cleaning->is_failing)
        log_info("what was erased has left the files");
    cleaning->is_failing = false;
    return 0;
}

int64_t cleaning_run_if_due(struct memory *memory, struct db *db, int64_t now_ms)
{
    struct cleaning *cleaning = &memory->cleaning;
    struct err err = { 0 };

    if (!atomic_load(&cleaning->is_owed) && !is_marked(cleaning))
        return CLOCK_FOREVER_MS;
    if (cleaning->was_tried && now_ms < cleaning->tried_ms + AGAIN_MS)
        return cleaning->tried_ms + AGAIN_MS;
    if (cleaning_run(memory, db, &err) == 0)
        return CLOCK_FOREVER_MS;
    cleaning->tried_ms = now_ms;
    if (!cleaning->is_failing)
        log_warn("what was erased may lie in the files yet, trying again: %s", err.message);
    cleaning->is_failing = true;
    return now_ms + AGAIN_MS;
}
