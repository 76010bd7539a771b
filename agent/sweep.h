/*
 * sweep.h - what dead daemons left of runs: processes that nobody waits for and directories
 * that nobody needs.
 *
 * A run is needed while the ledger has a message that waits for it. Whoever begins one holds
 * the lock from before its directory is there until the ledger names it; the sweep asks under
 * the same lock, so it never takes a new run for a forgotten one, not even that of another
 * process (`threadkeeper chat`).
 *
 *   processes    supervisors of runs that are not needed are told to end, and all that carries
 *                the mark of such a run
 *   directories  not needed and without a process: all of them at the start, later those older
 *                than the limit, and the oldest while they take more than the limit together
 *
 * Owns:    nothing.
 * Threads: any that may wait for the disk and, where processes must be ended, a few seconds.
 */
#ifndef AGENT_SWEEP_H
#define AGENT_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct agent_sweep {
    const char *runs_dir;
    bool is_start; /* every directory that is not needed goes */
    int64_t ttl_ms;
    int64_t max_bytes; /* of those that are not needed, together */
    int64_t kill_grace_ms;
    /*
     * The ids that are needed, each and the array to be freed, ended by NULL; called once,
     * under the lock. -1: not known, then nothing is done.
     */
    int (*list_needed)(void *context, char ***ret_ids, struct err *err);
    void *context;
};

struct agent_swept {
    size_t ended;   /* runs */
    size_t removed; /* directories */
    int64_t removed_bytes;
    size_t kept; /* not needed, but young and small enough */
    int64_t kept_bytes;
};

/* ret_swept is set on failure too, which is ERR_SYSTEM or what list_needed() said. */
int agent_sweep(const struct agent_sweep *sweep, struct agent_swept *ret_swept,
                struct err *err);

/* Whoever makes a new run: a descriptor that holds the sweep off until it is closed; -1 where
 * it cannot be had. */
int agent_sweep_hold(const char *runs_dir);

#endif
