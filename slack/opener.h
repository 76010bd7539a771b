/*
 * opener.h - asks Slack for websocket URLs on a thread of its own, so that the loop never waits
 * for HTTP or a name server.
 *
 * Owns:    one thread, one HTTP client, the answers until they are taken.
 * Threads: loop for all functions; `wake` is called on the opener's thread.
 */
#ifndef SLACK_OPENER_H
#define SLACK_OPENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "slack/route.h"

#define SLACK_OPENER_TIMEOUT_MS 10000 /* one HTTP request, all of it */

struct slack_opener;

struct slack_opener_options {
    const char *api_url; /* ends in "/" */
    const char *app_token;
    bool debug_reconnects;
    void (*wake)(
        void *context); /* an answer is ready; only lws_cancel_service() belongs here */
    void *context;
};

enum slack_opening {
    SLACK_OPENING_OK,      /* `route` is filled */
    SLACK_OPENING_RETRY,   /* `err` says why */
    SLACK_OPENING_LIMITED, /* the same, and not before retry_after_ms */
    SLACK_OPENING_FATAL,   /* ERR_AUTH: the app token or the app itself is refused */
};

struct slack_opener_answer {
    uint64_t generation; /* as asked */
    enum slack_opening result;
    int64_t retry_after_ms; /* 0 when Slack named none */
    struct slack_route route;
    struct err err;
};

/* Copies the options and starts the thread. */
struct slack_opener *slack_opener_new(const struct slack_opener_options *options);

/* Ends a running request within a second (a name server may take longer) and joins the thread.
 * NULL is fine. */
void slack_opener_free(struct slack_opener *opener);

/* Asks for one URL; false when too many requests are waiting already. */
bool slack_opener_ask(struct slack_opener *opener, uint64_t generation);

/* The next answer, which the caller frees, or NULL. Never waits. */
struct slack_opener_answer *slack_opener_take(struct slack_opener *opener);
void slack_opener_answer_free(struct slack_opener_answer *answer); /* NULL is fine */

/*
 * Sorts an answer of apps.connections.open (docs "apps.connections.open" and what the SDKs
 * treat as final). Exposed for tests.
 */
void slack_opener_judge(long status, int64_t retry_after_ms, const char *body, size_t len,
                        const char *suffix, struct slack_opener_answer *ret_answer);

#endif
