/* Links that break, calls that fail, people who press Stop, a daemon that dies. */
#include <signal.h>
#include <stdlib.h>

#include "tests/scenario/scenario.h"

static void still_answers(struct harness *h, const char *question)
{
    lab_say(h, ALICE, ALICE_DM, NULL, question);
    lab_wait_reply(h, ALICE_DM, NULL, question);
    lab_wait_acked(h);
}

static void opens_a_new_link_before_a_refreshed_one_closes(void **state)
{
    struct harness *h = *state;

    lab_set(h, "refresh_close_ms", json_integer(3000));
    daemon_start(h);
    int64_t mark = lab_mark(h);
    lab_socket(h, "refresh", "oldest");
    json_t *hello = lab_wait_log(h, mark, "hello", NULL, NULL);
    CHECK_INT(json_integer_value(json_object_get(hello, "num_connections")), 3,
              "two links and the successor");
    json_decref(hello);
    still_answers(h, "after the refresh");
    check_no_violations(h);
}

static void comes_back_after_dropped_links(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    int64_t mark = lab_mark(h);
    lab_socket(h, "drop", "all");
    json_decref(lab_wait_log(h, mark, "hello", NULL, NULL));
    still_answers(h, "after the drop");
    check_no_violations(h);
}

static void notices_a_deaf_link(void **state)
{
    struct harness *h = *state;

    harness_set(h, "slack", "ping_interval: 200ms");
    harness_set(h, "slack", "ping_timeout: 1s");
    lab_set(h, "ack_timeout_ms", json_integer(1500));
    lab_set(h, "redeliver_delays_ms", json_pack("[i, i, i]", 0, 1000, 1000));
    daemon_start(h);
    int64_t mark = lab_mark(h);
    lab_socket(h, "deaf", "all");
    lab_say(h, ALICE, ALICE_DM, NULL, "does anybody hear me");
    json_decref(lab_wait_log(h, mark, "hello", NULL, NULL));
    lab_wait_reply(h, ALICE_DM, NULL, "does anybody hear me");
}

static void survives_garbage_and_huge_frames(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    json_decref(lab_command(h, "raw_frame", json_pack("{s:s}", "text", "{\"envelope_id\":")));
    json_decref(lab_command(
        h, "raw_frame", json_pack("{s:i, s:b, s:b}", "size", 5000, "random", 1, "binary", 1)));
    json_decref(
        lab_command(h, "raw_frame", json_pack("{s:i, s:i}", "size", 900000, "fragments", 7)));
    still_answers(h, "after the noise");
    check_no_violations(h);
}

static void answers_once_when_calls_fail_after_they_were_executed(void **state)
{
    struct harness *h = *state;

    harness_set(h, "slack", "reply: post");
    daemon_start(h);
    lab_fault(h, "chat.postMessage", "http_500_executed", 1);
    still_answers(h, "is it there twice");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 1, "the post is looked for, not repeated");
    check_no_violations(h);
}

static void waits_as_long_as_slack_says(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_fault(h, "chat.startStream", "http_429", 1);
    lab_fault(h, "chat.postMessage", "http_429", 1);
    still_answers(h, "slowly please");
    check_no_violations(h);
}

static void stop_button_ends_the_run(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "hangmid");
    daemon_start(h);
    int64_t mark = lab_mark(h);
    const char *ts = lab_say(h, BOB, DEV, NULL, "@threadkeeper think hard");
    json_decref(lab_wait_call(h, mark, "chat.startStream"));
    lab_press_stop(h, DEV, ts);
    lab_wait_idle(h, DEV, ts);
    CHECK_INT(daemon_stop(h), 0, "nothing to wait for");
    check_nothing_left(h);
}

static void a_killed_daemon_answers_after_its_restart(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "slow");
    lab_set(h, "ack_timeout_ms", json_integer(2000));
    lab_set(h, "redeliver_delays_ms", json_pack("[i, i, i]", 0, 1000, 1000));
    daemon_start(h);
    lab_say(h, BOB, DEV, NULL, "@threadkeeper count");
    lab_wait_text(h, DEV, NULL, "word");
    daemon_kill(h);
    daemon_start(h);
    lab_wait_replies(h, DEV, NULL, 1);
    lab_wait_acked(h);
}

SCENARIO_MAIN(SCENARIO(opens_a_new_link_before_a_refreshed_one_closes),
              SCENARIO(comes_back_after_dropped_links), SCENARIO(notices_a_deaf_link),
              SCENARIO(survives_garbage_and_huge_frames),
              SCENARIO(answers_once_when_calls_fail_after_they_were_executed),
              SCENARIO(waits_as_long_as_slack_says), SCENARIO(stop_button_ends_the_run),
              SCENARIO(a_killed_daemon_answers_after_its_restart))
