#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"
#include "tests/slack_lab/lab.h"

#define FILE_MAX_BYTES (1 << 20)

static void check_exit(struct program program, int status, const char *because)
{
    if (program.status != status)
        fail_msg("status %d, want %d: %s\n%s%s", program.status, status, because, program.out,
                 program.err);
}

static void a_sound_installation_has_no_problems(void **state)
{
    static const char *const parts[] = { "ok    config",    "ok    app token",
                                         "ok    bot token", "ok    scopes",
                                         "ok    clock",     "ok    agent",
                                         "ok    workspace", "ok    store" };
    struct harness *h = *state;
    struct program check = run_threadkeeper(h, "", "check", NULL);

    check_exit(check, 0, "nothing is wrong");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        CHECK_HOLDS(check.out, parts[i], "each part has its line");
    CHECK_INT(strstr(check.out, LAB_BOT_TOKEN) == NULL, 1, "no token shown");
    lab_set(h, "clock_ahead_s", json_integer(600));
    check = run_threadkeeper(h, "", "check", NULL);
    check_exit(check, 0, "a warning is no failure");
    CHECK_HOLDS(check.out, "s behind Slack; mend: switch time synchronisation on", "the clock");
}

/* One thing is wrong; `check` must say so, say how to mend it, and end with that status. */
struct wrong {
    const char *section;
    const char *line;
    int status;
    const char *says;
    const char *mend;
};

static void check_names_what_is_wrong_and_its_mend(void **state)
{
    static const struct wrong wrongs[] = {
        { "agent", "command: [/nowhere/cursor-agent]", 1, "/nowhere/cursor-agent",
          "agent.command" },
        { "agent", "workspace: /nowhere/at/all", 1, "/nowhere/at/all does not exist",
          "mend: create it" },
        { "agent", "workspace: /etc/passwd", 1, "/etc/passwd is not a directory", "FAIL" },
        { "", "state_dir: /etc/passwd/state", 1, "state_dir /etc/passwd/state does not exist",
          "mkdir -m 700" },
        { "slack", "bot_token: xoxb-1-2-revokedrevokedrevoked", 77, "invalid_auth",
          "mend: copy" },
        { "slack", "app_token: xapp-1-A1-2-0123456789abcdef", 77, "invalid_auth",
          "mend: copy" },
        { "slack", "api_url: http://127.0.0.1:1/api/", 1, "FAIL  app token", "reachable" },
    };

    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct harness *h = harness_new();
        struct program check;

        harness_set(h, wrongs[i].section, wrongs[i].line);
        check = run_threadkeeper(h, "", "check", NULL);
        check_exit(check, wrongs[i].status, wrongs[i].line);
        CHECK_HOLDS(check.out, wrongs[i].says, "the problem");
        CHECK_HOLDS(check.out, wrongs[i].mend, "its mend");
        CHECK_HOLDS(check.out, "problem", "how many there are");
        harness_free(h);
    }
    (void)state;
}

static void check_says_what_slack_says_of_the_tokens(void **state)
{
    static const struct {
        const char *setting;
        const char *error;
        const char *mend;
    } cases[] = {
        { "token_error", "token_revoked", "reinstall it and copy the new token" },
        { "token_error", "account_inactive", "reinstall it and copy the new token" },
        { "app_token_error", "not_allowed_token_type", "swapped" },
        { "app_token_error", "missing_scope", "connections:write" },
    };
    struct harness *h = *state;
    struct program check;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        lab_set(h, cases[i].setting, json_string(cases[i].error));
        check = run_threadkeeper(h, "", "check", NULL);
        check_exit(check, 77, cases[i].error);
        CHECK_HOLDS(check.out, cases[i].error, "Slack's own word");
        CHECK_HOLDS(check.out, cases[i].mend, cases[i].error);
        lab_set(h, cases[i].setting, json_string(""));
    }
    lab_set(h, "scopes", json_string("app_mentions:read,channels:history,im:history"));
    check = run_threadkeeper(h, "", "check", NULL);
    check_exit(check, 1, "scopes are missing");
    CHECK_HOLDS(check.out, "chat:write", "by name");
    CHECK_HOLDS(check.out, "reactions:write", "by name");
    CHECK_HOLDS(check.out, "reactions:read", "by name");
    CHECK_HOLDS(check.out, "threadkeeper manifest", "how to get them");
}

