#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

#define THREADS 6
#define ROUNDS  4

static void a_follow_up_knows_what_was_said_before(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "We are building an auth system with JWT");
    lab_wait_reply(h, ALICE_DM, NULL, "You have not told me anything before");
    lab_say(h, ALICE, ALICE_DM, NULL, "How do refresh tokens fit in?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "(1) \"We are building an auth system with JWT\". Now you ask: \"How do");
    check_no_violations(h);
}

static void two_people_in_one_thread_are_kept_apart(void **state)
{
    struct harness *h = *state;
    const char *thread;

    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper the secret of Alice is 4711");
    lab_wait_reply(h, DEV, thread, "You have not told me anything before");
    lab_say(h, BOB, DEV, thread, "@threadkeeper what was said?");
    lab_wait_reply(h, DEV, thread,
                   "You have not told me anything before. Now you ask: \"what was said?\"");
    lab_say(h, ALICE, DEV, thread, "and what did I say?");
    lab_wait_reply(h, DEV, thread,
                   "(1) \"the secret of Alice is 4711\". Now you ask: \"and what");
    check_no_violations(h);
}

static void what_arrives_meanwhile_is_answered_together_and_in_order(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "gate");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "one");
    lab_wait_text(h, ALICE_DM, NULL, "The gate is closed");
    lab_say(h, ALICE, ALICE_DM, NULL, "two");
    lab_say(h, ALICE, ALICE_DM, NULL, "three");
    lab_wait_acked(h);
    open_gate(h);
    lab_wait_reply(h, ALICE_DM, NULL, "You have told me 1 thing before");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 2, "two and three share an answer");
    set_scenario(h, "ok");
    lab_say(h, ALICE, ALICE_DM, NULL, "all?");
    lab_wait_reply(h, ALICE_DM, NULL, "(1) \"one\" (2) \"two\" (3) \"three\"");
    check_no_violations(h);
}

static void order_holds_in_every_thread_under_parallel_load(void **state)
{
    struct harness *h = *state;
    const char *threads[THREADS];
    AUTO_BUF struct buf want = { 0 };

    daemon_start(h);
    for (int i = 0; i < THREADS; i++)
        threads[i] = lab_say(h, i % 2 ? ALICE : BOB, GENERAL, NULL, "@threadkeeper word0");
    for (int round = 1; round < ROUNDS; round++) {
        AUTO_FREE char *word = xasprintf("word%d", round);

        for (int i = 0; i < THREADS; i++)
            lab_say(h, i % 2 ? ALICE : BOB, GENERAL, threads[i], word);
    }
    lab_wait_acked(h);
    buf_init(&want, 4096);
    for (int round = 0; round < ROUNDS; round++)
        buf_printf(&want, "%s(%d) \"word%d\"", round ? " " : "", round + 1, round);
    for (int i = 0; i < THREADS; i++) {
        lab_wait_text(h, GENERAL, threads[i], "word3");
        lab_wait_idle(h, GENERAL, threads[i]);
        lab_say(h, i % 2 ? ALICE : BOB, GENERAL, threads[i], "and so?");
    }
    for (int i = 0; i < THREADS; i++)
        lab_wait_reply(h, GENERAL, threads[i], buf_text(&want));
    check_no_violations(h);
}

static void a_thread_under_a_direct_message_starts_with_what_was_said_there(void **state)
{
    struct harness *h = *state;
    const char *second;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "first");
    lab_wait_replies(h, ALICE_DM, NULL, 1);
    second = lab_say(h, ALICE, ALICE_DM, NULL, "second");
    lab_wait_replies(h, ALICE_DM, NULL, 2);
    lab_say(h, ALICE, ALICE_DM, NULL, "third");
    lab_wait_replies(h, ALICE_DM, NULL, 3);
    lab_say(h, ALICE, ALICE_DM, second, "in a thread");
    lab_wait_reply(h, ALICE_DM, second,
                   "(1) \"first\" (2) \"second\". Now you ask: \"in a thread\"");
    check_no_violations(h);
}

static void it_stays_out_of_what_is_not_for_it(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *other;

    daemon_start(h);
    lab_say(h, ALICE, DEV, NULL, "lunch?");
    other = lab_say(h, BOB, DEV, NULL, "our own thread");
    lab_say(h, ALICE, DEV, other, "nothing for a bot");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");
    lab_wait_replies(h, DEV, thread, 1);
    lab_say(h, ALICE, DEV, thread, "<@U0BOB> look at this");
    lab_wait_acked(h);
    lab_say(h, ALICE, DEV, thread, "and you?");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"and you?\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "not to what was said to Bob");
    CHECK_INT(lab_count_replies(h, DEV, other), 0, "never asked");
    check_no_violations(h);
}

