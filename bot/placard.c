#include "bot/placard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bot/app.h"
#include "bot/dispatch.h"
#include "bot/pace.h"
#include "slack/notice.h"

#define LOG_MODULE "bot.placard"
#include "base/log.h"

#define LOOK_MS          500
#define CALL_DEADLINE_MS 3000
#define RETRY_MS         10000 /* after a failed call */
#define NEVER_MS         (INT64_MIN / 4)

struct item {
    TAILQ_ENTRY(item) in_list;
    struct dispatch_place place; /* as of the last look */
    struct slack_notice notice;
    char *key;
    size_t shown_ahead;
    int64_t shown_at_ms;
    int64_t retry_at_ms;
    bool is_shown;
    bool is_listed; /* in the last look */
    bool is_busy;   /* a call is being made for it */
};

struct placard {
    struct app *app;
    struct slack_web *web;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the items and is_stopping */
    pthread_cond_t changed;
    TAILQ_HEAD(item_list, item) items; /* in the order of their places */
    bool is_stopping;
    int64_t calls_full_at_ms; /* the bucket of calls, as in slack/limits.c */
    struct metric *notices;
};

char *placard_answer_key(int64_t id, unsigned attempts, bool is_run)
{
    /* The ledger has counted an answer that was begun. */
    return xasprintf("%lld-%u", (long long)id, attempts + (is_run ? 0 : 1));
}

static void free_item(struct item *item)
{
    dispatch_place_deinit(&item->place);
    free(item->key);
    free(item);
}

static struct slack_notice_place place_of(const struct item *item)
{
    return (struct slack_notice_place){
        .channel = item->place.channel,
        .thread_ts = item->place.reply_thread,
        .key = item->key,
        .since_s = item->place.received_wall_us / 1000000,
        .takes_message = item->place.has_company,
        .looks_first = item->place.is_found,
    };
}

/* ---- looking ------------------------------------------------------------------------------
 */

static struct item *find_locked(struct placard *placard, int64_t id)
{
    struct item *item;

    TAILQ_FOREACH(item, &placard->items, in_list)
    {
        if (item->place.id == id)
            return item;
    }
    return NULL;
}

/* What an earlier process showed stands in the ledger. */
static struct item *new_item(const struct dispatch_place *place)
{
    struct item *item = xcalloc(1, sizeof(*item));

    item->key = placard_answer_key(place->id, place->attempts, false);
    item->shown_at_ms = item->retry_at_ms = NEVER_MS;
    if (slack_reply_state_message(place->reply_state, item->notice.ts))
        item->is_shown = true;
    return item;
}

/* Adopts the place. */
static void note_place_locked(struct placard *placard, struct dispatch_place *place)
{
    struct item *item = find_locked(placard, place->id);

    if (place->is_run || (!item && place->waited_ms < PLACARD_AFTER_MS)) {
        dispatch_place_deinit(place);
        return;
    }
    if (item)
        TAILQ_REMOVE(&placard->items, item, in_list);
    else
        item = new_item(place);
    dispatch_place_deinit(&item->place);
    item->place = *place;
    item->is_listed = true;
    /* A turn that runs in the same thread has taken the status line over, and clears it. */
    if (place->has_company && item->notice.is_status) {
        item->notice = (struct slack_notice){ .ts = "" };
        item->is_shown = false;
    }
    TAILQ_INSERT_TAIL(&placard->items, item, in_list);
}

static void look(struct placard *placard)
{
    struct dispatch_place places[DISPATCH_PLACES_MAX];
    size_t count = dispatch_list_waiting(placard->app->dispatch, clock_now_ms(), places,
                                         DISPATCH_PLACES_MAX);
    struct item *item;

    pthread_mutex_lock(&placard->lock);
    TAILQ_FOREACH(item, &placard->items, in_list)
    item->is_listed = false;
    for (size_t i = 0; i < count; i++)
        note_place_locked(placard, &places[i]);
    pthread_mutex_unlock(&placard->lock);
}

/* ---- showing ------------------------------------------------------------------------------
 */

