/*
 * bench_spawn.c - whether the loop notices that agents are started: its lag, from another
 * thread's post to the loop running it, while a worker starts one agent after the other - in a
 * small process and again with 2 GB resident. The floor is the same loop while none is started.
 *
 * It runs the daemon's own loop and the agent room in this process. What fork() would cost,
 * which copies the page tables of the whole process, stands below for comparison.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/run.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "bot/loop.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define RESIDENT_BYTES ((size_t)2 << 30)
#define SPARE_KB       ((int64_t)512 << 10)
#define STARTS         100
#define POST_GAP_NS    500000
#define POSTS_MAX      100000
#define STALL_MS       5

struct bench {
    struct loop *loop;
    char directory[64];
    atomic_bool is_over; /* the worker has started all its agents */
    int64_t *lag_us;
    size_t lag_count;
    pid_t other; /* the child that starts them for the floor; ours to reap */
    bool all_started;
};

/* ---- the loop ---------------------------------------------------------------------------- */

static void on_post(void *context, void *item)
{
    struct bench *bench = context;
    int64_t *posted_us = item;

    if (bench->lag_count < POSTS_MAX)
        bench->lag_us[bench->lag_count++] = clock_now_us() - *posted_us;
    free(posted_us);
}

static void stop_loop(void *context, void *item)
{
    (void)item;
    loop_quit(((struct bench *)context)->loop);
}

static void on_signal(void *context, int signal_number)
{
    const struct bench *bench = context;

    if (signal_number == SIGCHLD && !bench->other)
        agent_reap_first_orphans();
}

static void on_wake(void *context)
{
    (void)context;
}

/* ---- the threads beside it --------------------------------------------------------------- */

static void *post_steadily(void *context)
{
    struct bench *bench = context;
    struct timespec gap = { .tv_nsec = POST_GAP_NS };

    while (!atomic_load(&bench->is_over)) {
        int64_t *posted_us = xcalloc(1, sizeof(*posted_us));

        nanosleep(&gap, NULL);
        *posted_us = clock_now_us();
        loop_post(bench->loop, on_post, bench, posted_us);
    }
    loop_post(bench->loop, stop_loop, bench, NULL);
    return NULL;
}

static bool start_one(const struct bench *bench)
{
    const char *const command[] = { "/bin/echo", "done", NULL };
    const char *const env_names[] = { NULL };
    struct agent_spec spec = {
        .launcher = getenv("TK_BIN"), /* NOLINT(concurrency-mt-unsafe): nobody sets it */
        .runs_dir = bench->directory,
        .command = command,
        .dialect = AGENT_DIALECT_TEXT,
        .model = "",
        .workspace = bench->directory,
        .env_names = env_names,
        .prompt = "hello",
        .prompt_len = strlen("hello"),
        .first_output_timeout_ms = 10000,
        .idle_timeout_ms = 10000,
        .timeout_ms = 10000,
        .kill_grace_ms = 1000,
        .max_output_bytes = 1 << 20,
        .cancel_fd = -1,
    };
    struct agent_event event = { 0 };
    struct agent_run *run = NULL;
    struct err err = { 0 };
    char id[AGENT_RUN_ID_BYTES];
    bool is_good;

    agent_run_new_id(id);
    if (agent_run_start(&spec, id, &run, &err) < 0) {
        fprintf(stderr, "bench_spawn: %s\n", err.message);
        return false;
    }
    while (event.kind != AGENT_EVENT_ENDED)
        agent_run_next(run, CLOCK_FOREVER_MS, &event);
    is_good = agent_run_result(run)->outcome == AGENT_OK;
    if (!is_good)
        fprintf(stderr, "bench_spawn: %s\n", agent_run_result(run)->cause);
    agent_run_free(run, false);
    agent_run_remove(bench->directory, id, &err);
    return is_good;
}

static bool start_all(const struct bench *bench)
{
    int started = 0;

    for (int i = 0; i < STARTS; i++)
        started += start_one(bench);
    return started == STARTS;
}

static void *work(void *context)
{
    struct bench *bench = context;

    bench->all_started = start_all(bench);
    atomic_store(&bench->is_over, true);
    return NULL;
}

static void *wait_for_other(void *context)
{
    struct bench *bench = context;
    int status = 0;

    bench->all_started = waitpid(bench->other, &status, 0) == bench->other && status == 0;
    bench->other = 0;
    atomic_store(&bench->is_over, true);
    return NULL;
}

