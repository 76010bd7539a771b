/*
 * bench_idle.c - what the daemon costs while nobody writes: how soon it is there after a start,
 * how much memory it holds, how often it wakes up.
 *
 * Start to hello runs from just before the process is made to the first hello in the lab's
 * journal; its floor is a whole `threadkeeper version`, which loads the same libraries.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "tests/bench/lab.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define STARTS       7
#define IDLE_S       10
#define TIDY_S       6 /* after the last message: by then what follows it is done */
#define MESSAGES     3
#define SETTLE_LOOKS 50
#define SETTLE_NS    100000000
#define KB_PER_MB    1024.0
#define BYTES_PER_MB 1e6

static void measure_start(struct harness *harness, char *program)
{
    char word[] = "version";
    char *const version[] = { program, word, NULL };
    int64_t offset_us = lab_clock_offset_us(harness);
    int64_t took_us[STARTS];

    for (int i = 0; i < STARTS; i++) {
        int64_t mark = lab_mark(harness);
        int64_t before_us = clock_now_us();
        json_t *hello;

        daemon_launch(harness);
        hello = lab_wait_log(harness, mark, "hello", NULL, NULL);
        took_us[i] = lab_number(hello, "at_us") + offset_us - before_us;
        json_decref(hello);
        daemon_stop(harness);
    }
    report_title("Start (floor: `threadkeeper version`)");
    report_row(
        &(struct report_row){ .figure = "process start to Slack's hello",
                              .unit = "ms",
                              .value = (double)measure_quantile(took_us, STARTS, 500) / 1e3,
                              .floor = (double)measure_spawn_us(version) / 1e3,
                              .goal = REPORT_AT_MOST,
                              .target = 150 });
}

/* The memory in use once it no longer changes: threads end, buffers are given back. */
static double settled_mb(pid_t pid)
{
    struct timespec pause = { .tv_nsec = SETTLE_NS };
    int64_t before_kb = -1;
    int64_t now_kb = measure_memory_kb(pid, "VmRSS");
    int quiet = 0;

    for (int i = 0; i < SETTLE_LOOKS && quiet < 5; i++) {
        before_kb = now_kb;
        nanosleep(&pause, NULL);
        now_kb = measure_memory_kb(pid, "VmRSS");
        quiet = now_kb == before_kb ? quiet + 1 : 0;
    }
    return (double)now_kb / KB_PER_MB;
}

static void measure_wakeups_a_second(pid_t pid)
{
    struct timespec tidy = { .tv_sec = TIDY_S };
    struct timespec idle = { .tv_sec = IDLE_S };
    int64_t before;

    nanosleep(&tidy, NULL);
    before = measure_wakeups(pid);
    nanosleep(&idle, NULL); /* the time is the measure here */
    report_row(&(struct report_row){ .figure = "wake-ups, all threads",
                                     .unit = "/s",
                                     .value = (double)(measure_wakeups(pid) - before) / IDLE_S,
                                     .goal = REPORT_AT_MOST,
                                     .target = 1 });
}

static void measure_idle(struct harness *harness)
{
    pid_t pid;

    daemon_start(harness);
    pid = daemon_pid(harness);
    report_title("Idle");
    report_row(&(struct report_row){ .figure = "resident memory after the start",
                                     .unit = "MB",
                                     .value = settled_mb(pid),
                                     .goal = REPORT_AT_MOST,
                                     .target = 16 });
    for (int i = 0; i < MESSAGES; i++) {
        lab_say(harness, ALICE, ALICE_DM, NULL, "what did we decide about the build?");
        lab_wait_replies(harness, ALICE_DM, NULL, (size_t)i + 1);
    }
    report_row(&(struct report_row){ .figure = "resident memory after three messages",
                                     .unit = "MB",
                                     .value = settled_mb(pid),
                                     .goal = REPORT_AT_MOST,
                                     .target = 16 });
    report_note("of that %.1f MB are its own (RssAnon), the rest are pages of program and "
                "libraries",
                (double)measure_memory_kb(pid, "RssAnon") / KB_PER_MB);
    measure_wakeups_a_second(pid);
}

static void print_size(const char *program)
{
    struct stat status;

    if (stat(program, &status) == 0)
        report_row(
            &(struct report_row){ .figure = "size of the program, with debug information",
                                  .unit = "MB",
                                  .value = (double)status.st_size / BYTES_PER_MB });
}

int main(void)
{
    char *program = getenv("TK_BIN"); /* NOLINT(concurrency-mt-unsafe): one thread */
    struct harness *harness = harness_new();

    if (!program || !harness) {
        fprintf(stderr, "bench_idle: start it by make bench, which sets TK_BIN\n");
        return 1;
    }
    harness_set(harness, "log", "level: info");
    measure_start(harness, program);
    measure_idle(harness);
    print_size(program);
    harness_free(harness);
    return 0;
}
