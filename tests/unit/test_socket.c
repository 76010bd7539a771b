#include "slack/socket.h"

#include <libwebsockets.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/log.h"
#include "tests/test.h"
#include "tests/unit/ws_peer.h"

#define PATIENCE_MS 20000

struct world {
    struct peer peer;
    struct lws_context *lws;
    struct metrics *metrics;
    struct slack_socket *socket;
    unsigned envelopes;
    struct slack_socket_origin origin;
    struct buf last;
    unsigned ready_changes;
    unsigned lowest_ready; /* since it was set */
    unsigned fatals;
    struct err fatal;
    bool acks_at_once; /* with the text as the id */
};

static void on_envelope(void *context, struct slack_socket_origin origin, const char *json,
                        size_t len)
{
    struct world *world = context;

    world->envelopes++;
    world->origin = origin;
    buf_clear(&world->last);
    buf_append(&world->last, json, len);
    if (world->acks_at_once)
        slack_socket_ack(world->socket, origin, "id", NULL);
}

static void on_ready_links(void *context, unsigned ready, unsigned wanted)
{
    struct world *world = context;

    (void)wanted;
    world->ready_changes++;
    if (ready < world->lowest_ready)
        world->lowest_ready = ready;
}

static void on_fatal(void *context, const struct err *err)
{
    struct world *world = context;

    world->fatals++;
    world->fatal = *err;
}

/* Stands for the program's loop: passes the wake-up on. */
static int on_loop(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len)
{
    struct world *world = lws_context_user(lws_get_context(wsi));

    (void)user;
    (void)in;
    (void)len;
    if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED && world && world->socket)
        slack_socket_on_wake(world->socket);
    return 0;
}

static const struct lws_protocols loop_protocols[] = {
    { .name = "loop", .callback = on_loop },
    { .name = NULL },
};

static void make_world(struct world *world, unsigned connections)
{
    struct lws_context_creation_info info = { 0 };
    struct slack_socket_callbacks callbacks = { on_envelope, on_ready_links, on_fatal, world };
    AUTO_FREE char *api_url = NULL;
    struct slack_socket_options options = { .app_token = "xapp-1-test",
                                            .connections = connections,
                                            .ping_interval_ms = 100,
                                            .ping_timeout_ms = 2000 };

    log_configure(LOG_LEVEL_ERR, LOG_FORMAT_TEXT);
    lws_set_log_level(LLL_ERR, NULL);
    assert_int_equal(http_startup(NULL), 0);
    peer_init(&world->peer);
    buf_init(&world->last, 8 << 20);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = loop_protocols;
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.user = world;
    world->lws = lws_create_context(&info);
    assert_non_null(world->lws);
    world->metrics = metrics_new();
    api_url = xasprintf("http://127.0.0.1:%u/api/", world->peer.port);
    options.api_url = api_url;
    world->socket = slack_socket_new(world->lws, &options, &callbacks, world->metrics);
}

static void step(struct world *world)
{
    lws_service(world->lws, -1); /* whatever is due, without waiting */
    peer_step(&world->peer, 1);
}

#define WAIT_FOR(world, condition)                                            \
    do {                                                                      \
        int64_t give_up_ms_ = clock_now_ms() + PATIENCE_MS;                   \
        while (!(condition)) {                                                \
            if (clock_now_ms() > give_up_ms_)                                 \
                fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #condition); \
            step(world);                                                      \
        }                                                                     \
    } while (0)

static void run_for(struct world *world, int64_t duration_ms)
{
    for (int64_t end_ms = clock_now_ms() + duration_ms; clock_now_ms() < end_ms;)
        step(world);
}

static void end_world(struct world *world)
{
    slack_socket_stop(world->socket);
    WAIT_FOR(world, slack_socket_is_stopped(world->socket));
    slack_socket_free(world->socket);
    world->socket = NULL;
    lws_context_destroy(world->lws);
    metrics_free(world->metrics);
    buf_deinit(&world->last);
    peer_deinit(&world->peer);
    http_cleanup();
    memset(world, 0, sizeof(*world)); /* for the next of a loop */
}

static struct peer_connection *websocket(struct world *world, unsigned n)
{
    struct peer_connection *connection = peer_websocket(&world->peer, n);

    assert_non_null(connection);
    return connection;
}

