/*
 * A worktree put right: what ties the checkout and the repository together, which an agent may
 * have written, and the locks of a git that was killed.
 */
#include "agent/worktree_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

#define LOG_MODULE "agent.worktree"
#include "base/log.h"

#define STALE_LOCK_S     600
#define GITDIR_MAX_BYTES 8192
#define GITDIR_PREFIX    "gitdir: "
#define LINKS_MAX_DEPTH  16

static bool is_directory(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* What the file names, to be freed; NULL when it is no such file. */
char *worktree_read_link(const char *path)
{
    AUTO_BUF struct buf text = { 0 };
    const char *at;

    buf_init(&text, GITDIR_MAX_BYTES);
    if (file_read_no_link(path, &text, NULL) < 0)
        return NULL;
    at = buf_text(&text);
    if (strncmp(at, GITDIR_PREFIX, strlen(GITDIR_PREFIX)) != 0)
        return NULL;
    at += strlen(GITDIR_PREFIX);
    return xstrndup(at, strcspn(at, "\r\n"));
}

/* A repository that stands there instead is moved out of the checkout. */
static void mend_link_file(const struct worktree_work *work)
{
    AUTO_FREE char *path = xasprintf("%s/.git", work->path);
    AUTO_FREE char *named = worktree_read_link(path);
    AUTO_FREE char *aside =
        xasprintf("%s.git-aside-%" PRId64, work->path, (int64_t)clock_wall_us());
    AUTO_FREE char *text = NULL;
    struct err err = { 0 };

    if (named && strcmp(named, work->record.git_dir) == 0)
        return;
    log_warn("worktree=%s: its .git was changed and is put right", work->id);
    if (is_directory(path) && rename(path, aside) == 0)
        log_warn("worktree=%s: the repository that stood there is kept as %s", work->id, aside);
    text = xasprintf(GITDIR_PREFIX "%s\n", work->record.git_dir);
    if (file_write(path, text, strlen(text), 0644, &err) < 0)
        log_warn("%s", err.message);
}

/*
 * A small file of the repository's side that says how the two belong together. The agent's git
 * has to write beside it, so the agent may have written it.
 */
static void mend_side_file(const struct worktree_work *work, const char *name, const char *want)
{
    AUTO_FREE char *path = xasprintf("%s/%s", work->record.git_dir, name);
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };

    buf_init(&text, GITDIR_MAX_BYTES);
    if (file_read_no_link(path, &text, NULL) == 0 && strcmp(buf_text(&text), want) == 0)
        return;
    log_warn("worktree=%s: its %s was changed and is put right", work->id, name);
    if (file_remove_tree(path, &err) < 0 ||
        file_write(path, want, strlen(want), 0644, &err) < 0)
        log_warn("%s", err.message);
}

/* ---- links --------------------------------------------------------------------------------
 */

/* Nothing there is ever anything but a file or a directory, unless an agent made it: our git,
 * which no fence holds, would write where a link points. */
static void remove_links(int parent, const char *name, unsigned depth)
{
    struct stat info;
    const struct dirent *entry;
    DIR *directory;
    int fd;

    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(info.st_mode))
        return;
    if (!S_ISDIR(info.st_mode) || depth > LINKS_MAX_DEPTH) {
        log_warn("removed from what git keeps of a worktree: %s, no plain file", name);
        unlinkat(parent, name, S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0);
        return;
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_links(dirfd(directory), entry->d_name, depth + 1);
    }
    closedir(directory);
}

static void remove_links_to_objects(const char *repository)
{
    for (unsigned first = 0; first <= 0xff; first++) {
        AUTO_FREE char *path = xasprintf("%s/objects/%02x", repository, first);
        struct stat info;

        if (lstat(path, &info) < 0 || S_ISDIR(info.st_mode))
            continue;
        log_warn("removed from a repository: %s, no directory", path);
        unlink(path);
    }
}

/* The fence lets an agent change these and nothing above them. */
static void remove_all_links(const struct worktree_work *work)
{
    const char *repository = work->record.repository;
    AUTO_FREE char *refs = xasprintf("%s/" WORKTREE_REFS, repository);
    AUTO_FREE char *logs = xasprintf("%s/logs/" WORKTREE_REFS, repository);

    remove_links(AT_FDCWD, work->record.git_dir, 0);
    remove_links(AT_FDCWD, refs, 0);
    remove_links(AT_FDCWD, logs, 0);
    remove_links_to_objects(repository);
}

/* As open to others as the directory above it. */
static void make_shared_directory(const char *repository, const char *above, const char *name)
{
    AUTO_FREE char *parent = xasprintf("%s/%s", repository, above);
    AUTO_FREE char *path = xasprintf("%s/%s", parent, name);
    struct stat info;

    if (stat(parent, &info) == 0 && mkdir(path, 0700) == 0)
        chmod(path, info.st_mode & 07777);
}

void worktree_make_ref_directories(const struct worktree_work *work)
{
    static const char *const above[] = { "refs/heads", "logs/refs/heads" };

    for (size_t i = 0; i < ARRAY_LEN(above); i++)
        make_shared_directory(work->record.repository, above[i], "threadkeeper");
}

bool worktree_is_whole(const struct worktree_work *work)
{
    AUTO_FREE char *checkout = xasprintf("%s/.git\n", work->path);
    AUTO_FREE char *head = xasprintf("%s/HEAD", work->record.git_dir);

    remove_all_links(work);
    if (!is_directory(work->path) || access(head, F_OK) < 0)
        return false;
    mend_link_file(work);
    mend_side_file(work, "commondir", "../..\n");
    mend_side_file(work, "gitdir", checkout);
    return true;
}

/* ---- locks --------------------------------------------------------------------------------
 */

static void remove_stale_lock(const char *path)
{
    struct stat info;

    if (lstat(path, &info) < 0 || clock_wall_s() - info.st_mtim.tv_sec < STALE_LOCK_S)
        return;
    log_warn("a lock that a killed git left behind is removed: %s", path);
    unlink(path);
}

void worktree_remove_stale_locks(const struct worktree_work *work)
{
    AUTO_FREE char *index = xasprintf("%s/index.lock", work->record.git_dir);
    AUTO_FREE char *head = xasprintf("%s/HEAD.lock", work->record.git_dir);
    AUTO_FREE char *branch =
        xasprintf("%s/" WORKTREE_REF_PREFIX "%s.lock", work->record.repository, work->id);

    remove_stale_lock(index);
    remove_stale_lock(head);
    remove_stale_lock(branch);
}
