/*
 * bench_runs.c - what a hundred runs at once cost the daemon: a hundred people ask, each agent
 * prints a megabyte, and the memory is looked at all the time. A second round must not need
 * more than the first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/bench/lab.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define RUNS      100
#define ROUNDS    3
#define KB_PER_MB 1024.0
#define LOOK_MS   20
#define LIMIT_MS  120000

struct bench {
    struct harness *harness;
    size_t asked; /* of each person */
};

static void look(struct bench *bench, int64_t *ret_most_kb)
{
    struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
    int64_t now_kb = measure_memory_kb(daemon_pid(bench->harness), "RssAnon");

    if (now_kb > *ret_most_kb)
        *ret_most_kb = now_kb;
    nanosleep(&pause, NULL);
}

/* Everybody asks; the most memory until all have their answers, or -1. */
static int64_t play_round(struct bench *bench)
{
    int64_t most_kb = 0;
    int64_t until_ms = clock_now_ms() + LIMIT_MS;

    bench->asked++;
    for (int i = 0; i < RUNS; i++) {
        AUTO_FREE char *user = xasprintf("U0LOAD%d", i);
        AUTO_FREE char *channel = xasprintf("D0LOAD%d", i);

        lab_say(bench->harness, user, channel, NULL, "think about it");
    }
    for (int i = 0; i < RUNS; i++) {
        AUTO_FREE char *channel = xasprintf("D0LOAD%d", i);

        while (lab_count_replies(bench->harness, channel, NULL) < bench->asked) {
            if (clock_now_ms() > until_ms)
                return -1;
            look(bench, &most_kb);
        }
    }
    return most_kb;
}

static void print_row(const char *figure, int64_t kb, int64_t floor_kb, bool is_compared)
{
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "MB",
                                     .value = (double)kb / KB_PER_MB,
                                     .floor = (double)floor_kb / KB_PER_MB,
                                     .goal = is_compared ? REPORT_AT_MOST : REPORT_NO_GOAL,
                                     .target = 1.1,
                                     .is_ratio = is_compared });
}

int main(void)
{
    struct bench bench = { .harness = harness_new() };
    int64_t idle_kb, most_kb[ROUNDS];

    if (!bench.harness)
        return 1;
    harness_set(bench.harness, "log", "level: warning");
    harness_set(bench.harness, "agent", "max_running: 100");
    harness_set(bench.harness, "slack", "reply: post");
    set_scenario(bench.harness, "ponder pause_ms=2");
    daemon_start(bench.harness);
    idle_kb = measure_memory_kb(daemon_pid(bench.harness), "RssAnon");
    for (int i = 0; i < ROUNDS; i++)
        most_kb[i] = play_round(&bench);
    report_title("A hundred runs at once, a megabyte each (RssAnon)");
    print_row("before any of them", idle_kb, 0, false);
    print_row("the most in the first round", most_kb[0], 0, false);
    print_row("the most in the second", most_kb[1], 0, false);
    print_row("the most in the third (floor: the second)", most_kb[2], most_kb[1], true);
    report_note("%.0f KB for each run", (double)(most_kb[2] - idle_kb) / RUNS);
    harness_free(bench.harness);
    return most_kb[0] > 0 && most_kb[1] > 0 && most_kb[2] > 0 ? 0 : 1;
}
