/*
 * agent.resume: a conversation goes on in the agent's own chat, and what becomes of it when one
 * of the two is not what it was.
 *
 * The double says what its notes of the chat hold beside what the prompt tells of earlier
 * turns, so each answer shows who remembered.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

#define NOTHING_TOLD "You have not told me anything before."
/* From then on the ledger knows the message of the answer: a stream cannot be looked for. */
#define SECOND_NOTED "reply noted message=2"
#define LOST         "_I lost my own notes of this conversation"

static void set_resume(struct harness *h)
{
    harness_set(h, "agent", "resume: true");
}

static const char *ask(struct harness *h, const char *thread, const char *text)
{
    AUTO_FREE char *said = xasprintf("%s%s", thread ? "" : "@threadkeeper ", text);
    AUTO_FREE char *want = xasprintf("Now you ask: \"%s\"", text);
    const char *ts = lab_say(h, ALICE, DEV, thread, said);
    const char *reply = lab_wait_reply(h, DEV, thread ? thread : ts, want);

    lab_wait_idle(h, DEV, thread ? thread : ts);
    return thread ? reply : ts;
}

/* The agent remembers by itself: the prompt told it nothing. */
static void check_resumed(const char *reply, const char *notes, const char *because)
{
    CHECK_HOLDS(reply, NOTHING_TOLD, because);
    CHECK_HOLDS(reply, notes, because);
    CHECK_INT(strstr(reply, LOST) == NULL, 1, because);
}

/* It begins anew, and is told. */
static void check_told(const char *reply, const char *told, const char *because)
{
    CHECK_HOLDS(reply, told, because);
    CHECK_INT(strstr(reply, "My notes") == NULL, 1, because);
}

/* state_dir/chats/ID/ID.json: how many there are; each is removed when `removes`. */
static size_t count_chats(struct harness *h, bool removes)
{
    AUTO_FREE char *chats = xasprintf("%s/chats", harness_state_dir(h));
    DIR *dir = opendir(chats);
    struct dirent *entry;
    size_t count = 0;

    while (dir && (entry = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        AUTO_FREE char *path = xasprintf("%s/%s", chats, entry->d_name);
        DIR *inner = entry->d_name[0] == '.' ? NULL : opendir(path);
        struct dirent *file;

        while (inner && (file = readdir(inner))) { /* NOLINT(concurrency-mt-unsafe) */
            AUTO_FREE char *name = xasprintf("%s/%s", path, file->d_name);

            if (!strstr(file->d_name, ".json"))
                continue;
            count++;
            if (removes)
                unlink(name);
        }
        if (inner)
            closedir(inner);
    }
    if (dir)
        closedir(dir);
    return count;
}

static void a_chat_is_gone_on_in(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    check_resumed(ask(h, thread, "two"), "hold 1 question: (1) \"one\"", "the second turn");
    check_resumed(ask(h, thread, "three"), "hold 2 questions: (1) \"one\" (2) \"two\"",
                  "and the third");
    daemon_restart(h);
    check_resumed(ask(h, thread, "four"), "(3) \"three\"", "across a restart");
    CHECK_INT(count_chats(h, false), 1, "one chat");
    check_told(lab_wait_reply(h, DEV, ask(h, NULL, "other"), "Now you ask: \"other\""),
               NOTHING_TOLD, "another thread knows nothing of it");
    check_no_violations(h);
}

/* The agent would begin an empty chat without a word. */
static void a_chat_that_is_gone_is_no_silent_blank(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *reply;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    CHECK_INT(count_chats(h, true), 1, "it was there");
    reply = ask(h, thread, "two");
    check_told(reply, "(1) \"one\"", "memory tells");
    CHECK_HOLDS(reply, LOST, "and the person is told");
    check_resumed(ask(h, thread, "three"), "hold 1 question: (1) \"two\"",
                  "the new one goes on");
    check_no_violations(h);
}

static void what_is_forgotten_takes_the_chat_along(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    ask(h, thread, "two");
    lab_say(h, ALICE, DEV, thread, "!forget");
    lab_wait_reply(h, DEV, thread, "Forgotten: ");
    CHECK_INT(count_chats(h, false), 0, "the agent's own file is gone");
    check_told(ask(h, thread, "three"), NOTHING_TOLD, "nobody remembers");
    check_no_violations(h);
}

static void a_conversation_begun_anew_is_another_chat(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    lab_say(h, ALICE, DEV, thread, "!new");
    lab_wait_replies(h, DEV, thread, 2);
    check_told(ask(h, thread, "two"), NOTHING_TOLD, "neither memory nor agent tells");
    check_no_violations(h);
}

/* What the chat holds of a run that did not end well, nobody knows. */
static void after_a_failure_memory_tells(void **state)
{
    static const char *const scenarios[] = { "noresult1", "iserror", "crashmid" };
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        const char *reply;

        set_scenario(h, scenarios[i]);
        lab_say(h, ALICE, DEV, thread, "fail");
        daemon_wait_metric(h, "turns_total{outcome=\"failed\"}", (int64_t)i + 1);
        lab_wait_idle(h, DEV, thread);
        set_scenario(h, "ok");
        reply = ask(h, thread, scenarios[i]);
        check_told(reply, "(1) \"one\"", scenarios[i]);
        CHECK_INT(strstr(reply, LOST) == NULL, 1, "that was no loss");
    }
    check_no_violations(h);
}

