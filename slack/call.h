/*
 * call.h - one Web API call with its retries: inside slack/ only.
 *
 * Every answer and every failure is sorted by one table (call.c) into what may be done next;
 * the words are those of Slack's "Using the Slack Web API": executed for sure, not executed,
 * maybe executed.
 *
 * Threads: the one that owns the slack_web.
 */
#ifndef SLACK_CALL_H
#define SLACK_CALL_H

#include <jansson.h>

#include "base/http.h"
#include "slack/limits.h"
#include "slack/web.h"

#define SLACK_ERROR_MAX_BYTES 64
#define SLACK_BODY_MAX_BYTES  ((size_t)1024 * 1024)

enum slack_fate {
    SLACK_FATE_DONE,         /* executed, or as good as executed */
    SLACK_FATE_RATE,         /* refused for now: wait as told */
    SLACK_FATE_NOT_EXECUTED, /* transient, nothing happened at Slack */
    SLACK_FATE_MAYBE,        /* transient, it may have been executed */
    SLACK_FATE_PERMANENT,    /* never with the same arguments */
    SLACK_FATE_TOKEN,        /* the token is dead or lacks a right */
};

struct slack_web {
    char *api_url;
    char *authorization; /* the header line */
    bool is_url_allowed;
    struct http *http;
    struct slack_limits *limits;
    const atomic_bool *cancelled;
    slack_filter_fn filter; /* NULL: none */
    void *filter_context;
    int64_t deadline_ms; /* how long a call may take */
    int64_t backoff_ms;  /* of the first retry */
    bool wants_blocks;   /* this workspace refuses markdown_text: send a markdown block */
    char error[SLACK_ERROR_MAX_BYTES];
    enum slack_fate fate;        /* of the last call */
    struct http_response answer; /* of the last request */
};

/* What a body says. Zeroed before, deinit after, whatever slack_answer_parse() returned. */
struct slack_answer {
    json_t *root;
    bool is_ok;
    char error[SLACK_ERROR_MAX_BYTES];
    char detail[256]; /* needed and provided scopes, response_metadata.messages; "" for none */
};

/* -1 when the body is no JSON object with a boolean "ok". */
int slack_answer_parse(const char *body, size_t len, struct slack_answer *ret_answer);
void slack_answer_deinit(struct slack_answer *answer);

/*
 * For a call that must not run twice: looks for what an earlier attempt may have left. 1 and a
 * new reference to an answer like the call's own when it is there, 0 when not, -1 when Slack
 * cannot be asked now.
 */
typedef int (*slack_find_fn)(struct slack_web *web, const void *context, int64_t deadline_at_ms,
                             json_t **ret_answer, struct err *err);

struct slack_call {
    const char *method;
    const char *channel; /* for pacing; may be "" */
    const char *body;
    bool is_form;       /* else JSON */
    bool is_idempotent; /* sending it twice does no more than sending it once */
    slack_find_fn find; /* for calls that are not; may be NULL */
    const void *find_context;
    int64_t deadline_at_ms; /* 0: now + the client's own */
};

/*
 * Performs the call. 0 and, when `ret_answer` is not NULL, a new reference to the answer (NULL
 * when an error counts as success: web->error then names it). -1 otherwise; web->fate tells
 * whether it may have been executed.
 */
int slack_call(struct slack_web *web, const struct slack_call *call, json_t **ret_answer,
               struct err *err);

/* slack_call() with a JSON body, which it adopts. */
int slack_call_json(struct slack_web *web, struct slack_call *call, json_t *body,
                    json_t **ret_answer, struct err *err);

#endif
