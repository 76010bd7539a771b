#include "agent/process.h"

#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/meta.h"
#include "agent/run.h"
#include "base/clock.h"
#include "base/file.h"

#define PATIENCE_MS 20000

static char mark[] = "THREADKEEPER_RUN=test-process-1";

/* A shell in a session of its own, with the mark when `is_marked`. */
static pid_t start_shell(const char *script, bool is_marked)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
    char path[] = "PATH=/usr/bin:/bin";
    char *environment[] = { path, is_marked ? mark : NULL, NULL };
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    struct err err = { 0 };

    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    if (process_spawn("/bin/sh", NULL, &attributes, argv, environment, &pid, &err) != 0)
        fail_msg("%s", err.message);
    posix_spawnattr_destroy(&attributes);
    return pid;
}

static void wait_for_count(pid_t leader, size_t want, const char *because)
{
    int64_t give_up_ms = clock_now_ms() + PATIENCE_MS;
    size_t got = 0;

    while ((got = process_signal_run("test-process-1", leader, 0)) != want) {
        if (clock_now_ms() > give_up_ms)
            fail_msg("%zu processes, want %zu: %s", got, want, because);
        agent_reap_orphans();
        poll(NULL, 0, 2);
    }
}

static void kill_all(pid_t leader)
{
    siginfo_t info;

    while (process_signal_run("test-process-1", leader, SIGKILL) > 0)
        poll(NULL, 0, 2);
    process_reap(leader);
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        agent_reap_orphans();
        poll(NULL, 0, 2);
    }
}

static void a_process_is_named_by_pid_and_start(void **state)
{
    struct process_stat self;
    AUTO_FD int fd = -1;

    (void)state;
    assert_true(process_read_stat(getpid(), &self));
    CHECK_INT(self.parent, getppid(), "parent");
    CHECK_INT(self.group, getpgrp(), "group");
    CHECK_INT(self.session, getsid(0), "session");
    fd = process_open(getpid(), self.start_ticks);
    CHECK_INT(fd >= 0 || errno == ENOSYS, 1, "the right start"); /* valgrind has none */
    CHECK_INT(process_open(getpid(), self.start_ticks + 1), -1, "another process");
    CHECK_INT(process_age_ms(self.start_ticks) >= 0, 1, "it is not from the future");
    CHECK_INT(process_age_ms(self.start_ticks) < 600000, 1, "nor old");
    CHECK_INT(process_read_stat(INT_MAX, &self), 0, "no such process");
    CHECK_INT(process_read_stat(0, &self), 0, "no such process");
}

