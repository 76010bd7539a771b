#include "agent/worktree.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/revision.h"
#include "agent/worktree_parts.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

#define LOG_MODULE "agent.worktree"
#include "base/log.h"

#define ID_MAX_BYTES     40
#define LOCK_WAIT_MS     60000
#define LOCK_LOOK_MS     10
#define CONFIG_MAX_BYTES ((size_t)1024 * 1024)

static bool is_id(const char *id)
{
    size_t len = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz");

    return len > 0 && len <= ID_MAX_BYTES && id[len] == '\0';
}

/* ---- one worktree under its lock ----------------------------------------------------------
 */

/* Somebody else's work on it takes a few git commands; a git of a killed daemon holds on, too.
 */
static int wait_for_lock(const struct worktree_work *work, bool waits, struct err *err)
{
    int64_t give_up_ms = clock_now_ms() + (waits ? LOCK_WAIT_MS : 0);

    for (;;) {
        struct err why = { 0 };
        int fd = worktree_lock(work->root, work->id, &why);

        if (fd >= 0)
            return fd;
        if (why.kind != ERR_TEMP || clock_now_ms() >= give_up_ms ||
            (work->is_stopping && atomic_load(work->is_stopping)))
            return err_set(err, why.kind, "%s", why.message);
        poll(NULL, 0, LOCK_LOOK_MS);
    }
}

int worktree_begin(const char *state_dir, const char *id, bool waits,
                   const atomic_bool *is_stopping, struct worktree_work *work, struct err *err)
{
    AUTO_FREE char *root = xasprintf("%s/worktrees", state_dir);

    *work = (struct worktree_work){ .id = id, .is_stopping = is_stopping, .lock_fd = -1 };
    if (!is_id(id)) {
        err_set(err, ERR_INPUT, "bad id of a worktree");
        return -1;
    }
    if (file_make_dirs(root, 0700, err) < 0)
        return -1;
    work->root = realpath(root, NULL);
    if (!work->root)
        return err_set_errno(err, ERR_SYSTEM, "find %s", root);
    work->path = xasprintf("%s/%s", work->root, id);
    work->lock_fd = wait_for_lock(work, waits, err);
    if (work->lock_fd < 0)
        return -1;
    return worktree_record_read(work->root, id, &work->record, err);
}

void worktree_end(struct worktree_work *work)
{
    free(work->root);
    free(work->path);
    if (work->lock_fd >= 0)
        close(work->lock_fd);
    worktree_record_deinit(&work->record);
    work->root = work->path = NULL;
    work->lock_fd = -1;
}

struct agent_git worktree_git(const struct worktree_work *work)
{
    return (struct agent_git){ .git_dir = work->record.git_dir,
                               .common_dir = work->record.repository,
                               .work_tree = work->path,
                               .lock_fd = work->lock_fd,
                               .is_stopping = work->is_stopping };
}

struct agent_git worktree_repository_git(const struct worktree_work *work)
{
    return (struct agent_git){ .git_dir = work->record.repository,
                               .lock_fd = work->lock_fd,
                               .is_stopping = work->is_stopping };
}

