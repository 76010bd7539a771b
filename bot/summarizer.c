#include "bot/summarizer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/thread.h"
#include "bot/app.h"
#include "bot/dispatch.h"
#include "bot/summarize.h"

#define LOG_MODULE "bot.summarizer"
#include "base/log.h"

#define CAPACITY_CHECK_MS 500 /* while all workers are busy */
#define RETRY_BASE_MS     2000
#define RETRY_CAP_MS      60000
#define STOPPED_PAUSE_MS  1000 /* what interrupted it may not be over */

struct job {
    UT_hash_handle hh;
    TAILQ_ENTRY(job) in_queue; /* unless it is the one under way */
    unsigned failures;         /* of the agent, in a row */
    int64_t not_before_ms;
    bool is_noted_again; /* while it was under way */
    char key[];
};

struct summarizer {
    struct app *app;
    struct summarize_metrics metrics;
    struct metric *overflows;
    pthread_t thread;
    char *runs_dir;
    int cancel_fd;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    struct job *jobs; /* all of them, by key */
    TAILQ_HEAD(job_queue, job) queue;
    struct job *current;
    bool is_closed;
};

/* ---- the queue ----------------------------------------------------------------------------
 */

void summarizer_note(struct summarizer *summarizer, const char *key)
{
    struct job *job = NULL;

    if (!summarizer)
        return;
    pthread_mutex_lock(&summarizer->lock);
    HASH_FIND_STR(summarizer->jobs, key, job);
    if (job) {
        job->is_noted_again = true;
    } else if (summarizer->is_closed || HASH_COUNT(summarizer->jobs) >= SUMMARIZER_QUEUE_MAX) {
        metric_add(summarizer->overflows, !summarizer->is_closed);
    } else {
        size_t len = strlen(key);

        job = xcalloc(1, sizeof(*job) + len + 1);
        memcpy(job->key, key, len + 1);
        HASH_ADD_STR(summarizer->jobs, key, job);
        TAILQ_INSERT_TAIL(&summarizer->queue, job, in_queue);
        pthread_cond_signal(&summarizer->changed);
    }
    pthread_mutex_unlock(&summarizer->lock);
}

void summarizer_interrupt(struct summarizer *summarizer)
{
    if (!summarizer)
        return;
    pthread_mutex_lock(&summarizer->lock);
    if (summarizer->current)
        eventfd_write(summarizer->cancel_fd, 1);
    pthread_mutex_unlock(&summarizer->lock);
}

static void wait_until_locked(struct summarizer *summarizer, int64_t until_ms)
{
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

    if (until_ms == CLOCK_FOREVER_MS)
        pthread_cond_wait(&summarizer->changed, &summarizer->lock);
    else
        pthread_cond_timedwait(&summarizer->changed, &summarizer->lock, &until);
}

/* The first whose time has come; NULL, with the time of the next one, when there is none. */
static struct job *find_ready_locked(const struct summarizer *summarizer, int64_t now_ms,
                                     int64_t *ret_next_ms)
{
    struct job *job;

    *ret_next_ms = CLOCK_FOREVER_MS;
    TAILQ_FOREACH(job, &summarizer->queue, in_queue)
    {
        if (job->not_before_ms <= now_ms)
            return job;
        if (job->not_before_ms < *ret_next_ms)
            *ret_next_ms = job->not_before_ms;
    }
    return NULL;
}

static void free_job_locked(struct summarizer *summarizer, struct job *job)
{
    HASH_DEL(summarizer->jobs, job); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
    free(job);
}

/* ---- one after the other -------------------------------------------------------------------
 */

/* A person's turn goes first, always. */
static bool has_capacity(const struct summarizer *summarizer, const struct config *config)
{
    struct dispatch_figures figures;

    dispatch_get_figures(summarizer->app->dispatch, NULL, &figures);
    return !figures.waiting && !figures.is_overflowing &&
           (int64_t)figures.running < config->agent.max_running;
}

/* The next job and how to do it; NULL after waiting a while for one: look again, perhaps with
 * another configuration. */
static struct job *take_job(struct summarizer *summarizer, const struct config *config,
                            enum summarize_source *ret_source)
{
    bool wants_agent = config->memory.context.summarizer == CONFIG_SUMMARIZER_AGENT;
    int64_t next_ms;
    uint64_t cancelled;
    struct job *job;

    pthread_mutex_lock(&summarizer->lock);
    job = find_ready_locked(summarizer, clock_now_ms(), &next_ms);
    *ret_source = wants_agent && job && job->failures < SUMMARIZER_TRIES ? SUMMARIZE_AGENT
                                                                         : SUMMARIZE_EXTRACT;
    if (job && *ret_source == SUMMARIZE_AGENT && !has_capacity(summarizer, config)) {
        job = NULL;
        next_ms = clock_now_ms() + CAPACITY_CHECK_MS;
    }
    if (summarizer->is_closed) {
        job = NULL;
    } else if (job) {
        TAILQ_REMOVE(&summarizer->queue, job, in_queue);
        job->is_noted_again = false;
        summarizer->current = job;
        eventfd_read(summarizer->cancel_fd, &cancelled); /* of an earlier one */
    } else {
        wait_until_locked(summarizer, next_ms);
    }
    pthread_mutex_unlock(&summarizer->lock);
    return job;
}

