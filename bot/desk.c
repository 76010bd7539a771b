#include "bot/desk.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/queue.h"
#include "base/thread.h"
#include "bot/app.h"
#include "bot/dispatch.h"
#include "bot/surface_terminal.h"

#define LOG_MODULE "bot.desk"
#include "base/log.h"

#define QUEUE_MAX        1024
#define CALL_DEADLINE_MS 10000
#define REFUSALS_MAX     64
#define REFUSAL_AGAIN_MS (INT64_C(10) * 60 * 1000)
#define STOPPED_PAGE     256
#define RETRY_IDS_MAX    DISPATCH_BATCH_MAX
#define REPLY_MAX_BYTES  4000
#define MISSED_PAGE      64
#define MISSED_AGAIN_MS  1000 /* after the ledger could not be read */

enum task_kind { TASK_COMMAND, TASK_STOP, TASK_RETRY, TASK_REFUSE, TASK_TELL, TASK_DELETED };

struct task {
    enum task_kind kind;
    struct ledger_entry *entry; /* TASK_COMMAND */
    char *channel;
    char *thread_ts;
    char *user;
    char *detail; /* ids, reason, sentence or ts */
};

struct refusal {
    char *user;
    int64_t told_ms;
};

struct desk {
    struct app *app;
    struct queue *queue;
    struct slack_web *web;
    pthread_t thread;
    atomic_bool has_missed;  /* commands lie in the ledger that the queue does not hold */
    int64_t last_command_id; /* ids ascend: this one and those before it were answered */
    struct refusal refusals[REFUSALS_MAX];
    size_t next_refusal;
    struct metric *commands;
    struct metric *dropped;
};

static void free_task(struct task *task)
{
    ledger_entry_free(task->entry);
    free(task->channel);
    free(task->thread_ts);
    free(task->user);
    free(task->detail);
    free(task);
}

static void submit(struct desk *desk, enum task_kind kind, struct ledger_entry *entry,
                   const char *channel, const char *thread_ts, const char *user,
                   const char *detail)
{
    struct task *task = xcalloc(1, sizeof(*task));

    *task = (struct task){
        .kind = kind,
        .entry = entry,
        .channel = xstrdup(channel),
        .thread_ts = xstrdup(thread_ts),
        .user = xstrdup(user),
        .detail = xstrdup(detail),
    };
    if (queue_push(desk->queue, task))
        return;
    if (entry) {
        atomic_store(&desk->has_missed, true);
    } else {
        metric_add(desk->dropped, 1);
        log_warn("too much waits at the desk: dropped a request of user=%s", user);
    }
    free_task(task);
}

void desk_command(struct desk *desk, struct ledger_entry *entry)
{
    submit(desk, TASK_COMMAND, entry, entry->channel, entry->reply_thread, entry->user, "");
}

void desk_stop_pressed(struct desk *desk, const char *channel, const char *thread_ts,
                       const char *user)
{
    submit(desk, TASK_STOP, NULL, channel, thread_ts, user, "");
}

void desk_retry_pressed(struct desk *desk, const char *channel, const char *thread_ts,
                        const char *user, const char *ids)
{
    submit(desk, TASK_RETRY, NULL, channel, thread_ts, user, ids);
}

void desk_refuse(struct desk *desk, const char *channel, const char *thread_ts,
                 const char *user, const char *reason)
{
    submit(desk, TASK_REFUSE, NULL, channel, thread_ts, user, reason);
}

void desk_tell(struct desk *desk, const char *channel, const char *thread_ts, const char *user,
               const char *sentence)
{
    submit(desk, TASK_TELL, NULL, channel, thread_ts, user, sentence);
}

void desk_deleted(struct desk *desk, const char *channel, const char *ts)
{
    submit(desk, TASK_DELETED, NULL, channel, "", "", ts);
}

/* ---- stopping -----------------------------------------------------------------------------
 */

static bool is_admin(struct app *app, const char *user)
{
    struct config *config = app_config(app);
    bool found = false;

    for (size_t i = 0; i < config->access.admins.count; i++)
        found = found || strcmp(config->access.admins.items[i], user) == 0;
    config_unref(config);
    return found;
}

static void drop_entries(struct desk *desk, struct ledger_entry **entries, size_t count)
{
    int64_t ids[STOPPED_PAGE];
    struct err err = { 0 };

    for (size_t i = 0; i < count; i++) {
        ids[i] = entries[i]->id;
        ledger_entry_free(entries[i]);
    }
    if (count &&
        memory_mark_messages(desk->app->memory, ids, count, LEDGER_CANCELLED, &err) < 0)
        log_err("ledger not updated: %s", err.message);
}

