#include "memory/files_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "memory/files_dir_parts.h"
#include "memory/files_doc.h"

#define LOG_MODULE "memory.files"
#include "base/log.h"

#define LOCK          ".lock"
#define SUFFIX        ".json"
#define DAMAGED       ".damaged-"
#define LOCK_WAIT_MS  5000
#define LOCK_POLL_NS  2000000
#define LOCK_LEAVE_NS 3000000
#define READ_BYTES    65536

static const char *const folder_names[FILES_FOLDERS] = { "", "people/", "values/" };

const char *files_folder_name(enum files_folder folder)
{
    return folder_names[folder];
}

const char *files_dir_path(const struct files_dir *dir)
{
    return dir->path;
}

int files_dir_fd(const struct files_dir *dir, enum files_folder folder)
{
    return dir->fds[folder];
}

int files_fail(const struct files_dir *dir, enum files_folder folder, const char *what,
               const char *name, struct err *err)
{
    return err_set_errno(err, ERR_SYSTEM, "cannot %s %s/%s%s", what, dir->path,
                         folder_names[folder], name);
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t suffix_len = strlen(suffix);

    return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* ---- names ------------------------------------------------------------------------------- */

typedef void (*name_fn)(void *context, const char *name);

static int visit_names(const struct files_dir *dir, enum files_folder folder, name_fn visit,
                       void *context, struct err *err)
{
    int fd = openat(dir->fds[folder], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!listing) {
        files_fail(dir, folder, "list", "", err);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    errno = 0;
    while ((entry = readdir(listing))) /* NOLINT(concurrency-mt-unsafe): own DIR */
        visit(context, entry->d_name);
    if (errno)
        files_fail(dir, folder, "list", "", err);
    fd = errno ? -1 : 0;
    closedir(listing);
    return fd;
}

static void add_name(struct files_names *names, const char *name)
{
    if ((names->count & (names->count + 1)) == 0) /* doubles: 1, 3, 7, ... are full */
        names->names = xrealloc(names->names, names->count * 2 + 2, sizeof(names->names[0]));
    names->names[names->count++] = xstrdup(name);
}

static void take_document(void *context, const char *name)
{
    if (*name != '.' && ends_with(name, SUFFIX))
        add_name(context, name);
}

static void take_temporary(void *context, const char *name)
{
    if (*name == '.' && ends_with(name, FILES_TEMPORARY))
        add_name(context, name);
}

static void take_damaged(void *context, const char *name)
{
    if (strstr(name, DAMAGED) && !ends_with(name, SUFFIX))
        add_name(context, name);
}

int files_names(const struct files_dir *dir, enum files_folder folder,
                struct files_names *ret_names, struct err *err)
{
    return visit_names(dir, folder, take_document, ret_names, err);
}

void files_names_deinit(struct files_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct files_names){ 0 };
}

/* ---- reading ----------------------------------------------------------------------------- */

/* 1 with its bytes in `out`, 0 absent, -1. */
int files_read_bytes(const struct files_dir *dir, enum files_folder folder, const char *name,
                     struct buf *out, struct err *err)
{
    AUTO_FD int fd = openat(dir->fds[folder], name, O_RDONLY | O_CLOEXEC);
    AUTO_FREE char *chunk = NULL;
    ssize_t got;

    if (fd < 0)
        return errno == ENOENT ? 0 : files_fail(dir, folder, "read", name, err);
    chunk = xcalloc(1, READ_BYTES);
    while ((got = read(fd, chunk, READ_BYTES)) != 0) {
        if (got < 0 && errno != EINTR)
            return files_fail(dir, folder, "read", name, err);
        if (got > 0)
            buf_append(out, chunk, (size_t)got);
        if (out->overflowed)
            return err_set(err, ERR_INPUT, "%s/%s is longer than %zu bytes", dir->path, name,
                           FILES_MAX_BYTES);
    }
    return 1;
}

/* 2: it is damaged, `why` says how. */
static int read_document(const struct files_dir *dir, enum files_folder folder,
                         const char *name, json_t **ret_root, struct err *why, struct err *err)
{
    AUTO_BUF struct buf bytes = { 0 };
    json_error_t error;
    json_t *root;
    int rc;

    buf_init(&bytes, FILES_MAX_BYTES);
    rc = files_read_bytes(dir, folder, name, &bytes, err);
    if (rc <= 0)
        return rc;
    root = json_loadb(buf_text(&bytes), bytes.len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        err_set(why, ERR_INPUT, "line %d: %s", error.line, error.text);
        return 2;
    }
    if (files_doc_check(folder, name, root, why) < 0) {
        json_decref(root);
        return 2;
    }
    *ret_root = root;
    return 1;
}

int files_put_aside(struct files_dir *dir, enum files_folder folder, const char *name,
                    const struct err *why, struct err *err)
{
    AUTO_FREE char *aside =
        xasprintf("%s" DAMAGED "%lld", name, (long long)clock_wall_us() / 1000000);
    int fd = dir->fds[folder];

    if (faccessat(fd, aside, F_OK, 0) == 0) {
        free(aside);
        aside = xasprintf("%s" DAMAGED "%lld", name, (long long)clock_wall_us());
    }
    if (renameat(fd, name, fd, aside) < 0 || fsync(fd) < 0)
        return files_fail(dir, folder, "put aside", name, err);
    log_err("a file is damaged, it is put aside and what it held begins anew: file=%s/%s%s "
            "kept_as=%s reason=%s",
            dir->path, folder_names[folder], name, aside, why->message);
    return 0;
}

int files_read_locked(struct files_dir *dir, enum files_folder folder, const char *name,
                      json_t **ret_root, struct err *err)
{
    struct err why = { 0 };
    int rc = read_document(dir, folder, name, ret_root, &why, err);

    return rc == 2 ? files_put_aside(dir, folder, name, &why, err) : rc;
}

/* What was damaged without the lock may have been replaced since: it is read again with it. */
int files_read(struct files_dir *dir, enum files_folder folder, const char *name,
               json_t **ret_root, struct err *err)
{
    struct err why = { 0 };
    int rc = read_document(dir, folder, name, ret_root, &why, err);

    if (rc != 2)
        return rc;
    if (files_lock(dir, err) < 0)
        return -1;
    rc = files_read_locked(dir, folder, name, ret_root, err);
    files_unlock(dir);
    return rc;
}

/* ---- the lock ---------------------------------------------------------------------------- */

static int lock_file(struct files_dir *dir, struct err *err)
{
    const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
    int64_t until_ms = clock_now_ms() + LOCK_WAIT_MS;

    while (flock(dir->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return files_fail(dir, FILES_CONVERSATIONS, "lock", LOCK, err);
        if (clock_now_ms() >= until_ms)
            return err_set(err, ERR_TEMP, "%s is locked by another process", dir->path);
        nanosleep(&pause, NULL);
    }
    return 0;
}

int files_lock(struct files_dir *dir, struct err *err)
{
    pthread_mutex_lock(&dir->mutex);
    if (lock_file(dir, err) == 0) {
        if (files_carry_out_leftover(dir, err) == 0)
            return 0;
        flock(dir->lock_fd, LOCK_UN);
    }
    pthread_mutex_unlock(&dir->mutex);
    return -1;
}

/* A visitor that changes much (an import) leaves room for the daemon, which asks every 2 ms. */
void files_unlock(struct files_dir *dir)
{
    const struct timespec pause = { .tv_nsec = LOCK_LEAVE_NS };

    flock(dir->lock_fd, LOCK_UN);
    if (dir->announces)
        nanosleep(&pause, NULL);
    pthread_mutex_unlock(&dir->mutex);
}

int64_t files_read_visits(const struct files_dir *dir)
{
    char digits[FILES_COUNTER + 1] = "";

    return pread(dir->visited_fd, digits, FILES_COUNTER, 0) <= 0 ? 0
                                                                 : strtoll(digits, NULL, 10);
}

int64_t files_visits(struct files_dir *dir)
{
    struct err err = { 0 };
    int64_t visits = files_read_visits(dir);

    if (visits == dir->seen_visits)
        return visits;
    if (files_lock(dir, &err) < 0) {
        log_warn("another process writes, what it changes is read later: %s", err.message);
        return dir->seen_visits;
    }
    files_unlock(dir);
    dir->seen_visits = visits;
    return visits;
}

/* Whether a file that goes by a change is what the damaged one was. */
static bool is_of(const char *damaged, enum files_folder folder,
                  const struct files_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(changes[i].name);

        if (!changes[i].root && changes[i].folder == folder &&
            strncmp(damaged, changes[i].name, len) == 0 &&
            strncmp(damaged + len, DAMAGED, sizeof(DAMAGED) - 1) == 0)
            return true;
    }
    return false;
}

static bool is_before(const struct files_dir *dir, enum files_folder folder, const char *name,
                      int64_t before_wall_s)
{
    struct stat info;

    return fstatat(dir->fds[folder], name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           info.st_ctime < before_wall_s;
}

int64_t files_remove_damaged(struct files_dir *dir, const struct files_change *changes,
                             size_t count, int64_t before_wall_s)
{
    int64_t removed = 0;

    for (enum files_folder folder = FILES_CONVERSATIONS; folder < FILES_FOLDERS; folder++) {
        struct files_names names = { 0 };

        visit_names(dir, folder, take_damaged, &names, NULL);
        for (size_t i = 0; i < names.count; i++) {
            const char *name = names.names[i];

            if ((is_of(name, folder, changes, count) ||
                 is_before(dir, folder, name, before_wall_s)) &&
                unlinkat(dir->fds[folder], name, 0) == 0)
                removed++;
        }
        files_names_deinit(&names);
    }
    return removed;
}

/* ---- opening ----------------------------------------------------------------------------- */

/* All of them are made with the lock held: whose there are now, nobody writes any more. */
static int clean_up(struct files_dir *dir, struct err *err)
{
    for (int folder = 0; folder < FILES_FOLDERS; folder++) {
        struct files_names names = { 0 };

        if (visit_names(dir, (enum files_folder)folder, take_temporary, &names, err) < 0) {
            files_names_deinit(&names);
            return -1;
        }
        for (size_t i = 0; i < names.count; i++)
            unlinkat(dir->fds[folder], names.names[i], 0);
        if (names.count)
            log_info("half-written files are removed: folder=%s files=%zu",
                     folder_names[folder], names.count);
        files_names_deinit(&names);
    }
    return 0;
}

static int open_parts(struct files_dir *dir, struct err *err)
{
    int fd;

    for (int folder = 0; folder < FILES_FOLDERS; folder++) {
        AUTO_FREE char *path =
            folder ? xasprintf("%s/%s", dir->path, folder_names[folder]) : xstrdup(dir->path);

        if (file_make_dirs(path, 0700, err) < 0)
            return -1;
        dir->fds[folder] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir->fds[folder] < 0)
            return err_set_errno(err, ERR_SYSTEM, "cannot open %s", path);
    }
    fd = dir->fds[FILES_CONVERSATIONS];
    dir->lock_fd = openat(fd, LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    dir->visited_fd = openat(fd, FILES_VISITED, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (dir->lock_fd < 0 || dir->visited_fd < 0)
        return files_fail(dir, FILES_CONVERSATIONS, "open", LOCK, err);
    return 0;
}

int files_dir_open(const char *path, bool announces, struct files_dir **ret_dir,
                   struct err *err)
{
    struct files_dir *dir = xcalloc(1, sizeof(*dir));
    int rc;

    dir->path = xstrdup(path);
    dir->announces = announces;
    dir->lock_fd = dir->visited_fd = -1;
    for (int folder = 0; folder < FILES_FOLDERS; folder++)
        dir->fds[folder] = -1;
    pthread_mutex_init(&dir->mutex, NULL);
    if (open_parts(dir, err) < 0 || files_lock(dir, err) < 0) {
        files_dir_close(dir);
        return -1;
    }
    rc = clean_up(dir, err);
    files_unlock(dir);
    if (rc < 0) {
        files_dir_close(dir);
        return -1;
    }
    dir->seen_visits = files_read_visits(dir);
    *ret_dir = dir;
    return 0;
}

void files_dir_close(struct files_dir *dir)
{
    if (!dir)
        return;
    for (int folder = 0; folder < FILES_FOLDERS; folder++)
        alloc_close_cleanup(&dir->fds[folder]);
    alloc_close_cleanup(&dir->lock_fd);
    alloc_close_cleanup(&dir->visited_fd);
    pthread_mutex_destroy(&dir->mutex);
    free(dir->path);
    free(dir);
}
