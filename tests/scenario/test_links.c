#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/scenario/scenario.h"

static bool is_of_link(const json_t *entry, const void *link)
{
    return json_integer_value(json_object_get(entry, "link")) == *(const json_int_t *)link;
}

/* The number of the first link that an entry of that kind after `mark` is about. */
static json_int_t wait_link(struct harness *h, int64_t *mark, const char *kind)
{
    json_auto_t *entry = lab_wait_log(h, *mark, kind, NULL, NULL);

    *mark = json_integer_value(json_object_get(entry, "seq"));
    return json_integer_value(json_object_get(entry, "link"));
}

static int64_t seq_of(struct harness *h, int64_t mark, const char *kind, json_int_t link)
{
    json_auto_t *entry = lab_wait_log(h, mark, kind, is_of_link, &link);

    return json_integer_value(json_object_get(entry, "seq"));
}

static void check_answered(struct harness *h, const char *question)
{
    AUTO_FREE char *text = xasprintf("@threadkeeper %s", question);
    AUTO_FREE char *want = xasprintf("Now you ask: \"%s\"", question);
    const char *thread = lab_say(h, ALICE, DEV, NULL, text);

    lab_wait_reply(h, DEV, thread, want);
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "answered once");
}

/* What Slack does every few hours, while people write. */
static void a_link_is_replaced_before_it_closes(struct harness *h, const char *action)
{
    int64_t mark = lab_mark(h);
    int64_t after_old = mark;
    json_int_t old;
    json_int_t fresh;

    lab_socket(h, action, "oldest");
    old = wait_link(h, &after_old, "disconnect_sent");
    check_answered(h, "while one link is on its way");
    fresh = wait_link(h, &after_old, "hello");
    check_answered(h, "while there is one link too many");
    CHECK_INT(seq_of(h, mark, "hello", fresh) < seq_of(h, mark, "link_closed", old), 1,
              "the new link is ready before the old one closes");
    check_answered(h, "after it");
}

static void refreshes_and_warnings_cost_nothing(void **state)
{
    struct harness *h = *state;

    lab_set(h, "refresh_close_ms", json_integer(1500));
    daemon_start(h);
    a_link_is_replaced_before_it_closes(h, "refresh");
    a_link_is_replaced_before_it_closes(h, "warning");
    lab_wait_acked(h);
    check_no_violations(h);
}

static void dropped_links_come_back_while_an_agent_writes(void **state)
{
    struct harness *h = *state;
    const char *thread;
    int64_t mark;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    mark = lab_mark(h);
    lab_socket(h, "drop", "all");
    wait_link(h, &mark, "hello");
    wait_link(h, &mark, "hello");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"go\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message, whatever the links did");
    lab_wait_idle(h, DEV, thread);
    check_answered(h, "all well?");
    check_no_violations(h);
}

static void a_websocket_that_slack_closes_is_replaced(void **state)
{
    static const int codes[] = { 1000, 1001, 1006, 1011, 4999 };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        int64_t mark = lab_mark(h);

        json_decref(lab_command(h, "socket",
                                json_pack("{s:s, s:s, s:i}", "action", "close", "which",
                                          i % 2 ? "newest" : "oldest", "code", codes[i])));
        check_answered(h, "still there?");
        wait_link(h, &mark, "hello");
    }
    check_no_violations(h);
}

static void deaf_links_are_noticed_by_their_missing_pongs(void **state)
{
    struct harness *h = *state;
    const char *ts;
    int64_t mark;

    harness_set(h, "slack", "ping_interval: 200ms");
    harness_set(h, "slack", harness_limit_ms(1) > 1 ? "ping_timeout: 3s" : "ping_timeout: 1s");
    lab_set(h, "ack_timeout_ms", json_integer(60000));
    daemon_start(h);
    mark = lab_mark(h);
    lab_socket(h, "deaf", "all");
    ts = lab_say(h, ALICE, DEV, NULL, "@threadkeeper do you hear me?");
    wait_link(h, &mark, "hello"); /* within the limit: half of the default timeout */
    wait_link(h, &mark, "hello");
    json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "ts", ts)));
    lab_wait_reply(h, DEV, ts, "do you hear me?");
    lab_wait_idle(h, DEV, ts);
    CHECK_HOLDS(daemon_log(h), "nothing came, not even a pong", "the log says why");
    CHECK_INT(lab_count_replies(h, DEV, ts), 1, "answered once");
    check_no_violations(h);
}

