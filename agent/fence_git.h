/*
 * fence_git.h - the repository of a workspace that is a git worktree.
 *
 * A worktree holds a file `.git` that names a directory below the repository's. An earlier run
 * may have written that file, so it counts only when the directory that it names points back
 * at it - which only somebody who may write into the repository can have arranged - and when
 * that directory is REPOSITORY/worktrees/NAME; nothing else in it is believed.
 *
 * Owns:    its strings.
 * Threads: any.
 */
#ifndef AGENT_FENCE_GIT_H
#define AGENT_FENCE_GIT_H

#include <stdbool.h>

struct fence_git {
    char *common_dir;   /* REPOSITORY/.git */
    char *worktree_dir; /* REPOSITORY/.git/worktrees/NAME */
};

/* False, nothing set: not a worktree, or not one whose repository agrees. */
bool fence_git_find(const char *workspace, struct fence_git *ret_git);
void fence_git_deinit(struct fence_git *git); /* safe on a zeroed struct, and twice */

#endif
