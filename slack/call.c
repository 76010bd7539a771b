#include "slack/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/utf8.h"

#define LOG_MODULE "slack.web"
#include "base/log.h"

#define TRIES_MAX              5
#define BACKOFF_CAP_MS         8000
#define CONNECT_TIMEOUT_MS     5000
#define REQUEST_TIMEOUT_MS     15000
#define WAIT_SLICE_MS          50
#define RETRY_AFTER_UNKNOWN_MS 5000 /* a 429 that does not say for how long */
#define RETRY_JITTER_MS        250

/*
 * The retry policy. The first row that fits decides: 0, NULL fit anything. What no row knows is
 * permanent.
 */
static const struct {
    const char *error; /* Slack's error name */
    const char *method;
    int status; /* HTTP */
    enum slack_fate fate;
} policy[] = {
    { NULL, NULL, 429, SLACK_FATE_RATE },
    { "ratelimited", NULL, 0, SLACK_FATE_RATE },
    { "rate_limited", NULL, 0, SLACK_FATE_RATE },

    { "already_reacted", NULL, 0, SLACK_FATE_DONE },
    { "no_reaction", NULL, 0, SLACK_FATE_DONE },
    { "message_not_found", "chat.delete", 0, SLACK_FATE_DONE },
    { "message_not_in_streaming_state", "chat.stopStream", 0, SLACK_FATE_DONE },

    { "internal_error", NULL, 0, SLACK_FATE_MAYBE },
    { "fatal_error", NULL, 0, SLACK_FATE_MAYBE },
    { "service_unavailable", NULL, 0, SLACK_FATE_MAYBE },
    { "request_timeout", NULL, 0, SLACK_FATE_MAYBE },
    { "update_failed", NULL, 0, SLACK_FATE_MAYBE },
    { "messaging_processing_failed", NULL, 0, SLACK_FATE_MAYBE },
    { "external_channel_migrating", NULL, 0, SLACK_FATE_MAYBE },
    { "team_added_to_org", NULL, 0, SLACK_FATE_MAYBE },

    { "invalid_auth", NULL, 0, SLACK_FATE_TOKEN },
    { "not_authed", NULL, 0, SLACK_FATE_TOKEN },
    { "account_inactive", NULL, 0, SLACK_FATE_TOKEN },
    { "token_revoked", NULL, 0, SLACK_FATE_TOKEN },
    { "token_expired", NULL, 0, SLACK_FATE_TOKEN },
    { "missing_scope", NULL, 0, SLACK_FATE_TOKEN },
    { "not_allowed_token_type", NULL, 0, SLACK_FATE_TOKEN },
    { "access_denied", NULL, 0, SLACK_FATE_TOKEN },
    { "no_permission", NULL, 0, SLACK_FATE_TOKEN },
    { "org_login_required", NULL, 0, SLACK_FATE_TOKEN },
    { "ekm_access_denied", NULL, 0, SLACK_FATE_TOKEN },
    { "enterprise_is_restricted", NULL, 0, SLACK_FATE_TOKEN },
    { "accesslimited", NULL, 0, SLACK_FATE_TOKEN },

    /* Without a name of Slack's that the rows above know: */
    { "", NULL, 503, SLACK_FATE_NOT_EXECUTED },
    { "", NULL, 408, SLACK_FATE_MAYBE },
    { "", NULL, 200, SLACK_FATE_MAYBE }, /* a body that is not Slack's */
    { NULL, NULL, 500, SLACK_FATE_MAYBE },
    { NULL, NULL, 502, SLACK_FATE_MAYBE },
    { NULL, NULL, 504, SLACK_FATE_MAYBE },
};

static enum slack_fate classify(long status, const char *error, const char *method)
{
    for (size_t i = 0; i < ARRAY_LEN(policy); i++) {
        if ((!policy[i].status || policy[i].status == status) &&
            (!policy[i].error || strcmp(policy[i].error, error) == 0) &&
            (!policy[i].method || strcmp(policy[i].method, method) == 0))
            return policy[i].fate;
    }
    return SLACK_FATE_PERMANENT;
}

