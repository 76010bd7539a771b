#include "slack/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libwebsockets.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "slack/control.h"

#define LOG_MODULE "slack.socket"
#include "base/log.h"

/* The opener's own limit is 10 s for the request; this one also bounds a stuck name server and
 * the wait behind another link's request. */
#define URL_TIMEOUT_MS     30000
#define CONNECT_TIMEOUT_MS 10000
#define HELLO_TIMEOUT_MS   15000
#define DRAIN_TIMEOUT_MS   30000
#define CLOSE_TIMEOUT_MS   1000 /* node-slack-sdk 3.2.0; Slack may keep TCP open for ever */
#define RX_BUFFER_BYTES    16384
#define DETAIL_MAX_BYTES   160
#define MS_PER_S           1000

struct slack_link {
    struct slack_link_options options;
    enum slack_link_state state;
    struct lws *wsi; /* NULL without a connection */
    struct lws_vhost *vhost;
    struct slack_route route;
    unsigned next_address;
    bool is_dialing; /* inside lws_client_connect_via_info: callbacks must not free us */
    bool is_lost;    /* on_lost was called, or shall not be */
    bool wants_ping;
    lws_sorted_usec_list_t deadline; /* of the state */
    lws_sorted_usec_list_t pulse;    /* pings and liveness */
    struct buf message;              /* fragments so far */
    struct slack_outbox outbox;
    enum slack_link_reason end_reason; /* if the connection breaks now */
    char detail[DETAIL_MAX_BYTES];
    char host[SLACK_CONTROL_TEXT_BYTES];
    int close_code;
    uint64_t pings;
    int64_t born_ms;
    int64_t ready_ms;
    int64_t life_ms;
    int64_t last_frame_ms;
    uint64_t frames_in;
    uint64_t acks_sent;
    int64_t num_connections;
};

/* --- states and timers --- */

static void on_deadline(lws_sorted_usec_list_t *sul);
static void on_pulse(lws_sorted_usec_list_t *sul);

static void set_timer(struct slack_link *link, lws_sorted_usec_list_t *timer, sul_cb_t callback,
                      int64_t delay_ms)
{
    lws_sul_schedule(link->options.lws, 0, timer, callback,
                     delay_ms > 0 ? delay_ms * LWS_US_PER_MS : 1);
}

static void set_deadline(struct slack_link *link, int64_t delay_ms)
{
    set_timer(link, &link->deadline, on_deadline, delay_ms);
}

/* The only writer of link->state. A deadline of 0 is none. */
static void set_state(struct slack_link *link, enum slack_link_state state, int64_t deadline_ms,
                      const char *why)
{
    int64_t now_ms = clock_now_ms();

    if (state == SLACK_LINK_READY || link->state >= SLACK_LINK_READY)
        log_info("link %u: %s -> %s (%s) generation=%llu host=%s age_s=%lld frames_in=%llu "
                 "acks_sent=%llu last_frame_ms_ago=%lld",
                 link->options.slot + 1, slack_link_state_name(link->state),
                 slack_link_state_name(state), why,
                 (unsigned long long)link->options.generation, *link->host ? link->host : "-",
                 (long long)(link->born_ms ? (now_ms - link->born_ms) / MS_PER_S : 0),
                 (unsigned long long)link->frames_in, (unsigned long long)link->acks_sent,
                 (long long)(link->last_frame_ms ? now_ms - link->last_frame_ms : 0));
    else
        log_debug("link %u: %s -> %s (%s) generation=%llu", link->options.slot + 1,
                  slack_link_state_name(link->state), slack_link_state_name(state), why,
                  (unsigned long long)link->options.generation);
    link->state = state;
    lws_sul_cancel(&link->deadline);
    if (deadline_ms > 0)
        set_deadline(link, deadline_ms);
}

struct slack_link *slack_link_new(const struct slack_link_options *options)
{
    struct slack_link *link = xcalloc(1, sizeof(*link));

    link->options = *options;
    link->end_reason = SLACK_LINK_REFUSED;
    buf_init(&link->message, SLACK_MESSAGE_MAX_BYTES);
    return link;
}

/* The end of the object. Nothing of libwebsockets knows it any more. */
static void be_gone(struct slack_link *link)
{
    set_state(link, SLACK_LINK_CLOSED, 0, *link->detail ? link->detail : "gone");
    lws_sul_cancel(&link->pulse);
    link->options.owner->on_gone(link->options.owner->context, link, &link->outbox);
    while (link->outbox.first)
        slack_frame_free(slack_outbox_pop(&link->outbox));
    slack_route_deinit(&link->route);
    buf_deinit(&link->message);
    free(link);
}

