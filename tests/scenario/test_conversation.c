/* The shortest stories: a question, a follow-up, a stop, a restart. */
#include <stdlib.h>

#include "tests/scenario/scenario.h"

static void answers_a_direct_message(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "How do I build this?");
    lab_wait_reply(h, ALICE_DM, NULL, "How do I build this?");
    lab_wait_acked(h);
    check_nothing_left(h);
    CHECK_INT(daemon_stop(h), 0, "SIGTERM is a clean end");
    check_nothing_left(h);
    check_no_violations(h);
}

static void answers_a_mention_once_in_its_thread(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    const char *ts = lab_say(h, BOB, DEV, NULL, "@threadkeeper why is it red?");
    lab_wait_reply(h, DEV, ts, "why is it red?");
    lab_wait_acked(h);
    lab_wait_idle(h, DEV, ts);
    CHECK_INT(lab_count_replies(h, DEV, NULL), 1, "two events, one message, one answer");
    check_no_violations(h);
}

static void leaves_chatter_alone(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, BOB, DEV, NULL, "lunch?");
    const char *ts = lab_say(h, ALICE, DEV, NULL, "@threadkeeper the second one");
    lab_wait_reply(h, DEV, ts, "the second one");
    lab_wait_acked(h);
    CHECK_INT(lab_count_replies(h, DEV, NULL), 1, "only the mention is answered");
    check_no_violations(h);
}

static void answers_after_a_restart(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "first question");
    lab_wait_reply(h, ALICE_DM, NULL, "first question");
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "second question");
    lab_wait_reply(h, ALICE_DM, NULL, "second question");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(answers_a_direct_message),
              SCENARIO(answers_a_mention_once_in_its_thread), SCENARIO(leaves_chatter_alone),
              SCENARIO(answers_after_a_restart))
