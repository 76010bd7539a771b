#include "bot/catchup.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/http.h"
#include "bot/app.h"
#include "bot/courier.h"
#include "bot/dispatch.h"
#include "bot/intake.h"
#include "bot/loop.h"
#include "bot/twins.h"
#include "slack/socket.h"
#include "tests/test.h"
#include "tests/unit/memory_lab.h"
#include "tests/unit/slack_peer.h"

#define GAP_MS      INT64_C(600000)
#define STOP_MAX_MS 1000
#define US_PER_STEP INT64_C(600000000)

/* The parts of a daemon that a message passes through; the test's thread is its loop. */
struct fixture {
    struct lab lab;
    struct slack_peer *peer;
    struct slack_peer *reactions; /* the courier's: a peer serves one connection at a time */
    struct config config;
    struct app app;
    int cancel_fd;
    int64_t now_us;
    char *bodies[8]; /* that the peer was told to answer */
    size_t bodies_count;
    char ts[8][32]; /* ts[i]: i * 10 minutes ago */
};

static void on_signal(void *context, int signal_number)
{
    (void)context;
    (void)signal_number;
}

static void on_wake(void *context)
{
    (void)context;
}

static void on_http(void *context, const char *path, bool is_post,
                    struct loop_http_answer *answer)
{
    (void)is_post;
    (void)context;
    (void)path;
    (void)answer;
}

static void on_envelope(void *context, struct slack_socket_origin origin, const char *json,
                        size_t len)
{
    (void)context;
    (void)origin;
    (void)json;
    (void)len;
}

static void on_ready_links(void *context, unsigned ready, unsigned wanted)
{
    (void)context;
    (void)ready;
    (void)wanted;
}

static void on_fatal(void *context, const struct err *err)
{
    (void)context;
    (void)err;
}

static void start_app(struct fixture *f)
{
    struct catchup_options options = { .gap_ms = GAP_MS, .pause_ms = 1, .retry_ms = 1 };
    struct loop_callbacks callbacks = { on_signal, on_wake, on_http, NULL };
    struct slack_socket_callbacks links = { on_envelope, on_ready_links, on_fatal, NULL };
    struct slack_socket_options socket = { .api_url = f->peer->url,
                                           .app_token = "xapp-1",
                                           .connections = 1,
                                           .ping_interval_ms = 10000,
                                           .ping_timeout_ms = 30000 };
    struct app *app = &f->app;
    struct err err = { 0 };
    sigset_t terminate;

    *app = (struct app){ .config = &f->config,
                         .metrics = f->lab.metrics,
                         .memory = f->lab.memory,
                         .self = { .team_id = "T1", .user_id = "UBOT", .bot_id = "BBOT" } };
    pthread_mutex_init(&app->config_lock, NULL);
    app->limits = slack_limits_new(app->metrics);
    app->dispatch = dispatch_new(app->metrics);
    app->twins = twins_new();
    CHECK_INT(loop_new("", slack_socket_protocol(), &callbacks, app->metrics, &app->loop, &err),
              0, err.message);
    /* The loop takes the signals for itself, but nobody serves it here. */
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &terminate, NULL);
    app->courier = courier_new(f->reactions->url, "xoxb-1", app->limits, app->metrics);
    app->socket = slack_socket_new(loop_lws(app->loop), &socket, &links, app->metrics);
    app->intake = intake_new(app);
    app->catchup = catchup_new(app, &options);
}

static void stop_app(struct fixture *f)
{
    struct app *app = &f->app;

    atomic_store(&app->is_stopping, true);
    catchup_join(app->catchup);
    memory_close(f->lab.memory); /* its callbacks still reach the others */
    loop_drain(app->loop);
    slack_socket_free(app->socket);
    catchup_free(app->catchup);
    intake_free(app->intake);
    courier_free(app->courier);
    loop_free(app->loop);
    dispatch_free(app->dispatch);
    twins_free(app->twins);
    slack_limits_free(app->limits);
    metrics_free(f->lab.metrics);
    pthread_mutex_destroy(&app->config_lock);
}

