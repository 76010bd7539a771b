/*
 * Every dialect with its personality of the double: an answer, a follow-up that remembers, a
 * tool that is shown, a refusal that is told, failures, a stop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

struct agent {
    const char *dialect;
    const char *program; /* beside the double */
    const char *key;     /* the variable that holds its key */
};

static const struct agent claude = { "claude", "claude", "ANTHROPIC_API_KEY" };
static const struct agent codex = { "codex", "codex", "CODEX_API_KEY" };
static const struct agent gemini = { "gemini", "gemini", "GEMINI_API_KEY" };
static const struct agent opencode = { "opencode", "opencode", "OPENCODE_API_KEY" };

static void choose_agent(struct harness *h, const struct agent *agent)
{
    const char *cursor = getenv("TK_DOUBLE"); /* NOLINT(concurrency-mt-unsafe): one thread */
    const char *slash = cursor ? strrchr(cursor, '/') : NULL;
    AUTO_FREE char *directory = slash ? xstrndup(cursor, (size_t)(slash - cursor))
                                      : xstrdup("build/release/tests/agent_double");
    AUTO_FREE char *whole = realpath(directory, NULL);
    AUTO_FREE char *command = xasprintf("command: [%s/%s]", whole, agent->program);
    AUTO_FREE char *dialect = xasprintf("dialect: %s", agent->dialect);
    AUTO_FREE char *env = xasprintf("env: [%s]", agent->key);

    setenv(agent->key, "key-for-the-double", 1); /* NOLINT(concurrency-mt-unsafe) */
    harness_set(h, "agent", command);
    harness_set(h, "agent", dialect);
    harness_set(h, "agent", env);
}

/* Scenario by scenario, what the person reads. */
struct reading {
    const char *scenario;
    const char *says;
};

static void answers_and_remembers(struct harness *h)
{
    const char *thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");

    lab_wait_reply(h, DEV, thread, "Now you ask: \"one\"");
    lab_wait_idle(h, DEV, thread);
    lab_say(h, ALICE, DEV, thread, "two");
    lab_wait_reply(h, DEV, thread, "(1) \"one\". Now you ask: \"two\"");
    lab_wait_idle(h, DEV, thread);
}

/* The message that shows the work, with its cards. */
static void wait_card(struct harness *h, const char *thread, const char *title)
{
    int64_t tries = 0;

    for (;;) {
        json_auto_t *messages = lab_messages(h, DEV, thread);
        AUTO_FREE char *all = json_dumps(messages, JSON_COMPACT);

        CHECK_INT(strstr(all, "SECRET") == NULL, 1, "no argument of a tool is shown");
        if (strstr(all, title))
            return;
        harness_wait_step(h, &tries, title);
    }
}

/* What is said comes once, in paragraphs, and what was not allowed is told. An agent that tells
 * of a tool when it has ended may have ended itself by then: it has no card. */
static void shows_tools(struct harness *h, bool tells_of_beginnings)
{
    const char *thread;
    const char *text;

    set_scenario(h, "tools gate=1");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper look");
    if (tells_of_beginnings)
        wait_card(h, thread, "ing auth.c");
    open_gate(h);
    text = lab_wait_reply(h, DEV, thread, "Now you ask: \"look\"");
    CHECK_HOLDS(text,
                "First I look at the files.\n\nThen I try a command.\n\nYou have not told",
                "in paragraphs");
    CHECK_HOLDS(text, "left undone: Running a command", "a refusal is told");
    CHECK_INT(strstr(text, "DRAFT") == NULL && strstr(text, "SUBAGENT") == NULL, 1,
              "no draft, no subagent");
    lab_wait_idle(h, DEV, thread);
    shut_gate(h);
}

static void tells_failures(struct harness *h, const struct reading *readings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *thread;

        set_scenario(h, readings[i].scenario);
        thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper please");
        lab_wait_reply(h, DEV, thread, readings[i].says);
        lab_wait_idle(h, DEV, thread);
        check_nothing_left(h);
    }
}

static void is_stopped(struct harness *h)
{
    const char *thread;

    set_scenario(h, "gate");
    thread = lab_say(h, BOB, GENERAL, NULL, "@threadkeeper stay");
    daemon_wait_log(h, "started for user=" BOB);
    lab_press_stop(h, GENERAL, thread);
    lab_wait_reply(h, GENERAL, thread, "_Stopped._");
    lab_wait_idle(h, GENERAL, thread);
    check_nothing_left(h);
}

static void play(struct harness *h, const struct agent *agent, const struct reading *readings,
                 size_t count)
{
    bool slow = harness_limit_ms(1) > 1;

    choose_agent(h, agent);
    harness_set(h, "agent", slow ? "idle_timeout: 15s" : "idle_timeout: 4s");
    harness_set(h, "agent", slow ? "first_output_timeout: 15s" : "first_output_timeout: 4s");
    daemon_start(h);
    answers_and_remembers(h);
    shows_tools(h, agent != &opencode);
    tells_failures(h, readings, count);
    is_stopped(h);
    CHECK_INT(daemon_stop(h), 0, "the daemon is well after all of it");
    check_nothing_left(h);
    check_no_violations(h);
}

static void claude_answers(void **state)
{
    static const struct reading readings[] = {
        { "auth", "not logged in" },
        { "badmodel", "does not offer" },
        { "limit", "usage limit" },
        { "exhausted", "overloaded" },
        { "iserror", "reported an error" },
        { "noresult0", "incomplete" },
        { "empty0", ":warning:" },
        { "hangend", "Now you ask" },
        { "garbage", "Now you ask" },
        { "longline bytes=9000000", "After the long line." },
    };

    play(*state, &claude, readings, ARRAY_LEN(readings));
}

static void codex_answers(void **state)
{
    static const struct reading readings[] = {
        { "auth", "not logged in" },  { "badmodel", "does not offer" },
        { "limit", "usage limit" },   { "iserror", "reported an error" },
        { "noresult1", ":warning:" }, { "empty0", ":warning:" },
        { "hangend", "Now you ask" }, { "garbage", "Now you ask" },
    };

    play(*state, &codex, readings, ARRAY_LEN(readings));
}

static void gemini_answers(void **state)
{
    static const struct reading readings[] = {
        { "auth", "not logged in" },        { "badkey", "not logged in" },
        { "badmodel", "does not offer" },   { "limit", "usage limit" },
        { "iserror", "reported an error" }, { "noresult0", "incomplete" },
        { "hangend", "Now you ask" },       { "garbage", "Now you ask" },
    };

    play(*state, &gemini, readings, ARRAY_LEN(readings));
}

static void opencode_answers(void **state)
{
    static const struct reading readings[] = {
        { "auth", "not logged in" },  { "badmodel", "does not offer" },
        { "limit", "usage limit" },   { "iserror", "reported an error" },
        { "noresult0", ":warning:" }, { "empty0", ":warning:" },
        { "hangend", "Now you ask" }, { "garbage", "Now you ask" },
    };

    play(*state, &opencode, readings, ARRAY_LEN(readings));
}

SCENARIO_MAIN(SCENARIO(claude_answers), SCENARIO(codex_answers), SCENARIO(gemini_answers),
              SCENARIO(opencode_answers))