static void a_link_without_hello_serves_nobody_and_is_given_up(void **state)
{
    struct harness *h = *state;
    int64_t mark;
    json_int_t silent;

    harness_set(h, "slack", "connections: 1");
    lab_set(h, "refresh_close_ms", json_integer(60000));
    daemon_start(h);
    lab_set(h, "hello", json_false());
    mark = lab_mark(h);
    lab_socket(h, "refresh", "all");
    silent = wait_link(h, &mark, "link_opened");
    for (int i = 0; i < 3; i++)
        check_answered(h, "does the old one serve on?");
    lab_set(h, "hello", json_true());
    CHECK_INT(seq_of(h, mark, "link_closed", silent) > mark, 1, "15 s without a hello");
    wait_link(h, &mark, "hello");
    check_answered(h, "and now?");
    check_no_violations(h);
}

static void a_switched_off_socket_mode_is_waited_out(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_socket(h, "link_disabled", "newest");
    daemon_wait_log(h, "Socket Mode is switched off in the app's settings");
    check_answered(h, "is the other link well?");
    lab_socket(h, "link_disabled", "all");
    daemon_wait_get(h, "/readyz", 503);
    CHECK_INT(daemon_get(h, "/healthz", NULL), 200, "the process itself is well");
    CHECK_INT(daemon_stop(h), 0, "ends while it waits");
    check_no_violations(h);
}

static void too_many_connections_slow_it_down(void **state)
{
    struct harness *h = *state;
    int64_t mark;

    daemon_start(h);
    mark = lab_mark(h);
    lab_socket(h, "too_many", "newest");
    check_answered(h, "is the other link well?");
    wait_link(h, &mark, "hello");
    check_answered(h, "and both?");
    check_no_violations(h);
}

static void retry_after_is_obeyed_when_opening(void **state)
{
    struct harness *h = *state;
    int64_t mark;

    json_decref(lab_command(h, "fault",
                            json_pack("{s:s, s:s, s:i, s:i}", "method", "apps.connections.open",
                                      "kind", "http_429", "count", 1, "retry_after", 2)));
    daemon_start(h);
    check_answered(h, "through?");
    mark = lab_mark(h);
    json_decref(lab_command(h, "fault",
                            json_pack("{s:s, s:s, s:i, s:i}", "method", "apps.connections.open",
                                      "kind", "http_429", "count", 1, "retry_after", 1)));
    lab_socket(h, "drop", "all");
    wait_link(h, &mark, "hello");
    wait_link(h, &mark, "hello");
    check_no_violations(h); /* which a call before its time would be */
}

static void opening_goes_on_after_every_kind_of_nonsense(void **state)
{
    static const char *const kinds[] = { "http_500",        "http_503",
                                         "html_body",       "garbage_body",
                                         "drop_connection", "error:internal_error" };
    struct harness *h = *state;

    harness_set(h, "slack", "connections: 6");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        lab_fault(h, "apps.connections.open", kinds[i], 1);
    daemon_start(h);
    check_answered(h, "through?");
    check_no_violations(h);
}

static void refused_tokens_end_it_with_77(void **state)
{
    static const struct {
        const char *setting;
        const char *error;
    } cases[] = {
        { "token_error", "invalid_auth" },      { "token_error", "account_inactive" },
        { "token_error", "token_revoked" },     { "app_token_error", "invalid_auth" },
        { "app_token_error", "token_revoked" }, { "app_token_error", "not_allowed_token_type" },
    };
    struct harness *h = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        lab_set(h, cases[i].setting, json_string(cases[i].error));
        daemon_launch(h);
        CHECK_INT(daemon_wait_exit(h), 77, cases[i].error);
        CHECK_HOLDS(daemon_log(h), cases[i].error, "the log names it");
        lab_set(h, cases[i].setting, json_string(""));
    }
}

