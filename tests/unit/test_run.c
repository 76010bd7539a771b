#include "agent/run.h"

#include "tests/unit/run_lab.h"

#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <jansson.h>

#include "agent/fence.h"

/* The last record of the double, to be released by the caller. */
static json_t *read_record(void)
{
    char path[PATH_MAX + 64];
    struct buf text;
    json_t *record = NULL;

    buf_init(&text, (size_t)8 * 1024 * 1024);
    snprintf(path, sizeof(path), "%s/fake-cursor-agent.log", config_dir);
    assert_int_equal(file_read(path, &text, NULL), 0);
    record = json_loadb(buf_text(&text), strcspn(buf_text(&text), "\n"), 0, NULL);
    buf_deinit(&text);
    assert_non_null(record);
    return record;
}

static void a_run_streams_its_answer_and_ends_well(void **state)
{
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    play("ok", &spec, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
    CHECK_TEXT(buf_text(&seen.text),
               "You have not told me anything before. Now you ask: \"hello there\"", "ok");
    CHECK_INT(seen.started, 1, "one start");
    CHECK_INT(seen.result.output_tokens > 0, 1, "usage is read");
    CHECK_INT(seen.result.cache_read_tokens, 9216, "usage is read");
    CHECK_TEXT(seen.result.sentence, "", "nothing to explain");
    seen_deinit(&seen);
}

static void scenarios_end_as_they_should(void **state)
{
    static const struct {
        const char *scenario;
        enum agent_outcome outcome;
        bool is_partial;
        const char *text; /* all of it; NULL: not compared */
    } cases[] = {
        { "auth", AGENT_NOT_AUTHENTICATED, false, "" },
        { "badkey", AGENT_NOT_AUTHENTICATED, false, "" },
        { "trust", AGENT_UNTRUSTED_WORKSPACE, false, "" },
        { "trust0", AGENT_UNTRUSTED_WORKSPACE, false, "" },
        { "badmodel", AGENT_BAD_MODEL, false, "" },
        { "badflag", AGENT_BAD_OPTION, false, "" },
        { "limit", AGENT_USAGE_LIMIT, false, "" },
        { "limit init=1", AGENT_USAGE_LIMIT, false, "" },
        { "exhausted", AGENT_OVERLOADED, false, "" },
        { "exhausted init=1", AGENT_OVERLOADED, false, "" },
        { "race", AGENT_CONFIG_RACE, false, "" },
        { "flaky", AGENT_OVERLOADED, false, "" },
        { "noresult1", AGENT_NO_RESULT, true, "A partial answer" },
        { "noresult0", AGENT_NO_RESULT, true, "A partial answer" },
        { "iserror", AGENT_REPORTED_ERROR, false, "" },
        { "empty0", AGENT_NO_RESULT, false, "" },
        { "fastexit", AGENT_NO_RESULT, false, "" },
        { "crashmid", AGENT_CRASHED, true, "A partial answer" },
        { "nonl", AGENT_OK, false, "No newline at the end." },
        { "nostdin", AGENT_OK, false, NULL },
        { "badutf8", AGENT_OK, false, "a\xef\xbf\xbd\xef\xbf\xbdz" },
        { "nul", AGENT_OK, false, "before" },
        { "crlf", AGENT_OK, false, "one\ntwo" },
        { "bom", AGENT_OK, false, NULL },
        { "splitutf8", AGENT_OK, false, "\xf0\x9f\x98\x80 caf\xc3\xa9" },
        { "slowdrip pause_ms=0", AGENT_OK, false, "drip" },
        { "echo", AGENT_OK, false, "hello there" },
        { "variants", AGENT_OK, false,
          "haha / extended further / caf\xc3\xa9 \xf0\x9f\x98\x80 a/b" },
        { "orphan", AGENT_OK, false, NULL },
        { "orphansid", AGENT_OK, false, NULL },
        { "hangend", AGENT_OK, false, NULL },
        { "forkbomb-lite children=40", AGENT_OK, false, NULL },
        { "longline bytes=12582912", AGENT_OK, false, "After the long line." },
        { "errflood bytes=6000000", AGENT_OK, false, NULL },
    };
    struct agent_spec spec = plain_spec();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen seen;

        play(cases[i].scenario, &spec, &seen);
        if (seen.result.outcome != cases[i].outcome)
            print_message("%s\n", seen.result.cause);
        CHECK_INT(seen.result.outcome, cases[i].outcome, cases[i].scenario);
        CHECK_INT(seen.result.is_partial, cases[i].is_partial, cases[i].scenario);
        CHECK_INT(seen.result.sentence[0] == '\0', cases[i].outcome == AGENT_OK,
                  cases[i].scenario);
        if (cases[i].text)
            CHECK_TEXT(buf_text(&seen.text), cases[i].text, cases[i].scenario);
        seen_deinit(&seen);
    }
}

