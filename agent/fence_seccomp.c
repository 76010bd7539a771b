#include "agent/fence_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "agent/fence_landlock.h"
#include "base/alloc.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

#define PROGRAM_MAX_BYTES ((size_t)BPF_MAXINSNS * sizeof(struct sock_filter))

/* The kernel takes 32 bits of these arguments whatever the others hold, so must the filter. */
#define INT_BITS 0xffffffffULL
#define INT_IS(argument, want) \
    SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, INT_BITS, (uint32_t)(want))
#define HAS_BITS(argument, bits) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, (bits), (bits))

/* EPERM: who calls these must be told. */
static const char *const forbidden[] = {
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise",
    "process_mrelease", "move_pages", "migrate_pages", "perf_event_open", "lookup_dcookie",
    /* the file system as others see it */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "setns",
    "open_by_handle_at", "quotactl", "quotactl_fd", "fanotify_init", "fanotify_mark", "acct",
    "swapon", "swapoff", "nfsservctl",
    /* the kernel */
    "bpf", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
    "create_module", "query_module", "get_kernel_syms", "reboot", "syslog", "iopl", "ioperm",
    "uselib", "_sysctl", "sysfs", "vm86", "vm86old", "modify_ldt",
    /* the clock, the name, the keys */
    "settimeofday", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64",
    "adjtimex", "stime", "sethostname", "setdomainname", "keyctl", "add_key", "request_key",
    "vhangup"
};

/* ENOSYS: programs try these first and know what to do without. */
static const char *const unknown[] = {
    "clone3",      "io_uring_setup", "io_uring_enter", "io_uring_register", "pidfd_send_signal",
    "userfaultfd", "fchmodat2",      "setxattrat",     "removexattrat",     "file_setattr",
};

/* Said to be done and not done: Landlock has no rights for these, and who unpacks or copies
 * files would stop at an error. */
static const char *const pretended[] = {
    "chown",        "lchown",   "fchown",    "fchownat",  "chown32",     "lchown32",
    "fchown32",     "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
    "fremovexattr", "utime",    "utimes",    "futimesat",
};
/* Asked about, where somebody can be asked. */
static const char *const attributes[] = { "chmod", "fchmod", "fchmodat", "utimensat" };
#define MODE_ATTRIBUTES 3 /* the first of them; behind these come the times */

/* Calls that a libseccomp may be too old to know; one number on all architectures. */
static const struct {
    const char *name;
    int number;
} recent[] = {
    { "fchmodat2", 452 },      { "setxattrat", 463 },   { "removexattrat", 466 },
    { "open_tree_attr", 467 }, { "file_setattr", 469 },
};

/* The first argument is a process, or minus its group. */
static const char *const signalling[] = { "kill", "tkill", "tgkill", "rt_sigqueueinfo",
                                          "rt_tgsigqueueinfo" };
static const char *const adjusting[] = { "sched_setaffinity", "sched_setscheduler",
                                         "sched_setparam", "sched_setattr" };

static const unsigned long long namespaces[] = {
    CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
    CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
};
#define NEW_TIME_NAMESPACE                                             \
    0x80ULL /* for unshare() only: in clone() it is a part of a signal \
             */

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
#define FAMILIES_END 64 /* above the last one that kernels know */

struct filter {
    scmp_filter_ctx context;
    int failure; /* the first one, negative errno */
};

static int number_of(const char *name)
{
    int number = seccomp_syscall_resolve_name(name);

    for (size_t i = 0; number == __NR_SCMP_ERROR && i < ARRAY_LEN(recent); i++) {
        if (strcmp(recent[i].name, name) == 0)
            number = recent[i].number;
    }
    return number;
}

static void refuse_when(struct filter *filter, const char *name, int errnum,
                        const struct scmp_arg_cmp *conditions, unsigned count)
{
    int number = number_of(name);
    int rc = 0;

    if (number == __NR_SCMP_ERROR || number < 0) /* not on this architecture */
        return;
    rc = seccomp_rule_add_array(filter->context, SCMP_ACT_ERRNO((uint32_t)errnum), number,
                                count, conditions);
    if (rc != 0 && filter->failure == 0)
        filter->failure = rc;
}

static void refuse(struct filter *filter, const char *name, int errnum)
{
    refuse_when(filter, name, errnum, NULL, 0);
}

