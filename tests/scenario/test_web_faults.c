#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/scenario/scenario.h"

#define WHOLE                                             \
    "The gate is closed. The gate is open. You have not " \
    "told me anything before. Now you ask: \"go\""

static const char *const FAULTS[] = {
    "http_429",      "http_500",     "http_503",  "http_500_executed",    "drop_connection",
    "drop_executed", "garbage_body", "html_body", "error:internal_error",
};

static void clear_faults(struct harness *h)
{
    json_decref(lab_command(h, "fault", json_pack("{s:b}", "clear", 1)));
}

static const char *ask(struct harness *h, const char *channel)
{
    return lab_say(h, ALICE, channel, NULL, *channel == 'D' ? "go" : "@threadkeeper go");
}

/* The whole answer, once: nothing lost, nothing twice, nothing beside it. */
static void check_whole(struct harness *h, const char *channel, const char *thread,
                        const char *because)
{
    CHECK_TEXT(lab_wait_reply(h, channel, thread, "Now you ask: \"go\""), WHOLE, because);
    lab_wait_idle(h, channel, thread);
    CHECK_INT(lab_count_replies(h, channel, thread), 1, because);
}

struct stage {
    const char *start; /* what begins an answer */
    const char *more;  /* what goes on with it, and what ends it */
    const char *end;
};

/* Two answers, one of which meets the fault when it begins and both when they go on. */
static void play_faults(struct harness *h, const struct stage *stage)
{
    set_scenario(h, "gate");
    for (size_t i = 0; i < ARRAY_LEN(FAULTS); i++) {
        const char *first;
        const char *second;

        daemon_start(h); /* a new one each time has used up no rate limit */
        first = ask(h, DEV);

        lab_wait_text(h, DEV, first, "The gate is closed.");
        lab_fault(h, stage->start, FAULTS[i], 1);
        second = ask(h, GENERAL);
        lab_wait_text(h, GENERAL, second, "The gate is closed.");
        lab_fault(h, stage->more, FAULTS[i], 2);
        lab_fault(h, stage->end, FAULTS[i], 2);
        open_gate(h);
        check_whole(h, DEV, first, FAULTS[i]);
        check_whole(h, GENERAL, second, FAULTS[i]);
        clear_faults(h);
        shut_gate(h);
        CHECK_INT(daemon_stop(h), 0, "clean end");
    }
    check_no_violations(h);
}

static void streams_keep_every_word_and_repeat_none(void **state)
{
    static const struct stage stage = { "chat.startStream", "chat.appendStream",
                                        "chat.stopStream" };

    harness_set(*state, "slack", "reply: stream");
    play_faults(*state, &stage);
}

static void edited_answers_keep_every_word_and_repeat_none(void **state)
{
    static const struct stage stage = { "chat.postMessage", "chat.update", "chat.delete" };

    harness_set(*state, "slack", "reply: edit");
    play_faults(*state, &stage);
}

static void posted_answers_come_once(void **state)
{
    struct harness *h = *state;

    harness_set(h, "slack", "reply: post");
    set_scenario(h, "gate");
    open_gate(h);
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(FAULTS); i++) {
        const char *thread;

        lab_fault(h, "chat.postMessage", FAULTS[i], 1);
        thread = ask(h, DEV);
        check_whole(h, DEV, thread, FAULTS[i]);
        clear_faults(h);
    }
    check_no_violations(h);
}

static void flat_direct_messages_are_answered_once(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "gate");
    open_gate(h);
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(FAULTS); i++) {
        AUTO_FREE char *want = xasprintf("Now you ask: \"%s\"", FAULTS[i]);

        lab_fault(h, "chat.postMessage", FAULTS[i], 1);
        lab_fault(h, "chat.update", FAULTS[i], 1);
        lab_say(h, ALICE, ALICE_DM, NULL, FAULTS[i]);
        lab_wait_reply(h, ALICE_DM, NULL, want);
        CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), i + 1, FAULTS[i]);
        clear_faults(h);
    }
    check_no_violations(h);
}

