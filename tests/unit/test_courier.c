#include "bot/courier.h"

#include <poll.h>

#include "base/clock.h"
#include "base/http.h"
#include "tests/test.h"
#include "tests/unit/slack_peer.h"

#define WAIT_MS     20000
#define STOP_MAX_MS 1000

static void reactions_go_out_one_after_the_other(void **state)
{
    struct slack_peer *peer = peer_new();
    struct metrics *metrics = metrics_new();
    struct slack_limits *limits = slack_limits_new(metrics);
    struct courier *courier = courier_new(peer->url, "xoxb-1", limits, metrics);
    int64_t until = clock_now_ms() + WAIT_MS;

    (void)state;
    peer_refuse(peer, "reactions.add", "{\"ok\":false,\"error\":\"is_archived\"}");
    courier_react(courier, "C1", "1.1", "eyes");
    courier_react(courier, "C1", "1.2", "eyes");
    while (peer_count(peer, "reactions.add") < 2) {
        CHECK_INT(clock_now_ms() < until, true, "a refused one does not end the courier");
        poll(NULL, 0, 1);
    }
    courier_free(courier);
    CHECK_HOLDS(peer_body(peer, "reactions.add", 0), "\"timestamp\":\"1.1\"", "in order");
    CHECK_HOLDS(peer_body(peer, "reactions.add", 1), "\"timestamp\":\"1.2\"", "in order");
    slack_limits_free(limits);
    metrics_free(metrics);
    peer_free(peer);
}

static void a_stop_does_not_wait_for_what_is_left(void **state)
{
    struct slack_peer *peer = peer_new();
    struct metrics *metrics = metrics_new();
    struct slack_limits *limits = slack_limits_new(metrics);
    struct courier *courier = courier_new(peer->url, "xoxb-1", limits, metrics);
    int64_t before_ms;

    (void)state;
    peer_script(peer, "reactions.add", 429, "Retry-After: 10\r\n", "{}", false);
    for (int i = 0; i < 100; i++)
        courier_react(courier, "C1", "1.1", "eyes");
    before_ms = clock_now_ms();
    courier_free(courier);
    CHECK_INT(clock_now_ms() - before_ms < STOP_MAX_MS, true, "a reaction is not that much");
    slack_limits_free(limits);
    metrics_free(metrics);
    peer_free(peer);
}

static int start_http(void **state)
{
    (void)state;
    return http_startup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reactions_go_out_one_after_the_other),
        TEST(a_stop_does_not_wait_for_what_is_left),
    };

    return cmocka_run_group_tests(tests, start_http, NULL);
}
