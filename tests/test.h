/*
 * test.h - cmocka, and what table-driven tests need on top of it.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

/* Prints both values and the row's reason, and fails the test. */
#define CHECK_INT(got, want, because)                                                    \
    do {                                                                                 \
        long long got_ = (long long)(got);                                               \
        long long want_ = (long long)(want);                                             \
        if (got_ != want_)                                                               \
            fail_msg("%s:%d: %s is %lld, want %lld: %s", __FILE__, __LINE__, #got, got_, \
                     want_, because);                                                    \
    } while (0)

#define CHECK_TEXT(got, want, because)                                                 \
    do {                                                                               \
        const char *got_ = (got);                                                      \
        const char *want_ = (want);                                                    \
        if (!got_ || !want_ ? got_ != want_ : strcmp(got_, want_) != 0)                \
            fail_msg("%s:%d: %s is \"%s\", want \"%s\": %s", __FILE__, __LINE__, #got, \
                     got_ ? got_ : "(null)", want_ ? want_ : "(null)", because);       \
    } while (0)

#define CHECK_HOLDS(text, part, because)                                           \
    do {                                                                           \
        const char *text_ = (text);                                                \
        const char *part_ = (part);                                                \
        if (!text_ || !strstr(text_, part_))                                       \
            fail_msg("%s:%d: \"%s\" does not hold \"%s\": %s", __FILE__, __LINE__, \
                     text_ ? text_ : "(null)", part_, because);                    \
    } while (0)

/* cmocka calls a test with its state; one that takes none is called through here. */
static inline void test_call(void **state)
{
    ((void (*)(void)) * state)();
}

/* A test is `void name(void)`, or `void name(void **state)` where a fixture needs it. */
/* clang-format off */
#define TEST(function)                                                                  \
    { #function, _Generic(&(function), void (*)(void): test_call, default: (function)), \
      NULL, NULL, (void *)(function) }
/* clang-format on */

#define TEST_MAIN(...)                                     \
    int main(void)                                         \
    {                                                      \
        const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
        return cmocka_run_group_tests(tests, NULL, NULL);  \
    }

#endif
