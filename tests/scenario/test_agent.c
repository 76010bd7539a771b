#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

static void a_flood_is_cut_off_and_said_so(void **state)
{
    struct harness *h = *state;
    const char *thread;

    harness_set(h, "agent", "max_output: 1MiB");
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
    lab_wait_reply(h, ALICE_DM, NULL, "a very private question");
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

SCENARIO_MAIN(SCENARIO(a_flood_is_cut_off_and_said_so),
              SCENARIO(tools_show_while_it_works_and_a_refused_one_is_named),
              SCENARIO(a_long_answer_arrives_whole_and_pings_nobody),
              SCENARIO(the_agent_gets_no_slack_token_and_no_prompt_in_its_arguments))
