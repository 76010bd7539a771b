/*
 * run_lab.h - runs of the agent double for unit tests. The test's own binary is the launcher,
 * and in further lives whatever else a test needs a process for: see lab_main().
 *
 * Threads: one.
 */
#ifndef TESTS_UNIT_RUN_LAB_H
#define TESTS_UNIT_RUN_LAB_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/launch.h"
#include "agent/process.h"
#include "agent/run.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "tests/test.h"

#define PATIENCE_MS 60000

static char home[] = "/tmp/test_run.XXXXXX";
static char self_path[PATH_MAX];
static char double_path[PATH_MAX];
static char runs_dir[PATH_MAX];
static char config_dir[PATH_MAX];
static char workspace[PATH_MAX];

/* What came out of one run. */
struct seen {
    struct buf text; /* segments are joined by " / " */
    struct buf tools;
    int started, segments, done, denied;
    int64_t text_at_ms; /* after the start */
    int64_t ended_at_ms;
    struct agent_result result;
};

static inline void seen_init(struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    buf_init(&seen->text, (size_t)128 * 1024 * 1024);
    buf_init(&seen->tools, 65536);
}

static inline void seen_deinit(struct seen *seen)
{
    buf_deinit(&seen->text);
    buf_deinit(&seen->tools);
}

static inline void write_scenario(const char *text)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/fake-cursor-agent.scenario", config_dir);
    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
    snprintf(path, sizeof(path), "%s/fake-cursor-agent.log", config_dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/fake-cursor-agent.count", config_dir);
    unlink(path);
}

static const char *double_command[] = { double_path, NULL };
static const char *handed_on[] = { "CURSOR_API_KEY", "SLACK_BOT_TOKEN", NULL };

/* Scripts leave their pids there, whatever the mode. */
static const char *const writable[] = { workspace, NULL };

static inline struct agent_spec plain_spec(void)
{
    static const char prompt[] =
        "\"BEGIN MESSAGE k\"\n--- BEGIN MESSAGE k (from U1) ---\nhello "
        "there\n--- END MESSAGE k ---\n";

    return (struct agent_spec){
        .launcher = self_path,
        .runs_dir = runs_dir,
        .command = double_command,
        .dialect = AGENT_DIALECT_CURSOR,
        .mode = AGENT_MODE_ASK,
        .model = "",
        .workspace = workspace,
        .fence_write = writable,
        .env_names = handed_on,
        .prompt = prompt,
        .prompt_len = sizeof(prompt) - 1,
        .first_output_timeout_ms = PATIENCE_MS,
        .idle_timeout_ms = PATIENCE_MS,
        .timeout_ms = PATIENCE_MS,
        .kill_grace_ms = 300,
        .max_output_bytes = (int64_t)64 * 1024 * 1024,
        .cancel_fd = -1,
    };
}

static inline size_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(directory)) /* NOLINT(concurrency-mt-unsafe): one thread */
        count++;
    closedir(directory);
    return count;
}

static inline void note(struct seen *seen, const struct agent_event *event, int64_t now_ms)
{
    switch (event->kind) {
    case AGENT_EVENT_NONE:
        fail_msg("nothing came within %d ms", PATIENCE_MS);
        break;
    case AGENT_EVENT_STARTED:
        seen->started++;
        break;
    case AGENT_EVENT_TEXT:
        buf_append(&seen->text, event->text, event->text_len);
        seen->text_at_ms = now_ms;
        break;
    case AGENT_EVENT_SEGMENT:
        seen->segments++;
        buf_append_text(&seen->text, " / ");
        break;
    case AGENT_EVENT_TOOL:
        buf_printf(&seen->tools, "%s;", event->text);
        break;
    case AGENT_EVENT_TOOL_DONE:
        seen->done++;
        break;
    case AGENT_EVENT_DENIED:
        seen->denied++;
        buf_printf(&seen->tools, "denied %s;", event->text);
        break;
    case AGENT_EVENT_ENDED:
        break;
    }
}

static inline void read_to_end(struct agent_run *run, struct seen *seen)
{
    int64_t start_ms = clock_now_ms();
    struct agent_event event = { 0 };

    do {
        agent_run_next(run, clock_now_ms() + PATIENCE_MS, &event);
        note(seen, &event, clock_now_ms() - start_ms);
    } while (event.kind != AGENT_EVENT_ENDED);
    seen->ended_at_ms = clock_now_ms() - start_ms;
    seen->result = *agent_run_result(run);
}

static inline void wait_for_text(struct agent_run *run, struct seen *seen, const char *text)
{
    struct agent_event event = { 0 };

    while (!strstr(buf_text(&seen->text), text)) {
        agent_run_next(run, clock_now_ms() + PATIENCE_MS, &event);
        note(seen, &event, 0);
        assert_int_not_equal(event.kind, AGENT_EVENT_ENDED);
    }
}

