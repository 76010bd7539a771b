#include "bot/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/app.h"
#include "bot/courier.h"
#include "bot/desk.h"
#include "bot/dispatch.h"
#include "bot/guard.h"
#include "bot/limit.h"
#include "bot/loop.h"
#include "bot/note.h"
#include "bot/route.h"
#include "bot/twins.h"
#include "slack/event.h"

#define LOG_MODULE "bot.intake"
#include "base/log.h"

#define BENCH_MAX      256
#define BENCH_TRIES    4
#define BENCH_PAUSE_MS 500
#define YOUNG_THREAD_S 60
#define CLICKS_MAX     64
#define SENTENCE_BYTES 1024
#define NO_WORDS       "(sent a file without words)"

struct pending;

struct intake {
    struct app *app;
    struct route_guard *guard;
    struct limit *limit;
    char *clicks[CLICKS_MAX]; /* recent action_ts + action_id + user: people double-click */
    size_t next_click;
    struct metric *envelopes;
    struct metric *unreadable;
    struct metric *retries;
    struct metric *duplicates;
    struct metric *ignored;
    struct metric *not_durable;
    struct histogram *ack_latency;
    struct pending *bench[BENCH_MAX]; /* loop only */
    size_t on_bench;
};

/* How a message came, and who wants to know what became of it: */
struct delivery {
    struct slack_socket_origin origin; /* in an envelope, on this link ... */
    intake_settled_fn on_settled;      /* ... or without one: NULL for an envelope */
    void *context;
};

/* A message that waits for its commit, or on the bench for the mention that makes it ours. */
struct pending {
    struct intake *intake;
    struct ledger_entry *entry; /* while it is on the bench */
    unsigned tries;
    bool only_if_engaged; /* as it was asked for first */
    bool engages;
    bool is_message; /* not as app_mention */
    struct delivery delivery;
    int64_t received_us;
    struct guard_tally masked; /* what its author is told once it is recorded */
    char envelope_id[];        /* "" needs no ack */
};

struct intake *intake_new(struct app *app)
{
    struct intake *intake = xcalloc(1, sizeof(*intake));
    struct metrics *metrics = app->metrics;

    intake->app = app;
    intake->guard = route_guard_new();
    intake->limit = limit_new(metrics);
    intake->envelopes =
        metrics_counter(metrics, "envelopes_total", "", "Envelopes from Slack.");
    intake->unreadable = metrics_counter(metrics, "envelopes_unreadable_total", "",
                                         "Envelopes that could not be parsed.");
    intake->retries = metrics_counter(metrics, "envelopes_retried_total", "",
                                      "Envelopes that Slack sent again.");
    intake->duplicates = metrics_counter(metrics, "events_duplicate_total", "",
                                         "Events that were known already.");
    intake->ignored =
        metrics_counter(metrics, "events_ignored_total", "", "Events that are not for us.");
    intake->not_durable = metrics_counter(
        metrics, "events_not_durable_total", "",
        "Events that could not be stored and were not acked; Slack sends them again.");
    intake->ack_latency =
        metrics_histogram(metrics, "ack_latency_seconds", "",
                          "From the envelope to its ack, the commit between.");
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    for (size_t i = 0; i < CLICKS_MAX; i++)
        free(intake->clicks[i]);
    for (size_t i = 0; i < intake->on_bench; i++) { /* not acked, so Slack sends them again */
        ledger_entry_free(intake->bench[i]->entry);
        free(intake->bench[i]);
    }
    route_guard_free(intake->guard);
    limit_free(intake->limit);
    free(intake);
}

static void ack_now(struct intake *intake, struct slack_socket_origin origin,
                    const char *envelope_id)
{
    if (*envelope_id)
        slack_socket_ack(intake->app->socket, origin, envelope_id, NULL);
}

/* ---- after the commit ---------------------------------------------------------------------
 */

static void ack_recorded(void *context, void *item)
{
    struct intake *intake = context;
    struct pending *pending = item;

    ack_now(intake, pending->delivery.origin, pending->envelope_id);
    histogram_observe_us(intake->ack_latency, clock_now_us() - pending->received_us);
    free(pending);
}

/*
 * Whether the author has asked too often; then the message is marked so that nobody takes it
 * up, and the author is told. Commands cost next to nothing, and one of them ends a run that
 * costs: they are not counted, nor are admins, nor what was said while the bot was away.
 */
