#include "bot/catchup_run.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "bot/app.h"
#include "bot/catchup.h"
#include "bot/intake.h"
#include "bot/loop.h"
#include "bot/surface_terminal.h"
#include "slack/event.h"
#include "slack/web.h"

#define LOG_MODULE "bot.catchup"
#include "base/log.h"

#define DAY_US           (INT64_C(24) * 3600 * 1000000)
#define PAGES_MAX        3 /* of a place: some 600 messages */
#define CALL_DEADLINE_MS 180000
#define SLICE_MS         100
#define SETTLE_SLICE_MS  10

struct catchup_run {
    struct app *app;
    struct slack_web *web;
    int64_t owed_us;
    int64_t pause_ms;
    struct metric *messages;
    struct memory_place places[CATCHUP_PLACES_MAX];
    bool is_listed;
    bool is_refusal_told;
    size_t next; /* two to a place: its thread, its channel */
    struct catchup_run_figures figures;
};

/* Messages of one place on their way through the loop and the journal. */
struct batch {
    struct app *app;
    struct slack_event *events; /* oldest first once complete */
    size_t count;
    size_t capacity;
    pthread_mutex_t lock; /* guards the rest */
    bool is_held;         /* by the run */
    size_t unsettled;
    size_t taken;
    bool is_not_durable;
};

static bool is_stopping(const struct app *app)
{
    return atomic_load(&app->is_stopping);
}

/* False when the daemon stops meanwhile. */
static bool wait_ms(const struct app *app, int64_t wait)
{
    int64_t until = clock_now_ms() + wait;

    while (!is_stopping(app)) {
        int64_t left = until - clock_now_ms();
        struct timespec slice = { 0 };

        if (left <= 0)
            return true;
        slice.tv_nsec = (left < SLICE_MS ? left : SLICE_MS) * 1000000;
        nanosleep(&slice, NULL);
    }
    return false;
}

/* ---- from here to the ledger --------------------------------------------------------------
 */

/* Counts down what `batch` waits for, or lets go of it; the last to do so frees it. */
static void release_batch(struct batch *batch, size_t settled, bool lets_go)
{
    bool is_last;

    pthread_mutex_lock(&batch->lock);
    batch->unsettled -= settled;
    batch->is_held = batch->is_held && !lets_go;
    is_last = !batch->is_held && !batch->unsettled;
    pthread_mutex_unlock(&batch->lock);
    if (!is_last)
        return;
    for (size_t i = 0; i < batch->count; i++)
        slack_event_deinit(&batch->events[i]);
    pthread_mutex_destroy(&batch->lock);
    free(batch->events);
    free(batch);
}

/* On the loop or the journal thread. */
static void on_settled(void *context, enum intake_outcome outcome)
{
    struct batch *batch = context;

    pthread_mutex_lock(&batch->lock);
    batch->taken += outcome == INTAKE_TAKEN;
    batch->is_not_durable = batch->is_not_durable || outcome == INTAKE_NOT_DURABLE;
    pthread_mutex_unlock(&batch->lock);
    release_batch(batch, 1, false);
}

/* On the loop; also from its last draining, when the memory is closed already. */
static void feed(void *context, void *item)
{
    struct app *app = context;
    struct batch *batch = item;

    if (is_stopping(app)) {
        release_batch(batch, batch->count + 1, false);
        return;
    }
    for (size_t i = 0; i < batch->count; i++)
        intake_message(app->intake, &batch->events[i], on_settled, batch);
    release_batch(batch, 1, false);
}

static bool is_settled(struct batch *batch)
{
    bool settled;

    pthread_mutex_lock(&batch->lock);
    settled = batch->unsettled == 0;
    pthread_mutex_unlock(&batch->lock);
    return settled;
}