/* Ends what runs and drops what waits; says how much that was. */
static void stop_matching(struct desk *desk, const struct dispatch_filter *filter,
                          unsigned *ret_running, size_t *ret_waiting)
{
    struct ledger_entry *entries[STOPPED_PAGE];
    size_t count;

    *ret_running = dispatch_stop(desk->app->dispatch, filter, entries, STOPPED_PAGE, &count);
    *ret_waiting = count;
    drop_entries(desk, entries, count);
    while (count == STOPPED_PAGE) {
        dispatch_stop(desk->app->dispatch, filter, entries, STOPPED_PAGE, &count);
        *ret_waiting += count;
        drop_entries(desk, entries, count);
    }
}

static void do_stop_pressed(struct desk *desk, const struct task *task)
{
    struct dispatch_filter filter = { .channel = task->channel, .thread = task->thread_ts };
    unsigned running;
    size_t waiting;

    /* Whoever asked may stop it, and the admins; Slack shows the button to everybody. */
    if (!is_admin(desk->app, task->user))
        filter.user = task->user;
    stop_matching(desk, &filter, &running, &waiting);
    log_info("stop pressed by user=%s channel=%s thread=%s: running=%u waiting=%zu", task->user,
             task->channel, task->thread_ts, running, waiting);
}

/* ---- commands -----------------------------------------------------------------------------
 */

static void say_help(struct buf *out)
{
    buf_append_text(
        out, "Talk to me in a direct message, mention me in a channel, or reply in a thread I "
             "am in: I pass it to the coding agent and remember the conversation.\n\n"
             "- `!new` - forget what was said here so far and start afresh\n"
             "- `!stop` - end what I am doing in this conversation\n"
             "- `!status` - what I am doing, and your place in the queue\n"
             "- `!help` - this list\n");
}

static void say_new(struct desk *desk, const struct ledger_entry *entry, struct buf *out)
{
    /* Marked first: a turn that is remembered after the mark is reset by its worker, one that
     * was remembered before it is reset here. */
    bool is_running = dispatch_mark_reset(desk->app->dispatch, entry->conversation);
    struct err err = { 0 };

    if (memory_conversation_reset(desk->app->memory, entry->conversation, &err) < 0) {
        log_err("!new failed for conversation=%s: %s", entry->conversation, err.message);
        buf_append_text(out, ":warning: Sorry, I could not start afresh; the people who run me "
                             "find the cause in the log.");
        return;
    }
    buf_append_text(out, "A fresh start: what was said here before is no longer passed on.");
    if (is_running)
        buf_append_text(out, " Nor is what I am still answering; `!stop` ends it.");
}

static void say_stop(struct desk *desk, const struct ledger_entry *entry, struct buf *out)
{
    struct dispatch_filter filter = { .conversation = entry->conversation };
    unsigned running;
    size_t waiting;

    stop_matching(desk, &filter, &running, &waiting);
    if (!running && !waiting && *entry->reply_thread && is_admin(desk->app, entry->user)) {
        filter = (struct dispatch_filter){ .channel = entry->channel,
                                           .thread = entry->reply_thread };
        stop_matching(desk, &filter, &running, &waiting);
    }
    if (!running && !waiting)
        buf_append_text(out, "Nothing of yours is running in this conversation.");
    else if (running)
        buf_append_text(out, "Stopping.");
    if (waiting)
        buf_printf(out, "%sDropped %zu waiting message%s.", running ? " " : "", waiting,
                   waiting == 1 ? "" : "s");
}

static void say_status(struct desk *desk, const struct ledger_entry *entry, struct buf *out)
{
    struct app *app = desk->app;
    struct config *config = app_config(app);
    struct dispatch_figures figures;
    struct memory_stats stats;
    char up[32];

    dispatch_get_figures(app->dispatch, entry->conversation, &figures);
    memory_get_stats(app->memory, &stats);
    buf_printf(out,
               "- up for %s, %u of %" PRId64 " links to Slack\n"
               "- %zu of %" PRId64 " agents running, %zu message%s waiting\n"
               "- %" PRId64 " conversations at hand\n",
               clock_human(clock_now_ms() - app->started_ms, up),
               atomic_load(&app->ready_links), config->slack.connections, figures.running,
               config->agent.max_running, figures.waiting, figures.waiting == 1 ? "" : "s",
               stats.conversations);
    if (figures.ahead)
        buf_printf(out, "- %zu turn%s ahead of yours\n", figures.ahead,
                   figures.ahead == 1 ? "" : "s");
    config_unref(config);
}

static bool is_stopping(const struct desk *desk)
{
    return atomic_load(&desk->app->is_stopping);
}

static int answer_command(struct desk *desk, const struct ledger_entry *entry, const char *key,
                          struct err *err)
{
    AUTO_BUF struct buf out = { 0 };
    char ts[SLACK_TS_MAX_BYTES];

