/*
 * fence_cgroup.h - a control group for each run: memory, processes, and nobody gets away.
 *
 * Groups are made only where the tree is ours to change: where it was delegated (systemd's
 * Delegate=yes: the group carries a mark, or belongs to our user) or where it begins with us,
 * as in a container. In the unified hierarchy (v2) the daemon steps into a leaf `daemon`, for
 * a group that hands out controllers may not hold processes, and each run gets
 * `threadkeeper-run-ID` beside it. Of the old ones (v1) memory and pids are used, each where
 * it is ours.
 *
 * At its end a daemon takes the controllers back: systemd could not start the next one in a
 * group that hands them out while runs of the old one are in it. Those have no limit until
 * the next daemon gives it to them again.
 *
 * Owns:    the groups that it made; an empty one that a dead daemon left is removed by the
 * next.
 * Threads: any.
 */
#ifndef AGENT_FENCE_CGROUP_H
#define AGENT_FENCE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FENCE_CGROUP_LEAF   "daemon"
#define FENCE_CGROUP_PREFIX "threadkeeper-run-"
#define FENCE_CGROUP_TREES  3 /* v2, and of v1 memory and pids */

struct fence_cgroup_tree {
    char base[PATH_MAX / 2]; /* the group in which runs get theirs */
    bool is_unified;
    bool is_root;    /* of the hierarchy as we see it */
    bool has_memory; /* for v2: whether base hands it out */
    bool has_pids;
};

struct fence_cgroups {
    struct fence_cgroup_tree trees[FENCE_CGROUP_TREES];
    size_t count;
};

/* Finds the trees from the texts of /proc/self/mountinfo and /proc/self/cgroup: whatever is
 * mounted, ours or not. */
void fence_cgroup_parse(const char *mountinfo, const char *groups,
                        struct fence_cgroups *ret_cgroups);

/* The trees that are ours to change; none is no error. */
void fence_cgroup_find(struct fence_cgroups *ret_cgroups);

struct fence_group {
    struct fence_cgroups cgroups; /* those in which the run has a group */
    int procs_fds[FENCE_CGROUP_TREES];
    char name[96];
};

/*
 * Makes the groups of a run with their limits (0: none). What cannot be made is left out; the
 * result says what there is.
 */
void fence_group_make(const struct fence_cgroups *cgroups, const char *run_id,
                      int64_t max_memory_bytes, int64_t max_processes,
                      struct fence_group *ret_group);

/* Takes the calling process into the groups. -1 with errno. */
int fence_group_enter(const struct fence_group *group);

/* Kills whoever is left in it, waits (at most some seconds) and removes it. */
void fence_group_release(struct fence_group *group);

/* The same by name: for a run whose supervisor is gone. Nothing there is fine. */
void fence_group_release_run(const char *run_id);

/* What a daemon does at its start and at its end; see above. */
void fence_cgroup_begin(int64_t max_memory_bytes, int64_t max_processes);
void fence_cgroup_end(void);

#endif
