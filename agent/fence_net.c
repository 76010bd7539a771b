#include "agent/fence_net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/fence_net_parts.h"
#include "base/alloc.h"

#define STACK_BYTES       ((size_t)256 * 1024)
#define STATUS_MAX_BYTES  4096
#define YAMA_ADMIN_ONLY   '2' /* from this scope on nobody may look into his own children */
#define RESPONSE_MAX_SIZE 512 /* as the kernel of the day fills them; ours are smaller */

static atomic_uint in_flight;

/* In network order, as they stand in an address. */
static const unsigned char metadata_v4[][4] = {
    { 169, 254, 169, 254 }, /* EC2 */
    { 169, 254, 170, 2 },   /* ECS */
    { 169, 254, 170, 23 },  /* EKS */
};
static const unsigned char metadata_v6[][16] = {
    { 0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54 }, /* EC2 */
    { 0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23 },    /* EKS */
};
/* Behind these an IPv4 address follows: mapped, compatible, and translated (RFC 6052). */
static const unsigned char v4_prefixes[][12] = {
    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff },
    { 0 },
    { 0, 0x64, 0xff, 0x9b },
};

static bool is_v4_metadata(const unsigned char *address)
{
    for (size_t i = 0; i < ARRAY_LEN(metadata_v4); i++) {
        if (memcmp(address, metadata_v4[i], sizeof(metadata_v4[i])) == 0)
            return true;
    }
    return false;
}

static bool is_v6_metadata(const unsigned char *address)
{
    for (size_t i = 0; i < ARRAY_LEN(metadata_v6); i++) {
        if (memcmp(address, metadata_v6[i], sizeof(metadata_v6[i])) == 0)
            return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(v4_prefixes); i++) {
        if (memcmp(address, v4_prefixes[i], sizeof(v4_prefixes[i])) == 0 &&
            is_v4_metadata(address + sizeof(v4_prefixes[i])))
            return true;
    }
    return false;
}

/* By either reading: an IPv6 socket takes some IPv4 addresses, whatever the family says. */
bool fence_net_is_metadata(const void *address, size_t len)
{
    const unsigned char *bytes = address;
    size_t v4_at = offsetof(struct sockaddr_in, sin_addr);
    size_t v6_at = offsetof(struct sockaddr_in6, sin6_addr);
    sa_family_t family = AF_UNSPEC;

    if (len < sizeof(family))
        return false;
    memcpy(&family, bytes, sizeof(family));
    if (family == AF_INET && len >= v4_at + 4)
        return is_v4_metadata(bytes + v4_at);
    if (family == AF_INET6 && len >= v6_at + 16)
        return is_v6_metadata(bytes + v6_at);
    return false;
}

bool fence_net_is_valid(const struct question *question)
{
    return ioctl(question->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &question->id) == 0;
}

static void answer(const struct question *question, int errnum)
{
    struct seccomp_notif_resp response = { .id = question->id, .error = -errnum };

    ioctl(question->listener, SECCOMP_IOCTL_NOTIF_SEND, &response); /* gone: nobody waits */
}

pid_t fence_net_process(const struct question *question)
{
    char path[64];
    char text[STATUS_MAX_BYTES];
    const char *at = NULL;
    AUTO_FD int fd = -1;
    ssize_t got = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)question->thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    text[got > 0 ? got : 0] = '\0';
    at = strstr(text, "\nTgid:");
    return at ? (pid_t)strtol(at + strlen("\nTgid:"), NULL, 10) : -1;
}

int fence_net_borrow(const struct question *question, int fd)
{
    AUTO_FD int process = (int)syscall(SYS_pidfd_open, fence_net_process(question), 0U);

    if (process < 0 || !fence_net_is_valid(question))
        return -1;
    return (int)syscall(SYS_pidfd_getfd, process, fd, 0U);
}

static int read_address(struct question *question)
{
    struct iovec here = { question->address.bytes, question->address_len };
    uint64_t at = question->arguments[1];
    struct iovec there = {
        (void *)(uintptr_t)at, /* NOLINT(performance-no-int-to-ptr): theirs */
        question->address_len
    };
    ssize_t got = process_vm_readv(question->thread, &here, 1, &there, 1, 0);

    if (got != (ssize_t)question->address_len)
        return got < 0 && errno != EFAULT ? errno : EFAULT;
    return fence_net_is_valid(question) ? 0 : EINTR;
}

bool fence_net_name(int fd, char *name, size_t size)
{
    char path[64];
    ssize_t len = 0;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    len = readlink(path, name, size);
    if (len < 0 || (size_t)len >= size)
        return false;
    name[len] = '\0';
    return true;
}

/*
 * connect() to a path of theirs: through a descriptor of the socket's file, found from their
 * root and their working directory.
 */
static int connect_path(const struct question *question, int fd)
{
    char path[sizeof(question->address.local.sun_path) + 64];
    size_t len = question->address_len - offsetof(struct sockaddr_un, sun_path);
    size_t name_len = strnlen(question->address.local.sun_path,
                              len < sizeof(question->address.local.sun_path)
                                  ? len
                                  : sizeof(question->address.local.sun_path));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char name[PATH_MAX];
    AUTO_FD int file = -1;

    snprintf(path, sizeof(path), "/proc/%d/%s/%.*s", (int)question->thread,
             question->address.local.sun_path[0] == '/' ? "root" : "cwd", (int)name_len,
             question->address.local.sun_path);
    file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0)
        return errno;
    if (!fence_net_is_valid(question))
        return EINTR;
    if (!fence_net_name(file, name, sizeof(name)) ||
        !fence_reach_has_socket(question->reach, name))
        return EACCES;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

