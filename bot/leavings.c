#include "bot/leavings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "slack/files.h"

#define DEPTH_MAX 4

void leavings_deinit(struct leavings *leavings)
{
    for (size_t i = 0; i < leavings->count; i++) {
        free(leavings->items[i].path);
        free(leavings->items[i].name);
    }
    free(leavings->items);
    *leavings = (struct leavings){ 0 };
}

static char *name_of(const char *path)
{
    AUTO_FREE char *flat = xstrdup(path);

    for (char *at = flat; *at; at++) {
        if (*at == '/')
            *at = '-';
    }
    return slack_file_clean_name(flat, strlen(flat));
}

static enum leaving_kind kind_of(const char *name, const struct stat *info)
{
    if (*name == '.')
        return LEAVING_HIDDEN;
    if (S_ISLNK(info->st_mode) || (S_ISREG(info->st_mode) && info->st_nlink != 1))
        return LEAVING_LINK;
    if (!S_ISREG(info->st_mode))
        return LEAVING_OTHER;
    return info->st_size > 0 ? LEAVING_FILE : LEAVING_EMPTY;
}

static void add(struct leavings *leavings, const char *path, enum leaving_kind kind,
                int64_t size)
{
    leavings->total++;
    if (leavings->count == LEAVINGS_MAX)
        return;
    leavings->items = xrealloc(leavings->items, leavings->count + 1, sizeof(*leavings->items));
    leavings->items[leavings->count++] = (struct leaving){
        .path = xstrdup(path),
        .name = name_of(path),
        .kind = kind,
        .size = size,
    };
}

static void list_directory(struct leavings *leavings, int fd, const char *prefix, int depth);

static void list_entry(struct leavings *leavings, int directory, const char *prefix,
                       const char *name, int depth)
{
    AUTO_FREE char *path = xasprintf("%s%s%s", prefix, *prefix ? "/" : "", name);
    struct stat info;
    int fd;

    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* gone meanwhile */
    if (!S_ISDIR(info.st_mode) || *name == '.' || depth + 1 >= DEPTH_MAX) {
        add(leavings, path, kind_of(name, &info), info.st_size);
        return;
    }
    fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        add(leavings, path, LEAVING_OTHER, 0);
    else
        list_directory(leavings, fd, path, depth + 1);
}

/* Adopts `fd`. */
static void list_directory(struct leavings *leavings, int fd, const char *prefix, int depth)
{
    DIR *directory = fdopendir(fd);
    const struct dirent *entry;

    if (!directory) {
        close(fd);
        return;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    while (leavings->total < LEAVINGS_TOTAL_MAX && (entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            list_entry(leavings, fd, prefix, entry->d_name, depth);
    }
    closedir(directory);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct leaving *)a)->path, ((const struct leaving *)b)->path);
}

int leavings_list(const char *outbox, struct leavings *ret_leavings, struct err *err)
{
    int fd = open(outbox, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    *ret_leavings = (struct leavings){ 0 };
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot read %s", outbox);
    list_directory(ret_leavings, fd, "", 0);
    if (ret_leavings->count)
        qsort(ret_leavings->items, ret_leavings->count, sizeof(*ret_leavings->items), by_path);
    return 0;
}

/* Opens the directory that holds the last part of `path`; *ret_last is that part. */
static int open_parent(const char *outbox, const char *path, const char **ret_last)
{
    int at = open(outbox, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const char *slash;

    while (at >= 0 && (slash = strchr(path, '/'))) {
        AUTO_FREE char *part = xstrndup(path, (size_t)(slash - path));
        int below = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        close(at);
        at = below;
        path = slash + 1;
    }
    *ret_last = path;
    return at;
}

int leaving_open(const char *outbox, struct leaving *leaving, int *ret_fd, struct err *err)
{
    const char *name = NULL;
    AUTO_FD int parent = open_parent(outbox, leaving->path, &name);
    AUTO_FD int fd = -1;
    struct stat info;

    /* Not blocking: it may have become a pipe since it was listed. */
    if (parent >= 0)
        fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0)
        return err_set_errno(err, ERR_INPUT, "cannot open %s", leaving->name);
    if (kind_of(name, &info) != LEAVING_FILE)
        return err_set(err, ERR_INPUT, "%s is no longer a file of its own", leaving->name);
    leaving->size = info.st_size;
    *ret_fd = take_fd(&fd);
    return 0;
}
