/*
 * summarize.h - one summary of one conversation, from the turns to the store: by an agent run
 * in ask mode, or by choosing sentences.
 *
 * A run for a summary has a directory of its own kind (state_dir/summaries/ID): it stands in no
 * ledger, nobody waits for it, and it never outlives the process that wants it.
 *
 * Whatever goes wrong changes nothing, is logged and counted (summaries_total).
 *
 * Owns:    the run while it lasts.
 * Threads: summarizer; summarize_extract() in `threadkeeper chat` as well.
 */
#ifndef BOT_SUMMARIZE_H
#define BOT_SUMMARIZE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/metrics.h"
#include "bot/guard.h"
#include "config/config.h"
#include "memory/memory.h"

enum summarize_source { SUMMARIZE_EXTRACT, SUMMARIZE_AGENT, SUMMARIZE_SOURCES };

enum summarize_outcome {
    SUMMARIZE_MADE,
    SUMMARIZE_REFUSED, /* what came is no summary */
    SUMMARIZE_FAILED,  /* no answer, or it could not be stored */
    SUMMARIZE_STALE,   /* the conversation changed meanwhile */
    SUMMARIZE_STOPPED, /* cancel_fd, or the daemon stops */
    SUMMARIZE_OUTCOMES,
    SUMMARIZE_NOTHING = SUMMARIZE_OUTCOMES, /* there is nothing to summarize; not counted */
};

struct summarize_metrics {
    struct metric *summaries[SUMMARIZE_SOURCES][SUMMARIZE_OUTCOMES];
    struct metric *input_tokens;
    struct metric *output_tokens;
    struct histogram *duration;
};
void summarize_metrics_init(struct summarize_metrics *summarize_metrics,
                            struct metrics *metrics);

/* All borrowed for the call. */
struct summarize {
    const struct config *config;
    struct memory *memory;
    const struct summarize_metrics *metrics;
    const char *key; /* of the conversation */
    /* SUMMARIZE_AGENT: */
    struct guard *guard; /* what an agent writes is masked; NULL: it is not */
    const char *launcher;
    const char *runs_dir;
    const atomic_bool *is_stopping; /* turns true: end the run and return */
    int cancel_fd;                  /* readable: the same */
};

enum summarize_outcome summarize_run(const struct summarize *summarize,
                                     enum summarize_source source);

/*
 * Ends the runs that an earlier process left in `runs_dir` and removes what they wrote: nobody
 * wants it any more. The launcher, the directory and the configuration are read.
 */
void summarize_clean_up(const struct summarize *summarize);

#endif
