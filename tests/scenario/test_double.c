/*
 * Every way in which an agent goes wrong, one after the other in one daemon with one worker:
 * what the person reads, and that nothing is left behind.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

#define FDS_ALLOWED 6 /* connections to Slack that are kept open for the next call */

struct trouble {
    const char *scenario;
    const char *says; /* part of the message that ends the turn */
    bool fails;       /* ... which is then a sentence with a Retry button */
    const char *because;
};

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;

    while (dir && readdir(dir)) /* NOLINT(concurrency-mt-unsafe): one thread */
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static size_t count_descriptors(struct harness *h)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_pid(h));
    return count_entries(path);
}

/* A failure is told once, an answer given once; never both as the last word, never twice. */
static void check_told_once(struct harness *h, const char *thread,
                            const struct trouble *trouble)
{
    json_auto_t *messages = lab_messages(h, DEV, thread);
    json_t *message;
    size_t index;
    int64_t warnings = 0;
    int64_t endings = 0;

    json_array_foreach(messages, index, message)
    {
        const char *text = json_string_value(json_object_get(message, "text"));

        if (!json_is_true(json_object_get(message, "is_app")))
            continue;
        warnings += strstr(text, ":warning:") != NULL;
        endings += strstr(text, trouble->says) != NULL;
    }
    CHECK_INT(warnings, trouble->fails, trouble->scenario);
    CHECK_INT(endings, 1, trouble->scenario);
}

static void play(struct harness *h, const struct trouble *trouble)
{
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(h));
    const char *thread;
    int64_t tries = 0;

    set_scenario(h, trouble->scenario);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper please");
    lab_wait_reply(h, DEV, thread, trouble->says);
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_told_once(h, thread, trouble);
    /* The slot is free and the turn before is over, or this would not be answered. */
    set_scenario(h, "ok");
    lab_say(h, BOB, BOB_DM, NULL, trouble->because);
    lab_wait_reply(h, BOB_DM, NULL, trouble->because);
    lab_wait_idle(h, BOB_DM, NULL);
    while (count_entries(runs) > 2)
        harness_wait_step(h, &tries, "a run's directory is still there");
}

static void set_short_limits(struct harness *h)
{
    bool slow = harness_limit_ms(1) > 1;

    harness_set(h, "agent", slow ? "first_output_timeout: 5s" : "first_output_timeout: 1s");
    harness_set(h, "agent", slow ? "idle_timeout: 5s" : "idle_timeout: 1s");
    harness_set(h, "agent", slow ? "timeout: 15s" : "timeout: 3s");
    harness_set(h, "agent", "kill_grace: 200ms");
    harness_set(h, "agent", "max_running: 1");
    harness_set(h, "agent", "max_output: 1MiB");
}

static void play_all(struct harness *h, const struct trouble *troubles, size_t count)
{
    size_t descriptors = 0;

    daemon_start(h);
    for (size_t i = 0; i < count; i++) {
        play(h, &troubles[i]);
        if (i == 0)
            descriptors = count_descriptors(h);
    }
    CHECK_INT(count_descriptors(h) <= descriptors + FDS_ALLOWED, 1, "no descriptor is lost");
    CHECK_INT(daemon_stop(h), 0, "the daemon is well after all of it");
    check_nothing_left(h);
    check_no_violations(h);
}

