/* What a newer message does while its conversation is being answered: agent.busy. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

#define SEAM        "taken in from here"
#define INTERRUPTED "_Interrupted by your newer message._"
#define REPLY_NOTED "reply noted message=" /* see test_restart.c */
#define SHOWN       "The gate is closed."

static size_t count_parts(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + strlen(part), part))
        count++;
    return count;
}

/* A turn held open at its gate; the thread. */
static const char *begin_turn(struct harness *h, const char *busy, const char *text)
{
    AUTO_FREE char *line = xasprintf("busy: %s", busy);
    const char *thread;

    harness_set(h, "agent", line);
    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, text);
    lab_wait_text(h, DEV, thread, SHOWN);
    daemon_wait_log(h, REPLY_NOTED);
    return thread;
}

static void end_turn(struct harness *h, const char *thread)
{
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

/* The prompt of the run in which the text stands; there may be older ones. */
static void read_prompt(struct harness *h, const char *part, struct buf *out)
{
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(h));
    DIR *dir = opendir(runs);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        AUTO_FREE char *path = xasprintf("%s/%s/prompt", runs, entry->d_name);

        buf_clear(out);
        if (entry->d_name[0] != '.' && file_read(path, out, NULL) == 0 &&
            strstr(buf_text(out), part))
            break;
    }
    closedir(dir);
}

static void a_queued_message_waits_for_its_own_answer(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "queue", "@threadkeeper first words");
    const char *text;

    lab_say(h, ALICE, DEV, thread, "second words");
    lab_wait_acked(h);
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"first words\"");
    CHECK_INT(strstr(text, SEAM) == NULL, 1, "nobody steered");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"second words\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "an answer each");
    end_turn(h, thread);
}

static void a_steered_run_goes_on_in_the_same_message_with_both(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "steer", "@threadkeeper first words");
    const char *text;
    AUTO_BUF struct buf prompt = { 0 };

    lab_say(h, ALICE, DEV, thread, "second words");
    lab_wait_text(h, DEV, thread, SEAM);
    buf_init(&prompt, 1 << 20);
    read_prompt(h, "second words", &prompt);
    CHECK_HOLDS(buf_text(&prompt), "first words", "the old message as well");
    CHECK_HOLDS(buf_text(&prompt), SHOWN, "what was said so far");
    CHECK_INT(strstr(buf_text(&prompt), "changed files") == NULL, 1, "this mode changes none");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"first words\nsecond words\"");
    CHECK_INT(strncmp(text, SHOWN, strlen(SHOWN)), 0, "what was read stays");
    CHECK_INT(count_parts(text, SEAM), 1, "one seam");
    CHECK_INT(count_parts(text, "The gate is open."), 1, "one answer");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    end_turn(h, thread);
    lab_say(h, ALICE, DEV, thread, "third words");
    lab_wait_reply(h, DEV, thread, "(1) \"first words\" (2) \"second words\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "both were done with");
}

static void several_quick_messages_steer_once(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "steer", "@threadkeeper one");
    const char *text;

    lab_say(h, ALICE, DEV, thread, "two");
    lab_say(h, ALICE, DEV, thread, "three");
    lab_say(h, ALICE, DEV, thread, "four");
    lab_wait_text(h, DEV, thread, SEAM);
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"one\ntwo\nthree\nfour\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    CHECK_HOLDS(text, "messages are taken in", "all of them");
    end_turn(h, thread);
}

static void in_write_mode_the_steered_run_is_told_of_changed_files(void **state)
{
    struct harness *h = *state;
    const char *thread;
    AUTO_BUF struct buf prompt = { 0 };

    harness_set(h, "agent", "mode: write");
    thread = begin_turn(h, "steer", "@threadkeeper change it");
    lab_say(h, ALICE, DEV, thread, "no, that one");
    lab_wait_text(h, DEV, thread, SEAM);
    buf_init(&prompt, 1 << 20);
    read_prompt(h, "no, that one", &prompt);
    CHECK_HOLDS(buf_text(&prompt), "may have changed files already", "said in the prompt");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"change it\nno, that one\"");
    end_turn(h, thread);
}

static void an_interrupted_answer_says_so_and_the_newer_message_is_answered(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "interrupt", "@threadkeeper first words");
    const char *text;

    lab_say(h, ALICE, DEV, thread, "second words");
    text = lab_wait_reply(h, DEV, thread, INTERRUPTED);
    CHECK_HOLDS(text, SHOWN, "what was said stays");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"second words\"");
    CHECK_HOLDS(text, "(1) \"first words\"", "the first one is remembered");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "one end each");
    end_turn(h, thread);
}