static void new_starts_afresh(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the old days");
    lab_wait_replies(h, ALICE_DM, NULL, 1);
    lab_say(h, ALICE, ALICE_DM, NULL, "!new");
    lab_wait_reply(h, ALICE_DM, NULL, "A fresh start");
    lab_say(h, ALICE, ALICE_DM, NULL, "what now?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have not told me anything before. Now you ask: \"what now?\"");
    check_no_violations(h);
}

static void guests_and_listed_people_are_refused(void **state)
{
    struct harness *h = *state;

    harness_set(h, "access", "deny_users: [U0BOB]");
    daemon_start(h);
    lab_say(h, BOB, DEV, NULL, "@threadkeeper hello");
    lab_wait_reply(h, DEV, NULL, "Sorry, you are on the list of people I do not answer");
    lab_say(h, GUEST, GENERAL, NULL, "@threadkeeper hello");
    lab_wait_reply(h, GENERAL, NULL, "Sorry, I answer full members of this workspace only");
    lab_say(h, BOB, DEV, NULL, "@threadkeeper hello again");
    lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello from Alice");
    lab_wait_reply(h, DEV, NULL, "hello from Alice");
    CHECK_INT(lab_count_replies(h, DEV, NULL), 2, "Bob is told once, not each time");
    check_no_violations(h);
}

static void an_old_fact_comes_back_when_it_is_asked_for(void **state)
{
    struct harness *h = *state;
    const char *reply;

    harness_set(h, "memory", "context: { summarizer: off }");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the staging database listens on port 6543");
    lab_wait_reply(h, ALICE_DM, NULL, "You have not told me anything before");
    for (int i = 0; i < 7; i++) {
        AUTO_FREE char *text = xasprintf("thing %d: lunch, the weather, the weekend, and all "
                                         "that people talk about in between",
                                         i);
        AUTO_FREE char *want = xasprintf("Now you ask: \"thing %d", i);

        lab_say(h, ALICE, ALICE_DM, NULL, text);
        lab_wait_reply(h, ALICE_DM, NULL, want);
    }
    lab_say(h, ALICE, ALICE_DM, NULL, "which port has the staging database?");
    reply = lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"which port");
    CHECK_HOLDS(reply, "(1) \"the staging database listens on port 6543\"", "recalled");
    CHECK_INT(strstr(reply, "You have told me 8 things") == NULL, 1, "but not all of it");
    check_no_violations(h);
}

static void other_conversations_are_recalled_in_private_only(void **state)
{
    struct harness *h = *state;
    const char *thread;

    harness_set(h, "memory", "recall_scope: user");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "my salary review is on Thursday");
    lab_wait_reply(h, ALICE_DM, NULL, "You have not told me anything before");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper the mirror is at 10.0.0.7");
    lab_wait_reply(h, DEV, thread, "You have not told me anything before");
    daemon_wait_metric(h, "turns_total{outcome=\"answered\"}", 2); /* and remembered */
    lab_say(h, ALICE, ALICE_DM, NULL, "where is the mirror?");
    lab_wait_reply(h, ALICE_DM, NULL, "\"the mirror is at 10.0.0.7\"");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper when is my salary review?");
    lab_wait_reply(h, DEV, thread,
                   "You have not told me anything before. Now you ask: \"when is my salary");
    lab_say(h, BOB, BOB_DM, NULL, "when is the salary review of Alice?");
    lab_wait_reply(h, BOB_DM, NULL, "You have not told me anything before");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_follow_up_knows_what_was_said_before),
              SCENARIO(two_people_in_one_thread_are_kept_apart),
              SCENARIO(what_arrives_meanwhile_is_answered_together_and_in_order),
              SCENARIO(order_holds_in_every_thread_under_parallel_load),
              SCENARIO(a_thread_under_a_direct_message_starts_with_what_was_said_there),
              SCENARIO(it_stays_out_of_what_is_not_for_it), SCENARIO(new_starts_afresh),
              SCENARIO(guests_and_listed_people_are_refused),
              SCENARIO(an_old_fact_comes_back_when_it_is_asked_for),
              SCENARIO(other_conversations_are_recalled_in_private_only))
