/* reply.h: the cards of a streamed message, one for each step of the work. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "slack/reply_parts.h"

#define LOG_MODULE "slack.reply"
#include "base/log.h"

#define TITLE_MAX_CHARS    100
#define TASKS_BUDGET_BYTES 3000 /* of a message that takes some 10,000 */
#define UPDATE_BYTES       90   /* of JSON around a title */

static bool is_unsupported(const struct slack_reply *reply)
{
    return reply->features && atomic_load(&reply->features->no_tasks);
}

bool reply_takes_tasks(const struct slack_reply *reply)
{
    return reply->part.kind == PART_STREAM && !reply->part.is_full && !reply->is_stopped &&
           !is_unsupported(reply) && reply->part.task_bytes < TASKS_BUDGET_BYTES;
}

static struct reply_task *find_task(struct slack_reply *reply, unsigned number)
{
    for (size_t i = 0; i < reply->tasks_count; i++) {
        if (reply->tasks[i].number == number)
            return &reply->tasks[i];
    }
    return NULL;
}

static void drop_task(struct slack_reply *reply, size_t i)
{
    reply->tasks_count--;
    memmove(&reply->tasks[i], &reply->tasks[i + 1],
            (reply->tasks_count - i) * sizeof(reply->tasks[0]));
}

/* Those whose card says how they ended, and those that ended where there are no cards. */
static void drop_ended(struct slack_reply *reply)
{
    for (size_t i = reply->tasks_count; i-- > 0;) {
        const struct reply_task *task = &reply->tasks[i];

        if (task->state != SLACK_TASK_RUNNING &&
            (!task->is_due || (!task->is_shown && !reply_takes_tasks(reply))))
            drop_task(reply, i);
    }
}

static void take_title(struct reply_task *task, const char *title)
{
    AUTO_FREE char *clean = utf8_clean_copy(title, strlen(title), TITLE_MAX_CHARS);
    AUTO_BUF struct buf safe = { 0 };

    buf_init(&safe, sizeof(task->title) - 1);
    for (char *c = clean; *c; c++) {
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    }
    slack_text_append_safe(&safe, clean, strlen(clean));
    snprintf(task->title, sizeof(task->title), "%s", buf_text(&safe));
}

void slack_reply_set_task(struct slack_reply *reply, unsigned number, const char *title,
                          enum slack_task_state state)
{
    struct reply_task *task = find_task(reply, number);
    struct reply_task before;

    if (!task) {
        drop_ended(reply);
        if (reply->tasks_count == REPLY_TASKS_MAX)
            return; /* the status line shows what runs */
        task = &reply->tasks[reply->tasks_count++];
        *task = (struct reply_task){ .number = number, .at = reply->safe.len };
    }
    before = *task;
    take_title(task, title);
    task->state = state;
    if (!task->is_shown || before.state != state || strcmp(before.title, task->title) != 0)
        task->is_due = true;
    drop_ended(reply);
}

/* A card does not stand inside a code fence: it would tear it apart. */
static bool may_begin(const struct reply_task *task, const struct slack_split *split)
{
    return task->is_shown || !*split->fence;
}

bool reply_has_due_task(const struct slack_reply *reply)
{
    for (size_t i = 0; i < reply->tasks_count && reply_takes_tasks(reply); i++) {
        if (reply->tasks[i].is_due && may_begin(&reply->tasks[i], &reply->part.at_sent))
            return true;
    }
    return false;
}

size_t reply_text_before_task(const struct slack_reply *reply)
{
    size_t limit = SIZE_MAX;

    for (size_t i = 0; i < reply->tasks_count && reply_takes_tasks(reply); i++) {
        const struct reply_task *task = &reply->tasks[i];

        if (!task->is_shown && task->at > reply->part.sent &&
            task->at - reply->part.sent < limit)
            limit = task->at - reply->part.sent;
    }
    return limit;
}

static void add_to_batch(struct reply_task_batch *batch, struct reply_task *task,
                         const char *status)
{
    struct slack_task *item = &batch->items[batch->count];

    snprintf(batch->ids[batch->count], sizeof(batch->ids[0]), "t%u", task->number);
    *item = (struct slack_task){ .id = batch->ids[batch->count],
                                 .title = task->title,
                                 .status = status };
    batch->numbers[batch->count++] = task->number;
    batch->bytes += strlen(task->title) + UPDATE_BYTES;
}

static const char *status_name(enum slack_task_state state, const char *if_running)
{
    return state == SLACK_TASK_DONE     ? "complete"
           : state == SLACK_TASK_FAILED ? "error"
                                        : if_running;
}

void reply_pick_tasks(struct slack_reply *reply, size_t until, const struct slack_split *split,
                      struct reply_task_batch *batch)
{
    batch->count = batch->bytes = 0;
    if (!reply_takes_tasks(reply))
        return;
    for (size_t i = 0; i < reply->tasks_count; i++) {
        struct reply_task *task = &reply->tasks[i];

        if (task->is_due && may_begin(task, split) && (task->is_shown || task->at <= until))
            add_to_batch(batch, task, status_name(task->state, "in_progress"));
    }
}

void reply_pick_last_tasks(struct slack_reply *reply, bool is_end,
                           struct reply_task_batch *batch)
{
    batch->count = batch->bytes = 0;
    for (size_t i = 0; i < reply->tasks_count && !is_unsupported(reply); i++) {
        struct reply_task *task = &reply->tasks[i];

        if (task->is_shown && (task->is_due || task->state == SLACK_TASK_RUNNING))
            add_to_batch(batch, task, status_name(task->state, is_end ? "error" : "complete"));
    }
}

void reply_note_tasks(struct slack_reply *reply, const struct reply_task_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct reply_task *task = find_task(reply, batch->numbers[i]);

        task->is_shown = true;
        task->is_due = false;
    }
    reply->part.task_bytes += batch->bytes;
    reply->part.used += batch->bytes;
    drop_ended(reply);
}

void reply_leave_tasks(struct slack_reply *reply)
{
    for (size_t i = reply->tasks_count; i-- > 0;) {
        struct reply_task *task = &reply->tasks[i];

        task->is_shown = false;
        task->is_due = true;
        task->at = 0;
        if (task->state != SLACK_TASK_RUNNING)
            drop_task(reply, i);
    }
}

bool reply_tasks_are_refused(struct slack_reply *reply, const struct reply_task_batch *batch)
{
    static const char *const names[] = { "invalid_chunks",    "invalid_arguments",
                                         "invalid_arg_name",  "invalid_array_arg",
                                         "no_text",           "invalid_blocks",
                                         "invalid_form_data", "unknown_method" };

    for (size_t i = 0; i < ARRAY_LEN(names) && batch->count; i++) {
        if (strcmp(slack_web_error(reply->web), names[i]) != 0)
            continue;
        log_info("channel=%s no cards for the steps of the work, the status line instead: %s",
                 reply->channel, names[i]);
        if (reply->features)
            atomic_store(&reply->features->no_tasks, true);
        reply->part.task_bytes = TASKS_BUDGET_BYTES;
        reply->tasks_count = 0;
        return true;
    }
    return false;
}