static char bot_token[] = "xoxb-1";

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    lab_prepare(&f->lab);
    lab_open(&f->lab);
    f->peer = peer_new();
    f->reactions = peer_new();
    f->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->config.ref_count = 1;
    f->config.slack.api_url = f->peer->url;
    f->config.slack.bot_token = bot_token;
    f->config.state_dir = f->lab.directory;
    f->now_us = clock_wall_us();
    for (int i = 0; i < 8; i++)
        snprintf(f->ts[i], sizeof(f->ts[i]), "%lld.000000",
                 (long long)(f->now_us / 1000000 - i * INT64_C(600)));
    start_app(f);
}

static void tear_down(struct fixture *f)
{
    stop_app(f);
    peer_free(f->peer);
    peer_free(f->reactions);
    close(f->cancel_fd);
    for (size_t i = 0; i < f->bodies_count; i++)
        free(f->bodies[i]);
    CHECK_INT(file_remove_tree(f->lab.directory, NULL), 0, "");
}

/* What the daemon did before: a message received when it was said. */
static void recorded(struct fixture *f, const char *channel, int ts, const char *thread_ts,
                     const char *reply_thread)
{
    struct ledger_entry *entry = lab_entry("", f->ts[ts], thread_ts);

    free(entry->channel);
    free(entry->reply_thread);
    entry->channel = xstrdup(channel);
    entry->reply_thread = xstrdup(reply_thread);
    entry->received_wall_us = f->now_us - ts * US_PER_STEP;
    CHECK_INT(lab_record_as(&f->lab, entry, false, *reply_thread != '\0', NULL), LEDGER_NEW,
              "");
}

static int64_t counter(struct fixture *f, const char *name)
{
    return metric_value(metrics_counter(f->lab.metrics, name, "", ""));
}

static bool is_owed(struct fixture *f)
{
    AUTO_FREE char *path = xasprintf("%s/catchup", f->lab.directory);

    return access(path, F_OK) == 0;
}

static void pump(struct fixture *f)
{
    loop_drain(f->app.loop);
    poll(NULL, 0, 1);
}

/* Plays the loop until everything was asked, taken and noted. */
static void wait_until_paid(struct fixture *f, int64_t runs)
{
    int64_t until = clock_now_ms() + LAB_WAIT_MS;

    while (counter(f, "catchups_total") < runs || is_owed(f)) {
        CHECK_INT(clock_now_ms() < until, true, "catching up comes to its end");
        pump(f);
    }
    catchup_join(f->app.catchup);
}

static void catch_up(struct fixture *f)
{
    catchup_links(f->app.catchup, 1, clock_now_ms());
    wait_until_paid(f, 1);
}

/* What waits for an answer, as "channel/reply_thread=text ", sorted by nothing but the lanes.
 */
static char *waiting(struct fixture *f)
{
    struct dispatch_figures figures;
    AUTO_BUF struct buf out;

    buf_init(&out, 1 << 16);
    for (;;) {
        struct dispatch_batch batch;

        dispatch_get_figures(f->app.dispatch, NULL, &figures);
        if (!figures.waiting)
            break;
        CHECK_INT(dispatch_take(f->app.dispatch, f->cancel_fd, &batch), true, "");
        for (size_t i = 0; i < batch.count; i++)
            buf_printf(&out, "%s=%s ", batch.entries[i]->channel, batch.entries[i]->text);
        dispatch_finish(f->app.dispatch, &batch);
    }
    return out.len ? buf_take(&out) : xstrdup("");
}

/* One message in Slack's list. */
static json_t *said(const char *ts, const char *thread_ts, const char *user, const char *text)
{
    return json_pack("{s:s,s:s,s:s*,s:s,s:s}", "type", "message", "ts", ts, "thread_ts",
                     *thread_ts ? thread_ts : NULL, "user", user, "text", text);
}

