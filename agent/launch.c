#include "agent/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

static void tell_failure(int channel, const struct supervise_failure *failure)
{
    send(channel, failure, sizeof(*failure), MSG_NOSIGNAL);
}

static void fail_errno(struct supervise_failure *failure, const char *step)
{
    char text[128];

    snprintf(failure->text, sizeof(failure->text), "%s",
             err_errno_text(errno, text, sizeof(text)));
    snprintf(failure->step, sizeof(failure->step), "%s", step);
}

/* One byte goes with it: a message of ancillary data alone is none. */
static int send_descriptor(int channel, int fd)
{
    char byte = 0;
    struct iovec data = { .iov_base = &byte, .iov_len = 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    struct cmsghdr *header = NULL;

    memset(&control, 0, sizeof(control));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    return sendmsg(channel, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* The channel alone stays, until the exec closes it: that is how the supervisor knows. */
static int close_the_rest(int channel)
{
    if (channel > 3 && close_range(3, (unsigned)channel - 1, 0) != 0)
        return -1;
    return close_range((unsigned)channel + 1, ~0U, 0);
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

static void become_agent(const struct agent_meta *meta, const struct fence *fence, int channel)
{
    struct supervise_failure failure = { 0 };
    struct err err = { 0 };
    const char *step = NULL;
    int notify_fd = -1;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        fail_errno(&failure, "parent");
    else if (fence_enter(fence, &notify_fd, &step, &err) != 0) {
        snprintf(failure.step, sizeof(failure.step), "%s", step);
        snprintf(failure.text, sizeof(failure.text), "%.255s", err.message);
    } else {
        if (notify_fd >= 0 && send_descriptor(channel, notify_fd) != 0) {
            fail_errno(&failure, "fence");
        } else if (close_the_rest(channel) != 0) {
            fail_errno(&failure, "descriptors");
        } else {
            if (!wait_for_go(channel))
                return;
            execvp(meta->argv[0], meta->argv);
            fail_errno(&failure, "exec");
        }
    }
    tell_failure(channel, &failure);
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
    return agent_meta_write(run_dir, meta, meta->mode == AGENT_MODE_WRITE, err);
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

static int launch(const char *run_dir, struct agent_meta *meta)
{
    struct supervise_failure failure = { .step = "fork" };
    struct supervisor *supervisor = NULL;
    struct fence *fence = NULL;
    struct err err = { 0 };
    int channel[2];
    pid_t agent = -1;

    if (fence_prepare(meta, run_dir, &fence, &err) != 0) {
        supervise_report(run_dir, "fence", err.message);
        return LAUNCH_FAILED_STATUS;
    }
    supervisor = supervisor_new(run_dir, meta, fence);
    if (supervisor && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0)
        agent = fork();
    if (agent == 0) {
        close(channel[0]);
        become_agent(meta, fence, channel[1]);
        _exit(LAUNCH_FAILED_STATUS);
    }
    if (agent < 0) {
        fail_errno(&failure, "fork");
        supervise_report(run_dir, failure.step, failure.text);
        fence_release(fence);
        return LAUNCH_FAILED_STATUS;
    }
    close(channel[1]);
    return supervise(run_dir, meta, agent, channel[0], supervisor);
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