static void refuse_one(struct filter *filter, const char *name, int errnum,
                       struct scmp_arg_cmp condition)
{
    refuse_when(filter, name, errnum, &condition, 1);
}

static void refuse_namespaces(struct filter *filter)
{
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        refuse_one(filter, "unshare", EPERM, HAS_BITS(0, namespaces[i]));
        refuse_one(filter, "clone", EPERM, HAS_BITS(0, namespaces[i]));
    }
    refuse_one(filter, "unshare", EPERM, HAS_BITS(0, NEW_TIME_NAMESPACE));
}

/* Input that a terminal's owner seems to have typed; what a console seems to have. */
static void refuse_typing(struct filter *filter)
{
    refuse_one(filter, "ioctl", EPERM, INT_IS(1, TIOCSTI));
    refuse_one(filter, "ioctl", EPERM, INT_IS(1, TIOCLINUX));
}

static bool is_family(int family)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (families[i] == family)
            return true;
    }
    return false;
}

static void refuse_families(struct filter *filter)
{
    for (int family = 0; family < FAMILIES_END; family++) {
        if (!is_family(family))
            refuse_one(filter, "socket", EAFNOSUPPORT, INT_IS(0, family));
    }
    refuse_one(filter, "socket", EAFNOSUPPORT, SCMP_CMP64(0, SCMP_CMP_GE, FAMILIES_END, 0));
}

/*
 * Landlock keeps signals inside the run from version 6 on, whoever their target is; before,
 * those that we know of are guarded here. A thread's id says nothing about its process, so
 * there tkill(), which tgkill() has replaced, goes altogether.
 */
static void guard_processes(struct filter *filter, const struct fence_seccomp_options *options)
{
    for (size_t i = 0; i < options->guarded_count; i++) {
        pid_t pid = options->guarded[i];

        for (size_t k = 0; k < ARRAY_LEN(signalling); k++) {
            if (k == 1 && options->landlock_abi < FENCE_LANDLOCK_SCOPE_ABI)
                continue;
            refuse_one(filter, signalling[k], EPERM, INT_IS(0, pid));
        }
        for (size_t k = 0; k < ARRAY_LEN(adjusting); k++)
            refuse_one(filter, adjusting[k], EPERM, INT_IS(0, pid));
        refuse_one(filter, "kill", EPERM, INT_IS(0, -pid));
        refuse_one(filter, "setpriority", EPERM, INT_IS(1, pid));
        refuse_one(filter, "ioprio_set", EPERM, INT_IS(1, pid));
    }
    refuse_one(filter, "kill", EPERM, INT_IS(0, -1));
    if (options->landlock_abi < FENCE_LANDLOCK_SCOPE_ABI)
        refuse(filter, "tkill", EPERM);
    /* Another process's limits may be changed by whoever is the same user. */
    refuse_one(filter, "prlimit64", EPERM, SCMP_CMP64(0, SCMP_CMP_NE, 0, 0));
}

/*
 * Before its version 3 Landlock lets a file be cut short that may only be read, or not even
 * that: the access mode 3, which Linux has for ioctl() alone, asks it for no right at all.
 * creat() opens to write, so Landlock is asked; openat2() hides its flags from filters.
 */
static void refuse_truncation(struct filter *filter)
{
    static const unsigned long long cuts[] = { O_RDONLY | O_TRUNC, O_ACCMODE | O_TRUNC };
    const unsigned long long mode_and_cut = O_ACCMODE | O_TRUNC;

    refuse(filter, "truncate", EPERM);
    refuse(filter, "truncate64", EPERM);
    refuse(filter, "openat2", ENOSYS);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        refuse_one(filter, "open", EPERM,
                   SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, mode_and_cut, cuts[i]));
        refuse_one(filter, "openat", EPERM,
                   SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, mode_and_cut, cuts[i]));
    }
}

static void watch(struct filter *filter, const char *name)
{
    int number = number_of(name);
    int rc = 0;

    if (number == __NR_SCMP_ERROR || number < 0) /* not on this architecture */
        return;
    rc = seccomp_rule_add(filter->context, SCMP_ACT_NOTIFY, number, 0);
    if (rc != 0 && filter->failure == 0)
        filter->failure = rc;
}