static void what_is_only_nice_to_have_may_fail(void **state)
{
    static const char *const methods[] = { "reactions.add", "users.info",
                                           "assistant.threads.setStatus",
                                           "agents.sessions.setStatus" };
    static const char *const kinds[] = { "error:missing_scope", "error:unknown_method",
                                         "error:fatal_error", "garbage_body" };
    struct harness *h = *state;

    set_scenario(h, "gate");
    open_gate(h);
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (size_t j = 0; j < ARRAY_LEN(methods); j++)
            lab_fault(h, methods[j], kinds[i], -1);

        const char *thread = ask(h, DEV);

        lab_wait_reply(h, DEV, thread, "Now you ask: \"go\"");
        clear_faults(h);
        CHECK_INT(lab_count_replies(h, DEV, thread), 1, kinds[i]);
    }
    check_no_violations(h);
}

static void statuses_end_even_when_slack_stumbles(void **state)
{
    static const char *const kinds[] = { "http_500", "drop_connection", "http_429" };
    struct harness *h = *state;

    set_scenario(h, "gate");
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *thread = ask(h, DEV);

        lab_wait_text(h, DEV, thread, "The gate is closed.");
        lab_fault(h, "agents.sessions.setStatus", kinds[i], 1);
        lab_fault(h, "assistant.threads.setStatus", kinds[i], 1);
        open_gate(h);
        check_whole(h, DEV, thread, kinds[i]);
        clear_faults(h);
        shut_gate(h);
    }
    check_no_violations(h);
}

static void without_streams_answers_are_edited(void **state)
{
    struct harness *h = *state;
    const char *thread;
    int64_t mark;

    lab_set(h, "streams", json_false());
    set_scenario(h, "gate");
    daemon_start(h);
    thread = ask(h, DEV);
    lab_wait_text(h, DEV, thread, "The gate is closed.");
    open_gate(h);
    check_whole(h, DEV, thread, "by editing");
    mark = lab_mark(h);
    check_whole(h, DEV, ask(h, DEV), "again");
    CHECK_INT(lab_count_calls(h, mark, "chat.startStream"), 0, "it remembers");
    check_no_violations(h);
}

static void a_stream_that_slack_has_closed_goes_on_in_the_same_message(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = ask(h, DEV);
    lab_wait_text(h, DEV, thread, "The gate is closed.");
    lab_set(h, "stream_life_ms", json_integer(1));
    open_gate(h);
    check_whole(h, DEV, thread, "closed between two words");
    check_no_violations(h);
}

static void a_long_run_outlives_its_stream(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *text;
    unsigned word = 1;

    lab_set(h, "stream_life_ms", json_integer(1500));
    set_scenario(h, "slow seconds=5 pause_ms=100");
    daemon_start(h);
    thread = ask(h, DEV);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"go\"");
    lab_wait_idle(h, DEV, thread);
    for (;; word++) {
        AUTO_FREE char *next = xasprintf("word%u ", word);

        if (strncmp(text, next, strlen(next)) != 0)
            break;
        text += strlen(next);
    }
    CHECK_INT(word > 10, 1, "a word in each pause");
    CHECK_INT(strncmp(text, "You have not told me anything", 29), 0, "each once, in order");
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    check_no_violations(h);
}

static void an_answer_deleted_while_it_grows_goes_on_in_a_new_message(void **state)
{
    static const char *const modes[] = { "reply: stream", "reply: edit" };
    struct harness *h = *state;

    set_scenario(h, "gate");
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const char *thread;
        const char *ts;
        json_t *messages;

        harness_set(h, "slack", modes[i]);
        daemon_start(h);
        thread = ask(h, DEV);
        lab_wait_text(h, DEV, thread, "The gate is closed.");
        messages = lab_messages(h, DEV, thread);
        ts = json_string_value(json_object_get(json_array_get(messages, 1), "ts"));
        json_decref(lab_command(h, "delete_message",
                                json_pack("{s:s, s:s}", "channel", DEV, "ts", ts)));
        json_decref(messages);
        open_gate(h);
        check_whole(h, DEV, thread, modes[i]);
        shut_gate(h);
        CHECK_INT(daemon_stop(h), 0, "clean end");
    }
    check_no_violations(h);
}

