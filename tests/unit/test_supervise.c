#include "agent/supervise.h"

#include "tests/unit/run_lab.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "agent/meta.h"
#include "agent/run_dir.h"
#include "base/random.h"

#define INSTANTS       24
#define INSTANT_MAX_US 60000

/* ---- lives and helpers --------------------------------------------------------------------
 */

/* "slow": prints, takes its time, prints. "orphan": leaves a process that nothing but descent
 * finds, whose pid it prints to the workspace. */
static struct agent_spec script_spec(const char **command, const char *script)
{
    struct agent_spec spec = plain_spec();

    command[0] = "/bin/sh";
    command[1] = "-c";
    command[2] = script;
    command[3] = NULL;
    spec.command = command;
    spec.dialect = AGENT_DIALECT_TEXT;
    spec.fence = AGENT_FENCE_OFF; /* what is tested here must not need one */
    return spec;
}

/* ID SCRIPT LIMIT: starts it with one of the limits short and goes. */
static int live_start_script(char **arguments)
{
    const char *command[4];
    struct agent_spec spec = script_spec(command, arguments[1]);
    struct agent_run *run = NULL;

    if (strcmp(arguments[2], "first") == 0)
        spec.first_output_timeout_ms = 100;
    if (strcmp(arguments[2], "idle") == 0)
        spec.idle_timeout_ms = 100;
    if (strcmp(arguments[2], "total") == 0)
        spec.timeout_ms = 100;
    if (agent_run_start(&spec, arguments[0], &run, NULL) != 0)
        return 1;
    agent_run_free(run, true);
    return 0;
}

/* ID: a daemon that follows the run until it ends, or until we are killed. */
static int live_daemon(char **arguments)
{
    struct agent_spec spec = plain_spec();
    struct agent_run *run = NULL;
    struct agent_event event = { 0 };

    if (agent_run_start(&spec, arguments[0], &run, NULL) != 0)
        return 1;
    while (event.kind != AGENT_EVENT_ENDED)
        agent_run_next(run, CLOCK_FOREVER_MS, &event);
    agent_run_free(run, false);
    return 0;
}

static pid_t begin_life(const char *name, const char *a, const char *b, const char *c)
{
    char *argv[] = { self_path, (char *)name, home, (char *)a, (char *)b, (char *)c, NULL };
    pid_t pid = 0;

    assert_int_equal(posix_spawn(&pid, self_path, NULL, NULL, argv, environ), 0);
    return pid;
}

static void start_script_elsewhere(const char *script, const char *limit, char *id)
{
    pid_t pid = 0;
    int status = 0;

    agent_run_new_id(id);
    pid = begin_life("start-script", id, script, limit);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void step_back(void)
{
    struct timespec pause = { .tv_nsec = 2000000 };

    nanosleep(&pause, NULL);
}

static void wait_until_nothing_lives(const char *id)
{
    int64_t give_up_ms = clock_now_ms() + PATIENCE_MS;

    while (process_signal_run(id, 0, 0) > 0) {
        if (clock_now_ms() > give_up_ms)
            fail_msg("run %s goes on", id);
        step_back();
    }
    agent_reap_orphans();
}

/* One that is on its way out is no member of its run any more, and no zombie yet. */
static void reap_all(void)
{
    int64_t give_up_ms = clock_now_ms() + PATIENCE_MS;
    siginfo_t info;

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           clock_now_ms() < give_up_ms)
        agent_reap_orphans();
}

static struct agent_meta read_meta(const char *id)
{
    AUTO_FREE char *dir = xasprintf("%s/%s", runs_dir, id);
    struct agent_meta meta = { 0 };
    struct err err = { 0 };

    if (agent_meta_read(dir, &meta, &err) != 0)
        fail_msg("%s", err.message);
    return meta;
}

static void attach_and_read(const char *id, struct seen *seen)
{
    struct agent_spec spec = plain_spec();
    struct agent_run *run = NULL;
    struct err err = { 0 };

    seen_init(seen);
    if (agent_run_attach(&spec, id, &run, &err) != 0)
        fail_msg("%s", err.message);
    read_to_end(run, seen);
    agent_run_free(run, false);
}

static const char *hidden_path(void)
{
    static char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/hidden.pid", workspace);
    return path;
}