static bool refuses(struct intake *intake, const struct delivery *delivery,
                    const struct ledger_entry *entry)
{
    struct config *config = app_config(intake->app);
    struct limit_answer answer = { 0 };
    AUTO_BUF struct buf sentence = { 0 };

    if (entry->kind == LEDGER_KIND_MESSAGE && !delivery->on_settled &&
        !route_is_admin(config, entry->user))
        answer = limit_count(intake->limit, entry->user, config->access.rate_limit.requests,
                             config->access.rate_limit.window_ms, clock_now_ms());
    config_unref(config);
    /* What cannot be marked would come back at the next start: better answered now. */
    if (!answer.is_refused || !memory_cancel_message(intake->app->memory, entry->id))
        return false;
    log_info("rate limit: user=%s channel=%s ts=%s count=%lld of %lld", entry->user,
             entry->channel, entry->ts, (long long)answer.count, (long long)answer.requests);
    if (answer.is_told) {
        buf_init(&sentence, SENTENCE_BYTES);
        limit_print(&answer, &sentence);
        desk_tell(intake->app->desk, entry->channel, entry->thread_ts, entry->user,
                  buf_text(&sentence));
    }
    return true;
}

/* What was masked in a message, its author is told where nobody else reads it. */
static void tell_author(const struct intake *intake, const struct ledger_entry *entry,
                        const struct guard_tally *masked)
{
    AUTO_BUF struct buf sentence = { 0 };
    AUTO_BUF struct buf kinds = { 0 };
    struct note note;

    if (!masked->count)
        return;
    buf_init(&kinds, SENTENCE_BYTES);
    guard_print_kinds(masked, &kinds);
    log_warn("masked in a message: user=%s channel=%s ts=%s count=%u kind=%s", entry->user,
             entry->channel, entry->ts, masked->count, buf_text(&kinds));
    buf_init(&sentence, SENTENCE_BYTES);
    guard_print_notice(masked, &sentence);
    note_parse(entry->attributes, &note);
    desk_whisper(intake->app->desk, entry->channel,
                 note.is_direct ? entry->reply_thread : entry->thread_ts, entry->user,
                 note.is_direct, buf_text(&sentence));
    note_deinit(&note);
}

static void hand_on(struct app *app, struct ledger_entry *entry)
{
    if (entry->kind == LEDGER_KIND_COMMAND) {
        desk_command(app->desk, entry);
        return;
    }
    courier_react(app->courier, entry->channel, entry->ts, "eyes");
    dispatch_submit(app->dispatch, entry, DISPATCH_NEW);
}

/* ---- replies that overtook their mention
 * -----------------------------------------------------
 *
 * Slack deals events out to several links, so a reply in a young thread can come before the
 * mention that began it. Such a reply is not for us yet: it sits on the bench, not acked, and
 * is tried again a few times within the three seconds that Slack gives an ack.
 */

static void on_recorded(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                        void *user_data);

static bool is_in_young_thread(const struct ledger_entry *entry)
{
    return *entry->thread_ts &&
           strtoll(entry->ts, NULL, 10) - strtoll(entry->thread_ts, NULL, 10) < YOUNG_THREAD_S;
}

static bool may_wait(const struct pending *pending, const struct ledger_entry *entry)
{
    return !pending->delivery.on_settled && pending->tries < BENCH_TRIES &&
           is_in_young_thread(entry);
}

static void try_bench_again(void *context, void *item)
{
    struct intake *intake = context;
    size_t count = intake->on_bench;

    (void)item;
    intake->on_bench = 0; /* who has to sit down again comes by loop_post() */
    for (size_t i = 0; i < count; i++) {
        struct pending *pending = intake->bench[i];
        struct ledger_request request = { .entry = pending->entry,
                                          .only_if_engaged = pending->only_if_engaged,
                                          .engages = pending->engages,
                                          .on_recorded = on_recorded,
                                          .context = intake,
                                          .user_data = pending };

        pending->entry = NULL;
        if (memory_record_message(intake->app->memory, &request))
            continue;
        metric_add(intake->not_durable, 1);
        ledger_entry_free(request.entry);
        free(pending);
    }
}

static void sit_on_bench(void *context, void *item)
{
    struct intake *intake = context;
    struct pending *pending = item;

    if (intake->on_bench == BENCH_MAX) {
        metric_add(intake->ignored, 1);
        ledger_entry_free(take_ptr(&pending->entry));
        ack_recorded(intake, pending);
        return;
    }
    if (!intake->on_bench)
        loop_after(intake->app->loop, BENCH_PAUSE_MS, try_bench_again, intake, NULL);
    intake->bench[intake->on_bench++] = pending;
}

