/*
 * figures.h - what the daemon has counted since its start, gathered for /status and !stats.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef BOT_FIGURES_H
#define BOT_FIGURES_H

#include <stdint.h>

#include "base/metrics.h"
#include "memory/memory.h"
#include "memory/tokens.h"

struct figures {
    struct memory_stats memory;
    int64_t contexts; /* questions that memory was put before */
    int64_t context_tokens;
    int64_t summarized; /* contexts with a summary */
    int64_t recalled;   /* contexts with turns recalled */
    int64_t summaries;  /* made */
    int64_t answers_hit;
    int64_t answers_missed;
    int64_t rate_limited;
    int64_t input_tokens; /* as the agent reports them */
    int64_t output_tokens;
    struct memory_calibration calibration; /* of the estimate of tokens, by these */
};

void figures_get(struct memory *memory, struct metrics *metrics, struct figures *ret_figures);

/* `part` of `whole` in percent, 0 of nothing. */
int figures_percent(int64_t part, int64_t whole);

#endif
