/*
 * fence.h - what keeps an agent within its bounds: what is set up before it exists, what its
 * own process does to itself before it becomes the agent, what is answered while it runs.
 *
 *   fence_prepare   supervisor, before the fork
 *   fence_enter     the child, right before the exec
 *   fence_serve     supervisor, whenever the descriptor of fence_enter() is readable
 *   fence_release   supervisor, when no process of the run is left
 *
 * A failure is told as the name of the failed step ("session", "limits", ...) and a text, which
 * reach the log through launch.err.
 *
 * Owns:    nothing.
 * Threads: a process of its own, which has one.
 */
#ifndef AGENT_FENCE_H
#define AGENT_FENCE_H

#include <stddef.h>

#include "agent/meta.h"

int fence_prepare(const struct agent_meta *meta, const char *run_dir, char *ret_step,
                  size_t step_size, char *ret_text, size_t text_size);

/*
 * Confines the calling process: own session, no new privileges, limits, default signals, the
 * streams on the files of the run, the workspace as working directory. Descriptors from 3 on
 * are the caller's to close. *ret_notify_fd is a descriptor for fence_serve(), which the caller
 * hands to the supervisor by sendmsg() - so that must not wait for an answer from it - or -1.
 */
int fence_enter(const struct agent_meta *meta, const char *run_dir, int *ret_notify_fd,
                char *ret_step, size_t step_size, char *ret_text, size_t text_size);

/* Answers what waits, without waiting for more. */
void fence_serve(int notify_fd);

void fence_release(const struct agent_meta *meta, const char *run_dir);

#endif
