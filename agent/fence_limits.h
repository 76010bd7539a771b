/*
 * fence_limits.h - what needs no special kernel: resource limits, capabilities.
 *
 * Owns:    nothing.
 * Threads: the supervisor before it has threads, and its child.
 */
#ifndef AGENT_FENCE_LIMITS_H
#define AGENT_FENCE_LIMITS_H

#include <stdint.h>

/*
 * Gives up every capability for good, also for what root executes later: none is in the
 * bounding set any more. -1 with errno.
 */
int fence_drop_capabilities(void);

/* No core dumps, no larger files, a bounded number of descriptors. A limit that is tighter
 * already stays. -1 with errno. */
int fence_limit_resources(int64_t max_file_bytes);

/*
 * The kernel counts the processes of a user, not of a run: so many more than there are now may
 * be made, by whichever of his runs. Without effect for root. -1 with errno.
 */
int fence_limit_processes(int64_t max_processes);

/* When memory runs out an agent goes before the daemon. Best effort. */
void fence_offer_to_oom_killer(void);

#endif
