/*
 * tokens.h - how many tokens a text is: estimated from its bytes, corrected by what the agent
 * reports for its prompts.
 *
 * Owns:    the calibration, in RAM: a new process learns it anew within a few turns.
 * Threads: any.
 */
#ifndef MEMORY_TOKENS_H
#define MEMORY_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"

/* A token of a budget takes at most so many bytes: four by the estimate, twice that when the
 * calibration says that they are fewer tokens. */
#define MEMORY_TOKEN_MAX_BYTES 8

/* A text is a token for each TOKEN_QUARTERS quarters, rounded up; quarters of texts add up. */
#define TOKEN_QUARTERS 4
int64_t memory_estimate_quarters(const char *text, size_t len);

/* Tokens in a text, estimated from its bytes: one for four of them at least, which
 * bounds the bytes of a context by its budget. */
int64_t memory_estimate_tokens(const char *text, size_t len);

/*
 * What the agent reported for a prompt of `prompt_bytes` that was estimated at
 * `estimated_tokens`: the factor and its error are kept as running figures, old prompts fading.
 * `reported_tokens` includes the agent's own instructions, so the factor is learnt from the
 * differences between prompts of different size. What cannot be (none, more tokens than four
 * times the bytes beyond the overhead) is not learnt from.
 */
void memory_note_usage(struct memory *memory, size_t prompt_bytes, int64_t estimated_tokens,
                       int64_t reported_tokens);

struct memory_calibration {
    double tokens_per_estimate; /* 1.0: the estimate is right */
    double overhead_tokens;     /* the agent's own instructions */
    double mean_error;          /* of the calibrated estimate, as a share */
    int64_t samples;
};
void memory_get_calibration(struct memory *memory, struct memory_calibration *ret);

/* The regression behind it, the owner's to lock. A zeroed one has learnt nothing. */
struct tokens_learnt {
    double weight; /* of the samples, each new one fading the others */
    double mean_estimated;
    double mean_reported;
    double variance;   /* of the estimates */
    double covariance; /* of estimates and reports */
    double mean_error;
    int64_t samples;
};
void tokens_learn(struct tokens_learnt *learnt, size_t prompt_bytes, int64_t estimated_tokens,
                  int64_t reported_tokens);
void tokens_calibrate(const struct tokens_learnt *learnt, struct memory_calibration *ret);

#endif
