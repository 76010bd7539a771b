/*
 * loop.h - the main thread's event loop on libwebsockets: Slack's links, the local HTTP
 * listener, signals, timers, and a mailbox through which other threads ask for something to be
 * done here.
 *
 * Owns:    the lws context and everything adopted into it.
 * Threads: loop for everything but loop_post(); startup for loop_new(). Nothing here blocks.
 */
#ifndef BOT_LOOP_H
#define BOT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"

struct loop;
struct lws_context;

typedef void (*loop_fn)(void *context, void *item);

/* What a request to the local listener gets. */
struct loop_http_answer {
    int status; /* 200, 202, 404, 405, 503 */
    const char *content_type;
    struct buf body;
};

struct loop_callbacks {
    void (*on_signal)(void *context, int signal_number);
    /* lws_cancel_service() woke us: somebody's queue wants draining. */
    void (*on_wake)(void *context);
    /* GET or POST `path` on the listener; fill the answer. A body is not read. */
    void (*on_http)(void *context, const char *path, bool is_post,
                    struct loop_http_answer *answer);
    void *context;
};

/*
 * `listen` is "127.0.0.1:9464" (port 0 takes a free one) or "". `protocol` is the lws protocol
 * of Slack's links (slack_socket_protocol()), or NULL. Blocks SIGTERM, SIGINT, SIGHUP and
 * SIGCHLD for this thread and those it starts later; ignores SIGPIPE and SIGXFSZ.
 */
int loop_new(const char *listen, const void *protocol, const struct loop_callbacks *callbacks,
             struct metrics *metrics, struct loop **ret_loop, struct err *err);
void loop_free(struct loop *loop); /* NULL is fine */

struct lws_context *loop_lws(struct loop *loop);

/* The port that the listener got, 0 without one. */
int loop_http_port(const struct loop *loop);

/* Runs until loop_quit(). */
void loop_run(struct loop *loop);
void loop_quit(struct loop *loop);

/* Runs what was posted after loop_run() returned. Startup or shutdown. */
void loop_drain(struct loop *loop);

/* Calls fn(context, item) once, at least `delay_ms` from now. At most LOOP_TIMERS_MAX are
 * pending. */
#define LOOP_TIMERS_MAX 16
void loop_after(struct loop *loop, int64_t delay_ms, loop_fn fn, void *context, void *item);

/*
 * Has fn(context, item) called on the loop soon, in the order of the posts. Any thread. Never
 * fails: the mailbox grows with what other bounded queues let through.
 */
void loop_post(struct loop *loop, loop_fn fn, void *context, void *item);

#endif
