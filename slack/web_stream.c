/* web.h: streamed messages, and the status of a thread and of an agent session. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "slack/call.h"

#define LOOK_BACK_S 600 /* how far our clock and Slack's may differ, and then some */

int slack_set_thread_status(struct slack_web *web, const char *channel, const char *thread_ts,
                            const char *status, struct err *err)
{
    struct slack_call call = { .method = "assistant.threads.setStatus",
                               .channel = channel,
                               .is_idempotent = true };

    return slack_call_json(web, &call,
                           json_pack("{s:s,s:s,s:s}", "channel_id", channel, "thread_ts",
                                     thread_ts, "status", status),
                           NULL, err);
}

int slack_set_session_status(struct slack_web *web, const char *channel, const char *thread_ts,
                             const char *status, struct err *err)
{
    struct slack_call call = { .method = "agents.sessions.setStatus",
                               .channel = channel,
                               .is_idempotent = true };

    return slack_call_json(web, &call,
                           json_pack("{s:s,s:s,s:s}", "channel_id", channel, "thread_ts",
                                     thread_ts, "status", status),
                           NULL, err);
}

static const char *or_null(const char *text)
{
    return text && *text ? text : NULL;
}

/* Letters and digits alike: Slack may give Markdown back in its own notation. */
static bool says_the_same(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a && (unsigned char)*a < 0x80 && !isalnum((unsigned char)*a))
            a++;
        while (*b && (unsigned char)*b < 0x80 && !isalnum((unsigned char)*b))
            b++;
        if (*a != *b || !*a)
            return *a == *b;
    }
}

static bool is_lost_stream(const json_t *message, const char *thread_ts, const char *markdown)
{
    const char *state = json_string_value(json_object_get(message, "streaming_state"));
    const char *text = json_string_value(json_object_get(message, "text"));
    const char *ts = json_string_value(json_object_get(message, "ts"));

    return json_is_string(json_object_get(message, "bot_id")) && text && ts &&
           strlen(ts) < SLACK_TS_MAX_BYTES && strcmp(ts, thread_ts) != 0 &&
           (!state || strcmp(state, "in_progress") == 0) && says_the_same(text, markdown);
}

int slack_find_stream(struct slack_web *web, const char *channel, const char *thread_ts,
                      const char *markdown, bool (*is_known)(void *context, const char *ts),
                      void *context, char ret_ts[SLACK_TS_MAX_BYTES], struct err *err)
{
    struct slack_call call = { .method = "conversations.replies",
                               .channel = channel,
                               .is_form = true,
                               .is_idempotent = true };
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;
    const json_t *message;
    size_t i;

    buf_init(&form, 1024);
    buf_append_text(&form, "channel=");
    http_append_escaped(&form, channel);
    buf_append_text(&form, "&ts=");
    http_append_escaped(&form, thread_ts);
    buf_printf(&form, "&oldest=%lld.000000&limit=100",
               (long long)(clock_wall_s() - LOOK_BACK_S));
    if (buf_finish(&form, err) < 0)
        return -1;
    call.body = buf_text(&form);
    if (slack_call(web, &call, &answer, err) < 0)
        return -1;
    json_array_foreach(json_object_get(answer, "messages"), i, message)
    {
        const char *ts = json_string_value(json_object_get(message, "ts"));

        if (is_lost_stream(message, thread_ts, markdown) && !is_known(context, ts)) {
            snprintf(ret_ts, SLACK_TS_MAX_BYTES, "%s", ts);
            return 1;
        }
    }
    return 0;
}

/*
 * Neither starting nor appending may be repeated when Slack may have done it: a stream carries
 * no metadata before it is stopped, so it can only be looked for by its text.
 */
int slack_start_stream(struct slack_web *web, const char *channel, const char *thread_ts,
                       const char *recipient_user, const char *recipient_team,
                       const char *markdown, char ret_ts[SLACK_TS_MAX_BYTES], struct err *err)
{
    struct slack_call call = { .method = "chat.startStream", .channel = channel };
    json_t *body = json_pack("{s:s,s:s*,s:s*,s:s*,s:s*}", "channel", channel, "thread_ts",
                             or_null(thread_ts), "recipient_user_id", or_null(recipient_user),
                             "recipient_team_id", or_null(recipient_team), "markdown_text",
                             or_null(markdown));
    json_auto_t *answer = NULL;
    const char *ts;

    if (slack_call_json(web, &call, body, &answer, err) < 0)
        return -1;
    ts = json_string_value(json_object_get(answer, "ts"));
    if (!ts || !*ts || strlen(ts) >= SLACK_TS_MAX_BYTES)
        return err_set(err, ERR_REMOTE, "chat.startStream: the answer holds no ts");
    snprintf(ret_ts, SLACK_TS_MAX_BYTES, "%s", ts);
    return 0;
}

/* The content of a request: plain text as `markdown_text`, else all of it as `chunks`; NULL
 * when it is no valid UTF-8. */
static json_t *stream_body(const char *channel, const char *ts, const char *markdown,
                           const struct slack_task *tasks, size_t count)
{
    json_t *body = json_pack("{s:s,s:s,s:s*}", "channel", channel, "ts", ts, "markdown_text",
                             count ? NULL : or_null(markdown));
    json_t *chunks = count ? json_array() : NULL;

    if (count && or_null(markdown))
        json_array_append_new(
            chunks, json_pack("{s:s,s:s}", "type", "markdown_text", "text", markdown));
    for (size_t i = 0; i < count; i++)
        json_array_append_new(chunks, json_pack("{s:s,s:s,s:s,s:s}", "type", "task_update",
                                                "id", tasks[i].id, "title", tasks[i].title,
                                                "status", tasks[i].status));
    if (chunks)
        json_object_set_new(body, "chunks", chunks);
    return body;
}

int slack_append_chunks(struct slack_web *web, const char *channel, const char *ts,
                        const char *markdown, const struct slack_task *tasks, size_t count,
                        struct err *err)
{
    struct slack_call call = { .method = "chat.appendStream", .channel = channel };

    return slack_call_json(web, &call, stream_body(channel, ts, markdown, tasks, count), NULL,
                           err);
}

int slack_append_stream(struct slack_web *web, const char *channel, const char *ts,
                        const char *markdown, struct err *err)
{
    return slack_append_chunks(web, channel, ts, markdown, NULL, 0, err);
}

int slack_stop_chunks(struct slack_web *web, const char *channel, const char *ts,
                      const char *markdown, const struct slack_task *tasks, size_t count,
                      struct err *err)
{
    struct slack_call call = { .method = "chat.stopStream",
                               .channel = channel,
                               .is_idempotent = true };

    return slack_call_json(web, &call, stream_body(channel, ts, markdown, tasks, count), NULL,
                           err);
}

int slack_stop_stream(struct slack_web *web, const char *channel, const char *ts,
                      const char *markdown, struct err *err)
{
    return slack_stop_chunks(web, channel, ts, markdown, NULL, 0, err);
}
