/*
 * Asks an installed agent for its version and whether it can reach its account: what
 * `threadkeeper check` shows. Nothing is spent: listing models is the one request that a
 * refused key fails and a good one does not pay for.
 */
#include "agent/run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/dialect.h"
#include "agent/environment.h"
#include "agent/outcome.h"
#include "agent/process.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"

#define CHECK_TIMEOUT_MS      15000
#define CHECK_GRACE_MS        500
#define CHECK_LOOK_MS         20
#define CHECK_OUTPUT_BYTES    ((size_t)64 * 1024)
#define CHECK_OUTPUT_MAX_SIZE ((off_t)4 * 1024 * 1024)

static int spawn(const char *program, const struct dialect_argv *argv,
                 const char *const *env_names, const char *mark, int output_fd, pid_t *ret_pid,
                 struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    const struct agent_environment wanted = { .names = env_names,
                                              .run_id = mark,
                                              .program = program };
    char **environment = agent_environment_build(&wanted);
    int rc = 0;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output_fd, STDERR_FILENO);
    rc = process_spawn(program, &actions, &attributes, argv->items, environment, ret_pid, err);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    agent_environment_free(environment);
    return rc;
}

/* Waits for the end, within the limits of time and output; then nothing of it is left. */
static bool wait_for_end(pid_t pid, const char *mark, int output_fd, siginfo_t *ret_status)
{
    int64_t deadline_ms = clock_now_ms() + CHECK_TIMEOUT_MS;
    int64_t kill_at_ms = 0;
    struct stat info = { 0 };
    bool has_ended = false;

    while (!(has_ended = process_has_ended(pid, ret_status)) && clock_now_ms() < deadline_ms &&
           fstat(output_fd, &info) == 0 && info.st_size < CHECK_OUTPUT_MAX_SIZE)
        poll(NULL, 0, CHECK_LOOK_MS);
    kill_at_ms = clock_now_ms() + CHECK_GRACE_MS;
    process_signal_run(mark, pid, SIGTERM);
    while (process_signal_run(mark, pid, clock_now_ms() >= kill_at_ms ? SIGKILL : 0) > 0 &&
           clock_now_ms() < kill_at_ms + CHECK_TIMEOUT_MS)
        poll(NULL, 0, CHECK_LOOK_MS);
    process_reap(pid);
    agent_reap_orphans();
    return has_ended;
}

/* Runs the command with these words behind it; 0 only when it exited with status 0. */
static int ask(const char *program, const char *const *command, const char *const *words,
               const char *const *env_names, struct buf *ret_output, struct err *err)
{
    struct dialect_argv argv = { 0 };
    char mark[AGENT_RUN_ID_BYTES];
    char bytes[4096];
    AUTO_FD int fd = memfd_create("agent-check", MFD_CLOEXEC);
    siginfo_t status = { 0 };
    pid_t pid = 0;
    int rc = 0;

    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "make a file for its output");
    for (size_t i = 0; command[i]; i++)
        dialect_argv_add(&argv, command[i]);
    dialect_argv_add_all(&argv, words);
    random_uuid(mark);
    rc = spawn(program, &argv, env_names, mark, fd, &pid, err);
    agent_environment_free(argv.items);
    if (rc != 0)
        return -1;
    if (!wait_for_end(pid, mark, fd, &status))
        return err_set(err, ERR_TEMP, "\"%s %s\" did not end within %d s", program, words[0],
                       CHECK_TIMEOUT_MS / 1000);
    for (off_t at = 0; ret_output->len < CHECK_OUTPUT_BYTES;) {
        ssize_t got = pread(fd, bytes, sizeof(bytes), at);

        if (got <= 0)
            break;
        agent_outcome_strip_ansi(ret_output, bytes, (size_t)got);
        at += got;
    }
    if (status.si_code == CLD_EXITED && status.si_status == 0)
        return 0;
    return err_set(err, ERR_REMOTE, "\"%s %s\" failed with %s %d", program, words[0],
                   status.si_code == CLD_EXITED ? "status" : "signal", status.si_status);
}

static void append_first_line(struct buf *out, const struct buf *text)
{
    size_t len = strcspn(buf_text(text), "\n");
    AUTO_FREE char *line = utf8_clean_copy(buf_text(text), len, 200);

    log_mask_secrets(line);
    buf_append_text(out, line);
}

enum agent_check agent_check_command(const char *const *command, enum agent_dialect dialect,
                                     const char *const *env_names, struct buf *ret_detail)
{
    AUTO_FREE char *program = agent_environment_find(command[0]);
    static const char *const version_words[] = { "--version", NULL };
    const struct dialect *row = dialect_get(dialect);
    bool has_key = row->login_variable && agent_environment_get(row->login_variable);
    AUTO_BUF struct buf version = { 0 };
    AUTO_BUF struct buf login = { 0 };
    struct err err = { 0 };

    buf_init(&version, CHECK_OUTPUT_BYTES * 2);
    buf_init(&login, CHECK_OUTPUT_BYTES * 2);
    if (!program) {
        buf_printf(ret_detail, "%s is not a program in PATH", command[0]);
        return AGENT_CHECK_NOT_FOUND;
    }
    if (!row->has_version) {
        buf_append_text(ret_detail, program);
        return AGENT_CHECK_OK;
    }
    if (ask(program, command, version_words, env_names, &version, &err) != 0 ||
        (row->login_check && !has_key &&
         ask(program, command, row->login_check, env_names, &login, &err) != 0)) {
        const struct buf *said = login.len > 0 ? &login : &version;

        buf_printf(ret_detail, "%s: ", err.message);
        append_first_line(ret_detail, said);
        return agent_outcome_classify(buf_text(said)) == AGENT_NOT_AUTHENTICATED
                   ? AGENT_CHECK_NOT_LOGGED_IN
                   : AGENT_CHECK_FAILED;
    }
    buf_printf(ret_detail, "%s ", program);
    append_first_line(ret_detail, &version);
    return AGENT_CHECK_OK;
}
