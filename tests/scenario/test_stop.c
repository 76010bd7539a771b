/* What must hold when the daemon is stopped, or Slack is away, at the wrong moment. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "tests/scenario/scenario.h"

#define STALL_MS    30000
#define STOP_MAX_MS 5000

static void wait_for_log(struct harness *h, const char *part)
{
    int64_t until_ms = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (!strstr(daemon_log(h), part)) {
        if (clock_now_ms() > until_ms)
            harness_fail(h, "the log does not say: %s", part);
        poll(NULL, 0, 20);
    }
}

static void stall(struct harness *h, const char *method)
{
    json_decref(lab_command(h, "fault",
                            json_pack("{s:s, s:s, s:i, s:i}", "method", method, "kind",
                                      "slow_ms", "ms", STALL_MS, "count", -1)));
}

static void heal(struct harness *h)
{
    json_decref(lab_command(h, "fault", json_pack("{s:b}", "clear", 1)));
}

static void ends_in_time_although_slack_stalls_and_delivers_later(void **state)
{
    struct harness *h = *state;
    const char *thread;
    int64_t before_ms;

    daemon_start(h);
    stall(h, "chat.postMessage"); /* so short an answer is not streamed */
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper the last words");
    wait_for_log(h, "ended: answered");
    before_ms = clock_now_ms();
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    CHECK_INT(clock_now_ms() - before_ms < harness_limit_ms(STOP_MAX_MS), 1,
              "not the half minute that the call takes");
    heal(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, "the last words");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "in the same message");
}

static void a_failure_is_told_once_slack_is_back(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "hang0");
    harness_set(h, "agent", "first_output_timeout: 300ms");
    harness_set(h, "agent", "kill_grace: 300ms");
    daemon_start(h);
    lab_fault(h, "chat.postMessage", "http_503", 6);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper try this");
    lab_wait_reply(h, DEV, thread, ":warning:");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "told once");
}

static void a_failure_is_not_hushed_up_by_a_stop(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "crashmid");
    daemon_start(h);
    stall(h, "chat.postMessage");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper try this");
    wait_for_log(h, "ended: failed");
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    heal(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, ":warning:");
    lab_wait_idle(h, DEV, thread);
}

static void a_command_at_the_desk_is_answered_by_the_next_daemon(void **state)
{
    static const struct {
        bool is_killed;
    } cases[] = { { true }, { false } };
    struct harness *h = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t before = lab_count_replies(h, ALICE_DM, NULL);

        daemon_start(h);
        stall(h, "chat.postMessage");
        lab_say(h, ALICE, ALICE_DM, NULL, "!status");
        lab_wait_acked(h);
        if (cases[i].is_killed)
            daemon_kill(h);
        else
            CHECK_INT(daemon_stop(h), 0, "a clean end");
        heal(h);
        daemon_start(h);
        lab_wait_replies(h, ALICE_DM, NULL, before + 1);
        lab_say(h, ALICE, ALICE_DM, NULL, "!help");
        lab_wait_replies(h, ALICE_DM, NULL, before + 2);
        CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), (int64_t)before + 2, "each once");
        CHECK_INT(daemon_stop(h), 0, "a clean end");
    }
}

static void guests_are_not_answered_in_the_company_of_members(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    set_scenario(h, "gate");
    harness_set(h, "memory", "scope: thread");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper keep busy");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    lab_say(h, BOB, DEV, thread, "the member asks");
    lab_wait_acked(h);
    lab_say(h, GUEST, DEV, thread, "the guest asks");
    lab_wait_acked(h);
    set_scenario(h, "ok");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "the member asks");
    CHECK_INT(strstr(text, "the guest asks") == NULL, 1, "not passed to the agent");
    lab_wait_idle(h, DEV, thread);
}

/* The ts of the bot's first message in the thread; the caller frees it. */
static char *ts_of_answer(struct harness *h, const char *channel, const char *thread)
{
    json_auto_t *messages = lab_messages(h, channel, thread);
    const char *ts = NULL;
    json_t *message;
    size_t index;

    json_array_foreach(messages, index, message)
    {
        if (!ts && json_is_true(json_object_get(message, "is_app")))
            ts = json_string_value(json_object_get(message, "ts"));
    }
    assert_non_null(ts);
    return xstrdup(ts);
}

static void who_asked_stops_by_a_reaction(void **state)
{
    static const struct {
        const char *name;
        bool on_answer;
    } cases[] = {
        { "octagonal_sign", false },
        { "octagonal_sign", true },
        { "stop_sign", false },
    };
    struct harness *h = *state;

    set_scenario(h, "gate");
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
        AUTO_FREE char *answer = NULL;

        lab_wait_text(h, DEV, thread, "The gate is closed");
        answer = ts_of_answer(h, DEV, thread);
        lab_react(h, ALICE, DEV, cases[i].on_answer ? answer : thread, cases[i].name);
        lab_wait_reply(h, DEV, thread, "_Stopped._");
        lab_wait_idle(h, DEV, thread);
        CHECK_INT(lab_count_replies(h, DEV, thread), 1, cases[i].name);
    }
    check_nothing_left(h);
    check_no_violations(h);
}

static void what_is_no_stop_sign_of_the_asker_stops_nothing(void **state)
{
    struct harness *h = *state;
    const char *thread;
    AUTO_FREE char *answer = NULL;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper go");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    answer = ts_of_answer(h, DEV, thread);
    lab_react(h, BOB, DEV, thread, "octagonal_sign");
    lab_react(h, BOB, DEV, answer, "octagonal_sign");
    lab_react(h, ALICE, DEV, thread, "thumbsup");
    json_decref(lab_command(h, "react",
                            json_pack("{s:s, s:s, s:s, s:s, s:b}", "user", BOB, "channel", DEV,
                                      "ts", thread, "name", "octagonal_sign", "remove", 1)));
    lab_wait_acked(h);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "The gate is open.");
    lab_wait_idle(h, DEV, thread);
    lab_react(h, ALICE, DEV, thread, "octagonal_sign"); /* too late: nothing runs */
    lab_wait_acked(h);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "answered");
    check_no_violations(h);
}

static void a_waiting_question_is_dropped_by_a_reaction(void **state)
{
    struct harness *h = *state;
    const char *running;
    const char *waits;

    set_scenario(h, "gate");
    harness_set(h, "agent", "max_running: 1");
    daemon_start(h);
    running = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_text(h, DEV, running, "The gate is closed");
    waits = lab_say(h, BOB, DEV, NULL, "@threadkeeper two");
    lab_wait_acked(h);
    lab_react(h, BOB, DEV, waits, "octagonal_sign");
    lab_wait_reply(h, DEV, waits, "Dropped"); /* for Bob's eyes only */
    open_gate(h);
    lab_wait_reply(h, DEV, running, "The gate is open.");
    lab_say(h, BOB, DEV, waits, "three");
    lab_wait_reply(h, DEV, waits, "Now you ask: \"three\"");
    CHECK_INT(lab_count_replies(h, DEV, waits), 2, "only what was said later is answered");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(who_asked_stops_by_a_reaction),
              SCENARIO(what_is_no_stop_sign_of_the_asker_stops_nothing),
              SCENARIO(a_waiting_question_is_dropped_by_a_reaction),
              SCENARIO(ends_in_time_although_slack_stalls_and_delivers_later),
              SCENARIO(a_failure_is_told_once_slack_is_back),
              SCENARIO(a_failure_is_not_hushed_up_by_a_stop),
              SCENARIO(a_command_at_the_desk_is_answered_by_the_next_daemon),
              SCENARIO(guests_are_not_answered_in_the_company_of_members))
