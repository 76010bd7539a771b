/* !usage and agent.spending. A run of the double takes some 14,300 tokens, 9,216 of its input
 * from the cache. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"

#define DAY_S 86400

/* What these tests add up belongs to one day. */
static void wait_for_midnight_to_pass(void)
{
    while (DAY_S - clock_wall_s() % DAY_S < 120)
        poll(NULL, 0, 1000);
}

/* Waits for the one answer to it. In direct messages each is a thread of its own here, for only
 * threads show when an answer is complete; "" begins one. */
static const char *ask_in(struct harness *h, const char *user, const char *channel,
                          const char *thread, const char *text)
{
    size_t before = *thread ? lab_count_replies(h, channel, thread) : 0;
    const char *ts = lab_say(h, user, channel, thread, text);

    if (!*thread)
        thread = ts;
    lab_wait_replies(h, channel, thread, before + 1);
    lab_wait_idle(h, channel, thread);
    return thread;
}

static const char *ask(struct harness *h, const char *user, const char *channel,
                       const char *text)
{
    return ask_in(h, user, channel, "", text);
}

static void start(struct harness *h)
{
    harness_set(h, "slack", "dm: threads");
    daemon_start(h);
}

static const char *last_text(struct harness *h, const char *channel)
{
    json_auto_t *messages = lab_messages(h, channel, NULL);
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    static char text[4096];

    snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(last, "text")));
    return text;
}

/* A run is counted once its turn is stored, which is a moment after its answer is there. */
static void wait_usage_in(struct harness *h, const char *user, const char *channel,
                          const char *thread, const char *part)
{
    int64_t until_ms = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    for (;;) {
        ask_in(h, user, channel, thread, "!usage");
        if (strstr(last_text(h, channel), part))
            return;
        if (clock_now_ms() > until_ms)
            harness_fail(h, "!usage does not say \"%s\": %s", part, last_text(h, channel));
    }
}

static void wait_usage(struct harness *h, const char *user, const char *channel,
                       const char *part)
{
    wait_usage_in(h, user, channel, "", part);
}

static void usage_shows_the_last_answer_and_the_day(void **state)
{
    struct harness *h = *state;
    const char *thread;

    wait_for_midnight_to_pass();
    harness_set(h, "agent", "model: gpt-5");
    start(h);
    ask(h, ALICE, ALICE_DM, "!usage");
    CHECK_HOLDS(last_text(h, ALICE_DM), "there is none yet", "before the first answer");
    CHECK_HOLDS(last_text(h, ALICE_DM), "- 0 runs", "nor today");
    ask(h, ALICE, ALICE_DM, "one");
    CHECK_INT(strstr(last_text(h, ALICE_DM), "cached") == NULL, 1, "off by default");
    ask(h, ALICE, ALICE_DM, "!usage on");
    thread = ask(h, ALICE, ALICE_DM, "two");
    CHECK_HOLDS(last_text(h, ALICE_DM), " % cached), ", "the line under the answer");
    CHECK_HOLDS(last_text(h, ALICE_DM), ", gpt-5_", "with the model");
    ask(h, BOB, BOB_DM, "three");
    CHECK_INT(strstr(last_text(h, BOB_DM), "cached") == NULL, 1, "each for themselves");
    wait_usage(h, ALICE, ALICE_DM, "- 2 runs: ");
    wait_usage(h, BOB, BOB_DM, "- 1 run: ");
    daemon_kill(h);
    start(h);
    wait_usage_in(h, ALICE, ALICE_DM, thread, "- 2 runs: ");
    CHECK_HOLDS(last_text(h, ALICE_DM), " % cached), ", "the last answer, after a restart");
    CHECK_HOLDS(last_text(h, ALICE_DM), ", gpt-5\n", "");
    CHECK_HOLDS(last_text(h, ALICE_DM), "- 2 runs: 2", "the day, after a restart");
    CHECK_HOLDS(last_text(h, ALICE_DM), "`!usage off`", "");
    ask(h, BOB, BOB_DM, "!usage");
    CHECK_HOLDS(last_text(h, BOB_DM), "- 1 run: 1", "his own day");
    ask(h, ALICE, ALICE_DM, "!usage off");
    ask(h, ALICE, ALICE_DM, "four");
    CHECK_INT(strstr(last_text(h, ALICE_DM), "cached") == NULL, 1, "off again");
    lab_say(h, ALICE, ALICE_DM, NULL, "!help");
    lab_wait_reply(h, ALICE_DM, NULL, "`!usage [on | off]`");
    check_no_violations(h);
}