static unsigned ready(const struct world *world)
{
    return slack_socket_ready_links(world->socket);
}

static int64_t reconnects(struct world *world, const char *reason)
{
    AUTO_FREE char *labels = xasprintf("reason=\"%s\"", reason);

    return metric_value(metrics_counter(world->metrics, "socket_reconnects_total", labels, ""));
}

static void make_ready_world(struct world *world, unsigned connections)
{
    make_world(world, connections);
    slack_socket_start(world->socket);
    WAIT_FOR(world, ready(world) == connections);
}

/* --- the tests --- */

static void links_become_ready_one_after_the_other(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 2);
    CHECK_INT(world.peer.opens, 2, "one URL for each link");
    CHECK_INT(world.peer.upgrades, 2, "one websocket for each link");
    CHECK_HOLDS(world.peer.last_request, "Authorization: Bearer xapp-1-test", "the app token");
    CHECK_HOLDS(world.peer.last_request, "application/x-www-form-urlencoded", "a form");
    CHECK_HOLDS(world.peer.last_upgrade, "ticket=t2", "its own ticket");
    CHECK_INT(strstr(world.peer.last_upgrade, "xapp") == NULL, 1, "no token over there");
    CHECK_INT(strcasestr(world.peer.last_upgrade, "sec-websocket-extensions") == NULL, 1,
              "no compression asked for");
    CHECK_INT(strcasestr(world.peer.last_upgrade, "sec-websocket-protocol") == NULL, 1,
              "no subprotocol asked for");
    end_world(&world);
}

static void a_link_is_not_ready_before_hello(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_world(&world, 1);
    world.peer.says_hello = false;
    slack_socket_start(world.socket);
    WAIT_FOR(&world, world.peer.upgrades == 1);
    run_for(&world, 200);
    CHECK_INT(ready(&world), 0, "101 alone is not enough");
    peer_say(websocket(&world, 0), PEER_HELLO);
    WAIT_FOR(&world, ready(&world) == 1);
    end_world(&world);
}

static void stop_closes_every_link_with_1000(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 2);
    slack_socket_stop(world.socket);
    WAIT_FOR(&world, slack_socket_is_stopped(world.socket));
    CHECK_INT(websocket(&world, 0)->close_code, 1000, "clean close, no ghost");
    CHECK_INT(websocket(&world, 1)->close_code, 1000, "clean close, no ghost");
    CHECK_INT(ready(&world), 0, "nothing is left");
    end_world(&world);
}

static void stop_does_not_wait_for_a_peer_that_keeps_tcp_open(void **state)
{
    struct world world = { 0 };
    int64_t begin_ms;

    (void)state;
    make_ready_world(&world, 1);
    world.peer.keeps_tcp = true;
    begin_ms = clock_now_ms();
    slack_socket_stop(world.socket);
    WAIT_FOR(&world, slack_socket_is_stopped(world.socket));
    assert_in_range(clock_now_ms() - begin_ms, 900, 5000);
    WAIT_FOR(&world, peer_open_websockets(&world.peer) == 0);
    end_world(&world);
}

static void a_refresh_overlaps(void **state)
{
    struct world world = { 0 };
    static const char *const reasons[] = { "refresh_requested", "warning" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        AUTO_FREE char *text =
            xasprintf("{\"type\":\"disconnect\",\"reason\":\"%s\"}", reasons[i]);

        make_ready_world(&world, 1);
        world.lowest_ready = 1;
        peer_say(websocket(&world, 0), text);
        WAIT_FOR(&world, world.peer.upgrades == 2 && ready(&world) == 1);
        run_for(&world, 100);
        CHECK_INT(websocket(&world, 0)->fd >= 0, 1, "the old link drains");
        CHECK_INT(world.lowest_ready, 1, "there was always a link");
        peer_say(websocket(&world, 0), "{\"envelope_id\":\"late\"}");
        WAIT_FOR(&world, world.envelopes == 1);
        slack_socket_ack(world.socket, world.origin, "late", NULL);
        WAIT_FOR(&world, websocket(&world, 0)->texts == 1);
        CHECK_TEXT(buf_text(&websocket(&world, 0)->last_text), "{\"envelope_id\":\"late\"}",
                   "acked where it came from");
        peer_send_close(websocket(&world, 0), 1000);
        run_for(&world, 100);
        CHECK_INT(world.peer.upgrades, 2, "the end of a drained link is no reason to connect");
        CHECK_INT(reconnects(&world, reasons[i]), 1, "counted once");
        end_world(&world);
    }
}

