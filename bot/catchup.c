#include "bot/catchup.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "bot/app.h"
#include "bot/intake.h"
#include "bot/loop.h"
#include "bot/surface_terminal.h"
#include "slack/event.h"
#include "slack/web.h"

#define LOG_MODULE "bot.catchup"
#include "base/log.h"

#define DAY_US           (INT64_C(24) * 3600 * 1000000)
#define PAGES_MAX        3 /* of a place: some 600 messages */
#define ROUNDS_MAX       3 /* then it waits for the links to come back anew */
#define CALL_DEADLINE_MS 180000
#define SLICE_MS         100
#define SETTLE_SLICE_MS  10
#define STATE_MAX_BYTES  64

struct catchup {
    struct app *app;
    struct catchup_options options;
    struct metric *runs;
    struct metric *messages;

    unsigned ready; /* loop, as the next three */
    bool was_ever_ready;
    int64_t gone_since_ms;
    bool has_thread;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the rest */
    bool is_running;
    bool is_start;    /* what is owed depends on what the disk says */
    int64_t owed_us;  /* what came before that (wall time) is known; 0: nothing is owed */
    int64_t owed2_us; /* a second gap, that came while the first was being paid */
};

/* What a run has to do and how far it has come; survives its rounds. */
struct run {
    struct catchup *catchup;
    struct slack_web *web;
    struct memory_place places[CATCHUP_PLACES_MAX];
    size_t places_count;
    bool is_listed;
    size_t next; /* two to a place: its thread, its channel */
    bool is_refusal_told;
    size_t calls;
    size_t refused;
    size_t cut;
    int64_t found;
};

/* Messages of one place on their way through the loop and the journal. */
struct batch {
    struct catchup *catchup;
    struct slack_event *events; /* oldest first once complete */
    size_t count;
    size_t capacity;
    bool is_held; /* by the thread; guarded by the catchup's lock, as the next three */
    size_t unsettled;
    size_t taken;
    bool is_not_durable;
};

static bool is_stopping(const struct catchup *catchup)
{
    return atomic_load(&catchup->app->is_stopping);
}

/* False when the daemon stops meanwhile. */
static bool wait_ms(const struct catchup *catchup, int64_t wait)
{
    int64_t until = clock_now_ms() + wait;

    while (!is_stopping(catchup)) {
        int64_t left = until - clock_now_ms();
        struct timespec slice = { 0 };

        if (left <= 0)
            return true;
        slice.tv_nsec = (left < SLICE_MS ? left : SLICE_MS) * 1000000;
        nanosleep(&slice, NULL);
    }
    return false;
}

/* ---- what is owed, on disk ----------------------------------------------------------------
 */

static char *state_path(const struct catchup *catchup)
{
    struct config *config = app_config(catchup->app);
    char *path = xasprintf("%s/catchup", config->state_dir);

    config_unref(config);
    return path;
}

static void save_owed(const struct catchup *catchup, int64_t owed_us)
{
    AUTO_FREE char *path = state_path(catchup);
    AUTO_FREE char *text = xasprintf("%" PRId64 "\n", owed_us);
    struct err err = { 0 };

    if (file_write(path, text, strlen(text), 0600, &err) < 0)
        log_warn("cannot note that messages are missing, a restart now would forget it: %s",
                 err.message);
}

static void forget_owed(const struct catchup *catchup)
{
    AUTO_FREE char *path = state_path(catchup);

    unlink(path);
}

/* What an earlier process owed; 0 for nothing, or nothing that could be read. */
static int64_t load_owed(const struct catchup *catchup)
{
    AUTO_FREE char *path = state_path(catchup);
    AUTO_BUF struct buf text = { 0 };
    int64_t owed_us;

    buf_init(&text, STATE_MAX_BYTES);
    if (file_read(path, &text, NULL) < 0)
        return 0;
    owed_us = strtoll(buf_text(&text), NULL, 10);
    return owed_us > 0 && owed_us < clock_wall_us() ? owed_us : 0;
}

/* At the start: what an earlier process owed, or else the gap since the last message. */
static int64_t owed_at_start(const struct catchup *catchup, int64_t now_us)
{
    int64_t owed_us = load_owed(catchup);
    int64_t last_us = 0;
    struct err err = { 0 };

    if (owed_us)
        return owed_us;
    if (memory_last_message(catchup->app->memory, TERMINAL_CHANNEL, now_us, &last_us, &err) <
        0) {
        log_err("cannot tell whether messages are missing: %s", err.message);
        return 0;
    }
    return last_us && now_us - last_us > catchup->options.gap_ms * 1000 ? now_us : 0;
}

/* ---- from here to the ledger --------------------------------------------------------------
 */

