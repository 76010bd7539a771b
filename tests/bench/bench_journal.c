/*
 * bench_journal.c - what durability costs: the ledger beside a bare append + fdatasync, both
 * measured in the same run on the same disk.
 *
 *   bench_journal [DIRECTORY]     default: a directory of its own under /tmp
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "memory/memory.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define PACED_EVENTS    5000
#define PACED_GAP_NS    1000000
#define BURST_FIRST     10000 /* behind the paced ones: their ts must not repeat */
#define BURST_EVENTS    100000
#define BURST_IN_FLIGHT 4096
#define TURNS           1000

struct bench {
    struct memory *memory;
    struct metrics *metrics;
    int64_t *sent_us;
    int64_t *latency_us;
    _Atomic int finished;
};

static int64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void print_rows(const char *p50, const char *p99, int64_t *latencies, size_t count,
                       int64_t floor_us)
{
    report_row(&(struct report_row){ .figure = p50,
                                     .unit = "us",
                                     .value = (double)measure_quantile(latencies, count, 500),
                                     .floor = (double)floor_us });
    report_row(&(struct report_row){ .figure = p99,
                                     .unit = "us",
                                     .value = (double)measure_quantile(latencies, count, 990),
                                     .floor = (double)floor_us });
}

static void recorded(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                     void *user_data)
{
    struct bench *bench = context;
    ptrdiff_t number = (int64_t *)user_data - bench->sent_us;

    if (outcome != LEDGER_NEW)
        fprintf(stderr, "event %ld was not recorded: %d\n", (long)number, (int)outcome);
    bench->latency_us[number] = clock_now_us() - bench->sent_us[number];
    ledger_entry_free(entry);
    atomic_fetch_add(&bench->finished, 1);
}

static struct ledger_entry *make_entry(const char *prefix, int number)
{
    struct ledger_entry *entry = xcalloc(1, sizeof(*entry));

    /* Slack's ids are not in order: neither are these. */
    entry->event_id = xasprintf("Ev%08X%s", (unsigned)number * 2654435761U, prefix);
    entry->team = xstrdup("T0123ABCD");
    entry->channel = xasprintf("C%08d", number % 97);
    entry->ts = xasprintf("%d.%06d", 1790000000 + number / 1000, number % 1000);
    entry->thread_ts = xasprintf("%d.%06d", 1789990000 + number % 50, 100);
    entry->user = xasprintf("U%08d", number % 31);
    entry->conversation = xasprintf("%s:%s:%s", entry->user, entry->channel, entry->thread_ts);
    entry->reply_thread = xstrdup(entry->thread_ts);
    entry->text = xasprintf("%0200d", number);
    entry->attributes = xstrdup("{\"channel_type\":\"channel\",\"surface\":\"slack\"}");
    entry->run_id = xstrdup("");
    entry->reply_state = xstrdup("");
    return entry;
}

static void send_event(struct bench *bench, const char *prefix, int number)
{
    struct ledger_request request = { .entry = make_entry(prefix, number),
                                      .engages = true,
                                      .on_recorded = recorded,
                                      .context = bench,
                                      .user_data = &bench->sent_us[number] };

    bench->sent_us[number] = clock_now_us();
    while (!memory_record_message(bench->memory, &request))
        usleep(100);
}

static void wait_until(struct bench *bench, int count)
{
    while (atomic_load(&bench->finished) < count)
        usleep(50);
}

static void measure_paced(struct bench *bench, int64_t floor_us)
{
    struct timespec next;

    atomic_store(&bench->finished, 0);
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (int i = 0; i < PACED_EVENTS; i++) {
        next.tv_nsec += PACED_GAP_NS;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        send_event(bench, "p", i);
    }
    wait_until(bench, PACED_EVENTS);
    print_rows("a message recorded, 1,000 a second, p50",
               "a message recorded, 1,000 a second, p99", bench->latency_us, PACED_EVENTS,
               floor_us);
}

