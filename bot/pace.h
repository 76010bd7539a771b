/*
 * pace.h - how long turns take of late, and from that how long those in line wait: "2 ahead of
 * you, about 4 min". Measured in this process only: before the first turn has ended nothing is
 * claimed.
 *
 * The typical turn is the median of the last PACE_TURNS: one that hung for a quarter of an hour
 * says nothing of the next. A turn that runs longer than that is taken to go on for a quarter
 * of it.
 *
 * Owns:    a pace_line's array, until pace_line_end().
 * Threads: any, one at a time; the dispatcher's lock guards its own.
 */
#ifndef BOT_PACE_H
#define BOT_PACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define PACE_TURNS   32
#define PACE_UNKNOWN (-1)

struct pace { /* zeroed at first */
    int64_t recent_ms[PACE_TURNS];
    size_t count;
    size_t next;
};

void pace_note(struct pace *pace, int64_t duration_ms);
int64_t pace_typical_ms(const struct pace *pace); /* PACE_UNKNOWN: no turn has ended yet */

/* How long a turn that has run for `elapsed_ms` will go on, or PACE_UNKNOWN. */
int64_t pace_left_ms(const struct pace *pace, int64_t elapsed_ms);

/* Who waits, in order: each pace_line_next() is how long the next one waits for its start. */
struct pace_line {
    int64_t typical_ms;
    size_t workers;
    int64_t *free_in_ms; /* by worker */
};
void pace_line_begin(struct pace_line *line, const struct pace *pace, size_t workers,
                     const int64_t *elapsed_ms, size_t running);
int64_t pace_line_next(struct pace_line *line); /* or PACE_UNKNOWN */
void pace_line_end(struct pace_line *line);     /* safe twice */

/* "2 ahead of you, about 4 min"; "you are next, no estimate yet". */
void pace_print(size_t ahead, int64_t wait_ms, struct buf *out);

#endif
