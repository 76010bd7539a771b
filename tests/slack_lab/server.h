/*
 * server.h - the HTTP side of the lab: a request comes whole, gets one answer, now or later.
 */
#ifndef SLACK_LAB_SERVER_H
#define SLACK_LAB_SERVER_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "tests/slack_lab/lab.h"

struct link;

struct request {
    struct lab *lab;
    struct lws *wsi;
    bool is_post;
    char path[512];
    char authorization[512];
    char content_type[256];
    json_t *query; /* object of strings */
    struct buf body;
    int64_t came_us;

    bool answered;
    bool drop;           /* cut the connection instead of answering */
    bool is_cut;         /* ... in the middle of the answer */
    int64_t due_us;      /* when the answer may leave; 0: at once */
    struct buf response; /* with LWS_PRE bytes in front */

    /* A long poll: asked again on each tick until it says true (it has answered). */
    bool (*poll)(struct request *request, int64_t now_us);
    int64_t poll_after;
    int64_t poll_until_us;
    LIST_ENTRY(request) list;
};

/* What lws keeps for each connection. */
struct session {
    struct request *request;
    struct link *link;
};

extern const struct lws_protocols server_protocols[];

struct requests *requests_new(void);
void requests_free(struct requests *requests);

/* Composes the answer; `headers` are extra "Name: value\r\n" lines, "" for none. */
void request_answer(struct request *request, int status, const char *content_type,
                    const char *headers, const char *body, size_t len);
void request_answer_json(struct request *request, json_t *json /* adopt */);
const char *request_query(const struct request *request, const char *name); /* "" if absent */

/* Sends what is due and asks the long polls. True while something waits. */
bool requests_tick(struct lab *lab, int64_t now_us);

#endif