static void tell_lost(struct slack_link *link, enum slack_link_reason reason)
{
    if (link->is_lost)
        return;
    link->is_lost = true;
    link->options.owner->on_lost(link->options.owner->context, link, reason, link->detail);
}

/*
 * Ends the connection at once, with a reset, so that neither a full send buffer nor a peer that
 * never answers keeps it. Not from within a callback of this connection.
 */
static void abort_connection(struct slack_link *link)
{
    struct lws *wsi = link->wsi;
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    int fd;

    link->wsi = NULL;
    if (!wsi)
        return;
    lws_set_opaque_user_data(wsi, NULL);
    fd = lws_get_socket_fd(wsi);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        /* With unsent bytes lws would first try to flush them: now it cannot. */
        shutdown(fd, SHUT_RDWR);
    }
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static void end_by_abort(struct slack_link *link, enum slack_link_reason reason)
{
    abort_connection(link);
    tell_lost(link, reason);
    be_gone(link);
}

static void note(struct slack_link *link, const char *text)
{
    snprintf(link->detail, sizeof(link->detail), "%s", text);
}

void slack_link_fail(struct slack_link *link, enum slack_link_reason reason, const char *detail)
{
    note(link, detail);
    end_by_abort(link, reason);
}

void slack_link_wait(struct slack_link *link, int64_t delay_ms)
{
    set_state(link, SLACK_LINK_BACKOFF, delay_ms > 0 ? delay_ms : 1, "waits");
}

void slack_link_expect_url(struct slack_link *link)
{
    set_state(link, SLACK_LINK_OPENING_URL, URL_TIMEOUT_MS, "due");
}

/* The polite end: WRITEABLE sends what is queued and then the close frame. */
static void begin_close(struct slack_link *link, int code, const char *why)
{
    link->close_code = code;
    set_state(link, SLACK_LINK_CLOSING, CLOSE_TIMEOUT_MS, why);
    lws_callback_on_writable(link->wsi);
}

static bool is_open(const struct slack_link *link)
{
    return link->state == SLACK_LINK_UPGRADED || link->state == SLACK_LINK_READY ||
           link->state == SLACK_LINK_DRAINING;
}

void slack_link_close(struct slack_link *link, const char *why)
{
    link->is_lost = true;
    if (link->state == SLACK_LINK_CLOSING)
        return;
    if (is_open(link)) {
        begin_close(link, LWS_CLOSE_STATUS_NORMAL, why);
        return;
    }
    note(link, why);
    end_by_abort(link, SLACK_LINK_STOPPED);
}

void slack_link_ask_later(struct slack_link *link, int64_t delay_ms)
{
    set_deadline(link, delay_ms);
}

void slack_link_drain(struct slack_link *link, const char *why)
{
    if (link->state == SLACK_LINK_READY)
        set_state(link, SLACK_LINK_DRAINING, DRAIN_TIMEOUT_MS, why);
}

/* Slack or we want this connection to end now: the owner hears of it before the close. */
static void lose_and_close(struct slack_link *link, enum slack_link_reason reason, int code)
{
    note(link, slack_link_reason_name(reason));
    begin_close(link, code, slack_link_reason_name(reason));
    tell_lost(link, reason);
}

static void connect_next(struct slack_link *link);

static void on_deadline(lws_sorted_usec_list_t *sul)
{
    struct slack_link *link = lws_container_of(sul, struct slack_link, deadline);

    switch (link->state) {
    case SLACK_LINK_BACKOFF:
        link->options.owner->on_due(link->options.owner->context, link);
        break;
    case SLACK_LINK_OPENING_URL:
        slack_link_fail(link, SLACK_LINK_NO_URL, "no answer to apps.connections.open");
        break;
    case SLACK_LINK_CONNECTING:
        if (link->wsi)
            note(link, "the connection attempt takes too long");
        abort_connection(link);
        connect_next(link);
        break;
    case SLACK_LINK_UPGRADED:
        slack_link_fail(link, SLACK_LINK_NO_HELLO, "no hello");
        break;
    case SLACK_LINK_READY:
        link->options.owner->on_leaving(link->options.owner->context, link, SLACK_LINK_PLANNED);
        break;
    case SLACK_LINK_DRAINING:
        link->is_lost = true; /* its replacement has been there for a while */
        begin_close(link, LWS_CLOSE_STATUS_NORMAL, "drained");
        break;
    case SLACK_LINK_CLOSING:
        note(link, "the close handshake was not finished");
        end_by_abort(link, link->end_reason);
        break;
    case SLACK_LINK_IDLE:
    case SLACK_LINK_CLOSED:
        break;
    }
}

