#include "tests/agent_double/hostile_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

/* The same numbers on every architecture; not every C library has them. */
#define CALL_PIDFD_SEND_SIGNAL 424
#define CALL_PIDFD_OPEN        434
#define CALL_PIDFD_GETFD       438

static int read_proc(pid_t pid, const char *name)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/%s", (int)pid, name);
    char bytes[64];
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno;
    return hostile_result(read(fd, bytes, sizeof(bytes)));
}

int hostile_daemon_environ(void)
{
    return read_proc(hostile_target.daemon, "environ");
}

int hostile_daemon_mem(void)
{
    return read_proc(hostile_target.daemon, "mem");
}

int hostile_daemon_maps(void)
{
    return read_proc(hostile_target.daemon, "maps");
}

int hostile_supervisor_environ(void)
{
    return read_proc(hostile_target.supervisor, "environ");
}

int hostile_daemon_descriptors(void)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/fd/0", (int)hostile_target.daemon);
    char name[64];

    return hostile_result(readlink(path, name, sizeof(name)));
}

int hostile_ptrace_daemon(void)
{
    return hostile_result(ptrace(PTRACE_SEIZE, hostile_target.daemon, NULL, NULL));
}

int hostile_ptrace_supervisor(void)
{
    return hostile_result(ptrace(PTRACE_SEIZE, hostile_target.supervisor, NULL, NULL));
}

int hostile_readv(void)
{
    char bytes[16];
    struct iovec here = { bytes, sizeof(bytes) };

    return hostile_result(process_vm_readv(hostile_target.daemon, &here, 1, &here, 1, 0));
}

int hostile_getfd(void)
{
    AUTO_FD int process = (int)syscall(CALL_PIDFD_OPEN, hostile_target.daemon, 0);

    return hostile_result(syscall(CALL_PIDFD_GETFD, process, 0, 0));
}

int hostile_kill_daemon(void)
{
    return hostile_result(kill(hostile_target.daemon, hostile_target.signal_number));
}

int hostile_kill_daemon_high(void) /* the kernel looks at 32 bits of it */
{
    return hostile_result(syscall(SYS_kill, (1UL << 32) | (unsigned long)hostile_target.daemon,
                                  hostile_target.signal_number));
}

int hostile_kill_daemon_group(void)
{
    return hostile_result(kill(-getpgid(hostile_target.daemon), hostile_target.signal_number));
}

int hostile_kill_supervisor(void)
{
    return hostile_result(kill(hostile_target.supervisor, hostile_target.signal_number));
}

int hostile_kill_all(void)
{
    return hostile_result(kill(-1, hostile_target.signal_number));
}

int hostile_tgkill(void)
{
    return hostile_result(syscall(SYS_tgkill, hostile_target.daemon, hostile_target.daemon,
                                  hostile_target.signal_number));
}

int hostile_sigqueue(void)
{
    return hostile_result(
        sigqueue(hostile_target.daemon, hostile_target.signal_number, (union sigval){ 0 }));
}

int hostile_pidfd_signal(void)
{
    AUTO_FD int process = (int)syscall(CALL_PIDFD_OPEN, hostile_target.daemon, 0);

    return hostile_result(
        syscall(CALL_PIDFD_SEND_SIGNAL, process, hostile_target.signal_number, NULL, 0));
}

int hostile_daemon_limits(void)
{
    struct rlimit limit;

    return hostile_result(prlimit(hostile_target.daemon, RLIMIT_NOFILE, NULL, &limit));
}

/* Signals within the run stay possible. */
int hostile_own_kill(void)
{
    pid_t child = fork();

    if (child == 0) {
        pause();
        _exit(0);
    }
    if (kill(child, SIGKILL) != 0)
        return errno;
    return waitpid(child, NULL, 0) == child ? 0 : errno;
}

/* A descriptor that somebody forgot. */
int hostile_descriptors(void)
{
    for (int fd = 3; fd < 4096; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return 0;
    }
    return EBADF;
}

/* In a session of its own, without parents and without a trace in its environment. Its argument
 * tells whose it is. */
int hostile_daemonize(void)
{
    AUTO_FREE char *seconds = xasprintf("1000.%d", (int)hostile_target.daemon);
    char *const argv[] = { (char *)"sleep", seconds, NULL };
    char *const nothing[] = { NULL };
    pid_t child = fork();

    if (child < 0)
        return errno;
    if (child == 0) {
        setsid();
        if (fork() != 0)
            _exit(0);
        setsid();
        execve("/bin/sleep", argv, nothing);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    return 0;
}

int hostile_forkbomb(void)
{
    pid_t *children = xcalloc((size_t)hostile_target.forks, sizeof(*children));
    int64_t count = 0;
    int errnum = 0;

    while (count < hostile_target.forks && errnum == 0) {
        children[count] = fork();
        if (children[count] == 0) {
            for (;;)
                pause();
        }
        if (children[count] < 0)
            errnum = errno;
        else
            count++;
    }
    while (count-- > 0) {
        kill(children[count], SIGKILL);
        waitpid(children[count], NULL, 0);
    }
    free(children);
    return errnum;
}
