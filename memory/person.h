/*
 * person.h - what is known of a person, apart from any conversation: preferences, which they
 * set, and a profile of facts, which their own words taught (name, role, interests), each with
 * the message that taught it. Both are theirs to see and to correct.
 *
 * Owns:    a cache of people in RAM, bounded.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_PERSON_H
#define MEMORY_PERSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"
#include "memory/store.h"

struct persons;
struct persons *persons_new(struct store *store, struct metrics *metrics);
void persons_free(struct persons *persons);                   /* NULL is fine */
void persons_drop(struct persons *persons, const char *user); /* from RAM; NULL: everybody */

/* ---- preferences ------------------------------------------------------------------------- */

/*
 * `value` is JSON, or else taken as text. language (null, or a language), response_style
 * (brief, normal, detailed), response_length (short, medium, long), notifications (true,
 * false), timezone (a name of the tz database) and theme are known and checked; others are kept
 * as they are. ERR_INPUT says what is wrong with name or value.
 */
int memory_set_preference(struct memory *memory, const char *user, const char *name,
                          const char *value, struct err *err);
/* 1 it was there, 0 it was not. `name` "" deletes all. */
int memory_delete_preference(struct memory *memory, const char *user, const char *name,
                             struct err *err);
/* Every preference by name, with the defaults for those that are not set (created 0). */
int memory_visit_preferences(struct memory *memory, const char *user, store_item_fn visit,
                             void *context, struct err *err);

/* ---- profile ----------------------------------------------------------------------------- */

int memory_visit_facts(struct memory *memory, const char *user, store_item_fn visit,
                       void *context, struct err *err);
/* Corrected by the person: stays until they change it. */
int memory_set_fact(struct memory *memory, const char *user, const char *name,
                    const char *value, struct err *err);
/* `name` "name", "role", "interests", "interest:x", "" for all; the number that went. */
int memory_delete_fact(struct memory *memory, const char *user, const char *name,
                       struct err *err);

/* What a message teaches of its author; calls `on_fact` with name and plain value. Pure. */
typedef void (*profile_fact_fn)(void *context, const char *name, const char *value);
void profile_extract(const char *text, profile_fact_fn on_fact, void *context);

/* The lines that go into a context: what is set and what is known, "" for neither. */
int person_append_context(struct memory *memory, const char *user, struct buf *out,
                          struct err *err);

#endif
