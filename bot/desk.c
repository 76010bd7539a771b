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
#include "bot/commands.h"
#include "bot/desk_parts.h"
#include "bot/dispatch.h"
#include "bot/guard.h"
#include "bot/note.h"
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

enum task_kind {
    TASK_COMMAND,
    TASK_STOP,
    TASK_STOP_SIGN,
    TASK_RETRY,
    TASK_REFUSE,
    TASK_TELL,
    TASK_WHISPER,
    TASK_DELETED,
};

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

void desk_stop_sign(struct desk *desk, const char *channel, const char *ts, const char *user)
{
    submit(desk, TASK_STOP_SIGN, NULL, channel, "", user, ts);
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

/* Without a person to whisper to, the task posts. */
void desk_whisper(struct desk *desk, const char *channel, const char *thread_ts,
                  const char *user, bool is_direct, const char *sentence)
{
    submit(desk, TASK_WHISPER, NULL, channel, thread_ts, is_direct ? "" : user, sentence);
}

void desk_deleted(struct desk *desk, const char *channel, const char *thread_ts,
                  const char *user, const char *ts)
{
    submit(desk, TASK_DELETED, NULL, channel, thread_ts, user, ts);
}

/* ---- stopping -----------------------------------------------------------------------------
 */

static void do_stop_pressed(struct desk *desk, const struct task *task)
{
    struct dispatch_filter filter = { .channel = task->channel, .thread = task->thread_ts };
    unsigned running;
    size_t waiting;

    /* Whoever asked may stop it, and the admins; Slack shows the button to everybody. */
    if (!desk_is_admin(desk->app, task->user))
        filter.user = task->user;
    desk_stop_matching(desk->app, &filter, &running, &waiting);
    log_info("stop pressed by user=%s channel=%s thread=%s: running=%u waiting=%zu", task->user,
             task->channel, task->thread_ts, running, waiting);
}

/* What was running says "Stopped" itself; what only waited has no place of its own to say so.
 */
static void do_stop_sign(struct desk *desk, const struct task *task)
{
    const char *whose = desk_is_admin(desk->app, task->user) ? NULL : task->user;
    struct dispatch_message message = { task->channel, task->detail, whose };
    AUTO_FREE char *thread_ts = NULL;
    AUTO_FREE char *conversation =
        dispatch_find_conversation(desk->app->dispatch, &message, &thread_ts);
    struct dispatch_filter filter = { .conversation = conversation, .user = whose };
    struct err err = { 0 };
    unsigned running;
    size_t waiting;

    if (!conversation)
        return;
    desk_stop_matching(desk->app, &filter, &running, &waiting);
    log_info("stop sign by user=%s channel=%s ts=%s: running=%u waiting=%zu", task->user,
             task->channel, task->detail, running, waiting);
    if (!running && waiting &&
        slack_post_ephemeral(desk->web, task->channel, thread_ts, task->user,
                             "Dropped: it will not be answered.", &err) < 0)
        log_debug("%s", err.message);
}

/* ---- commands -----------------------------------------------------------------------------
 */

static bool is_stopping(const struct desk *desk)
{
    return atomic_load(&desk->app->is_stopping);
}

/* The answer goes where the command stood; a private one, outside direct messages, to the asker
 * alone. */
static int answer_command(struct desk *desk, const struct ledger_entry *entry,
                          const struct command *command, const char *arguments, const char *key,
                          struct err *err)
{
    struct command_call call = {
        .app = desk->app, .memory = desk->app->memory, .entry = entry, .arguments = arguments
    };
    AUTO_BUF struct buf out = { 0 };
    struct note note = { 0 };
    char ts[SLACK_TS_MAX_BYTES];
    bool is_whisper;

    buf_init(&out, REPLY_MAX_BYTES);
    metric_add(desk->commands, 1);
    command->run(&call, &out);
    note_parse(entry->attributes, &note);
    is_whisper = command->is_private && !note.is_direct;
    note_deinit(&note);
    if (is_whisper)
        return slack_post_ephemeral(desk->web, entry->channel, entry->reply_thread, entry->user,
                                    buf_text(&out), err);
    return slack_post_markdown(desk->web, entry->channel, entry->reply_thread, buf_text(&out),
                               key, ts, err);
}

/* `is_found`: in the ledger, so that an earlier process may have answered it. */
static void do_command(struct desk *desk, const struct ledger_entry *entry, bool is_found)
{
    AUTO_FREE char *key = xasprintf("%" PRId64 "-command", entry->id);
    const char *arguments = "";
    const struct command *command = commands_find(entry->text, &arguments);
    struct err err = { 0 };
    char ts[SLACK_TS_MAX_BYTES];
    bool is_answered;

    if (is_stopping(desk) || entry->id <= desk->last_command_id)
        return;
    desk->last_command_id = entry->id;
    if (!command) /* recorded by a version that knew it */
        command = commands_find("help", &arguments);
    is_answered =
        is_found && slack_find_markdown(desk->web, entry->channel, entry->reply_thread, key,
                                        entry->received_wall_us / 1000000, ts, &err) == 1;
    if (!is_answered && answer_command(desk, entry, command, arguments, key, &err) < 0) {
        if (is_stopping(desk))
            return;
        log_warn("no answer to !%s of user=%s: %s", command->word, entry->user, err.message);
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
        (strcmp(entry->user, task->user) != 0 && !desk_is_admin(desk->app, task->user)) ||
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

static void do_whisper(struct desk *desk, const struct task *task)
{
    struct err err = { 0 };
    char ts[SLACK_TS_MAX_BYTES];
    int rc = *task->user ? slack_post_ephemeral(desk->web, task->channel, task->thread_ts,
                                                task->user, task->detail, &err)
                         : slack_post_markdown(desk->web, task->channel, task->thread_ts,
                                               task->detail, "", ts, &err);

    if (rc < 0)
        log_warn("could not tell user=%s in channel=%s about their message: %s", task->user,
                 task->channel, err.message);
}

static void do_deleted(struct desk *desk, const struct task *task)
{
    desk_message_deleted(desk->app, task->channel, task->thread_ts, task->user, task->detail);
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
    case TASK_STOP_SIGN:
        do_stop_sign(desk, task);
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
    case TASK_WHISPER:
        do_whisper(desk, task);
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

static char *mask(void *context, const char *markdown)
{
    return guard_mask(context, GUARD_OUTGOING, markdown, NULL);
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
    slack_web_set_filter(desk->web, mask, app->guard);
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
