#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"

static const char *busy_daemon(struct harness *h)
{
    const char *thread;

    set_scenario(h, "gate");
    harness_set(h, "agent", "max_running: 1");
    harness_set(h, "agent", "kill_grace: 300ms");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper keep busy");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    return thread;
}

static void commands_are_answered_while_every_worker_is_busy(void **state)
{
    struct harness *h = *state;
    const char *thread = busy_daemon(h);

    lab_say(h, BOB, BOB_DM, NULL, "this has to wait");
    lab_say(h, BOB, BOB_DM, NULL, "!help");
    lab_wait_reply(h, BOB_DM, NULL, "!stop");
    lab_say(h, BOB, BOB_DM, NULL, "!status");
    lab_wait_reply(h, BOB_DM, NULL, "1 of 1 agents running, 1 message waiting");
    lab_say(h, ALICE, DEV, thread, "!status");
    lab_wait_reply(h, DEV, thread, "up for");
    lab_say(h, BOB, DEV, NULL, "@threadkeeper !help");
    lab_wait_reply(h, DEV, NULL, "!status");
    CHECK_INT(lab_count_replies(h, BOB_DM, NULL), 2, "the message itself still waits");
    check_no_violations(h);
}

static void stop_ends_the_run_and_keeps_what_was_said(void **state)
{
    struct harness *h = *state;
    const char *thread = busy_daemon(h);
    const char *text;

    lab_say(h, ALICE, DEV, thread, "one more thing");
    lab_wait_acked(h);
    lab_say(h, ALICE, DEV, thread, "!stop");
    lab_wait_reply(h, DEV, thread, "Stopping. Dropped 1 waiting message.");
    text = lab_wait_reply(h, DEV, thread, "Stopped.");
    CHECK_HOLDS(text, "The gate is closed.", "the partial answer stays");
    lab_wait_idle(h, DEV, thread);
    set_scenario(h, "ok");
    lab_say(h, ALICE, DEV, thread, "what did I say?");
    lab_wait_reply(h, DEV, thread, "You have told me 1 thing before: (1) \"keep busy\"");
    CHECK_INT(daemon_stop(h), 0, "clean end");
    check_nothing_left(h);
    check_no_violations(h);
}

static void new_while_it_answers_forgets_that_answer_too(void **state)
{
    struct harness *h = *state;
    const char *thread = busy_daemon(h);
    AUTO_FREE char *gate = xasprintf("%s/gate", harness_workspace(h));
    struct err err = { 0 };

    lab_say(h, ALICE, DEV, thread, "!new");
    lab_wait_reply(h, DEV, thread, "Nor is what I am still answering");
    if (file_write(gate, "", 0, 0600, &err) < 0)
        harness_fail(h, "%s", err.message);
    lab_wait_reply(h, DEV, thread, "The gate is open.");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, ALICE, DEV, thread, "what now?");
    lab_wait_reply(h, DEV, thread,
                   "You have not told me anything before. Now you ask: \"what now?\"");
    check_no_violations(h);
}

static void slacks_own_stop_button_ends_the_run(void **state)
{
    struct harness *h = *state;
    const char *thread = busy_daemon(h);

    lab_press_stop(h, DEV, thread);
    lab_wait_reply(h, DEV, thread, "Stopped.");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(daemon_stop(h), 0, "clean end");
    check_nothing_left(h);
    check_no_violations(h);
}

static void only_the_one_who_asked_may_stop(void **state)
{
    struct harness *h = *state;
    const char *thread = busy_daemon(h);
    AUTO_FREE char *gate = xasprintf("%s/gate", harness_workspace(h));
    struct err err = { 0 };

    lab_say(h, BOB, DEV, thread, "!stop");
    lab_wait_reply(h, DEV, thread, "Nothing of yours is running");
    if (file_write(gate, "", 0, 0600, &err) < 0)
        harness_fail(h, "%s", err.message);
    lab_wait_reply(h, DEV, thread, "The gate is open.");
    check_no_violations(h);
}

static void a_failed_answer_can_be_retried_with_the_button(void **state)
{
    struct harness *h = *state;
    json_t *messages;
    const char *thread;
    const char *failed_ts;

    set_scenario(h, "crashmid");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper try this");
    lab_wait_reply(h, DEV, thread, ":warning:");
    lab_wait_idle(h, DEV, thread);
    set_scenario(h, "ok");
    messages = lab_messages(h, DEV, thread);
    failed_ts = json_string_value(
        json_object_get(json_array_get(messages, json_array_size(messages) - 1), "ts"));
    lab_click(h, DEV, failed_ts, "threadkeeper_retry");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"try this\"");
    lab_click(h, DEV, failed_ts, "threadkeeper_retry");
    lab_say(h, ALICE, DEV, thread, "thanks");
    lab_wait_reply(h, DEV, thread, "(1) \"try this\". Now you ask: \"thanks\"");
    json_decref(messages);
    check_no_violations(h);
}

static void a_message_deleted_before_its_turn_is_not_answered(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *gate = NULL;
    struct err err = { 0 };
    const char *ts;
    json_t *answer;

    busy_daemon(h);
    gate = xasprintf("%s/gate", harness_workspace(h));
    ts = lab_say(h, BOB, BOB_DM, NULL, "no, wait");
    lab_wait_acked(h);
    answer =
        lab_command(h, "delete_message", json_pack("{s:s, s:s}", "channel", BOB_DM, "ts", ts));
    json_decref(answer);
    lab_wait_acked(h);
    lab_say(h, BOB, BOB_DM, NULL,
            "!help"); /* the desk works in order: the deletion is done by then */
    lab_wait_reply(h, BOB_DM, NULL, "!stop");
    if (file_write(gate, "", 0, 0600, &err) < 0)
        harness_fail(h, "%s", err.message);
    lab_say(h, BOB, BOB_DM, NULL, "this one counts");
    lab_wait_reply(h, BOB_DM, NULL,
                   "You have not told me anything before. Now you ask: \"this one counts\"");
}

SCENARIO_MAIN(SCENARIO(commands_are_answered_while_every_worker_is_busy),
              SCENARIO(stop_ends_the_run_and_keeps_what_was_said),
              SCENARIO(new_while_it_answers_forgets_that_answer_too),
              SCENARIO(slacks_own_stop_button_ends_the_run),
              SCENARIO(only_the_one_who_asked_may_stop),
              SCENARIO(a_failed_answer_can_be_retried_with_the_button),
              SCENARIO(a_message_deleted_before_its_turn_is_not_answered))
