/* What people see while the agent works: cards, the status line, times. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "tests/scenario/scenario.h"

#define LIMIT_MS 40000 /* times are shown from 15 s on */
#define POLL_MS  50

/* A card of any message there whose title holds `title`: its status, "" when there is none. */
static void find_card(json_t *messages, const char *title, char status[16])
{
    size_t i, j;
    json_t *message, *chunk;

    status[0] = '\0';
    json_array_foreach(messages, i, message)
    {
        json_array_foreach(json_object_get(message, "chunks"), j, chunk)
        {
            const char *its = json_string_value(json_object_get(chunk, "title"));

            if (its && strstr(its, title))
                snprintf(status, 16, "%s", json_string_value(json_object_get(chunk, "status")));
        }
    }
}

static void wait_card(struct harness *h, const char *channel, const char *thread,
                      const char *title, const char *want)
{
    int64_t until_ms = clock_now_ms() + harness_limit_ms(LIMIT_MS);
    char status[16] = "";

    while (strcmp(status, want) != 0) {
        json_auto_t *messages = lab_messages(h, channel, thread);

        find_card(messages, title, status);
        if (clock_now_ms() > until_ms) {
            AUTO_FREE char *all = json_dumps(messages, JSON_INDENT(1));

            harness_fail(h, "no card \"%s\" is %s: %s", title, want, all);
        }
        poll(NULL, 0, POLL_MS);
    }
}

static size_t count_cards(struct harness *h, const char *channel, const char *thread,
                          const char *status)
{
    json_auto_t *messages = lab_messages(h, channel, thread);
    size_t i, j, count = 0;
    json_t *message, *chunk;

    json_array_foreach(messages, i, message)
    {
        json_array_foreach(json_object_get(message, "chunks"), j, chunk)
        {
            const char *its = json_string_value(json_object_get(chunk, "status"));

            count += !*status || (its && strcmp(its, status) == 0);
        }
    }
    return count;
}

static void wait_status(struct harness *h, const char *thread, const char *part)
{
    int64_t until_ms = clock_now_ms() + harness_limit_ms(LIMIT_MS);

    for (;;) {
        json_auto_t *answer = lab_command(h, "statuses", NULL);
        size_t i;
        json_t *status;

        json_array_foreach(json_object_get(answer, "statuses"), i, status)
        {
            const char *its = json_string_value(json_object_get(status, "status"));
            const char *where = json_string_value(json_object_get(status, "thread_ts"));

            if (its && where && strcmp(where, thread) == 0 && strstr(its, part))
                return;
        }
        if (clock_now_ms() > until_ms) {
            AUTO_FREE char *all = json_dumps(answer, JSON_INDENT(1));

            harness_fail(h, "no status \"%s\": %s", part, all);
        }
        poll(NULL, 0, POLL_MS);
    }
}

static void tools_are_cards_in_a_stream(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    set_scenario(h, "tools gate=1");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    lab_wait_text(h, DEV, thread, "First I look at the files.");
    wait_card(h, DEV, thread, "Reading auth.c", "in_progress");
    wait_card(h, DEV, thread, "Searching the files", "in_progress");
    open_gate(h);
    text =
        lab_wait_reply(h, DEV, thread, "Not allowed here, so left undone: Running a command.");
    CHECK_HOLDS(text, "Then I try a command.", "all of the text");
    CHECK_INT(strstr(text, "SECRET") == NULL, 1, "no argument of a tool is shown");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(count_cards(h, DEV, thread, "in_progress"), 0, "none is left running");
    wait_card(h, DEV, thread, "Reading auth.c", "complete");
    wait_card(h, DEV, thread, "Searching the files", "complete");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one answer");
    check_no_violations(h);
}

static void a_stopped_run_leaves_no_card_and_no_status(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "tools gate=1");
    harness_set(h, "agent", "kill_grace: 300ms");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    wait_card(h, DEV, thread, "Searching the files", "in_progress");
    lab_press_stop(h, DEV, thread);
    lab_wait_reply(h, DEV, thread, "_Stopped._");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(count_cards(h, DEV, thread, "in_progress"), 0, "none is left running");
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    check_nothing_left(h);
    check_no_violations(h);
}