/* ---- answers ---- */

static void append_detail(struct slack_answer *answer, const char *label, const char *text)
{
    size_t len = strlen(answer->detail);

    if (!text || !*text)
        return;
    snprintf(answer->detail + len, sizeof(answer->detail) - len, "%s%s%s", len ? "; " : "",
             label, text);
    len = utf8_incomplete_tail(answer->detail, strlen(answer->detail));
    answer->detail[strlen(answer->detail) - len] = '\0';
}

static void copy_text(const json_t *object, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));

    snprintf(out, size, "%s", text ? text : "");
}

int slack_answer_parse(const char *body, size_t len, struct slack_answer *ret_answer)
{
    json_error_t why;
    const json_t *ok;
    const json_t *messages;
    const json_t *message;
    size_t i;

    ret_answer->root = json_loadb(body, len, 0, &why);
    ok = json_object_get(ret_answer->root, "ok");
    if (!json_is_boolean(ok))
        return -1;
    ret_answer->is_ok = json_is_true(ok);
    if (ret_answer->is_ok)
        return 0;
    copy_text(ret_answer->root, "error", ret_answer->error, sizeof(ret_answer->error));
    if (!*ret_answer->error)
        snprintf(ret_answer->error, sizeof(ret_answer->error), "unknown_error");
    append_detail(ret_answer, "needs ",
                  json_string_value(json_object_get(ret_answer->root, "needed")));
    append_detail(ret_answer, "has ",
                  json_string_value(json_object_get(ret_answer->root, "provided")));
    messages =
        json_object_get(json_object_get(ret_answer->root, "response_metadata"), "messages");
    json_array_foreach(messages, i, message)
        append_detail(ret_answer, "", json_string_value(message));
    return 0;
}

void slack_answer_deinit(struct slack_answer *answer)
{
    json_decref(answer->root);
    answer->root = NULL;
}

/* ---- one request ---- */

static bool is_cancelled(const struct slack_web *web)
{
    return web->cancelled && atomic_load(web->cancelled);
}

/* False when cancelled meanwhile, or when the wait would pass the deadline (then at once). */
static bool wait_ms(const struct slack_web *web, int64_t wait, int64_t deadline_at_ms)
{
    int64_t until = clock_now_ms() + wait;

    if (until >= deadline_at_ms)
        return false;
    for (;;) {
        int64_t left = until - clock_now_ms();
        struct timespec slice = { 0 };

        if (is_cancelled(web))
            return false;
        if (left <= 0)
            return true;
        slice.tv_nsec = (left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS) * 1000000;
        nanosleep(&slice, NULL);
    }
}

static int perform(struct slack_web *web, const struct slack_call *call, int64_t deadline_at_ms,
                   struct err *err)
{
    AUTO_FREE char *url = xasprintf("%s%s", web->api_url, call->method);
    const char *headers[] = {
        web->authorization,
        call->is_form ? "Content-Type: application/x-www-form-urlencoded"
                      : "Content-Type: application/json; charset=utf-8",
        NULL,
    };
    int64_t left = deadline_at_ms - clock_now_ms();
    struct http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = call->body,
        .body_len = strlen(call->body),
        .max_response_bytes = SLACK_BODY_MAX_BYTES,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = left < 1                    ? 1
                      : left < REQUEST_TIMEOUT_MS ? left
                                                  : REQUEST_TIMEOUT_MS,
        .cancelled = web->cancelled,
    };

    return http_perform(web->http, &request, &web->answer, err);
}

/* The fate of a request that got no HTTP answer; err has been set by http_perform(). */
static enum slack_fate judge_failure(const struct slack_web *web, const struct slack_call *call,
                                     const struct err *why, struct err *err)
{
    /* An answer that is too long will be so again; only a post may want to be looked for. */
    bool is_too_long = why->kind == ERR_REMOTE && call->is_idempotent;
    bool is_permanent = why->kind == ERR_INPUT || is_too_long;

    err_set(err, is_permanent ? why->kind : ERR_TEMP, "%s: %s", call->method, why->message);
    if (is_permanent)
        return SLACK_FATE_PERMANENT;
    return web->answer.was_sent ? SLACK_FATE_MAYBE : SLACK_FATE_NOT_EXECUTED;
}