static void check_tells_swapped_tokens_and_a_missing_login(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *key = xstrdup(getenv("CURSOR_API_KEY")); /* NOLINT(concurrency-mt-unsafe) */
    struct program check;

    unsetenv("CURSOR_API_KEY"); /* NOLINT(concurrency-mt-unsafe): one thread */
    set_scenario(h, "auth");
    check = run_threadkeeper(h, "", "check", NULL);
    setenv("CURSOR_API_KEY", key, 1); /* NOLINT(concurrency-mt-unsafe) */
    check_exit(check, 1, "no login");
    CHECK_HOLDS(check.out, "is not logged in", "the agent");
    CHECK_HOLDS(check.out, "CURSOR_API_KEY", "how to log in");
    harness_set(h, "slack", "app_token: " LAB_BOT_TOKEN);
    harness_set(h, "slack", "bot_token: " LAB_APP_TOKEN);
    check = run_threadkeeper(h, "", "check", NULL);
    check_exit(check, 78, "swapped");
    CHECK_HOLDS(check.err, "slack.app_token", "both are named");
    CHECK_HOLDS(check.err, "slack.bot_token", "both are named");
    CHECK_INT(strstr(check.err, LAB_BOT_TOKEN) == NULL, 1, "and not shown");
}

static void a_bad_configuration_is_told_whole(void **state)
{
    static const char *const commands[] = { "run", "check", "status", "chat" };
    struct harness *h = *state;

    harness_set(h, "agent", "max_running: 0");
    harness_set(h, "agent", "mode: wild");
    harness_set(h, "log", "level: loud");
    harness_set(h, "slack", "pong: 3");
    harness_set(h, "memory", "max_bytes: much");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct program program = run_threadkeeper(h, "", commands[i], NULL);

        check_exit(program, 78, commands[i]);
        CHECK_HOLDS(program.err, "agent.max_running: ", "out of range");
        CHECK_HOLDS(program.err, "agent.mode: ", "no such word");
        CHECK_HOLDS(program.err, "log.level: ", "no such word");
        CHECK_HOLDS(program.err, "pong", "no such key");
        CHECK_HOLDS(program.err, "memory.max_bytes: ", "no size");
        CHECK_HOLDS(program.err, "threadkeeper.yaml:", "with the file, and line and column");
    }
    check_exit(run_threadkeeper(h, "", "-c", "/nowhere/tk.yaml", "check", NULL), 78, "no file");
}

static void the_manifest_is_the_same_in_yaml_and_json(void **state)
{
    struct harness *h = *state;
    struct program yaml = run_threadkeeper(h, "", "manifest", NULL);
    struct program json = run_threadkeeper(h, "", "manifest", "--json", NULL);
    json_auto_t *root = json_loads(json.out, 0, NULL);
    json_t *scopes = json_object_get(
        json_object_get(json_object_get(root, "oauth_config"), "scopes"), "bot");
    json_t *settings = json_object_get(root, "settings");
    json_t *events =
        json_object_get(json_object_get(settings, "event_subscriptions"), "bot_events");
    size_t i;
    json_t *name;

    check_exit(yaml, 0, "YAML");
    check_exit(json, 0, "JSON");
    CHECK_INT(json_array_size(scopes) > 5, 1, "scopes");
    CHECK_INT(json_array_size(events) > 3, 1, "events");
    CHECK_INT(json_is_true(json_object_get(settings, "socket_mode_enabled")), 1, "Socket Mode");
    json_array_foreach(scopes, i, name) CHECK_HOLDS(yaml.out, json_string_value(name), "scope");
    json_array_foreach(events, i, name) CHECK_HOLDS(yaml.out, json_string_value(name), "event");
}

static void the_configuration_can_be_shown(void **state)
{
    struct harness *h = *state;
    AUTO_BUF struct buf example = { 0 };
    struct err err = { 0 };
    struct program shown = run_threadkeeper(h, "", "config", "--example", NULL);

    buf_init(&example, FILE_MAX_BYTES);
    if (file_read("config/threadkeeper.example.yaml", &example, &err) < 0)
        harness_fail(h, "%s", err.message);
    check_exit(shown, 0, "the example");
    CHECK_TEXT(shown.out, buf_text(&example), "make example keeps it so");
    harness_set(h, "agent", "mode: plan");
    shown = run_threadkeeper(h, "", "config", "--effective", NULL);
    check_exit(shown, 0, "what is in force");
    CHECK_HOLDS(shown.out, "mode: plan", "as set");
    CHECK_HOLDS(shown.out, "max_running: 4", "as by default");
    CHECK_INT(strstr(shown.out, LAB_APP_TOKEN) == NULL, 1, "no app token");
    CHECK_INT(strstr(shown.out, LAB_BOT_TOKEN) == NULL, 1, "no bot token");
}

