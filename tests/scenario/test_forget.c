#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/harness_inside.h"
#include "tests/scenario/scenario.h"

#define SECRET "xylophone"

/* A file under `directory` that holds `bytes`, or NULL; the caller frees. */
static char *file_with_bytes(const char *directory, const char *bytes)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    char *found = NULL;

    while (dir && !found && (entry = readdir(dir)) != NULL) {
        AUTO_FREE char *path = xasprintf("%s/%s", directory, entry->d_name);
        struct buf content;

        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR) {
            found = file_with_bytes(path, bytes);
            continue;
        }
        buf_init(&content, (size_t)64 << 20);
        if (file_read(path, &content, NULL) == 0 &&
            memmem(buf_text(&content), content.len, bytes, strlen(bytes)))
            found = xstrdup(path);
        buf_deinit(&content);
    }
    if (dir)
        closedir(dir);
    return found;
}

static void check_no_bytes(struct harness *h, const char *bytes)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    char *path;

    while ((path = file_with_bytes(harness_state_dir(h), bytes)) != NULL) {
        if (clock_now_ms() > until)
            harness_fail(h, "%s still holds \"%s\"", path, bytes);
        free(path);
        harness_pause_ms(20);
    }
}

static void wait_bytes(struct harness *h, const char *bytes)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(h));
    char *path;

    while ((path = file_with_bytes(runs, bytes)) == NULL) {
        if (clock_now_ms() > until)
            harness_fail(h, "no run about \"%s\"", bytes);
        harness_pause_ms(20);
    }
    free(path);
}

static void check_bytes(struct harness *h, const char *bytes)
{
    AUTO_FREE char *path = file_with_bytes(harness_state_dir(h), bytes);

    if (!path)
        harness_fail(h, "no file holds \"%s\": the test proves nothing", bytes);
}

static void delete_message(struct harness *h, const char *channel, const char *ts)
{
    json_t *answer =
        lab_command(h, "delete_message", json_pack("{s:s, s:s}", "channel", channel, "ts", ts));

    json_decref(answer);
    lab_wait_acked(h);
}

static void a_conversation_is_forgotten_to_the_last_byte(void **state)
{
    struct harness *h = *state;
    const char *text;

    set_scenario(h, "ok");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "I play the " SECRET);
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask");
    lab_say(h, BOB, BOB_DM, NULL, "I play the flute");
    lab_wait_reply(h, BOB_DM, NULL, "Now you ask");
    check_bytes(h, SECRET);
    lab_say(h, ALICE, ALICE_DM, NULL, "!forget");
    text = lab_wait_reply(h, ALICE_DM, NULL, "Forgotten: ");
    CHECK_HOLDS(text, "1 conversation, 2 turns", "the receipt");
    check_no_bytes(h, SECRET);
    lab_say(h, ALICE, ALICE_DM, NULL, "what do I play?");
    lab_wait_reply(h, ALICE_DM, NULL, "You have not told me anything before");
    lab_say(h, BOB, BOB_DM, NULL, "what do I play?");
    lab_wait_reply(h, BOB_DM, NULL, "(1) \"I play the flute\"");
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "and now?");
    lab_wait_reply(h, ALICE_DM, NULL, "You have told me 1 thing before");
    check_no_violations(h);
}

static void a_person_is_forgotten_everywhere_and_others_are_not(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    set_scenario(h, "ok");
    harness_set(h, "memory", "scope: thread");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "my " SECRET " is red");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper the " SECRET " is out of tune");
    lab_wait_reply(h, DEV, thread, "Now you ask");
    lab_say(h, BOB, DEV, thread, "the drum is broken");
    lab_wait_reply(h, DEV, thread, "the drum is broken");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, ALICE, ALICE_DM, NULL, "!forget me");
    text = lab_wait_reply(h, ALICE_DM, NULL, "Forgotten: ");
    CHECK_HOLDS(text, "1 conversation, ", "the direct message");
    check_no_bytes(h, "is red"); /* what bob was answered stays, and repeats the other one */
    lab_say(h, BOB, DEV, thread, "what is broken?");
    lab_wait_reply(h, DEV, thread,
                   "You have told me 1 thing before: (1) \"the drum is broken\"");
    check_no_violations(h);
}

