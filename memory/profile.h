/*
 * profile.h - what a message teaches of its author: name, role, interests, from their own
 * words. Rules, not a model: better to miss a fact than to learn a wrong one. Not read are code
 * and quotations ("> ...", "..."), logs, URLs, what somebody else said, and what is only
 * supposed ("if I'm the admin").
 *
 * Owns:    nothing.
 * Threads: any; pure functions.
 */
#ifndef MEMORY_PROFILE_H
#define MEMORY_PROFILE_H

#include <stddef.h>

#define PROFILE_READ_MAX_BYTES  4096 /* of a message; the rest teaches nothing */
#define PROFILE_VALUE_MAX_BYTES 80

/* `name` is "name", "role" or "interest:react" (lower case), `value` plain, as it was written
 * (a known technical term in its usual spelling). Borrowed for the call. */
typedef void (*profile_fact_fn)(void *context, const char *name, const char *value);
void profile_extract(const char *text, profile_fact_fn on_fact, void *context);

/* The technical terms that a message uses, each once, by their number. Ambiguous ones ("Go",
 * "Swift") are left out. */
typedef void (*profile_term_fn)(void *context, size_t term);
void profile_visit_terms(const char *text, profile_term_fn on_term, void *context);
/* A to Z in lower case, in place: how names of interests are told from each other. */
void profile_fold(char *text);

const char *profile_term_name(size_t term); /* its usual spelling; NULL beyond the last */

#endif
