#include "bot/courier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/queue.h"
#include "base/thread.h"

#define LOG_MODULE "bot.courier"
#include "base/log.h"

#define QUEUE_MAX        256
#define CALL_DEADLINE_MS 20000
#define FRESH_MS         5000 /* "seen" that comes later says nothing, and delays the next one */

struct parcel {
    char *channel;
    char *ts;
    char *name;
    int64_t asked_ms;
};

struct courier {
    struct queue *queue;
    struct slack_web *web;
    atomic_bool is_stopping;
    pthread_t thread;
    struct metric *dropped;
};

static void free_parcel(struct parcel *parcel)
{
    free(parcel->channel);
    free(parcel->ts);
    free(parcel->name);
    free(parcel);
}

static void deliver(struct courier *courier, const struct parcel *parcel)
{
    struct err err = { 0 };

    if (atomic_load(&courier->is_stopping))
        return;
    if (clock_now_ms() - parcel->asked_ms > FRESH_MS) {
        metric_add(courier->dropped, 1);
        return;
    }
    if (slack_add_reaction(courier->web, parcel->channel, parcel->ts, parcel->name, &err) < 0)
        log_debug("no reaction on channel=%s ts=%s: %s", parcel->channel, parcel->ts,
                  err.message);
}

static void *run(void *context)
{
    struct courier *courier = context;
    struct parcel *parcel;

    while ((parcel = queue_pop(courier->queue, -1)) != NULL) {
        deliver(courier, parcel);
        free_parcel(parcel);
    }
    return NULL;
}

struct courier *courier_new(const char *api_url, const char *bot_token,
                            struct slack_limits *limits, struct metrics *metrics)
{
    struct courier *courier = xcalloc(1, sizeof(*courier));

    courier->queue = queue_new(QUEUE_MAX);
    courier->web = slack_web_new(api_url, bot_token, limits);
    slack_web_set_cancel(courier->web, &courier->is_stopping);
    slack_web_set_deadline(courier->web, CALL_DEADLINE_MS);
    courier->dropped =
        metrics_counter(metrics, "reactions_dropped_total", "",
                        "Reactions not sent because too many waited, or too long.");
    thread_start(&courier->thread, "courier", run, courier);
    return courier;
}

void courier_free(struct courier *courier)
{
    if (!courier)
        return;
    atomic_store(&courier->is_stopping, true);
    queue_close(courier->queue);
    pthread_join(courier->thread, NULL);
    queue_free(courier->queue);
    slack_web_free(courier->web);
    free(courier);
}

void courier_react(struct courier *courier, const char *channel, const char *ts,
                   const char *name)
{
    struct parcel *parcel = xcalloc(1, sizeof(*parcel));

    parcel->channel = xstrdup(channel);
    parcel->ts = xstrdup(ts);
    parcel->name = xstrdup(name);
    parcel->asked_ms = clock_now_ms();
    if (!queue_push(courier->queue, parcel)) {
        metric_add(courier->dropped, 1);
        free_parcel(parcel);
    }
}
