#include "bot/worker.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bot/app.h"
#include "bot/chats.h"
#include "bot/dispatch.h"
#include "bot/note.h"
#include "bot/people.h"
#include "bot/placard.h"
#include "bot/spending.h"
#include "bot/summarizer.h"
#include "bot/surface_guarded.h"
#include "bot/surface_slack.h"
#include "bot/surface_terminal.h"
#include "bot/turn.h"
#include "memory/forget.h"

#define LOG_MODULE "bot.worker"
#include "base/log.h"

#define REFILL_PAGE        256
#define REFILL_AGAIN_MS    1000 /* after a failure */
#define STOP_CHECK_MS      50
#define SENTENCE_MAX_BYTES 1024

struct worker {
    struct app *app;
    const struct turn_metrics *metrics;
    pthread_t thread;
    struct slack_web *web;
    int cancel_fd;
};

struct workers {
    struct turn_metrics metrics;
    size_t count;
    struct worker items[];
};

/* Whose turn it is: what callbacks out of it need. */
struct reply_owner {
    struct worker *worker;
    const struct config *config;
    const char *conversation;
    int64_t ids[DISPATCH_BATCH_MAX];
    size_t count;
};

static void note_ids(struct reply_owner *owner, const struct dispatch_batch *batch)
{
    owner->count = batch->count;
    for (size_t i = 0; i < batch->count; i++)
        owner->ids[i] = batch->entries[i]->id;
}

/* A person may take this message for the answer, and react to it. */
static void note_message(const struct reply_owner *owner, const char *state)
{
    char ts[SLACK_TS_MAX_BYTES];

    if (slack_reply_state_message(state, ts))
        dispatch_note_answer(owner->worker->app->dispatch, owner->conversation, ts);
}

static void note_reply(void *context, const char *state)
{
    const struct reply_owner *owner = context;

    memory_note_reply(owner->worker->app->memory, owner->ids, owner->count, state);
    note_message(owner, state);
}

static void refuse_guest(struct worker *worker, const struct ledger_entry *entry, bool is_told)
{
    struct err err = { 0 };

    log_info("guest user=%s refused (access.allow_guests is off)", entry->user);
    if (!is_told &&
        slack_post_ephemeral(worker->web, entry->channel, entry->reply_thread, entry->user,
                             "Sorry, I answer full members of this workspace only.", &err) < 0)
        log_warn("could not tell user=%s: %s", entry->user, err.message);
    if (memory_mark_messages(worker->app->memory, &entry->id, 1, LEDGER_CANCELLED, &err) < 0)
        log_err("ledger not updated: %s", err.message);
}

/* Takes what guests said out of the batch, beginning with its entry `begin`; in a shared
 * conversation others may stand in it. */
static void refuse_guests(struct worker *worker, const struct config *config,
                          struct dispatch_batch *batch, size_t begin)
{
    char user[SLACK_ID_MAX_BYTES] = ""; /* whose entry was looked at last */
    bool is_guest = false;
    size_t kept = begin;

    if (config->access.allow_guests)
        return;
    for (size_t i = begin; i < batch->count; i++) {
        struct ledger_entry *entry = batch->entries[i];
        bool is_same = strcmp(user, entry->user) == 0;

        if (*entry->run_id) { /* let in by an earlier process */
            batch->entries[kept++] = entry;
            continue;
        }
        if (!is_same)
            is_guest = people_is_guest(worker->app->people, worker->web, entry->user,
                                       worker->app->self.team_id);
        snprintf(user, sizeof(user), "%s", entry->user);
        if (!is_guest) {
            batch->entries[kept++] = entry;
            continue;
        }
        refuse_guest(worker, entry, is_same);
        ledger_entry_free(entry);
    }
    if (kept == batch->count)
        return;
    batch->count = kept;
    dispatch_note_batch(worker->app->dispatch, batch);
}

static void take_more(void *context, struct dispatch_batch *batch);

