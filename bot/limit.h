/*
 * limit.h - how often one person may ask: a count for each, in a window that begins with the
 * first message and ends by itself. Count and end are one record, so there is no count without
 * an end. Kept in RAM: a restart begins new windows.
 *
 * Owns:    its counts, LIMIT_PEOPLE_MAX at most; the oldest window is forgotten first, which
 *          only allows more.
 * Threads: any; one lock, for moments.
 */
#ifndef BOT_LIMIT_H
#define BOT_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/metrics.h"

#define LIMIT_PEOPLE_MAX 65536
#define LIMIT_TOLD_MAX   10 /* refusals that are said, in one window */

struct limit;

struct limit *limit_new(struct metrics *metrics);
void limit_free(struct limit *limit); /* NULL is fine */

struct limit_answer {
    bool is_refused;
    bool is_told;      /* a refusal that the person should read ... */
    bool is_last_told; /* ... and that says that it is the last one in this window */
    int64_t count;     /* messages in this window, this one included */
    int64_t requests;  /* how many are allowed */
    int64_t window_ms;
    int64_t wait_ms; /* until a new window begins */
};

/*
 * Counts a message of `user`. `requests` 0 is no limit: nothing is counted. now_ms is
 * monotonic, so a clock that is set does not matter.
 */
struct limit_answer limit_count(struct limit *limit, const char *user, int64_t requests,
                                int64_t window_ms, int64_t now_ms);

/* What a refused person reads: the count, the limit, the window, when to try again. */
void limit_print(const struct limit_answer *answer, struct buf *out);

int64_t limit_refusals(const struct limit *limit); /* so far */

#endif
