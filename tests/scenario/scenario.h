/*
 * scenario.h - cmocka around the harness: each test gets its own, and loses it even when it
 * fails.
 *
 *     static void says_hello(void **state) { struct harness *h = *state; ... }
 *     SCENARIO_MAIN(SCENARIO(says_hello))
 */
#ifndef SCENARIO_SCENARIO_H
#define SCENARIO_SCENARIO_H

#include "tests/scenario/harness.h"
#include "tests/test.h"

static inline void scenario_fail(const char *message)
{
    fprintf(stderr, "%s\n", message); /* cmocka cuts what it prints at 1,024 bytes */
    fail();
}

static inline int scenario_setup(void **state)
{
    harness_on_fail = scenario_fail;
    *state = harness_new();
    return *state ? 0 : -1;
}

static inline int scenario_teardown(void **state)
{
    bool is_good = harness_end(*state);

    harness_free(*state);
    return is_good ? 0 : -1;
}

#define SCENARIO(function) \
    cmocka_unit_test_setup_teardown(function, scenario_setup, scenario_teardown)

#define SCENARIO_MAIN(...)                                 \
    int main(void)                                         \
    {                                                      \
        const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
        return cmocka_run_group_tests(tests, NULL, NULL);  \
    }

#endif
