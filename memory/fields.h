/*
 * fields.h - a conversation as a dictionary whose values are JSON, lists included, each with an
 * optional expiry; and its history as messages. Every change is one atomic step in the store:
 * two who append to one list both find their element there.
 *
 * Owns:    nothing.
 * Threads: any but the loop and the journal.
 * Errors:  ERR_INPUT for what is no JSON, too big (FIELD_MAX_BYTES), or of another type than
 * the call needs. "1, 0" results: it was there, it was not.
 */
#ifndef MEMORY_FIELDS_H
#define MEMORY_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"
#include "memory/store.h"

#define FIELD_MAX_BYTES      ((size_t)64 * 1024)
#define FIELD_NAME_MAX       200
#define FIELDS_PER_KEY_MAX   1000
#define FIELD_TTL_DEFAULT_MS (INT64_C(3600) * 1000)

/* ttl_ms 0: FIELD_TTL_DEFAULT_MS; below 0: until the conversation's retention. */
int memory_field_set(struct memory *memory, const char *key, const char *name,
                     const char *value_json, int64_t ttl_ms, struct err *err);
int memory_field_update(struct memory *memory, const char *key, const char *object_json,
                        int64_t ttl_ms, struct err *err); /* many at once, all or none */
/* Appends the value to `out`; when it is not there, `fallback_json` (NULL: nothing). 1, 0, -1.
 */
int memory_field_get(struct memory *memory, const char *key, const char *name,
                     const char *fallback_json, struct buf *out, struct err *err);
int memory_field_contains(struct memory *memory, const char *key, const char *name,
                          struct err *err);
int memory_field_delete(struct memory *memory, const char *key, const char *name,
                        struct err *err);
/* Keys and items: visits by name. */
int memory_fields_visit(struct memory *memory, const char *key, store_value_fn visit,
                        void *context, struct err *err);
int64_t memory_fields_clear(struct memory *memory, const char *key, struct err *err);
int64_t memory_fields_set_ttl(struct memory *memory, const char *key, int64_t ttl_ms,
                              struct err *err);

/* To the end; `keep` above 0: then the last so many stay, for a list that would grow for ever.
 */
int memory_list_append(struct memory *memory, const char *key, const char *name,
                       const char *value_json, int64_t keep, struct err *err);
int memory_list_extend(struct memory *memory, const char *key, const char *name,
                       const char *array_json, int64_t keep, struct err *err);
/* Before the element at `index`; behind the last when there is none. */
int memory_list_insert(struct memory *memory, const char *key, const char *name, int64_t index,
                       const char *value_json, struct err *err);
/* 1 with the last element in `out`, 0 when the list is empty or not there. */
int memory_list_pop(struct memory *memory, const char *key, const char *name, struct buf *out,
                    struct err *err);
int memory_list_remove(struct memory *memory, const char *key, const char *name,
                       const char *value_json, struct err *err);
int memory_list_get(struct memory *memory, const char *key, const char *name, struct buf *out,
                    struct err *err); /* 1, or 0 with "[]" */
int64_t memory_list_length(struct memory *memory, const char *key, const char *name,
                           struct err *err); /* 0 when not there */

/* A message said outside any turn of the bot's (an import, a note); gets the next seq. */
int memory_message_add(struct memory *memory, const char *key, const struct memory_turn *turn,
                       struct err *err);
/* The newest `limit` (0: all), oldest first. */
int memory_messages_visit(struct memory *memory, const char *key, size_t limit,
                          store_visit_turn_fn visit, void *context, struct err *err);
int64_t memory_message_count(struct memory *memory, const char *key, struct err *err);
int memory_size(struct memory *memory, const char *key, struct store_conversation *ret_size,
                struct err *err);

#endif