/* Whether, and from when on, the conversation is to be looked at again; -1: not. */
static int64_t again_at(struct job *job, enum summarize_source source,
                        enum summarize_outcome outcome)
{
    int64_t now_ms = clock_now_ms();

    switch (outcome) {
    case SUMMARIZE_MADE: /* there may be more turns than one summary took */
        job->failures = 0;
        return now_ms;
    case SUMMARIZE_STOPPED:
        return now_ms + STOPPED_PAUSE_MS;
    case SUMMARIZE_STALE:
    case SUMMARIZE_REFUSED:
    case SUMMARIZE_FAILED:
        if (source == SUMMARIZE_EXTRACT)
            return -1; /* with its next turn, perhaps */
        job->failures++;
        if (job->failures == SUMMARIZER_TRIES)
            log_warn("the agent failed %u times to summarize conversation=%s: its sentences "
                     "are chosen instead",
                     job->failures, job->key);
        return job->failures == SUMMARIZER_TRIES
                   ? now_ms
                   : now_ms + random_backoff_ms(RETRY_BASE_MS, RETRY_CAP_MS, job->failures);
    case SUMMARIZE_NOTHING:
        break;
    }
    return job->is_noted_again ? now_ms : -1;
}

static void end_job(struct summarizer *summarizer, struct job *job,
                    enum summarize_source source, enum summarize_outcome outcome)
{
    int64_t again_ms;

    pthread_mutex_lock(&summarizer->lock);
    again_ms = again_at(job, source, outcome);
    summarizer->current = NULL;
    if (again_ms < 0 || summarizer->is_closed) {
        free_job_locked(summarizer, job);
    } else {
        job->not_before_ms = again_ms;
        TAILQ_INSERT_TAIL(&summarizer->queue, job, in_queue);
    }
    pthread_mutex_unlock(&summarizer->lock);
}

static struct summarize summarize_of(struct summarizer *summarizer, const struct config *config)
{
    return (struct summarize){
        .config = config,
        .memory = summarizer->app->memory,
        .metrics = &summarizer->metrics,
        .guard = summarizer->app->guard,
        .launcher = summarizer->app->launcher,
        .runs_dir = summarizer->runs_dir,
        .is_stopping = &summarizer->app->is_stopping,
        .cancel_fd = summarizer->cancel_fd,
    };
}

static void run_job(struct summarizer *summarizer, const struct config *config)
{
    struct summarize summarize = summarize_of(summarizer, config);
    enum summarize_source source = SUMMARIZE_EXTRACT;
    struct job *job = take_job(summarizer, config, &source);
    enum summarize_outcome outcome = SUMMARIZE_NOTHING;

    if (!job)
        return;
    summarize.key = job->key;
    if (config->memory.context.summarizer != CONFIG_SUMMARIZER_OFF)
        outcome = summarize_run(&summarize, source);
    end_job(summarizer, job, source, outcome);
}

static bool is_closed(struct summarizer *summarizer)
{
    bool is_closed;

    pthread_mutex_lock(&summarizer->lock);
    is_closed = summarizer->is_closed;
    pthread_mutex_unlock(&summarizer->lock);
    return is_closed || atomic_load(&summarizer->app->is_stopping);
}

static void *run_summarizer(void *context)
{
    struct summarizer *summarizer = context;
    struct config *config = app_config(summarizer->app);
    struct summarize summarize = summarize_of(summarizer, config);

    summarize_clean_up(&summarize);
    config_unref(config);
    while (!is_closed(summarizer)) {
        config = app_config(summarizer->app);
        run_job(summarizer, config);
        config_unref(config);
    }
    return NULL;
}

/* ---- start and end -------------------------------------------------------------------------
 */

struct summarizer *summarizer_start(struct app *app)
{
    struct summarizer *summarizer = xcalloc(1, sizeof(*summarizer));
    pthread_condattr_t attributes;

    summarizer->app = app;
    summarize_metrics_init(&summarizer->metrics, app->metrics);
    summarizer->overflows =
        metrics_counter(app->metrics, "summary_queue_overflows_total", "",
                        "Conversations that found no room to wait for a summary.");
    summarizer->runs_dir = xasprintf("%s/summaries", app->config->state_dir);
    summarizer->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TAILQ_INIT(&summarizer->queue);
    pthread_mutex_init(&summarizer->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&summarizer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    thread_start(&summarizer->thread, "summarizer", run_summarizer, summarizer);
    return summarizer;
}

void summarizer_join(struct summarizer *summarizer)
{
    struct job *job;
    struct job *next;

    if (!summarizer)
        return;
    pthread_mutex_lock(&summarizer->lock);
    summarizer->is_closed = true;
    pthread_cond_signal(&summarizer->changed);
    pthread_mutex_unlock(&summarizer->lock);
    pthread_join(summarizer->thread, NULL);
    HASH_ITER(hh, summarizer->jobs, job, next)
    {
        free_job_locked(summarizer, job);
    }
    pthread_cond_destroy(&summarizer->changed);
    pthread_mutex_destroy(&summarizer->lock);
    close(summarizer->cancel_fd);
    free(summarizer->runs_dir);
    free(summarizer);
}
