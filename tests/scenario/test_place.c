/* What those who wait are told: "2 ahead of you, about 4 min". */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/scenario/scenario.h"

#define SHOWN   "The gate is closed."
#define BUSY    "I am busy: "
#define POLL_MS 50

/* One worker, held at its gate by Bob in a thread of his; the thread. */
static const char *keep_busy(struct harness *h)
{
    const char *thread;

    harness_set(h, "agent", "max_running: 1");
    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, BOB, GENERAL, NULL, "@threadkeeper keep busy");
    lab_wait_text(h, GENERAL, thread, SHOWN);
    return thread;
}

static bool shows_status(struct harness *h, const char *channel, const char *thread,
                         const char *part)
{
    json_auto_t *answer = lab_command(h, "statuses", NULL);
    json_t *status;
    size_t i;

    json_array_foreach(json_object_get(answer, "statuses"), i, status)
    {
        const char *in = json_string_value(json_object_get(status, "channel"));
        const char *under = json_string_value(json_object_get(status, "thread_ts"));
        const char *text = json_string_value(json_object_get(status, "status"));

        if (strcmp(in, channel) == 0 && strcmp(under, thread) == 0 && strstr(text, part))
            return true;
    }
    return false;
}

static void wait_status(struct harness *h, const char *channel, const char *thread,
                        const char *part)
{
    int64_t until_ms = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (!shows_status(h, channel, thread, part)) {
        if (clock_now_ms() > until_ms)
            harness_fail(h, "no status in %s %s says: %s", channel, thread, part);
        poll(NULL, 0, POLL_MS);
    }
}

static void wait_no_message(struct harness *h, const char *channel, const char *part)
{
    int64_t until_ms = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    for (;;) {
        json_auto_t *messages = lab_messages(h, channel, NULL);
        AUTO_FREE char *text = json_dumps(messages, JSON_COMPACT);

        if (!strstr(text, part))
            return;
        if (clock_now_ms() > until_ms)
            harness_fail(h, "%s still says: %s", channel, part);
        poll(NULL, 0, POLL_MS);
    }
}

static void a_thread_shows_the_place_and_then_the_answer(void **state)
{
    struct harness *h = *state;
    const char *busy = keep_busy(h);
    const char *first = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    const char *second = lab_say(h, ALICE, GENERAL, NULL, "@threadkeeper two");

    wait_status(h, DEV, first, "is busy: you are next, no estimate yet");
    wait_status(h, GENERAL, second, "is busy: 1 ahead of you, no estimate yet");
    CHECK_INT(lab_count_replies(h, DEV, first), 0, "a status is no message");
    lab_say(h, BOB, GENERAL, busy, "!stop");
    lab_wait_text(h, DEV, first, SHOWN);
    wait_status(h, GENERAL, second, "is busy: you are next, less than a minute");
    CHECK_INT(shows_status(h, DEV, first, "is busy"), 0, "its turn has begun");
    open_gate(h);
    lab_wait_reply(h, DEV, first, "Now you ask: \"one\"");
    lab_wait_reply(h, GENERAL, second, "Now you ask: \"two\"");
    lab_wait_idle(h, DEV, first);
    lab_wait_idle(h, GENERAL, second);
    CHECK_INT(lab_count_replies(h, DEV, first), 1, "the answer alone");
    CHECK_INT(lab_count_replies(h, GENERAL, second), 1, "the answer alone");
    check_no_violations(h);
}

static void outside_a_thread_a_message_becomes_the_answer(void **state)
{
    struct harness *h = *state;
    const char *text;

    keep_busy(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "one");
    lab_wait_reply(h, ALICE_DM, NULL, BUSY "you are next, no estimate yet");
    lab_say(h, ALICE, ALICE_DM, NULL, "!status");
    lab_wait_reply(h, ALICE_DM, NULL, "your waiting message: you are next, no estimate yet");
    open_gate(h);
    text = lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"one\"");
    CHECK_INT(strstr(text, BUSY) == NULL, 1, "nothing of it is left");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 2, "the status and the answer");
    check_no_violations(h);
}

static void what_is_stopped_leaves_nothing(void **state)
{
    struct harness *h = *state;
    const char *thread;

    keep_busy(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_say(h, ALICE, ALICE_DM, NULL, "one");
    wait_status(h, DEV, thread, "is busy");
    lab_wait_reply(h, ALICE_DM, NULL, BUSY);
    lab_say(h, ALICE, ALICE_DM, NULL, "!stop");
    lab_wait_reply(h, ALICE_DM, NULL, "Dropped 1 waiting message.");
    lab_say(h, ALICE, DEV, thread, "!stop");
    lab_wait_reply(h, DEV, thread, "Dropped 1 waiting message.");
    wait_no_message(h, ALICE_DM, BUSY);
    lab_wait_idle(h, DEV, thread);
    open_gate(h);
    check_no_violations(h);
}

static void a_restart_goes_on_with_what_was_shown(void **state)
{
    static const struct {
        bool is_killed;
    } cases[] = { { true }, { false } };
    struct harness *h = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *question = xasprintf("question %zu", i);
        const char *text;

        if (i)
            shut_gate(h);
        keep_busy(h);
        lab_say(h, ALICE, ALICE_DM, NULL, question);
        lab_wait_reply(h, ALICE_DM, NULL, BUSY);
        if (cases[i].is_killed)
            daemon_kill(h);
        else
            CHECK_INT(daemon_stop(h), 0, "a clean end");
        daemon_start(h);
        daemon_wait_log(h, "taken up again");
        open_gate(h);
        text = lab_wait_reply(h, ALICE_DM, NULL, question);
        CHECK_INT(strstr(text, BUSY) == NULL, 1, "nothing of it is left");
        CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), (int64_t)i + 1, "one message each");
        wait_no_message(h, ALICE_DM, BUSY);
        CHECK_INT(daemon_stop(h), 0, "a clean end");
    }
    check_no_violations(h);
}

static void without_a_status_line_it_is_a_message_in_the_thread(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    keep_busy(h);
    json_decref(
        lab_command(h, "fault",
                    json_pack("{s:s, s:s, s:i}", "method", "assistant.threads.setStatus",
                              "kind", "error:feature_not_enabled", "count", -1)));
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_reply(h, DEV, thread, BUSY "you are next");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"one\"");
    CHECK_INT(strstr(text, BUSY) == NULL, 1, "nothing of it is left");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "the answer alone");
    check_no_violations(h);
}

/* Two conversations in one thread have one status line between them. */
static void who_waits_in_a_thread_that_is_answered_gets_a_message(void **state)
{
    struct harness *h = *state;
    const char *thread = keep_busy(h);
    const char *text;

    lab_say(h, ALICE, GENERAL, thread, "@threadkeeper mine too");
    lab_wait_reply(h, GENERAL, thread, BUSY "you are next");
    open_gate(h);
    text = lab_wait_reply(h, GENERAL, thread, "Now you ask: \"mine too\"");
    CHECK_INT(strstr(text, BUSY) == NULL, 1, "nothing of it is left");
    lab_wait_idle(h, GENERAL, thread);
    CHECK_INT(lab_count_replies(h, GENERAL, thread), 2, "an answer each");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_thread_shows_the_place_and_then_the_answer),
              SCENARIO(outside_a_thread_a_message_becomes_the_answer),
              SCENARIO(what_is_stopped_leaves_nothing),
              SCENARIO(a_restart_goes_on_with_what_was_shown),
              SCENARIO(without_a_status_line_it_is_a_message_in_the_thread),
              SCENARIO(who_waits_in_a_thread_that_is_answered_gets_a_message))