/* The errno that connect() shall have, 0 for none. */
static int connect_for(struct question *question)
{
    AUTO_FD int fd = -1;
    int errnum = 0;

    if (question->address_len > sizeof(question->address.storage))
        return EINVAL;
    errnum = read_address(question);
    if (errnum != 0)
        return errnum;
    fd = fence_net_borrow(question, (int)question->arguments[0]);
    if (fd < 0)
        return errno;
    if (fence_net_is_metadata(question->address.bytes, question->address_len) ||
        fence_reach_is_denied(question->reach, question->address.bytes, question->address_len))
        return EACCES;
    if (question->address_len >= sizeof(sa_family_t)) {
        switch (question->address.any.sa_family) {
        case AF_UNSPEC: /* undoes a connect() */
        case AF_INET:
        case AF_INET6:
            break;
        case AF_UNIX:
            if (question->address_len <= offsetof(struct sockaddr_un, sun_path))
                return EINVAL;
            if (question->address.local.sun_path[0] == '\0')
                return EPERM;
            return connect_path(question, fd);
        default:
            return EAFNOSUPPORT;
        }
    }
    return connect(fd, &question->address.any, (socklen_t)question->address_len) == 0 ? 0
                                                                                      : errno;
}

static void *run_question(void *context)
{
    struct question *question = context;

    answer(question, question->number == SYS_connect ? connect_for(question)
                                                     : fence_mode_answer(question));
    close(question->listener);
    fence_reach_release(question->reach);
    free(question);
    atomic_fetch_sub(&in_flight, 1);
    return NULL;
}

/* Without a signal of the supervisor's: those are for its own thread. */
static bool start_thread(struct question *question)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attributes, run_question, question);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

static void have_answered(int listener, struct fence_reach *reach,
                          const struct seccomp_notif *notice)
{
    struct question *question = xcalloc(1, sizeof(*question));

    *question = (struct question){
        .listener = fcntl(listener, F_DUPFD_CLOEXEC, 0),
        .reach = fence_reach_share(reach),
        .id = notice->id,
        .thread = (pid_t)notice->pid,
        .number = notice->data.nr,
        .address_len = (size_t)(uint32_t)notice->data.args[2],
    };
    memcpy(question->arguments, notice->data.args, sizeof(question->arguments));
    if (question->listener >= 0 && atomic_fetch_add(&in_flight, 1) < FENCE_NET_MAX &&
        start_thread(question))
        return;
    if (question->listener >= 0) {
        atomic_fetch_sub(&in_flight, 1);
        answer(question, EAGAIN);
        close(question->listener);
    }
    fence_reach_release(question->reach);
    free(question);
}

bool fence_net_serve(int listener, struct fence_reach *reach)
{
    struct pollfd look = { .fd = listener, .events = POLLIN };
    union {
        struct seccomp_notif notice;
        char room[RESPONSE_MAX_SIZE];
    } in;

    if (poll(&look, 1, 0) <= 0 || !(look.revents & POLLIN))
        return !(look.revents & (POLLHUP | POLLERR | POLLNVAL));
    memset(&in, 0, sizeof(in));
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in.notice) == 0)
        have_answered(listener, reach, &in.notice);
    return true;
}

/* Of those around a process only one filter may have a listener, and a container's may be it.
 * Tried by a thread, which takes the filter with it. */
static void *try_to_listen(void *context)
{
    struct sock_filter allow = { .code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW };
    struct sock_fprog program = { .len = 1, .filter = &allow };
    bool *can_listen = context;
    int fd = -1;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    *can_listen = fd >= 0;
    if (fd >= 0)
        close(fd);
    return NULL;
}

static bool can_listen(void)
{
    bool is_able = false;
    pthread_t thread;

    if (pthread_create(&thread, NULL, try_to_listen, &is_able) != 0)
        return false;
    pthread_join(thread, NULL);
    return is_able;
}

/* A container may forbid what the kernel has. */
static bool can_copy_memory(void)
{
    char from = 'x', to = 0;
    struct iovec here = { &to, 1 };
    struct iovec there = { &from, 1 };

    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

/* Who may not look into a child of his own cannot take its socket. */
static bool may_look_into_children(void)
{
    char scope = '0';
    AUTO_FD int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

    return fd < 0 || read(fd, &scope, 1) != 1 || scope < YAMA_ADMIN_ONLY;
}

bool fence_net_is_there(void)
{
    unsigned action = SECCOMP_RET_USER_NOTIF;
    struct seccomp_notif_sizes sizes = { 0 };

    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) != 0 ||
        syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0U, &sizes) != 0 ||
        sizes.seccomp_notif > RESPONSE_MAX_SIZE)
        return false;
    /* Of nobody: EBADF where the call is there and allowed. */
    if (syscall(SYS_pidfd_getfd, -1, 0, 0U) != -1 || errno != EBADF)
        return false;
    return can_copy_memory() && may_look_into_children() && can_listen();
}
