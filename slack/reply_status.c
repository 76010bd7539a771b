/* reply.h: the thread's status line and the session's Stop button. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "slack/limits.h"
#include "slack/reply_parts.h"

#define LOG_MODULE "slack.reply"
#include "base/log.h"

#define STATUS_DEADLINE_MS      4000
#define SESSION_END_DEADLINE_MS 65000 /* Slack's rates are a minute's */

bool reply_is_unsupported(const struct slack_web *web)
{
    static const char *const names[] = { "unknown_method",    "feature_disabled",
                                         "not_authorized",    "not_agent_app",
                                         "missing_scope",     "not_allowed_token_type",
                                         "method_deprecated", "feature_not_enabled" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(slack_web_error(web), names[i]) == 0)
            return true;
    }
    return false;
}

/* Remembers when this app or workspace knows no such method; anything else is only logged. */
static void note_unsupported(struct slack_reply *reply, atomic_bool *feature,
                             const struct err *err)
{
    if (feature && reply_is_unsupported(reply->web))
        atomic_store(feature, true);
    log_debug("channel=%s %s", reply->channel, err->message);
}

/* 0, or -1 when the session is not known to have this status now. */
static int set_session(struct slack_reply *reply, const char *status, int64_t within_ms)
{
    atomic_bool *unsupported = reply->features ? &reply->features->no_sessions : NULL;
    int64_t deadline_ms = reply->web->deadline_ms;
    struct err err = { 0 };
    int rc;

    if (unsupported && atomic_load(unsupported))
        return 0;
    slack_web_set_deadline(reply->web, within_ms);
    rc = slack_set_session_status(reply->web, reply->channel, reply->thread_ts, status, &err);
    if (rc < 0)
        note_unsupported(reply, unsupported, &err);
    slack_web_set_deadline(reply->web, deadline_ms);
    return rc;
}

void reply_begin_session(struct slack_reply *reply)
{
    if (!slack_limits_have_spare_session(reply->web->limits, clock_now_ms()))
        return;
    if (set_session(reply, "processing", STATUS_DEADLINE_MS) == 0 ||
        reply->web->fate != SLACK_FATE_RATE)
        reply->is_session_busy = true;
}

void reply_end_session(struct slack_reply *reply)
{
    if (!reply->is_session_busy)
        return;
    reply->is_session_busy = false;
    if (set_session(reply, "active", STATUS_DEADLINE_MS) == 0 ||
        reply->web->fate != SLACK_FATE_RATE)
        return;
    if (set_session(reply, "active", SESSION_END_DEADLINE_MS) < 0)
        log_warn("channel=%s thread=%s still shows a Stop button: Slack's rate limit",
                 reply->channel, reply->thread_ts);
}

void reply_mark_processing(struct slack_reply *reply)
{
    if (reply->is_session_busy)
        reply_begin_session(reply);
}

void reply_show_status(struct slack_reply *reply, const char *status, int64_t now_ms)
{
    atomic_bool *unsupported = reply->features ? &reply->features->no_status : NULL;
    int64_t deadline_ms = reply->web->deadline_ms;
    struct err err = { 0 };

    if (unsupported && atomic_load(unsupported))
        return;
    slack_web_set_deadline(reply->web, STATUS_DEADLINE_MS);
    if (slack_set_thread_status(reply->web, reply->channel, reply->thread_ts, status, &err) < 0)
        note_unsupported(reply, unsupported, &err);
    slack_web_set_deadline(reply->web, deadline_ms);
    snprintf(reply->shown_status, sizeof(reply->shown_status), "%s", status);
    reply->status_at_ms = now_ms;
    reply->is_status_busy = true;
}
