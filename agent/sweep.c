#include "agent/sweep.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process.h"
#include "agent/run.h"
#include "agent/run_dir.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define LOG_MODULE "agent.sweep"
#include "base/log.h"

#define LOOK_MS           20
#define CMDLINE_MAX_BYTES 8192
#define TREE_DEPTH_MAX    64 /* deeper is not counted, only removed */

struct found {
    char id[AGENT_RUN_ID_BYTES];
    int64_t changed_s; /* the newest of the directory and of what it holds */
    int64_t bytes;
    bool has_directory;
};

struct founds {
    struct found *items;
    size_t count;
};

/* ---- what there is ------------------------------------------------------------------------
 */

static struct found *add_found(struct founds *founds, const char *id)
{
    struct found *found = NULL;

    for (size_t i = 0; i < founds->count; i++) {
        if (strcmp(founds->items[i].id, id) == 0)
            return &founds->items[i];
    }
    if ((founds->count & (founds->count - 1)) == 0) /* at each power of two */
        founds->items =
            xrealloc(founds->items, founds->count ? founds->count * 2 : 1, sizeof(*found));
    found = &founds->items[founds->count++];
    *found = (struct found){ 0 };
    snprintf(found->id, sizeof(found->id), "%s", id);
    return found;
}

static void find_directories(const char *runs_dir, struct founds *founds)
{
    DIR *directory = opendir(runs_dir);
    const struct dirent *entry = NULL;

    if (!directory)
        return;
    while ((entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (run_dir_is_id(entry->d_name))
            add_found(founds, entry->d_name)->has_directory = true;
    }
    closedir(directory);
}

/* The run whose supervisor this is, if it is one of ours: "... launch RUNS_DIR/<id>". */
static bool read_supervised(const char *pid, const char *runs_dir, char *ret_id)
{
    AUTO_FREE char *path = xasprintf("/proc/%s/cmdline", pid);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[CMDLINE_MAX_BYTES + 1];
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    const char *verb = NULL;
    const char *run_dir = NULL;
    size_t len = strlen(runs_dir);

    if (got <= 0)
        return false;
    text[got] = '\0';
    verb = text + strlen(text) + 1;
    if (verb >= text + got || strcmp(verb, "launch") != 0)
        return false;
    run_dir = verb + strlen(verb) + 1;
    if (run_dir >= text + got || strncmp(run_dir, runs_dir, len) != 0 || run_dir[len] != '/' ||
        !run_dir_is_id(run_dir + len + 1))
        return false;
    snprintf(ret_id, AGENT_RUN_ID_BYTES, "%s", run_dir + len + 1);
    return true;
}

/* Those whose directory is gone, too: it may have been erased while the run went on. */
static void find_supervisors(const char *runs_dir, struct founds *founds)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry = NULL;
    char id[AGENT_RUN_ID_BYTES];

    if (!proc)
        return;
    while ((entry = readdir(proc)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (isdigit((unsigned char)entry->d_name[0]) &&
            read_supervised(entry->d_name, runs_dir, id))
            add_found(founds, id);
    }
    closedir(proc);
}

static void drop_needed(struct founds *founds, char *const *needed)
{
    size_t kept = 0;

    for (size_t i = 0; i < founds->count; i++) {
        bool is_needed = false;

        for (size_t j = 0; needed && needed[j] && !is_needed; j++)
            is_needed = strcmp(founds->items[i].id, needed[j]) == 0;
        if (!is_needed)
            founds->items[kept++] = founds->items[i];
    }
    founds->count = kept;
}

/* Everything but what the ledger needs, seen at one instant. */
static int find_forgotten(const struct agent_sweep *sweep, struct founds *founds,
                          struct err *err)
{
    AUTO_FD int lock = open(sweep->runs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char **needed = NULL;
    int rc = 0;

    if (lock < 0 && errno == ENOENT)
        return 0;
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        return err_set_errno(err, ERR_SYSTEM, "lock %s", sweep->runs_dir);
    find_directories(sweep->runs_dir, founds);
    find_supervisors(sweep->runs_dir, founds);
    if (founds->count == 0)
        return 0;
    rc = sweep->list_needed(sweep->context, &needed, err);
    if (rc == 0)
        drop_needed(founds, needed);
    for (size_t i = 0; needed && needed[i]; i++)
        free(needed[i]);
    free(needed);
    return rc;
}

int agent_sweep_hold(const char *runs_dir)
{
    AUTO_FD int fd = open(runs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    while (flock(fd, LOCK_SH) != 0) {
        if (errno != EINTR)
            return -1;
    }
    return take_fd(&fd);
}

/* ---- processes ----------------------------------------------------------------------------
 */

/* A supervisor ends its run by itself when told; TERM, grace and KILL for what has none. */
static bool end_processes(const struct agent_sweep *sweep, const char *id)
{
    int64_t kill_at_ms = clock_now_ms() + sweep->kill_grace_ms;
    int64_t give_up_ms = kill_at_ms + sweep->kill_grace_ms + 1000;

    if (process_signal_run(id, 0, SIGTERM) == 0)
        return false;
    log_warn("run=%s still had processes, though nobody waits for it: ending them", id);
    while (process_signal_run(id, 0, clock_now_ms() >= kill_at_ms ? SIGKILL : 0) > 0 &&
           clock_now_ms() < give_up_ms)
        poll(NULL, 0, LOOK_MS);
    agent_reap_orphans();
    return true;
}

/* ---- directories --------------------------------------------------------------------------
 */

static void measure(int parent, const char *name, unsigned depth, struct found *found)
{
    struct stat info;
    DIR *directory = NULL;
    int fd = -1;
    const struct dirent *entry = NULL;

    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    found->bytes += (int64_t)info.st_blocks * 512;
    if (info.st_mtim.tv_sec > found->changed_s)
        found->changed_s = info.st_mtim.tv_sec;
    if (!S_ISDIR(info.st_mode) || depth >= TREE_DEPTH_MAX)
        return;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            measure(dirfd(directory), entry->d_name, depth + 1, found);
    }
    closedir(directory);
}

static int by_age(const void *a, const void *b)
{
    const struct found *left = a;
    const struct found *right = b;

    return (left->changed_s > right->changed_s) - (left->changed_s < right->changed_s);
}

/* Oldest first; how many go is known beforehand: what is kept fits. */
static int remove_directories(const struct agent_sweep *sweep, struct founds *founds,
                              struct agent_swept *swept, struct err *err)
{
    int64_t oldest_s = clock_wall_s() - sweep->ttl_ms / 1000;
    int rc = 0;

    for (size_t i = 0; i < founds->count; i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", sweep->runs_dir, founds->items[i].id);

        measure(AT_FDCWD, path, 0, &founds->items[i]);
        swept->kept += founds->items[i].has_directory;
        swept->kept_bytes += founds->items[i].bytes;
    }
    qsort(founds->items, founds->count, sizeof(*founds->items), by_age);
    for (size_t i = 0; i < founds->count; i++) {
        const struct found *found = &founds->items[i];

        if (!found->has_directory || (!sweep->is_start && found->changed_s > oldest_s &&
                                      swept->kept_bytes <= sweep->max_bytes))
            continue;
        if (process_signal_run(found->id, 0, 0) > 0) /* it did not die */
            continue;
        if (agent_run_remove(sweep->runs_dir, found->id, err) != 0) {
            rc = -1;
            continue;
        }
        swept->removed++;
        swept->removed_bytes += found->bytes;
        swept->kept--;
        swept->kept_bytes -= found->bytes;
    }
    return rc;
}

int agent_sweep(const struct agent_sweep *sweep, struct agent_swept *ret_swept, struct err *err)
{
    struct founds founds = { 0 };
    int rc = 0;

    *ret_swept = (struct agent_swept){ 0 };
    rc = find_forgotten(sweep, &founds, err);
    if (rc == 0) {
        for (size_t i = 0; i < founds.count; i++)
            ret_swept->ended += end_processes(sweep, founds.items[i].id);
        if (founds.count > 0)
            rc = remove_directories(sweep, &founds, ret_swept, err);
    }
    free(founds.items);
    return rc;
}
