#include <signal.h>
#include <stdio.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

/* From then on the ledger knows the message of the answer: a stream cannot be looked for. */
#define REPLY_NOTED "reply noted message="

static void memory_survives_a_restart(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "remember 4711");
    lab_wait_replies(h, ALICE_DM, NULL, 1);
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "which number?");
    lab_wait_reply(h, ALICE_DM, NULL, "(1) \"remember 4711\"");
    check_no_violations(h);
}

static void a_queue_is_worked_off_after_a_restart(void **state)
{
    struct harness *h = *state;
    const char *first;
    const char *second;

    set_scenario(h, "gate");
    harness_set(h, "agent", "max_running: 1");
    daemon_start(h);
    first = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_text(h, DEV, first, "The gate is closed");
    second = lab_say(h, BOB, DEV, NULL, "@threadkeeper two");
    lab_wait_acked(h);
    CHECK_INT(daemon_stop(h), 0, "a clean end while an agent runs");
    open_gate(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, first, "The gate is open.");
    lab_wait_reply(h, DEV, second, "Now you ask: \"two\"");
    CHECK_INT(lab_count_replies(h, DEV, first), 1, "in the same message");
    CHECK_INT(lab_count_replies(h, DEV, second), 1, "answered once");
    lab_wait_idle(h, DEV, first);
    lab_wait_idle(h, DEV, second);
    check_nothing_left(h);
    check_no_violations(h);
}

/* The daemon dies while an answer streams; the agent goes on, the new daemon in the same
 * message. */
static void a_killed_daemon_goes_on_in_the_same_message(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, REPLY_NOTED);
    daemon_kill(h);
    daemon_start(h);
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"go\"");
    CHECK_INT(strstr(text, "The gate is closed.") == text, 1, "from its beginning");
    CHECK_INT(strstr(text + 1, "The gate is closed.") == NULL, 1, "nothing twice");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, ALICE, DEV, thread, "and?");
    lab_wait_reply(h, DEV, thread, "(1) \"go\". Now you ask: \"and?\"");
    check_no_violations(h);
}

static void a_run_that_ended_meanwhile_is_delivered(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, REPLY_NOTED);
    daemon_kill(h);
    open_gate(h);
    check_nothing_left(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"go\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    lab_wait_idle(h, DEV, thread);
    check_no_violations(h);
}

static void unanswered_events_come_again_and_are_answered_once(void **state)
{
    struct harness *h = *state;
    const char *ts;

    daemon_start(h);
    daemon_kill(h);
    ts = lab_say(h, ALICE, DEV, NULL, "@threadkeeper while you were away");
    daemon_start(h);
    json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "ts", ts)));
    lab_wait_reply(h, DEV, ts, "while you were away");
    json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "ts", ts)));
    lab_wait_acked(h);
    lab_say(h, ALICE, DEV, ts, "still there?");
    lab_wait_reply(h, DEV, ts, "still there?");
    CHECK_INT(lab_count_replies(h, DEV, ts), 2, "one for each message");
}

SCENARIO_MAIN(SCENARIO(memory_survives_a_restart),
              SCENARIO(a_queue_is_worked_off_after_a_restart),
              SCENARIO(a_killed_daemon_goes_on_in_the_same_message),
              SCENARIO(a_run_that_ended_meanwhile_is_delivered),
              SCENARIO(unanswered_events_come_again_and_are_answered_once))
