/*
 * launch.h - the hidden command `threadkeeper launch RUN_DIR`: single-threaded, makes the
 * process what an agent may be (own session, no new privileges, limits, closed descriptors,
 * clean signals, minimal environment), then execs the agent.
 *
 * A failure before the exec is written to RUN_DIR/launch.err, where run.c finds it.
 *
 * Threads: a process of its own.
 */
#ifndef AGENT_LAUNCH_H
#define AGENT_LAUNCH_H

/* Returns only on failure: the exit status. */
int agent_launch_main(const char *run_dir);

#endif