static void an_own_clock_refreshes_before_slack_does(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_world(&world, 1);
    world.peer.hello = "{\"type\":\"hello\",\"num_connections\":1,\"debug_info\":{\"host\":"
                       "\"x\",\"approximate_connection_time\":1}}";
    slack_socket_start(world.socket);
    WAIT_FOR(&world, ready(&world) == 1);
    world.peer.hello = NULL;
    WAIT_FOR(&world, world.peer.upgrades == 2);
    CHECK_INT(reconnects(&world, "planned_refresh"), 1, "at nine tenths of a second");
    end_world(&world);
}

static void a_dropped_connection_is_replaced(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    peer_reset(websocket(&world, 0));
    WAIT_FOR(&world, ready(&world) == 0);
    WAIT_FOR(&world, ready(&world) == 1);
    CHECK_INT(world.peer.opens, 2, "with a new URL");
    CHECK_INT(reconnects(&world, "dropped"), 1, "counted");
    end_world(&world);
}

static void a_close_by_slack_is_answered_and_replaced(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    world.peer.keeps_tcp = true; /* as Slack sometimes does */
    peer_send_close(websocket(&world, 0), 1001);
    WAIT_FOR(&world, ready(&world) == 0);
    WAIT_FOR(&world, ready(&world) == 1);
    WAIT_FOR(&world, websocket(&world, 0)->fd < 0);
    CHECK_INT(websocket(&world, 0)->close_code, 1001, "the close frame is echoed");
    CHECK_INT(reconnects(&world, "closed_by_slack"), 1, "counted");
    world.peer.keeps_tcp = false;
    end_world(&world);
}

static void a_deaf_peer_is_noticed_within_the_ping_timeout(void **state)
{
    struct world world = { 0 };
    int64_t begin_ms;

    (void)state;
    make_ready_world(&world, 1);
    WAIT_FOR(&world, websocket(&world, 0)->pings >= 3);
    world.peer.is_deaf = true;
    begin_ms = clock_now_ms();
    WAIT_FOR(&world, ready(&world) == 0);
    assert_in_range(clock_now_ms() - begin_ms, 1800, 3500);
    CHECK_INT(reconnects(&world, "no_answer"), 1, "counted");
    world.peer.is_deaf = false;
    WAIT_FOR(&world, ready(&world) == 1);
    WAIT_FOR(&world, websocket(&world, 0)->fd < 0);
    end_world(&world);
}

static void any_inbound_frame_is_a_sign_of_life(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    world.peer.is_deaf = true;
    for (int i = 0; i < 25; i++) {
        peer_say(websocket(&world, 0), "{\"envelope_id\":\"x\"}");
        run_for(&world, 100);
    }
    CHECK_INT(world.peer.upgrades, 1, "2.5 s without a pong, but with events");
    CHECK_INT(ready(&world), 1, "still there");
    end_world(&world);
}

static void pings_of_slack_are_answered(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    peer_send(websocket(&world, 0), true, PEER_PING, "Ping from applink-1", 19);
    WAIT_FOR(&world, websocket(&world, 0)->pongs == 1);
    end_world(&world);
}

static void messages_come_whole(void **state)
{
    struct world world = { 0 };
    const size_t large = 300000;
    char *text = xcalloc(1, large + 1);

    (void)state;
    make_ready_world(&world, 1);
    memset(text, 'x', large);
    peer_send(websocket(&world, 0), true, PEER_TEXT, "{\"a\":1}", 7);
    WAIT_FOR(&world, world.envelopes == 1);
    CHECK_TEXT(buf_text(&world.last), "{\"a\":1}", "one small frame");

    /* Three fragments with a ping between them, the last one empty. */
    peer_send(websocket(&world, 0), false, PEER_TEXT, "{\"b\":", 5);
    peer_send(websocket(&world, 0), true, PEER_PING, "p", 1);
    peer_send(websocket(&world, 0), false, PEER_CONTINUATION, "22}", 3);
    peer_send(websocket(&world, 0), true, PEER_CONTINUATION, "", 0);
    WAIT_FOR(&world, world.envelopes == 2);
    CHECK_TEXT(buf_text(&world.last), "{\"b\":22}", "fragments are put together");

    peer_send_header(websocket(&world, 0), true, PEER_TEXT, large);
    for (size_t at = 0; at < large; at += 10000) {
        peer_write(websocket(&world, 0), text + at, 10000);
        step(&world);
    }
    WAIT_FOR(&world, world.envelopes == 3);
    CHECK_INT(world.last.len, large, "one frame in many reads");
    free(text);
    end_world(&world);
}