/* Links beat together, at multiples of the interval: an idle daemon wakes up once for all. */
static int64_t until_next_pulse(const struct slack_link *link)
{
    int64_t interval_ms = link->options.ping_interval_ms;
    int64_t wait_ms = interval_ms - clock_now_ms() % interval_ms;

    return wait_ms > interval_ms / 2 ? wait_ms : wait_ms + interval_ms;
}

/* Own pings are the only clock: libwebsockets answers Slack's without showing them. */
static void on_pulse(lws_sorted_usec_list_t *sul)
{
    struct slack_link *link = lws_container_of(sul, struct slack_link, pulse);
    int64_t left_ms = link->last_frame_ms + link->options.ping_timeout_ms - clock_now_ms();
    int64_t wait_ms = until_next_pulse(link);

    if (left_ms <= 0) {
        slack_link_fail(link, SLACK_LINK_DEAD, "nothing came, not even a pong");
        return;
    }
    link->wants_ping = true;
    lws_callback_on_writable(link->wsi);
    set_timer(link, &link->pulse, on_pulse, left_ms < wait_ms ? left_ms : wait_ms);
}

/* --- connecting --- */

void slack_link_connect(struct slack_link *link, struct slack_route *route,
                        struct lws_vhost *vhost)
{
    link->route = *route;
    *route = (struct slack_route){ 0 };
    link->vhost = vhost;
    note(link, "no address");
    set_state(link, SLACK_LINK_CONNECTING, 0, "has a URL");
    connect_next(link);
}

/* Behind a proxy there is one try, by name; the proxy resolves it. */
static unsigned tries(const struct slack_link *link)
{
    return link->route.proxy ? 1 : link->route.address_count;
}

/* The ticket is not spent by an address that does not answer, so the next one gets it. */
static void connect_next(struct slack_link *link)
{
    const struct slack_route *route = &link->route;
    struct lws_client_connect_info info = { 0 };
    AUTO_FREE char *host = slack_route_host_header(route);
    struct lws *wsi;

    if (link->next_address >= tries(link)) {
        end_by_abort(link, SLACK_LINK_REFUSED);
        return;
    }
    info.context = link->options.lws;
    info.vhost = link->vhost;
    info.address = route->proxy ? route->host : route->addresses[link->next_address];
    link->next_address++;
    info.port = route->port;
    info.path = route->path;
    info.host = host;
    info.alpn = "http/1.1";
    info.local_protocol_name = ((const struct lws_protocols *)slack_link_protocol())->name;
    info.ssl_connection =
        (route->uses_tls ? LCCSCF_USE_SSL : 0) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
    info.ietf_version_or_minus_one = -1;
    info.opaque_user_data = link;
    set_deadline(link, CONNECT_TIMEOUT_MS / tries(link));
    link->is_dialing = true;
    wsi = lws_client_connect_via_info(&info);
    link->is_dialing = false;
    link->wsi = wsi;
    if (!wsi) {
        note(link, "the connection cannot be begun");
        set_deadline(link, 0); /* the next address, but not from within this call */
    }
}

