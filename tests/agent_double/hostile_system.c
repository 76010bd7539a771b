#include "tests/agent_double/hostile_parts.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

#define TYPING_HIGH     ((1UL << 32) | TIOCSTI) /* the kernel looks at 32 bits of it */
#define IO_URING_SETUP  425
#define FAMILY_OF_HOSTS 40 /* AF_VSOCK: from a guest to its host */

int hostile_mount(void)
{
    return hostile_result(mount("none", hostile_tmp(), "tmpfs", 0, NULL));
}

int hostile_unshare_user(void)
{
    return hostile_result(syscall(SYS_unshare, CLONE_NEWUSER));
}

int hostile_unshare_net(void)
{
    return hostile_result(syscall(SYS_unshare, CLONE_NEWNET));
}

int hostile_clone_user(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return hostile_result(pid);
}

int hostile_clone3(void)
{
    return hostile_result(syscall(SYS_clone3, NULL, 0));
}

int hostile_setns(void)
{
    AUTO_FD int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    return hostile_result(syscall(SYS_setns, fd, 0));
}

int hostile_chroot(void)
{
    return hostile_result(chroot("."));
}

int hostile_module(void)
{
    return hostile_result(syscall(SYS_init_module, NULL, 0, ""));
}

int hostile_bpf(void)
{
    return hostile_result(syscall(SYS_bpf, 0, NULL, 0));
}

int hostile_perf(void)
{
    return hostile_result(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

int hostile_kexec(void)
{
    return hostile_result(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

int hostile_reboot(void) /* by wrong numbers: EINVAL where it is not refused */
{
    return hostile_result(syscall(SYS_reboot, 1, 2, 3, NULL));
}

int hostile_clock(void) /* sets nothing */
{
    return hostile_result(syscall(SYS_settimeofday, NULL, NULL));
}

int hostile_keys(void)
{
    return hostile_result(syscall(SYS_keyctl, 0, -3, 0, 0, 0));
}

int hostile_userfaultfd(void)
{
    return hostile_result(syscall(SYS_userfaultfd, 1));
}

int hostile_io_uring(void)
{
    return hostile_result(syscall(IO_URING_SETUP, 1, NULL));
}

int hostile_handle(void)
{
    return hostile_result(syscall(SYS_open_by_handle_at, -1, NULL, 0));
}

int hostile_typing(void)
{
    return hostile_result(ioctl(-1, TIOCSTI, "x"));
}

int hostile_typing_high(void)
{
    return hostile_result(syscall(SYS_ioctl, -1, TYPING_HIGH, "x"));
}

/* The system calls of another architecture, which a filter for this one does not know. */
int hostile_foreign(void)
{
#ifdef __x86_64__
    return hostile_result(syscall(0x40000000 | SYS_getpid));
#else
    return ENOSYS;
#endif
}

int hostile_setuid(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

static int connect_v4(int type, uint32_t address, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(address) };
    AUTO_FD int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : hostile_result(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

static int connect_v6(const unsigned char address[16])
{
    struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
    AUTO_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(&to.sin6_addr, address, 16);
    return fd < 0 ? errno : hostile_result(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

int hostile_metadata(void)
{
    return connect_v4(SOCK_STREAM, 0xa9fea9fe, 80);
}

int hostile_metadata_ecs(void)
{
    return connect_v4(SOCK_STREAM, 0xa9feaa02, 80);
}

int hostile_metadata_mapped(void)
{
    return connect_v6(
        (const unsigned char[]){ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 169, 254, 169, 254 });
}

int hostile_metadata_v6(void)
{
    return connect_v6(
        (const unsigned char[]){ 0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54 });
}

int hostile_metadata_fastopen(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(80),
                              .sin_addr.s_addr = htonl(0xa9fea9fe) };
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno
                  : hostile_result(sendto(fd, "GET", 3, MSG_FASTOPEN | MSG_NOSIGNAL,
                                          (struct sockaddr *)&to, sizeof(to)));
}

int hostile_abstract(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "\0threadkeeper-hostile" };
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : hostile_result(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

int hostile_vsock(void)
{
    AUTO_FD int fd = socket(FAMILY_OF_HOSTS, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return hostile_result(fd);
}

/* To ourselves, without waiting and with. */
int hostile_own_connect(void)
{
    struct sockaddr_in here = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(here);
    AUTO_FD int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FD int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(server, (struct sockaddr *)&here, len) != 0 || listen(server, 4) != 0 ||
        getsockname(server, (struct sockaddr *)&here, &len) != 0 ||
        connect(client, (struct sockaddr *)&here, len) != 0)
        return errno;
    return connect_v4(SOCK_STREAM, INADDR_LOOPBACK, ntohs(here.sin_port)) == EINPROGRESS
               ? 0
               : ECANCELED;
}

int hostile_own_unix(void)
{
    struct sockaddr_un here = { .sun_family = AF_UNIX };
    AUTO_FD int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FD int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int errnum = 0;

    if (chdir(hostile_tmp()) != 0)
        return errno;
    snprintf(here.sun_path, sizeof(here.sun_path), "socket");
    if (bind(server, (struct sockaddr *)&here, sizeof(here)) != 0 || listen(server, 4) != 0 ||
        connect(client, (struct sockaddr *)&here, sizeof(here)) != 0)
        errnum = errno;
    unlink("socket");
    return chdir(hostile_target.workspace) != 0 && errnum == 0 ? errno : errnum;
}

/* A name server's address, on the same network as the metadata, stays reachable. */
int hostile_own_dns(void)
{
    return connect_v4(SOCK_DGRAM, 0xa9fea9fd, 53);
}