static void wrong_usage_ends_with_2(void **state)
{
    static const char *const lines[][3] = {
        { "dance" },           { "run", "fast" },
        { "check", "--json" }, { "manifest", "x" },
        { "config" },          { "config", "--all" },
        { "status", "now" },   { "chat", "one", "two" },
        { "launch" },          { "status", "--json", "x" },
    };
    struct harness *h = *state;
    struct program program;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        program = run_threadkeeper(h, "", lines[i][0], lines[i][1], lines[i][2], NULL);
        check_exit(program, 2, lines[i][0]);
        CHECK_INT(*program.err != '\0', 1, "and says why");
        CHECK_TEXT(program.out, "", "not on stdout");
    }
    program = run_threadkeeper(h, "", "--help", NULL);
    check_exit(program, 0, "asked for");
    CHECK_HOLDS(program.out, "usage: threadkeeper", "the help");
    CHECK_INT(strstr(program.out, "launch") == NULL, 1, "which is not for people");
    program = run_threadkeeper(h, "", "version", NULL);
    check_exit(program, 0, "version");
    CHECK_INT(strncmp(program.out, "threadkeeper ", 13), 0, "its name and number");
}

static void status_asks_the_daemon(void **state)
{
    struct harness *h = *state;
    struct program program = run_threadkeeper(h, "", "status", NULL);
    json_auto_t *root = NULL;

    check_exit(program, 1, "no daemon");
    CHECK_HOLDS(program.err, "no daemon answers", "said plainly");
    daemon_start(h);
    daemon_wait_get(h, "/readyz", 200);
    program = run_threadkeeper(h, "", "status", NULL);
    check_exit(program, 0, "a daemon");
    CHECK_HOLDS(program.out, "ready, up for", "how it is");
    CHECK_HOLDS(program.out, "Lab as threadkeeper", "the workspace and who we are");
    CHECK_HOLDS(program.out, "link 2", "each link");
    CHECK_HOLDS(program.out, "0 running, 0 waiting", "the queue");
    program = run_threadkeeper(h, "", "status", "--json", NULL);
    check_exit(program, 0, "for programs");
    root = json_loads(program.out, 0, NULL);
    CHECK_INT(json_is_true(json_object_get(root, "ready")), 1, "a JSON object");
}

static void the_listener_answers_what_is_asked_of_it(void **state)
{
    static const char *const metrics[] = {
        "threadkeeper_socket_links_ready 2",
        "threadkeeper_envelopes_total",
        "threadkeeper_ack_latency_seconds_count",
        "threadkeeper_turns_total",
        "threadkeeper_reply_messages_total",
        "threadkeeper_memory_bytes",
        "threadkeeper_queue_messages",
        "# TYPE threadkeeper_envelopes_total counter",
    };
    struct harness *h = *state;
    const char *body = NULL;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "hello");
    lab_wait_reply(h, ALICE_DM, NULL, "hello");
    daemon_wait_get(h, "/readyz", 200);
    CHECK_INT(daemon_get(h, "/healthz", &body), 200, "alive");
    CHECK_INT(daemon_get(h, "/status", &body), 200, "status");
    CHECK_INT(daemon_get(h, "/secret", &body), 404, "nothing else");
    CHECK_INT(daemon_get(h, "/memory/refresh", &body), 405, "no reader changes anything");
    daemon_wait_metric(h, "socket_links_ready", 2);
    CHECK_INT(daemon_get(h, "/metrics", &body), 200, "metrics");
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        CHECK_HOLDS(body, metrics[i], "a figure");
}