static void who_has_used_up_the_day_is_refused_and_nobody_else(void **state)
{
    struct harness *h = *state;
    int64_t mark;

    wait_for_midnight_to_pass();
    harness_set(h, "agent",
                "spending: { user_day_tokens: 25000, warn_percent: 50, "
                "run_tokens: 14000 }");
    start(h);
    ask(h, ALICE, ALICE_DM, "one");
    CHECK_HOLDS(last_text(h, ALICE_DM),
                " of today's 25,000 tokens; they begin anew at midnight", "warned");
    CHECK_HOLDS(last_text(h, ALICE_DM), "more than the 14,000 that one should",
                "and told of the run");
    ask(h, ALICE, ALICE_DM, "two");
    CHECK_INT(strstr(last_text(h, ALICE_DM), "of today's") == NULL, 1, "warned once a day");
    wait_usage(h, ALICE, ALICE_DM, "so new questions are refused");
    mark = lab_mark(h);
    ask(h, ALICE, ALICE_DM, "three");
    CHECK_HOLDS(last_text(h, ALICE_DM), ":warning: Sorry, you have used 2", "refused");
    CHECK_HOLDS(last_text(h, ALICE_DM), "tokens today, and 25,000 is what", "with the limit");
    CHECK_HOLDS(last_text(h, ALICE_DM), "anew at midnight UTC, in ", "and when it ends");
    CHECK_INT(lab_count_calls(h, mark, "chat.postMessage"), 1, "once, and no run");
    daemon_wait_metric(h, "spending_refused_total", 1);
    daemon_kill(h);
    start(h);
    ask(h, ALICE, ALICE_DM, "!usage");
    CHECK_HOLDS(last_text(h, ALICE_DM), "so new questions are refused", "in !usage");
    ask(h, ALICE, ALICE_DM, "four");
    CHECK_HOLDS(last_text(h, ALICE_DM), ":warning: Sorry, you have used 2", "after a restart");
    ask(h, BOB, BOB_DM, "five");
    CHECK_HOLDS(last_text(h, BOB_DM), "Now you ask: \"five\"", "somebody else is answered");
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    check_nothing_left(h);
    check_no_violations(h);
}

static void the_running_turn_is_finished_and_admins_are_exempt(void **state)
{
    struct harness *h = *state;
    const char *thread;

    wait_for_midnight_to_pass();
    set_scenario(h, "gate");
    harness_set(h, "agent", "spending: { user_day_tokens: 1000 }");
    harness_set(h, "access", "admins: [U0BOB]");
    start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_text(h, DEV, thread, "The gate is closed.");
    set_scenario(h, "ok");
    ask(h, ALICE, ALICE_DM, "two"); /* the day is used up by this one */
    wait_usage(h, ALICE, ALICE_DM, "so new questions are refused");
    lab_say(h, ALICE, DEV, thread, "three");
    lab_wait_acked(h);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "The gate is open.");
    lab_wait_reply(h, DEV, thread, "Sorry, you have used");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "an answer and a refusal");
    ask(h, BOB, BOB_DM, "four");
    ask(h, BOB, BOB_DM, "five");
    CHECK_HOLDS(last_text(h, BOB_DM), "Now you ask: \"five\"", "an admin");
    ask(h, BOB, BOB_DM, "!usage");
    CHECK_HOLDS(last_text(h, BOB_DM), "no limit: you are one of my admins", "");
    check_no_violations(h);
}

/* What would have been refused does not slip in behind what was let in. */
static void a_newer_message_is_refused_like_any_other(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    wait_for_midnight_to_pass();
    set_scenario(h, "gate");
    harness_set(h, "agent", "spending: { user_day_tokens: 1000 }");
    harness_set(h, "agent", "busy: steer");
    start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_text(h, DEV, thread, "The gate is closed.");
    set_scenario(h, "ok");
    ask(h, ALICE, ALICE_DM, "two"); /* the day is used up by this one */
    wait_usage(h, ALICE, ALICE_DM, "so new questions are refused");
    set_scenario(h, "gate");
    lab_say(h, ALICE, DEV, thread, "three");
    lab_wait_reply(h, DEV, thread, "Sorry, you have used");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"one\"");
    CHECK_INT(strstr(text, "taken in from here") == NULL, 1, "nothing was taken in");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "an answer and a refusal");
    daemon_wait_metric(h, "spending_refused_total", 1);
    check_nothing_left(h);
    check_no_violations(h);
}

static void kept_answers_cost_nothing(void **state)
{
    static const char head[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct harness *h = *state;
    AUTO_FREE char *directory = xasprintf("%s/.git", harness_workspace(h));
    AUTO_FREE char *path = xasprintf("%s/HEAD", directory);
    struct err err = { 0 };
    const char *thread = "";

    wait_for_midnight_to_pass();
    if (file_make_dirs(directory, 0700, &err) < 0 ||
        file_write(path, head, strlen(head), 0600, &err) < 0)
        harness_fail(h, "%s", err.message);
    harness_set(h, "agent", "cache_ttl: 10m");
    start(h);
    for (int i = 0; i < 2; i++) {
        thread = ask(h, ALICE, ALICE_DM, "which file?");
        wait_usage(h, ALICE, ALICE_DM, "- 1 run: "); /* and its answer is kept by then */
    }
    lab_wait_reply(h, ALICE_DM, thread, "when you asked the same");
    wait_usage_in(h, ALICE, ALICE_DM, thread, "was kept from before and took nothing");
    daemon_wait_metric(h, "agent_tokens_total{kind=\"cache_read\"}", 9216);
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(usage_shows_the_last_answer_and_the_day),
              SCENARIO(who_has_used_up_the_day_is_refused_and_nobody_else),
              SCENARIO(the_running_turn_is_finished_and_admins_are_exempt),
              SCENARIO(a_newer_message_is_refused_like_any_other),
              SCENARIO(kept_answers_cost_nothing))
