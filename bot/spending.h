/*
 * spending.h - what people's runs use, counted by person and day, and agent.spending's limits.
 *
 * A day is one of UTC. Counted are input and output tokens as the agent reports them (what was
 * read from its cache is input), of every run that began, however it ended; where it reports
 * none, the estimate of prompt and answer. A run counts on the day on which it ends, for the
 * person whose message began the turn. Answers that were kept cost nothing, summaries count for
 * nobody. The counters lie in the store: they outlast a restart, and hosts that share a store
 * share them. They go by themselves a day after theirs, not with `!forget me`.
 *
 * A run counts once its turn is stored: a crash in the moment between forgets one run.
 *
 * Admins (access.admins) are counted, but neither warned nor refused, as with the rate limit.
 *
 * Owns:    nothing.
 * Threads: worker, desk; the store may keep them waiting.
 * Errors:  as memory/values.h.
 */
#ifndef BOT_SPENDING_H
#define BOT_SPENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "bot/usage.h"
#include "config/config.h"
#include "memory/memory.h"

struct spending_day {
    int64_t runs;
    int64_t input_tokens;
    int64_t output_tokens;
    int64_t cache_read_tokens;
    int64_t duration_ms;
};

int spending_count(struct memory *memory, const char *user, const struct usage *usage,
                   int64_t now_wall_s, struct err *err);
int spending_get_day(struct memory *memory, const char *user, int64_t now_wall_s,
                     struct spending_day *ret_day, struct err *err);
int64_t spending_tokens(const struct spending_day *day); /* what the limit counts */

/*
 * 1: this person's day is used up, and `out` has the sentence that says so; 0: go on; -1: the
 * store does not say. Without a limit, and for admins, the store is not asked.
 */
int spending_refuses(struct memory *memory, const struct config *config, const char *user,
                     int64_t now_wall_s, struct buf *out, struct err *err);

/*
 * Lines for under an answer whose run used `usage` (not counted yet), each ended by a newline:
 * that the run was over run_tokens, and once a day that warn_percent is passed. None for most.
 */
void spending_print_warnings(struct memory *memory, const struct config *config,
                             const char *user, const struct usage *usage, int64_t now_wall_s,
                             struct buf *out);

/* The preference of those who want a line about it under each answer; off by default, and when
 * it cannot be read (logged). */
#define SPENDING_PREFERENCE "usage"
bool spending_wants_footer(struct memory *memory, const char *user);

/* "at midnight UTC, in 5 h 12 min". */
void spending_print_reset(int64_t now_wall_s, struct buf *out);

#endif
