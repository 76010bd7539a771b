/* web.h: streamed messages, and the status of a thread and of an agent session. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "slack/call.h"

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

/*
 * Neither starting nor appending may be repeated when Slack may have done it: a stream carries
 * no metadata before it is stopped, so it cannot be looked for.
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

int slack_append_stream(struct slack_web *web, const char *channel, const char *ts,
                        const char *markdown, struct err *err)
{
    struct slack_call call = { .method = "chat.appendStream", .channel = channel };

    return slack_call_json(
        web, &call,
        json_pack("{s:s,s:s,s:s}", "channel", channel, "ts", ts, "markdown_text", markdown),
        NULL, err);
}

int slack_stop_stream(struct slack_web *web, const char *channel, const char *ts,
                      const char *markdown, struct err *err)
{
    struct slack_call call = { .method = "chat.stopStream",
                               .channel = channel,
                               .is_idempotent = true };

    return slack_call_json(web, &call,
                           json_pack("{s:s,s:s,s:s*}", "channel", channel, "ts", ts,
                                     "markdown_text", or_null(markdown)),
                           NULL, err);
}