/* connect() is asked about; nothing else may carry an address to a TCP connection. */
static void watch_connect(struct filter *filter)
{
    watch(filter, "connect");
    refuse_one(filter, "sendto", EOPNOTSUPP, HAS_BITS(3, MSG_FASTOPEN));
    refuse_one(filter, "sendmsg", EOPNOTSUPP, HAS_BITS(2, MSG_FASTOPEN));
    refuse_one(filter, "sendmmsg", EOPNOTSUPP, HAS_BITS(3, MSG_FASTOPEN));
}

/* Times are left alone where nobody can be asked: locks are told apart by them. */
static void hold_attributes(struct filter *filter, const struct fence_seccomp_options *options)
{
    for (size_t i = 0; i < ARRAY_LEN(pretended); i++)
        refuse(filter, pretended[i], 0);
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        if (options->watches_connect)
            watch(filter, attributes[i]);
        else if (options->changes_nothing && i < MODE_ATTRIBUTES)
            refuse(filter, attributes[i], 0);
    }
}

static void fill(struct filter *filter, const struct fence_seccomp_options *options)
{
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
        refuse(filter, forbidden[i], EPERM);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        refuse(filter, unknown[i], ENOSYS);
    refuse_namespaces(filter);
    refuse_typing(filter);
    refuse_families(filter);
    guard_processes(filter, options);
    if (options->landlock_abi < FENCE_LANDLOCK_TRUNCATE_ABI)
        refuse_truncation(filter);
    if (options->watches_connect)
        watch_connect(filter);
    hold_attributes(filter, options);
}

static int read_program(int fd, struct fence_filter *ret_filter, struct err *err)
{
    struct stat info;
    AUTO_FREE char *bytes = NULL;

    if (fstat(fd, &info) != 0 || info.st_size <= 0 || (size_t)info.st_size > PROGRAM_MAX_BYTES)
        return err_set(err, ERR_SYSTEM, "the seccomp filter has no fitting size");
    bytes = xcalloc(1, (size_t)info.st_size);
    if (pread(fd, bytes, (size_t)info.st_size, 0) != info.st_size)
        return err_set_errno(err, ERR_SYSTEM, "read the seccomp filter");
    ret_filter->length = (unsigned short)((size_t)info.st_size / sizeof(struct sock_filter));
    ret_filter->program = take_ptr(&bytes);
    return 0;
}

int fence_seccomp_make(const struct fence_seccomp_options *options,
                       struct fence_filter *ret_filter, struct err *err)
{
    struct filter filter = { .context = seccomp_init(SCMP_ACT_ALLOW) };
    AUTO_FD int fd = memfd_create("seccomp", MFD_CLOEXEC);
    char text[128];
    int rc = -1;

    if (!filter.context || fd < 0) {
        seccomp_release(filter.context);
        return err_set_errno(err, ERR_SYSTEM, "make a seccomp filter");
    }
    filter.failure =
        seccomp_attr_set(filter.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    fill(&filter, options);
    if (filter.failure == 0)
        filter.failure = seccomp_export_bpf(filter.context, fd);
    seccomp_release(filter.context);
    if (filter.failure != 0)
        return err_set(err, ERR_SYSTEM, "make a seccomp filter: %s",
                       err_errno_text(-filter.failure, text, sizeof(text)));
    ret_filter->has_listener = options->watches_connect;
    rc = read_program(fd, ret_filter, err);
    return rc;
}

void fence_filter_deinit(struct fence_filter *filter)
{
    free(filter->program);
    *filter = (struct fence_filter){ 0 };
}

bool fence_seccomp_is_there(void)
{
    unsigned action = SECCOMP_RET_ERRNO;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
}

int fence_seccomp_enter(const struct fence_filter *filter, int *ret_listener)
{
    struct sock_fprog program = { .len = filter->length, .filter = filter->program };
    /* A signal must not take back a question that is being answered: the program would ask
     * again, and find itself connecting already. */
    unsigned long flags =
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    long rc = 0;

    *ret_listener = -1;
    if (!filter->has_listener)
        return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0UL, &program);
    rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (rc < 0 && errno == EINVAL) /* before Linux 5.19 */
        rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                     &program);
    if (rc < 0)
        return -1;
    *ret_listener = (int)rc;
    return 0;
}