static bool is_directory(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

/* ---- what is in the way -------------------------------------------------------------------
 */

static int move_aside(const struct worktree_work *work, struct err *err)
{
    AUTO_FREE char *aside =
        xasprintf("%s.aside-%" PRId64, work->path, (int64_t)clock_wall_us());

    if (rename(work->path, aside) < 0)
        return err_set_errno(err, ERR_SYSTEM, "move %s aside", work->path);
    log_warn("worktree=%s: what stood in its place belongs to no repository any more; it is "
             "kept as %s",
             work->id, aside);
    return 0;
}

/*
 * What the repository keeps of it, under whatever number git put behind its name; all that
 * begins so is ours. `git worktree prune` would also forget worktrees of others that are away
 * for a moment, and leaves what it was killed in the middle of.
 */
static int forget_in_repository(const struct worktree_work *work, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/worktrees", work->record.repository);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int rc = 0;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): own DIR */
    while (directory && rc == 0 && (entry = readdir(directory)) != NULL) {
        AUTO_FREE char *ours = xasprintf("%s/%s", path, entry->d_name);

        if (strncmp(entry->d_name, work->id, strlen(work->id)) == 0 &&
            strspn(entry->d_name + strlen(work->id), "0123456789") ==
                strlen(entry->d_name) - strlen(work->id))
            rc = file_remove_tree(ours, err);
    }
    if (directory)
        closedir(directory);
    return rc;
}

int worktree_remove(struct worktree_work *work, struct err *err)
{
    if (file_remove_tree(work->path, err) < 0 || forget_in_repository(work, err) < 0)
        return -1;
    worktree_record_remove(work->root, work->id);
    work->record.state = WORKTREE_NONE;
    return 0;
}

/* ---- making -------------------------------------------------------------------------------
 */

/*
 * A file of settings for one worktree alone: git reads it when the repository says so, the
 * agent may write it, and settings can name programs. So there must be none.
 */
static bool has_own_settings(const char *common_dir)
{
    AUTO_FREE char *path = xasprintf("%s/config", common_dir);
    AUTO_BUF struct buf config = { 0 };

    buf_init(&config, CONFIG_MAX_BYTES);
    return file_read(path, &config, NULL) == 0 &&
           strcasestr(buf_text(&config), "worktreeconfig");
}

static int find_repository(const char *workspace, struct agent_repository *ret_repository,
                           char revision[AGENT_REVISION_BYTES], struct err *err)
{
    struct agent_repository repository = { 0 };

    if (!agent_repository_find(workspace, &repository)) {
        err_set(err, ERR_INPUT,
                "%s is not in a git repository; mend: git init and commit, or turn "
                "agent.worktree off",
                workspace);
        return -1;
    }
    if (!agent_workspace_revision(workspace, revision))
        err_set(err, ERR_INPUT,
                "%s has no commit yet that a worktree could begin at; mend: git commit",
                repository.top);
    else if (has_own_settings(repository.common_dir))
        err_set(
            err, ERR_INPUT,
            "%s has settings for each worktree of its own, which an agent could write; "
            "mend: git config --unset extensions.worktreeConfig, or turn agent.worktree off",
            repository.top);
    else {
        *ret_repository = repository;
        return 0;
    }
    agent_repository_deinit(&repository);
    return -1;
}

static int find_branch(const struct worktree_work *work, bool *ret_exists, struct err *err)
{
    struct agent_git git = worktree_repository_git(work);
    AUTO_FREE char *ref = xasprintf(WORKTREE_REF_PREFIX "%s", work->id);
    const char *arguments[] = { "for-each-ref", "--format=%(objectname)", ref, NULL };
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 4096);
    if (agent_git_run(&git, arguments, NULL, &out, err) < 0)
        return -1;
    *ret_exists = out.len > 0;
    return 0;
}

/* Goes on with the branch where there is one: its worktree was removed, or is lost. */
static int add_worktree(const struct worktree_work *work, const char *revision, struct err *err)
{
    struct agent_git git = worktree_repository_git(work);
    AUTO_FREE char *branch = xasprintf(WORKTREE_BRANCH_PREFIX "%s", work->id);
    const char *again[] = { "worktree", "add", "-q", work->path, branch, NULL };
    const char *anew[] = { "worktree", "add",      "-q",     "--no-track", "-b",
                           branch,     work->path, revision, NULL };
    struct err why = { 0 };
    bool has_branch;

    if (find_branch(work, &has_branch, err) < 0)
        return -1;
    if (agent_git_run(&git, has_branch ? again : anew, NULL, NULL, &why) == 0)
        return 0;
    if (strstr(why.message, "already checked out") || strstr(why.message, "already used by"))
        return err_set(err, ERR_INPUT,
                       "the branch %s is checked out elsewhere; mend: switch that checkout to "
                       "another branch: %.300s",
                       branch, why.message);
    return err_set(err, why.kind, "%s", why.message);
}

/* Which directory git made for it: nobody but git has been in the checkout yet. */
static int find_own_git_dir(struct worktree_work *work, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/.git", work->path);
    AUTO_FREE char *named = worktree_read_link(path);
    AUTO_FREE char *real = named ? realpath(named, NULL) : NULL;
    AUTO_FREE char *above = xasprintf("%s/worktrees/", work->record.repository);

    if (!real || strncmp(real, above, strlen(above)) != 0)
        return err_set(err, ERR_REMOTE, "git made no worktree at %s", work->path);
    free(work->record.git_dir);
    work->record.git_dir = take_ptr(&named);
    return 0;
}

static int make(struct worktree_work *work, const struct agent_repository *repository,
                const char *revision, struct err *err)
{
    struct err ignored = { 0 };

    worktree_record_deinit(&work->record);
    work->record.state = WORKTREE_MAKING;
    work->record.repository = xstrdup(repository->common_dir);
    if (worktree_record_write(work->root, work->id, &work->record, err) < 0)
        return -1;
    if (forget_in_repository(work, err) == 0 && add_worktree(work, revision, err) == 0 &&
        find_own_git_dir(work, err) == 0) {
        work->record.state = WORKTREE_READY;
        if (worktree_record_write(work->root, work->id, &work->record, err) == 0) {
            log_info("worktree=%s made for %s", work->id, repository->top);
            return 0;
        }
    }
    worktree_remove(work, &ignored); /* else the next one does */
    return -1;
}

/* ---- open ---------------------------------------------------------------------------------
 */

