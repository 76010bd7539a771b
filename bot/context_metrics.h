/*
 * context_metrics.h - counts what memory puts before the questions: how many tokens, how often
 * from RAM, how often with a summary or something recalled.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef BOT_CONTEXT_METRICS_H
#define BOT_CONTEXT_METRICS_H

#include <stdbool.h>

#include "base/metrics.h"
#include "bot/dispatch.h"
#include "memory/context.h"

struct context_metrics {
    struct metric *contexts; /* one for each question that an agent was asked */
    struct metric *tokens;
    struct metric *summarized;
    struct metric *recalled;
};
void context_metrics_init(struct context_metrics *context_metrics, struct metrics *metrics);

/* Counts one, and writes the line of the log that tells what a turn was given. */
void context_metrics_note(const struct context_metrics *context_metrics,
                          const struct dispatch_batch *batch,
                          const struct conversation *conversation,
                          const struct memory_receipt *receipt);

#endif