static bool take_call(struct placard *placard, int64_t now_ms)
{
    int64_t earliest_ms = now_ms - (int64_t)PLACARD_CALL_MS * (PLACARD_BURST - 1);

    if (placard->calls_full_at_ms > now_ms)
        return false;
    if (placard->calls_full_at_ms < earliest_ms)
        placard->calls_full_at_ms = earliest_ms;
    placard->calls_full_at_ms += PLACARD_CALL_MS;
    return true;
}

static void print_text(const struct item *item, struct buf *out)
{
    buf_init(out, SLACK_NOTICE_BYTES - 1);
    pace_print(item->place.ahead, item->place.wait_ms, out);
}

static bool is_due(const struct item *item, int64_t now_ms)
{
    AUTO_BUF struct buf text = { 0 };
    bool is_same;

    if (now_ms < item->retry_at_ms)
        return false;
    if (!item->is_shown || item->shown_ahead != item->place.ahead)
        return true;
    print_text(item, &text);
    is_same = strcmp(buf_text(&text), item->notice.shown) == 0;
    if (is_same && !item->notice.is_status)
        return false;
    return now_ms - item->shown_at_ms >= (is_same ? PLACARD_REFRESH_MS : PLACARD_CHANGE_MS);
}

static void show(struct placard *placard, struct item *item)
{
    struct slack_notice_place place = place_of(item);
    bool had_message = *item->notice.ts != '\0';
    struct err err = { 0 };
    AUTO_BUF struct buf text = { 0 };

    print_text(item, &text);
    if (slack_notice_show(placard->web, placard->app->features, &place, buf_text(&text),
                          &item->notice, &err) < 0) {
        item->retry_at_ms = clock_now_ms() + RETRY_MS;
        log_debug("a place in the queue is not shown, channel=%s: %s", place.channel,
                  err.message);
    } else {
        item->is_shown = true;
        item->shown_ahead = item->place.ahead;
        item->shown_at_ms = clock_now_ms();
        metric_add(placard->notices, 1);
    }
    if (*item->notice.ts && !had_message) {
        AUTO_FREE char *state = slack_notice_state(&item->notice);

        memory_note_reply(placard->app->memory, &item->place.id, 1, state);
        dispatch_note_notice(placard->app->dispatch, item->place.conversation, item->place.id,
                             item->notice.ts);
    }
}

/* Stopped, withdrawn, refused: nothing takes the line's place. */
static void clear(struct placard *placard, struct item *item)
{
    struct slack_notice_place place = place_of(item);
    struct err err = { 0 };

    if (slack_notice_clear(placard->web, &place, &item->notice, &err) < 0)
        log_info("a place in the queue stays shown, channel=%s: %s", place.channel,
                 err.message);
}

/* The next that something is to be done for, marked busy; NULL for none. */
static struct item *next_due(struct placard *placard)
{
    int64_t now_ms = clock_now_ms();
    struct item *item;

    pthread_mutex_lock(&placard->lock);
    TAILQ_FOREACH(item, &placard->items, in_list)
    {
        if (placard->is_stopping || !item->is_listed ||
            (is_due(item, now_ms) && take_call(placard, now_ms)))
            break;
    }
    if (placard->is_stopping)
        item = NULL;
    if (item)
        item->is_busy = true;
    pthread_mutex_unlock(&placard->lock);
    return item;
}

/*
 * Busy first, asked after: a worker that has taken the message since finds the item busy and
 * waits, one that took it before has left nothing to show.
 */
static void work_off(struct placard *placard)
{
    struct item *item;

    while ((item = next_due(placard)) != NULL) {
        bool is_waiting =
            item->is_listed && dispatch_is_waiting(placard->app->dispatch,
                                                   item->place.conversation, item->place.id);
        bool is_over = !item->is_listed;

        if (is_waiting)
            show(placard, item);
        else if (is_over)
            clear(placard, item);
        pthread_mutex_lock(&placard->lock);
        item->is_busy = false;
        if (is_over) {
            TAILQ_REMOVE(&placard->items, item, in_list);
            free_item(item);
        } else if (!is_waiting) {
            item->is_listed = false; /* its worker takes it, or else it is cleared */
            item->retry_at_ms = CLOCK_FOREVER_MS;
        }
        pthread_cond_broadcast(&placard->changed);
        pthread_mutex_unlock(&placard->lock);
        if (!is_waiting && !is_over)
            return;
    }
}