static void time_limits_end_what_does_not_end_itself(void **state)
{
    enum limit { FIRST_OUTPUT, IDLE, TOTAL };
    static const struct {
        const char *scenario;
        enum limit limit;
        enum agent_outcome outcome;
    } cases[] = {
        { "hang0", FIRST_OUTPUT, AGENT_NO_FIRST_OUTPUT },
        { "trusthang", FIRST_OUTPUT, AGENT_NO_FIRST_OUTPUT },
        { "hangmid", IDLE, AGENT_IDLE_TIMEOUT },
        { "closeout", IDLE, AGENT_IDLE_TIMEOUT },
        { "stopped", IDLE, AGENT_IDLE_TIMEOUT },
        { "igterm", IDLE, AGENT_IDLE_TIMEOUT },
        { "termclean", IDLE, AGENT_IDLE_TIMEOUT },
        { "bgshell", IDLE, AGENT_IDLE_TIMEOUT },
        { "chatter", TOTAL, AGENT_TIMEOUT },
        { "hang0", TOTAL, AGENT_TIMEOUT },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_spec spec = plain_spec();
        struct seen seen;

        if (cases[i].limit == FIRST_OUTPUT)
            spec.first_output_timeout_ms = 300;
        if (cases[i].limit == IDLE)
            spec.idle_timeout_ms = 300;
        if (cases[i].limit == TOTAL)
            spec.timeout_ms = 300;
        play(cases[i].scenario, &spec, &seen);
        CHECK_INT(seen.result.outcome, cases[i].outcome, cases[i].scenario);
        CHECK_INT(seen.ended_at_ms < 20000, 1, "long before the double would end");
        seen_deinit(&seen);
    }
}

static void output_over_its_limit_is_stopped(void **state)
{
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    spec.max_output_bytes = (int64_t)512 * 1024;
    play("flood", &spec, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OUTPUT_LIMIT, seen.result.cause);
    CHECK_INT(seen.result.is_partial, 1, "what came is kept");
    CHECK_INT(seen.text.len < (size_t)600 * 1024, 1, "and it is bounded");
    seen_deinit(&seen);
}