static json_t *said_by_bot(const char *ts, const char *thread_ts, const char *bot_id,
                           const char *text)
{
    json_t *message = said(ts, thread_ts, "UBOT", text);

    json_object_set_new(message, "bot_id", json_string(bot_id));
    return message;
}

/* The next call of `method` is answered with these messages (adopted). */
static void script(struct fixture *f, const char *method, json_t *messages)
{
    json_auto_t *root = json_pack("{s:b,s:o}", "ok", 1, "messages", messages);

    assert_true(f->bodies_count < ARRAY_LEN(f->bodies));
    f->bodies[f->bodies_count] = json_dumps(root, 0);
    peer_script(f->peer, method, 200, "", f->bodies[f->bodies_count++], false);
}

static char *envelope_of(struct fixture *f, int ts, const char *text)
{
    json_auto_t *root =
        json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s,s:s}}}", "envelope_id", "e1",
                  "type", "events_api", "payload", "team_id", "T1", "event_id", "Ev1", "type",
                  "event_callback", "event", "type", "message", "channel", "D1", "channel_type",
                  "im", "user", "U1", "ts", f->ts[ts], "text", text);

    return json_dumps(root, 0);
}

static void deliver(struct fixture *f, int ts, const char *text)
{
    struct slack_socket_origin origin = { 0 };
    AUTO_FREE char *json = envelope_of(f, ts, text);
    int64_t until = clock_now_ms() + LAB_WAIT_MS;
    int64_t acked =
        histogram_count(metrics_histogram(f->lab.metrics, "ack_latency_seconds", "", ""));

    intake_envelope(f->app.intake, origin, json, strlen(json));
    while (histogram_count(metrics_histogram(f->lab.metrics, "ack_latency_seconds", "", "")) ==
           acked) {
        CHECK_INT(clock_now_ms() < until, true, "the envelope is acked");
        pump(f);
    }
}

static void what_was_said_meanwhile_is_taken_up(void **state)
{
    struct fixture f;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "C1", 6, "", f.ts[6]);
    recorded(&f, "C1", 5, f.ts[6], f.ts[6]);
    recorded(&f, "D1", 4, "", "");
    script(&f, "conversations.history",
           json_pack("[o,o]", said(f.ts[1], "", "U1", "second"),
                     said(f.ts[2], "", "U1", "first")));
    script(&f, "conversations.replies",
           json_pack("[o,o,o,o,o]", said(f.ts[6], f.ts[6], "U1", "the root"),
                     said_by_bot(f.ts[3], f.ts[6], "BBOT", "our own"),
                     said_by_bot(f.ts[3], f.ts[6], "BELSE", "another bot's"),
                     said(f.ts[2], f.ts[6], "U2", "<@U9> between people"),
                     said(f.ts[2], f.ts[6], "U1", "in the thread")));
    script(&f, "conversations.history",
           json_pack("[o,o]", said(f.ts[2], "", "U3", "to nobody"),
                     said(f.ts[3], f.ts[3], "U3", "<@UBOT> to us")));
    catch_up(&f);
    got = waiting(&f);
    CHECK_HOLDS(got, "D1=first D1=second ", "oldest first");
    CHECK_HOLDS(got, "C1=in the thread ", "the thread is engaged");
    CHECK_HOLDS(got, "C1=to us ", "a mention in a channel of ours");
    CHECK_INT(counter(&f, "catchup_messages_total"), 4, got);
    CHECK_INT(counter(&f, "catchups_total"), 1, "one run");
    CHECK_INT(is_owed(&f), false, "it is paid");
    tear_down(&f);
}