static bool wait_for_next_look(struct placard *placard)
{
    struct timespec until;
    bool goes_on;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * INT64_C(1000000);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&placard->lock);
    while (!placard->is_stopping &&
           pthread_cond_timedwait(&placard->changed, &placard->lock, &until) == 0)
        continue;
    goes_on = !placard->is_stopping;
    pthread_mutex_unlock(&placard->lock);
    return goes_on;
}

static void *run(void *context)
{
    struct placard *placard = context;

    do {
        look(placard);
        work_off(placard);
    } while (wait_for_next_look(placard));
    return NULL;
}

/* ---- the worker's side --------------------------------------------------------------------
 */

/* An earlier process may have died between the post and the note of it. */
static char *find_left_behind(struct slack_web *web, const struct ledger_entry *entry)
{
    AUTO_FREE char *key = placard_answer_key(entry->id, entry->attempts, false);
    struct slack_notice_place place = { .channel = entry->channel,
                                        .thread_ts = entry->reply_thread,
                                        .key = key,
                                        .since_s = entry->received_wall_us / 1000000 };
    struct slack_notice notice = { .ts = "" };
    struct err err = { 0 };

    if (slack_notice_find(web, &place, &notice, &err) <= 0)
        return NULL;
    return slack_notice_state(&notice);
}

char *placard_take(struct placard *placard, struct slack_web *web,
                   const struct ledger_entry *entry, bool is_found)
{
    struct item *item;
    char *state = NULL;

    if (*entry->run_id)
        return NULL;
    pthread_mutex_lock(&placard->lock);
    while ((item = find_locked(placard, entry->id)) != NULL && item->is_busy)
        pthread_cond_wait(&placard->changed, &placard->lock);
    if (item) {
        TAILQ_REMOVE(&placard->items, item, in_list);
        if (*item->notice.ts || item->notice.is_status)
            state = slack_notice_state(&item->notice);
        free_item(item);
    }
    pthread_mutex_unlock(&placard->lock);
    if (!state && *entry->reply_state)
        state = xstrdup(entry->reply_state);
    if (!state && is_found)
        state = find_left_behind(web, entry);
    return state;
}

void placard_discard(struct slack_web *web, const char *channel, const char *thread_ts,
                     const char *state)
{
    struct slack_notice notice = { .is_status = *thread_ts != '\0' };
    struct slack_notice_place place = { .channel = channel, .thread_ts = thread_ts };
    struct err err = { 0 };

    if (slack_reply_state_message(state, notice.ts))
        notice.is_status = false;
    if (slack_notice_clear(web, &place, &notice, &err) < 0)
        log_info("a place in the queue stays shown, channel=%s: %s", channel, err.message);
}

/* ---- start and end ------------------------------------------------------------------------
 */

struct placard *placard_start(struct app *app)
{
    struct placard *placard = xcalloc(1, sizeof(*placard));
    pthread_condattr_t attributes;

    placard->app = app;
    TAILQ_INIT(&placard->items);
    placard->calls_full_at_ms = NEVER_MS;
    pthread_mutex_init(&placard->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&placard->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    placard->web =
        slack_web_new(app->config->slack.api_url, app->config->slack.bot_token, app->limits);
    slack_web_set_deadline(placard->web, CALL_DEADLINE_MS);
    slack_web_set_cancel(placard->web, &app->is_stopping);
    placard->notices = metrics_counter(app->metrics, "queue_notices_total", "",
                                       "Times that somebody was shown their place in line.");
    thread_start(&placard->thread, "placard", run, placard);
    return placard;
}

void placard_join(struct placard *placard)
{
    if (!placard)
        return;
    pthread_mutex_lock(&placard->lock);
    placard->is_stopping = true;
    pthread_cond_broadcast(&placard->changed);
    pthread_mutex_unlock(&placard->lock);
    pthread_join(placard->thread, NULL);
}

void placard_free(struct placard *placard)
{
    struct item *item;

    if (!placard)
        return;
    while ((item = TAILQ_FIRST(&placard->items)) != NULL) {
        TAILQ_REMOVE(&placard->items, item, in_list);
        free_item(item);
    }
    pthread_cond_destroy(&placard->changed);
    pthread_mutex_destroy(&placard->lock);
    slack_web_free(placard->web);
    free(placard);
}