/* Counts down what `batch` waits for, or lets go of it; the last to do so frees it. */
static void release_batch(struct batch *batch, size_t settled, bool lets_go)
{
    struct catchup *catchup = batch->catchup;
    bool is_last;

    pthread_mutex_lock(&catchup->lock);
    batch->unsettled -= settled;
    batch->is_held = batch->is_held && !lets_go;
    is_last = !batch->is_held && !batch->unsettled;
    pthread_mutex_unlock(&catchup->lock);
    if (!is_last)
        return;
    for (size_t i = 0; i < batch->count; i++)
        slack_event_deinit(&batch->events[i]);
    free(batch->events);
    free(batch);
}

/* On the loop or the journal thread. */
static void on_settled(void *context, enum intake_outcome outcome)
{
    struct batch *batch = context;

    pthread_mutex_lock(&batch->catchup->lock);
    batch->taken += outcome == INTAKE_TAKEN;
    batch->is_not_durable = batch->is_not_durable || outcome == INTAKE_NOT_DURABLE;
    pthread_mutex_unlock(&batch->catchup->lock);
    release_batch(batch, 1, false);
}

/* On the loop; also from its last draining, when the memory is closed already. */
static void feed(void *context, void *item)
{
    struct catchup *catchup = context;
    struct batch *batch = item;

    if (is_stopping(catchup)) {
        release_batch(batch, batch->count + 1, false);
        return;
    }
    for (size_t i = 0; i < batch->count; i++)
        intake_message(catchup->app->intake, &batch->events[i], on_settled, batch);
    release_batch(batch, 1, false);
}

static bool is_settled(struct batch *batch)
{
    bool settled;

    pthread_mutex_lock(&batch->catchup->lock);
    settled = batch->unsettled == 0;
    pthread_mutex_unlock(&batch->catchup->lock);
    return settled;
}

/* Hands the batch to the intake and waits until the disk has it. ERR_TEMP: not all of it. */
static int deliver(struct run *run, struct batch *batch, struct err *err)
{
    int rc = 0;

    batch->unsettled = batch->count + 1; /* and the feeding itself, which reads them */
    loop_post(run->catchup->app->loop, feed, run->catchup, batch);
    while (!is_settled(batch)) {
        if (!wait_ms(run->catchup, SETTLE_SLICE_MS))
            return err_set(err, ERR_TEMP, "the daemon stops");
    }
    pthread_mutex_lock(&run->catchup->lock);
    run->found += (int64_t)batch->taken;
    metric_add(run->catchup->messages, (int64_t)batch->taken);
    if (batch->is_not_durable)
        rc = err_set(err, ERR_TEMP, "the ledger did not take every message");
    pthread_mutex_unlock(&run->catchup->lock);
    return rc;
}

/* ---- from Slack to here -------------------------------------------------------------------
 */

static void collect(void *context, struct slack_event *event)
{
    struct batch *batch = context;

    if (event->kind != SLACK_EVENT_MESSAGE) {
        slack_event_deinit(event);
        return;
    }
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 16;
        batch->events = xrealloc(batch->events, batch->capacity, sizeof(*batch->events));
    }
    batch->events[batch->count++] = *event;
}

static int compare_events(const void *a, const void *b)
{
    return slack_compare_ts(((const struct slack_event *)a)->ts,
                            ((const struct slack_event *)b)->ts);
}

static bool is_direct(const char *channel)
{
    return channel[0] == 'D';
}

/*
 * In the list a direct message no longer says whether it was written in Slack's agent view,
 * where each is a thread of its own. The ledger knows how those before it were answered.
 */
static bool is_answered_in_threads(const struct run *run, const char *channel)
{
    for (size_t i = 0; i < run->places_count; i++) {
        if (strcmp(run->places[i].channel, channel) == 0 && !*run->places[i].thread_ts)
            return false;
    }
    return true;
}

static void complete(const struct run *run, const struct slack_reading *reading,
                     struct batch *batch)
{
    if (batch->count)
        qsort(batch->events, batch->count, sizeof(*batch->events), compare_events);
    if (!is_direct(reading->channel) || !is_answered_in_threads(run, reading->channel))
        return;
    for (size_t i = 0; i < batch->count; i++)
        batch->events[i].is_agent_surface = true;
}

static int read_pages(struct run *run, const struct slack_reading *reading, struct batch *batch,
                      struct err *err)
{
    char cursor[SLACK_CURSOR_MAX_BYTES] = "";

    for (unsigned page = 0; page < PAGES_MAX; page++) {
        if (!wait_ms(run->catchup, run->calls++ ? run->catchup->options.pause_ms : 0))
            return err_set(err, ERR_TEMP, "the daemon stops");
        if (slack_read_messages(run->web, reading, cursor, collect, batch, err) < 0)
            return -1;
        if (!*cursor)
            return 0;
    }
    run->cut++;
    log_warn("more was said in channel=%s thread=%s than is read after an outage",
             reading->channel, reading->thread_ts);
    return 0;
}