static void chat_remembers_from_one_call_to_the_next(void **state)
{
    struct harness *h = *state;
    struct program chat = run_threadkeeper(h, "the number is 4711\n", "chat", NULL);

    check_exit(chat, 0, "one question");
    CHECK_HOLDS(chat.out, "You have not told me anything before", "the first");
    chat = run_threadkeeper(h, "which number?\n", "chat", NULL);
    check_exit(chat, 0, "another process");
    CHECK_HOLDS(chat.out, "(1) \"the number is 4711\". Now you ask: \"which number?\"",
                "it knows");
    chat = run_threadkeeper(h, "and here?\n", "chat", "elsewhere", NULL);
    CHECK_HOLDS(chat.out, "You have not told me anything before", "a conversation of its own");
    chat = run_threadkeeper(h, "!new\nwhat now?", "chat", NULL);
    check_exit(chat, 0, "two lines, the last without an end");
    CHECK_HOLDS(chat.out, "A fresh start", "!new");
    CHECK_HOLDS(chat.out, "You have not told me anything before. Now you ask: \"what now?\"",
                "forgotten");
    set_scenario(h, "iserror");
    chat = run_threadkeeper(h, "fail\n", "chat", NULL);
    check_exit(chat, 1, "a failed answer");
}

static void a_good_reload_is_in_force_at_once(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *path = xasprintf("%s/fake-cursor-agent.log", harness_workspace(h));
    AUTO_BUF struct buf record = { 0 };
    struct err err = { 0 };

    set_scenario(h, "ok");
    daemon_start(h);
    lab_say(h, BOB, BOB_DM, NULL, "before");
    lab_wait_reply(h, BOB_DM, NULL, "Now you ask: \"before\"");
    harness_set(h, "access", "deny_users: [U0ALICE]");
    harness_set(h, "agent", "mode: plan");
    harness_set(h, "slack", "ping_interval: 5s");
    daemon_reload(h);
    daemon_wait_log(h, "only a restart brings it into force: slack.ping_interval");
    CHECK_HOLDS(daemon_log(h), "in force now: ", "what changed");
    CHECK_HOLDS(daemon_log(h), "access.deny_users", "by name");
    lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");
    lab_wait_reply(h, DEV, NULL, "Sorry, you are on the list of people I do not answer");
    lab_say(h, BOB, BOB_DM, NULL, "after");
    lab_wait_reply(h, BOB_DM, NULL, "Now you ask: \"after\"");
    buf_init(&record, FILE_MAX_BYTES);
    if (file_read(path, &record, &err) < 0)
        harness_fail(h, "%s", err.message);
    CHECK_HOLDS(buf_text(&record), "\"plan\"", "the agent got the new mode");
    check_no_violations(h);
}

static void a_bad_reload_changes_nothing(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    harness_set(h, "agent", "mode: wild");
    harness_set(h, "access", "deny_users: [U0ALICE]");
    daemon_reload(h);
    daemon_wait_log(h, "configuration not reloaded, the old one stays in force");
    daemon_wait_log(h, "agent.mode: ");
    lab_say(h, ALICE, ALICE_DM, NULL, "hello");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"hello\"");
    harness_set(h, "agent", "mode: ask");
    daemon_reload(h);
    daemon_wait_log(h, "in force now: access.deny_users");
    check_no_violations(h);
}

static void a_second_daemon_is_refused(void **state)
{
    struct harness *h = *state;
    struct program second;

    daemon_start(h);
    second = run_threadkeeper(h, "", "run", NULL);
    check_exit(second, 1, "one daemon for a state directory");
    CHECK_HOLDS(second.err, "another threadkeeper runs with state_dir", "why");
    lab_say(h, ALICE, ALICE_DM, NULL, "still there?");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"still there?\"");
    check_no_violations(h);
}

static void check_environment(pid_t pid, const char *because)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/environ", (int)pid);
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };

    buf_init(&text, FILE_MAX_BYTES);
    if (file_read(path, &text, &err) < 0)
        return; /* closed to us: so it is to the agent */
    CHECK_INT(memmem(text.data, text.len, LAB_BOT_TOKEN, strlen(LAB_BOT_TOKEN)) == NULL, 1,
              because);
    CHECK_INT(memmem(text.data, text.len, LAB_APP_TOKEN, strlen(LAB_APP_TOKEN)) == NULL, 1,
              because);
}

/* The pid that the double wrote down at its last start. */
static pid_t agent_pid(struct harness *h)
{
    AUTO_FREE char *path = xasprintf("%s/fake-cursor-agent.log", harness_workspace(h));
    AUTO_BUF struct buf record = { 0 };
    struct err err = { 0 };
    json_auto_t *entry = NULL;

    buf_init(&record, FILE_MAX_BYTES);
    if (file_read(path, &record, &err) < 0)
        harness_fail(h, "%s", err.message);
    entry = json_loads(buf_text(&record), JSON_DISABLE_EOF_CHECK, NULL);
    return (pid_t)json_integer_value(json_object_get(entry, "pid"));
}