static void slack_is_asked_only_for_what_is_not_known(void **state)
{
    struct fixture f;
    AUTO_FREE char *want = NULL;
    AUTO_FREE char *want_direct = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "C1", 6, "", f.ts[6]);
    recorded(&f, "C1", 5, f.ts[6], f.ts[6]);
    recorded(&f, "D1", 4, "", "");
    for (int i = 0; i < 3; i++)
        script(&f, i == 1 ? "conversations.replies" : "conversations.history", json_array());
    catch_up(&f);
    want = xasprintf("channel=C1&ts=%s&oldest=%s&limit=200", f.ts[6], f.ts[5]);
    want_direct = xasprintf("channel=D1&oldest=%s&limit=200", f.ts[4]);
    CHECK_TEXT(peer_body(f.peer, "conversations.replies", 0), want, "after the newest known");
    CHECK_TEXT(peer_body(f.peer, "conversations.history", 0), want_direct, "the newest place");
    CHECK_INT(peer_count(f.peer, "conversations.history"), 2, "each channel once");
    tear_down(&f);
}

static void a_late_delivery_of_a_message_found_is_not_answered_again(void **state)
{
    struct fixture f;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 4, "", "");
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U1", "hello")));
    catch_up(&f);
    deliver(&f, 2, "hello");
    got = waiting(&f);
    CHECK_TEXT(got, "D1=hello ", "once");
    CHECK_INT(counter(&f, "events_duplicate_total"), 1, "the envelope");
    tear_down(&f);
}

static void a_message_that_slack_delivered_late_is_not_found_again(void **state)
{
    struct fixture f;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 4, "", "");
    deliver(&f, 2, "hello");
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U1", "hello")));
    catchup_links(f.app.catchup, 1, 0);
    catchup_links(f.app.catchup, 0, 0);
    catchup_links(f.app.catchup, 1, GAP_MS + 1);
    wait_until_paid(&f, 1);
    got = waiting(&f);
    CHECK_TEXT(got, "D1=hello ", "once");
    CHECK_INT(counter(&f, "catchup_messages_total"), 0, "nothing new was found");
    tear_down(&f);
}

static void a_short_gap_is_left_to_slacks_retries(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 0, "", "");
    catchup_links(f.app.catchup, 1, 0);
    catchup_join(f.app.catchup);
    catchup_links(f.app.catchup, 2, 1000);
    catchup_links(f.app.catchup, 0, 1000);
    catchup_links(f.app.catchup, 1, 1000 + GAP_MS);
    catchup_join(f.app.catchup);
    CHECK_INT(counter(&f, "catchups_total"), 0, "neither at the start nor later");
    CHECK_INT(peer_count(f.peer, "conversations.history"), 0, "");
    tear_down(&f);
}

static void a_start_without_a_past_asks_nothing(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    recorded(&f, "terminal", 5, "", "");
    catchup_links(f.app.catchup, 1, 0);
    catchup_join(f.app.catchup);
    CHECK_INT(counter(&f, "catchups_total"), 0, "a chat on the terminal is none of Slack's");
    tear_down(&f);
}

static void a_place_that_slack_refuses_is_passed_over(void **state)
{
    struct fixture f;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 6, "", "");
    recorded(&f, "C1", 5, "", f.ts[5]);
    peer_refuse(f.peer, "conversations.replies",
                "{\"ok\":false,\"error\":\"missing_scope\",\"needed\":\"channels:history\"}");
    peer_refuse(f.peer, "conversations.history",
                "{\"ok\":false,\"error\":\"method_not_supported_for_channel_type\"}");
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U1", "hello")));
    catch_up(&f);
    got = waiting(&f);
    CHECK_TEXT(got, "D1=hello ", "the others are asked all the same");
    tear_down(&f);
}

static void a_failing_slack_is_asked_again_where_it_failed(void **state)
{
    struct fixture f;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 6, "", "");
    recorded(&f, "D2", 5, "", "");
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U1", "before")));
    for (int i = 0; i < 5; i++) /* as often as one call tries */
        peer_refuse(f.peer, "conversations.history",
                    "{\"ok\":false,\"error\":\"service_unavailable\"}");
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U2", "after")));
    catch_up(&f);
    got = waiting(&f);
    CHECK_HOLDS(got, "D2=before ", "");
    CHECK_HOLDS(got, "D1=after ", "");
    CHECK_INT(peer_count(f.peer, "conversations.history"), 7, "D2 once, D1 six times");
    tear_down(&f);
}

