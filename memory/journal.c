#include "memory/journal.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/queue.h"

#define LOG_MODULE "memory.journal"
#include "base/log.h"

#define QUEUE_MAX_JOBS  32768
#define QUEUE_KEPT_JOBS 4096 /* room for those that wait: bounded by the number of threads */
#define BATCH_MAX_JOBS  512
#define BUSY_TRIES      3 /* of the busy timeout each */
#define QUIET_MS        2000
#define LOG_SOON_PAGES  1000 /* checkpoint when nothing is waiting */
#define LOG_MUST_PAGES  8000 /* 32 MB: checkpoint in any case */
#define THREAD_STACK    ((size_t)256 * 1024)

struct journal {
    struct db *db;
    struct queue *queue;
    pthread_t thread;
    struct journal_hooks hooks;
    _Atomic int64_t due_ms;
    bool failing; /* the last commit failed, and that is logged */

    struct metric *commits;
    struct metric *failures;
    struct metric *jobs;
    struct metric *queued;
    struct histogram *commit_time;
    struct histogram *batch_time;
};

/* A job that only wakes the thread. */
static int wake_apply(struct journal_job *job, struct db *db, struct err *err)
{
    (void)job;
    (void)db;
    (void)err;
    return 0;
}

static void wake_done(struct journal_job *job, const struct err *err)
{
    (void)err;
    free(job);
}

static void refuse(struct journal_job *job, const struct err *err)
{
    job->refused = true;
    job->refusal = xcalloc(1, sizeof(*job->refusal));
    *job->refusal = *err;
}

static int begin(struct journal *journal, struct err *err)
{
    for (int tries = 1;; tries++) {
        if (db_begin(journal->db, err) == 0)
            return 0;
        if (err->kind != ERR_TEMP || tries == BUSY_TRIES || queue_is_closed(journal->queue))
            return -1;
    }
}

/* 1: committed; 0: one job was refused and all is rolled back; -1: the batch failed. */
static int try_batch(struct journal *journal, struct journal_job **jobs, size_t count,
                     struct err *err)
{
    int64_t before_us;

    if (begin(journal, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (jobs[i]->refused || jobs[i]->apply(jobs[i], journal->db, err) == 0)
            continue;
        db_rollback(journal->db);
        if (err->kind != ERR_INPUT)
            return -1;
        refuse(jobs[i], err);
        return 0;
    }
    before_us = clock_now_us();
    if (db_commit(journal->db, err) < 0) {
        db_rollback(journal->db);
        return -1;
    }
    histogram_observe_us(journal->commit_time, clock_now_us() - before_us);
    return 1;
}

static void note_result(struct journal *journal, const struct err *err, size_t count)
{
    if (!err) {
        metric_add(journal->commits, 1);
        if (journal->failing)
            log_info("commits succeed again");
        journal->failing = false;
        return;
    }
    metric_add(journal->failures, 1);
    if (!journal->failing)
        log_err("nothing can be recorded, senders are told so: jobs=%zu %s", count,
                err->message);
    journal->failing = true;
}

static void deliver(struct journal_job *job, const struct err *err)
{
    struct err refusal = { 0 };

    if (job->refused) {
        refusal = *job->refusal;
        free(job->refusal);
        job->refusal = NULL;
        job->refused = false;
        err = &refusal;
    }
    job->done(job, err);
}

static bool is_wake_only(struct journal_job *const *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (jobs[i]->apply != wake_apply)
            return false;
    }
    return true;
}

static void process(struct journal *journal, struct journal_job **jobs, size_t count)
{
    int64_t before_us = clock_now_us();
    struct err err = { 0 };
    int rc = is_wake_only(jobs, count) ? 1 : 0;

    while (rc == 0)
        rc = try_batch(journal, jobs, count, &err);
    note_result(journal, rc < 0 ? &err : NULL, count);
    metric_add(journal->jobs, (int64_t)count);
    histogram_observe_us(journal->batch_time, clock_now_us() - before_us);
    if (journal->hooks.after_batch)
        journal->hooks.after_batch(journal->hooks.context, journal->db);
    for (size_t i = 0; i < count; i++)
        deliver(jobs[i], rc < 0 ? &err : NULL);
}

