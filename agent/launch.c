#include "agent/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/meta.h"
#include "agent/process.h"
#include "base/alloc.h"

/* Over the daemon's own: when memory runs out an agent goes first. */
#define OOM_SCORE_ADJUSTMENT "500"
#define LAUNCH_FAILED_STATUS 126

/* What failed, for run.c: {"step": ..., "errno": ..., "text": ...}. */
static void report(const char *run_dir, const char *step, int errnum, const char *text)
{
    json_auto_t *root =
        json_pack("{s:s, s:i, s:s}", "step", step, "errno", errnum, "text", text ? text : "");
    AUTO_FREE char *line = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (line)
        agent_meta_write_file(run_dir, AGENT_FILE_LAUNCH_ERROR, line, strlen(line), NULL);
}

static int fail_errno(const char *run_dir, const char *step)
{
    int errnum = errno;
    char text[128];

    report(run_dir, step, errnum, err_errno_text(errnum, text, sizeof(text)));
    return -1;
}

/* Writes down who we are, so that a daemon that was not there when we started finds us. */
static int sign_meta(const char *run_dir, struct agent_meta *meta)
{
    struct process_stat self;
    struct err err = { 0 };

    if (!process_read_stat(getpid(), &self)) {
        errno = ENOENT;
        return fail_errno(run_dir, "stat");
    }
    meta->pid = self.pid;
    meta->start_ticks = self.start_ticks;
    process_boot_id(meta->boot_id);
    if (agent_meta_write(run_dir, meta, &err) != 0) {
        report(run_dir, "meta", 0, err.message);
        return -1;
    }
    return 0;
}

static void reset_signals(void)
{
    struct sigaction standard = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &standard, NULL); /* refused for KILL, STOP and the C library's own */
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* Best effort: without it the kernel's own choice stands. */
static void offer_to_oom_killer(void)
{
    AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, OOM_SCORE_ADJUSTMENT, strlen(OOM_SCORE_ADJUSTMENT)) < 0)
        return;
}

static int set_limit(int which, rlim_t value)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
    struct rlimit before;

    if (getrlimit((__rlimit_resource_t)which, &before) == 0 && before.rlim_max < value)
        return 0; /* already tighter */
    return setrlimit((__rlimit_resource_t)which, &limit);
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

/* Each step tells by its name in launch.err which one failed. */
static int confine(const char *run_dir, const struct agent_meta *meta)
{
    umask(077);
    reset_signals();
    if (getsid(0) != getpid() && setsid() < 0)
        return fail_errno(run_dir, "session");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail_errno(run_dir, "privileges");
    offer_to_oom_killer();
    if (set_limit(RLIMIT_CORE, 0) != 0 ||
        set_limit(RLIMIT_FSIZE, (rlim_t)meta->max_output_bytes) != 0)
        return fail_errno(run_dir, "limits");
    if (open_streams(run_dir) != 0)
        return fail_errno(run_dir, "streams");
    if (close_range(3, ~0U, 0) != 0)
        return fail_errno(run_dir, "descriptors");
    if (chdir(meta->workspace) != 0)
        return fail_errno(run_dir, "workspace");
    return 0;
}

int agent_launch_main(const char *run_dir)
{
    AUTO_FREE char *physical = realpath(run_dir, NULL); /* the working directory will change */
    struct agent_meta meta = { 0 };
    struct err err = { 0 };

    if (!physical)
        return LAUNCH_FAILED_STATUS;
    if (agent_meta_read(physical, &meta, &err) != 0)
        report(physical, "meta", 0, err.message);
    else if (sign_meta(physical, &meta) == 0 && confine(physical, &meta) == 0) {
        execvp(meta.argv[0], meta.argv);
        fail_errno(physical, "exec");
    }
    agent_meta_deinit(&meta);
    return LAUNCH_FAILED_STATUS;
}
