#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
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

/* ---- answers that serve again -------------------------------------------------------------
 */

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void commit(struct harness *h, const char *id)
{
    AUTO_FREE char *directory = xasprintf("%s/.git", harness_workspace(h));
    AUTO_FREE char *path = xasprintf("%s/HEAD", directory);
    struct err err = { 0 };

    if (file_make_dirs(directory, 0700, &err) < 0 ||
        file_write(path, id, strlen(id), 0600, &err) < 0)
        harness_fail(h, "%s", err.message);
}

static const char *ask(struct harness *h, const char *user, const char *question)
{
    static const char answered[] = "turns_total{outcome=\"answered\"}";
    int64_t before = daemon_metric(h, answered);
    AUTO_FREE char *text = xasprintf("@threadkeeper %s", question);
    const char *thread = lab_say(h, user, DEV, NULL, text);
    const char *answer = lab_wait_reply(h, DEV, thread, "Now you ask");

    lab_wait_idle(h, DEV, thread);
    daemon_wait_metric(h, answered, before + 1); /* by when the answer is kept */
    return answer;
}

static void check_asked(struct harness *h, const char *user, const char *question, bool is_kept,
                        const char *because)
{
    CHECK_INT(strstr(ask(h, user, question), "when you asked the same") != NULL, is_kept,
              because);
}

static void the_same_question_is_answered_again_without_an_agent(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "ok");
    harness_set(h, "agent", "cache_ttl: 10m");
    daemon_start(h);
    check_asked(h, ALICE, "no commit?", false, "a workspace without a repository");
    check_asked(h, ALICE, "no commit?", false, "keeps nothing");
    commit(h, COMMIT_A);
    check_asked(h, ALICE, "which file?", false, "the first time");
    daemon_wait_metric(h, "answer_cache_total{result=\"miss\"}", 1);
    check_asked(h, ALICE, "which file?", true, "the same again");
    check_asked(h, ALICE, "which files?", false, "another one");
    check_asked(h, BOB, "which file?", false, "of another person");
    commit(h, COMMIT_B);
    check_asked(h, ALICE, "which file?", false, "after a commit");
    check_asked(h, ALICE, "which file?", true, "and again");
    daemon_wait_metric(h, "answer_cache_total{result=\"hit\"}", 2);
    check_nothing_left(h);
    check_no_violations(h);
}

static void a_kept_answer_is_remembered_and_forgotten_like_any(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "ok");
    harness_set(h, "agent", "cache_ttl: 10m");
    commit(h, COMMIT_A);
    daemon_start(h);
    ask(h, ALICE, "which file?");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper which file?");
    lab_wait_reply(h, DEV, thread, "when you asked the same");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, ALICE, DEV, thread, "and then?");
    lab_wait_reply(h, DEV, thread, "(1) \"which file?\". Now you ask: \"and then?\"");
    lab_say(h, ALICE, ALICE_DM, NULL, "!forget me");
    lab_wait_reply(h, ALICE_DM, NULL, "kept answer");
    check_asked(h, ALICE, "which file?", false, "nothing is kept any more");
    check_no_violations(h);
}

static void a_crash_while_it_is_shown_shows_it_once(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "ok");
    harness_set(h, "agent", "cache_ttl: 10m");
    commit(h, COMMIT_A);
    daemon_start(h);
    ask(h, ALICE, "which file?");
    lab_fault(h, "chat.postMessage", "drop_executed", 1);
    lab_fault(h, "conversations.replies", "http_503", -1); /* nor can it be looked for */
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper which file?");
    lab_wait_text(h, DEV, thread, "Now you ask");
    daemon_kill(h);
    json_decref(lab_command(h, "fault", json_pack("{s:b}", "clear", 1)));
    daemon_start(h);
    lab_wait_reply(h, DEV, thread, "when you asked the same");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "in the message that was there");
    lab_say(h, ALICE, DEV, thread, "and then?");
    lab_wait_reply(h, DEV, thread,
                   "You have told me 1 thing before: (1) \"which file?\". Now you ask: "
                   "\"and then?\"");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(who_asks_too_often_is_told_so_and_not_answered),
              SCENARIO(a_mention_counts_once_although_it_comes_twice),
              SCENARIO(admins_are_not_counted),
              SCENARIO(the_same_question_is_answered_again_without_an_agent),
              SCENARIO(a_kept_answer_is_remembered_and_forgotten_like_any),
              SCENARIO(a_crash_while_it_is_shown_shows_it_once))
