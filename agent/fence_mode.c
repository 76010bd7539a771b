/* chmod() and utimensat() on behalf of an agent; Landlock has no rights for them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "agent/fence_net_parts.h"
#include "base/alloc.h"

#define SELF "/proc/self/"

/* What is asked, whichever call asks it. */
struct change {
    int at;            /* a descriptor of theirs, or AT_FDCWD */
    uint64_t path_at;  /* in their memory; 0: the descriptor itself is meant */
    bool sets_times;   /* else the mode */
    uint64_t times_at; /* 0: now */
    mode_t mode;
    int flags;
};

static bool change_of(const struct question *question, struct change *ret_change)
{
    const uint64_t *arguments = question->arguments;

    switch (question->number) {
#ifdef SYS_chmod
    case SYS_chmod:
        *ret_change = (struct change){ .at = AT_FDCWD,
                                       .path_at = arguments[0],
                                       .mode = (mode_t)arguments[1] };
        return arguments[0] != 0;
#endif
    case SYS_fchmod:
        *ret_change = (struct change){ .at = (int)arguments[0], .mode = (mode_t)arguments[1] };
        return true;
    case SYS_fchmodat: /* it has no flags: they are the C library's */
        *ret_change = (struct change){ .at = (int)arguments[0],
                                       .path_at = arguments[1],
                                       .mode = (mode_t)arguments[2] };
        return arguments[1] != 0;
    case SYS_utimensat:
        *ret_change = (struct change){ .at = (int)arguments[0],
                                       .path_at = arguments[1],
                                       .sets_times = true,
                                       .times_at = arguments[2],
                                       .flags = (int)arguments[3] };
        return arguments[1] != 0 || ret_change->at != AT_FDCWD;
    default:
        return false;
    }
}

/* By at most two pieces, each within a page: the second may not be there. */
static ssize_t read_theirs(const struct question *question, uint64_t at, void *to, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t first = page - (size_t)(at % page) < size ? page - (size_t)(at % page) : size;
    struct iovec here = { to, size };
    struct iovec there[] = {
        { (void *)(uintptr_t)at, first },  /* NOLINT(performance-no-int-to-ptr): theirs */
        { (void *)(uintptr_t)(at + first), /* NOLINT(performance-no-int-to-ptr) */
          size - first },
    };

    return process_vm_readv(question->thread, &here, 1, there, size > first ? 2 : 1, 0);
}

static int read_path(const struct question *question, uint64_t at, char *path, size_t size)
{
    ssize_t got = read_theirs(question, at, path, size);

    if (got <= 0)
        return EFAULT;
    if (memchr(path, '\0', (size_t)got) == NULL)
        return (size_t)got == size ? ENAMETOOLONG : EFAULT;
    return 0;
}

/* As they would find it; /proc/self is theirs, not ours: C libraries use it for what has a
 * descriptor. */
static char *path_of(const struct question *question, int at, const char *path)
{
    if (strncmp(path, SELF, strlen(SELF)) == 0)
        return xasprintf("/proc/%d/%s", (int)fence_net_process(question), path + strlen(SELF));
    if (path[0] == '/')
        return xasprintf("/proc/%d/root%s", (int)question->thread, path);
    if (at == AT_FDCWD)
        return xasprintf("/proc/%d/cwd/%s", (int)question->thread, path);
    return xasprintf("/proc/%d/fd/%d/%s", (int)question->thread, at, path);
}

/* The file that is meant, or -1 with errno. */
static int open_meant(const struct question *question, const struct change *change)
{
    char path[PATH_MAX];
    AUTO_FREE char *ours = NULL;
    int errnum = 0;

    if (change->path_at == 0)
        return fence_net_borrow(question, change->at);
    errnum = read_path(question, change->path_at, path, sizeof(path));
    if (errnum == 0 && !path[0]) {
        if ((change->flags & AT_EMPTY_PATH) && change->at != AT_FDCWD)
            return fence_net_borrow(question, change->at);
        errnum = ENOENT;
    }
    if (errnum != 0) {
        errno = errnum;
        return -1;
    }
    ours = path_of(question, change->at, path);
    return open(ours,
                O_PATH | O_CLOEXEC | (change->flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
}

int fence_mode_answer(const struct question *question)
{
    struct timespec times[2];
    struct change change;
    char name[PATH_MAX], path[64];
    AUTO_FD int file = -1;
    int rc = 0;

    if (!change_of(question, &change))
        return EFAULT;
    if (change.flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return EINVAL;
    if (change.times_at != 0 &&
        read_theirs(question, change.times_at, times, sizeof(times)) != sizeof(times))
        return EFAULT;
    file = open_meant(question, &change);
    if (file < 0)
        return errno;
    if (!fence_net_is_valid(question))
        return EINTR;
    if (!fence_net_name(file, name, sizeof(name)) ||
        !fence_reach_may_change(question->reach, name))
        return EPERM;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (change.sets_times)
        rc = utimensat(AT_FDCWD, path, change.times_at != 0 ? times : NULL, 0);
    else
        rc = chmod(path, change.mode & 07777);
    return rc == 0 ? 0 : errno;
}
