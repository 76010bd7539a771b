/*
 * What was changed in a worktree goes to its branch, by git's plumbing: `git add` and `git
 * commit` would look into repositories that an agent may have put below the checkout, and run
 * what their settings name.
 */
#include "agent/worktree_parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define LOG_MODULE "agent.worktree"
#include "base/log.h"

#define LINE_MAX_BYTES  512
#define SHORT_ID_DIGITS 8
#define HEADS           "refs/heads/"

/* A command whose output is one line. */
static int ask(const struct agent_git *git, const char *const *arguments,
               char line[LINE_MAX_BYTES], struct err *err)
{
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, LINE_MAX_BYTES - 1);
    if (agent_git_run(git, arguments, NULL, &out, err) < 0)
        return -1;
    snprintf(line, LINE_MAX_BYTES, "%.*s", (int)strcspn(buf_text(&out), "\n"), buf_text(&out));
    return 0;
}

static bool is_directory(const struct worktree_work *work, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", work->path, name);
    struct stat info;

    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_repository(const struct worktree_work *work, const char *name)
{
    AUTO_FREE char *git = xasprintf("%s/%s/.git", work->path, name);
    struct stat info;

    return lstat(git, &info) == 0;
}

/*
 * The names of what is new, changed or gone, as update-index takes them. A repository of its
 * own among them is left out: its content is not ours to take, and its place in the list would
 * only record a commit that nobody else has. Where a file became a directory, it goes before
 * what is in there comes.
 */
static int list_changes(const struct worktree_work *work, const struct agent_git *git,
                        struct buf *ret_names, bool *ret_holds_repositories, struct err *err)
{
    static const char *const arguments[] = { "ls-files",   "-z",        "--others",
                                             "--modified", "--deleted", "--exclude-standard",
                                             NULL };
    AUTO_BUF struct buf all = { 0 };
    AUTO_BUF struct buf files = { 0 };

    buf_init(&all, AGENT_GIT_OUTPUT_MAX_BYTES);
    buf_init(&files, AGENT_GIT_OUTPUT_MAX_BYTES);
    if (agent_git_run(git, arguments, NULL, &all, err) < 0)
        return -1;
    for (size_t at = 0; at < all.len;) {
        const char *name = buf_text(&all) + at;
        size_t len = strlen(name);

        at += len + 1;
        if (len == 0)
            continue;
        if (name[len - 1] == '/' || is_repository(work, name))
            *ret_holds_repositories = true;
        else
            buf_append(is_directory(work, name) ? ret_names : &files, name, len + 1);
    }
    buf_append(ret_names, buf_text(&files), files.len);
    return buf_finish(ret_names, err);
}

/*
 * The branch of ours that HEAD stands on; a new one when it stands on none, or on another: the
 * agent writes HEAD, and must not move by us what the fence keeps from it.
 */
static int find_branch(const struct worktree_work *work, const struct agent_git *git,
                       const char *commit, char ref[LINE_MAX_BYTES], struct err *err)
{
    static const char *const name_head[] = { "rev-parse", "--symbolic-full-name", "HEAD",
                                             NULL };

    if (ask(git, name_head, ref, err) < 0)
        return -1;
    if (strncmp(ref, WORKTREE_REF_PREFIX, strlen(WORKTREE_REF_PREFIX)) != 0) {
        const char *make[] = { "update-ref", ref, commit, NULL };
        const char *stand[] = { "symbolic-ref", "HEAD", ref, NULL };

        snprintf(ref, LINE_MAX_BYTES, WORKTREE_REF_PREFIX "%s-%.*s", work->id, SHORT_ID_DIGITS,
                 commit);
        if (agent_git_run(git, make, NULL, NULL, err) < 0 ||
            agent_git_run(git, stand, NULL, NULL, err) < 0)
            return -1;
        log_warn("worktree=%s stood on no branch of its own; it does now: %s", work->id, ref);
    }
    return 0;
}

/* From the names to a commit on the branch; nothing when the tree is what it was. */
static int commit_names(const struct agent_git *git, const struct buf *names, const char *ref,
                        const char *parent, const char *message, bool *ret_has_committed,
                        struct err *err)
{
    static const char *const update[] = { "update-index", "-z",      "--add", "--remove",
                                          "--replace",    "--stdin", NULL };
    static const char *const write[] = { "write-tree", NULL };
    static const char *const before[] = { "rev-parse", "HEAD^{tree}", NULL };
    char tree[LINE_MAX_BYTES], old_tree[LINE_MAX_BYTES], commit[LINE_MAX_BYTES];
    const char *make[] = { "commit-tree", tree, "-p", parent, "-m", message, NULL };
    const char *move[] = { "update-ref", "-m", message, ref, commit, parent, NULL };

    if ((names->len && agent_git_run(git, update, names, NULL, err) < 0) ||
        ask(git, write, tree, err) < 0 || ask(git, before, old_tree, err) < 0)
        return -1;
    if (strcmp(tree, old_tree) == 0)
        return 0;
    if (ask(git, make, commit, err) < 0 || agent_git_run(git, move, NULL, NULL, err) < 0)
        return -1;
    *ret_has_committed = true;
    return 0;
}

int worktree_commit(const struct worktree_work *work, const char *message,
                    struct agent_worktree_kept *ret_kept, struct err *err)
{
    static const char *const head[] = { "rev-parse", "--verify", "HEAD^{commit}", NULL };
    struct agent_git git = worktree_git(work);
    AUTO_BUF struct buf names = { 0 };
    char parent[LINE_MAX_BYTES], ref[LINE_MAX_BYTES];

    buf_init(&names, AGENT_GIT_OUTPUT_MAX_BYTES);
    worktree_remove_stale_locks(work);
    if (ask(&git, head, parent, err) < 0 || find_branch(work, &git, parent, ref, err) < 0 ||
        list_changes(work, &git, &names, &ret_kept->holds_repositories, err) < 0 ||
        commit_names(&git, &names, ref, parent, message, &ret_kept->has_committed, err) < 0)
        return err_wrap(err, "worktree=%s", work->id);
    snprintf(ret_kept->branch, sizeof(ret_kept->branch), "%s", ref + strlen(HEADS));
    return 0;
}
