/*
 * fence_limits.h - what needs no special kernel: resource limits, capabilities.
 *
 * Owns:    nothing.
 * Threads: the supervisor before it has threads, and its child.
 */
#ifndef AGENT_FENCE_LIMITS_H
#define AGENT_FENCE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * For a supervisor that root started: gives up every capability for good, also for what is
 * executed later (none is in the bounding set any more), except the one by which root removes
 * a control group from a directory without write bits. That one is out of force but between
 * two calls of fence_use_capabilities(). -1 with errno.
 */
int fence_set_capabilities_aside(void);
void fence_use_capabilities(bool are_used);

int fence_drop_capabilities(void); /* the child: that one, too. -1 with errno. */

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
