/*
 * worktree_record.h - what is written down of a worktree, and the lock that keeps others off
 * it; see worktree.h.
 *
 * Owns:    its strings; a held lock is a descriptor.
 * Threads: any.
 */
#ifndef AGENT_WORKTREE_RECORD_H
#define AGENT_WORKTREE_RECORD_H

#include <stdbool.h>

#include "base/err.h"

enum worktree_state { WORKTREE_NONE, WORKTREE_MAKING, WORKTREE_READY, WORKTREE_REMOVING };

struct worktree_record {
    enum worktree_state state;
    char *repository; /* its common directory */
    char *git_dir;    /* of this worktree: REPOSITORY/worktrees/NAME; "" while it is made */
    bool is_told;
};
void worktree_record_deinit(struct worktree_record *record); /* safe on a zeroed one */

/* WORKTREE_NONE when there is no file. ERR_INPUT: it is not what we wrote. */
int worktree_record_read(const char *root, const char *id, struct worktree_record *ret_record,
                         struct err *err);

/* Durable when it returns; its time is when the worktree was used last. */
int worktree_record_write(const char *root, const char *id,
                          const struct worktree_record *record, struct err *err);
void worktree_record_touch(const char *root, const char *id);

/* Takes the lock; -1 with ERR_TEMP when somebody has it. The descriptor is the caller's:
 * closing it, and whatever copies there are, lets go. */
int worktree_lock(const char *root, const char *id, struct err *err);

/* The lock being held; and the lock's own file, as the last thing that is done under it:
 * whoever comes next makes another one. */
void worktree_record_remove(const char *root, const char *id);
void worktree_lock_remove(const char *root, const char *id);

#endif
