#include "tests/slack_lab/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/slack_lab/envelope.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/load.h"

#define DEBUG_CONNECTION_S    360
#define LOAD_FRAMES_PER_WRITE 64

struct frame {
    STAILQ_ENTRY(frame) list;
    bool binary;
    size_t len;
    size_t sent;
    size_t fragment_len;
    unsigned char bytes[]; /* LWS_PRE bytes of headroom, then the message */
};

struct link {
    TAILQ_ENTRY(link) list;
    struct links *links;
    struct lws *wsi;
    uint64_t id;
    int64_t opened_us;
    int64_t life_s;
    int64_t close_at_us; /* 0: not closing */
    int close_code;      /* with which close_at_us closes */
    bool said_hello;
    bool was_warned; /* a disconnect message went out */
    bool is_deaf;
    bool wants_ping;
    int64_t pinged_us;
    int64_t ponged_us;
    uint64_t frames_in;
    uint64_t frames_out;
    struct buf in;
    bool in_is_fragmented;
    STAILQ_HEAD(, frame) out;
};

struct ticket {
    LIST_ENTRY(ticket) list;
    char text[RANDOM_UUID_BYTES];
    int64_t expires_us;
    bool debug_reconnects;
};

struct links {
    struct lab *lab;
    TAILQ_HEAD(link_list, link) all; /* oldest first */
    LIST_HEAD(, ticket) tickets;
    uint64_t last_id;
    bool admitted_debug; /* of the handshake that comes next: ESTABLISHED follows at once */
};

struct links *links_new(struct lab *lab)
{
    struct links *links = xcalloc(1, sizeof(*links));

    links->lab = lab;
    TAILQ_INIT(&links->all);
    LIST_INIT(&links->tickets);
    return links;
}

void links_free(struct links *links)
{
    if (!links)
        return;
    while (!LIST_EMPTY(&links->tickets)) {
        struct ticket *ticket = LIST_FIRST(&links->tickets);

        LIST_REMOVE(ticket, list);
        free(ticket);
    }
    free(links);
}

void links_issue_url(struct links *links, bool debug_reconnects, char *ret_url, size_t size)
{
    struct ticket *ticket = xcalloc(1, sizeof(*ticket));

    random_uuid(ticket->text);
    ticket->expires_us = clock_now_us() + links->lab->settings.ticket_life_ms * INT64_C(1000);
    ticket->debug_reconnects = debug_reconnects;
    LIST_INSERT_HEAD(&links->tickets, ticket, list);
    snprintf(ret_url, size, "ws://127.0.0.1:%d/link/?ticket=%s&app_id=a0lab", links->lab->port,
             ticket->text);
}

/* Takes the ticket out: it is good for one handshake. */
static bool use_ticket(struct links *links, const char *text, bool *ret_debug)
{
    struct ticket *ticket;

    LIST_FOREACH(ticket, &links->tickets, list)
    {
        if (strcmp(ticket->text, text) == 0) {
            bool good = clock_now_us() <= ticket->expires_us;

            *ret_debug = ticket->debug_reconnects;
            LIST_REMOVE(ticket, list);
            free(ticket);
            return good;
        }
    }
    return false;
}

bool links_admit(struct links *links, struct lws *wsi)
{
    char path[64] = "";
    char argument[64] = "";
    char flag[32] = "";
    bool debug = false;
    const char *ticket = lws_get_urlarg_by_name(wsi, "ticket=", argument, sizeof(argument));
    const char *wanted = lws_get_urlarg_by_name(wsi, "debug_reconnects=", flag, sizeof(flag));

    lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI);
    if (strcmp(path, "/link/") != 0 || !use_ticket(links, ticket ? ticket : "", &debug)) {
        journal_violation(links->lab->journal, "bad_ticket", json_pack("{s:s}", "path", path));
        return false;
    }
    links->admitted_debug = debug || (wanted && strcmp(wanted, "true") == 0);
    return true;
}

uint64_t link_id(const struct link *link)
{
    return link->id;
}

size_t links_open(const struct links *links)
{
    const struct link *link;
    size_t count = 0;

    TAILQ_FOREACH(link, &links->all, list)
    count++;
    return count;
}

bool links_is_open(const struct links *links, uint64_t id)
{
    const struct link *link;

    TAILQ_FOREACH(link, &links->all, list)
    {
        if (link->id == id)
            return true;
    }
    return false;
}

