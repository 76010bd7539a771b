#include "agent/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/exit.h"
#include "agent/fence.h"
#include "agent/process.h"
#include "base/alloc.h"
#include "base/clock.h"

#define SLACK_MS           1000 /* a daemon that watches decides first */
#define STRAGGLER_GRACE_MS 500  /* for what the agent left behind, at most the run's own */
#define KILL_AGAIN_MS      20
#define UNKILLABLE_MS      5000 /* after KILL: stuck in the kernel, it is left to itself */

struct supervisor {
    const char *run_dir;
    const struct agent_meta *meta;
    struct fence *fence;
    pid_t agent;
    int signal_fd, channel, notify_fd, output_fd, exit_fd;

    int64_t started_ms;
    int64_t grown_ms; /* when the output was last seen to grow */
    off_t output_size;

    bool is_ending;
    int64_t kill_at_ms;
    bool has_children;
    struct agent_exit how;
};

void supervise_report(const char *run_dir, const char *step, const char *text)
{
    json_auto_t *root = json_pack("{s:s, s:s}", "step", step, "text", text);
    AUTO_FREE char *line = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (line)
        agent_meta_write_file(run_dir, AGENT_FILE_LAUNCH_ERROR, line, strlen(line), NULL);
}

struct supervisor *supervisor_new(const char *run_dir, const struct agent_meta *meta,
                                  struct fence *fence)
{
    AUTO_FREE char *output = xasprintf("%s/%s", run_dir, AGENT_FILE_OUTPUT);
    struct supervisor *supervisor = xcalloc(1, sizeof(*supervisor));
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    sigaddset(&all, SIGTERM);
    supervisor->run_dir = run_dir;
    supervisor->meta = meta;
    supervisor->fence = fence;
    supervisor->notify_fd = -1;
    supervisor->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    supervisor->output_fd = open(output, O_RDONLY | O_CLOEXEC | O_CREAT, 0600);
    supervisor->exit_fd = agent_exit_reserve(run_dir);
    supervisor->started_ms = supervisor->grown_ms = clock_now_ms();
    supervisor->has_children = true;
    if (supervisor->signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        free(supervisor);
        return NULL;
    }
    return supervisor;
}

/* ---- ending -------------------------------------------------------------------------------
 */

static void write_exit(const struct supervisor *supervisor)
{
    agent_exit_write(supervisor->run_dir, supervisor->exit_fd, &supervisor->how);
}

static void begin_ending(struct supervisor *supervisor, int64_t grace_ms)
{
    supervisor->is_ending = true;
    supervisor->kill_at_ms = clock_now_ms() + grace_ms;
    process_signal_descendants(SIGTERM);
}

static void end_by(struct supervisor *supervisor, enum agent_exit_by by)
{
    if (supervisor->is_ending)
        return;
    supervisor->how.by = by;
    begin_ending(supervisor, supervisor->meta->kill_grace_ms);
}

/*
 * What forks faster than we can kill is stopped first: a stopped process has no children, and
 * one that is stopped takes no room from a limit on processes that others could fork into.
 */
static void kill_all(void)
{
    size_t before = 0;

    for (int pass = 0; pass < 50; pass++) {
        size_t alive = process_signal_descendants(SIGSTOP);

        if (alive == before)
            break;
        before = alive;
    }
    process_signal_descendants(SIGKILL);
}

/* True when nothing is left to wait for. */
static bool press_on(struct supervisor *supervisor, int64_t now_ms)
{
    if (!supervisor->has_children)
        return true;
    if (!supervisor->is_ending || now_ms < supervisor->kill_at_ms)
        return false;
    kill_all();
    if (now_ms < supervisor->kill_at_ms + UNKILLABLE_MS)
        return false;
    supervisor->how.left = process_signal_descendants(0);
    return true;
}

/* ---- what happens -------------------------------------------------------------------------
 */

static void note_agent_end(struct supervisor *supervisor, int status)
{
    struct agent_exit *how = &supervisor->how;
    int64_t grace_ms = supervisor->meta->kill_grace_ms;

    how->has_status = true;
    how->duration_ms = clock_now_ms() - supervisor->started_ms;
    if (WIFEXITED(status)) {
        how->code = CLD_EXITED;
        how->status = WEXITSTATUS(status);
    } else {
        how->code = WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
        how->status = WTERMSIG(status);
    }
    /* Now, not at the end of what it left behind: whatever happens to us meanwhile. */
    write_exit(supervisor);
    supervisor->exit_fd = -1; /* the reserve is used up; it stays open until we exit */
    if (!supervisor->is_ending && supervisor->has_children)
        begin_ending(supervisor, grace_ms < STRAGGLER_GRACE_MS ? grace_ms : STRAGGLER_GRACE_MS);
}

static void reap(struct supervisor *supervisor)
{
    bool has_agent_ended = false;
    int agent_status = 0;

    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);

        if (pid == supervisor->agent) {
            has_agent_ended = true;
            agent_status = status;
        } else if (pid <= 0) {
            supervisor->has_children = pid == 0 || errno != ECHILD;
            break;
        }
    }
    if (has_agent_ended)
        note_agent_end(supervisor, agent_status);
}

static void read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGTERM)
            end_by(supervisor, AGENT_EXIT_BY_REQUEST);
    }
    reap(supervisor);
}

static int take_descriptor(struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(header), sizeof(int));
    return fd;
}

