#include "bot/sweeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "agent/slot.h"
#include "agent/sweep.h"
#include "agent/worktree.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bot/app.h"
#include "bot/leftover.h"

#define LOG_MODULE "bot.sweeper"
#include "base/log.h"

#define PERIOD_MAX_MS (INT64_C(15) * 60 * 1000)
#define RUN_SLACK_MS  (INT64_C(60) * 60 * 1000)
#define PERIOD_MIN_MS (INT64_C(15) * 1000)

struct sweeper {
    struct app *app;
    pthread_t thread;
    struct metric *removed, *ended, *kept_bytes;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    bool is_closed;
};

static void report(const struct sweeper *sweeper, const struct agent_swept *swept)
{
    metric_add(sweeper->removed, (int64_t)swept->removed);
    metric_add(sweeper->ended, (int64_t)swept->ended);
    metric_set(sweeper->kept_bytes, swept->kept_bytes);
    if (swept->removed || swept->ended)
        log_info("leftovers of runs: removed=%zu bytes=%lld ended=%zu kept=%zu kept_bytes=%lld",
                 swept->removed, (long long)swept->removed_bytes, swept->ended, swept->kept,
                 (long long)swept->kept_bytes);
}

/* What is marked as used when a run begins and ends is not old while one may be busy in it,
 * whatever memory.retention says. */
static int64_t oldest_wall_s(const struct config *config)
{
    int64_t busy_ms = config->agent.timeout_ms + RUN_SLACK_MS;
    int64_t age_ms =
        config->memory.retention_ms > busy_ms ? config->memory.retention_ms : busy_ms;

    return clock_wall_s() - age_ms / 1000;
}

/* Slots of runs that ended alone; checkouts and chats of conversations that nobody goes on
 * with. */
static void sweep_places(struct app *app, const struct config *config)
{
    size_t worktrees = 0;
    size_t chats = 0;
    struct err err = { 0 };

    agent_slots_clear(config->state_dir);
    if (agent_worktrees_sweep(config->state_dir, oldest_wall_s(config), &app->is_stopping,
                              &worktrees, &err) < 0 ||
        agent_chats_sweep(config->state_dir, oldest_wall_s(config), &chats, &err) < 0)
        log_warn("old worktrees or chats stay for now: %s", err.message);
    if (worktrees || chats)
        log_info("what is old: removed worktrees=%zu chats=%zu", worktrees, chats);
}

/* Returns how long to wait for the next. */
static int64_t sweep_once(const struct sweeper *sweeper, bool is_start)
{
    struct app *app = sweeper->app;
    struct config *config = app_config(app);
    struct leftover leftover = {
        .memory = app->memory,
        .state_dir = config->state_dir,
        .runs_dir = app->runs_dir,
        .kill_grace_ms = config->agent.kill_grace_ms,
    };
    struct agent_sweep sweep = {
        .runs_dir = app->runs_dir,
        .is_start = is_start,
        .ttl_ms = config->agent.runs_ttl_ms,
        .max_bytes = config->agent.runs_max_bytes,
        .kill_grace_ms = config->agent.kill_grace_ms,
        .list_needed = leftover_list_needed,
        .context = &leftover,
    };
    struct agent_swept swept;
    struct err err = { 0 };
    int64_t period_ms = config->agent.runs_ttl_ms / 4;

    leftover_end_chats(&leftover);
    if (agent_sweep(&sweep, &swept, &err) < 0)
        log_warn("leftovers of runs stay for now: %s", err.message);
    report(sweeper, &swept);
    sweep_places(app, config); /* last: commits may take their time */
    config_unref(config);
    if (period_ms > PERIOD_MAX_MS)
        return PERIOD_MAX_MS;
    return period_ms < PERIOD_MIN_MS ? PERIOD_MIN_MS : period_ms;
}

/* False when it is to end. */
static bool wait_until(struct sweeper *sweeper, int64_t until_ms)
{
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    bool goes_on;

    pthread_mutex_lock(&sweeper->lock);
    while (!sweeper->is_closed && clock_now_ms() < until_ms)
        pthread_cond_timedwait(&sweeper->changed, &sweeper->lock, &until);
    goes_on = !sweeper->is_closed;
    pthread_mutex_unlock(&sweeper->lock);
    return goes_on;
}

static void *run_sweeper(void *context)
{
    struct sweeper *sweeper = context;
    int64_t period_ms = sweep_once(sweeper, true);

    while (wait_until(sweeper, clock_now_ms() + period_ms))
        period_ms = sweep_once(sweeper, false);
    return NULL;
}

struct sweeper *sweeper_start(struct app *app)
{
    struct sweeper *sweeper = xcalloc(1, sizeof(*sweeper));
    pthread_condattr_t attributes;

    sweeper->app = app;
    sweeper->removed = metrics_counter(app->metrics, "run_leftovers_removed_total", "",
                                       "Directories of runs that nobody needed.");
    sweeper->ended = metrics_counter(app->metrics, "run_leftovers_ended_total", "",
                                     "Runs ended because nobody waited for them.");
    sweeper->kept_bytes = metrics_gauge(app->metrics, "run_leftovers_bytes", "",
                                        "Size of such directories that are kept for now.");
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sweeper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&sweeper->lock, NULL);
    thread_start(&sweeper->thread, "sweeper", run_sweeper, sweeper);
    return sweeper;
}

void sweeper_join(struct sweeper *sweeper)
{
    if (!sweeper)
        return;
    pthread_mutex_lock(&sweeper->lock);
    sweeper->is_closed = true;
    pthread_cond_signal(&sweeper->changed);
    pthread_mutex_unlock(&sweeper->lock);
    pthread_join(sweeper->thread, NULL);
    pthread_cond_destroy(&sweeper->changed);
    pthread_mutex_destroy(&sweeper->lock);
    free(sweeper);
}
