/*
 * fence_landlock.h - files, signals and abstract sockets, by the kernel's Landlock.
 *
 * By raw system calls, with numbers of our own: the C library has no wrappers and the headers
 * of a build machine are older than the kernels that we meet. Every version of the interface
 * up to 7 is used as far as the kernel has it; 2 (Linux 5.19; 6.1 has it) is the floor that
 * the daemon's documentation promises:
 *
 *   2  files move between directories   5  ioctl() on devices
 *   3  truncate()                       6  signals and abstract sockets beyond the run
 *   4  (TCP ports: not used)            7  the agent's own, inner fences are not logged
 *
 * Owns:    nothing; a ruleset is a descriptor.
 * Threads: any; fence_landlock_enter() confines the calling thread for good.
 */
#ifndef AGENT_FENCE_LANDLOCK_H
#define AGENT_FENCE_LANDLOCK_H

#include "agent/fence_rules.h"
#include "base/err.h"

#define FENCE_LANDLOCK_TRUNCATE_ABI 3
#define FENCE_LANDLOCK_SCOPE_ABI    6

int fence_landlock_abi(void); /* 0: the kernel has none, or it is switched off */

/* A ruleset (close-on-exec) that allows these rules and nothing else of the file system. A
 * path that is not there is left out. -1: ERR_SYSTEM. */
int fence_landlock_new(int abi, const struct fence_rules *rules, struct err *err);

/* Needs no-new-privs. -1 with errno. */
int fence_landlock_enter(int ruleset, int abi);

#endif