static void no_environment_holds_a_token(void **state)
{
    struct harness *h = *state;
    const char *wrap = getenv("TK_WRAP"); /* NOLINT(concurrency-mt-unsafe): one thread */

    setenv("SLACK_APP_TOKEN", LAB_APP_TOKEN, 1); /* NOLINT(concurrency-mt-unsafe) */
    setenv("SLACK_BOT_TOKEN", LAB_BOT_TOKEN, 1); /* NOLINT(concurrency-mt-unsafe) */
    harness_set(h, "slack", "app_token: ${SLACK_APP_TOKEN}");
    harness_set(h, "slack", "bot_token: ${SLACK_BOT_TOKEN}");
    set_scenario(h, "gate");
    daemon_start(h);
    unsetenv("SLACK_APP_TOKEN"); /* NOLINT(concurrency-mt-unsafe) */
    unsetenv("SLACK_BOT_TOKEN"); /* NOLINT(concurrency-mt-unsafe) */
    lab_say(h, ALICE, ALICE_DM, NULL, "go");
    lab_wait_text(h, ALICE_DM, NULL, "The gate is closed");
    if (!wrap || !strstr(wrap, "valgrind")) /* which keeps an environment of its own */
        check_environment(daemon_pid(h), "the daemon");
    check_environment(agent_pid(h), "the agent");
    open_gate(h);
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"go\"");
    CHECK_INT(strstr(daemon_log(h), LAB_BOT_TOKEN) == NULL, 1, "nor does the log, at debug");
    CHECK_INT(strstr(daemon_log(h), LAB_APP_TOKEN) == NULL, 1, "nor does the log, at debug");
    harness_set(h, "slack", "app_token: " LAB_APP_TOKEN);
    harness_set(h, "slack", "bot_token: " LAB_BOT_TOKEN);
    check_no_violations(h);
}

static void snapshots_at_intervals_survive_a_kill(void **state)
{
    struct harness *h = *state;

    harness_set(h, "memory", "durability: interval");
    harness_set(h, "memory", "snapshot_interval: 1h");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "remember 4711");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"remember 4711\"");
    lab_say(h, ALICE, ALICE_DM, NULL, "and 4712");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"and 4712\"");
    daemon_wait_metric(h, "turns_total{outcome=\"answered\"}", 2);
    daemon_kill(h);
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "which?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "(1) \"remember 4711\" (2) \"and 4712\". Now you ask: \"which?\"");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 3, "nothing is answered twice");
    check_no_violations(h);
}

static void without_a_store_it_answers_and_forgets(void **state)
{
    struct harness *h = *state;

    harness_set(h, "memory", "store: none");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "remember 4711");
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"remember 4711\"");
    lab_say(h, ALICE, ALICE_DM, NULL, "which?");
    lab_wait_reply(h, ALICE_DM, NULL, "(1) \"remember 4711\". Now you ask: \"which?\"");
    daemon_wait_metric(h, "turns_total{outcome=\"answered\"}",
                       2); /* else it is finished later */
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "and now?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "You have not told me anything before. Now you ask: \"and now?\"");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 3, "nothing is answered twice");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_sound_installation_has_no_problems),
              SCENARIO(check_names_what_is_wrong_and_its_mend),
              SCENARIO(check_says_what_slack_says_of_the_tokens),
              SCENARIO(check_tells_swapped_tokens_and_a_missing_login),
              SCENARIO(a_bad_configuration_is_told_whole),
              SCENARIO(the_manifest_is_the_same_in_yaml_and_json),
              SCENARIO(the_configuration_can_be_shown), SCENARIO(wrong_usage_ends_with_2),
              SCENARIO(status_asks_the_daemon),
              SCENARIO(the_listener_answers_what_is_asked_of_it),
              SCENARIO(chat_remembers_from_one_call_to_the_next),
              SCENARIO(a_good_reload_is_in_force_at_once),
              SCENARIO(a_bad_reload_changes_nothing), SCENARIO(a_second_daemon_is_refused),
              SCENARIO(no_environment_holds_a_token),
              SCENARIO(snapshots_at_intervals_survive_a_kill),
              SCENARIO(without_a_store_it_answers_and_forgets))
