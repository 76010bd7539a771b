/*
 * bench_stream.c - what a streamed line costs the daemon: two hundred people ask, each agent
 * prints fifty lines a second, and the daemon's processor time is divided by the lines it read.
 *
 * Once with answers that are posted at their end, so that nothing is sent meanwhile: from the
 * agent's file to the surface. And once with streamed answers, so far as Slack's rates let them
 * go out.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/bench/lab.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define RUNS           200
#define PAUSE_MS       20
#define WINDOW_MS      8000
#define START_LIMIT_MS 120000
#define OUTPUT_MAX     (8U << 20)

struct lines {
    int64_t count;
    int64_t runs; /* that have printed any */
};

static void sleep_ms(int64_t ms)
{
    struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L };

    nanosleep(&pause, NULL);
}

static int64_t count_lines(const char *path)
{
    AUTO_BUF struct buf text;
    struct err err = { 0 };
    int64_t count = 0;

    buf_init(&text, OUTPUT_MAX);
    if (file_read(path, &text, &err) < 0)
        return 0;
    for (const char *at = buf_text(&text); (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static struct lines read_lines(struct harness *harness)
{
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(harness));
    DIR *dir = opendir(runs);
    struct lines lines = { 0 };
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        AUTO_FREE char *path = xasprintf("%s/%s/out.ndjson", runs, entry->d_name);
        int64_t count = count_lines(path);

        lines.count += count;
        lines.runs += count > 0;
    }
    if (dir)
        closedir(dir);
    return lines;
}

/* All runs of this window at work; false when they do not come to be. */
static bool start_runs(struct harness *harness)
{
    int64_t until_ms = clock_now_ms() + START_LIMIT_MS;

    for (int i = 0; i < RUNS; i++) {
        AUTO_FREE char *user = xasprintf("U0LOAD%d", i);
        AUTO_FREE char *channel = xasprintf("D0LOAD%d", i);

        lab_say(harness, user, channel, NULL, "tell me a long story");
    }
    while (read_lines(harness).runs < RUNS) {
        if (clock_now_ms() > until_ms)
            return false;
        sleep_ms(200);
    }
    return true;
}

struct cost {
    double us_per_line;
    double core_percent;
    double lines_per_s;
    double wakeups_per_line;
};

static bool measure(const char *reply, struct cost *ret_cost)
{
    struct harness *harness = harness_new();
    struct lines before, after;
    int64_t cpu_us, wakeups, started_us, took_us;
    AUTO_FREE char *scenario = xasprintf("slow seconds=600 pause_ms=%d", PAUSE_MS);
    AUTO_FREE char *mode = xasprintf("reply: %s", reply);
    bool is_good;

    if (!harness)
        return false;
    harness_set(harness, "log", "level: warning");
    harness_set(harness, "agent", "max_running: 200");
    harness_set(harness, "slack", "dm: threads");
    harness_set(harness, "slack", mode);
    set_scenario(harness, scenario);
    daemon_start(harness);
    is_good = start_runs(harness);
    sleep_ms(2000); /* what starting costs is over */
    before = read_lines(harness);
    cpu_us = measure_cpu_us(daemon_pid(harness));
    wakeups = measure_wakeups(daemon_pid(harness));
    started_us = clock_now_us();
    sleep_ms(WINDOW_MS);
    cpu_us = measure_cpu_us(daemon_pid(harness)) - cpu_us;
    wakeups = measure_wakeups(daemon_pid(harness)) - wakeups;
    took_us = clock_now_us() - started_us;
    after = read_lines(harness);
    after.count -= before.count;
    if (is_good && after.count > 0)
        *ret_cost = (struct cost){
            .us_per_line = (double)cpu_us / (double)after.count,
            .core_percent = 100.0 * (double)cpu_us / (double)took_us,
            .lines_per_s = 1e6 * (double)after.count / (double)took_us,
            .wakeups_per_line = (double)wakeups / (double)after.count,
        };
    daemon_kill(harness);
    lab_kill_agents(harness);
    harness_free(harness);
    return is_good && after.count > 0;
}

static void print_cost(const char *name, const struct cost *cost, bool has_goal)
{
    AUTO_FREE char *line = xasprintf("a line, %s", name);
    AUTO_FREE char *core = xasprintf("of a processor, %s", name);

    report_row(&(struct report_row){ .figure = line,
                                     .unit = "us",
                                     .value = cost->us_per_line,
                                     .goal = has_goal ? REPORT_AT_MOST : REPORT_NO_GOAL,
                                     .target = 20 });
    report_row(&(struct report_row){ .figure = core,
                                     .unit = "%",
                                     .value = cost->core_percent,
                                     .goal = has_goal ? REPORT_AT_MOST : REPORT_NO_GOAL,
                                     .target = 20 });
    report_note("%.0f lines a second of %d runs, %.2f wakeups a line", cost->lines_per_s, RUNS,
                cost->wakeups_per_line);
}

int main(void)
{
    struct cost posted = { 0 }, streamed = { 0 };
    bool is_good = measure("post", &posted) && measure("stream", &streamed);

    report_title("A streamed line in the daemon: 200 runs, 50 lines a second each");
    print_cost("posted at the end", &posted, true);
    print_cost("streamed to Slack", &streamed, true);
    return is_good ? 0 : 1;
}
