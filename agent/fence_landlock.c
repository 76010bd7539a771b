#include "agent/fence_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

/* The same numbers on every architecture; see Documentation/userspace-api/landlock.rst. */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE       445
#define CALL_RESTRICT_SELF  446

#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH      1
#define LOG_SUBDOMAINS_OFF     (1U << 2)
#define LOG_ABI                7

#define FS_EXECUTE    (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE  (1ULL << 2)
#define FS_READ_DIR   (1ULL << 3)
#define FS_FIRST      ((1ULL << 13) - 1) /* all of version 1 */
#define FS_REFER      (1ULL << 13)
#define FS_TRUNCATE   (1ULL << 14)
#define FS_IOCTL_DEV  (1ULL << 15)

#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL               (1ULL << 1)

/* Devices are not made in a directory that may be written. */
#define FS_MAKE_CHAR  (1ULL << 6)
#define FS_MAKE_BLOCK (1ULL << 11)

/* What may be allowed of a file that is not a directory. */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

int fence_landlock_abi(void)
{
    long abi = syscall(CALL_CREATE_RULESET, NULL, (size_t)0, CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

static uint64_t handled_by(int abi)
{
    uint64_t handled = FS_FIRST;

    if (abi >= 2)
        handled |= FS_REFER;
    if (abi >= FENCE_LANDLOCK_TRUNCATE_ABI)
        handled |= FS_TRUNCATE;
    if (abi >= 5)
        handled |= FS_IOCTL_DEV;
    return handled;
}

static uint64_t rights_of(unsigned access)
{
    uint64_t rights = 0;

    if (access & FENCE_LIST)
        rights |= FS_READ_DIR;
    if (access & FENCE_READ)
        rights |= FS_READ_FILE | FS_READ_DIR;
    if (access & FENCE_EXECUTE)
        rights |= FS_EXECUTE;
    if (access & FENCE_CHANGE)
        rights |= (FS_FIRST & ~(FS_MAKE_CHAR | FS_MAKE_BLOCK)) | FS_REFER | FS_TRUNCATE;
    if (access & FENCE_APPEND)
        rights |= FS_WRITE_FILE | FS_TRUNCATE;
    if (access & FENCE_DEVICE)
        rights |= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
    return rights;
}

static int open_without_links(const char *path)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    char link[64], real[PATH_MAX];
    ssize_t len = 0;

    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return fd;
    fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC); /* a filter around us does not know it */
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = fd >= 0 ? readlink(link, real, sizeof(real) - 1) : -1;
    if (len == (ssize_t)strlen(path) && memcmp(real, path, (size_t)len) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int add_rule(int ruleset, int abi, const struct fence_rule *rule)
{
    AUTO_FD int fd = open_without_links(rule->path);
    struct path_beneath_attr attr = { .allowed_access = rights_of(rule->access) };
    struct stat info;

    /* What is not there, or may not be looked at, cannot be allowed and need not be. */
    if (fd < 0 || fstat(fd, &info) != 0)
        return 0;
    attr.parent_fd = fd;
    attr.allowed_access &= handled_by(abi);
    if (!S_ISDIR(info.st_mode))
        attr.allowed_access &= FS_OF_FILES;
    if (attr.allowed_access == 0)
        return 0;
    return (int)syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &attr, 0U);
}

int fence_landlock_new(int abi, const struct fence_rules *rules, struct err *err)
{
    struct ruleset_attr attr = { .handled_access_fs = handled_by(abi) };
    size_t size =
        sizeof(attr.handled_access_fs); /* as long as a kernel of that version knows */
    AUTO_FD int ruleset = -1;

    if (abi >= 4)
        size = sizeof(attr.handled_access_fs) + sizeof(attr.handled_access_net);
    if (abi >= FENCE_LANDLOCK_SCOPE_ABI) {
        attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
        size = sizeof(attr);
    }
    ruleset = (int)syscall(CALL_CREATE_RULESET, &attr, size, 0U);
    if (ruleset < 0)
        return err_set_errno(err, ERR_SYSTEM, "make a Landlock ruleset");
    for (size_t i = 0; i < rules->count; i++) {
        if (add_rule(ruleset, abi, &rules->items[i]) != 0)
            return err_set_errno(err, ERR_SYSTEM, "allow %s", rules->items[i].path);
    }
    return take_fd(&ruleset);
}

int fence_landlock_enter(int ruleset, int abi)
{
    return (int)syscall(CALL_RESTRICT_SELF, ruleset, abi >= LOG_ABI ? LOG_SUBDOMAINS_OFF : 0U);
}