static int read_and_deliver(struct run *run, const struct slack_reading *reading,
                            struct err *err)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));
    int rc;

    batch->catchup = run->catchup;
    batch->is_held = true;
    rc = read_pages(run, reading, batch, err);
    if (rc == 0 && batch->count) {
        complete(run, reading, batch);
        rc = deliver(run, batch, err);
    }
    release_batch(batch, 0, true);
    return rc;
}

/* ---- places -------------------------------------------------------------------------------
 */

static int list_places(struct run *run, int64_t owed_us, struct err *err)
{
    struct memory *memory = run->catchup->app->memory;
    struct memory_places_query query = { .before_wall_us = owed_us,
                                         .except_channel = TERMINAL_CHANNEL };
    int64_t last_us = 0;

    if (memory_last_message(memory, TERMINAL_CHANNEL, owed_us, &last_us, err) < 0)
        return -1;
    query.since_wall_us = last_us - DAY_US;
    if (last_us && memory_active_places(memory, &query, run->places, CATCHUP_PLACES_MAX,
                                        &run->places_count, err) < 0)
        return -1;
    run->is_listed = true;
    return 0;
}

/* Has a place before this one asked for its channel? */
static bool is_channel_asked(const struct run *run, size_t place)
{
    for (size_t i = 0; i < place; i++) {
        if (strcmp(run->places[i].channel, run->places[place].channel) == 0)
            return true;
    }
    return false;
}

/*
 * What is older than a day is not answered any more; the ledger keeps what it knows for twice
 * that, so nothing older than its memory is ever offered to it.
 */
static int ask(struct run *run, size_t place, bool of_channel, struct err *err)
{
    const struct memory_place *at = &run->places[place];
    char day_ago[SLACK_TS_MAX_BYTES];
    struct slack_reading reading = { .team = at->team,
                                     .channel = at->channel,
                                     .thread_ts = of_channel ? "" : at->thread_ts,
                                     .oldest = at->newest_ts };

    if (of_channel ? is_channel_asked(run, place) : !*at->thread_ts)
        return 0;
    snprintf(day_ago, sizeof(day_ago), "%" PRId64 ".000000",
             (clock_wall_us() - DAY_US) / 1000000);
    if (slack_compare_ts(reading.oldest, day_ago) < 0)
        reading.oldest = day_ago;
    if (read_and_deliver(run, &reading, err) == 0)
        return 0;
    if (err->kind == ERR_TEMP || err->kind == ERR_SYSTEM)
        return err_wrap(err, "channel %s", at->channel);
    run->refused++;
    if (!run->is_refusal_told)
        log_warn("cannot read what was said in channel=%s thread=%s meanwhile, passing over it "
                 "and others like it: %s",
                 reading.channel, reading.thread_ts, err->message);
    run->is_refusal_told = true;
    return 0;
}