    buf_init(&out, REPLY_MAX_BYTES);
    metric_add(desk->commands, 1);
    if (strcmp(entry->text, "new") == 0)
        say_new(desk, entry, &out);
    else if (strcmp(entry->text, "stop") == 0)
        say_stop(desk, entry, &out);
    else if (strcmp(entry->text, "status") == 0)
        say_status(desk, entry, &out);
    else
        say_help(&out);
    return slack_post_markdown(desk->web, entry->channel, entry->reply_thread, buf_text(&out),
                               key, ts, err);
}

/* `is_found`: in the ledger, so that an earlier process may have answered it. */
static void do_command(struct desk *desk, const struct ledger_entry *entry, bool is_found)
{
    AUTO_FREE char *key = xasprintf("%" PRId64 "-command", entry->id);
    struct err err = { 0 };
    char ts[SLACK_TS_MAX_BYTES];
    bool is_answered;

    if (is_stopping(desk) || entry->id <= desk->last_command_id)
        return;
    desk->last_command_id = entry->id;
    is_answered =
        is_found && slack_find_markdown(desk->web, entry->channel, entry->reply_thread, key,
                                        entry->received_wall_us / 1000000, ts, &err) == 1;
    if (!is_answered && answer_command(desk, entry, key, &err) < 0) {
        if (is_stopping(desk))
            return;
        log_warn("no answer to !%s of user=%s: %s", entry->text, entry->user, err.message);
    }
    if (memory_mark_messages(desk->app->memory, &entry->id, 1, LEDGER_DONE, &err) < 0)
        log_err("ledger not updated: %s", err.message);
}

/* What lies in the ledger: left by an earlier process, or too much for the queue. */
static void do_missed_commands(struct desk *desk)
{
    struct ledger_entry *page[MISSED_PAGE];
    int64_t after_id = desk->last_command_id;
    size_t count = MISSED_PAGE;
    struct err err = { 0 };

    atomic_store(&desk->has_missed, false);
    while (count == MISSED_PAGE && !is_stopping(desk)) {
        if (memory_pending_messages(desk->app->memory, after_id, page, MISSED_PAGE, &count,
                                    &err) < 0) {
            log_err("the ledger cannot be read, waiting commands stay there: %s", err.message);
            atomic_store(&desk->has_missed, true);
            return;
        }
        for (size_t i = 0; i < count; i++) {
            after_id = page[i]->id;
            if (page[i]->kind == LEDGER_KIND_COMMAND &&
                strcmp(page[i]->channel, TERMINAL_CHANNEL) != 0)
                do_command(desk, page[i], true);
            ledger_entry_free(page[i]);
        }
    }
}

/* ---- retry --------------------------------------------------------------------------------
 */

