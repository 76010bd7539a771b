#include <stdio.h>

#include "base/clock.h"
#include "tests/scenario/scenario.h"

static void who_asks_too_often_is_told_so_and_not_answered(void **state)
{
    struct harness *h = *state;
    const char *text;

    set_scenario(h, "ok");
    harness_set(h, "access", "rate_limit: { requests: 2, window: 1h }");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "one");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"one\"");
    lab_say(h, ALICE, ALICE_DM, NULL, "!help");
    lab_wait_reply(h, ALICE_DM, NULL, "!status");
    lab_say(h, ALICE, ALICE_DM, NULL, "two");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"two\"");
    lab_say(h, ALICE, ALICE_DM, NULL, "three");
    text = lab_wait_reply(h, ALICE_DM, NULL, "message number 3 within 1 h");
    CHECK_HOLDS(text, "I take 2 from one person", "the limit is named");
    CHECK_HOLDS(text, "send it again in", "and when to try again");
    lab_say(h, BOB, BOB_DM, NULL, "hello");
    lab_wait_reply(h, BOB_DM, NULL, "Now you ask: \"hello\"");
    daemon_wait_metric(h, "rate_limited_total", 1);

    /* A restart begins a new window; what was refused stays unanswered. */
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "four");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have told me 2 things before: (1) \"one\" (2) \"two\". Now you ask: "
                   "\"four\"");
    check_no_violations(h);
}

static bool is_ephemeral(const json_t *entry, const void *context)
{
    (void)context;
    return strcmp(json_string_value(json_object_get(entry, "method")), "chat.postEphemeral") ==
           0;
}

static void a_mention_counts_once_although_it_comes_twice(void **state)
{
    struct harness *h = *state;
    int64_t mark;
    json_t *call;

    set_scenario(h, "ok");
    harness_set(h, "access", "rate_limit: { requests: 2, window: 1h }");
    daemon_start(h);
    for (int i = 0; i < 2; i++) {
        /* Each comes as app_mention and as message. */
        const char *ts = lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");

        lab_wait_reply(h, DEV, ts, "Now you ask");
    }
    mark = lab_mark(h);
    lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");
    call = lab_wait_log(h, mark, "api", is_ephemeral, NULL);
    json_decref(call);
    check_no_violations(h);
}

static void admins_are_not_counted(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "ok");
    harness_set(h, "access", "rate_limit: { requests: 1, window: 1h }");
    harness_set(h, "access", "admins: [" ALICE "]");
    daemon_start(h);
    for (int i = 0; i < 3; i++) {
        const char *ts = lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");

        lab_wait_reply(h, DEV, ts, "Now you ask");
    }
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(who_asks_too_often_is_told_so_and_not_answered),
              SCENARIO(a_mention_counts_once_although_it_comes_twice),
              SCENARIO(admins_are_not_counted))
