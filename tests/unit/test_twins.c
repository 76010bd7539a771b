#include "bot/twins.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "tests/test.h"

static const atomic_bool running = false;

static void what_was_noted_is_not_waited_for(void)
{
    struct twins *twins = twins_new();

    twins_note(twins, "C1", "1.1");
    CHECK_INT(twins_wait(twins, "C1", "1.1", 60000, &running), true, "noted before");
    twins_free(twins);
}

static void *note_soon(void *context)
{
    for (int i = 0; i < 3000; i++) { /* more than are remembered */
        char ts[32];

        snprintf(ts, sizeof(ts), "1.%d", i);
        twins_note(context, "C2", ts);
    }
    twins_note(context, "C1", "1.1");
    return NULL;
}

static void who_waits_wakes_when_it_comes(void)
{
    struct twins *twins = twins_new();
    pthread_t thread;

    pthread_create(&thread, NULL, note_soon, twins);
    CHECK_INT(twins_wait(twins, "C1", "1.1", 60000, &running), true, "noted meanwhile");
    pthread_join(thread, NULL);
    twins_free(twins);
}

static void another_message_is_no_twin(void)
{
    struct twins *twins = twins_new();

    twins_note(twins, "C1", "1.2");
    twins_note(twins, "C2", "1.1");
    CHECK_INT(twins_wait(twins, "C1", "1.1", 1, &running), false, "");
    twins_free(twins);
}

static void what_never_comes_is_soon_not_waited_for(void)
{
    struct twins *twins = twins_new();
    int64_t before_ms;

    for (int i = 0; i < 3; i++)
        CHECK_INT(twins_wait(twins, "C1", "1.1", 1, &running), false, "misses");
    before_ms = clock_now_ms();
    CHECK_INT(twins_wait(twins, "C1", "1.1", 3600000, &running), false, "at once");
    CHECK_INT(clock_now_ms() - before_ms < 1800000, 1, "not after an hour");
    twins_note(twins, "C9", "9.9");
    CHECK_INT(twins_wait(twins, "C9", "9.9", 1, &running), true, "they come again");
    twins_free(twins);
}

static void a_daemon_that_stops_does_not_wait(void)
{
    static const atomic_bool stopping = true;
    struct twins *twins = twins_new();

    CHECK_INT(twins_wait(twins, "C1", "1.1", 3600000, &stopping), false, "");
    twins_free(twins);
}

TEST_MAIN(TEST(what_was_noted_is_not_waited_for), TEST(who_waits_wakes_when_it_comes),
          TEST(another_message_is_no_twin), TEST(what_never_comes_is_soon_not_waited_for),
          TEST(a_daemon_that_stops_does_not_wait))