static void tokens_that_die_while_it_runs_end_it_with_77(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    check_answered(h, "well so far?");
    lab_set(h, "app_token_error", json_string("token_revoked"));
    lab_socket(h, "drop", "oldest");
    CHECK_INT(daemon_wait_exit(h), 77, "refused when the link was to be opened again");
    CHECK_HOLDS(daemon_log(h), "Slack refuses the tokens", "said so");
}

static bool has_code_1000(const json_t *entry, const void *context)
{
    (void)context;
    return json_integer_value(json_object_get(entry, "code")) == 1000;
}

static void sigterm_closes_every_socket_with_1000(void **state)
{
    struct harness *h = *state;
    int64_t mark;

    harness_set(h, "slack", "connections: 3");
    daemon_start(h);
    mark = lab_mark(h);
    CHECK_INT(daemon_stop(h), 0, "clean end");
    for (int i = 0; i < 3; i++) {
        json_auto_t *entry = lab_wait_log(h, mark, "close_received", has_code_1000, NULL);

        mark = json_integer_value(json_object_get(entry, "seq"));
    }
    check_no_violations(h);
}

/* Where systemd would listen for READY=1. */
static int listen_for_notices(struct harness *h, char *path, size_t size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval limit = { .tv_sec = (time_t)(harness_limit_ms(HARNESS_LIMIT_MS) / 1000) };

    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/notify", harness_dir(h));
    snprintf(path, size, "%s", address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        harness_fail(h, "cannot bind %s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void wait_notice(struct harness *h, int fd, const char *part)
{
    char text[1024] = "";

    while (!strstr(text, part)) {
        ssize_t got = recv(fd, text, sizeof(text) - 1, 0);

        text[got > 0 ? got : 0] = '\0';
        if (got < 0)
            harness_fail(h, "no notice \"%s\"", part);
    }
}

static void without_slack_it_is_ready_and_waits(void **state)
{
    struct harness *h = *state;
    char path[256];
    AUTO_FD int fd = listen_for_notices(h, path, sizeof(path));
    int64_t mark = lab_mark(h);

    lab_fault(h, "*", "drop_connection", -1);
    setenv("NOTIFY_SOCKET", path, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    daemon_launch(h);
    unsetenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe) */
    wait_notice(h, fd, "READY=1");
    wait_notice(h, fd, "STATUS=waiting for Slack");
    daemon_wait_get(h, "/readyz", 503);
    CHECK_INT(daemon_get(h, "/healthz", NULL), 200, "alive all the same");
    json_decref(lab_command(h, "fault", json_pack("{s:b}", "clear", 1)));
    wait_link(h, &mark, "hello");
    wait_notice(h, fd, "links to Slack");
    daemon_wait_get(h, "/readyz", 200);
    check_answered(h, "there you are?");
    CHECK_INT(daemon_stop(h), 0, "clean end");
    wait_notice(h, fd, "STOPPING=1");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(refreshes_and_warnings_cost_nothing),
              SCENARIO(dropped_links_come_back_while_an_agent_writes),
              SCENARIO(a_websocket_that_slack_closes_is_replaced),
              SCENARIO(deaf_links_are_noticed_by_their_missing_pongs),
              SCENARIO(a_link_without_hello_serves_nobody_and_is_given_up),
              SCENARIO(a_switched_off_socket_mode_is_waited_out),
              SCENARIO(too_many_connections_slow_it_down),
              SCENARIO(retry_after_is_obeyed_when_opening),
              SCENARIO(opening_goes_on_after_every_kind_of_nonsense),
              SCENARIO(refused_tokens_end_it_with_77),
              SCENARIO(tokens_that_die_while_it_runs_end_it_with_77),
              SCENARIO(sigterm_closes_every_socket_with_1000),
              SCENARIO(without_slack_it_is_ready_and_waits))
