#include "agent/worktree_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"

#define LOG_MODULE "agent.worktree"
#include "base/log.h"

#define MESSAGE "threadkeeper: what was left when the worktree was removed"
#define SUFFIX  ".json"

/* False, logged, when something is in it that no branch holds. */
static bool is_kept_elsewhere(const struct worktree_work *work)
{
    struct agent_worktree_kept kept = { .branch = "" };
    struct err err = { 0 };

    if (!worktree_is_whole(work)) { /* its next turn would move it aside; nobody may come */
        log_warn("worktree=%s belongs to no repository any more; it stays: %s", work->id,
                 work->path);
        return false;
    }
    if (worktree_commit(work, MESSAGE, &kept, &err) < 0) {
        log_warn("a worktree cannot be committed and stays: %s", err.message);
        return false;
    }
    if (kept.holds_repositories) {
        log_warn("worktree=%s holds repositories of its own and stays; mend: take from %s what "
                 "is wanted and remove them there",
                 work->id, work->path);
        return false;
    }
    log_info("worktree=%s is removed; its work is kept on the branch %s", work->id,
             kept.branch);
    return true;
}

/* The record says so first: from then on whoever finds the worktree may remove it. */
static bool remove_ready(struct worktree_work *work, struct err *err)
{
    struct stat info;

    if (lstat(work->path, &info) == 0 && !is_kept_elsewhere(work))
        return false;
    work->record.state = WORKTREE_REMOVING;
    return worktree_record_write(work->root, work->id, &work->record, err) == 0 &&
           worktree_remove(work, err) == 0;
}

/* True when it is gone. */
static bool sweep_one(const char *state_dir, const char *id, int64_t before_wall_s,
                      const atomic_bool *is_stopping)
{
    struct worktree_work work;
    struct err err = { 0 };
    bool is_gone = false;
    struct stat info;

    if (worktree_begin(state_dir, id, false, is_stopping, &work, &err) < 0) {
        if (err.kind != ERR_TEMP) /* then somebody is at it, so it is not old */
            log_warn("%s", err.message);
    } else {
        AUTO_FREE char *record = xasprintf("%s/%s" SUFFIX, work.root, id);

        if (work.record.state == WORKTREE_MAKING || work.record.state == WORKTREE_REMOVING)
            is_gone = worktree_remove(&work, &err) == 0;
        else if (work.record.state == WORKTREE_READY && stat(record, &info) == 0 &&
                 info.st_mtim.tv_sec < before_wall_s)
            is_gone = remove_ready(&work, &err);
        if (is_gone)
            worktree_lock_remove(work.root, id);
        if (err.kind != ERR_NONE)
            log_warn("worktree=%s is not removed: %s", id, err.message);
    }
    worktree_end(&work);
    return is_gone;
}

int agent_worktrees_sweep(const char *state_dir, int64_t before_wall_s,
                          const atomic_bool *is_stopping, size_t *ret_removed, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/worktrees", state_dir);
    DIR *directory = opendir(path);
    const struct dirent *entry;

    *ret_removed = 0;
    if (!directory)
        return errno == ENOENT ? 0 : err_set_errno(err, ERR_SYSTEM, "read %s", path);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): own DIR */
    while (!(is_stopping && atomic_load(is_stopping)) && (entry = readdir(directory)) != NULL) {
        const char *suffix = strrchr(entry->d_name, '.');
        AUTO_FREE char *id = NULL;

        if (!suffix || suffix == entry->d_name || strcmp(suffix, SUFFIX) != 0)
            continue;
        id = xstrndup(entry->d_name, (size_t)(suffix - entry->d_name));
        *ret_removed += sweep_one(state_dir, id, before_wall_s, is_stopping);
    }
    closedir(directory);
    return 0;
}