/* On the journal thread, in the order of arrival. */
static void on_recorded(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                        void *user_data)
{
    struct intake *intake = context;
    struct pending *pending = user_data;
    struct delivery delivery = pending->delivery;
    struct guard_tally masked = pending->masked;
    enum intake_outcome settled = INTAKE_LEFT;

    if (pending->is_message && (outcome == LEDGER_NEW || outcome == LEDGER_DUPLICATE))
        twins_note(pending->intake->app->twins, entry->channel, entry->ts);

    if (outcome == LEDGER_NOT_ENGAGED && may_wait(pending, entry)) {
        pending->tries++;
        pending->entry = entry;
        loop_post(intake->app->loop, sit_on_bench, intake, pending);
        return;
    }
    if (delivery.on_settled || outcome == LEDGER_NOT_DURABLE)
        free(pending);
    else
        loop_post(intake->app->loop, ack_recorded, intake, pending);
    switch (outcome) {
    case LEDGER_NEW:
        tell_author(intake, entry, &masked);
        if (!refuses(intake, &delivery, entry))
            hand_on(intake->app, take_ptr(&entry));
        settled = INTAKE_TAKEN;
        break;
    case LEDGER_DUPLICATE:
        metric_add(intake->duplicates, 1);
        break;
    case LEDGER_NOT_ENGAGED:
        metric_add(intake->ignored, 1);
        break;
    case LEDGER_NOT_DURABLE:
        metric_add(intake->not_durable, 1);
        settled = INTAKE_NOT_DURABLE;
        break;
    }
    ledger_entry_free(entry);
    if (delivery.on_settled)
        delivery.on_settled(delivery.context, settled);
}

/* ---- before it ----------------------------------------------------------------------------
 */

/* What somebody said, as it is kept and passed on. The caller frees it. */
static char *words_of(struct app *app, const struct route *route,
                      struct guard_tally *ret_masked)
{
    struct config *config = app_config(app);
    bool is_command = route->verdict == ROUTE_COMMAND;
    const char *words = is_command ? route->argument : *route->text ? route->text : NO_WORDS;
    char *text =
        guard_mask(config->guard.inbound ? app->guard : NULL, GUARD_INBOUND, words, ret_masked);

    config_unref(config);
    return text;
}

static struct ledger_entry *make_entry(struct app *app, const struct slack_event *event,
                                       const struct route *route,
                                       struct guard_tally *ret_masked)
{
    struct ledger_entry *entry = xcalloc(1, sizeof(*entry));
    struct note note = {
        .parent = route->parent,
        .parent_until = route->parent_until,
        .team = (char *)(*event->user_team ? event->user_team : app->self.team_id),
        .is_direct = event->channel_type == SLACK_CHANNEL_DIRECT,
        .is_mention = event->is_mention_event,
        .files = event->files, /* borrowed */
    };

    *entry = (struct ledger_entry){
        .kind = route->verdict == ROUTE_COMMAND ? LEDGER_KIND_COMMAND : LEDGER_KIND_MESSAGE,
        .event_id = xstrdup(event->event_id),
        .team = xstrdup(event->team),
        .channel = xstrdup(event->channel),
        .ts = xstrdup(event->ts),
        .thread_ts = xstrdup(event->thread_ts),
        .user = xstrdup(*event->user ? event->user : event->bot_id),
        .conversation = xstrdup(route->conversation),
        .reply_thread = xstrdup(route->reply_thread),
        .text = words_of(app, route, ret_masked),
        .attributes = note_print(&note),
        .run_id = xstrdup(""),
        .reply_state = xstrdup(""),
        .received_wall_us = clock_wall_us(),
    };
    return entry;
}

/*
 * A mention without a word asks what we are, unless it carries a file, which only its twin is
 * sure to tell: it sits on the bench for a moment, so that the twin comes first.
 */
static bool may_be_a_file(const struct delivery *delivery, const struct slack_event *event,
                          const struct route *route)
{
    return !delivery->on_settled && event->is_mention_event && !event->has_files &&
           route->verdict == ROUTE_COMMAND && !*route->text;
}

static void record(struct intake *intake, const struct delivery *delivery,
                   const struct slack_event *event, const struct route *route)
{
    size_t id_len = strlen(event->envelope_id);
    struct pending *pending = xcalloc(1, sizeof(*pending) + id_len + 1);
    struct ledger_request request = {
        .entry = make_entry(intake->app, event, route, &pending->masked),
        .only_if_engaged = route->only_if_engaged,
        .engages = route->engages,
        .completes = event->has_files && !event->is_mention_event,
        .on_recorded = on_recorded,
        .context = intake,
        .user_data = pending,
    };

    pending->intake = intake;
    pending->delivery = *delivery;
    pending->received_us = clock_now_us();
    pending->only_if_engaged = route->only_if_engaged;
    pending->engages = route->engages;
    pending->is_message =
        !event->is_mention_event && event->channel_type != SLACK_CHANNEL_DIRECT;
    memcpy(pending->envelope_id, event->envelope_id, id_len);
    if (intake->on_bench < BENCH_MAX && may_be_a_file(delivery, event, route)) {
        pending->entry = request.entry;
        sit_on_bench(intake, pending);
        return;
    }
    if (memory_record_message(intake->app->memory, &request))
        return;
    metric_add(intake->not_durable, 1);
    ledger_entry_free(request.entry);
    free(pending);
    if (delivery->on_settled)
        delivery->on_settled(delivery->context, INTAKE_NOT_DURABLE);
}

