#include "agent/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"

/* Over the daemon's own: when memory runs out an agent goes first. */
#define OOM_SCORE_ADJUSTMENT "500"

int fence_prepare(const struct agent_meta *meta, const char *run_dir, char *ret_step,
                  size_t step_size, char *ret_text, size_t text_size)
{
    (void)meta, (void)run_dir, (void)ret_step, (void)step_size, (void)ret_text, (void)text_size;
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

/* The name of the step that failed (errno says why), or NULL. */
static const char *confine(const struct agent_meta *meta, const char *run_dir)
{
    umask(077);
    reset_signals();
    if (getsid(0) != getpid() && setsid() < 0)
        return "session";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return "privileges";
    offer_to_oom_killer();
    if (set_limit(RLIMIT_CORE, 0) != 0 ||
        set_limit(RLIMIT_FSIZE, (rlim_t)meta->max_output_bytes) != 0)
        return "limits";
    if (open_streams(run_dir) != 0)
        return "streams";
    if (chdir(meta->workspace) != 0)
        return "workspace";
    return NULL;
}

int fence_enter(const struct agent_meta *meta, const char *run_dir, int *ret_notify_fd,
                char *ret_step, size_t step_size, char *ret_text, size_t text_size)
{
    const char *step = confine(meta, run_dir);
    char text[128];

    if (step) {
        snprintf(ret_text, text_size, "%s", err_errno_text(errno, text, sizeof(text)));
        snprintf(ret_step, step_size, "%s", step);
        return -1;
    }
    *ret_notify_fd = -1;
    return 0;
}

void fence_serve(int notify_fd)
{
    (void)notify_fd;
}

void fence_release(const struct agent_meta *meta, const char *run_dir)
{
    (void)meta, (void)run_dir;
}