static void hello_may_come_in_pieces(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_world(&world, 1);
    world.peer.says_hello = false;
    slack_socket_start(world.socket);
    WAIT_FOR(&world, world.peer.upgrades == 1);
    peer_send(websocket(&world, 0), false, PEER_TEXT, PEER_HELLO, 20);
    run_for(&world, 20);
    peer_send(websocket(&world, 0), true, PEER_CONTINUATION, &PEER_HELLO[20],
              strlen(PEER_HELLO) - 20);
    WAIT_FOR(&world, ready(&world) == 1);
    end_world(&world);
}

static void an_oversized_message_costs_the_link_only(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    peer_send_header(websocket(&world, 0), true, PEER_TEXT, (uint64_t)1 << 40);
    peer_write(websocket(&world, 0), "x", 1);
    peer_write(websocket(&world, 0), (char[20000]){ 'x' }, 20000);
    WAIT_FOR(&world, ready(&world) == 0);
    WAIT_FOR(&world, ready(&world) == 1);
    CHECK_INT(reconnects(&world, "oversized_message"), 1, "counted");
    CHECK_INT(websocket(&world, 0)->fd, -1, "the old one is gone");
    end_world(&world);
}

static void garbage_never_costs_the_link(void **state)
{
    static const char *const texts[] = {
        "",
        "hello",
        "\"hello\"",
        "{\"type\":\"hello\"",
        "[\"disconnect\"]",
        "{\"type\":7,\"x\":\"hello\"}",
        "\xff\xfe\"hello\"",
        "{\"type\":\"hello\",\"envelope_id\":\"e\"}",
        "{\"a\":\"disconnect\"}",
        "{\"type\":{\"type\":\"disconnect\"}}",
    };
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        peer_say(websocket(&world, 0), texts[i]);
        WAIT_FOR(&world, world.envelopes == i + 1);
        CHECK_TEXT(buf_text(&world.last), texts[i], "handed on as it is");
    }
    peer_send(websocket(&world, 0), true, PEER_BINARY, "\0\1\2", 3);
    peer_say(websocket(&world, 0), "{\"envelope_id\":\"after\"}");
    WAIT_FOR(&world, world.envelopes == ARRAY_LEN(texts) + 1);
    CHECK_INT(world.peer.upgrades, 1, "the same link");
    end_world(&world);
}

static void an_ack_is_one_whole_small_frame(void **state)
{
    enum { HEAD = sizeof("{\"envelope_id\":\"e\",\"payload\":\"\"}") - 1 };
    static const struct {
        const char *id;
        size_t payload_len; /* of a JSON string; 0: no payload */
        size_t want_len;
        const char *because;
    } cases[] = {
        { "e", 0, 19, "the bare id" },
        { "e", 10, HEAD + 10, "with payload" },
        { "e", SLACK_ACK_MAX_BYTES - 1 - HEAD, SLACK_ACK_MAX_BYTES - 1, "the largest" },
        { "e", SLACK_ACK_MAX_BYTES - HEAD, 19, "too large by one: without payload" },
        { "e", 1000000, 19, "far too large: without payload" },
        { "a\"b", 0, 26, "a quote is escaped" },
    };
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    peer_say(websocket(&world, 0), "{}");
    WAIT_FOR(&world, world.envelopes == 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *payload = cases[i].payload_len ? xcalloc(1, cases[i].payload_len + 3) : NULL;

        if (payload) {
            memset(payload, 'y', cases[i].payload_len + 2);
            payload[0] = payload[cases[i].payload_len + 1] = '"';
        }
        slack_socket_ack(world.socket, world.origin, cases[i].id, payload);
        WAIT_FOR(&world, websocket(&world, 0)->texts == i + 1);
        CHECK_INT(websocket(&world, 0)->last_text.len, cases[i].want_len, cases[i].because);
        free(payload);
    }
    CHECK_INT(websocket(&world, 0)->fragments, 0, "never fragmented");
    end_world(&world);
}