static enum err_kind kind_of(enum slack_fate fate)
{
    switch (fate) {
    case SLACK_FATE_TOKEN:
        return ERR_AUTH;
    case SLACK_FATE_PERMANENT:
        return ERR_INPUT;
    case SLACK_FATE_DONE:
    case SLACK_FATE_RATE:
    case SLACK_FATE_NOT_EXECUTED:
    case SLACK_FATE_MAYBE:
        break;
    }
    return ERR_TEMP;
}

/* Sends once and says what came of it; on DONE `*ret_root` is the answer or NULL. */
static enum slack_fate attempt(struct slack_web *web, const struct slack_call *call,
                               int64_t deadline_at_ms, json_t **ret_root, struct err *err)
{
    struct slack_answer answer = { 0 };
    struct err why = { 0 };
    enum slack_fate fate;
    long status;
    bool is_slack;

    web->error[0] = '\0';
    if (perform(web, call, deadline_at_ms, &why) < 0)
        return judge_failure(web, call, &why, err);
    status = web->answer.status;
    is_slack =
        slack_answer_parse(buf_text(&web->answer.body), web->answer.body.len, &answer) == 0;
    if (is_slack && answer.is_ok && status == 200) {
        *ret_root = answer.root;
        return SLACK_FATE_DONE;
    }
    fate = classify(status, answer.error, call->method);
    if (fate == SLACK_FATE_RATE && !*answer.error)
        snprintf(answer.error, sizeof(answer.error), "ratelimited");
    memcpy(web->error, answer.error, sizeof(web->error));
    if (*answer.error)
        err_set(err, kind_of(fate), "%s: %s%s%s%s", call->method, answer.error,
                *answer.detail ? " (" : "", answer.detail, *answer.detail ? ")" : "");
    else
        err_set(err, fate == SLACK_FATE_PERMANENT ? ERR_REMOTE : ERR_TEMP,
                "%s: HTTP %ld with a body that is not Slack's", call->method, status);
    log_debug("method=%s status=%ld error=%s request=%s", call->method, status, web->error,
              web->answer.request_id);
    slack_answer_deinit(&answer);
    return fate;
}

/* ---- the whole call ---- */

static int64_t deadline_of(const struct slack_web *web, const struct slack_call *call)
{
    return call->deadline_at_ms ? call->deadline_at_ms : clock_now_ms() + web->deadline_ms;
}

static int give_up(struct slack_web *web, const struct slack_call *call, enum slack_fate fate,
                   struct err *err)
{
    web->fate = fate;
    slack_limits_count(web->limits, SLACK_COUNT_FAILED);
    if (is_cancelled(web))
        return err_set(err, ERR_TEMP, "%s: cancelled", call->method);
    return -1;
}

/* Waits for the method's and the channel's token. */
static bool pace(struct slack_web *web, const struct slack_call *call, int64_t deadline_at_ms)
{
    for (;;) {
        int64_t wait =
            slack_limits_take(web->limits, call->method, call->channel, clock_now_ms());

        if (!wait)
            return true;
        slack_limits_count(web->limits, SLACK_COUNT_PACED);
        if (!wait_ms(web, wait, deadline_at_ms))
            return false;
    }
}

static int64_t obey_rate_limit(struct slack_web *web, const struct slack_call *call)
{
    int64_t wait = web->answer.retry_after_ms;
    int64_t now = clock_now_ms();

    if (wait < 0)
        wait = RETRY_AFTER_UNKNOWN_MS;
    wait += (int64_t)random_below(RETRY_JITTER_MS);
    slack_limits_count(web->limits, SLACK_COUNT_LIMITED);
    slack_limits_freeze(web->limits, call->method, call->channel, now, now + wait);
    log_info("method=%s channel=%s rate limited, waiting ms=%lld", call->method, call->channel,
             (long long)wait);
    return wait;
}