static void an_agent_that_cannot_start_is_told_in_a_sentence(void **state)
{
    static const struct trouble troubles[] = {
        { "auth", "not logged in", true, "no key" },
        { "badkey", "not logged in", true, "a key that is refused" },
        { "closestdin", "not logged in", true, "and stdin closed before" },
        { "trust", "not trusted", true, "untrusted workspace" },
        { "trust0", ":warning:", true, "the same, with exit 0 and no output" },
        { "trusthang", ":warning:", true, "the same, and stays" },
        { "badmodel", "configured model", true, "6 KB of model names stay in the log" },
        { "badflag", "how it was started", true, "an option that this build does not know" },
        { "limit", "usage limit", true, "usage limit" },
        { "limit init=1", "usage limit", true, "the same after some events" },
    };

    set_short_limits(*state);
    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void an_agent_that_fails_on_the_way_is_told_in_a_sentence(void **state)
{
    static const struct trouble troubles[] = {
        { "noresult1", "incomplete", true, "text, then an error" },
        { "noresult0", "incomplete", true, "text, then exit 0 without a result" },
        { "iserror", "reported an error", true, "a result that says it is an error" },
        { "empty0", "without finishing", true, "nothing at all" },
        { "crashmid", "crashed", true, "half a line, then a signal" },
        { "fastexit", ":warning:", true, "gone before anybody looked" },
        { "closeout", "incomplete", true, "closes its output and lives on" },
        { "exhausted times=9", "overloaded", true, "no capacity" },
    };

    set_short_limits(*state);
    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void an_agent_that_hangs_is_ended_and_told(void **state)
{
    static const struct trouble troubles[] = {
        { "hang0", "did not start answering", true, "nothing, ever" },
        { "hangmid", "went silent", true, "text, then silence" },
        { "chatter", "longer than it is allowed", true, "alive without a word" },
        { "igterm", ":warning:", true, "ignores SIGTERM" },
        { "stopped", ":warning:", true, "stops itself" },
        { "bgshell", ":warning:", true, "waits for a shell that stays" },
    };

    set_short_limits(*state);
    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void noise_around_a_good_answer_does_not_matter(void **state)
{
    static const struct trouble troubles[] = {
        { "hangend", "Now you ask", false, "never exits after its result" },
        { "garbage", "Now you ask", false, "banners and binary between the lines" },
        { "badutf8", "a\xef\xbf\xbd", false, "invalid UTF-8 becomes U+FFFD" },
        { "nul", "before", false, "a NUL" },
        { "crlf", "two", false, "CRLF" },
        { "bom", "Now you ask", false, "a byte order mark" },
        { "nonl", "No newline", false, "no newline at the end" },
        { "splitutf8", "caf\xc3\xa9", false, "a character cut by a pause" },
        { "slowdrip", "drip", false, "a byte at a time" },
        { "longline", "After the long line.", false, "40 MB in one line" },
        { "errflood bytes=4194304", "Now you ask", false, "floods stderr" },
        { "variants", "ha", false, "equal deltas, unknown events" },
    };

    harness_set(*state, "agent", "kill_grace: 300ms");
    harness_set(*state, "agent", "max_running: 1");
    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void whatever_it_does_with_its_prompt_and_its_children(void **state)
{
    static const struct trouble troubles[] = {
        { "nostdin", "Now you ask", false, "never reads stdin" },
        { "outfirst", "I have read the prompt.", false, "prints much before it reads" },
        { "orphan", "Now you ask", false, "leaves a child that holds stdout" },
        { "orphansid", "Now you ask", false, "leaves a daemon" },
        { "forkbomb-lite", "Now you ask", false, "leaves many" },
        { "race", "Now it works.", false, "two write one configuration" },
        { "flaky", "Now it works.", false, "no capacity for a moment" },
    };

    harness_set(*state, "agent", "kill_grace: 300ms");
    harness_set(*state, "agent", "max_running: 1");
    play_all(*state, troubles, ARRAY_LEN(troubles));
}

/* Stopped by the person, an agent that says 143 has not crashed. */
static void a_stopped_agent_is_stopped_whatever_it_exits_with(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "termclean");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper please");
    lab_wait_text(h, DEV, thread, "partial");
    lab_say(h, ALICE, DEV, thread, "!stop");
    lab_wait_reply(h, DEV, thread, "_Stopped._");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

static char *make_program(struct harness *h, const char *name, const char *text, mode_t mode)
{
    char *path = xasprintf("%s/%s", harness_dir(h), name);
    FILE *file = fopen(path, "we");

    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0)
        harness_fail(h, "cannot write %s", path);
    return path;
}

static void ask_of_program(struct harness *h, const char *program)
{
    AUTO_FREE char *line = xasprintf("command: [%s]", program);
    const char *thread;

    harness_set(h, "agent", line);
    daemon_reload(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper please");
    lab_wait_reply(h, DEV, thread, "could not be started");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, program);
    check_nothing_left(h);
}

static void a_command_that_cannot_be_executed_is_told(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *plain = make_program(h, "plain", "#!/bin/sh\n", 0600);
    AUTO_FREE char *binary = make_program(h, "binary", "\177ELF", 0700);
    AUTO_FREE char *stray = make_program(h, "stray", "#!/nowhere/interpreter\n", 0700);

    daemon_start(h);
    ask_of_program(h, "/nowhere/agent");
    ask_of_program(h, plain);
    ask_of_program(h, stray);
    ask_of_program(h, binary);         /* not handed to a shell */
    ask_of_program(h, harness_dir(h)); /* a directory */
    CHECK_INT(daemon_stop(h), 0, "the daemon is well after all of it");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(an_agent_that_cannot_start_is_told_in_a_sentence),
              SCENARIO(an_agent_that_fails_on_the_way_is_told_in_a_sentence),
              SCENARIO(an_agent_that_hangs_is_ended_and_told),
              SCENARIO(noise_around_a_good_answer_does_not_matter),
              SCENARIO(whatever_it_does_with_its_prompt_and_its_children),
              SCENARIO(a_stopped_agent_is_stopped_whatever_it_exits_with),
              SCENARIO(a_command_that_cannot_be_executed_is_told))