/* Brings it to where it can be made, or leaves it ready. */
static int make_room(struct worktree_work *work, struct err *err)
{
    switch (work->record.state) {
    case WORKTREE_MAKING:
    case WORKTREE_REMOVING:
        log_warn("worktree=%s was left half-made or half-removed; it is made anew", work->id);
        return worktree_remove(work, err);
    case WORKTREE_READY:
        if (worktree_is_whole(work))
            return 0;
        if (!exists(work->path))
            log_warn("worktree=%s is lost; it is made anew from its branch", work->id);
        break;
    case WORKTREE_NONE:
        break;
    }
    work->record.state = WORKTREE_NONE;
    return exists(work->path) ? move_aside(work, err) : 0;
}

/* The workspace may be a directory of the repository, not its top. */
static int find_in_checkout(const struct worktree_work *work, const char *workspace,
                            const char *top, char **ret_path, struct err *err)
{
    AUTO_FREE char *real = realpath(workspace, NULL);
    AUTO_FREE char *path = NULL;

    if (!real || strncmp(real, top, strlen(top)) != 0)
        return err_set(err, ERR_INPUT, "%s is not below %s", workspace, top);
    path = xasprintf("%s%s", work->path, real + strlen(top));
    if (!is_directory(path))
        return err_set(err, ERR_INPUT,
                       "%s is not in the commit that the worktree stands at; mend: commit it",
                       workspace);
    *ret_path = take_ptr(&path);
    return 0;
}

static int open_work(struct worktree_work *work, const struct agent_worktree_place *place,
                     struct agent_worktree *ret_worktree, struct err *err)
{
    struct agent_repository repository = { 0 };
    char revision[AGENT_REVISION_BYTES];
    int rc = -1;

    if (find_repository(place->workspace, &repository, revision, err) < 0)
        return -1;
    if (make_room(work, err) == 0 &&
        (work->record.state == WORKTREE_READY || make(work, &repository, revision, err) == 0) &&
        find_in_checkout(work, place->workspace, repository.top, &ret_worktree->path, err) ==
            0) {
        ret_worktree->branch = xasprintf(WORKTREE_BRANCH_PREFIX "%s", work->id);
        worktree_remove_stale_locks(work);
        worktree_make_ref_directories(work);
        worktree_record_touch(work->root, work->id);
        rc = 0;
    }
    agent_repository_deinit(&repository);
    return rc;
}

int agent_worktree_open(const struct agent_worktree_place *place,
                        struct agent_worktree *ret_worktree, struct err *err)
{
    struct worktree_work work;
    int rc = worktree_begin(place->state_dir, place->id, true, place->is_stopping, &work, err);

    if (rc == 0)
        rc = open_work(&work, place, ret_worktree, err);
    worktree_end(&work);
    return rc;
}

void agent_worktree_deinit(struct agent_worktree *worktree)
{
    free(worktree->path);
    free(worktree->branch);
    *worktree = (struct agent_worktree){ 0 };
}

/* ---- the rest -----------------------------------------------------------------------------
 */

int agent_worktree_commit(const struct agent_worktree_place *place, const char *message,
                          struct agent_worktree_kept *ret_kept, struct err *err)
{
    struct agent_worktree_kept kept = { .branch = "" };
    struct worktree_work work;
    int rc = worktree_begin(place->state_dir, place->id, true, place->is_stopping, &work, err);

    if (rc == 0 && work.record.state == WORKTREE_READY && worktree_is_whole(&work)) {
        rc = worktree_commit(&work, message, &kept, err);
        kept.is_untold = !work.record.is_told;
        worktree_record_touch(work.root, work.id);
    }
    worktree_end(&work);
    if (rc == 0)
        *ret_kept = kept;
    return rc;
}

int agent_worktree_note_told(const struct agent_worktree_place *place, struct err *err)
{
    struct worktree_work work;
    int rc = worktree_begin(place->state_dir, place->id, true, place->is_stopping, &work, err);

    if (rc == 0 && work.record.state == WORKTREE_READY && !work.record.is_told) {
        work.record.is_told = true;
        rc = worktree_record_write(work.root, work.id, &work.record, err);
    }
    worktree_end(&work);
    return rc;
}

int agent_worktree_check(const char *workspace, struct err *err)
{
    static const char *const arguments[] = { "worktree", "list", "--porcelain", NULL };
    struct agent_repository repository = { 0 };
    char revision[AGENT_REVISION_BYTES];
    AUTO_BUF struct buf list = { 0 };
    int rc;

    if (find_repository(workspace, &repository, revision, err) < 0)
        return -1;
    buf_init(&list, AGENT_GIT_OUTPUT_MAX_BYTES);
    rc = agent_git_run(&(struct agent_git){ .git_dir = repository.common_dir }, arguments, NULL,
                       &list, err);
    if (rc == 0 && access(repository.common_dir, W_OK | X_OK) < 0)
        rc = err_set(err, ERR_SYSTEM,
                     "this user may not write into %s, where branches are; mend: chown or "
                     "chmod it (the daemon's user is threadkeeper)",
                     repository.common_dir);
    agent_repository_deinit(&repository);
    return rc;
}
