/*
 * supervise.h - the parent of an agent: sees to it that all of a run ends and that its end is
 * known, whether or not a daemon watches.
 *
 * It is the subreaper of everything the agent starts, so what leaves its session, its parents
 * and its environment behind comes to it and is found, ended and reaped. The time limits of
 * meta.json hold here, too, a second late: a daemon that watches knows more (events, not only
 * bytes) and decides first.
 *
 *   RUNNING -> ENDING (TERM to all, grace, STOP and KILL to all) -> exit.json -> exit
 *
 * SIGTERM means: end the run. The agent's own end leads there as well, with a short grace for
 * what it left behind. When the supervisor is killed the kernel kills the agent with it, and
 * the daemon ends the rest (process.h).
 *
 * Owns:    the run's processes.
 * Threads: a process of its own, with one; fence_net.h begins short ones beside it.
 */
#ifndef AGENT_SUPERVISE_H
#define AGENT_SUPERVISE_H

#include <sys/types.h>

#include "agent/fence.h"
#include "agent/meta.h"
#include "base/err.h"

/* A message from the child over the channel: which step failed before the exec. */
struct supervise_failure {
    char step[64];
    char text[256];
};

struct supervisor;

/* What is to be set up before the fork; signals stay blocked from here on, they are read from a
 * descriptor. Borrows all it is given. NULL on failure. */
struct supervisor *supervisor_new(const char *run_dir, const struct agent_meta *meta,
                                  struct fence *fence, struct err *err);
void supervisor_free(struct supervisor *supervisor); /* NULL is fine */

/*
 * Until no process of the run is left. `channel` is our end of the socket to the child, whose
 * end the exec closes: why it failed comes from there. Adopts channel and fence, frees the
 * supervisor.
 */
void supervisor_run(struct supervisor *supervisor, pid_t agent, int channel);

/* Writes RUN_DIR/launch.err. */
void supervise_report(const char *run_dir, const char *step, const char *text);

#endif