static void in_a_shared_conversation_only_an_admin_forgets_for_all(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "ok");
    harness_set(h, "memory", "scope: thread");
    harness_set(h, "access", "admins: [" BOB "]");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper alice says this");
    lab_wait_reply(h, DEV, thread, "Now you ask");
    lab_say(h, BOB, DEV, thread, "bob says that");
    lab_wait_reply(h, DEV, thread, "bob says that");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, ALICE, DEV, thread, "!forget");
    lab_wait_reply(h, DEV, thread, "Others share this conversation");
    lab_say(h, BOB, DEV, thread, "what was said?");
    lab_wait_reply(h, DEV, thread, "You have told me 1 thing before: (1) \"bob says that\"");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, BOB, DEV, thread, "!forget");
    lab_wait_reply(h, DEV, thread, "1 conversation");
    lab_say(h, ALICE, DEV, thread, "and now?");
    lab_wait_reply(h, DEV, thread,
                   "You have not told me anything before. Now you ask: "
                   "\"and now?\"");
    check_no_violations(h);
}

static void what_is_deleted_in_slack_is_forgotten(void **state)
{
    struct harness *h = *state;
    const char *ts;

    set_scenario(h, "ok");
    daemon_start(h);
    ts = lab_say(h, ALICE, ALICE_DM, NULL, "the password is " SECRET);
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask");
    lab_say(h, ALICE, ALICE_DM, NULL, "the sky is blue");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"the sky is blue\"");
    delete_message(h, ALICE_DM, ts);
    check_bytes(h, "the sky is blue");
    daemon_wait_log(h, "forgotten conversation=");
    lab_say(h, ALICE, ALICE_DM, NULL, "what do you know?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have told me 1 thing before: (1) \"the sky is blue\"");
    check_no_violations(h);
}

/* Slack leaves the root of a thread in place, as a tombstone. */
static void a_deleted_mention_is_forgotten_although_its_thread_stays(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "ok");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper the password is " SECRET);
    lab_wait_reply(h, DEV, thread, "Now you ask");
    lab_wait_idle(h, DEV, thread);
    check_bytes(h, SECRET);
    delete_message(h, DEV, thread);
    daemon_wait_log(h, "forgotten conversation=");
    check_no_bytes(h, SECRET);
    lab_say(h, ALICE, DEV, thread, "what do you know?");
    lab_wait_reply(h, DEV, thread,
                   "You have not told me anything before. Now you ask: "
                   "\"what do you know?\"");
    check_no_violations(h);
}

static void a_turn_that_runs_is_not_remembered(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "gate");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the " SECRET " first");
    lab_wait_text(h, ALICE_DM, NULL, "The gate is closed");
    lab_say(h, ALICE, ALICE_DM, NULL, "this waits for the " SECRET);
    lab_wait_acked(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "!forget");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "1 waiting message will not be answered. What I am still "
                   "answering here will not be remembered");
    open_gate(h);
    lab_wait_reply(h, ALICE_DM, NULL, "The gate is open.");
    check_no_bytes(h, SECRET);
    set_scenario(h, "ok");
    lab_say(h, ALICE, ALICE_DM, NULL, "what now?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have not told me anything before. Now you ask: "
                   "\"what now?\"");
    check_no_violations(h);
}

static void a_crash_does_not_bring_back_what_is_forgotten(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "gate");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the " SECRET " first");
    lab_wait_text(h, ALICE_DM, NULL, "The gate is closed");
    lab_say(h, ALICE, ALICE_DM, NULL, "!forget");
    lab_wait_reply(h, ALICE_DM, NULL, "will not be remembered");
    daemon_kill(h);
    open_gate(h);
    set_scenario(h, "ok");
    daemon_start(h);
    lab_wait_reply(h, ALICE_DM, NULL, "The gate is open.");
    check_no_bytes(h, SECRET);
    lab_say(h, ALICE, ALICE_DM, NULL, "what now?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have not told me anything before. Now you ask: "
                   "\"what now?\"");
    check_no_violations(h);
}

