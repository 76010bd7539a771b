/*
 * socket.h - Socket Mode: several staggered websocket links that between them never leave a
 * gap.
 *
 *   IDLE -> OPENING_URL -> CONNECTING -> UPGRADED -> READY -> DRAINING -> CLOSED
 *              ^                                                  |
 *              +------------- BACKOFF <---------------------------+
 *
 * Protocol facts: Slack's "Using Socket Mode" and "apps.connections.open". A link is READY only
 * after `hello`; a replacement is opened on `disconnect` (warning, refresh_requested) and at 90
 * % of approximate_connection_time, and the old link drains: it still reads and acks. Every
 * link object has a generation id and callbacks of an older generation do nothing.
 *
 * The links live in a vhost of their own inside the given lws context, which must be made with
 * LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT and outlive this. Proxies come from https_proxy,
 * all_proxy and no_proxy; the context needs no proxy setting.
 *
 * Owns:    its links and one opener thread that asks apps.connections.open for URLs.
 * Threads: loop for everything below; the opener is inside.
 */
#ifndef SLACK_SOCKET_H
#define SLACK_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"

struct lws_context;
struct slack_socket;

#define SLACK_ACK_MAX_BYTES \
    20480 /* exclusive: Slack closes with 1009 at this size (revelrylabs/slax PR #614) */

/* Which link delivered an envelope: acks go back on it. Plain values, safe to copy to any
 * thread. */
struct slack_socket_origin {
    uint32_t link;
    uint64_t generation;
};

struct slack_socket_callbacks {
    /* One whole message that is neither hello nor disconnect. `json` is borrowed for the call.
     */
    void (*on_envelope)(void *context, struct slack_socket_origin origin, const char *json,
                        size_t len);
    /* The number of READY links changed. */
    void (*on_ready_links)(void *context, unsigned ready, unsigned wanted);
    /* The tokens are refused for good (ERR_AUTH), called once; the socket has stopped. */
    void (*on_fatal)(void *context, const struct err *err);
    void *context;
};

struct slack_socket_options {
    const char *api_url;   /* ends in "/" */
    const char *app_token; /* xapp-... */
    unsigned connections;  /* 1 to 10 */
    int64_t ping_interval_ms;
    int64_t ping_timeout_ms;
    bool debug_reconnects; /* asks Slack for short-lived links, to watch refreshes */
};

/* Copies the options. Starts nothing yet. */
struct slack_socket *slack_socket_new(struct lws_context *lws,
                                      const struct slack_socket_options *options,
                                      const struct slack_socket_callbacks *callbacks,
                                      struct metrics *metrics);
/* NULL is fine. Stop first, and before the lws context is destroyed. Joins the opener, which
 * may take as long as the name server. */
void slack_socket_free(struct slack_socket *socket);

/* Opens the first link now and each further one when its predecessor is READY or has failed,
 * after 5 s at the latest. Later refreshes keep 30 s between the births of two links. */
void slack_socket_start(struct slack_socket *socket);

/*
 * Begins to close every link with 1000, so that no ghost stays registered; what does not close
 * is aborted after a second. Serve the loop until slack_socket_is_stopped(). A stopped socket
 * does not start again.
 */
void slack_socket_stop(struct slack_socket *socket);
bool slack_socket_is_stopped(const struct slack_socket *socket);

/*
 * Queues an ack on the link that delivered the envelope, or on any READY one if that is gone;
 * with none it is dropped and counted: Slack sends the event again and the ledger knows it.
 * `payload_json` may be NULL; an ack of SLACK_ACK_MAX_BYTES or more goes out without its
 * payload.
 */
void slack_socket_ack(struct slack_socket *socket, struct slack_socket_origin origin,
                      const char *envelope_id, const char *payload_json);

/*
 * The loop calls this when its lws context is woken by lws_cancel_service(): takes what the
 * opener thread has finished.
 */
void slack_socket_on_wake(struct slack_socket *socket);

unsigned slack_socket_ready_links(const struct slack_socket *socket);

/* One JSON object per link: state, generation, host, age, frames, num_connections. */
void slack_socket_print_status(const struct slack_socket *socket, struct buf *out_json_array);

/*
 * Asks apps.connections.open once, for `threadkeeper check`: ERR_AUTH when the token or the app
 * is refused (Slack's error name in the message), ERR_TEMP when Slack cannot be asked. Blocks,
 * so never from the loop.
 */
int slack_socket_check_token(const char *api_url, const char *app_token, struct err *err);

/* The lws protocol (struct lws_protocols). The links' own vhost has it already; one more entry
 * in the context's table does no harm. */
const void *slack_socket_protocol(void);

#endif
