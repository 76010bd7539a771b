#include <signal.h>
#include <stdio.h>
#include <string.h>

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

/* The log goes on over restarts. */
static void wait_until_taken_up(struct harness *h, int times)
{
    int64_t tries = 0;

    for (;;) {
        const char *at = daemon_log(h);
        int seen = 0;

        while ((at = strstr(at, "taken up again")) != NULL) {
            seen++;
            at++;
        }
        if (seen >= times)
            return;
        harness_wait_step(h, &tries, "the run is not taken up again");
    }
}

/* What kills every daemon that takes it up is told in the end instead of tried for ever. */
static void a_message_that_daemons_die_of_is_given_up(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, REPLY_NOTED);
    daemon_kill(h);
    for (int i = 1; i <= 2; i++) {
        daemon_start(h);
        wait_until_taken_up(h, i);
        daemon_kill(h);
    }
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, "I have stopped trying");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "in the same message");
    check_no_violations(h);
}

/* On purpose is not a death: it goes on however often. */
static void a_run_outlives_any_number_of_restarts(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, REPLY_NOTED);
    for (int i = 1; i <= 4; i++) {
        CHECK_INT(daemon_stop(h), 0, "a clean end");
        daemon_start(h);
        wait_until_taken_up(h, i);
    }
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"go\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    check_nothing_left(h);
    check_no_violations(h);
}

/* Where the agent may write nothing is done twice, unless it is certain that nothing was done.
 */
static void in_mode_write_a_run_that_is_gone_is_told(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(h));
    const char *thread;

    harness_set(h, "agent", "mode: write");
    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, REPLY_NOTED);
    daemon_kill(h);
    assert_int_equal(file_remove_tree(runs, NULL), 0);
    open_gate(h);
    check_nothing_left(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, "cannot tell how far it came");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "in the same message");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

/* The limits hold meanwhile, and the person learns which one it was. */
static void a_limit_that_passed_meanwhile_is_told(void **state)
{
    struct harness *h = *state;
    const char *thread;

    harness_set(h, "agent", "idle_timeout: 1s");
    harness_set(h, "agent", "kill_grace: 200ms");
    set_scenario(h, "igterm");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    daemon_wait_log(h, "started for user=");
    daemon_kill(h);
    check_nothing_left(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, ":warning:");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

static void what_passes_is_not_told_but_tried_again(void **state)
{
    static const struct {
        const char *scenario, *answer;
    } cases[] = { { "race times=2", "Now it works" }, { "flaky", "Now it works" } };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *thread;

        set_scenario(h, cases[i].scenario);
        thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
        lab_wait_reply(h, DEV, thread, cases[i].answer);
        CHECK_INT(lab_count_replies(h, DEV, thread), 1, "and no failure");
        lab_wait_idle(h, DEV, thread);
        check_nothing_left(h);
    }
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(memory_survives_a_restart),
              SCENARIO(a_queue_is_worked_off_after_a_restart),
              SCENARIO(a_killed_daemon_goes_on_in_the_same_message),
              SCENARIO(a_run_that_ended_meanwhile_is_delivered),
              SCENARIO(unanswered_events_come_again_and_are_answered_once),
              SCENARIO(a_message_that_daemons_die_of_is_given_up),
              SCENARIO(a_run_outlives_any_number_of_restarts),
              SCENARIO(in_mode_write_a_run_that_is_gone_is_told),
              SCENARIO(a_limit_that_passed_meanwhile_is_told),
              SCENARIO(what_passes_is_not_told_but_tried_again))