/* A question that is one block of code, longer than a message of Slack's. */
static char *make_code(size_t lines)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    buf_append_text(&text, "Look:\n```c\n");
    for (size_t i = 0; i < lines; i++)
        buf_printf(&text, "int function_%zu(void) { return %zu; }\n", i, i);
    buf_append_text(&text, "```\nThat was it.");
    return buf_take(&text);
}

static size_t count_parts(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static void check_code(struct harness *h, const char *thread, size_t lines, const char *mode)
{
    json_t *messages = lab_messages(h, DEV, thread);
    AUTO_BUF struct buf all = { 0 };
    size_t parts = 0;
    size_t index;
    json_t *message;

    buf_init(&all, 1 << 20);
    json_array_foreach(messages, index, message)
    {
        const char *text = json_string_value(json_object_get(message, "text"));

        if (!json_is_true(json_object_get(message, "is_app")))
            continue;
        CHECK_INT(count_parts(text, "```") % 2, 0, "every fence is closed where it opened");
        CHECK_INT(strlen(text) < 12000, 1, "within Slack's limit");
        buf_append_text(&all, text);
        parts++;
    }
    CHECK_INT(parts > 2, 1, mode);
    CHECK_INT(count_parts(buf_text(&all), "int function_"), lines, "each line once");
    for (size_t i = 0; i < lines; i++) {
        AUTO_FREE char *line = xasprintf("int function_%zu(void) { return %zu; }\n", i, i);

        CHECK_INT(count_parts(buf_text(&all), line), 1, line);
    }
    json_decref(messages);
}

static void long_code_is_rolled_over_with_its_fences_whole(void **state)
{
    static const char *const modes[] = { "reply: stream", "reply: edit", "reply: post" };
    struct harness *h = *state;
    AUTO_FREE char *code = make_code(600);
    AUTO_FREE char *question = xasprintf("@threadkeeper %s", code);

    set_scenario(h, "echo");
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const char *thread;

        harness_set(h, "slack", modes[i]);
        daemon_start(h);
        thread = lab_say(h, ALICE, DEV, NULL, question);
        lab_wait_reply(h, DEV, thread, "That was it.");
        lab_wait_idle(h, DEV, thread);
        check_code(h, thread, 600, modes[i]);
        CHECK_INT(daemon_stop(h), 0, "clean end");
    }
    check_no_violations(h);
}

static void slack_away_at_the_end_of_an_answer_loses_nothing(void **state)
{
    struct harness *h = *state;
    const char *thread;
    int64_t mark;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = ask(h, DEV);
    lab_wait_text(h, DEV, thread, "The gate is closed.");
    lab_fault(h, "*", "drop_connection", -1);
    mark = lab_mark(h);
    open_gate(h);
    while (lab_count_calls(h, mark, "chat.stopStream") < 3)
        json_decref(lab_wait_log(h, mark, "api", NULL, NULL));
    clear_faults(h);
    check_whole(h, DEV, thread, "it tried until Slack was there again");
    lab_say(h, ALICE, DEV, thread, "and?");
    lab_wait_reply(h, DEV, thread, "(1) \"go\". Now you ask: \"and?\"");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(streams_keep_every_word_and_repeat_none),
              SCENARIO(edited_answers_keep_every_word_and_repeat_none),
              SCENARIO(posted_answers_come_once),
              SCENARIO(flat_direct_messages_are_answered_once),
              SCENARIO(what_is_only_nice_to_have_may_fail),
              SCENARIO(statuses_end_even_when_slack_stumbles),
              SCENARIO(without_streams_answers_are_edited),
              SCENARIO(a_stream_that_slack_has_closed_goes_on_in_the_same_message),
              SCENARIO(a_long_run_outlives_its_stream),
              SCENARIO(an_answer_deleted_while_it_grows_goes_on_in_a_new_message),
              SCENARIO(long_code_is_rolled_over_with_its_fences_whole),
              SCENARIO(slack_away_at_the_end_of_an_answer_loses_nothing))
