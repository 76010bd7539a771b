/*
 * person_parts.h - what the files behind person.h share: a person's items as read, which facts
 * of them are in force, and the counting of technical terms.
 *
 * Owns:    struct person_items its strings.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_PERSON_PARTS_H
#define MEMORY_PERSON_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/person.h"
#include "memory/store.h"

#define PERSON_ITEMS_MAX 256 /* read of one kind; more are not made */

struct person_items {
    struct store_item *items; /* by name; `user` is not set */
    size_t count;
};
int person_items_read(struct store *store, const char *user, enum store_item_kind kind,
                      struct person_items *ret_items, struct err *err);
void person_items_deinit(struct person_items *items); /* safe on a zeroed struct, and twice */
/* The one called `prefix` and `name`, or NULL. */
const struct store_item *person_items_find(const struct person_items *items, const char *prefix,
                                           const char *name);

/* The facts in force by their plain names - name, role, interests - into `ret`, whose strings
 * are borrowed from `facts`. */
size_t person_facts_in_force(const struct person_items *facts,
                             struct store_item ret[PERSON_ITEMS_MAX]);
bool person_is_interest(const char *name); /* "interest:..." */

#define PERSON_CORRECTED     "set:"
#define PERSON_INTEREST      "interest:"
#define PERSON_INTERESTS_MAX 32

/* What was said before this time teaches the fact `name` no more; 0: all does. */
int64_t person_forgotten_until(const struct person_items *facts, const char *name);

/* ---- batches of changes to facts --------------------------------------------------------- */

/* `item` as a fact with `text` as its value; everything is copied. */
void lessons_add(struct lessons *lessons, const struct store_item *item, const char *text);
void lessons_delete(struct lessons *lessons, const char *user, const char *name);
void lessons_finish(struct lessons *lessons); /* nothing is added any more: makes mutations */
void lessons_free(struct lessons *lessons);

/* ---- terms ------------------------------------------------------------------------------- */

/* How often somebody used a technical term, for the few that they used last. */
#define PERSON_TERMS_MAX   24
#define PERSON_TERMS_WANTS 3 /* messages that make an interest */
struct person_terms {
    uint16_t terms[PERSON_TERMS_MAX]; /* the last used first */
    uint8_t counts[PERSON_TERMS_MAX]; /* 0: the slot is free */
};
/* True when this use makes it an interest, which happens once. */
bool person_terms_count(struct person_terms *terms, size_t term);

bool persons_are_learning(struct persons *persons);
struct store *persons_store(struct persons *persons); /* borrowed */
bool persons_count_term(struct persons *persons, const char *user, size_t term);
/* What is known of them is read anew; what they were counted stays. */
void persons_forget_context(struct persons *persons, const char *user);

#endif