/*
 * After an attempt that may have been executed: may the call be sent again? 1 with an answer
 * when the look-up found it, 0 to send again, -1 to give up.
 */
static int settle_maybe(struct slack_web *web, const struct slack_call *call,
                        int64_t deadline_at_ms, json_t **ret_root, struct err *err)
{
    struct err why = { 0 };
    int found;

    if (call->is_idempotent)
        return 0;
    found = call->find(web, call->find_context, deadline_at_ms, ret_root, &why);
    if (found >= 0 || why.kind == ERR_TEMP) {
        if (found < 0)
            err_wrap(err, "cannot tell whether it was posted (%s)", why.message);
        return found;
    }
    /* Looking is refused for good: a possible duplicate is better than a lost answer. */
    log_warn("method=%s cannot be looked for (%s), sending again", call->method, why.message);
    return 0;
}

static int run(struct slack_web *web, const struct slack_call *call, json_t **ret_root,
               struct err *err)
{
    int64_t deadline_at_ms = deadline_of(web, call);
    unsigned tries = 0;

    for (;;) {
        enum slack_fate fate;
        int64_t wait;

        if (!pace(web, call, deadline_at_ms)) {
            err_set(err, ERR_TEMP, "%s: Slack's rate limit leaves no time for it",
                    call->method);
            return give_up(web, call, SLACK_FATE_RATE, err);
        }
        fate = attempt(web, call, deadline_at_ms, ret_root, err);
        if (fate == SLACK_FATE_DONE) {
            web->fate = fate;
            return 0;
        }
        if (fate == SLACK_FATE_PERMANENT || fate == SLACK_FATE_TOKEN)
            return give_up(web, call, fate, err);
        if (fate == SLACK_FATE_RATE) {
            wait = obey_rate_limit(web, call);
        } else {
            if (++tries >= TRIES_MAX ||
                (fate == SLACK_FATE_MAYBE && !call->is_idempotent && !call->find))
                return give_up(web, call, fate, err);
            wait = random_backoff_ms(web->backoff_ms, BACKOFF_CAP_MS, tries - 1);
        }
        if (!wait_ms(web, wait, deadline_at_ms))
            return give_up(web, call, fate, err);
        if (fate == SLACK_FATE_MAYBE) {
            int settled = settle_maybe(web, call, deadline_at_ms, ret_root, err);

            web->fate = SLACK_FATE_DONE;
            if (settled > 0)
                return 0;
            if (settled < 0)
                return give_up(web, call, fate, err);
        }
        slack_limits_count(web->limits, SLACK_COUNT_RETRIES);
    }
}

int slack_call(struct slack_web *web, const struct slack_call *call, json_t **ret_answer,
               struct err *err)
{
    struct err local = { 0 };
    json_t *root = NULL;
    int rc;

    slack_limits_count(web->limits, SLACK_COUNT_CALLS);
    if (!web->is_url_allowed) {
        web->fate = SLACK_FATE_PERMANENT;
        web->error[0] = '\0';
        return err_set(err, ERR_INPUT, "%s: api_url %s: https is required outside loopback",
                       call->method, web->api_url);
    }
    rc = run(web, call, &root, &local);
    if (rc < 0 && err)
        *err = local;
    if (rc == 0 && ret_answer)
        *ret_answer = root;
    else
        json_decref(root);
    return rc;
}

int slack_call_json(struct slack_web *web, struct slack_call *call, json_t *body,
                    json_t **ret_answer, struct err *err)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int rc;

    json_decref(body);
    if (!text)
        return err_set(err, ERR_INPUT, "%s: arguments are not valid UTF-8", call->method);
    call->body = text;
    rc = slack_call(web, call, ret_answer, err);
    call->body = NULL;
    free(text);
    return rc;
}