static struct surface *make_surface(struct worker *worker, const struct config *config,
                                    const struct ledger_entry *entry, struct reply_owner *owner)
{
    struct note note;
    AUTO_FREE char *key = placard_answer_key(entry->id, entry->attempts, *entry->run_id);
    struct slack_reply_options options = {
        .mode = (enum slack_reply_mode)config->slack.reply,
        .features = worker->app->features,
        .metrics = worker->app->metrics,
        .on_state = note_reply,
        .context = owner,
    };
    struct slack_reply_target target = {
        .channel = entry->channel,
        .thread_ts = entry->reply_thread,
        .recipient_user = entry->user,
        .key = key,
    };
    AUTO_FREE char *what = xasprintf("channel=%s ts=%s", entry->channel, entry->ts);
    struct surface *surface;

    note_parse(entry->attributes, &note);
    target.recipient_team = *note.team ? note.team : worker->app->self.team_id;
    target.is_direct = note.is_direct;
    surface =
        surface_slack_new(worker->web, &target, &options, entry->received_wall_us / 1000000);
    note_deinit(&note);
    return surface_guarded_new(surface, worker->app->guard, what);
}

static struct turn make_turn(struct worker *worker, const struct config *config,
                             struct dispatch_batch *batch, struct reply_owner *owner)
{
    struct app *app = worker->app;

    return (struct turn){
        .config = config,
        .memory = app->memory,
        .guard = app->guard,
        .metrics = worker->metrics,
        .launcher = app->launcher,
        .runs_dir = app->runs_dir,
        .is_stopping = &app->is_stopping,
        .cancel_fd = worker->cancel_fd,
        .patience_ms = TURN_PATIENCE_MS,
        .batch = batch,
        .web = worker->web,
        .twins = app->twins,
        .dispatch = app->dispatch,
        .on_more = take_more,
        .context = owner,
    };
}

/* Moves what `user` said from one batch, beginning with its entry `begin`, into another. */
static void move_entries(struct dispatch_batch *from, size_t begin, struct dispatch_batch *to,
                         const char *user)
{
    size_t kept = begin;

    for (size_t i = begin; i < from->count; i++) {
        struct ledger_entry *entry = from->entries[i];

        if (strcmp(entry->user, user) == 0)
            to->entries[to->count++] = entry;
        else
            from->entries[kept++] = entry;
    }
    from->count = kept;
}

/* An earlier process may have said it just before it died. */
static bool was_refused(struct worker *worker, const struct ledger_entry *entry)
{
    return entry->received_wall_us / 1000000 <= worker->app->started_wall_s;
}

static void refuse(struct worker *worker, const struct config *config,
                   struct dispatch_batch *refused, const char *sentence)
{
    const struct ledger_entry *entry = refused->entries[0];
    struct reply_owner owner = { .worker = worker,
                                 .config = config,
                                 .conversation = refused->conversation };
    struct turn turn = make_turn(worker, config, refused, &owner);
    struct err err = { 0 };

    log_info("user=%s channel=%s ts=%s: the day's tokens are used up", entry->user,
             entry->channel, entry->ts);
    turn.surface = make_surface(worker, config, entry, &owner);
    if (was_refused(worker, entry))
        turn.surface->ops->resume(turn.surface, "", &err);
    turn_refuse(&turn, sentence);
    turn.surface->ops->free(turn.surface);
}

/* Takes what people said whose tokens of the day are used up out of the batch, beginning with
 * its entry `begin`; in a shared conversation others may stand in it. */
static void refuse_spenders(struct worker *worker, const struct config *config,
                            struct dispatch_batch *batch, size_t begin)
{
    struct ledger_entry *entries[DISPATCH_BATCH_MAX];
    struct dispatch_batch refused = { .conversation = batch->conversation, .entries = entries };

