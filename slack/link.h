/*
 * link.h - one websocket connection to Slack, from the wish for a URL to its last byte.
 *
 *   IDLE -> BACKOFF -> OPENING_URL -> CONNECTING -> UPGRADED -> READY -> DRAINING -> CLOSING
 *     `---------^                         |            |          |         |          |
 *                                         `------------+----------+---------+-> CLOSED <'
 *
 * A link lives once: a reconnect is a new link with a new generation, and libwebsockets'
 * callbacks reach a link only through the connection that is its own, so a late callback of an
 * old connection finds nobody. Each state has its own deadline; each end is an abort at the
 * latest one second after the polite way began.
 *
 * Owns:    its libwebsockets connection, timers and unsent frames.
 * Threads: loop.
 */
#ifndef SLACK_LINK_H
#define SLACK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slack/outbox.h"
#include "slack/route.h"

#define SLACK_MESSAGE_MAX_BYTES ((size_t)4 * 1024 * 1024) /* a larger one costs the link */

struct lws_context;
struct lws_vhost;
struct slack_link;

enum slack_link_state {
    SLACK_LINK_IDLE,        /* made */
    SLACK_LINK_BACKOFF,     /* waits for its turn */
    SLACK_LINK_OPENING_URL, /* the opener asks Slack */
    SLACK_LINK_CONNECTING,  /* TCP, proxy, TLS, upgrade */
    SLACK_LINK_UPGRADED,    /* 101 came; waits for hello */
    SLACK_LINK_READY,
    SLACK_LINK_DRAINING, /* replaced: still reads and acks until Slack closes it */
    SLACK_LINK_CLOSING,  /* the close handshake, or what is left of the connection */
    SLACK_LINK_CLOSED,
};

/* Why a link ended or needs a replacement. */
enum slack_link_reason {
    SLACK_LINK_REFRESH,   /* Slack: refresh_requested */
    SLACK_LINK_WARNING,   /* Slack: warning */
    SLACK_LINK_PLANNED,   /* our own clock, before Slack's */
    SLACK_LINK_DISABLED,  /* Slack: link_disabled */
    SLACK_LINK_TOO_MANY,  /* Slack: too_many_websockets */
    SLACK_LINK_OTHER,     /* Slack: a reason we do not know */
    SLACK_LINK_ENDED,     /* Slack closed the websocket */
    SLACK_LINK_DROPPED,   /* the connection broke */
    SLACK_LINK_DEAD,      /* nothing came, not even a pong */
    SLACK_LINK_OVERSIZED, /* a message over SLACK_MESSAGE_MAX_BYTES */
    SLACK_LINK_NO_URL,    /* apps.connections.open failed */
    SLACK_LINK_LIMITED,   /* it said 429 */
    SLACK_LINK_REFUSED,   /* no TCP, no TLS, or no 101 */
    SLACK_LINK_NO_HELLO,  /* 101, then silence */
    SLACK_LINK_STOPPED,   /* ours */
    SLACK_LINK_REASONS,
};

/* What a link tells the one who made it. `detail` is text for a log line. */
struct slack_link_owner {
    void (*on_due)(void *context, struct slack_link *link); /* the end of BACKOFF */
    void (*on_ready)(void *context, struct slack_link *link);
    void (*on_message)(void *context, struct slack_link *link, const char *json, size_t len);
    /* Still serves, but wants a replacement. */
    void (*on_leaving)(void *context, struct slack_link *link, enum slack_link_reason reason);
    /* Serves no more. Once for each link that was not closed by its owner. */
    void (*on_lost)(void *context, struct slack_link *link, enum slack_link_reason reason,
                    const char *detail);
    void (*on_acks_sent)(void *context, size_t count);
    /* `unsent` may be taken over. The link is freed when this returns. */
    void (*on_gone)(void *context, struct slack_link *link, struct slack_outbox *unsent);
    void *context;
};

struct slack_link_options {
    struct lws_context *lws;
    const struct slack_link_owner *owner; /* outlives the link */
    uint32_t slot;                        /* 0, 1, ...: shown as "link 1", "link 2", ... */
    uint64_t generation;
    int64_t ping_interval_ms;
    int64_t ping_timeout_ms;
};

/* A look at a link. `host` is Slack's own name for the connection, borrowed. */
struct slack_link_view {
    enum slack_link_state state;
    uint32_t slot;
    uint64_t generation;
    const char *host;
    int64_t born_ms;       /* the 101 */
    int64_t ready_ms;      /* hello, 0 before */
    int64_t life_ms;       /* how long Slack said it would last, 0: it did not say */
    int64_t last_frame_ms; /* anything from Slack, 0 before */
    uint64_t frames_in;
    uint64_t acks_sent;
    size_t unsent;
    int64_t num_connections; /* as hello counted them */
};

struct slack_link *slack_link_new(const struct slack_link_options *options);

void slack_link_wait(struct slack_link *link, int64_t delay_ms); /* then on_due */
void slack_link_expect_url(struct slack_link *link); /* the opener was asked; has a deadline */

/* Connects to each address of `route` in turn; takes its content over. `vhost` has the TLS
 * settings and the proxy. */
void slack_link_connect(struct slack_link *link, struct slack_route *route,
                        struct lws_vhost *vhost);

/* Gives up before there is a connection: on_lost, then on_gone. */
void slack_link_fail(struct slack_link *link, enum slack_link_reason reason,
                     const char *detail);

/* The answer to on_leaving with SLACK_LINK_PLANNED when now is no good time. */
void slack_link_ask_later(struct slack_link *link, int64_t delay_ms);

void slack_link_drain(struct slack_link *link, const char *why);

/* Sends what is queued and closes with 1000; aborts after a second. No on_lost, but on_gone. A
 * link without a connection is gone when this returns. */
void slack_link_close(struct slack_link *link, const char *why);

/* Adopts the frame. False when it cannot be sent on this link: not open, or queue full. */
bool slack_link_can_send(const struct slack_link *link);
bool slack_link_send(struct slack_link *link, struct slack_frame *frame);

void slack_link_look(const struct slack_link *link, struct slack_link_view *ret_view);
enum slack_link_state slack_link_state(const struct slack_link *link);
uint64_t slack_link_generation(const struct slack_link *link);
const char *slack_link_state_name(enum slack_link_state state);
const char *slack_link_reason_name(enum slack_link_reason reason);

/* The libwebsockets protocol of all links: a protocols table with this one entry. */
const void *slack_link_protocol(void);

#endif
