#include "bot/surface_slack.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "bot/route.h"

struct surface_slack {
    struct surface surface; /* first */
    struct slack_web *web;
    struct slack_reply *reply;
    char *channel;
    char *thread_ts;
    char *key;
    int64_t since_s;
    bool may_have_failed; /* the sentence may be there already */
};

static struct surface_slack *from(struct surface *surface)
{
    return (struct surface_slack *)surface;
}

static void begin(struct surface *surface, int64_t now_ms)
{
    slack_reply_begin(from(surface)->reply, now_ms);
}

static int resume(struct surface *surface, const char *state, struct err *err)
{
    from(surface)->may_have_failed = true;
    return slack_reply_resume(from(surface)->reply, state, err);
}

static void set_status(struct surface *surface, const char *status, int64_t now_ms)
{
    slack_reply_set_status(from(surface)->reply, status, now_ms);
}

static void show_step(struct surface *surface, const struct surface_step *step)
{
    static const enum slack_task_state states[] = {
        [SURFACE_STEP_RUNNING] = SLACK_TASK_RUNNING,
        [SURFACE_STEP_DONE] = SLACK_TASK_DONE,
        [SURFACE_STEP_FAILED] = SLACK_TASK_FAILED,
    };

    slack_reply_set_task(from(surface)->reply, step->number, step->title, states[step->state]);
}

static void append(struct surface *surface, const char *text, size_t len)
{
    slack_reply_append(from(surface)->reply, text, len);
}

static int64_t tick(struct surface *surface, int64_t now_ms, bool *ret_stopped)
{
    return slack_reply_tick(from(surface)->reply, now_ms, ret_stopped);
}

static const char *answer(const struct surface *surface)
{
    return slack_reply_text(((const struct surface_slack *)surface)->reply);
}

static int end(struct surface *surface, const char *note, struct err *err)
{
    return slack_reply_end(from(surface)->reply, note, err);
}

static int failed(struct surface *surface, const char *sentence, const char *retry,
                  struct err *err)
{
    struct surface_slack *slack = from(surface);
    AUTO_FREE char *key = xasprintf("%s-failed", slack->key);
    AUTO_FREE char *text = xasprintf(":warning: %s", sentence);
    char ts[SLACK_TS_MAX_BYTES];
    int found = 0;

    slack_reply_end(slack->reply, "", err); /* the sentence matters more than a lost tail */
    /* An earlier process, or an earlier attempt, may have said it without knowing. */
    if (slack->may_have_failed)
        found = slack_find_markdown(slack->web, slack->channel, slack->thread_ts, key,
                                    slack->since_s, ts, err);
    if (found > 0)
        return 0;
    if (found < 0 && err->kind == ERR_TEMP)
        return -1;
    slack->may_have_failed = true;
    if (!*retry)
        return slack_post_markdown(slack->web, slack->channel, slack->thread_ts, text, key, ts,
                                   err);
    return slack_post_button(slack->web, slack->channel, slack->thread_ts, text, "Retry",
                             ROUTE_RETRY_ACTION, retry, key, ts, err);
}

static void free_surface(struct surface *surface)
{
    struct surface_slack *slack = from(surface);

    slack_reply_free(slack->reply);
    free(slack->channel);
    free(slack->thread_ts);
    free(slack->key);
    free(slack);
}

static const struct surface_ops slack_ops = {
    .begin = begin,
    .resume = resume,
    .set_status = set_status,
    .show_step = show_step,
    .append = append,
    .tick = tick,
    .answer = answer,
    .end = end,
    .failed = failed,
    .free = free_surface,
};

struct surface *surface_slack_new(struct slack_web *web,
                                  const struct slack_reply_target *target,
                                  const struct slack_reply_options *options, int64_t since_s)
{
    struct surface_slack *slack = xcalloc(1, sizeof(*slack));

    slack->surface.ops = &slack_ops;
    slack->web = web;
    slack->reply = slack_reply_new(web, target, options);
    slack->channel = xstrdup(target->channel);
    slack->thread_ts = xstrdup(target->thread_ts);
    slack->key = xstrdup(target->key);
    slack->since_s = since_s;
    return &slack->surface;
}
