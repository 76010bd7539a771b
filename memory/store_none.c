#include "memory/store.h"

#include <stdlib.h>

#include "base/alloc.h"

static void none_free(struct store *store)
{
    free(store);
}

static int none_load(struct store *store, const char *key, size_t max_turns,
                     store_turn_fn on_turn, void *context, struct store_head *ret_head,
                     struct err *err)
{
    (void)store;
    (void)key;
    (void)max_turns;
    (void)on_turn;
    (void)context;
    (void)err;
    *ret_head = (struct store_head){ 0 };
    return 0;
}

static int none_apply(struct store *store, struct db *journal_db,
                      struct store_mutation *mutations, size_t count, struct err *err)
{
    (void)store;
    (void)journal_db;
    (void)mutations;
    (void)count;
    (void)err;
    return 0;
}

struct store *store_none_new(int64_t max_bytes, struct err *err)
{
    static const struct store_ops ops = {
        .name = "none",
        .joins_journal = true, /* nothing to wait for */
        .free = none_free,
        .load = none_load,
        .apply = none_apply,
    };
    struct store *store = xcalloc(1, sizeof(*store));

    (void)max_bytes;
    (void)err;
    store->ops = &ops;
    return store;
}