/* A script that leaves a process without its session, its parents and its environment. */
static char *hiding_script(const char *rest)
{
    unlink(hidden_path());
    return xasprintf("setsid env -i /bin/sh -c '(trap \"\" TERM HUP; /bin/sleep 1000 & "
                     "echo $! > %s.tmp; /bin/mv %s.tmp %s) &'; "
                     "while [ ! -e %s ]; do sleep 0.01; done; %s",
                     hidden_path(), hidden_path(), hidden_path(), hidden_path(), rest);
}

static pid_t hidden_pid(void)
{
    struct buf text;
    pid_t pid = 0;

    buf_init(&text, 64);
    assert_int_equal(file_read(hidden_path(), &text, NULL), 0);
    pid = (pid_t)strtol(buf_text(&text), NULL, 10);
    buf_deinit(&text);
    assert_int_equal(pid > 1, 1);
    return pid;
}

static void check_gone(pid_t pid, const char *because)
{
    struct process_stat stat;
    int64_t give_up_ms = clock_now_ms() + PATIENCE_MS;

    /* A zombie of whoever inherited it is gone, too. */
    while (process_read_stat(pid, &stat) && stat.state != 'Z') {
        if (clock_now_ms() > give_up_ms)
            fail_msg("%s: process %d lives", because, (int)pid);
        step_back();
    }
}

/* ---- tests --------------------------------------------------------------------------------
 */

static void a_daemon_killed_at_any_instant_leaves_a_run_that_is_finished_or_none(void **state)
{
    size_t delivered = 0, lost = 0, none = 0;

    (void)state;
    for (size_t i = 0; i < INSTANTS; i++) {
        struct agent_spec spec = plain_spec();
        char id[AGENT_RUN_ID_BYTES];
        struct timespec instant = {
            .tv_nsec = (long)random_below(INSTANT_MAX_US * (i % 4 + 1)) * 1000 / 2
        };
        struct agent_run *run = NULL;
        struct seen seen;
        struct err err = { 0 };
        pid_t daemon = 0;

        write_scenario("ok pause_ms=2");
        agent_run_new_id(id);
        daemon = begin_life("daemon", id, NULL, NULL);
        nanosleep(&instant, NULL);
        kill(daemon, SIGKILL);
        assert_int_equal(waitpid(daemon, NULL, 0), daemon);
        seen_init(&seen);
        if (agent_run_attach(&spec, id, &run, &err) != 0) {
            CHECK_INT(err.kind, ERR_INPUT, err.message);
            wait_until_nothing_lives(id); /* a child that had not executed anything yet */
            none++;
        } else {
            read_to_end(run, &seen);
            agent_run_free(run, false);
            delivered += seen.result.outcome == AGENT_OK;
            lost += seen.result.outcome == AGENT_LOST;
            if (seen.result.outcome == AGENT_OK)
                CHECK_HOLDS(buf_text(&seen.text), "Now you ask: \"hello there\"", "all of it");
        }
        reap_all();
        check_nothing_left(id, "killed");
        seen_deinit(&seen);
        agent_run_remove(runs_dir, id, NULL);
    }
    CHECK_INT(delivered + lost + none, INSTANTS, "each has exactly one end");
    print_message("delivered %zu, lost %zu, never begun %zu\n", delivered, lost, none);
}

