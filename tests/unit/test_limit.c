#include "bot/limit.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/test.h"

static void the_window_begins_with_the_first_message_and_ends_by_itself(void)
{
    static const struct {
        int64_t now_ms;
        const char *user;
        int64_t count;
        bool is_refused;
        const char *because;
    } cases[] = {
        { 1000, "U1", 1, false, "the first" },
        { 1000, "U1", 2, false, "the last that is allowed" },
        { 1500, "U1", 3, true, "one too many" },
        { 1500, "U2", 1, false, "others have counts of their own" },
        { 60999, "U1", 4, true, "a refused one counts, but does not lengthen the window" },
        { 61000, "U1", 1, false, "the window is over" },
        { 61000, "U2", 2, false, "that of U2 began later" },
    };
    struct metrics *metrics = metrics_new();
    struct limit *limit = limit_new(metrics);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct limit_answer answer =
            limit_count(limit, cases[i].user, 2, 60000, cases[i].now_ms);

        CHECK_INT(answer.count, cases[i].count, cases[i].because);
        CHECK_INT(answer.is_refused, cases[i].is_refused, cases[i].because);
    }
    CHECK_INT(limit_refusals(limit), 2, "counted for the metrics");
    limit_free(limit);
    metrics_free(metrics);
}

static void a_window_that_a_reload_made_shorter_ends_in_time(void)
{
    struct metrics *metrics = metrics_new();
    struct limit *limit = limit_new(metrics);

    limit_count(limit, "U1", 1, 60000, 0);
    limit_count(limit, "U2", 1, 1000, 1);
    CHECK_INT(limit_count(limit, "U2", 1, 1000, 500).count, 2, "the same window");
    CHECK_INT(limit_count(limit, "U2", 1, 1000, 2000).count, 1, "though an older one goes on");
    CHECK_INT(limit_count(limit, "U1", 1, 1000, 2000).count, 2, "as long as it began");
    limit_free(limit);
    metrics_free(metrics);
}

static void a_limit_of_0_counts_nothing(void)
{
    struct metrics *metrics = metrics_new();
    struct limit *limit = limit_new(metrics);

    for (int i = 0; i < 100; i++)
        CHECK_INT(limit_count(limit, "U1", 0, 60000, i).is_refused, false, "no limit");
    CHECK_INT(limit_count(limit, "U1", 1, 60000, 100).count, 1, "and none was kept");
    limit_free(limit);
    metrics_free(metrics);
}

static void a_refusal_names_count_limit_window_and_when_to_try_again(void)
{
    struct metrics *metrics = metrics_new();
    struct limit *limit = limit_new(metrics);
    struct limit_answer answer = { 0 };
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 1000);
    for (int i = 0; i < 11; i++)
        answer = limit_count(limit, "U1", 10, 60000, INT64_C(1000) * i);
    limit_print(&answer, &out);
    assert_string_equal(buf_text(&out),
                        "Sorry, this is your message number 11 within 60 s, and I take 10 from "
                        "one person in that time, so I leave it unanswered. Please send it "
                        "again in 50 s.");
    for (int i = 0; i < LIMIT_TOLD_MAX - 1; i++) {
        CHECK_INT(answer.is_told, true, "each refusal is said");
        answer = limit_count(limit, "U1", 10, 60000, 11000);
    }
    CHECK_INT(answer.is_last_told, true, "up to a number");
    limit_print(&answer, &out);
    assert_non_null(strstr(buf_text(&out), "without saying so"));
    answer = limit_count(limit, "U1", 10, 60000, 11000);
    CHECK_INT(answer.is_refused, true, "still refused");
    CHECK_INT(answer.is_told, false, "but not said again");
    limit_free(limit);
    metrics_free(metrics);
}

static void there_is_a_bound_on_how_many_people_are_counted(void)
{
    struct metrics *metrics = metrics_new();
    struct limit *limit = limit_new(metrics);
    char user[32];

    for (int i = 0; i <= LIMIT_PEOPLE_MAX; i++) {
        snprintf(user, sizeof(user), "U%d", i);
        limit_count(limit, user, 1, 60000, 0);
    }
    CHECK_INT(limit_count(limit, "U1", 1, 60000, 1).is_refused, true, "kept");
    CHECK_INT(limit_count(limit, "U0", 1, 60000, 1).is_refused, false, "the oldest made room");
    limit_free(limit);
    metrics_free(metrics);
}

static void *ask_often(void *limit)
{
    for (int i = 0; i < 2000; i++)
        limit_count(limit, "U1", 1, 60000, 0);
    return NULL;
}

static void none_is_lost_when_many_count_at_once(void)
{
    struct metrics *metrics = metrics_new();
    struct limit *limit = limit_new(metrics);
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, limit), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(limit_count(limit, "U1", 1, 60000, 0).count, 8001, "each is counted once");
    limit_free(limit);
    metrics_free(metrics);
}

TEST_MAIN(TEST(the_window_begins_with_the_first_message_and_ends_by_itself),
          TEST(a_window_that_a_reload_made_shorter_ends_in_time),
          TEST(a_limit_of_0_counts_nothing),
          TEST(a_refusal_names_count_limit_window_and_when_to_try_again),
          TEST(there_is_a_bound_on_how_many_people_are_counted),
          TEST(none_is_lost_when_many_count_at_once))
