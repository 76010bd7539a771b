#include "bot/tidy.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "agent/slot.h"
#include "agent/worktree.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bot/app.h"

#define LOG_MODULE "bot.tidy"
#include "base/log.h"

#define INTERVAL_MS     (INT64_C(60) * 60 * 1000)
#define INTERVAL_MIN_MS 1000
/* A worktree is marked as used when a turn begins and ends: one that a run is still busy in is
 * younger than this, whatever retention says. */
#define RUN_SLACK_MS (INT64_C(60) * 60 * 1000)

struct tidy {
    struct app *app;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_closed; /* guarded by lock */
};

static void sweep_worktrees(struct tidy *tidy, const struct config *config)
{
    int64_t busy_ms = config->agent.timeout_ms + RUN_SLACK_MS;
    int64_t age_ms =
        config->memory.retention_ms > busy_ms ? config->memory.retention_ms : busy_ms;
    size_t removed = 0;
    struct err err = { 0 };

    if (agent_worktrees_sweep(config->state_dir, clock_wall_s() - age_ms / 1000,
                              &tidy->app->is_stopping, &removed, &err) < 0)
        log_warn("worktrees are not tidied: %s", err.message);
    else if (removed)
        log_info("removed worktrees=%zu", removed);
}

static void sweep_chats(const struct config *config)
{
    int64_t busy_ms = config->agent.timeout_ms;
    int64_t age_ms =
        config->memory.retention_ms > busy_ms ? config->memory.retention_ms : busy_ms;
    size_t removed = 0;
    struct err err = { 0 };

    if (agent_chats_sweep(config->state_dir, clock_wall_s() - age_ms / 1000, &removed, &err) <
        0)
        log_warn("the agent's chats are not tidied: %s", err.message);
    else if (removed)
        log_info("removed chats=%zu", removed);
}

static int64_t interval_ms(const struct config *config)
{
    int64_t quarter_ms = config->memory.retention_ms / 4;

    if (quarter_ms < INTERVAL_MIN_MS)
        return INTERVAL_MIN_MS;
    return quarter_ms < INTERVAL_MS ? quarter_ms : INTERVAL_MS;
}

/* False when the daemon stops. */
static bool wait_for_next(struct tidy *tidy, int64_t wait_ms)
{
    int64_t until_ms = clock_now_ms() + wait_ms;
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    bool goes_on;
    int rc = 0;

    pthread_mutex_lock(&tidy->lock);
    while (!tidy->is_closed && rc == 0)
        rc = pthread_cond_timedwait(&tidy->changed, &tidy->lock, &until);
    goes_on = !tidy->is_closed;
    pthread_mutex_unlock(&tidy->lock);
    return goes_on;
}

static void *run_tidy(void *context)
{
    struct tidy *tidy = context;
    int64_t wait_ms;

    do {
        struct config *config = app_config(tidy->app);

        agent_slots_clear(config->state_dir);
        sweep_worktrees(tidy, config);
        sweep_chats(config);
        wait_ms = interval_ms(config);
        config_unref(config);
    } while (wait_for_next(tidy, wait_ms));
    return NULL;
}

struct tidy *tidy_start(struct app *app)
{
    struct tidy *tidy = xcalloc(1, sizeof(*tidy));
    pthread_condattr_t attributes;

    tidy->app = app;
    pthread_mutex_init(&tidy->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&tidy->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    thread_start(&tidy->thread, "tidy", run_tidy, tidy);
    return tidy;
}

void tidy_join(struct tidy *tidy)
{
    if (!tidy)
        return;
    pthread_mutex_lock(&tidy->lock);
    tidy->is_closed = true;
    pthread_cond_signal(&tidy->changed);
    pthread_mutex_unlock(&tidy->lock);
    pthread_join(tidy->thread, NULL);
    pthread_cond_destroy(&tidy->changed);
    pthread_mutex_destroy(&tidy->lock);
    free(tidy);
}