/* What the guard held back when the run was ended belongs to the answer, too. */
static void an_interrupted_answer_is_remembered_to_its_last_word(void **state)
{
    static const char known[] = "gate is closed. 0123456789abcdef0123456789abcdef\n";
    struct harness *h = *state;
    AUTO_FREE char *path = xasprintf("%s/secrets.env", harness_dir(h));
    AUTO_FREE char *option = xasprintf("secret_files: [%s]", path);
    AUTO_BUF struct buf prompt = { 0 };
    const char *thread;

    assert_int_equal(file_write(path, known, strlen(known), 0600, NULL), 0);
    harness_set(h, "guard", option);
    harness_set(h, "agent", "busy: interrupt");
    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper first words");
    lab_wait_text(h, DEV, thread, "The");
    lab_say(h, ALICE, DEV, thread, "second words");
    CHECK_HOLDS(lab_wait_reply(h, DEV, thread, INTERRUPTED), SHOWN, "shown");
    daemon_wait_log(h, REPLY_NOTED "2"); /* the next one speaks */
    buf_init(&prompt, 1 << 20);
    read_prompt(h, "second words", &prompt);
    CHECK_HOLDS(buf_text(&prompt), SHOWN, "and remembered");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"second words\"");
    end_turn(h, thread);
}

/* In a shared conversation nobody ends another one's turn by talking. */
static void only_who_asked_steers(void **state)
{
    struct harness *h = *state;
    const char *thread;

    harness_set(h, "memory", "scope: thread");
    thread = begin_turn(h, "steer", "@threadkeeper alice asks");
    lab_say(h, BOB, DEV, thread, "bob has a word");
    lab_wait_acked(h);
    lab_say(h, ALICE, DEV, thread, "alice again");
    lab_wait_text(h, DEV, thread, SEAM);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"alice asks\nbob has a word\nalice again\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "in their order, together");
    end_turn(h, thread);
}

static void what_others_say_waits_in_a_shared_conversation(void **state)
{
    struct harness *h = *state;
    const char *thread;

    harness_set(h, "memory", "scope: thread");
    thread = begin_turn(h, "interrupt", "@threadkeeper alice asks");
    lab_say(h, BOB, DEV, thread, "bob has a word");
    lab_wait_acked(h);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"alice asks\"");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"bob has a word\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "an answer each");
    end_turn(h, thread);
}

/* The daemon dies at any moment of a steer: what it left says enough to do it again. */
static void a_killed_daemon_steers_again(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "steer", "@threadkeeper first words");
    const char *text;

    lab_say(h, ALICE, DEV, thread, "second words");
    daemon_wait_log(h, "ends for newer messages");
    daemon_kill(h);
    daemon_start(h);
    lab_wait_text(h, DEV, thread, SEAM);
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "second words\"");
    CHECK_HOLDS(text, "first words", "together");
    CHECK_INT(strncmp(text, SHOWN, strlen(SHOWN)), 0, "what was read stays");
    CHECK_INT(count_parts(text, SEAM), 1, "one seam");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    end_turn(h, thread);
}

static void a_killed_daemon_goes_on_with_a_steered_run(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "steer", "@threadkeeper first words");
    const char *text;

    lab_say(h, ALICE, DEV, thread, "second words");
    lab_wait_text(h, DEV, thread, SEAM);
    daemon_kill(h);
    daemon_start(h);
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"first words\nsecond words\"");
    CHECK_INT(strncmp(text, SHOWN, strlen(SHOWN)), 0, "what was read stays");
    CHECK_INT(count_parts(text, SEAM), 1, "one seam");
    CHECK_INT(count_parts(text, SHOWN), 2, "each run has said it once");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    end_turn(h, thread);
}

static void a_killed_daemon_interrupts_again(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "interrupt", "@threadkeeper first words");

    lab_say(h, ALICE, DEV, thread, "second words");
    daemon_wait_log(h, "ends for newer messages");
    daemon_kill(h);
    daemon_start(h);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "second words\"");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "one end each");
    end_turn(h, thread);
}

