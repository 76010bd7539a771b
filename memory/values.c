#include "memory/values.h"

#include <string.h>

#include "base/clock.h"
#include "memory/commit.h"
#include "memory/rooms.h"

#define VISIT_PAGE 256

static int64_t now_ms(void)
{
    return clock_wall_us() / 1000;
}

static int expires_after(int64_t ttl_ms, int64_t *ret_expires, struct err *err)
{
    int64_t now = now_ms();

    if (ttl_ms <= 0)
        return err_set(err, ERR_INPUT, "a value's time to live is above 0");
    *ret_expires = ttl_ms > INT64_MAX - now ? INT64_MAX : now + ttl_ms;
    return 0;
}

static int check(const char *key, const char *value, struct err *err)
{
    if (!*key || strlen(key) > VALUE_KEY_MAX)
        return err_set(err, ERR_INPUT, "a value's key has 1 to %d bytes, not %zu",
                       VALUE_KEY_MAX, strlen(key));
    if (value && strlen(value) > VALUE_MAX_BYTES)
        return err_set(err, ERR_INPUT, "a value of %zu bytes is too big, at most %zu",
                       strlen(value), VALUE_MAX_BYTES);
    return 0;
}

int memory_value_set(struct memory *memory, const char *key, const char *value, int64_t ttl_ms,
                     struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_SET_VALUE, .key = key, .value = value };

    if (check(key, value, err) < 0 || expires_after(ttl_ms, &mutation.expires_wall_ms, err) < 0)
        return -1;
    return commit_mutations(&memory->path, &mutation, 1, err);
}

struct found {
    struct buf *out;
    int64_t expires_wall_ms;
    bool is_there;
};

static bool take_value(void *context, const char *name, const char *value, int64_t expires)
{
    struct found *found = context;

    (void)name;
    found->is_there = true;
    found->expires_wall_ms = expires;
    if (found->out)
        buf_append_text(found->out, value);
    return false;
}

static int find(struct memory *memory, const char *key, struct found *found, struct err *err)
{
    struct store *store = memory->store;

    if (store->ops->values(store, key, false, "", 0, take_value, found, err) < 0)
        return -1;
    return found->is_there;
}

int memory_value_get(struct memory *memory, const char *key, struct buf *out, struct err *err)
{
    struct found found = { .out = out };

    return find(memory, key, &found, err);
}

int memory_value_exists(struct memory *memory, const char *key, struct err *err)
{
    struct found found = { 0 };

    return find(memory, key, &found, err);
}

int64_t memory_value_ttl(struct memory *memory, const char *key, struct err *err)
{
    struct found found = { 0 };
    int rc = find(memory, key, &found, err);
    int64_t left;

    if (rc <= 0)
        return rc < 0 ? -1 : -2;
    if (found.expires_wall_ms == STORE_NEVER)
        return INT64_MAX;
    left = found.expires_wall_ms - now_ms();
    return left < 0 ? 0 : left;
}

static int change(struct memory *memory, struct store_mutation *mutation, struct err *err)
{
    if (commit_mutations(&memory->path, mutation, 1, err) < 0)
        return -1;
    return mutation->count > 0;
}

int memory_value_delete(struct memory *memory, const char *key, struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_DELETE_VALUE, .key = key };

    return change(memory, &mutation, err);
}

int memory_value_expire(struct memory *memory, const char *key, int64_t ttl_ms, struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_EXPIRE_VALUE, .key = key };

    if (expires_after(ttl_ms, &mutation.expires_wall_ms, err) < 0)
        return -1;
    return change(memory, &mutation, err);
}

int memory_values_add(struct memory *memory, struct value_addition *additions, size_t count,
                      int64_t ttl_ms, struct err *err)
{
    struct store_mutation mutations[VALUES_ADD_MAX];
    int64_t expires = 0;

    if (count > VALUES_ADD_MAX)
        return err_set(err, ERR_INPUT, "%zu counters in one step, at most %d", count,
                       VALUES_ADD_MAX);
    if (expires_after(ttl_ms, &expires, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (check(additions[i].key, NULL, err) < 0)
            return -1;
        mutations[i] = (struct store_mutation){ .kind = STORE_ADD_VALUE,
                                                .key = additions[i].key,
                                                .number = additions[i].number,
                                                .expires_wall_ms = expires };
    }
    if (count && commit_mutations(&memory->path, mutations, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        additions[i].ret_sum = mutations[i].count;
    return 0;
}

int memory_value_add(struct memory *memory, const char *key, int64_t number, int64_t ttl_ms,
                     int64_t *ret_sum, struct err *err)
{
    struct value_addition addition = { .key = key, .number = number };

    if (memory_values_add(memory, &addition, 1, ttl_ms, err) < 0)
        return -1;
    *ret_sum = addition.ret_sum;
    return 0;
}

/* ---- by pattern -------------------------------------------------------------------------- */

struct page {
    store_value_fn visit;
    void *context;
    struct buf last; /* the key that the next page begins after */
    size_t count;
    bool is_stopped;
};

static bool visit_page(void *context, const char *name, const char *value, int64_t expires)
{
    struct page *page = context;

    page->count++;
    buf_clear(&page->last);
    buf_append_text(&page->last, name);
    page->is_stopped = !page->visit(page->context, name, value, expires);
    return !page->is_stopped;
}

/* Page by page, so that no reader is held while a long visit goes on. */
int memory_values_visit(struct memory *memory, const char *pattern, store_value_fn visit,
                        void *context, struct err *err)
{
    struct store *store = memory->store;
    struct page page = { .visit = visit, .context = context };
    AUTO_BUF struct buf after = { 0 };
    int rc = 0;

    buf_init(&page.last, SIZE_MAX);
    buf_init(&after, SIZE_MAX);
    do {
        page.count = 0;
        buf_clear(&after);
        buf_append_text(&after, buf_text(&page.last));
        rc = store->ops->values(store, pattern, true, buf_text(&after), VISIT_PAGE, visit_page,
                                &page, err);
    } while (rc == 0 && page.count == VISIT_PAGE && !page.is_stopped);
    buf_deinit(&page.last);
    return rc;
}

int64_t memory_values_delete(struct memory *memory, const char *pattern, struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_DELETE_VALUES, .key = pattern };

    return commit_mutations(&memory->path, &mutation, 1, err) < 0 ? -1 : mutation.count;
}