static void an_agent_view_answers_each_message_in_its_own_thread(void **state)
{
    struct fixture f;
    struct dispatch_batch batch;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 6, "", f.ts[6]);
    script(&f, "conversations.replies", json_array());
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U1", "hello")));
    catch_up(&f);
    CHECK_INT(dispatch_take(f.app.dispatch, f.cancel_fd, &batch), true, "");
    CHECK_TEXT(batch.entries[0]->reply_thread, f.ts[2], "as those before it were");
    dispatch_finish(f.app.dispatch, &batch);
    tear_down(&f);
}

static void all_pages_are_read_within_a_bound(void **state)
{
    struct fixture f;
    AUTO_FREE char *page = NULL;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 6, "", "");
    page = xasprintf("{\"ok\":true,\"messages\":[{\"type\":\"message\",\"ts\":\"%s\",\"user\":"
                     "\"U1\",\"text\":\"hello\"}],\"response_metadata\":{\"next_cursor\":"
                     "\"more=\"}}",
                     f.ts[2]);
    for (int i = 0; i < 9; i++)
        peer_script(f.peer, "conversations.history", 200, "", page, false);
    catch_up(&f);
    got = waiting(&f);
    CHECK_TEXT(got, "D1=hello ", "a message that stands on two pages is one message");
    CHECK_INT(peer_count(f.peer, "conversations.history"), 3, "then it is enough");
    CHECK_HOLDS(peer_body(f.peer, "conversations.history", 1), "cursor=more%3D", "");
    tear_down(&f);
}

/* A listener that never answers. */
static int deaf_slack(char url[64])
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(url, 64, "http://127.0.0.1:%u/api/", (unsigned)ntohs(address.sin_port));
    return fd;
}

static void a_stop_ends_it_at_once_and_the_next_start_goes_on(void **state)
{
    struct fixture f;
    char url[64];
    int deaf = deaf_slack(url);
    int64_t until = clock_now_ms() + LAB_WAIT_MS;
    int64_t before_ms;
    AUTO_FREE char *got = NULL;

    (void)state;
    set_up(&f);
    recorded(&f, "D1", 6, "", "");
    f.config.slack.api_url = url;
    catchup_links(f.app.catchup, 1, 0);
    while (!is_owed(&f)) {
        CHECK_INT(clock_now_ms() < until, true, "it begins");
        pump(&f);
    }
    deliver(&f, 0, "right after the outage");
    before_ms = clock_now_ms();
    stop_app(&f);
    CHECK_INT(clock_now_ms() - before_ms < STOP_MAX_MS, true, "within a second");
    CHECK_INT(is_owed(&f), true, "the message that came since does not hide the gap");

    lab_open(&f.lab);
    f.config.slack.api_url = f.peer->url;
    script(&f, "conversations.history", json_pack("[o]", said(f.ts[2], "", "U1", "hello")));
    start_app(&f);
    catch_up(&f);
    got = waiting(&f);
    CHECK_TEXT(got, "D1=hello ", "");
    CHECK_HOLDS(peer_body(f.peer, "conversations.history", 0), f.ts[6],
                "from where the first one would have begun");
    tear_down(&f);
    close(deaf);
}

static int start_http(void **state)
{
    (void)state;
    return http_startup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_said_meanwhile_is_taken_up),
        TEST(slack_is_asked_only_for_what_is_not_known),
        TEST(a_late_delivery_of_a_message_found_is_not_answered_again),
        TEST(a_message_that_slack_delivered_late_is_not_found_again),
        TEST(a_short_gap_is_left_to_slacks_retries),
        TEST(a_start_without_a_past_asks_nothing),
        TEST(a_place_that_slack_refuses_is_passed_over),
        TEST(a_failing_slack_is_asked_again_where_it_failed),
        TEST(an_agent_view_answers_each_message_in_its_own_thread),
        TEST(all_pages_are_read_within_a_bound),
        TEST(a_stop_ends_it_at_once_and_the_next_start_goes_on),
    };

    return cmocka_run_group_tests(tests, start_http, NULL);
}