static void tune_socket(const struct slack_link *link)
{
    int fd = lws_get_socket_fd(link->wsi);
    int on = 1;
    int idle_s = (int)(link->options.ping_timeout_ms / MS_PER_S) + 1;
    unsigned user_timeout_ms = (unsigned)link->options.ping_timeout_ms;

    if (fd < 0)
        return;
    /* A second opinion on a dead path; each is harmless where it is refused. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void on_upgraded(struct slack_link *link, struct lws *wsi)
{
    link->wsi = wsi;
    link->born_ms = clock_now_ms();
    link->last_frame_ms = link->born_ms;
    link->end_reason = SLACK_LINK_DROPPED;
    note(link, "the connection broke");
    tune_socket(link);
    set_state(link, SLACK_LINK_UPGRADED, HELLO_TIMEOUT_MS, "101");
    set_timer(link, &link->pulse, on_pulse, until_next_pulse(link));
}

/* --- what comes in --- */

static void on_hello(struct slack_link *link, const struct slack_control *hello)
{
    int64_t life_ms = hello->lifetime_s * MS_PER_S;

    if (link->state != SLACK_LINK_UPGRADED)
        return;
    snprintf(link->host, sizeof(link->host), "%s", hello->host);
    link->num_connections = hello->num_connections;
    link->ready_ms = clock_now_ms();
    link->life_ms = life_ms > 0 ? life_ms : 0;
    /* 85 to 95 %: ahead of Slack, and spread so that two links do not leave together. */
    set_state(link, SLACK_LINK_READY,
              life_ms * 85 / 100 + (int64_t)random_below((uint64_t)life_ms / 10 + 1), "hello");
    link->options.owner->on_ready(link->options.owner->context, link);
}

static void on_disconnect(struct slack_link *link, const struct slack_control *disconnect)
{
    static const struct {
        const char *name;
        enum slack_link_reason reason;
    } names[] = {
        { "warning", SLACK_LINK_WARNING },
        { "refresh_requested", SLACK_LINK_REFRESH },
        { "link_disabled", SLACK_LINK_DISABLED },
        { "too_many_websockets", SLACK_LINK_TOO_MANY },
    };
    enum slack_link_reason reason = SLACK_LINK_OTHER;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(disconnect->reason, names[i].name) == 0)
            reason = names[i].reason;
    }
    log_info("link %u: Slack says disconnect (%s) generation=%llu", link->options.slot + 1,
             disconnect->reason, (unsigned long long)link->options.generation);
    /* Before its hello a link serves nothing that could overlap. */
    if (reason == SLACK_LINK_DISABLED || reason == SLACK_LINK_TOO_MANY ||
        link->state == SLACK_LINK_UPGRADED) {
        lose_and_close(link, reason, LWS_CLOSE_STATUS_NORMAL);
    } else if (link->state == SLACK_LINK_READY) {
        link->end_reason = reason;
        link->options.owner->on_leaving(link->options.owner->context, link, reason);
    }
}

static void on_text(struct slack_link *link, const char *json, size_t len)
{
    struct slack_control control;

    slack_control_parse(json, len, &control);
    switch (control.kind) {
    case SLACK_CONTROL_HELLO:
        on_hello(link, &control);
        break;
    case SLACK_CONTROL_DISCONNECT:
        on_disconnect(link, &control);
        break;
    case SLACK_CONTROL_NONE:
        link->options.owner->on_message(link->options.owner->context, link, json, len);
        break;
    }
}

/* One piece of a message: lws cuts frames to its buffer, and Slack may fragment. */
static void on_piece(struct slack_link *link, struct lws *wsi, const char *bytes, size_t len)
{
    size_t rest = lws_remaining_packet_payload(wsi);
    bool is_last = lws_is_final_fragment(wsi);

    link->last_frame_ms = clock_now_ms();
    if (!is_open(link))
        return;
    if (lws_is_first_fragment(wsi))
        buf_clear(&link->message);
    if (rest > SLACK_MESSAGE_MAX_BYTES ||
        link->message.len + len + rest > SLACK_MESSAGE_MAX_BYTES) {
        lose_and_close(link, SLACK_LINK_OVERSIZED, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE);
        return;
    }
    if (is_last)
        link->frames_in++;
    if (lws_frame_is_binary(wsi))
        return; /* Slack sends none: whatever it is, it must not cost the link */
    if (is_last && link->message.len == 0) {
        on_text(link, bytes, len);
        return;
    }
    buf_append(&link->message, bytes, len);
    if (!is_last)
        return;
    on_text(link, buf_text(&link->message), link->message.len);
    /* A rare large message must not hold its memory for hours. */
    buf_deinit(&link->message);
    buf_init(&link->message, SLACK_MESSAGE_MAX_BYTES);
}

static void on_peer_close(struct slack_link *link, const unsigned char *bytes, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)bytes[0] << 8 | bytes[1] : 1005;

    if (link->state == SLACK_LINK_CLOSING || link->state == SLACK_LINK_CLOSED)
        return;
    snprintf(link->detail, sizeof(link->detail), "close code %u", code);
    /* lws echoes the close frame and then closes TCP itself; the deadline is for a full pipe.
     */
    set_state(link, SLACK_LINK_CLOSING, CLOSE_TIMEOUT_MS, link->detail);
    tell_lost(link,
              link->end_reason == SLACK_LINK_DROPPED ? SLACK_LINK_ENDED : link->end_reason);
}

/* --- what goes out --- */

static int write_ping(struct slack_link *link, struct lws *wsi)
{
    unsigned char bytes[LWS_PRE + 32];
    int len = snprintf((char *)bytes + LWS_PRE, 32, "%llu", (unsigned long long)++link->pings);

    link->wants_ping = false;
    return lws_write(wsi, bytes + LWS_PRE, (size_t)len, LWS_WRITE_PING);
}