static void the_exit_status_is_known_after_a_restart(void **state)
{
    static const struct {
        const char *script;
        enum agent_outcome outcome;
        const char *cause;
    } cases[] = {
        { "echo hi", AGENT_OK, "exit status 0" },
        { "echo hi; exit 3", AGENT_NO_RESULT, "exit status 3" },
        { "echo hi; kill -SEGV $$", AGENT_CRASHED, "killed by signal 11" },
        { "exec /nonexistent/agent", AGENT_NO_RESULT, "exit status 127" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[AGENT_RUN_ID_BYTES];
        struct seen seen;

        start_script_elsewhere(cases[i].script, "", id);
        wait_until_nothing_lives(id);
        attach_and_read(id, &seen);
        CHECK_INT(seen.result.outcome, cases[i].outcome, seen.result.cause);
        CHECK_HOLDS(seen.result.cause, cases[i].cause, cases[i].script);
        reap_all();
        check_nothing_left(id, cases[i].script);
        seen_deinit(&seen);
    }
}

static void time_limits_hold_while_no_daemon_watches(void **state)
{
    static const struct {
        const char *script, *limit;
        enum agent_outcome outcome;
    } cases[] = {
        { "sleep 1000", "first", AGENT_NO_FIRST_OUTPUT },
        { "echo hi; sleep 1000", "idle", AGENT_IDLE_TIMEOUT },
        { "while echo x; do sleep 0.05; done", "total", AGENT_TIMEOUT },
        { "echo hi; kill -STOP $$", "idle", AGENT_IDLE_TIMEOUT },
    };
    char ids[ARRAY_LEN(cases)][AGENT_RUN_ID_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) /* all at once: they wait for clocks */
        start_script_elsewhere(cases[i].script, cases[i].limit, ids[i]);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        wait_until_nothing_lives(ids[i]);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen seen;

        attach_and_read(ids[i], &seen);
        CHECK_INT(seen.result.outcome, cases[i].outcome, cases[i].script);
        CHECK_INT(seen.result.is_partial, strstr(cases[i].script, "echo") != NULL,
                  "what it said before is read");
        reap_all();
        check_nothing_left(ids[i], cases[i].script);
        seen_deinit(&seen);
    }
}

static void what_hides_from_everybody_is_found_and_ended(void **state)
{
    AUTO_FREE char *script = hiding_script("echo done");
    const char *command[4];
    struct agent_spec spec = script_spec(command, script);
    struct seen seen;

    (void)state;
    play("ok", &spec, &seen);
    CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
    check_gone(hidden_pid(), "left behind by an agent that ended");
    seen_deinit(&seen);
}

/* The kernel kills the agent with it, the rest comes to the daemon. */
static void a_supervisor_that_is_killed_leaves_nothing(void **state)
{
    AUTO_FREE char *script = hiding_script("echo begun; sleep 1000 & sleep 1000");
    const char *command[4];
    struct agent_spec spec = script_spec(command, script);
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_meta meta;
    struct seen seen;

    (void)state;
    start_for_attach("ok", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "begun");
    meta = read_meta(id);
    CHECK_INT(meta.is_supervised, 1, "it signed");
    CHECK_INT(meta.agent_pid != meta.pid, 1, "for the agent, too");
    kill(meta.pid, SIGKILL);
    read_to_end(run, &seen);
    CHECK_INT(seen.result.outcome, AGENT_CRASHED, seen.result.cause);
    check_gone(meta.agent_pid, "the agent");
    check_gone(hidden_pid(), "what only descent finds");
    reap_all();
    check_nothing_left(id, "killed");
    agent_run_free(run, false);
    agent_meta_deinit(&meta);
    seen_deinit(&seen);
}

static void a_supervisor_that_is_killed_unseen_means_a_lost_run(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_meta meta;
    struct seen seen;

    (void)state;
    start_for_attach("hangmid", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "A partial answer");
    seen_deinit(&seen);
    meta = read_meta(id);
    agent_run_free(run, true);
    kill(meta.pid, SIGKILL);
    wait_until_nothing_lives(id);
    reap_all(); /* a zombie of ours would say how it ended */
    attach_and_read(id, &seen);
    CHECK_INT(seen.result.outcome, AGENT_LOST, seen.result.cause);
    reap_all();
    check_nothing_left(id, "lost");
    agent_meta_deinit(&meta);
    seen_deinit(&seen);
}

/* Whoever stops it wins nothing: it is woken together with being told to end. */
static void a_supervisor_that_was_stopped_still_ends_its_run(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_meta meta;
    struct seen seen;

    (void)state;
    start_for_attach("hangmid", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "A partial answer");
    meta = read_meta(id);
    kill(meta.pid, SIGSTOP);
    agent_run_free(run, false);
    check_nothing_left(id, "stopped");
    agent_meta_deinit(&meta);
    seen_deinit(&seen);
}