static inline void check_nothing_left(const char *run_id, const char *because)
{
    siginfo_t info;

    CHECK_INT(process_signal_run(run_id, 0, 0), 0, because);
    memset(&info, 0, sizeof(info));
    CHECK_INT(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1, because);
    CHECK_INT(errno, ECHILD, because);
}

static inline void play(const char *scenario, const struct agent_spec *spec, struct seen *seen)
{
    size_t descriptors = count_descriptors();
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct err err = { 0 };

    write_scenario(scenario);
    seen_init(seen);
    agent_run_new_id(id);
    if (agent_run_start(spec, id, &run, &err) != 0)
        fail_msg("%s: %s", scenario, err.message);
    CHECK_TEXT(agent_run_id(run), id, scenario);
    read_to_end(run, seen);
    check_nothing_left(id, scenario);
    agent_run_free(run, false);
    CHECK_INT(count_descriptors(), descriptors, scenario);
    CHECK_INT(agent_run_remove(runs_dir, id, &err), 0, scenario);
}

static inline void start_for_attach(const char *scenario, const struct agent_spec *spec,
                                    char *id, struct agent_run **ret_run)
{
    struct err err = { 0 };

    write_scenario(scenario);
    agent_run_new_id(id);
    if (agent_run_start(spec, id, ret_run, &err) != 0)
        fail_msg("%s", err.message);
}

/* As after a crash: the run was started by a process that is gone. */
static inline void start_in_another_process(const char *scenario, char *id)
{
    char *argv[] = { self_path, (char *)"start", home, id, NULL };
    pid_t pid = 0;
    int status = 0;

    write_scenario(scenario);
    agent_run_new_id(id);
    assert_int_equal(posix_spawn(&pid, self_path, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static inline void set_paths(void)
{
    ssize_t len = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
    const char *named = getenv("TK_DOUBLE"); /* NOLINT(concurrency-mt-unsafe): one thread */
    char directory[PATH_MAX];

    self_path[len > 0 ? len : 0] = '\0';
    snprintf(directory, sizeof(directory), "%s", self_path);
    for (int i = 0; i < 3; i++)
        *strrchr(directory, '/') = '\0';
    if (named)
        snprintf(double_path, sizeof(double_path), "%s", named);
    else
        snprintf(double_path, sizeof(double_path), "%.4000s/tests/agent_double/cursor-agent",
                 directory);
    snprintf(runs_dir, sizeof(runs_dir), "%s/runs", home);
    snprintf(config_dir, sizeof(config_dir), "%s/config", home);
    snprintf(workspace, sizeof(workspace), "%s/workspace", home);
}

/* `life` is what the test does as a process of its own: argv from behind its name on. */
struct lab_life {
    const char *name;
    int (*live)(char **arguments);
};

static inline int start_and_leave(char **arguments)
{
    struct agent_spec spec = plain_spec();
    struct agent_run *run = NULL;
    struct err err = { 0 };

    if (agent_run_start(&spec, arguments[0], &run, &err) != 0)
        return 1;
    agent_run_free(run, true);
    return 0;
}

static inline int live(int argc, char **argv, const struct lab_life *lives)
{
    static const struct lab_life usual[] = { { "start", start_and_leave }, { NULL, NULL } };

    if (argc < 3)
        return -1;
    if (strcmp(argv[1], "launch") == 0)
        return agent_launch_main(argv[2]);
    memcpy(home, argv[2], sizeof(home));
    set_paths();
    for (size_t i = 0; usual[i].name; i++) {
        if (strcmp(argv[1], usual[i].name) == 0)
            return usual[i].live(argv + 3);
    }
    for (size_t i = 0; lives && lives[i].name; i++) {
        if (strcmp(argv[1], lives[i].name) == 0)
            return lives[i].live(argv + 3);
    }
    return 1;
}

/* The body of main(): `lives` ends with a NULL name, NULL for none. */
#define lab_main(argc, argv, tests, lives)                               \
    __extension__({                                                      \
        int lab_status_ = live(argc, argv, lives);                       \
        if (lab_status_ < 0) {                                           \
            lab_status_ = lab_open();                                    \
            if (lab_status_ == 0)                                        \
                lab_status_ = cmocka_run_group_tests(tests, NULL, NULL); \
            file_remove_tree(home, NULL);                                \
        }                                                                \
        lab_status_;                                                     \
    })

static inline int lab_open(void)
{
    if (!mkdtemp(home) || agent_become_subreaper(NULL) != 0)
        return 1;
    set_paths();
    file_make_dirs(config_dir, 0700, NULL);
    file_make_dirs(workspace, 0700, NULL);
    /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
    setenv("CURSOR_CONFIG_DIR", config_dir, 1);
    setenv("CURSOR_API_KEY", "k", 1);
    setenv("SLACK_BOT_TOKEN", "xoxb-1-2-3", 1);
    setenv("SECRET_OF_OURS", "1", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    log_configure(LOG_LEVEL_ERR, LOG_FORMAT_TEXT);
    return 0;
}

#endif