    for (size_t i = begin; i < batch->count;) {
        const char *user = batch->entries[i]->user;
        AUTO_BUF struct buf sentence = { 0 };
        struct err err = { 0 };
        int rc;

        buf_init(&sentence, SENTENCE_MAX_BYTES);
        rc = spending_refuses(worker->app->memory, config, user, clock_wall_s(), &sentence,
                              &err);
        if (rc < 0)
            log_warn("what user=%s has used today is not known, going on: %s", user,
                     err.message);
        if (rc <= 0) {
            i++;
            continue;
        }
        refused.count = 0;
        move_entries(batch, begin, &refused, user);
        dispatch_note_batch(worker->app->dispatch, batch);
        refuse(worker, config, &refused, buf_text(&sentence));
        for (size_t at = 0; at < refused.count; at++)
            ledger_entry_free(refused.entries[at]);
    }
}

/* Newer messages have joined a turn that runs; what it answers already stays in it. */
static void take_more(void *context, struct dispatch_batch *batch)
{
    struct reply_owner *owner = context;

    refuse_guests(owner->worker, owner->config, batch, owner->count);
    refuse_spenders(owner->worker, owner->config, batch, owner->count);
    note_ids(owner, batch);
}

/* The line that told the person's place makes way for the answer: it becomes its first message,
 * or the status line says that the wait is over. */
static void take_place(struct reply_owner *owner, struct surface *surface, const char *state)
{
    struct err err = { 0 };

    if (surface->ops->resume(surface, state, &err) < 0)
        log_warn("%s", err.message);
    note_message(owner, state);
    surface->ops->set_status(surface, "is starting...", clock_now_ms());
}

static void run_turn(struct worker *worker, struct turn *turn, struct reply_owner *owner,
                     const char *place)
{
    const struct ledger_entry *first = turn->batch->entries[0];
    int64_t started_ms = clock_now_ms();

    note_ids(owner, turn->batch);
    turn->surface = make_surface(worker, turn->config, first, owner);
    if (place)
        take_place(owner, turn->surface, place);
    else
        note_message(owner, first->reply_state); /* of an earlier process */
    if (turn_run(turn) != TURN_LEFT)
        dispatch_note_duration(worker->app->dispatch, clock_now_ms() - started_ms);
    turn->surface->ops->free(turn->surface);
}

static void run_batch(struct worker *worker, struct dispatch_batch *batch)
{
    struct app *app = worker->app;
    struct config *config = app_config(app);
    struct reply_owner owner = { .worker = worker,
                                 .config = config,
                                 .conversation = batch->conversation };
    struct turn turn = make_turn(worker, config, batch, &owner);
    int64_t first_id = batch->entries[0]->id;
    AUTO_FREE char *channel = xstrdup(batch->entries[0]->channel);
    AUTO_FREE char *thread = xstrdup(batch->entries[0]->reply_thread);
    AUTO_FREE char *place =
        placard_take(app->placard, worker->web, batch->entries[0], batch->is_found);

    refuse_guests(worker, config, batch, 0);
    if (batch->count && !*batch->entries[0]->run_id) /* a run that was begun goes on */
        refuse_spenders(worker, config, batch, 0);
    if (place && (!batch->count || batch->entries[0]->id != first_id)) {
        placard_discard(worker->web, channel, thread, place);
        free(take_ptr(&place));
    }
    if (batch->count)
        run_turn(worker, &turn, &owner, place);
    config_unref(config);
}

/* False when the daemon stops. */
static bool pause_before_retry(struct app *app)
{
    int64_t until_ms = clock_now_ms() + REFILL_AGAIN_MS;

    while (clock_now_ms() < until_ms && !atomic_load(&app->is_stopping))
        poll(NULL, 0, STOP_CHECK_MS);
    return !atomic_load(&app->is_stopping);
}

static bool has_room(struct app *app)
{
    struct dispatch_figures figures;

    dispatch_get_figures(app->dispatch, NULL, &figures);
    return figures.waiting <= DISPATCH_QUEUE_MAX - REFILL_PAGE;
}

/* Brings what lies in the ledger behind `after_id`; commands are the desk's, which does so,
 * too. */