/* The agent did not come to its model: the chat is as it was. */
static void after_a_passing_failure_the_chat_goes_on(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    set_scenario(h, "limit");
    lab_say(h, ALICE, DEV, thread, "too much");
    lab_wait_reply(h, DEV, thread, "usage limit");
    lab_wait_idle(h, DEV, thread);
    set_scenario(h, "ok");
    check_resumed(ask(h, thread, "two"), "(1) \"one\"", "the same chat");
    check_no_violations(h);
}

static void after_a_stop_memory_tells(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    set_scenario(h, "gate");
    lab_say(h, ALICE, DEV, thread, "stay");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    lab_press_stop(h, DEV, thread);
    lab_wait_reply(h, DEV, thread, "_Stopped._");
    lab_wait_idle(h, DEV, thread);
    set_scenario(h, "ok");
    check_told(ask(h, thread, "two"), "(1) \"one\" (2) \"stay\"", "memory tells");
    check_no_violations(h);
}

static void another_model_is_another_chat(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    harness_set(h, "agent", "model: gpt-5");
    daemon_reload(h);
    check_told(ask(h, thread, "two"), "(1) \"one\"", "memory tells");
    check_resumed(ask(h, thread, "three"), "(1) \"two\"", "and the new chat goes on");
    check_no_violations(h);
}

/* As if the daemon had died right before it started the process of its only run. */
static void undo_start(struct harness *h)
{
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(h));
    pid_t pids[16];
    size_t count;
    DIR *dir;
    struct dirent *entry;

    while ((count = harness_find_runs(h, pids, ARRAY_LEN(pids))) > 0) {
        for (size_t i = 0; i < count; i++)
            kill(pids[i], SIGKILL);
    }
    dir = opendir(runs);
    while (dir && (entry = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        static const char *const names[] = { "meta.json", "out.ndjson", "err.log",
                                             "exit.json" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            AUTO_FREE char *path = xasprintf("%s/%s/%s", runs, entry->d_name, names[i]);

            unlink(path);
        }
    }
    if (dir)
        closedir(dir);
}

/* The id is stored, the process never came to be: the turn is done under another id. */
static void a_daemon_killed_before_the_agent_began_leaves_no_doubt(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    set_scenario(h, "gate");
    lab_say(h, ALICE, DEV, thread, "two");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, SECOND_NOTED);
    daemon_kill(h);
    undo_start(h);
    set_scenario(h, "ok");
    daemon_start(h);
    check_told(lab_wait_reply(h, DEV, thread, "Now you ask: \"two\""), "(1) \"one\"",
               "memory tells");
    lab_wait_idle(h, DEV, thread);
    check_resumed(ask(h, thread, "three"), "hold 1 question: (1) \"two\"", "and it goes on");
    check_no_violations(h);
}

static void a_run_taken_up_by_the_next_daemon_keeps_its_chat(void **state)
{
    struct harness *h = *state;
    const char *thread;

    set_resume(h);
    daemon_start(h);
    thread = ask(h, NULL, "one");
    set_scenario(h, "gate");
    lab_say(h, ALICE, DEV, thread, "two");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    daemon_wait_log(h, SECOND_NOTED);
    daemon_kill(h);
    daemon_start(h);
    open_gate(h);
    lab_wait_reply(h, DEV, thread, "Now you ask: \"two\"");
    lab_wait_idle(h, DEV, thread);
    set_scenario(h, "ok");
    check_resumed(ask(h, thread, "three"), "(1) \"one\" (2) \"two\"", "it has followed all");
    check_no_violations(h);
}

/* --- the others --------------------------------------------------------------------------- */

struct agent {
    const char *dialect;
    const char *key;   /* the variable that holds its key */
    const char *store; /* and where it keeps its chats */
};

