/*
 * values.h - small values by key with an expiry, for what is shared but is no conversation:
 * namespace:entity:id, e.g. "cache:answer:...". And the counters of the rate limit.
 *
 * Owns:    nothing.
 * Threads: any but the loop and the journal.
 * Errors:  ERR_INPUT for a key or value that is too long, ERR_TEMP and ERR_SYSTEM as the store.
 */
#ifndef MEMORY_VALUES_H
#define MEMORY_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"
#include "memory/store.h"

#define VALUE_MAX_BYTES ((size_t)1024 * 1024)
#define VALUE_KEY_MAX   1024

/* ttl_ms must be above 0: a value always expires. */
int memory_value_set(struct memory *memory, const char *key, const char *value, int64_t ttl_ms,
                     struct err *err);
/* 1 found (appended to `out`), 0 not. */
int memory_value_get(struct memory *memory, const char *key, struct buf *out, struct err *err);
int memory_value_exists(struct memory *memory, const char *key, struct err *err); /* 1, 0, -1 */
int memory_value_delete(struct memory *memory, const char *key, struct err *err); /* 1, 0, -1 */
int memory_value_expire(struct memory *memory, const char *key, int64_t ttl_ms,
                        struct err *err); /* 1, 0, -1 */
/* Milliseconds left; INT64_MAX when it never expires, -2 no such key, -1 failed. */
int64_t memory_value_ttl(struct memory *memory, const char *key, struct err *err);
/* Adds to a counter; ttl_ms counts from its creation, set in the same step. */
int memory_value_add(struct memory *memory, const char *key, int64_t number, int64_t ttl_ms,
                     int64_t *ret_sum, struct err *err);
/* Several counters in one step, all or none; ret_sum is what each holds then. */
#define VALUES_ADD_MAX 16
struct value_addition {
    const char *key;
    int64_t number;
    int64_t ret_sum;
};
int memory_values_add(struct memory *memory, struct value_addition *additions, size_t count,
                      int64_t ttl_ms, struct err *err);
/* In order of key, by pages: `visit` may take its time, and see what was set meanwhile. */
int memory_values_visit(struct memory *memory, const char *pattern, store_value_fn visit,
                        void *context, struct err *err);
int64_t memory_values_delete(struct memory *memory, const char *pattern, struct err *err);

#endif
