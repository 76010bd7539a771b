#include "agent/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/fence.h"
#include "agent/meta.h"
#include "agent/process.h"
#include "agent/supervise.h"
#include "base/alloc.h"
#include "base/err.h"

#define LAUNCH_FAILED_STATUS 126
#define GO                   'g'

/* ---- the child: from here to the agent ----------------------------------------------------
 */

static void reset_signals(void)
{
    struct sigaction standard = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &standard, NULL); /* refused for KILL, STOP and the C library's own */
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static int open_as(const char *run_dir, const char *name, int flags, int target)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, name);
    int fd = open(path, flags, 0600);

    if (fd < 0)
        return -1;
    if (fd == target)
        return 0;
    if (dup2(fd, target) < 0) {
        close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

static int open_streams(const char *run_dir)
{
    const int append = O_WRONLY | O_CREAT | O_APPEND;

    if (open_as(run_dir, AGENT_FILE_PROMPT, O_RDONLY, STDIN_FILENO) != 0 ||
        open_as(run_dir, AGENT_FILE_OUTPUT, append, STDOUT_FILENO) != 0 ||
        open_as(run_dir, AGENT_FILE_ERRORS, append, STDERR_FILENO) != 0)
        return -1;
    return 0;
}

/* What an agent has of its own, fence or not. */
static int settle(const struct agent_meta *meta, const char *run_dir, const char **ret_step,
                  struct err *err)
{
    umask(077);
    reset_signals();
    *ret_step = "parent";
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return err_set_errno(err, ERR_SYSTEM, "tie it to its supervisor");
    *ret_step = "session";
    if (setsid() < 0)
        return err_set_errno(err, ERR_SYSTEM, "open a session");
    *ret_step = "streams";
    if (open_streams(run_dir) != 0)
        return err_set_errno(err, ERR_SYSTEM, "open its streams");
    *ret_step = "workspace";
    if (chdir(meta->workspace) != 0)
        return err_set_errno(err, ERR_SYSTEM, "go to %s", meta->workspace);
    return 0;
}

/* False when the supervisor does not want us, or is dead. */
static bool wait_for_go(int channel)
{
    char word = 0;
    ssize_t got = 0;

    do {
        got = recv(channel, &word, 1, 0);
    } while (got < 0 && errno == EINTR);
    return got == 1 && word == GO;
}

/* Returns only on failure. Whatever descriptor is open the exec closes, the channel too: that
 * is how the supervisor knows. */
static void become_agent(const struct agent_meta *meta, const char *run_dir,
                         struct fence *fence, int channel)
{
    struct supervise_failure failure = { 0 };
    const char *step = "";
    struct err err = { 0 };

    if (settle(meta, run_dir, &step, &err) == 0 && fence_enter(fence, &step, &err) == 0) {
        if (!wait_for_go(channel))
            return;
        execv(meta->argv[0],
              meta->argv); /* execvp() would hand what is no program to a shell */
        step = "exec";
        err_set_errno(&err, ERR_SYSTEM, "%s", meta->argv[0]);
    }
    snprintf(failure.step, sizeof(failure.step), "%s", step);
    snprintf(failure.text, sizeof(failure.text), "%.255s", err.message);
    send(channel, &failure, sizeof(failure), MSG_NOSIGNAL);
}

/* ---- the supervisor -----------------------------------------------------------------------
 */

/* Writes down who we and the agent are, so that a daemon that was not there finds us. */
static int sign_meta(const char *run_dir, struct agent_meta *meta, pid_t agent, struct err *err)
{
    struct process_stat stat;

    if (!process_read_stat(getpid(), &stat))
        return err_set(err, ERR_SYSTEM, "/proc does not show us");
    meta->pid = stat.pid;
    meta->start_ticks = stat.start_ticks;
    process_boot_id(meta->boot_id);
    meta->is_supervised = true;
    meta->agent_pid = agent;
    /* One that has gone already needs no name. */
    meta->agent_ticks = process_read_stat(agent, &stat) ? stat.start_ticks : 0;
    return agent_meta_write(run_dir, meta, meta->fence.mode == AGENT_MODE_WRITE, err);
}

static int supervise(const char *run_dir, struct agent_meta *meta, pid_t agent, int channel,
                     struct supervisor *supervisor)
{
    const char go = GO;
    struct err err = { 0 };
    bool is_signed = sign_meta(run_dir, meta, agent, &err) == 0;

    if (is_signed)
        send(channel, &go, 1, MSG_NOSIGNAL);
    else
        supervise_report(run_dir, "meta", err.message);
    shutdown(channel, SHUT_WR); /* without a "go" this sends the child away */
    supervisor_run(supervisor, agent, channel);
    return is_signed ? 0 : LAUNCH_FAILED_STATUS;
}

/* The child's pid, or -1 with *err; then nothing is left. */
static pid_t fork_agent(const struct agent_meta *meta, const char *run_dir, struct fence *fence,
                        int *ret_channel, struct err *err)
{
    int channel[2];
    pid_t agent = -1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0)
        return err_set_errno(err, ERR_SYSTEM, "make a channel");
    agent = fork();
    if (agent == 0) {
        close(channel[0]);
        become_agent(meta, run_dir, fence, channel[1]);
        _exit(LAUNCH_FAILED_STATUS);
    }
    close(channel[1]);
    if (agent > 0)
        *ret_channel = channel[0];
    else {
        err_set_errno(err, ERR_SYSTEM, "fork");
        close(channel[0]);
    }
    return agent;
}

static int launch(const char *run_dir, struct agent_meta *meta)
{
    struct supervisor *supervisor = NULL;
    struct fence *fence = NULL;
    struct err err = { 0 };
    int channel = -1;
    pid_t agent = -1;

    if (fence_prepare(meta, run_dir, &fence, &err) != 0) {
        supervise_report(run_dir, "fence", err.message);
        return LAUNCH_FAILED_STATUS;
    }
    supervisor = supervisor_new(run_dir, meta, fence, &err);
    if (supervisor)
        agent = fork_agent(meta, run_dir, fence, &channel, &err);
    if (agent > 0)
        return supervise(run_dir, meta, agent, channel, supervisor);
    supervise_report(run_dir, "fork", err.message);
    supervisor_free(supervisor);
    fence_release(fence);
    return LAUNCH_FAILED_STATUS;
}

int agent_launch_main(const char *run_dir)
{
    AUTO_FREE char *physical = realpath(run_dir, NULL); /* the working directory will change */
    struct agent_meta meta = { 0 };
    struct err err = { 0 };
    int status = LAUNCH_FAILED_STATUS;

    if (!physical)
        return LAUNCH_FAILED_STATUS;
    close_range(3, ~0U, 0);
    if (agent_meta_read(physical, &meta, &err) != 0)
        supervise_report(physical, "meta", err.message);
    else
        status = launch(physical, &meta);
    agent_meta_deinit(&meta);
    return status;
}