/* As many whole frames as the pipe takes. -1: the connection is dead. */
static int write_acks(struct slack_link *link, struct lws *wsi)
{
    size_t sent = 0;
    int rc = 0;

    while (rc >= 0 && link->outbox.first && !lws_send_pipe_choked(wsi)) {
        struct slack_frame *frame = slack_outbox_pop(&link->outbox);

        rc = lws_write(wsi, slack_frame_text(frame), slack_frame_length(frame), LWS_WRITE_TEXT);
        slack_frame_free(frame);
        sent += rc >= 0;
    }
    link->acks_sent += sent;
    if (sent)
        link->options.owner->on_acks_sent(link->options.owner->context, sent);
    return rc < 0 ? -1 : 0;
}

static int on_writeable(struct slack_link *link, struct lws *wsi)
{
    if (link->wants_ping && link->state != SLACK_LINK_CLOSING) {
        if (write_ping(link, wsi) < 0)
            return -1;
        lws_callback_on_writable(wsi);
        return 0;
    }
    if (link->state == SLACK_LINK_CLOSING && !link->close_code)
        return 0; /* only lws writes now */
    if (write_acks(link, wsi) < 0)
        return -1;
    if (link->outbox.first) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    if (link->state != SLACK_LINK_CLOSING)
        return 0;
    if (lws_partial_buffered(wsi)) { /* lws would forget the close frame behind these bytes */
        lws_callback_on_writable(wsi);
        return 0;
    }
    lws_close_reason(wsi, (enum lws_close_status)link->close_code, NULL, 0);
    /* One more -1, while lws waits for the answer, would cut the handshake short. */
    link->close_code = 0;
    link->wants_ping = false;
    return -1;
}

bool slack_link_can_send(const struct slack_link *link)
{
    return is_open(link) && link->outbox.count < SLACK_OUTBOX_MAX_FRAMES;
}

bool slack_link_send(struct slack_link *link, struct slack_frame *frame)
{
    if (!is_open(link)) {
        slack_frame_free(frame);
        return false;
    }
    if (!slack_outbox_push(&link->outbox, frame))
        return false;
    lws_callback_on_writable(link->wsi);
    return true;
}

/* --- libwebsockets --- */

/* The connection is over, whatever the callback is called: lws has several. */
static void on_wsi_end(struct slack_link *link, struct lws *wsi, const char *why)
{
    lws_set_opaque_user_data(wsi, NULL);
    if (link->is_dialing)
        return; /* connect_next sees the NULL it gets back */
    link->wsi = NULL;
    if (link->state == SLACK_LINK_CONNECTING) {
        unsigned status = lws_http_client_http_response(wsi);

        if (status && status != 101 && status != 200)
            snprintf(link->detail, sizeof(link->detail), "the upgrade is answered %u", status);
        else
            note(link, why ? why : "the connection ended before the upgrade");
        /* An answered upgrade has spent the ticket. */
        if (status)
            link->next_address = tries(link);
        set_deadline(link, 0);
        return;
    }
    tell_lost(link, link->end_reason);
    be_gone(link);
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct slack_link *link = lws_get_opaque_user_data(wsi);

    (void)user;
    if (!link)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        on_upgraded(link, wsi);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        on_piece(link, wsi, in, len);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        link->last_frame_ms = clock_now_ms();
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writeable(link, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(link, in, len);
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        on_wsi_end(link, wsi, in);
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        on_wsi_end(link, wsi, NULL);
        break;
    default:
        break;
    }
    return 0;
}

const void *slack_link_protocol(void)
{
    static const struct lws_protocols protocols[] = {
        { .name = "slack-socket-mode", .callback = on_lws, .rx_buffer_size = RX_BUFFER_BYTES },
        { .name = NULL }, /* so that this is a whole table, too */
    };

    return protocols;
}

/* --- views --- */

void slack_link_look(const struct slack_link *link, struct slack_link_view *ret_view)
{
    *ret_view = (struct slack_link_view){
        .state = link->state,
        .slot = link->options.slot,
        .generation = link->options.generation,
        .host = link->host,
        .born_ms = link->born_ms,
        .ready_ms = link->ready_ms,
        .life_ms = link->life_ms,
        .last_frame_ms = link->last_frame_ms,
        .frames_in = link->frames_in,
        .acks_sent = link->acks_sent,
        .unsent = link->outbox.count,
        .num_connections = link->num_connections,
    };
}

enum slack_link_state slack_link_state(const struct slack_link *link)
{
    return link->state;
}

uint64_t slack_link_generation(const struct slack_link *link)
{
    return link->options.generation;
}