/* No run is to be had without a slot. */
static void what_was_said_is_called_incomplete_when_no_run_follows(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *slots = xasprintf("%s/slots", harness_state_dir(h));
    AUTO_FREE char *away = xasprintf("%s.away", slots);
    const char *thread = begin_turn(h, "steer", "@threadkeeper first words");
    const char *text;

    assert_int_equal(rename(slots, away), 0);
    assert_int_equal(file_write(slots, "", 0, 0600, NULL), 0);
    lab_say(h, ALICE, DEV, thread, "second words");
    text = lab_wait_reply(h, DEV, thread, "could not start");
    CHECK_HOLDS(text, "The answer above is incomplete.", "people have read it");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(unlink(slots), 0, "a file");
    CHECK_INT(rename(away, slots), 0, "back");
    end_turn(h, thread);
}

static void kill_runs(struct harness *h)
{
    pid_t pids[64];
    size_t count = harness_find_runs(h, pids, ARRAY_LEN(pids));

    for (size_t i = 0; i < count && i < ARRAY_LEN(pids); i++)
        kill(pids[i], SIGKILL);
}

/* It died by itself, whoever waits behind it: where it may write nobody does it again unasked.
 */
static void in_write_mode_a_run_that_died_is_not_steered(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    harness_set(h, "agent", "mode: write");
    thread = begin_turn(h, "queue", "@threadkeeper first words");
    lab_say(h, ALICE, DEV, thread, "second words");
    lab_wait_acked(h);
    daemon_kill(h);
    kill_runs(h);
    check_nothing_left(h);
    open_gate(h);
    harness_set(h, "agent", "busy: steer");
    daemon_start(h);
    text = lab_wait_reply(h, DEV, thread, "The answer above is incomplete.");
    CHECK_INT(strstr(text, SEAM) == NULL, 1, "it failed, and says so");
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"second words\"");
    CHECK_INT(strstr(text, "first words") == NULL, 1, "nor does the next one do it");
    end_turn(h, thread);
}

static void a_stop_wins_over_a_newer_message(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "steer", "@threadkeeper first words");

    lab_say(h, ALICE, DEV, thread, "second words");
    lab_say(h, ALICE, DEV, thread, "!stop");
    lab_wait_reply(h, DEV, thread, "_Stopped._");
    lab_wait_idle(h, DEV, thread);
    open_gate(h);
    set_scenario(h, "ok");
    lab_say(h, ALICE, DEV, thread, "third words");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"third words\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 3, "the stopped one, Stopping, the third");
    end_turn(h, thread);
}

static void the_mode_changes_with_a_reload(void **state)
{
    struct harness *h = *state;
    const char *thread = begin_turn(h, "queue", "@threadkeeper first words");

    lab_say(h, ALICE, DEV, thread, "second words");
    lab_wait_acked(h);
    harness_set(h, "agent", "busy: steer");
    daemon_reload(h);
    lab_wait_text(h, DEV, thread, SEAM);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"first words\nsecond words\"");
    end_turn(h, thread);
}

/* Flat: there is no stream, the message is edited. */
static void a_flat_answer_is_steered_in_the_same_message(void **state)
{
    struct harness *h = *state;
    const char *text;

    harness_set(h, "agent", "busy: steer");
    set_scenario(h, "gate");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "first words");
    lab_wait_text(h, ALICE_DM, NULL, SHOWN);
    lab_say(h, ALICE, ALICE_DM, NULL, "second words");
    lab_wait_text(h, ALICE_DM, NULL, SEAM);
    open_gate(h);
    text = lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"first words\nsecond words\"");
    CHECK_INT(count_parts(text, SEAM), 1, "one seam");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 1, "one message");
    check_nothing_left(h);
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_queued_message_waits_for_its_own_answer),
              SCENARIO(a_steered_run_goes_on_in_the_same_message_with_both),
              SCENARIO(several_quick_messages_steer_once),
              SCENARIO(in_write_mode_the_steered_run_is_told_of_changed_files),
              SCENARIO(an_interrupted_answer_says_so_and_the_newer_message_is_answered),
              SCENARIO(an_interrupted_answer_is_remembered_to_its_last_word),
              SCENARIO(only_who_asked_steers),
              SCENARIO(what_others_say_waits_in_a_shared_conversation),
              SCENARIO(a_killed_daemon_steers_again),
              SCENARIO(a_killed_daemon_goes_on_with_a_steered_run),
              SCENARIO(a_killed_daemon_interrupts_again),
              SCENARIO(what_was_said_is_called_incomplete_when_no_run_follows),
              SCENARIO(in_write_mode_a_run_that_died_is_not_steered),
              SCENARIO(a_stop_wins_over_a_newer_message),
              SCENARIO(the_mode_changes_with_a_reload),
              SCENARIO(a_flat_answer_is_steered_in_the_same_message))
