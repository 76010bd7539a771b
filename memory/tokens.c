#include "memory/tokens.h"

#include <math.h>
#include <pthread.h>

#include "memory/rooms.h"

#define FADING       0.98 /* fifty prompts or so are remembered */
#define ERROR_FADING 0.95
#define SAMPLES_MIN  5
#define FACTOR_MIN   0.5 /* beyond these it is no tokenizer but a mistake */
#define FACTOR_MAX   2.0
#define SPREAD_MIN   0.05 /* of the estimates, as a share: alike prompts teach no factor */
#define REPORTED_MAX INT64_C(4000000)
#define OVERHEAD_MAX INT64_C(200000) /* of an agent's own instructions and tools */

/*
 * Without a tokenizer: four ASCII characters a token, two of the two-byte scripts (Cyrillic,
 * Greek, accents), one ideograph, half an emoji. Counted in quarters; on the high side for
 * prose, near for code.
 */
int64_t memory_estimate_quarters(const char *text, size_t len)
{
    static const uint8_t quarters_of[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 4, 8 };
    int64_t quarters = 0;

    for (size_t i = 0; i < len; i++)
        quarters += quarters_of[(unsigned char)text[i] >> 4];
    return quarters;
}

int64_t memory_estimate_tokens(const char *text, size_t len)
{
    return (memory_estimate_quarters(text, len) + TOKEN_QUARTERS - 1) / TOKEN_QUARTERS;
}

void tokens_calibrate(const struct tokens_learnt *learnt, struct memory_calibration *ret)
{
    double spread =
        learnt->mean_estimated > 0 ? sqrt(learnt->variance) / learnt->mean_estimated : 0;

    *ret = (struct memory_calibration){ .tokens_per_estimate = 1.0,
                                        .mean_error = learnt->mean_error,
                                        .samples = learnt->samples };
    if (learnt->samples >= SAMPLES_MIN && spread >= SPREAD_MIN)
        ret->tokens_per_estimate =
            fmin(fmax(learnt->covariance / learnt->variance, FACTOR_MIN), FACTOR_MAX);
    if (learnt->samples > 0)
        ret->overhead_tokens =
            fmax(0, learnt->mean_reported - ret->tokens_per_estimate * learnt->mean_estimated);
}

void tokens_learn(struct tokens_learnt *learnt, size_t prompt_bytes, int64_t estimated_tokens,
                  int64_t reported_tokens)
{
    struct memory_calibration before;
    double by_x;
    double by_y;
    double share;
    double expected;

    if (estimated_tokens <= 0 || reported_tokens <= 0 || reported_tokens > REPORTED_MAX ||
        reported_tokens > (int64_t)prompt_bytes * 4 + OVERHEAD_MAX)
        return;
    tokens_calibrate(learnt, &before);
    expected = before.overhead_tokens + before.tokens_per_estimate * (double)estimated_tokens;
    if (learnt->samples > 0) {
        double error = fabs(expected - (double)reported_tokens) / (double)reported_tokens;
        double fading = learnt->samples < SAMPLES_MIN ? 0.5 : ERROR_FADING;

        learnt->mean_error =
            learnt->samples == 1 ? error : fading * learnt->mean_error + (1 - fading) * error;
    }
    /* Running means and (co)variances, as Welford's, with weights that fade. */
    learnt->weight = learnt->weight * FADING + 1;
    share = 1 / learnt->weight;
    by_x = (double)estimated_tokens - learnt->mean_estimated;
    by_y = (double)reported_tokens - learnt->mean_reported;
    learnt->mean_estimated += share * by_x;
    learnt->mean_reported += share * by_y;
    learnt->variance = (1 - share) * (learnt->variance + share * by_x * by_x);
    learnt->covariance = (1 - share) * (learnt->covariance + share * by_x * by_y);
    learnt->samples++;
}

void memory_note_usage(struct memory *memory, size_t prompt_bytes, int64_t estimated_tokens,
                       int64_t reported_tokens)
{
    pthread_mutex_lock(&memory->learnt_lock);
    tokens_learn(&memory->learnt, prompt_bytes, estimated_tokens, reported_tokens);
    pthread_mutex_unlock(&memory->learnt_lock);
}

void memory_get_calibration(struct memory *memory, struct memory_calibration *ret)
{
    struct tokens_learnt learnt;

    pthread_mutex_lock(&memory->learnt_lock);
    learnt = memory->learnt;
    pthread_mutex_unlock(&memory->learnt_lock);
    tokens_calibrate(&learnt, ret);
}