static void refill(struct app *app, int64_t after_id)
{
    struct ledger_entry *page[REFILL_PAGE];
    size_t count = REFILL_PAGE;

    while (count == REFILL_PAGE && has_room(app)) {
        struct err err = { 0 };

        if (memory_pending_messages(app->memory, after_id, page, REFILL_PAGE, &count, &err) <
            0) {
            log_err("the ledger cannot be read, waiting messages stay there: %s", err.message);
            if (!pause_before_retry(app))
                break;
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            after_id = page[i]->id;
            if (page[i]->kind == LEDGER_KIND_COMMAND ||
                strcmp(page[i]->channel, TERMINAL_CHANNEL) == 0) /* a `threadkeeper chat` */
                ledger_entry_free(page[i]);
            else
                dispatch_submit(app->dispatch, page[i], DISPATCH_REFILL);
        }
    }
    dispatch_refilled(app->dispatch, count == REFILL_PAGE);
}

static void refill_while_wanted(struct app *app)
{
    int64_t after_id;

    while (dispatch_wants_refill(app->dispatch, &after_id))
        refill(app, after_id);
}

/* Somebody began afresh while the turn ran: it was remembered, but belongs to what went before.
 */
static void reset_if_wanted(const struct worker *worker, const struct dispatch_batch *batch)
{
    struct err err = { 0 };

    if (dispatch_wants_reset(worker->app->dispatch, batch) &&
        memory_conversation_reset(worker->app->memory, batch->conversation, &err) < 0)
        log_err("!new did not take effect for conversation=%s: %s", batch->conversation,
                err.message);
}

/* Somebody erased what this turn was about while it ran; it has been remembered since. The
 * answer goes even where others got it too: what was erased may stand in it. */
static void forget_if_wanted(const struct worker *worker, const struct dispatch_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct ledger_entry *entry = batch->entries[i];
        struct memory_forget what = { .team = entry->team,
                                      .channel = entry->channel,
                                      .slack_ts = entry->ts,
                                      .thread_ts = entry->reply_thread,
                                      .user = entry->user,
                                      .takes_answer = true };
        struct memory_forgotten forgotten = { 0 };
        struct config *config;
        struct err err = { 0 };

        if (!memory_is_forgotten(worker->app->memory, entry->id))
            continue;
        if (memory_forget(worker->app->memory, &what, &forgotten, &err) < 0)
            log_err("what was to be forgotten is remembered: conversation=%s ts=%s: %s",
                    entry->conversation, entry->ts, err.message);
        summarizer_interrupt(worker->app->summarizer);
        config = app_config(worker->app);
        chats_forget(config->state_dir, &forgotten);
        config_unref(config);
        memory_forgotten_deinit(&forgotten);
    }
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct dispatch_batch batch;

    refill_while_wanted(worker->app); /* at the start: what the ledger holds */
    while (dispatch_take(worker->app->dispatch, worker->cancel_fd, &batch)) {
        run_batch(worker, &batch);
        reset_if_wanted(worker, &batch);
        forget_if_wanted(worker, &batch);
        summarizer_note(worker->app->summarizer, batch.conversation);
        dispatch_finish(worker->app->dispatch, &batch);
        refill_while_wanted(worker->app);
    }
    return NULL;
}

struct workers *workers_start(struct app *app)
{
    size_t count = (size_t)app->config->agent.max_running;
    struct workers *workers = xcalloc(1, sizeof(*workers) + count * sizeof(struct worker));

    turn_metrics_init(&workers->metrics, app->metrics);
    dispatch_set_takers(app->dispatch, count);
    workers->count = count;
    for (size_t i = 0; i < count; i++) {
        struct worker *worker = &workers->items[i];

        worker->app = app;
        worker->metrics = &workers->metrics;
        worker->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        worker->web = slack_web_new(app->config->slack.api_url, app->config->slack.bot_token,
                                    app->limits);
        slack_web_set_cancel(worker->web, &app->is_stopping);
        thread_start(&worker->thread, "worker", run_worker, worker);
    }
    return workers;
}

void workers_join(struct workers *workers)
{
    if (!workers)
        return;
    for (size_t i = 0; i < workers->count; i++) {
        pthread_join(workers->items[i].thread, NULL);
        slack_web_free(workers->items[i].web);
        close(workers->items[i].cancel_fd);
    }
    free(workers);
}
