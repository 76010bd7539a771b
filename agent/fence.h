/*
 * fence.h - what an agent may reach, and what keeps it there.
 *
 *   supervisor  fence_prepare()  what this kernel can do, the paths, the filter, the group;
 *                                puts the supervisor's capabilities aside
 *   child       fence_enter()    limits, group, descriptors, Landlock, seccomp; exec
 *   supervisor  fence_serve()    answers the child's connect() calls, when told by poll()
 *   supervisor  fence_release()  kills what is left in the group and removes it
 *
 * The parts: Landlock (fence_landlock.h) for files, signals and abstract sockets; seccomp
 * (fence_seccomp.h) for system calls that no agent needs; a watch over connect() (fence_net.h)
 * for the addresses that hand out a host's credentials; a control group (fence_cgroup.h) for
 * memory and processes. Landlock and seccomp are essential: with `on` a run without them is
 * refused; with `auto` it goes on with what there is, and fence_missing() says what is not.
 *
 * Owns:    the descriptors and the control group behind a struct fence.
 * Threads: the supervisor is single-threaded; fence_serve() starts threads of its own, which
 *          touch nothing of the caller's. fence_probe() and fence_missing(): any.
 */
#ifndef AGENT_FENCE_H
#define AGENT_FENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct agent_meta;

/* What this kernel, and whoever started us, lets us do. */
struct fence_features {
    int landlock_abi; /* 0: none */
    bool has_seccomp;
    bool has_connect_watch; /* connect() can be answered by the supervisor */
    bool has_memory_limit;  /* by a control group */
    bool has_process_limit;
    bool has_group_kill;
};

void fence_probe(struct fence_features *ret_features);

/*
 * What is missing and what mends it, one line each ("Landlock: ..."), nothing when all is
 * there. True when an essential part is missing, so that `on` refuses to run.
 */
bool fence_missing(const struct fence_features *features, struct buf *out);

struct fence;

/*
 * In the supervisor, before the fork and before it has threads. `run_dir` is absolute and
 * physical. -1: the fence is `on` and an essential part is missing (ERR_INPUT), or something
 * could not be made (ERR_SYSTEM); nothing is left then.
 */
int fence_prepare(const struct agent_meta *meta, const char *run_dir, struct fence **ret_fence,
                  struct err *err);

/* The same with what fence_probe() would find, for tests. */
int fence_prepare_with(const struct agent_meta *meta, const char *run_dir,
                       const struct fence_features *features, struct fence **ret_fence,
                       struct err *err);

/*
 * In the child, as the last thing before the exec: its streams are open, its session is its
 * own. Every other descriptor is closed by the exec. -1 with *ret_step naming what failed.
 */
int fence_enter(struct fence *fence, const char **ret_step, struct err *err);

/*
 * The descriptor to poll for POLLIN | POLLHUP; -1 when there is none (any more). Ask anew in
 * every pass: it changes. When poll() shows anything on it, call fence_serve().
 */
int fence_notify_fd(const struct fence *fence);
void fence_serve(struct fence *fence);

/*
 * Whether what the run has written - in tmp/, outbox/, its slot and its chats - is still within
 * its limit, FENCE_DISK_OUTPUTS times agent.max_output. Looks at the files, so it is for once
 * in a second or two. False, too, when there are directories that it cannot look into, or more
 * and deeper ones than it will. False: end the run; *ret_bytes is what was found.
 */
#define FENCE_DISK_OUTPUTS 8
bool fence_is_within_disk(const struct fence *fence, int64_t *ret_bytes);

/* In the supervisor, once nobody of the run shall live. NULL is fine. */
void fence_release(struct fence *fence);

#endif