static void before_any_text_the_status_names_the_tools(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "tools gate=1 silent=1");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    wait_status(h, thread, "is reading auth.c and searching the files");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Then I try a command.");
    lab_wait_idle(h, DEV, thread);
    check_no_violations(h);
}

/* What the failed attempt had begun is not what the next one does. */
static void an_attempt_that_is_made_again_begins_with_nothing(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "flaky tool=1 gate=1");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    daemon_wait_metric(h, "agent_repeats_total", 1);
    wait_status(h, thread, "is thinking");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now it works.");
    lab_wait_idle(h, DEV, thread);
    check_no_violations(h);
}

static void where_slack_takes_no_cards_the_status_line_does(void **state)
{
    struct harness *h = *state;
    const char *thread;

    lab_set(h, "cards", json_false());
    set_scenario(h, "tools gate=1");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    lab_wait_text(h, DEV, thread, "First I look at the files.");
    wait_status(h, thread, "is reading auth.c and searching the files");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Then I try a command.");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(count_cards(h, DEV, thread, ""), 0, "no card");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one answer");
}

static void an_edited_answer_ends_with_what_is_being_done(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;

    set_scenario(h, "tools gate=1");
    harness_set(h, "slack", "reply: edit");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    lab_wait_text(h, DEV, thread, "_is reading auth.c and searching the files_");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Then I try a command.");
    CHECK_INT(strstr(text, "_is ") == NULL, 1, "and not when it is done");
    lab_wait_idle(h, DEV, thread);
    check_no_violations(h);
}

static void a_posted_answer_has_the_status_line_until_it_comes(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "tools gate=1");
    harness_set(h, "slack", "reply: post");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    wait_status(h, thread, "is reading auth.c and searching the files");
    CHECK_INT(lab_count_replies(h, DEV, thread), 0, "nothing is posted yet");
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Then I try a command.");
    lab_wait_idle(h, DEV, thread);
    check_no_violations(h);
}

/* All at once, for the quarter of a minute is long. */
static void what_takes_long_says_how_long(void **state)
{
    struct harness *h = *state;
    const char *cards, *status, *silent;

    harness_set(h, "agent", "max_running: 4");
    set_scenario(h, "tools gate=1");
    daemon_start(h);
    cards = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look into it");
    wait_card(h, DEV, cards, "Searching the files", "in_progress");
    lab_say(h, BOB, BOB_DM, NULL, "look into it");
    lab_wait_text(h, BOB_DM, NULL, "First I look at the files.");
    set_scenario(h, "tools gate=1 silent=1");
    status = lab_say(h, ALICE, DEV, NULL, "@threadkeeper and into that");
    wait_status(h, status, "is reading auth.c");
    set_scenario(h, "gate");
    silent = lab_say(h, ALICE, DEV, NULL, "@threadkeeper wait");
    lab_wait_text(h, DEV, silent, "The gate is closed.");

    wait_card(h, DEV, cards, "Reading auth.c (15 s)", "in_progress");
    wait_status(h, status, "is reading auth.c and searching the files (15 s)");
    wait_card(h, DEV, silent, "Thinking (15 s)", "in_progress");
    lab_wait_text(h, BOB_DM, NULL, "_is reading auth.c and searching the files (15 s)_");
    open_gate(h);
    lab_wait_reply(h, DEV, cards, "Then I try a command.");
    lab_wait_reply(h, DEV, status, "Then I try a command.");
    lab_wait_reply(h, DEV, silent, "The gate is open.");
    lab_wait_reply(h, BOB_DM, NULL, "Then I try a command.");
    lab_wait_idle(h, DEV, cards);
    lab_wait_idle(h, DEV, status);
    lab_wait_idle(h, DEV, silent);
    CHECK_INT(count_cards(h, DEV, NULL, "in_progress"), 0, "none is left running");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(tools_are_cards_in_a_stream),
              SCENARIO(a_stopped_run_leaves_no_card_and_no_status),
              SCENARIO(before_any_text_the_status_names_the_tools),
              SCENARIO(an_attempt_that_is_made_again_begins_with_nothing),
              SCENARIO(where_slack_takes_no_cards_the_status_line_does),
              SCENARIO(an_edited_answer_ends_with_what_is_being_done),
              SCENARIO(a_posted_answer_has_the_status_line_until_it_comes),
              SCENARIO(what_takes_long_says_how_long))
