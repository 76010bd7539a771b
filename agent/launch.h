/*
 * launch.h - the hidden command `threadkeeper launch RUN_DIR`: starts the agent of a run and
 * stays as its supervisor.
 *
 *   read meta.json -> fence_prepare -> fork -+-> child: own session, streams, fence_enter,
 *                                            |          waits for "go" -> exec
 *                                            +-> signs meta.json, says "go" -> supervise
 *
 * So no agent runs that meta.json does not name, and none whose supervisor is dead: the child
 * dies with its parent. A failure before the exec is written to RUN_DIR/launch.err, where run.c
 * finds it.
 *
 * Owns:    the run's processes.
 * Threads: a process of its own, with one; fence_net.h begins short ones beside it.
 */
#ifndef AGENT_LAUNCH_H
#define AGENT_LAUNCH_H

/* The exit status: 0 when the agent was started, whatever became of it. */
int agent_launch_main(const char *run_dir);

#endif
