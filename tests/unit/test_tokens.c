#include "memory/tokens.h"

#include "tests/test.h"

/* Prompts of different size from an agent that adds `overhead` and counts `factor`. */
static void feed(struct tokens_learnt *learnt, int count, double factor, int64_t overhead)
{
    for (int i = 0; i < count; i++) {
        int64_t estimated = 200 + (i * 7919) % 1800;

        tokens_learn(learnt, (size_t)estimated * 4, estimated,
                     overhead + (int64_t)(factor * (double)estimated));
    }
}

static void learns_factor_and_overhead(void **state)
{
    static const struct {
        double factor;
        int64_t overhead;
        const char *because;
    } cases[] = { { 1.0, 0, "the estimate is right" },
                  { 1.3, 0, "more tokens than estimated" },
                  { 0.8, 12000, "fewer, behind much of the agent's own" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tokens_learnt learnt = { 0 };
        struct memory_calibration calibration;

        feed(&learnt, 60, cases[i].factor, cases[i].overhead);
        tokens_calibrate(&learnt, &calibration);
        CHECK_INT((int)(calibration.tokens_per_estimate * 100 + 0.5),
                  (int)(cases[i].factor * 100 + 0.5), cases[i].because);
        CHECK_INT((calibration.overhead_tokens + 5 - (double)cases[i].overhead) < 10, 1,
                  cases[i].because);
        CHECK_INT(calibration.mean_error < 0.02, 1, cases[i].because);
        CHECK_INT(calibration.samples, 60, cases[i].because);
    }
}

static void begins_with_the_estimate(void **state)
{
    struct tokens_learnt learnt = { 0 };
    struct memory_calibration calibration;

    (void)state;
    tokens_calibrate(&learnt, &calibration);
    CHECK_INT(calibration.tokens_per_estimate == 1.0, 1, "nothing learnt");
    feed(&learnt, 3, 1.7, 100);
    tokens_calibrate(&learnt, &calibration);
    CHECK_INT(calibration.tokens_per_estimate == 1.0, 1, "too little learnt");
    for (int i = 0; i < 20; i++)
        tokens_learn(&learnt, 4000, 1000, 1000 + i % 3);
    learnt = (struct tokens_learnt){ 0 };
    for (int i = 0; i < 20; i++)
        tokens_learn(&learnt, 4000, 1000 + i % 2, 3000 + (i % 2) * 500);
    tokens_calibrate(&learnt, &calibration);
    CHECK_INT(calibration.tokens_per_estimate == 1.0, 1, "alike prompts teach no factor");
}

static void garbage_does_not_bend_it(void **state)
{
    struct tokens_learnt learnt = { 0 };
    struct memory_calibration calibration;

    (void)state;
    feed(&learnt, 30, 1.1, 500);
    tokens_learn(&learnt, 4000, 1000, 0);
    tokens_learn(&learnt, 4000, 1000, -7);
    tokens_learn(&learnt, 4000, 1000, INT64_MAX);
    tokens_learn(&learnt, 4000, 0, 1000);
    tokens_learn(&learnt, 4000, -1, 1000);
    tokens_calibrate(&learnt, &calibration);
    CHECK_INT(calibration.samples, 30, "not learnt from");
    for (int i = 0; i < 200; i++)
        tokens_learn(&learnt, 4000, 200 + (i * 7919) % 1800, 1 + (i * 104729) % 100000);
    tokens_calibrate(&learnt, &calibration);
    CHECK_INT(calibration.tokens_per_estimate >= 0.5 && calibration.tokens_per_estimate <= 2, 1,
              "bounded");
    feed(&learnt, 500, 1.2, 500);
    tokens_calibrate(&learnt, &calibration);
    CHECK_INT((int)(calibration.tokens_per_estimate * 10 + 0.5), 12, "it heals");
}

TEST_MAIN(TEST(learns_factor_and_overhead), TEST(begins_with_the_estimate),
          TEST(garbage_does_not_bend_it))
