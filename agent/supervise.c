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

#include "agent/process.h"
#include "agent/run_exit.h"
#include "base/alloc.h"
#include "base/clock.h"

#define SLACK_MS           1000 /* a daemon that watches decides first */
#define DISK_LOOK_MS       2000 /* how often the files of the run are counted */
#define STRAGGLER_GRACE_MS 500  /* for what the agent left behind, at most the run's own */
#define KILL_AGAIN_MS      20
#define POLL_MAX_MS        60000
#define UNKILLABLE_MS      5000 /* after KILL: stuck in the kernel, it is left to itself */

struct supervisor {
    const char *run_dir;
    const struct agent_meta *meta;
    pid_t agent;
    struct fence *fence;
    int signal_fd, channel, output_fd, errors_fd, exit_fd;

    int64_t started_ms;
    int64_t grown_ms; /* when the output was last seen to grow */
    off_t output_size;
    int64_t disk_look_ms; /* when the files are looked at next */

    bool is_ending;
    int64_t kill_at_ms;
    bool has_children;
    struct run_exit how;
};

void supervise_report(const char *run_dir, const char *step, const char *text)
{
    json_auto_t *root = json_pack("{s:s, s:s}", "step", step, "text", text);
    AUTO_FREE char *line = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (line)
        agent_meta_write_file(run_dir, AGENT_FILE_LAUNCH_ERROR, line, strlen(line), NULL);
}

struct supervisor *supervisor_new(const char *run_dir, const struct agent_meta *meta,
                                  struct fence *fence, struct err *err)
{
    AUTO_FREE char *output = xasprintf("%s/%s", run_dir, AGENT_FILE_OUTPUT);
    AUTO_FREE char *errors = xasprintf("%s/%s", run_dir, AGENT_FILE_ERRORS);
    struct supervisor *supervisor = xcalloc(1, sizeof(*supervisor));
    sigset_t set;

    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    supervisor->run_dir = run_dir;
    supervisor->meta = meta;
    supervisor->fence = fence;
    supervisor->channel = -1;
    supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    supervisor->output_fd = open(output, O_RDONLY | O_CLOEXEC | O_CREAT, 0600);
    supervisor->errors_fd = open(errors, O_RDONLY | O_CLOEXEC | O_CREAT, 0600);
    supervisor->exit_fd = run_exit_reserve(run_dir);
    supervisor->started_ms = supervisor->grown_ms = clock_now_ms();
    supervisor->disk_look_ms = supervisor->started_ms + DISK_LOOK_MS;
    supervisor->has_children = true;
    if (supervisor->signal_fd < 0 || supervisor->output_fd < 0 || supervisor->errors_fd < 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        err_set_errno(err, ERR_SYSTEM, "set up the supervisor");
        supervisor_free(supervisor);
        return NULL;
    }
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    int *fds[] = { &supervisor->signal_fd, &supervisor->output_fd, &supervisor->errors_fd,
                   &supervisor->exit_fd, &supervisor->channel };

    if (!supervisor)
        return;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
    }
    free(supervisor);
}

/* ---- ending -------------------------------------------------------------------------------
 */

static void write_exit(const struct supervisor *supervisor)
{
    run_exit_write(supervisor->run_dir, supervisor->exit_fd, &supervisor->how);
}

static void begin_ending(struct supervisor *supervisor, int64_t grace_ms)
{
    supervisor->is_ending = true;
    supervisor->kill_at_ms = clock_now_ms() + grace_ms;
    process_signal_descendants(SIGTERM);
}

static void end_by(struct supervisor *supervisor, enum run_exit_by by)
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
    struct run_exit *how = &supervisor->how;
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
    how->is_over = !supervisor->has_children;
    write_exit(supervisor);
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
            end_by(supervisor, RUN_EXIT_BY_REQUEST);
    }
    reap(supervisor);
}

/* Until the channel's other end is closed: the child has become the agent, or is dead. */
static void read_channel(struct supervisor *supervisor)
{
    struct supervise_failure failure;
    ssize_t got = 0;

    while (supervisor->channel >= 0) {
        got = recv(supervisor->channel, &failure, sizeof(failure), MSG_DONTWAIT);
        if (got == sizeof(failure)) {
            failure.step[sizeof(failure.step) - 1] = failure.text[sizeof(failure.text) - 1] = 0;
            supervise_report(supervisor->run_dir, failure.step, failure.text);
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else if (got == 0 || errno != ECONNRESET) { /* it left without reading the "go" */
            close(supervisor->channel);
            supervisor->channel = -1;
        }
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

/* Looked at, not left to a limit of the kernel: that would hold for every file of the run. A
 * daemon that watches cuts what goes to stderr long before. */
static bool has_printed_too_much(const struct supervisor *supervisor)
{
    struct stat info;
    off_t most = supervisor->meta->max_output_bytes;

    return supervisor->output_size >= most ||
           (fstat(supervisor->errors_fd, &info) == 0 && info.st_size >= most);
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
    int64_t bytes = 0;

    if (supervisor->is_ending)
        return;
    if (now_ms >= supervisor->disk_look_ms) {
        supervisor->disk_look_ms = now_ms + DISK_LOOK_MS;
        if (!fence_is_within_disk(supervisor->fence, &bytes))
            end_by(supervisor, RUN_EXIT_BY_DISK);
    }
    look_at_output(supervisor, now_ms);
    if (has_printed_too_much(supervisor))
        end_by(supervisor, RUN_EXIT_BY_OUTPUT);
    else if (now_ms >= total_limit_ms(supervisor))
        end_by(supervisor, RUN_EXIT_BY_TIMEOUT);
    else if (now_ms >= silence_limit_ms(supervisor))
        end_by(supervisor,
               supervisor->output_size == 0 ? RUN_EXIT_BY_FIRST_OUTPUT : RUN_EXIT_BY_IDLE);
}

static int wait_ms(const struct supervisor *supervisor, int64_t now_ms)
{
    const int64_t at[] = {
        supervisor->disk_look_ms,
        silence_limit_ms(supervisor),
        total_limit_ms(supervisor),
        /* it may have begun to answer meanwhile */
        limit_ms(supervisor->grown_ms, supervisor->meta->idle_timeout_ms),
    };
    int64_t next_ms = now_ms + POLL_MAX_MS;

    if (supervisor->is_ending)
        next_ms =
            now_ms < supervisor->kill_at_ms ? supervisor->kill_at_ms : now_ms + KILL_AGAIN_MS;
    for (size_t i = 0; i < ARRAY_LEN(at) && !supervisor->is_ending; i++) {
        if (at[i] > now_ms && at[i] < next_ms)
            next_ms = at[i];
    }
    return next_ms - now_ms < POLL_MAX_MS ? (int)(next_ms - now_ms) : POLL_MAX_MS;
}

/* ---- the loop -----------------------------------------------------------------------------
 */

static void finish(struct supervisor *supervisor)
{
    read_channel(supervisor); /* why it did not start, if so */
    if (!supervisor->how.is_over) {
        supervisor->how.is_over = true;
        write_exit(supervisor);
    }
    fence_release(supervisor->fence);
    supervisor_free(supervisor);
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
            { .fd = fence_notify_fd(supervisor->fence), .events = POLLIN },
        };

        poll(fds, ARRAY_LEN(fds), wait_ms(supervisor, now_ms));
        if (fds[1].revents)
            read_channel(supervisor);
        if (fds[2].revents)
            fence_serve(supervisor->fence);
        read_signals(supervisor); /* reaps also what no signal told of */
        now_ms = clock_now_ms();
        check_limits(supervisor, now_ms);
    }
    finish(supervisor);
}
