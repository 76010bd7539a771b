#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"

#define READ_CHUNK_BYTES 16384
#define WALK_MAX_FDS     16

/* Not blocking: the open of a FIFO without a writer would wait for one for ever. */
static int read_plain(const char *path, int flags, struct buf *ret_bytes, struct err *err)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
    char chunk[READ_CHUNK_BYTES];
    struct stat info;
    ssize_t got;

    if (fd < 0 || fstat(fd, &info) < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot read %s", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_SYSTEM, "cannot read %s: it is not a plain file", path);
    while ((got = read(fd, chunk, sizeof(chunk))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, ERR_SYSTEM, "cannot read %s", path);
        buf_append(ret_bytes, chunk, (size_t)got);
        if (ret_bytes->overflowed)
            return err_set(err, ERR_INPUT, "%s is longer than %zu bytes", path,
                           ret_bytes->max_bytes);
    }
    return 0;
}

int file_read(const char *path, struct buf *ret_bytes, struct err *err)
{
    return read_plain(path, 0, ret_bytes, err);
}

int file_read_no_link(const char *path, struct buf *ret_bytes, struct err *err)
{
    return read_plain(path, O_NOFOLLOW, ret_bytes, err);
}

int file_write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t wrote = write(fd, bytes, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        bytes += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

/* Makes a rename durable: the directory that holds `path` is what changed. */
static int sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *parent =
        slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
    AUTO_FD int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -1 : fsync(fd);
}

int file_write(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err)
{
    char suffix[9];
    AUTO_FREE char *temporary = NULL;
    AUTO_FD int fd = -1;

    random_hex(suffix, 4);
    temporary = xasprintf("%s.%s.tmp", path, suffix);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot create %s", temporary);
    if (file_write_all(fd, bytes, len) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0 ||
        sync_parent(path) < 0) {
        err_set_errno(err, ERR_SYSTEM, "cannot write %s", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err)
{
    AUTO_FREE char *partial = xstrdup(path);
    struct stat info;

    for (char *slash = partial + (*path == '/'); (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        if (mkdir(partial, mode) < 0 && errno != EEXIST)
            return err_set_errno(err, ERR_SYSTEM, "cannot make directory %s", partial);
        *slash = '/';
    }
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_set_errno(err, ERR_SYSTEM, "cannot make directory %s", path);
    if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
        return err_set(err, ERR_SYSTEM, "%s is not a directory", path);
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int file_remove_tree(const char *path, struct err *err)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): it is only so with FTW_CHDIR */
    if (nftw(path, remove_entry, WALK_MAX_FDS, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return err_set_errno(err, ERR_SYSTEM, "cannot remove %s", path);
    return 0;
}
