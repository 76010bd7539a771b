#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"

#define READ_CHUNK_BYTES 16384
#define WALK_MAX_FDS     16
#define WALK_MAX_PASSES  (1 << 20) /* each takes as many levels; more is a race with a maker */

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

/* ---- removing -----------------------------------------------------------------------------
 */

/* By descriptors alone: no path is too long, and no link that appears meanwhile is followed. */
struct removal {
    int root;        /* of the tree, -1 before it is open */
    size_t progress; /* entries that are gone, or nearer to the root */
    int error;       /* the last one */
};

/* Even one that its maker locked. Through /proc, as chmod by name would follow a link that took
 * its place meanwhile. */
static int open_directory(int parent, const char *name)
{
    AUTO_FD int place = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char path[64];
    struct stat info;

    if (place < 0 || fstat(place, &info) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
    if ((info.st_mode & S_IRWXU) != S_IRWXU)
        chmod(path, (info.st_mode & 07777) | S_IRWXU); /* else the next call says so */
    return openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What is deep goes up: it costs neither stack nor descriptors. */
static int move_up(struct removal *removal, int parent, const char *name)
{
    char new_name[33];

    random_hex(new_name, 16);
    return renameat(parent, name, removal->root, new_name);
}

static int remove_entry(struct removal *removal, int parent, const char *name, unsigned depth);

/* What stays is found again by the next pass over the root. */
static void empty_directory(struct removal *removal, int fd /* adopt */, unsigned depth)
{
    DIR *directory = fdopendir(fd);
    const struct dirent *entry;

    if (!directory) {
        removal->error = errno;
        close(fd);
        return;
    }
    while ((entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (remove_entry(removal, dirfd(directory), entry->d_name, depth + 1) < 0)
            removal->error = errno;
        else
            removal->progress++;
    }
    closedir(directory);
}

/* 0 when it is gone, or has moved. */
static int remove_entry(struct removal *removal, int parent, const char *name, unsigned depth)
{
    AUTO_FD int fd = -1;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -1;
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return 0;
    fd = open_directory(parent, name);
    if (fd < 0)
        return -1;
    if (depth > WALK_MAX_FDS)
        return move_up(removal, parent, name);
    empty_directory(removal, take_fd(&fd), depth);
    return unlinkat(parent, name, AT_REMOVEDIR);
}

static int remove_directory(struct removal *removal, const char *path)
{
    size_t before;

    removal->root = open_directory(AT_FDCWD, path);
    if (removal->root < 0)
        return errno == ENOENT ? 0 : -1;
    for (int pass = 0; pass < WALK_MAX_PASSES; pass++) {
        int fd = openat(removal->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            return -1;
        before = removal->progress;
        empty_directory(removal, fd, 0);
        if (unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (removal->progress == before)
            break;
    }
    if (removal->error)
        errno = removal->error;
    return -1;
}

int file_remove_tree(const char *path, struct err *err)
{
    struct removal removal = { .root = -1 };
    int rc = unlink(path) == 0 || errno == ENOENT ? 0 : -1;

    if (rc < 0 && errno == EISDIR)
        rc = remove_directory(&removal, path);
    if (rc < 0)
        err_set_errno(err, ERR_SYSTEM, "cannot remove %s", path);
    if (removal.root >= 0)
        close(removal.root);
    return rc;
}
