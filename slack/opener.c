#include "slack/opener.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/http.h"
#include "base/queue.h"
#include "base/thread.h"
#include "slack/socket.h"

#define LOG_MODULE "slack.socket"
#include "base/log.h"

#define REQUESTS_MAX           64
#define JOIN_MAX_S             2
#define ANSWER_MAX_BYTES       65536
#define RETRY_AFTER_DEFAULT_MS 30000 /* Slack's python SDK when a 429 names no time */

struct request {
    uint64_t generation;
};

struct slack_opener {
    void (*wake)(void *context);
    void *context;
    bool debug_reconnects;
    char *url;
    char *authorization;
    struct queue *requests;
    struct queue *answers;
    pthread_t thread;
    atomic_bool cancelled;
};

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(text, *list) == 0)
            return true;
    }
    return false;
}

/* The union of what Slack's node SDK and slack-go treat as final, and the client bugs: asking
 * again the same way cannot help. */
static bool is_fatal(const char *error)
{
    static const char *const fatal[] = {
        "not_authed",        "invalid_auth",      "account_inactive",
        "token_revoked",     "token_expired",     "not_allowed_token_type",
        "missing_scope",     "team_disabled",     "user_removed_from_team",
        "access_denied",     "forbidden_team",    "org_login_required",
        "missing_args",      "insecure_request",  "invalid_arg_name",
        "invalid_form_data", "invalid_post_type", NULL,
    };

    return is_one_of(error, fatal);
}

static void refuse(struct slack_opener_answer *answer, enum slack_opening result,
                   int64_t retry_after_ms)
{
    answer->result = result;
    answer->retry_after_ms = retry_after_ms;
}

static void judge_error(const char *error, int64_t retry_after_ms,
                        struct slack_opener_answer *answer)
{
    if (is_fatal(error)) {
        refuse(answer, SLACK_OPENING_FATAL, 0);
        err_set(&answer->err, ERR_AUTH, "Slack refuses the app token: %.64s", error);
        return;
    }
    err_set(&answer->err, ERR_TEMP, "apps.connections.open answers %.64s", error);
    if (strcmp(error, "ratelimited") == 0 || strcmp(error, "rate_limited") == 0)
        refuse(answer, SLACK_OPENING_LIMITED,
               retry_after_ms >= 0 ? retry_after_ms : RETRY_AFTER_DEFAULT_MS);
    else
        refuse(answer, SLACK_OPENING_RETRY, retry_after_ms > 0 ? retry_after_ms : 0);
}

static void judge_body(const json_t *root, int64_t retry_after_ms, const char *suffix,
                       struct slack_opener_answer *answer)
{
    const char *error = json_string_value(json_object_get(root, "error"));
    const char *url = json_string_value(json_object_get(root, "url"));

    if (!json_is_true(json_object_get(root, "ok"))) {
        judge_error(error ? error : "an error without a name", retry_after_ms, answer);
        return;
    }
    if (!url) {
        err_set(&answer->err, ERR_REMOTE, "apps.connections.open answers ok without a URL");
        refuse(answer, SLACK_OPENING_RETRY, 0);
        return;
    }
    answer->result = slack_route_parse(url, suffix, &answer->route, &answer->err) == 0
                         ? SLACK_OPENING_OK
                         : SLACK_OPENING_RETRY;
}

void slack_opener_judge(long status, int64_t retry_after_ms, const char *body, size_t len,
                        const char *suffix, struct slack_opener_answer *ret_answer)
{
    json_t *root = json_loadb(body, len, 0, NULL);

    if (status == 404) {
        err_set(&ret_answer->err, ERR_AUTH,
                "apps.connections.open answers HTTP 404: is slack.api_url right?");
        refuse(ret_answer, SLACK_OPENING_FATAL, 0);
    } else if (status == 429) {
        judge_error("ratelimited", retry_after_ms, ret_answer);
    } else if (json_is_object(root) && json_object_get(root, "ok")) {
        judge_body(root, retry_after_ms, suffix, ret_answer);
    } else {
        err_set(&ret_answer->err, status == 200 ? ERR_REMOTE : ERR_TEMP,
                "apps.connections.open answers HTTP %ld without a JSON answer", status);
        refuse(ret_answer, SLACK_OPENING_RETRY, retry_after_ms > 0 ? retry_after_ms : 0);
    }
    json_decref(root);
}

static void ask_slack(struct slack_opener *opener, struct http *http,
                      struct slack_opener_answer *answer)
{
    const char *const headers[] = { opener->authorization,
                                    "Content-Type: application/x-www-form-urlencoded", NULL };
    const struct http_request request = {
        .method = "POST",
        .url = opener->url,
        .headers = headers,
        .max_response_bytes = ANSWER_MAX_BYTES,
        .connect_timeout_ms = SLACK_OPENER_TIMEOUT_MS,
        .timeout_ms = SLACK_OPENER_TIMEOUT_MS,
        .cancelled = &opener->cancelled,
    };
    struct http_response response;