struct link *links_pick(struct links *links)
{
    struct link *link;
    size_t ready = 0;

    TAILQ_FOREACH(link, &links->all, list)
    ready += link->said_hello;

    uint64_t choice = random_below(ready);

    TAILQ_FOREACH(link, &links->all, list)
    {
        if (link->said_hello && choice-- == 0)
            return link;
    }
    return NULL;
}

struct link *links_newest(struct links *links)
{
    return TAILQ_LAST(&links->all, link_list);
}

void links_wake_all(struct links *links)
{
    struct link *link;

    TAILQ_FOREACH(link, &links->all, list)
    lws_callback_on_writable(link->wsi);
}

void link_send(struct link *link, const void *bytes, size_t len, bool binary, size_t fragments)
{
    struct frame *frame = xcalloc(1, sizeof(*frame) + LWS_PRE + len + 1);

    memcpy(frame->bytes + LWS_PRE, bytes, len);
    frame->len = len;
    frame->binary = binary;
    frame->fragment_len = fragments > 1 ? (len + fragments - 1) / fragments : len;
    STAILQ_INSERT_TAIL(&link->out, frame, list);
    lws_callback_on_writable(link->wsi);
}

static void send_json(struct link *link, json_t *json)
{
    AUTO_FREE char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    link_send(link, text, strlen(text), false, 1);
}

static void close_later(struct link *link, int64_t after_ms, int code)
{
    link->close_at_us = clock_now_us() + after_ms * 1000 + 1;
    link->close_code = code;
}

static void send_disconnect(struct link *link, const char *reason, int64_t close_after_ms)
{
    struct lab *lab = link->links->lab;

    link->was_warned = true;
    send_json(link, json_pack("{s:s, s:s, s:{s:s}}", "type", "disconnect", "reason", reason,
                              "debug_info", "host", "applink-lab"));
    close_later(link, close_after_ms, 1000);
    journal_add(lab->journal, "disconnect_sent",
                json_pack("{s:I, s:s}", "link", (json_int_t)link->id, "reason", reason));
}

static void send_hello(struct link *link)
{
    struct lab *lab = link->links->lab;
    json_int_t count = (json_int_t)links_open(link->links);

    link->said_hello = true;
    send_json(link, json_pack("{s:s, s:I, s:{s:s}, s:{s:s, s:s, s:i, s:I}}", "type", "hello",
                              "num_connections", count, "connection_info", "app_id", LAB_APP_ID,
                              "debug_info", "host", "applink-lab", "started",
                              "2026-11-20 12:12:12.120", "build_number", 54,
                              "approximate_connection_time", (json_int_t)link->life_s));
    journal_add(
        lab->journal, "hello",
        json_pack("{s:I, s:I}", "link", (json_int_t)link->id, "num_connections", count));
}

struct link *link_new(struct links *links, struct lws *wsi)
{
    struct lab *lab = links->lab;
    struct link *link = xcalloc(1, sizeof(*link));

    link->links = links;
    link->wsi = wsi;
    link->id = ++links->last_id;
    link->opened_us = clock_now_us();
    link->ponged_us = link->opened_us;
    link->pinged_us = link->opened_us;
    link->life_s = links->admitted_debug ? DEBUG_CONNECTION_S : lab->settings.connection_time_s;
    buf_init(&link->in, LINK_FRAME_MAX_BYTES);
    STAILQ_INIT(&link->out);
    TAILQ_INSERT_TAIL(&links->all, link, list);
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    journal_add(lab->journal, "link_opened",
                json_pack("{s:I, s:I}", "link", (json_int_t)link->id, "open",
                          (json_int_t)links_open(links)));
    if ((int64_t)links_open(links) > lab->settings.max_links)
        send_disconnect(link, "too_many_websockets", 100);
    else if (lab->settings.hello)
        send_hello(link);
    return link;
}

static int refuse(struct link *link, int code, const char *why)
{
    journal_violation(
        link->links->lab->journal, why,
        json_pack("{s:I, s:i}", "link", (json_int_t)link->id, "close_code", code));
    unsigned char reason[124];
    int len = snprintf((char *)reason, sizeof(reason), "%s", why);

    lws_close_reason(link->wsi, (enum lws_close_status)code, reason, (size_t)len);
    return -1;
}