static void acks_of_a_lost_link_go_out_on_another(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 2);
    peer_say(websocket(&world, 0), "{\"envelope_id\":\"e\"}");
    WAIT_FOR(&world, world.envelopes == 1);
    peer_reset(websocket(&world, 0));
    WAIT_FOR(&world, ready(&world) == 1);
    slack_socket_ack(world.socket, world.origin, "e", NULL);
    WAIT_FOR(&world, websocket(&world, 1)->texts == 1);
    end_world(&world);
}

static void acks_without_any_link_are_counted_as_dropped(void **state)
{
    struct slack_socket_origin nowhere = { .link = 7, .generation = 99 };
    struct world world = { 0 };

    (void)state;
    make_world(&world, 1);
    slack_socket_ack(world.socket, nowhere, "e", NULL);
    CHECK_INT(metric_value(metrics_counter(world.metrics, "socket_acks_total",
                                           "result=\"dropped\"", "")),
              1, "no link at all");
    end_world(&world);
}

static void a_flood_of_events_is_acked(void **state)
{
    enum { EVENTS = 5000 };
    static const char text[] =
        "{\"envelope_id\":\"x\",\"payload\":{\"event\":{\"text\":\"hi\"}}}";
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    world.acks_at_once = true;
    for (int i = 0; i < EVENTS; i++) {
        peer_say(websocket(&world, 0), text);
        if (i % 50 == 0)
            step(&world);
    }
    WAIT_FOR(&world, websocket(&world, 0)->texts == EVENTS);
    CHECK_INT(world.envelopes, EVENTS, "each came");
    end_world(&world);
}

static void retry_after_is_obeyed(void **state)
{
    struct world world = { 0 };
    int64_t begin_ms;

    (void)state;
    make_world(&world, 1);
    world.peer.open_failures = 1;
    world.peer.open_status = 429;
    world.peer.open_error = "ratelimited";
    world.peer.open_headers = "Retry-After: 2\r\n";
    slack_socket_start(world.socket);
    begin_ms = clock_now_ms();
    WAIT_FOR(&world, ready(&world) == 1);
    assert_in_range(clock_now_ms() - begin_ms, 1900, 6000);
    CHECK_INT(world.peer.opens, 2, "no request in between");
    CHECK_INT(reconnects(&world, "rate_limited"), 1, "counted");
    end_world(&world);
}

static void passing_errors_are_retried(void **state)
{
    static const struct {
        unsigned status;
        const char *error;
    } cases[] = {
        { 200, "internal_error" },
        { 200, "something_new" },
        { 500, NULL },
        { 200, "team_added_to_org" },
    };
    struct world world = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_world(&world, 1);
        world.peer.open_failures = 1;
        world.peer.open_status = cases[i].status;
        world.peer.open_error = cases[i].error;
        slack_socket_start(world.socket);
        WAIT_FOR(&world, ready(&world) == 1);
        CHECK_INT(world.fatals, 0, "not fatal");
        end_world(&world);
    }
}

static void refused_tokens_are_fatal(void **state)
{
    static const struct {
        unsigned status;
        const char *error;
        const char *want;
    } cases[] = {
        { 200, "invalid_auth", "invalid_auth" },
        { 200, "not_allowed_token_type", "not_allowed_token_type" },
        { 200, "token_revoked", "token_revoked" },
        { 404, "x", "404" },
    };
    struct world world = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_world(&world, 2);
        log_configure(LOG_LEVEL_ERR, LOG_FORMAT_TEXT);
        world.peer.open_failures = 100;
        world.peer.open_status = cases[i].status;
        world.peer.open_error = cases[i].error;
        slack_socket_start(world.socket);
        WAIT_FOR(&world, world.fatals > 0);
        CHECK_INT(world.fatal.kind, ERR_AUTH, cases[i].error);
        CHECK_HOLDS(world.fatal.message, cases[i].want, "Slack's word");
        run_for(&world, 100);
        CHECK_INT(world.fatals, 1, "told once");
        CHECK_INT(slack_socket_is_stopped(world.socket), 1, "stopped by itself");
        end_world(&world);
    }
}

