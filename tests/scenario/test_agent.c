#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

/* Each way an agent goes wrong, and what the person reads. */
struct trouble {
    const char *scenario;
    const char *sentence; /* part of the one message that ends the turn */
    const char *because;
};

static void ask_and_read(struct harness *h, const struct trouble *trouble)
{
    const char *thread;

    set_scenario(h, trouble->scenario);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper please");
    lab_wait_reply(h, DEV, thread, trouble->sentence);
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
}

static void set_short_limits(struct harness *h)
{
    bool slow = harness_limit_ms(1) > 1;

    harness_set(h, "agent", slow ? "first_output_timeout: 5s" : "first_output_timeout: 1s");
    harness_set(h, "agent", slow ? "idle_timeout: 5s" : "idle_timeout: 1s");
    harness_set(h, "agent", slow ? "timeout: 15s" : "timeout: 3s");
    harness_set(h, "agent", "kill_grace: 200ms");
    harness_set(h, "agent", "max_output: 1MiB");
}

static void play_all(struct harness *h, const struct trouble *troubles, size_t count)
{
    set_short_limits(h);
    daemon_start(h);
    for (size_t i = 0; i < count; i++)
        ask_and_read(h, &troubles[i]);
    CHECK_INT(daemon_stop(h), 0, "the daemon is well after all of it");
    check_nothing_left(h);
    check_no_violations(h);
}