static void measure_burst(struct bench *bench, int64_t floor_us)
{
    struct metric *commits = metrics_counter(bench->metrics, "journal_commits_total", "", "");
    int64_t commits_before = metric_value(commits);
    int64_t before_us;
    int64_t cpu_before_us;
    int64_t elapsed_us;

    atomic_store(&bench->finished, 0);
    before_us = clock_now_us();
    cpu_before_us = cpu_us();
    for (int i = 0; i < BURST_EVENTS; i++) {
        while (i - atomic_load(&bench->finished) >= BURST_IN_FLIGHT)
            usleep(100);
        send_event(bench, "b", BURST_FIRST + i);
    }
    wait_until(bench, BURST_EVENTS);
    elapsed_us = clock_now_us() - before_us;
    report_row(&(struct report_row){ .figure = "messages recorded, as fast as it goes",
                                     .unit = "/s",
                                     .value = BURST_EVENTS * 1e6 / (double)elapsed_us,
                                     .floor = 1e6 / (double)floor_us });
    report_row(
        &(struct report_row){ .figure = "CPU for each, the sender's included",
                              .unit = "us",
                              .value = (double)(cpu_us() - cpu_before_us) / BURST_EVENTS });
    report_note("%.1f messages in a commit",
                (double)BURST_EVENTS / (double)(metric_value(commits) - commits_before));
}

static void measure_turns(struct bench *bench, int64_t floor_us)
{
    int64_t latencies[TURNS];
    struct memory_turn turns[2] = {
        { .role = MEMORY_ROLE_USER,
          .author = "U1",
          .text = "which auth system do we use?",
          .slack_ts = "1790000000.000100",
          .at_wall_s = 1790000000 },
        { .role = MEMORY_ROLE_ASSISTANT,
          .author = "",
          .slack_ts = "",
          .text = "JWT, signed by the gateway, valid for 15 minutes.",
          .at_wall_s = 1790000005 },
    };

    for (int i = 0; i < TURNS; i++) {
        AUTO_FREE char *key = xasprintf("U1:C1:%d", i % 100);
        struct conversation *conversation = NULL;
        struct err err = { 0 };

        if (memory_conversation_begin(bench->memory, key, NULL, NULL, &conversation, &err) <
            0) {
            fprintf(stderr, "%s\n", err.message);
            return;
        }
        latencies[i] = clock_now_us();
        if (memory_conversation_commit(bench->memory, conversation, turns, 2, NULL, 0,
                                       LEDGER_DONE, &err) < 0)
            fprintf(stderr, "%s\n", err.message);
        latencies[i] = clock_now_us() - latencies[i];
        memory_conversation_end(bench->memory, conversation);
    }
    print_rows("a finished turn committed, p50", "a finished turn committed, p99", latencies,
               TURNS, floor_us);
}

int main(int argc, char **argv)
{
    char own[] = "/tmp/bench-journal-XXXXXX";
    const char *directory = argc > 1 ? argv[1] : mkdtemp(own);
    struct bench bench = { .metrics = metrics_new() };
    struct memory_options options = { .state_dir = directory,
                                      .store = MEMORY_STORE_SQLITE,
                                      .durability = MEMORY_DURABILITY_TURN,
                                      .snapshot_interval_ms = 30000,
                                      .max_bytes = 256 << 20,
                                      .cache_ttl_ms = 3600000,
                                      .max_turns = 500 };
    struct err err = { 0 };
    int64_t floor_us;

    if (!directory || memory_open(&options, bench.metrics, &bench.memory, &err) < 0) {
        fprintf(stderr, "bench_journal: %s\n", err.message);
        return 1;
    }
    bench.sent_us = xcalloc(BURST_FIRST + BURST_EVENTS, sizeof(int64_t));
    bench.latency_us = xcalloc(BURST_FIRST + BURST_EVENTS, sizeof(int64_t));
    report_title("Journal alone (floor: append + fdatasync)");
    floor_us = measure_append_us(directory);
    measure_paced(&bench, floor_us);
    measure_turns(&bench, floor_us);
    measure_burst(&bench, floor_us);
    memory_close(bench.memory);
    metrics_free(bench.metrics);
    free(bench.sent_us);
    free(bench.latency_us);
    if (argc <= 1)
        file_remove_tree(directory, NULL);
    return 0;
}