static void a_refused_upgrade_takes_a_new_ticket(void **state)
{
    static const unsigned statuses[] = { 408, 409, 503, 302 };
    struct world world = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        make_world(&world, 1);
        world.peer.upgrade_status = statuses[i];
        slack_socket_start(world.socket);
        WAIT_FOR(&world, world.peer.upgrades == 1);
        WAIT_FOR(&world, reconnects(&world, "connect_failed") == 1);
        world.peer.upgrade_status = 101;
        WAIT_FOR(&world, ready(&world) == 1);
        CHECK_INT(world.peer.opens, 2, "a ticket serves once");
        end_world(&world);
    }
}

static void too_many_websockets_closes_without_overlap(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    peer_say(websocket(&world, 0),
             "{\"type\":\"disconnect\",\"reason\":\"too_many_websockets\"}");
    WAIT_FOR(&world, websocket(&world, 0)->fd < 0);
    CHECK_INT(websocket(&world, 0)->close_code, 1000, "closed properly");
    WAIT_FOR(&world, ready(&world) == 1);
    CHECK_INT(reconnects(&world, "too_many_websockets"), 1, "counted");
    end_world(&world);
}

static void a_disabled_link_is_left_alone_for_a_minute(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_ready_world(&world, 1);
    log_configure(LOG_LEVEL_ERR, LOG_FORMAT_TEXT);
    peer_say(websocket(&world, 0), "{\"type\":\"disconnect\",\"reason\":\"link_disabled\"}");
    WAIT_FOR(&world, websocket(&world, 0)->fd < 0);
    run_for(&world, 1500);
    CHECK_INT(world.peer.opens, 1, "no hammering");
    CHECK_INT(world.fatals, 0, "it may be switched on again");
    end_world(&world);
}

static void ghosts_are_counted(void **state)
{
    struct world world = { 0 };

    (void)state;
    make_world(&world, 1);
    world.peer.hello = "{\"type\":\"hello\",\"num_connections\":4}";
    slack_socket_start(world.socket);
    WAIT_FOR(&world, ready(&world) == 1);
    CHECK_INT(metric_value(metrics_gauge(world.metrics, "socket_slack_connections", "", "")), 4,
              "as Slack says");
    end_world(&world);
}

static void status_is_json_and_keeps_the_ticket_secret(void **state)
{
    struct world world = { 0 };
    AUTO_BUF struct buf out = { 0 };

    (void)state;
    make_ready_world(&world, 2);
    buf_init(&out, 65536);
    slack_socket_print_status(world.socket, &out);
    CHECK_HOLDS(buf_text(&out), "\"state\":\"READY\"", "the state");
    CHECK_HOLDS(buf_text(&out), "\"host\":\"applink-1\"", "Slack's host");
    CHECK_INT(strstr(buf_text(&out), "ticket") == NULL, 1, "no URL");
    end_world(&world);
}

TEST_MAIN(TEST(links_become_ready_one_after_the_other), TEST(a_link_is_not_ready_before_hello),
          TEST(stop_closes_every_link_with_1000),
          TEST(stop_does_not_wait_for_a_peer_that_keeps_tcp_open), TEST(a_refresh_overlaps),
          TEST(an_own_clock_refreshes_before_slack_does),
          TEST(a_dropped_connection_is_replaced),
          TEST(a_close_by_slack_is_answered_and_replaced),
          TEST(a_deaf_peer_is_noticed_within_the_ping_timeout),
          TEST(any_inbound_frame_is_a_sign_of_life), TEST(pings_of_slack_are_answered),
          TEST(messages_come_whole), TEST(hello_may_come_in_pieces),
          TEST(an_oversized_message_costs_the_link_only), TEST(garbage_never_costs_the_link),
          TEST(an_ack_is_one_whole_small_frame), TEST(acks_of_a_lost_link_go_out_on_another),
          TEST(acks_without_any_link_are_counted_as_dropped), TEST(a_flood_of_events_is_acked),
          TEST(retry_after_is_obeyed), TEST(passing_errors_are_retried),
          TEST(refused_tokens_are_fatal), TEST(a_refused_upgrade_takes_a_new_ticket),
          TEST(too_many_websockets_closes_without_overlap),
          TEST(a_disabled_link_is_left_alone_for_a_minute), TEST(ghosts_are_counted),
          TEST(status_is_json_and_keeps_the_ticket_secret))