static size_t parse_ids(const char *text, int64_t *ids, size_t max)
{
    size_t count = 0;

    while (*text && count < max) {
        char *end = NULL;
        int64_t id = strtoll(text, &end, 10);

        if (end == text || id <= 0)
            break;
        ids[count++] = id;
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

/* A failed message goes back to its lane; a second click finds it no longer failed. */
static bool retry_message(struct desk *desk, const struct task *task, int64_t id)
{
    struct ledger_entry *entry = NULL;
    struct err err = { 0 };

    if (memory_find_message(desk->app->memory, id, &entry, &err) < 0) {
        log_err("retry: %s", err.message);
        return false;
    }
    if (!entry)
        return false;
    if (entry->state != LEDGER_FAILED || strcmp(entry->channel, task->channel) != 0 ||
        (strcmp(entry->user, task->user) != 0 && !is_admin(desk->app, task->user)) ||
        memory_mark_messages(desk->app->memory, &id, 1, LEDGER_RECEIVED, &err) < 0) {
        if (err.kind != ERR_NONE)
            log_err("retry: %s", err.message);
        ledger_entry_free(entry);
        return false;
    }
    entry->state = LEDGER_RECEIVED;
    entry->run_id[0] = '\0';
    entry->reply_state[0] = '\0';
    dispatch_submit(desk->app->dispatch, entry, DISPATCH_AGAIN);
    return true;
}

static void do_retry(struct desk *desk, const struct task *task)
{
    int64_t ids[RETRY_IDS_MAX];
    size_t count = parse_ids(task->detail, ids, RETRY_IDS_MAX);
    size_t retried = 0;
    struct err err = { 0 };

    for (size_t i = 0; i < count; i++)
        retried += retry_message(desk, task, ids[i]);
    log_info("retry pressed by user=%s channel=%s: messages=%zu of %zu", task->user,
             task->channel, retried, count);
    if (!retried &&
        slack_post_ephemeral(desk->web, task->channel, task->thread_ts, task->user,
                             "That is being tried again already, or is not yours to retry.",
                             &err) < 0)
        log_debug("%s", err.message);
}

/* ---- refusals and deletions ---------------------------------------------------------------
 */

static bool was_told(struct desk *desk, const char *user)
{
    int64_t now_ms = clock_now_ms();
    struct refusal *slot = &desk->refusals[desk->next_refusal];

    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        const struct refusal *refusal = &desk->refusals[i];

        if (refusal->user && strcmp(refusal->user, user) == 0 &&
            now_ms - refusal->told_ms < REFUSAL_AGAIN_MS)
            return true;
    }
    free(slot->user);
    *slot = (struct refusal){ .user = xstrdup(user), .told_ms = now_ms };
    desk->next_refusal = (desk->next_refusal + 1) % REFUSALS_MAX;
    return false;
}

static void do_refuse(struct desk *desk, const struct task *task)
{
    AUTO_FREE char *text = xasprintf("Sorry, %s.", task->detail);
    struct err err = { 0 };

    if (was_told(desk, task->user))
        return;
    log_info("refused user=%s channel=%s: %s", task->user, task->channel, task->detail);
    if (slack_post_ephemeral(desk->web, task->channel, task->thread_ts, task->user, text,
                             &err) < 0)
        log_debug("%s", err.message);
}

static void do_tell(struct desk *desk, const struct task *task)
{
    struct err err = { 0 };
    char ts[SLACK_TS_MAX_BYTES];

    if (slack_post_ephemeral(desk->web, task->channel, task->thread_ts, task->user,
                             task->detail, &err) == 0 ||
        slack_post_markdown(desk->web, task->channel, task->thread_ts, task->detail, "", ts,
                            &err) == 0)
        return;
    log_warn("could not tell user=%s that their message is refused: %s", task->user,
             err.message);
}

static void do_deleted(struct desk *desk, const struct task *task)
{
    struct ledger_entry *entry =
        dispatch_withdraw(desk->app->dispatch, task->channel, task->detail);
    struct err err = { 0 };

    if (!entry)
        return;
    log_info("withdrawn before its turn: channel=%s ts=%s", task->channel, task->detail);
    if (memory_mark_messages(desk->app->memory, &entry->id, 1, LEDGER_CANCELLED, &err) < 0)
        log_err("ledger not updated: %s", err.message);
    ledger_entry_free(entry);
}

/* ---- the thread ---------------------------------------------------------------------------
 */

static void do_task(struct desk *desk, const struct task *task)
{
    switch (task->kind) {
    case TASK_COMMAND:
        do_command(desk, task->entry, false);
        break;
    case TASK_STOP:
        do_stop_pressed(desk, task);
        break;
    case TASK_RETRY:
        do_retry(desk, task);
        break;
    case TASK_REFUSE:
        do_refuse(desk, task);
        break;
    case TASK_TELL:
        do_tell(desk, task);
        break;
    case TASK_DELETED:
        do_deleted(desk, task);
        break;
    }
}

static void *run(void *context)
{
    struct desk *desk = context;
    int64_t wait_ms = 0;

    for (;;) {
        struct task *task = queue_pop(desk->queue, wait_ms);

        if (task) {
            do_task(desk, task);
            free_task(task);
        } else if (queue_is_closed(desk->queue)) {
            return NULL;
        } else if (atomic_load(&desk->has_missed)) {
            do_missed_commands(desk); /* those that the queue held came before them */
            wait_ms = atomic_load(&desk->has_missed) ? MISSED_AGAIN_MS : -1;
            continue;
        }
        wait_ms = atomic_load(&desk->has_missed) ? 0 : -1;
    }
}

struct desk *desk_start(struct app *app)
{
    struct desk *desk = xcalloc(1, sizeof(*desk));

    desk->app = app;
    atomic_init(&desk->has_missed, true);
    desk->queue = queue_new(QUEUE_MAX);
    desk->web =
        slack_web_new(app->config->slack.api_url, app->config->slack.bot_token, app->limits);
    slack_web_set_deadline(desk->web, CALL_DEADLINE_MS);
    slack_web_set_cancel(desk->web, &app->is_stopping);
    desk->commands = metrics_counter(app->metrics, "commands_total", "", "Chat commands.");
    desk->dropped = metrics_counter(app->metrics, "desk_dropped_total", "",
                                    "Requests dropped because too many waited at the desk.");
    thread_start(&desk->thread, "desk", run, desk);
    return desk;
}

void desk_join(struct desk *desk)
{
    if (!desk)
        return;
    queue_close(desk->queue);
    pthread_join(desk->thread, NULL);
}

void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    for (size_t i = 0; i < REFUSALS_MAX; i++)
        free(desk->refusals[i].user);
    queue_free(desk->queue);
    slack_web_free(desk->web);
    free(desk);
}