/* A linker, or git: not its output, but larger than that may be. */
static void a_file_that_an_agent_makes_may_be_larger_than_its_output(void **state)
{
    static const char *const command[] = {
        "/bin/sh", "-c", "head -c 1000000 /dev/zero >\"$TMPDIR\"/big && wc -c <\"$TMPDIR\"/big",
        NULL
    };
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    spec.command = command;
    spec.dialect = AGENT_DIALECT_TEXT;
    spec.max_output_bytes = (int64_t)512 * 1024;
    play("ok", &spec, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
    CHECK_HOLDS(buf_text(&seen.text), "1000000", "whole");
    seen_deinit(&seen);
}

static void the_text_of_a_hanging_end_is_there_at_once(void **state)
{
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    spec.kill_grace_ms = 1000;
    play("hangend", &spec, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OK, "hangend");
    CHECK_INT(seen.ended_at_ms >= seen.text_at_ms + 900, 1, "the grace comes after the text");
    seen_deinit(&seen);
}

static void tools_show_as_short_titles_and_open_paragraphs(void **state)
{
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    play("tools", &spec, &seen);
    CHECK_TEXT(buf_text(&seen.tools),
               "Reading auth.c;Searching the files;Running a command;denied Running a "
               "command;",
               "titles without arguments");
    CHECK_INT(seen.segments, 2, "a paragraph after each group of tools");
    CHECK_INT(seen.done, 3, "each tool is done");
    CHECK_INT(seen.denied, 1, "the command");
    CHECK_HOLDS(buf_text(&seen.text), "First I look at the files. / Then I try a command. / ",
                "text between");
    seen_deinit(&seen);
}

static void garbage_is_skipped_and_counted(void **state)
{
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    play("garbage", &spec, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
    CHECK_INT(seen.result.skipped_lines, 8, "eight lines are no events");
    CHECK_HOLDS(buf_text(&seen.text), "hello there", "the answer is whole");
    seen_deinit(&seen);
}

static void a_signal_on_the_cancel_descriptor_ends_the_run(void **state)
{
    static const char *const scenarios[] = { "hangmid", "igterm", "termclean", "stopped" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        struct agent_spec spec = plain_spec();
        AUTO_FD int cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        char id[AGENT_RUN_ID_BYTES];
        struct agent_run *run = NULL;
        struct agent_event event = { 0 };
        struct seen seen;
        struct err err = { 0 };

        spec.cancel_fd = cancel;
        write_scenario(scenarios[i]);
        seen_init(&seen);
        agent_run_new_id(id);
        assert_int_equal(agent_run_start(&spec, id, &run, &err), 0);
        while (event.kind != AGENT_EVENT_STARTED)
            agent_run_next(run, clock_now_ms() + PATIENCE_MS, &event);
        assert_int_equal(eventfd_write(cancel, 1), 0);
        read_to_end(run, &seen);
        CHECK_INT(seen.result.outcome, AGENT_CANCELLED, scenarios[i]);
        check_nothing_left(id, scenarios[i]);
        agent_run_free(run, false);
        seen_deinit(&seen);
    }
}

static bool list_holds(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    }
    return false;
}

static bool list_begins(const json_t *list, const char *prefix)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strncmp(json_string_value(json_array_get(list, i)), prefix, strlen(prefix)) == 0)
            return true;
    }
    return false;
}

static void an_agent_starts_in_a_clean_process(void **state)
{
    struct agent_spec spec = plain_spec();
    struct seen seen;
    json_auto_t *record = NULL;
    const json_t *env = NULL;
    const json_t *argv = NULL;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    play("ok", &spec, &seen);
    seen_deinit(&seen);
    record = read_record();
    env = json_object_get(record, "env");
    argv = json_object_get(record, "argv");
    CHECK_INT(list_begins(env, "SLACK_"), 0, "no token of Slack, though it was named");
    CHECK_INT(list_begins(env, "SECRET_OF_OURS"), 0, "nothing that was not named");
    CHECK_INT(list_begins(env, "THREADKEEPER_RUN="), 1, "the mark");
    CHECK_INT(list_holds(env, "CURSOR_API_KEY=k"), 1, "what was named");
    CHECK_INT(list_holds(env, "TERM=dumb"), 1, "fixed");
    CHECK_INT(list_holds(env, "NO_COLOR=1"), 1, "fixed");
    CHECK_INT(json_array_size(json_object_get(record, "fds")), 3, "stdin, stdout, stderr");
    CHECK_INT(json_array_size(json_object_get(record, "blocked")), 0, "no signal is blocked");
    CHECK_INT(json_array_size(json_object_get(record, "ignored")), 0, "none is ignored");
    CHECK_INT(json_integer_value(json_object_get(record, "sid")),
              json_integer_value(json_object_get(record, "pid")), "a session of its own");
    CHECK_INT(json_integer_value(json_object_get(record, "umask")), 077, "umask");
    CHECK_INT(json_integer_value(json_object_get(record, "limit_core")), 0, "no core");
    CHECK_INT(json_integer_value(json_object_get(record, "limit_fsize")),
              FENCE_DISK_OUTPUTS * spec.max_output_bytes, "file size");
    CHECK_TEXT(json_string_value(json_object_get(record, "cwd")), workspace, "workspace");
    CHECK_INT(json_is_true(json_object_get(record, "stdin_eof")), 1, "the prompt ends");
    CHECK_INT(list_holds(argv, "stream-json"), 1, "argv");
    CHECK_INT(list_holds(argv, "ask"), 1, "argv");
    CHECK_INT(list_begins(argv, "hello"), 0, "the prompt is not in argv");
}