static void a_sigterm_to_the_supervisor_ends_the_run(void **state)
{
    AUTO_FREE char *script = hiding_script("echo begun; sleep 1000 & sleep 1000");
    const char *command[4];
    struct agent_spec spec = script_spec(command, script);
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_meta meta;
    struct seen seen;

    (void)state;
    start_for_attach("ok", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "begun");
    meta = read_meta(id);
    kill(meta.pid, SIGTERM);
    read_to_end(run, &seen);
    CHECK_INT(seen.result.outcome, AGENT_CRASHED, seen.result.cause);
    CHECK_HOLDS(seen.result.cause, "killed by signal 15", "the agent's own status");
    check_gone(hidden_pid(), "SIGTERM was ignored");
    check_nothing_left(id, "ended");
    agent_run_free(run, false);
    agent_meta_deinit(&meta);
    seen_deinit(&seen);
}

/* The person has pressed Stop, the agent has its grace, the daemon is replaced. */
static void why_a_run_was_being_ended_is_known_after_a_restart(void **state)
{
    struct agent_spec spec = plain_spec();
    AUTO_FD int cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_event event = { 0 };
    struct seen seen;

    (void)state;
    spec.cancel_fd = cancel;
    spec.kill_grace_ms = 400;
    start_for_attach("igterm", &spec, id, &run);
    seen_init(&seen);
    wait_for_text(run, &seen, "A partial answer");
    assert_int_equal(eventfd_write(cancel, 1), 0);
    agent_run_next(run, clock_now_ms(), &event);
    CHECK_INT(event.kind, AGENT_EVENT_NONE, "still ending");
    agent_run_free(run, true);
    seen_deinit(&seen);
    attach_and_read(id, &seen);
    CHECK_INT(seen.result.outcome, AGENT_CANCELLED, seen.result.cause);
    CHECK_TEXT(buf_text(&seen.text), "A partial answer", "its text is read all the same");
    check_nothing_left(id, "stopped");
    seen_deinit(&seen);
}

/* What a version without supervisors left: the signature is the agent's own. */
static void a_run_of_an_older_version_is_taken_up(void **state)
{
    static const char older[] =
        "{\"dialect\":\"text\",\"workspace\":\"/\",\"argv\":[\"sh\"],\"max_output_bytes\":"
        "1000000,\"started_wall_s\":%lld,\"pid\":%d,\"start_ticks\":\"%llu\",\"boot_id\":\"%"
        "s\"}";
    static const char *const ends[] = { "exit 0", "sleep 1000" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct agent_spec spec = plain_spec();
        char id[AGENT_RUN_ID_BYTES], boot_id[PROCESS_BOOT_ID_BYTES];
        AUTO_FREE char *script = NULL;
        AUTO_FREE char *mark = NULL;
        AUTO_FREE char *text = NULL;
        AUTO_FREE char *dir = NULL;
        struct agent_run *run = NULL;
        struct process_stat stat;
        struct seen seen;
        struct err err = { 0 };
        pid_t pid = 0;

        agent_run_new_id(id);
        dir = xasprintf("%s/%s", runs_dir, id);
        mark = xasprintf(PROCESS_MARK "=%s", id);
        script = xasprintf("exec >>%s/out.ndjson; echo old; while [ ! -e %s/go ]; do sleep "
                           "0.01; done; echo new; %s",
                           dir, dir, ends[i]);
        assert_int_equal(file_make_dirs(dir, 0700, NULL), 0);
        {
            char *argv[] = { (char *)"sh", (char *)"-c", script, NULL };
            char *environment[] = { mark, (char *)"PATH=/usr/bin:/bin", NULL };

            assert_int_equal(
                process_spawn("/bin/sh", NULL, NULL, argv, environment, &pid, &err), 0);
        }
        assert_int_equal(process_read_stat(pid, &stat), 1);
        process_boot_id(boot_id);
        text = xasprintf(older, (long long)clock_wall_s(), (int)pid,
                         (unsigned long long)stat.start_ticks, boot_id);
        agent_meta_write_file(dir, AGENT_FILE_META, text, strlen(text), NULL);
        assert_int_equal(agent_run_attach(&spec, id, &run, &err), 0);
        seen_init(&seen);
        wait_for_text(run, &seen, "old");
        agent_meta_write_file(dir, "go", "", 0, NULL);
        wait_for_text(run, &seen, "new");
        if (i == 0) {
            read_to_end(run, &seen);
            CHECK_INT(seen.result.outcome, AGENT_OK, seen.result.cause);
        }
        agent_run_free(run, false);
        check_nothing_left(id, ends[i]);
        seen_deinit(&seen);
    }
}