static void an_agent_that_cannot_start_is_told_in_a_sentence(void **state)
{
    static const struct trouble troubles[] = {
        { "auth", "not logged in", "no key" },
        { "badkey", "not logged in", "a key that is refused" },
        { "trust", ":warning:", "untrusted workspace" },
        { "trust0", ":warning:", "the same, with exit 0 and no output" },
        { "badmodel", "model", "6 KB of model names stay in the log" },
        { "badflag", ":warning:", "an option that this build does not know" },
        { "limit", "limit", "usage limit" },
    };

    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void an_agent_that_fails_on_the_way_is_told_in_a_sentence(void **state)
{
    static const struct trouble troubles[] = {
        { "noresult1", "incomplete", "text, then an error" },
        { "noresult0", "incomplete", "text, then exit 0 without a result" },
        { "iserror", ":warning:", "a result that says it is an error" },
        { "empty0", ":warning:", "nothing at all" },
        { "crashmid", ":warning:", "half a line, then a signal" },
        { "fastexit", ":warning:", "gone before anybody looked" },
        { "closeout", ":warning:", "closes its output and lives on" },
    };

    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void an_agent_that_hangs_is_ended_and_told(void **state)
{
    static const struct trouble troubles[] = {
        { "hang0", ":warning:", "nothing, ever" },
        { "hangmid", "incomplete", "text, then silence" },
        { "chatter", ":warning:", "keeps the line alive without a word" },
        { "igterm", ":warning:", "ignores SIGTERM" },
        { "stopped", ":warning:", "stops itself" },
    };

    play_all(*state, troubles, ARRAY_LEN(troubles));
}

static void a_flood_is_cut_off_and_said_so(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_short_limits(h);
    set_scenario(h, "flood");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper flood us");
    for (size_t parts = 3; parts <= 9; parts += 3)
        lab_wait_replies(h, DEV, thread, parts);
    lab_wait_reply(h, DEV, thread, ":warning:");
    CHECK_INT(lab_count_replies(h, DEV, thread) < 20, 1, "a megabyte does not bury the thread");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

static void noise_around_a_good_answer_does_not_matter(void **state)
{
    static const struct trouble troubles[] = {
        { "hangend", "Now you ask", "never exits after its result" },
        { "garbage", "Now you ask", "banners and binary between the lines" },
        { "badutf8", "a\xef\xbf\xbd", "invalid UTF-8 becomes U+FFFD" },
        { "crlf", "two", "CRLF" },
        { "bom", "Now you ask", "a byte order mark" },
        { "nonl", "No newline", "no newline at the end" },
        { "splitutf8", "caf\xc3\xa9", "a character cut by a pause" },
        { "orphan", "Now you ask", "leaves a child that holds stdout" },
        { "orphansid", "Now you ask", "leaves a daemon" },
        { "errflood bytes=4194304", "Now you ask", "floods stderr" },
    };
    struct harness *h = *state;

    harness_set(h, "agent", "kill_grace: 300ms");
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(troubles); i++)
        ask_and_read(h, &troubles[i]);
    CHECK_INT(daemon_stop(h), 0, "the daemon is well after all of it");
    check_nothing_left(h);
    check_no_violations(h);
}

static void tools_show_while_it_works_and_a_refused_one_is_named(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    set_scenario(h, "tools");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look");
    text = lab_wait_reply(h, DEV, thread, "Not allowed here");
    CHECK_HOLDS(text, "First I look at the files.", "the first segment");
    CHECK_HOLDS(text, "Then I try a command.", "the second");
    CHECK_INT(strstr(text, "SECRET") == NULL, 1, "arguments of tools are never shown");
    CHECK_INT(strstr(text, "files.Then") == NULL, 1, "segments are set apart");
    lab_wait_idle(h, DEV, thread);
    check_no_violations(h);
}

static void a_long_answer_arrives_whole_and_pings_nobody(void **state)
{
    struct harness *h = *state;
    const char *thread;
    json_t *messages;
    json_t *message;
    size_t index;
    AUTO_BUF struct buf all = { 0 };

    set_scenario(h, "markup bytes=30000");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper write much");
    lab_wait_reply(h, DEV, thread, "Line 29992 "); /* its last */
    lab_wait_idle(h, DEV, thread);
    messages = lab_messages(h, DEV, thread);
    buf_init(&all, 1 << 20);
    json_array_foreach(messages, index, message)
    {
        if (json_is_true(json_object_get(message, "is_app")))
            buf_append_text(&all, json_string_value(json_object_get(message, "text")));
    }
    CHECK_HOLDS(buf_text(&all), "int main(void) { return 0; }", "code as it is");
    CHECK_INT(strstr(buf_text(&all), "<!channel>") == NULL, 1, "cannot notify the channel");
    CHECK_INT(strstr(buf_text(&all), "<!here>") == NULL, 1, "nor who is here");
    CHECK_INT(strstr(buf_text(&all), "<@U123>") == NULL, 1, "nor a person");
    CHECK_INT(all.len > 29000, 1, "no tail is lost");
    json_decref(messages);
    check_no_violations(h);
}

static void the_agent_gets_no_slack_token_and_no_prompt_in_its_arguments(void **state)
{
    struct harness *h = *state;
    AUTO_BUF struct buf record = { 0 };
    AUTO_FREE char *path = NULL;
    struct err err = { 0 };

    daemon_start(h);
    set_scenario(h, "ok");
    lab_say(h, ALICE, ALICE_DM, NULL, "a very private question");
    lab_wait_replies(h, ALICE_DM, NULL, 1);
    path = xasprintf("%s/fake-cursor-agent.log", harness_workspace(h));
    buf_init(&record, 1 << 20);
    if (file_read(path, &record, &err) < 0)
        harness_fail(h, "%s", err.message);
    CHECK_HOLDS(buf_text(&record), "--output-format",
                "the double wrote down how it was started");
    CHECK_INT(strstr(buf_text(&record), "xoxb-") == NULL, 1, "no bot token");
    CHECK_INT(strstr(buf_text(&record), "xapp-") == NULL, 1, "no app token");
    CHECK_INT(strstr(buf_text(&record), "SLACK_") == NULL, 1, "no such variable");
    CHECK_INT(strstr(buf_text(&record), "a very private question") == NULL, 1,
              "the prompt travels on stdin (recorded in base64)");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(an_agent_that_cannot_start_is_told_in_a_sentence),
              SCENARIO(an_agent_that_fails_on_the_way_is_told_in_a_sentence),
              SCENARIO(an_agent_that_hangs_is_ended_and_told),
              SCENARIO(a_flood_is_cut_off_and_said_so),
              SCENARIO(noise_around_a_good_answer_does_not_matter),
              SCENARIO(tools_show_while_it_works_and_a_refused_one_is_named),
              SCENARIO(a_long_answer_arrives_whole_and_pings_nobody),
              SCENARIO(the_agent_gets_no_slack_token_and_no_prompt_in_its_arguments))
