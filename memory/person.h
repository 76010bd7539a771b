/*
 * person.h - what is known of a person, apart from any conversation: preferences, which they
 * set, and a profile of facts, which their own words taught (name, role, interests), each with
 * the message that taught it. Both are theirs to see and to correct.
 *
 * Preferences keep when they were first and last set, not what they were before: what somebody
 * changed their mind about is not kept.
 *
 * Owns:    a cache of people in RAM: the PERSONS_MAX who were here last.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_PERSON_H
#define MEMORY_PERSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"
#include "memory/profile.h"
#include "memory/store.h"

struct persons;
/* Borrows the store. */
struct persons *persons_new(struct store *store, struct metrics *metrics);
void persons_free(struct persons *persons); /* NULL is fine */
/* From RAM; NULL: everybody. Whoever changes a person's items other than through this header,
 * or learns that another process did, calls it afterwards. */
void persons_drop(struct persons *persons, const char *user);
/* memory.context.profile: without it nothing is learnt (what is known stays). */
void persons_set_learning(struct persons *persons, bool learns);

/* ---- preferences ------------------------------------------------------------------------- */

#define PERSON_NAME_MAX_BYTES  64
#define PERSON_VALUE_MAX_BYTES 1000
#define PERSON_PREFERENCES_MAX 50

/*
 * `value` is JSON, or else taken as text. language (null, or a language), response_style
 * (brief, normal, detailed), response_length (short, medium, long), notifications (true,
 * false), timezone (a name of the tz database) and theme (light, dark, auto) are known and
 * checked; others are kept as they are. ERR_INPUT says what is wrong with name or value, and
 * what is accepted.
 */
int memory_set_preference(struct memory *memory, const char *user, const char *name,
                          const char *value, struct err *err);
/* 1 it was there, 0 it was not. `name` "" deletes all: the number that went. */
int memory_delete_preference(struct memory *memory, const char *user, const char *name,
                             struct err *err);
/* Every preference by name, with the defaults for those that are not set (created 0). */
int memory_visit_preferences(struct memory *memory, const char *user, store_item_fn visit,
                             void *context, struct err *err);

/* ---- profile ------------------------------------------------------------------------------
 *
 * In the store a person's facts are items of these names; each is written by one side only, so
 * that what is learnt and what is corrected at the same moment cannot undo each other:
 *
 *   role             learnt from the turn that the item names; updated is when that was said
 *   set:role         corrected by the person; hides what was learnt
 *   forgotten:role   when the person had it forgotten: what was said up to then teaches it no
 *                    more (a turn still under way, an import), what is said later does
 */

/* What is in force, name, role, interests: names "name", "role", "interest:rust". Corrected
 * facts have no conversation (""). */
int memory_visit_facts(struct memory *memory, const char *user, store_item_fn visit,
                       void *context, struct err *err);
/* Corrected by the person: stays until they change it. `name` is "name", "role", "interests"
 * (a list with commas, in place of all there are) or "interest:x". */
int memory_set_fact(struct memory *memory, const char *user, const char *name,
                    const char *value, struct err *err);
/* `name` "name", "role", "interests", "interest:x", "" for all; the number that went. */
int memory_delete_fact(struct memory *memory, const char *user, const char *name,
                       struct err *err);

/* Slack's ts of the message that taught a fact, "" when there is none (corrected, or erased
 * since). Caller frees. */
int memory_find_fact_source(struct memory *memory, const struct store_item *fact, char **ret_ts,
                            struct err *err);

/*
 * What turns teach of those who said them, as mutations to be applied in one batch with the
 * turns (seq, author and time are set); most turns teach nothing and cost no read of the store.
 * Applying them twice is harmless. A technical term that somebody uses in three messages counts
 * as an interest; the counting is in RAM only. A store that cannot be read is logged and
 * teaches nothing: no turn fails for it. Not the loop, not the journal.
 */
struct lessons {
    struct store_mutation *mutations;
    size_t count;
    struct lesson *parts; /* internal: what the mutations point to */
};
void persons_learn(struct persons *persons, const char *key, const struct memory_turn *turns,
                   size_t turns_count, struct lessons *ret_lessons);
/* After the commit, whether it succeeded or not: drops from RAM what has changed, frees. Safe
 * on a zeroed struct. */
void persons_learned(struct persons *persons, struct lessons *lessons);

/* ---- for the context --------------------------------------------------------------------- */

#define PERSON_CONTEXT_MAX_BYTES 1500

/*
 * The lines that go into a context: what is known and what is set, "" for neither; two at most,
 * each with its newline, PERSON_CONTEXT_MAX_BYTES together:
 *
 *   About the person asking: name Ann Lee; role developer; interests C, SQLite.
 *   Their wishes: answer in German; keep answers short; their time zone is Europe/Berlin.
 *
 * No value can begin a line or pass for another item. From RAM for people who were here lately.
 */
int person_append_context(struct memory *memory, const char *user, struct buf *out,
                          struct err *err);

/* Appends one value of a line: of one line itself, without ";", at most `max_bytes`. */
void person_append_value(struct buf *out, const char *text, size_t max_bytes);

#endif