static void what_passes_is_tried_again(void **state)
{
    static const struct {
        const char *scenario;
        enum agent_mode mode;
        unsigned attempts; /* behind the first */
        enum agent_outcome outcome;
    } cases[] = {
        { "race times=3", AGENT_MODE_ASK, 3, AGENT_OK },
        { "race times=3", AGENT_MODE_WRITE, 3, AGENT_OK },
        { "race times=99", AGENT_MODE_ASK, 6, AGENT_CONFIG_RACE },
        { "flaky", AGENT_MODE_ASK, 1, AGENT_OK },
        { "exhausted", AGENT_MODE_ASK, 1, AGENT_OVERLOADED },
        { "exhausted", AGENT_MODE_WRITE, 0, AGENT_OVERLOADED },
        { "exhausted init=1", AGENT_MODE_ASK, 1, AGENT_OVERLOADED },
        { "exhausted init=1", AGENT_MODE_WRITE, 0, AGENT_OVERLOADED },
        { "limit", AGENT_MODE_ASK, 0, AGENT_USAGE_LIMIT },
        { "auth", AGENT_MODE_ASK, 0, AGENT_NOT_AUTHENTICATED },
        { "noresult1", AGENT_MODE_ASK, 0, AGENT_NO_RESULT },
        { "crashmid", AGENT_MODE_ASK, 0, AGENT_CRASHED },
        { "ok", AGENT_MODE_ASK, 0, AGENT_OK },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_spec spec = plain_spec();
        size_t descriptors = count_descriptors();
        char id[AGENT_RUN_ID_BYTES];
        struct agent_run *run = NULL;
        unsigned attempts = 0;
        int64_t wait_ms = 0;
        struct seen seen;
        struct err err = { 0 };

        spec.mode = cases[i].mode;
        start_for_attach(cases[i].scenario, &spec, id, &run);
        seen_init(&seen);
        for (;; attempts++) {
            read_to_end(run, &seen);
            check_nothing_left(id, cases[i].scenario);
            if (!agent_run_may_repeat(run, &wait_ms))
                break;
            CHECK_INT(wait_ms >= 150 && wait_ms <= 10000, 1, "a pause");
            if (agent_run_again(run, &err) != 0)
                fail_msg("%s", err.message);
            seen.started = 0;
        }
        CHECK_INT(attempts, cases[i].attempts, cases[i].scenario);
        CHECK_INT(seen.result.outcome, cases[i].outcome, cases[i].scenario);
        CHECK_INT(seen.started <= 1, 1, "what the failed ones said is forgotten");
        agent_run_free(run, false);
        CHECK_INT(count_descriptors(), descriptors, cases[i].scenario);
        seen_deinit(&seen);
    }
}

/* Nothing on its output says nothing about what it did. */
static void an_agent_that_prints_at_its_end_is_not_tried_again(void **state)
{
    static const char *const command[] = {
        "/bin/sh", "-c",
        "echo \"ENOENT: no such file or directory, rename '/x/cli-config.json.tmp' -> "
        "'/x/cli-config.json'\" >&2; exit 1",
        NULL
    };
    static const enum agent_mode modes[] = { AGENT_MODE_ASK, AGENT_MODE_WRITE };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct agent_spec spec = plain_spec();
        char id[AGENT_RUN_ID_BYTES];
        struct agent_run *run = NULL;
        int64_t wait_ms = 0;
        struct seen seen;

        spec.command = command;
        spec.dialect = AGENT_DIALECT_TEXT;
        spec.mode = modes[i];
        start_for_attach("ok", &spec, id, &run);
        seen_init(&seen);
        read_to_end(run, &seen);
        CHECK_INT(seen.result.outcome, AGENT_CONFIG_RACE, seen.result.cause);
        CHECK_INT(agent_run_may_repeat(run, &wait_ms), modes[i] == AGENT_MODE_ASK,
                  "only where it may not write");
        agent_run_free(run, false);
        seen_deinit(&seen);
    }
}