/* Clicks have no event_id: the second of a double click is known by what it was on and when. */
static bool is_new_click(struct intake *intake, const struct slack_event *event)
{
    AUTO_FREE char *click =
        xasprintf("%s/%s/%s", event->action_ts, event->action_id, event->user);

    for (size_t i = 0; i < CLICKS_MAX; i++) {
        if (intake->clicks[i] && strcmp(intake->clicks[i], click) == 0)
            return false;
    }
    free(intake->clicks[intake->next_click]);
    intake->clicks[intake->next_click] = take_ptr(&click);
    intake->next_click = (intake->next_click + 1) % CLICKS_MAX;
    return true;
}

/* What needs no ledger: acked first, then done. */
static void handle_at_once(struct intake *intake, const struct slack_event *event,
                           const struct route *route)
{
    struct desk *desk = intake->app->desk;

    switch (route->verdict) {
    case ROUTE_STOP:
        desk_stop_pressed(desk, event->channel, event->thread_ts, event->user);
        break;
    case ROUTE_STOP_SIGN:
        desk_stop_sign(desk, event->channel, event->ts, event->user);
        break;
    case ROUTE_RETRY:
        if (is_new_click(intake, event))
            desk_retry_pressed(desk, event->channel, event->thread_ts, event->user,
                               route->argument);
        break;
    case ROUTE_REFUSE:
        desk_refuse(desk, event->channel, event->thread_ts, event->user, route->reason);
        break;
    case ROUTE_DELETED:
        desk_deleted(desk, event->channel, event->thread_ts, event->user, event->ts);
        break;
    case ROUTE_DEAD:
        log_err("the app was uninstalled or its tokens revoked (%s): reinstall it, put the new "
                "tokens into the configuration and restart",
                event->event_type);
        atomic_store(&intake->app->tokens_dead, true);
        break;
    case ROUTE_IGNORE:
        log_debug("ignored event=%s type=%s channel=%s: %s", event->event_id, event->event_type,
                  event->channel, route->reason);
        metric_add(intake->ignored, 1);
        break;
    case ROUTE_MESSAGE:
    case ROUTE_COMMAND:
        break;
    }
}

static void handle_event(struct intake *intake, const struct delivery *delivery,
                         const struct slack_event *event)
{
    struct config *config = app_config(intake->app);
    struct route route;

    route_event(event, &intake->app->self, config, &route);
    config_unref(config);
    if ((route.verdict == ROUTE_MESSAGE || route.verdict == ROUTE_COMMAND) &&
        !route_guard_allows(intake->guard, route.conversation, route.is_from_bot)) {
        log_warn("bots answer each other in channel=%s thread=%s: leaving it at %d turns",
                 event->channel, route.reply_thread, ROUTE_BOT_TURNS_MAX);
        route.verdict = ROUTE_IGNORE;
        route.reason = "too many turns of bots in a row";
    }
    if (route.verdict == ROUTE_MESSAGE || route.verdict == ROUTE_COMMAND) {
        record(intake, delivery, event, &route);
    } else if (delivery->on_settled) {
        delivery->on_settled(delivery->context, INTAKE_LEFT);
    } else {
        ack_now(intake, delivery->origin, event->envelope_id);
        handle_at_once(intake, event, &route);
    }
    route_deinit(&route);
}

void intake_envelope(struct intake *intake, struct slack_socket_origin origin, const char *json,
                     size_t len)
{
    struct delivery delivery = { .origin = origin };
    struct slack_event event = { 0 };
    struct err err = { 0 };

    metric_add(intake->envelopes, 1);
    if (slack_event_parse(json, len, &event, &err) < 0) {
        metric_add(intake->unreadable, 1);
        log_warn("unreadable envelope=%s bytes=%zu, acked and left: %s",
                 event.envelope_id ? event.envelope_id : "", len, err.message);
        ack_now(intake, origin, event.envelope_id ? event.envelope_id : "");
    } else {
        if (event.retry_attempt > 0)
            metric_add(intake->retries, 1);
        handle_event(intake, &delivery, &event);
    }
    slack_event_deinit(&event);
}

void intake_message(struct intake *intake, const struct slack_event *event,
                    intake_settled_fn on_settled, void *context)
{
    struct delivery delivery = { .on_settled = on_settled, .context = context };

    handle_event(intake, &delivery, event);
}