static void modes_and_models_reach_the_command_line(void **state)
{
    static const struct {
        enum agent_mode mode;
        const char *has, *has_not;
    } cases[] = {
        { AGENT_MODE_ASK, "ask", "--force" },
        { AGENT_MODE_PLAN, "plan", "--force" },
        { AGENT_MODE_WRITE, "--force", "--mode" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_spec spec = plain_spec();
        struct seen seen;
        json_auto_t *record = NULL;

        spec.mode = cases[i].mode;
        spec.model = "gpt-5";
        play("ok", &spec, &seen);
        CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
        record = read_record();
        CHECK_INT(list_holds(json_object_get(record, "argv"), cases[i].has), 1, cases[i].has);
        CHECK_INT(list_holds(json_object_get(record, "argv"), cases[i].has_not), 0,
                  cases[i].has_not);
        CHECK_INT(list_holds(json_object_get(record, "argv"), "gpt-5"), 1, "model");
        seen_deinit(&seen);
    }
}

static void what_cannot_start_says_so(void **state)
{
    static const char *missing[] = { "/nonexistent/agent", NULL };
    static const char *unknown[] = { "no-such-program-anywhere", NULL };
    static const char *directory[] = { "/tmp", NULL };
    static const struct {
        const char **command;
        const char *workspace;
        const char *launcher;
        const char *step;
    } cases[] = {
        { missing, NULL, NULL, "exec" },
        { unknown, NULL, NULL, "exec" },
        { directory, NULL, NULL, "exec" },
        { double_command, "/nonexistent/workspace", NULL, "workspace" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_spec spec = plain_spec();
        struct seen seen;

        spec.command = cases[i].command;
        if (cases[i].workspace)
            spec.workspace = cases[i].workspace;
        play("ok", &spec, &seen);
        CHECK_INT(seen.result.outcome, AGENT_NOT_STARTED, seen.result.cause);
        CHECK_HOLDS(seen.result.cause, cases[i].step, "the step that failed");
        seen_deinit(&seen);
    }
}

static void a_missing_launcher_is_an_error_at_once(void **state)
{
    struct agent_spec spec = plain_spec();
    struct agent_run *run = NULL;
    struct err err = { 0 };
    struct stat info;
    char path[PATH_MAX + 64];

    (void)state;
    spec.launcher = "/nonexistent/threadkeeper";
    CHECK_INT(agent_run_start(&spec, "run-1", &run, &err), -1, "no launcher");
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    snprintf(path, sizeof(path), "%s/run-1", runs_dir);
    CHECK_INT(stat(path, &info), -1, "nothing stays behind");
    CHECK_INT(agent_run_start(&spec, "../evil", &run, &err), -1, "an id is no path");
    CHECK_INT(agent_run_attach(&spec, "../evil", &run, &err), -1, "an id is no path");
    CHECK_INT(agent_run_remove(runs_dir, "../evil", &err), -1, "an id is no path");
}

static void the_text_dialect_streams_stdout(void **state)
{
    static const char *good[] = { "/bin/sh", "-c", "printf 'a \\303'; printf '\\251 '; cat",
                                  NULL };
    static const char *empty[] = { "/bin/true", NULL };
    static const char *failing[] = { "/bin/sh", "-c", "echo some; exit 3", NULL };
    static const struct {
        const char **command;
        enum agent_outcome outcome;
        const char *text;
    } cases[] = {
        { good, AGENT_OK, "a \xc3\xa9 hi" },
        { empty, AGENT_NO_RESULT, "" },
        { failing, AGENT_NO_RESULT, "some\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_spec spec = plain_spec();
        struct seen seen;

        spec.dialect = AGENT_DIALECT_TEXT;
        spec.command = cases[i].command;
        spec.prompt = "hi";
        spec.prompt_len = 2;
        play("ok", &spec, &seen);
        CHECK_INT(seen.result.outcome, cases[i].outcome, seen.result.cause);
        CHECK_TEXT(buf_text(&seen.text), cases[i].text, "text");
        seen_deinit(&seen);
    }
}

static void a_live_run_is_taken_up_again(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    char gate[PATH_MAX + 64];
    struct agent_run *run = NULL;
    struct seen seen;
    struct err err = { 0 };

    (void)state;
    snprintf(gate, sizeof(gate), "%s/gate", config_dir);
    unlink(gate);
    start_for_attach("gate", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "closed. ");
    agent_run_free(run, true);
    assert_int_equal(agent_run_attach(&spec, id, &run, &err), 0);
    buf_clear(&seen.text);
    wait_for_text(run, &seen, "The gate is closed. "); /* all events come again */
    assert_int_equal(file_write(gate, "", 0, 0600, NULL), 0);
    read_to_end(run, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
    CHECK_HOLDS(buf_text(&seen.text), "The gate is closed. The gate is open. ", "and go on");
    check_nothing_left(id, "attached");
    agent_run_free(run, false);
    seen_deinit(&seen);
}

static void runs_of_a_dead_daemon_are_finished(void **state)
{
    static const struct {
        const char *scenario;
        int64_t timeout_ms;
        enum agent_outcome outcome;
        bool opens_gate;
    } cases[] = {
        { "ok", PATIENCE_MS, AGENT_OK, false },
        { "gate", PATIENCE_MS, AGENT_OK, true },
        { "hangmid", 1, AGENT_TIMEOUT, false },
        { "auth", PATIENCE_MS, AGENT_NOT_AUTHENTICATED, false },
        { "hangend", PATIENCE_MS, AGENT_OK, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_spec spec = plain_spec();
        char id[AGENT_RUN_ID_BYTES];
        char gate[PATH_MAX + 64];
        struct agent_run *run = NULL;
        struct seen seen;
        struct err err = { 0 };

        spec.timeout_ms = cases[i].timeout_ms;
        snprintf(gate, sizeof(gate), "%s/gate", config_dir);
        unlink(gate);
        start_in_another_process(cases[i].scenario, id);
        if (agent_run_attach(&spec, id, &run, &err) != 0)
            fail_msg("%s: %s", cases[i].scenario, err.message);
        if (cases[i].opens_gate)
            assert_int_equal(file_write(gate, "", 0, 0600, NULL), 0);
        seen_init(&seen);
        read_to_end(run, &seen);
        CHECK_INT(seen.result.outcome, cases[i].outcome, cases[i].scenario);
        check_nothing_left(id, cases[i].scenario);
        agent_run_free(run, false);
        seen_deinit(&seen);
    }
}

static void a_run_that_died_unseen_is_lost(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct seen seen;
    struct err err = { 0 };
    siginfo_t info;

    (void)state;
    start_for_attach("hangmid", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "A partial answer");
    agent_run_free(run, true);
    process_signal_run(id, 0, SIGKILL);
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        agent_reap_orphans(); /* until we have no child any more */
    assert_int_equal(agent_run_attach(&spec, id, &run, &err), 0);
    buf_clear(&seen.text);
    read_to_end(run, &seen);
    CHECK_INT(seen.result.outcome, AGENT_LOST, seen.result.cause);
    CHECK_INT(seen.result.is_partial, 1, "its text is read");
    CHECK_TEXT(buf_text(&seen.text), "A partial answer", "its text is read");
    agent_run_free(run, false);
    seen_deinit(&seen);
    CHECK_INT(agent_run_attach(&spec, "no-such-run", &run, &err), -1, "unknown");
    CHECK_INT(err.kind, ERR_INPUT, err.message);
}

static void freeing_a_live_run_kills_it(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct seen seen;

    (void)state;
    start_for_attach("igterm", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "A partial answer");
    agent_run_free(run, false);
    check_nothing_left(id, "freed");
    seen_deinit(&seen);
}

static void a_deadline_returns_without_an_event(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_event event = { 0 };

    (void)state;
    start_for_attach("hang0", &spec, id, &run);
    agent_run_next(run, clock_now_ms() + 20, &event);
    CHECK_INT(event.kind, AGENT_EVENT_NONE, "nothing yet");
    agent_run_free(run, false);
    check_nothing_left(id, "freed");
}

static void runs_work_without_file_notices(void **state)
{
    int instances[1024];
    size_t count = 0;
    struct agent_spec spec = plain_spec();
    struct seen seen;

    (void)state;
    while (count < ARRAY_LEN(instances) && (instances[count] = inotify_init1(IN_CLOEXEC)) >= 0)
        count++;
    play("tools", &spec, &seen);
    while (count > 0)
        close(instances[--count]);
    CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
    seen_deinit(&seen);
}

static void directories_are_private(void **state)
{
    struct agent_spec spec = plain_spec();
    static const char *const files[] = { "", "/prompt", "/out.ndjson", "/err.log",
                                         "/meta.json" };
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct seen seen;

    (void)state;
    start_for_attach("ok", &spec, id, &run);
    seen_init(&seen);
    read_to_end(run, &seen);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[PATH_MAX + 64];
        struct stat info;

        snprintf(path, sizeof(path), "%s/%s%s", runs_dir, id, files[i]);
        assert_int_equal(stat(path, &info), 0);
        CHECK_INT(info.st_mode & 0777, i == 0 ? 0700 : 0600, path);
    }
    agent_run_free(run, false);
    seen_deinit(&seen);
}

static void a_check_says_what_is_wrong(void **state)
{
    static const char *missing[] = { "no-such-program-anywhere", NULL };
    static const char *failing[] = { "/bin/false", NULL };
    static const char *no_names[] = { NULL };
    static const struct {
        const char **command;
        const char **env_names;
        enum agent_check want;
    } cases[] = {
        { double_command, handed_on, AGENT_CHECK_OK },
        { double_command, no_names, AGENT_CHECK_NOT_LOGGED_IN },
        { missing, handed_on, AGENT_CHECK_NOT_FOUND },
        { failing, handed_on, AGENT_CHECK_FAILED },
    };

    (void)state;
    write_scenario("ok");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf detail;

        buf_init(&detail, 4096);
        CHECK_INT(agent_check_command((const char *const *)cases[i].command,
                                      AGENT_DIALECT_CURSOR,
                                      (const char *const *)cases[i].env_names, &detail),
                  cases[i].want, buf_text(&detail));
        CHECK_INT(detail.len > 0, 1, "says something");
        buf_deinit(&detail);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_streams_its_answer_and_ends_well),
        TEST(scenarios_end_as_they_should),
        TEST(time_limits_end_what_does_not_end_itself),
        TEST(output_over_its_limit_is_stopped),
        TEST(a_file_that_an_agent_makes_may_be_larger_than_its_output),
        TEST(the_text_of_a_hanging_end_is_there_at_once),
        TEST(tools_show_as_short_titles_and_open_paragraphs),
        TEST(garbage_is_skipped_and_counted),
        TEST(a_signal_on_the_cancel_descriptor_ends_the_run),
        TEST(an_agent_starts_in_a_clean_process),
        TEST(modes_and_models_reach_the_command_line),
        TEST(what_cannot_start_says_so),
        TEST(a_missing_launcher_is_an_error_at_once),
        TEST(the_text_dialect_streams_stdout),
        TEST(a_live_run_is_taken_up_again),
        TEST(runs_of_a_dead_daemon_are_finished),
        TEST(a_run_that_died_unseen_is_lost),
        TEST(freeing_a_live_run_kills_it),
        TEST(a_deadline_returns_without_an_event),
        TEST(runs_work_without_file_notices),
        TEST(directories_are_private),
        TEST(a_check_says_what_is_wrong),
    };

    return lab_main(argc, argv, tests, NULL);
}