static void a_run_of_another_process_is_not_tried_again(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    int64_t wait_ms = 0;
    struct seen seen;
    struct err err = { 0 };

    (void)state;
    start_in_another_process("race times=9", id);
    assert_int_equal(agent_run_attach(&spec, id, &run, &err), 0);
    seen_init(&seen);
    CHECK_INT(agent_run_may_repeat(run, &wait_ms), 0, "it has not ended");
    read_to_end(run, &seen);
    CHECK_INT(seen.result.outcome, AGENT_CONFIG_RACE, seen.result.cause);
    CHECK_INT(agent_run_may_repeat(run, &wait_ms), 0, "its environment is not ours");
    CHECK_INT(agent_run_again(run, &err), -1, "so it cannot");
    agent_run_free(run, false);
    reap_all();
    check_nothing_left(id, "attached");
    seen_deinit(&seen);
}

static void the_directory_holds_what_the_agent_and_the_person_put_there(void **state)
{
    struct agent_spec spec = plain_spec();
    char id[AGENT_RUN_ID_BYTES];
    AUTO_FREE char *inbox = NULL;
    AUTO_FREE char *outbox = NULL;
    AUTO_FREE char *temporary = NULL;
    struct agent_run *run = NULL;
    struct seen seen;
    struct err err = { 0 };

    (void)state;
    agent_run_new_id(id);
    inbox = xasprintf("%s/%s/" RUN_DIR_INBOX, runs_dir, id);
    outbox = xasprintf("%s/%s/" RUN_DIR_OUTBOX, runs_dir, id);
    temporary = xasprintf("%s/%s/" RUN_DIR_TMP, runs_dir, id);
    CHECK_INT(run_dir_is_unstarted(runs_dir, id), 0, "it may have been removed");
    CHECK_INT(run_dir_note_attempt(runs_dir, id), 1, "nothing is made for that");
    assert_int_equal(run_dir_make(runs_dir, id, &err), 0);
    CHECK_INT(run_dir_is_unstarted(runs_dir, id), 1, "certainly");
    assert_int_equal(file_make_dirs(inbox, 0700, &err), 0);
    for (unsigned i = 1; i <= 3; i++)
        CHECK_INT(run_dir_note_attempt(runs_dir, id), i, "each counts");
    run_dir_forget_attempts(runs_dir, id);
    CHECK_INT(run_dir_note_attempt(runs_dir, id), 1, "from the beginning");
    write_scenario("ok");
    assert_int_equal(agent_run_start(&spec, id, &run, &err), 0);
    CHECK_INT(run_dir_is_unstarted(runs_dir, id), 0, "not any more");
    CHECK_INT(run_dir_make(runs_dir, id, &err), -1, "of another run");
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    CHECK_INT(access(inbox, F_OK), 0, "what the person sent");
    CHECK_INT(access(outbox, F_OK), 0, "what the agent gives");
    CHECK_INT(access(temporary, F_OK), 0, "its TMPDIR");
    seen_init(&seen);
    read_to_end(run, &seen);
    agent_run_free(run, false);
    seen_deinit(&seen);
    CHECK_INT(run_dir_make(runs_dir, "../evil", &err), -1, "an id is no path");
}

static const struct lab_life lives[] = {
    { "start-script", live_start_script },
    { "daemon", live_daemon },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_daemon_killed_at_any_instant_leaves_a_run_that_is_finished_or_none),
        TEST(the_exit_status_is_known_after_a_restart),
        TEST(time_limits_hold_while_no_daemon_watches),
        TEST(what_hides_from_everybody_is_found_and_ended),
        TEST(a_supervisor_that_is_killed_leaves_nothing),
        TEST(a_supervisor_that_is_killed_unseen_means_a_lost_run),
        TEST(a_supervisor_that_was_stopped_still_ends_its_run),
        TEST(a_sigterm_to_the_supervisor_ends_the_run),
        TEST(why_a_run_was_being_ended_is_known_after_a_restart),
        TEST(a_run_of_an_older_version_is_taken_up),
        TEST(what_passes_is_tried_again),
        TEST(an_agent_that_prints_at_its_end_is_not_tried_again),
        TEST(a_run_of_another_process_is_not_tried_again),
        TEST(the_directory_holds_what_the_agent_and_the_person_put_there),
    };

    return lab_main(argc, argv, tests, lives);
}
