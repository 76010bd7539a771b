/*
 * git.h - runs git on a repository of the configuration: fixed arguments, no shell, no hook, no
 * configuration but the repository's own, no question at a terminal, a time limit.
 *
 * An agent may have written anything into its worktree, and some of the files behind it: what
 * says which repository to work on comes from the caller, never from there.
 *
 * Owns:    the process while it lasts.
 * Threads: worker, summarizer, or another that may wait; never the loop.
 * Errors:  ERR_SYSTEM git is missing or its disk full, ERR_TEMP it took too long or a lock is
 *          in its way, ERR_REMOTE what git says against it (its last words).
 */
#ifndef AGENT_GIT_H
#define AGENT_GIT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct agent_git {
    const char *git_dir;    /* of the worktree, or the repository's; absolute, as all are */
    const char *common_dir; /* NULL: the same */
    const char *work_tree;  /* the working directory as well; NULL for none */
    int lock_fd;            /* git holds it as well, so that it is let go only when git is gone,
                               even when we are killed; 0: none */
    const atomic_bool *is_stopping; /* turns true: git is ended, ERR_TEMP; NULL: never */
};

/* All that git may write to stdout; more is an error. */
#define AGENT_GIT_OUTPUT_MAX_BYTES ((size_t)16 * 1024 * 1024)

/*
 * `git ARGUMENTS...` (ended by NULL) with `input` (NULL for none) on stdin; stdout goes to
 * `ret_output` (NULL: nowhere).
 */
int agent_git_run(const struct agent_git *git, const char *const *arguments,
                  const struct buf *input, struct buf *ret_output, struct err *err);

#endif
