/*
 * revision.h - which commit a workspace stands at, read from git's own files without starting
 * git: HEAD, loose and packed refs, worktrees, workspaces below the top of a repository.
 *
 * Owns:    nothing.
 * Threads: any; reads a few small files.
 */
#ifndef AGENT_REVISION_H
#define AGENT_REVISION_H

#include <stdbool.h>

#define AGENT_REVISION_BYTES 65 /* 64 hex digits (SHA-256 repositories) and the NUL */

/*
 * False when there is none: no repository, nothing committed yet, or a form of storage that is
 * not known here (reftable). What is changed and not committed does not show in it.
 */
bool agent_workspace_revision(const char *workspace, char ret_revision[AGENT_REVISION_BYTES]);

/* Where a repository keeps what it has, as absolute physical paths. */
struct agent_repository {
    char *top;        /* the checkout that the workspace is or lies in */
    char *git_dir;    /* of that checkout */
    char *common_dir; /* of all its worktrees */
};

/* False, nothing set, when there is none. */
bool agent_repository_find(const char *workspace, struct agent_repository *ret_repository);
void agent_repository_deinit(struct agent_repository *repository); /* safe on a zeroed one */

#endif