/* 0 when everything was asked and taken; it goes on where it failed when it is called again. */
static int run_round(struct run *run, int64_t owed_us, struct err *err)
{
    if (!run->is_listed && list_places(run, owed_us, err) < 0)
        return -1;
    for (; run->next < 2 * run->places_count; run->next++) {
        if (ask(run, run->next / 2, run->next % 2, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the thread ---------------------------------------------------------------------------
 */

static struct slack_web *open_web(const struct catchup *catchup)
{
    struct config *config = app_config(catchup->app);
    struct slack_web *web =
        slack_web_new(config->slack.api_url, config->slack.bot_token, catchup->app->limits);

    config_unref(config);
    slack_web_set_cancel(web, &catchup->app->is_stopping);
    slack_web_set_deadline(web, CALL_DEADLINE_MS);
    return web;
}

/* True when what is owed since then is paid. */
static bool pay(struct catchup *catchup, int64_t owed_us)
{
    struct run *run = xcalloc(1, sizeof(*run));
    struct err err = { 0 };
    int64_t began_ms = clock_now_ms();
    bool is_paid;
    char took[32];

    save_owed(catchup, owed_us);
    metric_add(catchup->runs, 1);
    run->catchup = catchup;
    run->web = open_web(catchup);
    for (unsigned round = 1; !(is_paid = run_round(run, owed_us, &err) == 0); round++) {
        if (round == ROUNDS_MAX || is_stopping(catchup))
            break;
        log_info("catching up is interrupted, going on soon: %s", err.message);
        if (!wait_ms(catchup, catchup->options.retry_ms))
            break;
    }
    if (is_paid)
        log_info("caught up with what was said while Slack was away: places=%zu calls=%zu "
                 "messages=%" PRId64 " refused=%zu cut=%zu took=%s",
                 run->places_count, run->calls, run->found, run->refused, run->cut,
                 clock_human(clock_now_ms() - began_ms, took));
    else if (!is_stopping(catchup))
        log_warn("not caught up with what was said while Slack was away, going on when a link "
                 "is next back, or at the next start: %s",
                 err.message);
    if (is_paid)
        forget_owed(catchup);
    for (size_t i = 0; i < run->places_count; i++)
        memory_place_deinit(&run->places[i]);
    slack_web_free(run->web);
    free(run);
    return is_paid;
}

/* What to pay next, 0 for nothing: then the thread counts as ended. */
static int64_t next_owed(struct catchup *catchup)
{
    int64_t owed_us;
    bool is_start;

    pthread_mutex_lock(&catchup->lock);
    owed_us = catchup->owed_us;
    is_start = catchup->is_start;
    catchup->is_start = false;
    pthread_mutex_unlock(&catchup->lock);
    if (is_start)
        owed_us = owed_at_start(catchup, owed_us);
    pthread_mutex_lock(&catchup->lock);
    if (!owed_us) {
        owed_us = catchup->owed2_us;
        catchup->owed2_us = 0;
    }
    catchup->owed_us = owed_us;
    catchup->is_running = owed_us != 0;
    pthread_mutex_unlock(&catchup->lock);
    return owed_us;
}

static void settle_owed(struct catchup *catchup, bool is_paid)
{
    pthread_mutex_lock(&catchup->lock);
    if (is_paid)
        catchup->owed_us = catchup->owed2_us;
    catchup->owed2_us = 0; /* an older gap that is still owed covers the newer one */
    catchup->is_running = is_paid;
    pthread_mutex_unlock(&catchup->lock);
}

static void *run_thread(void *context)
{
    struct catchup *catchup = context;
    bool is_paid = true;
    int64_t owed_us;

    while (is_paid && (owed_us = next_owed(catchup)) != 0) {
        is_paid = pay(catchup, owed_us);
        settle_owed(catchup, is_paid);
    }
    return NULL;
}

/* ---- the links ----------------------------------------------------------------------------
 */

struct catchup *catchup_new(struct app *app, const struct catchup_options *options)
{
    struct catchup *catchup = xcalloc(1, sizeof(*catchup));

    catchup->app = app;
    catchup->options = *options;
    pthread_mutex_init(&catchup->lock, NULL);
    catchup->runs = metrics_counter(app->metrics, "catchups_total", "",
                                    "Times that missed messages were asked for.");
    catchup->messages = metrics_counter(app->metrics, "catchup_messages_total", "",
                                        "Messages for us that were found so.");
    return catchup;
}

/* Notes what is owed; true when a thread is to be started for it. */
static bool note_owed(struct catchup *catchup, bool is_start, bool is_long_gap)
{
    int64_t now_us = clock_wall_us();
    bool starts;

    pthread_mutex_lock(&catchup->lock);
    catchup->is_start = catchup->is_start || is_start;
    if (is_long_gap && catchup->is_running)
        catchup->owed2_us = catchup->owed2_us ? catchup->owed2_us : now_us;
    else if (is_long_gap && !catchup->owed_us)
        catchup->owed_us = now_us;
    starts = catchup->owed_us && !catchup->is_running;
    catchup->is_running = catchup->is_running || starts;
    pthread_mutex_unlock(&catchup->lock);
    return starts;
}

void catchup_links(struct catchup *catchup, unsigned ready, int64_t now_ms)
{
    bool is_back = ready && !catchup->ready;
    bool is_start = is_back && !catchup->was_ever_ready;
    bool is_long_gap = is_start || now_ms - catchup->gone_since_ms > catchup->options.gap_ms;

    if (!ready && catchup->ready)
        catchup->gone_since_ms = now_ms;
    catchup->ready = ready;
    catchup->was_ever_ready = catchup->was_ever_ready || is_back;
    if (!is_back || is_stopping(catchup) || !note_owed(catchup, is_start, is_long_gap))
        return;
    catchup_join(catchup); /* of an earlier one, which has ended */
    catchup->has_thread = pthread_create(&catchup->thread, NULL, run_thread, catchup) == 0;
    if (!catchup->has_thread) {
        log_err("no thread to catch up with, trying again when a link is next back");
        settle_owed(catchup, false);
    }
}

void catchup_join(struct catchup *catchup)
{
    if (!catchup || !catchup->has_thread)
        return;
    pthread_join(catchup->thread, NULL);
    catchup->has_thread = false;
}

void catchup_free(struct catchup *catchup)
{
    if (!catchup)
        return;
    pthread_mutex_destroy(&catchup->lock);
    free(catchup);
}
