/*
 * worktree.h - a git worktree and a branch for each conversation, so that two of them never
 * fight over one checkout (agent.worktree, mode write).
 *
 *   state_dir/worktrees/<id>/      the checkout that the agent works in
 *   state_dir/worktrees/<id>.json  which repository and branch it is of, and how far it is
 *   state_dir/worktrees/<id>.lock  held while one of us works on these
 *   branch threadkeeper/<id>       begins at the workspace's HEAD; stays when the rest goes
 *
 *   (none) -> making -> ready -> removing -> (none)
 *
 * What is found `making` or `removing` was cut short: nobody works in it, what was worked on is
 * committed, so it is removed and made anew. A conversation finds its worktree again by <id>,
 * which is made of its key and its workspace; only a run that goes on remembers it beside that.
 *
 * Nothing is destroyed that is not on a branch: each turn's changes are committed when it ends,
 * and whatever is left when a worktree is removed. Files that .gitignore names are not kept.
 * A worktree that cannot be committed stays, and so does one that holds repositories of its
 * own, whose history would be lost. What stands where a worktree should be made, and is none of
 * ours, is moved aside.
 *
 * The agent may write into its checkout, and git lets it write behind it; so git is told from
 * the outside what the repository is (git.h), and `.git` in the checkout is put right.
 *
 * Owns:    state_dir/worktrees, REPOSITORY/worktrees/<id>*, branches threadkeeper/.
 * Threads: worker; the sweep on any that may wait for minutes. Never the loop.
 * Errors:  as git.h; ERR_INPUT the workspace cannot have worktrees. Each tells the mend.
 */
#ifndef AGENT_WORKTREE_H
#define AGENT_WORKTREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define AGENT_WORKTREE_BRANCH_BYTES 512

/* Borrowed for the call. */
struct agent_worktree_place {
    const char *state_dir;
    const char *workspace;
    const char *id;                 /* lower-case letters and digits, at most 40 */
    const atomic_bool *is_stopping; /* turns true: git is ended, ERR_TEMP; NULL: never */
};

struct agent_worktree {
    char *path;   /* what the workspace is in there: the directory for the agent */
    char *branch; /* "threadkeeper/<id>" */
};

/* Makes it, or finds it as the last turn left it. */
int agent_worktree_open(const struct agent_worktree_place *place,
                        struct agent_worktree *ret_worktree, struct err *err);
void agent_worktree_deinit(struct agent_worktree *worktree); /* safe on a zeroed one */

struct agent_worktree_kept {
    char branch[AGENT_WORKTREE_BRANCH_BYTES]; /* where the work is; "" when there is none */
    bool has_committed;
    bool is_untold; /* agent_worktree_note_told() was not called yet */
    bool holds_repositories;
};

/*
 * Commits what has changed, `message` as the first line. Where the agent has gone to another
 * branch that gets it; where it stands on none below threadkeeper/, a new one
 * "threadkeeper/<id>-<commit>".
 */
int agent_worktree_commit(const struct agent_worktree_place *place, const char *message,
                          struct agent_worktree_kept *ret_kept, struct err *err);

/* The person knows the branch. */
int agent_worktree_note_told(const struct agent_worktree_place *place, struct err *err);

/*
 * Commits and removes worktrees that no turn has used since `before_wall_s`, and what a crash
 * left half-made. What cannot be removed is logged and stays. ERR_SYSTEM when the directory
 * cannot be read.
 */
int agent_worktrees_sweep(const char *state_dir, int64_t before_wall_s,
                          const atomic_bool *is_stopping, size_t *ret_removed, struct err *err);

/* Whether the workspace can have worktrees, for `threadkeeper check`. */
int agent_worktree_check(const char *workspace, struct err *err);

#endif