int link_on_receive(struct link *link, const char *bytes, size_t len)
{
    bool frame_ended = lws_remaining_packet_payload(link->wsi) == 0;

    if (link->is_deaf)
        return 0; /* had been read before the ears were shut */
    buf_append(&link->in, bytes, len);
    if (link->in.overflowed || link->in.len >= LINK_FRAME_MAX_BYTES)
        return refuse(link, 1009, "Max frame length of 20480 has been exceeded.");
    if (!frame_ended)
        return 0;
    if (!lws_is_final_fragment(link->wsi)) {
        link->in_is_fragmented = true;
        return 0;
    }
    link->frames_in++;
    link->ponged_us = clock_now_us();
    if (link->in_is_fragmented || lws_frame_is_binary(link->wsi))
        journal_violation(link->links->lab->journal,
                          link->in_is_fragmented ? "fragmented_message" : "binary_message",
                          json_pack("{s:I}", "link", (json_int_t)link->id));
    else
        envelopes_on_ack(link->links->lab->envelopes, link->id, buf_text(&link->in),
                         link->in.len);
    link->in_is_fragmented = false;
    buf_clear(&link->in);
    return 0;
}

void link_on_pong(struct link *link)
{
    if (link)
        link->ponged_us = clock_now_us();
}

void link_on_peer_close(struct link *link, const char *bytes, size_t len)
{
    const unsigned char *code = (const unsigned char *)bytes;

    if (link)
        journal_add(link->links->lab->journal, "close_received",
                    json_pack("{s:I, s:i}", "link", (json_int_t)link->id, "code",
                              len >= 2 ? code[0] << 8 | code[1] : 1005));
}

static int write_ping(struct link *link)
{
    static const char text[] = "Ping from applink-lab";
    unsigned char bytes[LWS_PRE + sizeof(text)];

    link->wants_ping = false;
    memcpy(bytes + LWS_PRE, text, sizeof(text));
    return lws_write(link->wsi, bytes + LWS_PRE, sizeof(text) - 1, LWS_WRITE_PING);
}

/* One fragment of the oldest frame. */
static int write_frame(struct link *link, struct frame *frame)
{
    size_t left = frame->len - frame->sent;
    size_t len = left < frame->fragment_len ? left : frame->fragment_len;
    int mode = lws_write_ws_flags(frame->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                  frame->sent == 0, len == left);

    if (lws_write(link->wsi, frame->bytes + LWS_PRE + frame->sent, len,
                  (enum lws_write_protocol)mode) < 0)
        return -1;
    frame->sent += len;
    link->frames_out++;
    if (frame->sent == frame->len) {
        STAILQ_REMOVE_HEAD(&link->out, list);
        free(frame);
    }
    return 0;
}

static int write_load(struct link *link)
{
    static unsigned char bytes[LWS_PRE + 8192];
    struct load *load = link->links->lab->load;

    for (int i = 0; i < LOAD_FRAMES_PER_WRITE && !lws_send_pipe_choked(link->wsi); i++) {
        size_t len = 0;
        const char *text = load_next(load, clock_now_us(), &len);

        if (!text || len > sizeof(bytes) - LWS_PRE)
            return 0;
        memcpy(bytes + LWS_PRE, text, len);
        if (lws_write(link->wsi, bytes + LWS_PRE, len, LWS_WRITE_TEXT) < 0)
            return -1;
        link->frames_out++;
    }
    lws_callback_on_writable(link->wsi);
    return 0;
}

int link_on_writable(struct link *link)
{
    struct frame *frame = STAILQ_FIRST(&link->out);
    bool is_between = !frame || frame->sent == 0;

    if (link->is_deaf)
        return 0;
    if (is_between && link->wants_ping && write_ping(link) < 0)
        return -1;
    if (frame && write_frame(link, frame) < 0)
        return -1;
    if (!STAILQ_EMPTY(&link->out)) {
        lws_callback_on_writable(link->wsi);
        return 0;
    }
    if (link->close_at_us && clock_now_us() >= link->close_at_us) {
        lws_close_reason(link->wsi, (enum lws_close_status)link->close_code, NULL, 0);
        return -1;
    }
    if (link->said_hello && load_is_running(link->links->lab->load))
        return write_load(link);
    return 0;
}