/* Hands the batch to the intake and waits until the disk has it. ERR_TEMP: not all of it. */
static int deliver(struct catchup_run *run, struct batch *batch, struct err *err)
{
    int rc = 0;

    batch->unsettled = batch->count + 1; /* and the feeding itself, which reads them */
    loop_post(run->app->loop, feed, run->app, batch);
    while (!is_settled(batch)) {
        if (!wait_ms(run->app, SETTLE_SLICE_MS))
            return err_set(err, ERR_TEMP, "the daemon stops");
    }
    pthread_mutex_lock(&batch->lock);
    run->figures.found += batch->taken;
    metric_add(run->messages, (int64_t)batch->taken);
    if (batch->is_not_durable)
        rc = err_set(err, ERR_TEMP, "the ledger did not take every message");
    pthread_mutex_unlock(&batch->lock);
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
    return decimal_compare(((const struct slack_event *)a)->ts,
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
static bool is_answered_in_threads(const struct catchup_run *run, const char *channel)
{
    for (size_t i = 0; i < run->figures.places; i++) {
        if (strcmp(run->places[i].channel, channel) == 0 && !*run->places[i].thread_ts)
            return false;
    }
    return true;
}

static void complete(const struct catchup_run *run, const struct slack_reading *reading,
                     struct batch *batch)
{
    if (batch->count)
        qsort(batch->events, batch->count, sizeof(*batch->events), compare_events);
    if (!is_direct(reading->channel) || !is_answered_in_threads(run, reading->channel))
        return;
    for (size_t i = 0; i < batch->count; i++)
        batch->events[i].is_agent_surface = true;
}

static int read_pages(struct catchup_run *run, const struct slack_reading *reading,
                      struct batch *batch, struct err *err)
{
    char cursor[SLACK_CURSOR_MAX_BYTES] = "";

    for (unsigned page = 0; page < PAGES_MAX; page++) {
        if (!wait_ms(run->app, run->figures.calls++ ? run->pause_ms : 0))
            return err_set(err, ERR_TEMP, "the daemon stops");
        if (slack_read_messages(run->web, reading, cursor, collect, batch, err) < 0)
            return -1;
        if (!*cursor)
            return 0;
    }
    run->figures.cut++;
    log_warn("more was said in channel=%s thread=%s than is read after an outage",
             reading->channel, reading->thread_ts);
    return 0;
}

static int read_and_deliver(struct catchup_run *run, const struct slack_reading *reading,
                            struct err *err)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));
    int rc;

    batch->app = run->app;
    pthread_mutex_init(&batch->lock, NULL);
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

static int list_places(struct catchup_run *run, struct err *err)
{
    struct memory *memory = run->app->memory;
    struct memory_places_query query = { .before_wall_us = run->owed_us,
                                         .except_channel = TERMINAL_CHANNEL };
    int64_t last_us = 0;

    if (memory_last_message(memory, TERMINAL_CHANNEL, run->owed_us, &last_us, err) < 0)
        return -1;
    query.since_wall_us = last_us - DAY_US;
    if (last_us && memory_active_places(memory, &query, run->places, CATCHUP_PLACES_MAX,
                                        &run->figures.places, err) < 0)
        return -1;
    run->is_listed = true;
    return 0;
}

/* Has a place before this one asked for its channel? */
static bool is_channel_asked(const struct catchup_run *run, size_t place)
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
static int ask(struct catchup_run *run, size_t place, bool of_channel, struct err *err)
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
    if (decimal_compare(reading.oldest, day_ago) < 0)
        reading.oldest = day_ago;
    if (read_and_deliver(run, &reading, err) == 0)
        return 0;
    if (err->kind == ERR_TEMP || err->kind == ERR_SYSTEM)
        return err_wrap(err, "channel %s", at->channel);
    run->figures.refused++;
    if (!run->is_refusal_told)
        log_warn("cannot read what was said in channel=%s thread=%s meanwhile, passing over it "
                 "and others like it: %s",
                 reading.channel, reading.thread_ts, err->message);
    run->is_refusal_told = true;
    return 0;
}

int catchup_run_round(struct catchup_run *run, struct err *err)
{
    if (!run->is_listed && list_places(run, err) < 0)
        return -1;
    for (; run->next < 2 * run->figures.places; run->next++) {
        if (ask(run, run->next / 2, run->next % 2, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------
 */

struct catchup_run *catchup_run_new(struct app *app, int64_t owed_us, int64_t pause_ms,
                                    struct metric *messages)
{
    struct catchup_run *run = xcalloc(1, sizeof(*run));
    struct config *config = app_config(app);

    run->app = app;
    run->owed_us = owed_us;
    run->pause_ms = pause_ms;
    run->messages = messages;
    run->web = slack_web_new(config->slack.api_url, config->slack.bot_token, app->limits);
    config_unref(config);
    slack_web_set_cancel(run->web, &app->is_stopping);
    slack_web_set_deadline(run->web, CALL_DEADLINE_MS);
    return run;
}

void catchup_run_free(struct catchup_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->figures.places; i++)
        memory_place_deinit(&run->places[i]);
    slack_web_free(run->web);
    free(run);
}

struct catchup_run_figures catchup_run_get_figures(const struct catchup_run *run)
{
    return run->figures;
}