static void choose_agent(struct harness *h, const struct agent *agent)
{
    const char *cursor = getenv("TK_DOUBLE"); /* NOLINT(concurrency-mt-unsafe): one thread */
    AUTO_FREE char *copy =
        xstrdup(cursor ? cursor : "build/release/tests/agent_double/cursor-agent");
    AUTO_FREE char *whole = NULL;
    AUTO_FREE char *command = NULL;
    AUTO_FREE char *dialect = xasprintf("dialect: %s", agent->dialect);
    AUTO_FREE char *env = xasprintf("env: [%s, %s]", agent->key, agent->store);
    AUTO_FREE char *store = xasprintf("%s/store", harness_dir(h));

    *strrchr(copy, '/') = '\0';
    whole = realpath(copy, NULL);
    command = xasprintf("command: [%s/%s]", whole, agent->dialect);
    file_make_dirs(store, 0700, NULL);
    setenv(agent->key, "key-for-the-double", 1); /* NOLINT(concurrency-mt-unsafe) */
    setenv(agent->store, store, 1);              /* NOLINT(concurrency-mt-unsafe) */
    harness_set(h, "agent", command);
    harness_set(h, "agent", dialect);
    harness_set(h, "agent", env);
    harness_set(h, "agent", "fence: off"); /* its store is not where the fence lets it write */
}

/* These say that they do not know a chat: another one begins in the same turn. */
static void each_agent_goes_on_in_its_chat(void **state)
{
    static const struct agent agents[] = {
        { "claude", "ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR" },
        { "codex", "CODEX_API_KEY", "CODEX_HOME" },
        { "gemini", "GEMINI_API_KEY", "GEMINI_CLI_HOME" },
        { "opencode", "OPENCODE_API_KEY", "XDG_DATA_HOME" },
    };
    struct harness *h = *state;
    AUTO_FREE char *store = xasprintf("%s/store/chats", harness_dir(h));

    for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
        const char *thread;
        const char *reply;

        choose_agent(h, &agents[i]);
        set_resume(h);
        daemon_start(h);
        thread = ask(h, NULL, "one");
        check_resumed(ask(h, thread, "two"), "hold 1 question: (1) \"one\"", agents[i].dialect);
        file_remove_tree(store, NULL);
        reply = ask(h, thread, "three");
        check_told(reply, "(1) \"one\" (2) \"two\"", agents[i].dialect);
        CHECK_HOLDS(reply, LOST, agents[i].dialect);
        check_resumed(ask(h, thread, "four"), "hold 1 question: (1) \"three\"",
                      agents[i].dialect);
        CHECK_INT(daemon_stop(h), 0, agents[i].dialect);
        check_nothing_left(h);
    }
    check_no_violations(h);
}

/* It refuses the id of the first attempt: nothing is lost with a chat that held nothing. */
static void a_first_turn_that_is_tried_again_has_lost_nothing(void **state)
{
    static const struct agent claude = { "claude", "ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR" };
    struct harness *h = *state;
    const char *thread;
    const char *reply;

    choose_agent(h, &claude);
    set_resume(h);
    set_scenario(h, "flaky tool=1");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    reply = lab_wait_reply(h, DEV, thread, "Now it works.");
    lab_wait_idle(h, DEV, thread);
    CHECK_HOLDS(daemon_log(h), "does not find its chat", "the id was refused");
    CHECK_INT(strstr(reply, LOST) == NULL, 1, "no loss");
    set_scenario(h, "ok");
    check_resumed(ask(h, thread, "two"), "hold 1 question: (1) \"one\"", "and it goes on");
    check_no_violations(h);
}

/* The chat of a first turn that failed is not asked for again. */
static void a_first_turn_that_failed_is_followed_by_another_chat(void **state)
{
    static const struct agent claude = { "claude", "ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR" };
    struct harness *h = *state;
    const char *thread;

    choose_agent(h, &claude);
    set_resume(h);
    set_scenario(h, "limit init=1");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_reply(h, DEV, thread, "usage limit");
    lab_wait_idle(h, DEV, thread);
    set_scenario(h, "ok");
    CHECK_HOLDS(ask(h, thread, "two"), "Now you ask: \"two\"", "answered");
    CHECK_INT(strstr(daemon_log(h), "does not find its chat") == NULL, 1, "at once");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_chat_is_gone_on_in), SCENARIO(a_chat_that_is_gone_is_no_silent_blank),
              SCENARIO(what_is_forgotten_takes_the_chat_along),
              SCENARIO(a_conversation_begun_anew_is_another_chat),
              SCENARIO(after_a_failure_memory_tells),
              SCENARIO(after_a_passing_failure_the_chat_goes_on),
              SCENARIO(after_a_stop_memory_tells), SCENARIO(another_model_is_another_chat),
              SCENARIO(a_daemon_killed_before_the_agent_began_leaves_no_doubt),
              SCENARIO(a_run_taken_up_by_the_next_daemon_keeps_its_chat),
              SCENARIO(each_agent_goes_on_in_its_chat),
              SCENARIO(a_first_turn_that_is_tried_again_has_lost_nothing),
              SCENARIO(a_first_turn_that_failed_is_followed_by_another_chat))