static void members_are_found_by_mark_group_session_and_descent(void **state)
{
    static const struct {
        const char *script;
        bool is_marked, by_leader;
        size_t want;
        const char *because;
    } cases[] = {
        { "sleep 100 & sleep 100 & wait", true, true, 3, "group and mark" },
        { "sleep 100 & sleep 100 & wait", false, true, 3, "group alone" },
        { "sleep 100 & sleep 100 & wait", true, false, 3, "mark alone" },
        { "setsid sleep 100 & wait", true, false, 2, "a session of its own" },
        { "env -i setsid sleep 100 & wait", true, true, 2, "descent, without the mark" },
        { "env -i sleep 100 & wait", true, false, 2, "session of a marked one" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        pid_t pid = start_shell(cases[i].script, cases[i].is_marked);

        wait_for_count(cases[i].by_leader ? pid : 0, cases[i].want, cases[i].because);
        kill_all(pid);
        CHECK_INT(process_signal_run("test-process-1", 0, 0), 0, cases[i].because);
    }
}

static void another_runs_mark_is_left_alone(void **state)
{
    pid_t pid = start_shell("sleep 100 & wait", true);

    (void)state;
    wait_for_count(pid, 2, "started");
    CHECK_INT(process_signal_run("test-process-", 0, SIGKILL), 0, "a shorter id");
    CHECK_INT(process_signal_run("test-process-11", 0, SIGKILL), 0, "a longer id");
    CHECK_INT(process_signal_run("test-process-1", 0, 0), 2, "both live");
    kill_all(pid);
}

static void a_stopped_process_can_act_on_sigterm(void **state)
{
    pid_t pid = start_shell("trap 'exit 7' TERM; kill -STOP $$; sleep 100 & wait", true);
    struct process_stat stat;
    siginfo_t info;

    (void)state;
    do
        assert_true(process_read_stat(pid, &stat));
    while (stat.state != 'T');
    process_signal_run("test-process-1", pid, SIGTERM);
    while (!process_has_ended(pid, &info))
        poll(NULL, 0, 2);
    kill_all(pid);
}

static void a_status_waits_for_its_run(void **state)
{
    pid_t pid = start_shell("exit 7", true);
    siginfo_t info;

    (void)state;
    while (!process_has_ended(pid, &info))
        poll(NULL, 0, 2);
    agent_reap_orphans();
    assert_true(process_has_ended(pid, &info));
    CHECK_INT(info.si_code, CLD_EXITED, "exited");
    CHECK_INT(info.si_status, 7, "with its status");
    process_reap(pid);
    CHECK_INT(process_has_ended(pid, &info), 0, "gone");
}

static void orphans_are_reaped_behind_a_waiting_status(void **state)
{
    pid_t waiting = start_shell("exit 7", true);
    pid_t parent = start_shell("(sleep 0.05; exit 3) & exit 0", true);
    int64_t give_up_ms = clock_now_ms() + PATIENCE_MS;
    siginfo_t info;

    (void)state;
    while (!process_has_ended(parent, &info) || !process_has_ended(waiting, &info))
        poll(NULL, 0, 2);
    process_reap(parent);
    for (;;) {
        struct process_stat stat;
        bool has_other = false;

        agent_reap_orphans();
        for (pid_t pid = parent; pid < parent + 50; pid++)
            has_other = has_other || (process_read_stat(pid, &stat) &&
                                      stat.parent == getpid() && pid != waiting);
        if (!has_other)
            break;
        assert_true(clock_now_ms() < give_up_ms);
        poll(NULL, 0, 2);
    }
    assert_true(process_has_ended(waiting, &info));
    CHECK_INT(info.si_status, 7, "still there");
    kill_all(waiting);
}

static void an_unwatched_child_is_an_orphan(void **state)
{
    pid_t pid = start_shell("exit 0", true);
    siginfo_t info;

    (void)state;
    process_unwatch(pid);
    memset(&info, 0, sizeof(info));
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        agent_reap_orphans();
    CHECK_INT(errno, ECHILD, "reaped");
}

static void meta_comes_back_as_it_was_written(void **state)
{
    char directory[] = "/tmp/test_process.XXXXXX";
    char *argv[] = { (char *)"agent", (char *)"--x", (char *)"caf\xc3\xa9", NULL };
    struct agent_meta meta = { .dialect = (char *)"cursor",
                               .workspace = (char *)"/srv",
                               .argv = argv,
                               .max_output_bytes = INT64_MAX,
                               .started_wall_s = 1790000000,
                               .pid = 77,
                               .start_ticks = UINT64_MAX,
                               .boot_id = "boot" };
    static const char *const broken[] = {
        "",
        "[]",
        "{}",
        "{\"dialect\":\"cursor\"}",
        "{\"dialect\":\"c\",\"workspace\":\"w\",\"argv\":[],\"max_output_bytes\":1,"
        "\"started_wall_s\":1,\"pid\":1,\"start_ticks\":\"1\",\"boot_id\":\"\"}",
        "{\"dialect\":\"c\",\"workspace\":\"w\",\"argv\":[\"a\",1],\"max_output_bytes\":1,"
        "\"started_wall_s\":1,\"pid\":1,\"start_ticks\":\"1\",\"boot_id\":\"\"}",
    };
    struct agent_meta back = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(directory));
    CHECK_INT(agent_meta_read(directory, &back, &err), -1, "absent");
    CHECK_INT(err.kind, ERR_INPUT, "absent");
    assert_int_equal(agent_meta_write(directory, &meta, false, &err), 0);
    assert_int_equal(agent_meta_read(directory, &back, &err), 0);
    CHECK_TEXT(back.argv[2], "caf\xc3\xa9", "argv");
    CHECK_INT(back.argv[3] == NULL, 1, "argv ends");
    CHECK_INT(back.max_output_bytes, INT64_MAX, "whole numbers");
    CHECK_INT(back.start_ticks == UINT64_MAX, 1, "whole numbers");
    CHECK_TEXT(back.boot_id, "boot", "boot id");
    agent_meta_deinit(&back);
    agent_meta_deinit(&back);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        agent_meta_write_file(directory, AGENT_FILE_META, broken[i], strlen(broken[i]), NULL);
        CHECK_INT(agent_meta_read(directory, &back, &err), -1, broken[i]);
        CHECK_INT(err.kind, ERR_INPUT, broken[i]);
    }
    file_remove_tree(directory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_process_is_named_by_pid_and_start),
        TEST(members_are_found_by_mark_group_session_and_descent),
        TEST(another_runs_mark_is_left_alone),
        TEST(a_stopped_process_can_act_on_sigterm),
        TEST(a_status_waits_for_its_run),
        TEST(orphans_are_reaped_behind_a_waiting_status),
        TEST(an_unwatched_child_is_an_orphan),
        TEST(meta_comes_back_as_it_was_written),
    };

    if (agent_become_subreaper(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