    http_response_init(&response);
    if (!slack_url_may_carry_token(opener->url)) {
        err_set(&answer->err, ERR_AUTH,
                "slack.api_url is neither https:// nor http:// on this host");
        refuse(answer, SLACK_OPENING_FATAL, 0);
    } else if (http_perform(http, &request, &response, &answer->err) < 0) {
        err_wrap(&answer->err, "apps.connections.open");
        refuse(answer, SLACK_OPENING_RETRY, 0);
    } else {
        slack_opener_judge(response.status, response.retry_after_ms, buf_text(&response.body),
                           response.body.len,
                           opener->debug_reconnects ? "&debug_reconnects=true" : "", answer);
    }
    if (answer->result == SLACK_OPENING_OK &&
        slack_route_resolve(&answer->route, &answer->err) < 0)
        refuse(answer, SLACK_OPENING_RETRY, 0);
    http_response_deinit(&response);
}

static void *run(void *argument)
{
    struct slack_opener *opener = argument;
    struct http *http = http_new();
    struct request *request;

    while ((request = queue_pop(opener->requests, -1)) != NULL) {
        struct slack_opener_answer *answer = xcalloc(1, sizeof(*answer));

        answer->generation = request->generation;
        free(request);
        if (!atomic_load(&opener->cancelled))
            ask_slack(opener, http, answer);
        if (atomic_load(&opener->cancelled) || !queue_push(opener->answers, answer))
            slack_opener_answer_free(answer);
        else
            opener->wake(opener->context);
    }
    http_free(http);
    return NULL;
}

int slack_socket_check_token(const char *api_url, const char *app_token, struct err *err)
{
    struct slack_opener opener = {
        .url = xasprintf("%sapps.connections.open", api_url),
        .authorization = xasprintf("Authorization: Bearer %s", app_token),
    };
    struct slack_opener_answer answer = { 0 };
    struct http *http = http_new();
    int rc = 0;

    ask_slack(&opener, http, &answer);
    if (answer.result != SLACK_OPENING_OK)
        rc = err_set(err, answer.result == SLACK_OPENING_FATAL ? ERR_AUTH : ERR_TEMP, "%s",
                     answer.err.message);
    slack_route_deinit(&answer.route);
    http_free(http);
    free(opener.url);
    free(opener.authorization);
    return rc;
}

struct slack_opener *slack_opener_new(const struct slack_opener_options *options)
{
    struct slack_opener *opener = xcalloc(1, sizeof(*opener));

    opener->wake = options->wake;
    opener->context = options->context;
    opener->debug_reconnects = options->debug_reconnects;
    opener->url = xasprintf("%sapps.connections.open", options->api_url);
    opener->authorization = xasprintf("Authorization: Bearer %s", options->app_token);
    opener->requests = queue_new(REQUESTS_MAX);
    opener->answers = queue_new((size_t)2 * REQUESTS_MAX);
    thread_start(&opener->thread, "slack-opener", run, opener);
    return opener;
}

/* A look-up of a name cannot be cancelled, and the program's end must not wait for one. */
static bool join_soon(struct slack_opener *opener)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += JOIN_MAX_S;
    if (pthread_timedjoin_np(opener->thread, NULL, &until) == 0)
        return true;
    pthread_detach(opener->thread);
    return false;
}

void slack_opener_free(struct slack_opener *opener)
{
    struct slack_opener_answer *answer;

    if (!opener)
        return;
    atomic_store(&opener->cancelled, true);
    queue_close(opener->requests);
    if (!join_soon(opener)) {
        log_warn("a name server does not answer; ending without it");
        return; /* the thread still has the object, and ends with the process */
    }
    while ((answer = slack_opener_take(opener)) != NULL)
        slack_opener_answer_free(answer);
    queue_free(opener->requests);
    queue_free(opener->answers);
    free(opener->url);
    free(opener->authorization);
    free(opener);
}

bool slack_opener_ask(struct slack_opener *opener, uint64_t generation)
{
    struct request *request = xcalloc(1, sizeof(*request));

    request->generation = generation;
    if (queue_push(opener->requests, request))
        return true;
    free(request);
    return false;
}

struct slack_opener_answer *slack_opener_take(struct slack_opener *opener)
{
    return queue_pop(opener->answers, 0);
}

void slack_opener_answer_free(struct slack_opener_answer *answer)
{
    if (!answer)
        return;
    slack_route_deinit(&answer->route);
    free(answer);
}