/* ---- one measurement --------------------------------------------------------------------- */

/* A process of its own to start agents, made before any thread. */
static pid_t fork_other(const struct bench *bench)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(start_all(bench) ? 0 : 1);
    return pid;
}

/* Fills bench->lag_us; false when agents did not start. */
static bool measure_lag(struct bench *bench, bool here)
{
    struct loop_callbacks callbacks = { .on_signal = on_signal,
                                        .on_wake = on_wake,
                                        .context = bench };
    struct metrics *metrics = metrics_new();
    struct err err = { 0 };
    pthread_t threads[2];

    bench->lag_count = 0;
    atomic_store(&bench->is_over, false);
    if (!here)
        bench->other = fork_other(bench);
    if (loop_new("", NULL, &callbacks, metrics, &bench->loop, &err) < 0) {
        fprintf(stderr, "bench_spawn: %s\n", err.message);
        return false;
    }
    pthread_create(&threads[0], NULL, post_steadily, bench);
    pthread_create(&threads[1], NULL, here ? work : wait_for_other, bench);
    loop_run(bench->loop);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    loop_free(bench->loop);
    metrics_free(metrics);
    return bench->all_started;
}

static void print_cost_of_fork(void)
{
    int64_t before_us = clock_now_us();
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    report_note("one fork() of this process, had it been used: %.1f ms",
                (double)(clock_now_us() - before_us) / 1e3);
    waitpid(pid, NULL, 0);
}

/* Memory of that size, in small pages as a heap of small pieces would be; NULL on failure. */
static void *occupy(size_t size)
{
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (bytes == MAP_FAILED) {
        perror("bench_spawn: mmap");
        return NULL;
    }
    madvise(bytes, size, MADV_NOHUGEPAGE);
    memset(bytes, 1, size);
    return bytes;
}

static bool measure(struct bench *bench, size_t resident, const char *usual,
                    const char *longest)
{
    static const unsigned permille[] = { 999, 1000 };
    const char *const figures[] = { usual, longest };
    int64_t floor_us[2];
    void *bytes = NULL;
    bool is_good;

    if (!measure_lag(bench, false))
        return false;
    for (size_t i = 0; i < 2; i++)
        floor_us[i] = measure_quantile(bench->lag_us, bench->lag_count, permille[i]);
    if (resident && !(bytes = occupy(resident)))
        return false;
    is_good = measure_lag(bench, true);
    for (size_t i = 0; i < 2 && is_good; i++)
        report_row(&(struct report_row){
            .figure = figures[i],
            .unit = "ms",
            .value =
                (double)measure_quantile(bench->lag_us, bench->lag_count, permille[i]) / 1e3,
            .floor = (double)floor_us[i] / 1e3,
            .goal = REPORT_AT_MOST,
            .target = STALL_MS });
    if (bytes) {
        print_cost_of_fork();
        munmap(bytes, resident);
    }
    return is_good;
}

static int64_t available_kb(void)
{
    AUTO_BUF struct buf text;
    struct err err = { 0 };
    const char *at;

    buf_init(&text, 65536);
    if (file_read("/proc/meminfo", &text, &err) < 0)
        return 0;
    at = strstr(buf_text(&text), "MemAvailable:");
    return at ? strtoll(at + strlen("MemAvailable:"), NULL, 10) : 0;
}

static bool measure_large(struct bench *bench)
{
    if (available_kb() < (int64_t)(RESIDENT_BYTES >> 10) + SPARE_KB) {
        report_note("not measured with 2 GB resident: this machine has not so much to spare");
        return true;
    }
    return measure(bench, RESIDENT_BYTES, "lag of the loop, 2 GB resident, p99.9",
                   "lag of the loop, 2 GB resident, longest");
}

int main(void)
{
    struct bench bench = { .directory = "/tmp/bench-spawn-XXXXXX" };
    bool is_good;

    if (!mkdtemp(bench.directory)) {
        perror(bench.directory);
        return 1;
    }
    bench.lag_us = xcalloc(POSTS_MAX, sizeof(bench.lag_us[0]));
    report_title("Starting agents (floor: another process does)");
    is_good = measure(&bench, 0, "lag of the loop, p99.9", "lag of the loop, longest") &&
              measure_large(&bench);
    free(bench.lag_us);
    file_remove_tree(bench.directory, NULL);
    return is_good ? 0 : 1;
}