static void an_admin_forgets_beside_the_daemon_and_without_it(void **state)
{
    struct harness *h = *state;
    struct program program;

    set_scenario(h, "gate");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the " SECRET " first");
    lab_wait_text(h, ALICE_DM, NULL, "The gate is closed");
    program = run_threadkeeper(h, "", "memory", "forget", "--user", ALICE, "--yes", NULL);
    CHECK_INT(program.status, 0, program.err);
    open_gate(h);
    lab_wait_reply(h, ALICE_DM, NULL, "The gate is open.");
    check_no_bytes(h, SECRET); /* the worker has forgotten its turn */

    shut_gate(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the " SECRET " second");
    wait_bytes(h, SECRET);
    daemon_kill(h);
    program = run_threadkeeper(h, "", "memory", "forget", "--user", ALICE, "--yes", NULL);
    CHECK_INT(program.status, 0, program.err);
    check_no_bytes(h, SECRET);
    open_gate(h);
    set_scenario(h, "ok");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "what now?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have not told me anything before. Now you ask: "
                   "\"what now?\"");
    check_no_violations(h);
}

static void the_terminal_forgets_and_counts_too(void **state)
{
    struct harness *h = *state;
    struct program program;

    set_scenario(h, "ok");
    harness_write_config(h);
    program = run_threadkeeper(h, "I play the " SECRET "\n!stats\n", "chat", NULL);
    CHECK_HOLDS(program.out, "- 2 turns, ", "what is kept");
    check_bytes(h, SECRET);
    program = run_threadkeeper(h, "!forget\n!stats\n", "chat", NULL);
    CHECK_HOLDS(program.out, "Forgotten: 1 conversation, 2 turns", "the receipt");
    CHECK_HOLDS(program.out, "nothing is kept of it yet", "and it is gone");
    check_no_bytes(h, SECRET);
}

static void stats_tell_each_their_own_and_admins_all(void **state)
{
    struct harness *h = *state;
    const char *text;

    set_scenario(h, "ok");
    harness_set(h, "access", "admins: [" BOB "]");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "hello");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask");
    lab_say(h, ALICE, ALICE_DM, NULL, "hello again");
    lab_wait_reply(h, ALICE_DM, NULL, "\"hello again\"");
    daemon_wait_log(h, "context user=" ALICE " conversation=" ALICE_DM " messages=2");
    lab_say(h, ALICE, ALICE_DM, NULL, "!stats");
    text = lab_wait_reply(h, ALICE_DM, NULL, "This conversation");
    CHECK_HOLDS(text, "- 4 turns, ", "the conversation");
    CHECK_HOLDS(text, "- 1 conversation with 4 turns", "the person");
    CHECK_INT(strstr(text, "All of it") != NULL, false, "for admins only");
    lab_say(h, BOB, BOB_DM, NULL, "!stats");
    text = lab_wait_reply(h, BOB_DM, NULL, "All of it");
    CHECK_HOLDS(text, "nothing is kept of it yet", "bob has said nothing");
    CHECK_HOLDS(text, "- 2 questions, on average ", "contexts");
    CHECK_HOLDS(text, "- in RAM: 1 conversation", "the one at hand");
    daemon_wait_metric(h, "contexts_total", 2);
    CHECK_HOLDS(run_threadkeeper(h, "", "status", NULL).out, "2 questions with ",
                "the same, by status");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_conversation_is_forgotten_to_the_last_byte),
              SCENARIO(a_person_is_forgotten_everywhere_and_others_are_not),
              SCENARIO(in_a_shared_conversation_only_an_admin_forgets_for_all),
              SCENARIO(what_is_deleted_in_slack_is_forgotten),
              SCENARIO(a_deleted_mention_is_forgotten_although_its_thread_stays),
              SCENARIO(a_turn_that_runs_is_not_remembered),
              SCENARIO(a_crash_does_not_bring_back_what_is_forgotten),
              SCENARIO(an_admin_forgets_beside_the_daemon_and_without_it),
              SCENARIO(the_terminal_forgets_and_counts_too),
              SCENARIO(stats_tell_each_their_own_and_admins_all))