static void checkpoint_if_long(struct journal *journal)
{
    int pages = db_wal_pages(journal->db);

    if (pages >= LOG_MUST_PAGES ||
        (pages >= LOG_SOON_PAGES && queue_length(journal->queue) == 0))
        db_checkpoint(journal->db, false);
}

static void upkeep_if_due(struct journal *journal)
{
    int64_t now_ms = clock_now_ms();
    int64_t due_ms = atomic_load(&journal->due_ms);
    int64_t next_ms;

    if (now_ms < due_ms)
        return;
    /* Cleared first, so that a call_at() from inside or beside is not overwritten. */
    atomic_store(&journal->due_ms, CLOCK_FOREVER_MS);
    next_ms = journal->hooks.upkeep(journal->hooks.context, journal->db, now_ms);
    due_ms = atomic_load(&journal->due_ms);
    while (next_ms < due_ms &&
           !atomic_compare_exchange_weak(&journal->due_ms, &due_ms, next_ms))
        ;
}

static int64_t time_to_wait(const struct journal *journal)
{
    int64_t due_ms = atomic_load(&journal->due_ms);
    int64_t wait_ms = -1;

    if (due_ms != CLOCK_FOREVER_MS) {
        wait_ms = due_ms - clock_now_ms();
        wait_ms = wait_ms < 0 ? 0 : wait_ms;
    }
    if (db_wal_pages(journal->db) > 0 && (wait_ms < 0 || wait_ms > QUIET_MS))
        wait_ms = QUIET_MS;
    return wait_ms;
}

static void *run(void *context)
{
    struct journal *journal = context;
    void *jobs[BATCH_MAX_JOBS];

    pthread_setname_np(pthread_self(), "journal");
    for (;;) {
        int64_t wait_ms = time_to_wait(journal);
        size_t count = queue_pop_many(journal->queue, jobs, BATCH_MAX_JOBS, wait_ms);

        metric_set(journal->queued, (int64_t)queue_length(journal->queue));
        if (count) {
            process(journal, (struct journal_job **)jobs, count);
            checkpoint_if_long(journal);
        } else if (queue_is_closed(journal->queue)) {
            return NULL;
        } else if (wait_ms == QUIET_MS) {
            /* Quiet: now the log's space can be given back without anybody waiting. */
            db_checkpoint(journal->db, true);
        }
        upkeep_if_due(journal);
    }
}

static void register_metrics(struct journal *journal, struct metrics *metrics)
{
    journal->commits = metrics_counter(metrics, "journal_commits_total", "",
                                       "Transactions committed by the journal");
    journal->failures = metrics_counter(metrics, "journal_failures_total", "",
                                        "Transactions that the disk refused");
    journal->jobs = metrics_counter(metrics, "journal_jobs_total", "",
                                    "Jobs taken by the journal (per commit: the batch size)");
    journal->queued =
        metrics_gauge(metrics, "journal_queue_length", "", "Jobs waiting for the next commit");
    journal->commit_time = metrics_histogram(metrics, "journal_commit_seconds", "",
                                             "Time of COMMIT, the disk included");
    journal->batch_time = metrics_histogram(metrics, "journal_batch_seconds", "",
                                            "Time of a whole batch, BEGIN to COMMIT");
}

/* Signals belong to the loop: the thread is born with all of them blocked. */
static int start_thread(struct journal *journal)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    rc = pthread_create(&journal->thread, &attributes, run, journal);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int journal_new(struct db *db, const struct journal_hooks *hooks, struct metrics *metrics,
                struct journal **ret_journal, struct err *err)
{
    struct journal *journal = xcalloc(1, sizeof(*journal));
    char reason[128];
    int rc;