void link_on_closed(struct link *link)
{
    if (!link)
        return;
    TAILQ_REMOVE(&link->links->all, link, list);
    while (!STAILQ_EMPTY(&link->out)) {
        struct frame *frame = STAILQ_FIRST(&link->out);

        STAILQ_REMOVE_HEAD(&link->out, list);
        free(frame);
    }
    buf_deinit(&link->in);
    journal_add(link->links->lab->journal, "link_closed",
                json_pack("{s:I, s:I, s:I, s:I}", "link", (json_int_t)link->id, "frames_in",
                          (json_int_t)link->frames_in, "frames_out",
                          (json_int_t)link->frames_out, "open",
                          (json_int_t)links_open(link->links)));
    free(link);
}

/* As when a cable is cut: no close frame, at once. */
static void drop(struct link *link)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(lws_get_socket_fd(link->wsi), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static bool misbehave(struct link *link, const char *action, int code)
{
    int64_t close_ms = link->links->lab->settings.refresh_close_ms;

    if (strcmp(action, "drop") == 0) {
        drop(link);
    } else if (strcmp(action, "deaf") == 0) {
        link->is_deaf = true;
        lws_rx_flow_control(link->wsi, 0);
    } else if (strcmp(action, "hear") == 0) {
        link->is_deaf = false;
        lws_rx_flow_control(link->wsi, 1);
        lws_callback_on_writable(link->wsi);
    } else if (strcmp(action, "refresh") == 0) {
        send_disconnect(link, "refresh_requested", close_ms);
    } else if (strcmp(action, "warning") == 0) {
        send_disconnect(link, "warning", close_ms);
    } else if (strcmp(action, "link_disabled") == 0) {
        send_disconnect(link, "link_disabled", 100);
    } else if (strcmp(action, "too_many") == 0) {
        send_disconnect(link, "too_many_websockets", 100);
    } else if (strcmp(action, "close") == 0) {
        close_later(link, 0, code);
        lws_callback_on_writable(link->wsi);
    } else {
        return false;
    }
    return true;
}

static bool is_meant(const struct links *links, const struct link *link, const char *which)
{
    if (strcmp(which, "all") == 0)
        return true;
    if (strcmp(which, "oldest") == 0)
        return link == TAILQ_FIRST(&links->all);
    if (strcmp(which, "newest") == 0)
        return link == TAILQ_LAST(&links->all, link_list);
    return link->id == strtoull(which, NULL, 10);
}

int links_misbehave(struct links *links, const char *action, const char *which, int code)
{
    struct link *link;
    int hit = 0;

    TAILQ_FOREACH(link, &links->all, list)
    {
        if (!is_meant(links, link, which))
            continue;
        if (!misbehave(link, action, code))
            return -1;
        hit++;
        journal_add(links->lab->journal, "misbehaved",
                    json_pack("{s:I, s:s}", "link", (json_int_t)link->id, "action", action));
    }
    return hit;
}

json_t *links_json(const struct links *links)
{
    const struct link *link;
    json_t *all = json_array();
    int64_t now = clock_now_us();

    TAILQ_FOREACH(link, &links->all, list)
    json_array_append_new(
        all,
        json_pack("{s:I, s:I, s:b, s:b, s:b, s:I, s:I}", "link", (json_int_t)link->id, "age_ms",
                  (json_int_t)((now - link->opened_us) / 1000), "ready", link->said_hello,
                  "deaf", link->is_deaf, "warned", link->was_warned, "frames_in",
                  (json_int_t)link->frames_in, "frames_out", (json_int_t)link->frames_out));
    return all;
}

static void tick_link(struct link *link, const struct settings *settings, int64_t now_us)
{
    if (!link->was_warned && now_us - link->opened_us >= link->life_s * 1000000)
        send_disconnect(link, "refresh_requested", settings->refresh_close_ms);
    if (link->close_at_us && now_us >= link->close_at_us)
        lws_callback_on_writable(link->wsi);
    if (now_us - link->pinged_us >= settings->ping_interval_ms * 1000) {
        link->pinged_us = now_us;
        link->wants_ping = true;
        lws_callback_on_writable(link->wsi);
    }
    if (now_us - link->ponged_us >= settings->pong_timeout_ms * 1000) {
        journal_add(link->links->lab->journal, "link_given_up",
                    json_pack("{s:I}", "link", (json_int_t)link->id));
        link->ponged_us = now_us;
        drop(link);
    }
}

bool links_tick(struct links *links, int64_t now_us)
{
    struct link *link;
    bool soon = false;

    TAILQ_FOREACH(link, &links->all, list)
    {
        tick_link(link, &links->lab->settings, now_us);
        soon = soon || link->close_at_us > 0;
    }
    return soon;
}