/* False when nothing more will come: the child has become the agent, or is dead. */
static bool read_message(struct supervisor *supervisor)
{
    struct supervise_failure failure = { 0 };
    struct iovec data = { .iov_base = &failure, .iov_len = sizeof(failure) };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t got = recvmsg(supervisor->channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fd = -1;

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    fd = got > 0 ? take_descriptor(&message) : -1;
    if (fd >= 0)
        supervisor->notify_fd = fd;
    else if (got == sizeof(failure))
        supervise_report(supervisor->run_dir, failure.step, failure.text);
    return got > 0;
}

static void read_channel(struct supervisor *supervisor)
{
    if (supervisor->channel >= 0 && !read_message(supervisor)) {
        close(supervisor->channel);
        supervisor->channel = -1;
    }
}

static void serve_fence(struct supervisor *supervisor, short events)
{
    if (events & POLLIN)
        fence_serve(supervisor->notify_fd);
    if (events & ~POLLIN) { /* nobody is left who could ask */
        close(supervisor->notify_fd);
        supervisor->notify_fd = -1;
    }
}

/* ---- time limits --------------------------------------------------------------------------
 */

/* By the file's own clock: nobody looked when it grew. A clock that was set is not believed
 * beyond what is possible. */
static void look_at_output(struct supervisor *supervisor, int64_t now_ms)
{
    struct stat info;
    struct timespec now;
    int64_t age_ms;

    if (fstat(supervisor->output_fd, &info) != 0 || info.st_size == supervisor->output_size)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    age_ms = (int64_t)(now.tv_sec - info.st_mtim.tv_sec) * 1000 +
             (now.tv_nsec - info.st_mtim.tv_nsec) / 1000000;
    if (age_ms < 0 || age_ms > now_ms - supervisor->grown_ms)
        age_ms = 0;
    supervisor->output_size = info.st_size;
    supervisor->grown_ms = now_ms - age_ms;
}

static int64_t limit_ms(int64_t from_ms, int64_t duration_ms)
{
    return duration_ms > 0 ? from_ms + duration_ms + SLACK_MS : CLOCK_FOREVER_MS;
}

static int64_t silence_limit_ms(const struct supervisor *supervisor)
{
    if (supervisor->output_size == 0)
        return limit_ms(supervisor->started_ms, supervisor->meta->first_output_timeout_ms);
    return limit_ms(supervisor->grown_ms, supervisor->meta->idle_timeout_ms);
}

static int64_t total_limit_ms(const struct supervisor *supervisor)
{
    return limit_ms(supervisor->started_ms, supervisor->meta->timeout_ms);
}

static void check_limits(struct supervisor *supervisor, int64_t now_ms)
{
    if (supervisor->is_ending)
        return;
    if (now_ms >= silence_limit_ms(supervisor))
        look_at_output(supervisor, now_ms);
    if (now_ms >= total_limit_ms(supervisor))
        end_by(supervisor, AGENT_EXIT_BY_TIMEOUT);
    else if (now_ms >= silence_limit_ms(supervisor))
        end_by(supervisor,
               supervisor->output_size == 0 ? AGENT_EXIT_BY_FIRST_OUTPUT : AGENT_EXIT_BY_IDLE);
}

/* For poll(): -1 is for ever. */
static int wait_ms(const struct supervisor *supervisor, int64_t now_ms)
{
    int64_t at_ms = silence_limit_ms(supervisor);
    int64_t wait;

    if (supervisor->is_ending)
        at_ms =
            now_ms < supervisor->kill_at_ms ? supervisor->kill_at_ms : now_ms + KILL_AGAIN_MS;
    else if (total_limit_ms(supervisor) < at_ms)
        at_ms = total_limit_ms(supervisor);
    wait = at_ms == CLOCK_FOREVER_MS ? 60000 : at_ms - now_ms;
    return (int)(wait < 0 ? 0 : wait > 60000 ? 60000 : wait);
}

/* ---- the loop -----------------------------------------------------------------------------
 */

static void finish(struct supervisor *supervisor)
{
    read_channel(supervisor); /* why it did not start, if so */
    read_channel(supervisor);
    if (!supervisor->how.has_status || supervisor->how.left > 0)
        write_exit(supervisor);
    fence_release(supervisor->fence);
    free(supervisor);
}

void supervisor_run(struct supervisor *supervisor, pid_t agent, int channel)
{
    int64_t now_ms = clock_now_ms();

    supervisor->agent = agent;
    supervisor->channel = channel;
    if (chdir("/") != 0) /* nobody's workspace stays busy for us */
        supervise_report(supervisor->run_dir, "directory", "cannot go to /");
    malloc_trim(0);
    while (!press_on(supervisor, now_ms)) {
        struct pollfd fds[] = {
            { .fd = supervisor->signal_fd, .events = POLLIN },
            { .fd = supervisor->channel, .events = POLLIN },
            { .fd = supervisor->notify_fd, .events = POLLIN },
        };

        poll(fds, ARRAY_LEN(fds), wait_ms(supervisor, now_ms));
        if (fds[1].revents)
            read_channel(supervisor);
        if (fds[2].revents)
            serve_fence(supervisor, fds[2].revents);
        read_signals(supervisor); /* reaps also what no signal told of */
        now_ms = clock_now_ms();
        check_limits(supervisor, now_ms);
    }
    finish(supervisor);
}
