/*
 * worktree_parts.h - what the modules of worktree.h share.
 *
 *   worktree.c         a worktree is made, or found again
 *   worktree_mend.c    its two sides are made to belong together
 *   worktree_commit.c  what was changed in it goes to its branch
 *   worktree_sweep.c   old ones go
 *
 * Threads: as worktree.h.
 */
#ifndef AGENT_WORKTREE_PARTS_H
#define AGENT_WORKTREE_PARTS_H

#include "agent/git.h"
#include "agent/worktree.h"
#include "agent/worktree_record.h"

#define WORKTREE_BRANCH_PREFIX "threadkeeper/"
#define WORKTREE_REFS          "refs/heads/threadkeeper"
#define WORKTREE_REF_PREFIX    "refs/heads/" WORKTREE_BRANCH_PREFIX

/* One that is locked and looked at. */
struct worktree_work {
    char *root; /* state_dir/worktrees, physical */
    const char *id;
    char *path; /* root/id */
    const atomic_bool *is_stopping;
    int lock_fd;
    struct worktree_record record;
};

/* ERR_TEMP: somebody has it, where `waits` is not wanted. */
int worktree_begin(const char *state_dir, const char *id, bool waits,
                   const atomic_bool *is_stopping, struct worktree_work *work, struct err *err);
void worktree_end(struct worktree_work *work); /* safe on a zeroed one with lock_fd -1 */

/* How git is to see the worktree, and the repository without it. Borrowed from `work`. */
struct agent_git worktree_git(const struct worktree_work *work);
struct agent_git worktree_repository_git(const struct worktree_work *work);

/* What the file `.git` of a checkout names, to be freed; NULL when it is no such file. */
char *worktree_read_link(const char *path);

/* True when both sides of a ready worktree are there and belong together; the agent's side,
 * `.git`, is put right first, and links where git writes are removed. No agent may be at work
 * in it. */
bool worktree_is_whole(const struct worktree_work *work);

/* Where the agent's own git may move branches: they are gone when git has packed all of them.
 */
void worktree_make_ref_directories(const struct worktree_work *work);

/* Takes away locks that a killed git left behind long ago. */
void worktree_remove_stale_locks(const struct worktree_work *work);

/* The checkout, what the repository keeps about it, and the record; not the branch. */
int worktree_remove(struct worktree_work *work, struct err *err);

/* See agent_worktree_commit(). */
int worktree_commit(const struct worktree_work *work, const char *message,
                    struct agent_worktree_kept *ret_kept, struct err *err);

#endif
