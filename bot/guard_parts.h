/*
 * guard_parts.h - between guard.c and guard_stream.c only.
 *
 * Threads: any.
 */
#ifndef BOT_GUARD_PARTS_H
#define BOT_GUARD_PARTS_H

#include "base/patterns.h"
#include "bot/guard.h"

/* What is known by value at one time; counted, and never changed. */
struct guard_known {
    struct patterns *patterns;
    int ref_count; /* atomic */
};
struct guard_known *guard_known_ref(struct guard *guard); /* the one in force */
void guard_known_unref(struct guard_known *known);        /* NULL is fine */

void guard_count_masked(struct guard *guard, enum guard_direction direction, unsigned count);

/* With `knows_guesses` false what is known by its surroundings only passes. */
struct guard_stream *guard_stream_make(struct guard *guard, enum guard_direction direction,
                                       bool knows_guesses);

#endif