    journal->db = db;
    journal->hooks = *hooks;
    journal->queue = queue_new(QUEUE_MAX_JOBS + QUEUE_KEPT_JOBS);
    atomic_init(&journal->due_ms, CLOCK_FOREVER_MS);
    register_metrics(journal, metrics);
    rc = start_thread(journal);
    if (rc != 0) {
        queue_free(journal->queue);
        free(journal);
        return err_set(err, ERR_SYSTEM, "cannot start the journal thread: %s",
                       err_errno_text(rc, reason, sizeof(reason)));
    }
    *ret_journal = journal;
    return 0;
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    queue_close(journal->queue);
    pthread_join(journal->thread, NULL);
    queue_free(journal->queue);
    free(journal);
}

bool journal_submit(struct journal *journal, struct journal_job *job)
{
    return queue_length(journal->queue) < QUEUE_MAX_JOBS && queue_push(journal->queue, job);
}

/* A job that somebody waits for, around the one that does the work. */
struct waiting_job {
    struct journal_job base;
    struct journal_job *inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;
    bool failed;
    struct err *err;
};

static int waiting_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct waiting_job *job = (struct waiting_job *)base;

    return job->inner->apply(job->inner, db, err);
}

static void waiting_done(struct journal_job *base, const struct err *err)
{
    struct waiting_job *job = (struct waiting_job *)base;

    pthread_mutex_lock(&job->lock);
    job->failed = err != NULL;
    if (err && job->err)
        *job->err = *err;
    job->finished = true;
    pthread_cond_signal(&job->changed);
    pthread_mutex_unlock(&job->lock);
}

static int run_and_wait(struct journal *journal, struct waiting_job *waiting, struct err *err)
{
    waiting->err = err;
    if (pthread_equal(pthread_self(), journal->thread))
        return err_set(err, ERR_INPUT, "the journal cannot wait for itself");
    pthread_mutex_init(&waiting->lock, NULL);
    pthread_cond_init(&waiting->changed, NULL);
    if (queue_push(journal->queue, &waiting->base)) {
        pthread_mutex_lock(&waiting->lock);
        while (!waiting->finished)
            pthread_cond_wait(&waiting->changed, &waiting->lock);
        pthread_mutex_unlock(&waiting->lock);
    } else {
        waiting->failed = true;
        err_set(err, ERR_TEMP, "the journal takes nothing: %s",
                queue_is_closed(journal->queue) ? "it is closed" : "its queue is full");
    }
    pthread_cond_destroy(&waiting->changed);
    pthread_mutex_destroy(&waiting->lock);
    return waiting->failed ? -1 : 0;
}

int journal_run(struct journal *journal, struct journal_job *job, struct err *err)
{
    struct waiting_job waiting = { .base = { .apply = waiting_apply, .done = waiting_done },
                                   .inner = job };

    return run_and_wait(journal, &waiting, err);
}

/* A job that writes nothing; the call is made when the batch around it is committed. */
struct calling_job {
    struct waiting_job waiting;
    struct db *db;
    journal_call_fn call;
    void *context;
};

static void calling_done(struct journal_job *base, const struct err *err)
{
    struct calling_job *job = (struct calling_job *)base;
    struct err local = { 0 };

    if (!err && job->call(job->context, job->db, &local) < 0)
        err = &local;
    waiting_done(base, err);
}

int journal_call(struct journal *journal, journal_call_fn call, void *context, struct err *err)
{
    struct calling_job job = { .waiting.base = { .apply = wake_apply, .done = calling_done },
                               .db = journal->db,
                               .call = call,
                               .context = context };

    return run_and_wait(journal, &job.waiting, err);
}

void journal_call_at(struct journal *journal, int64_t when_ms)
{
    int64_t due_ms = atomic_load(&journal->due_ms);
    struct journal_job *job;

    while (when_ms < due_ms) {
        if (!atomic_compare_exchange_weak(&journal->due_ms, &due_ms, when_ms))
            continue;
        /* A sleeping journal must look at its alarm again; its own thread does so anyway. */
        if (pthread_equal(pthread_self(), journal->thread))
            return;
        job = xcalloc(1, sizeof(*job));
        job->apply = wake_apply;
        job->done = wake_done;
        if (!queue_push(journal->queue, job))
            free(job); /* full or closed: it is awake */
        return;
    }
}
