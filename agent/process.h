/*
 * process.h - processes as the kernel shows them: who belongs to a run, how to signal all of
 * them, and who reaps whom.
 *
 * A supervisor finds its run by descent: it is the subreaper. Where there is none (it was
 * killed, or the run is of an older version) a run's processes are found by the leader's group
 * and session, by the mark THREADKEEPER_RUN=<id> in their environment, by descent or session
 * from any of those, and those that came to the daemon as orphans.
 *
 * Owns:    the registry of children that a run waits for; agent_reap_orphans() leaves those.
 * Threads: any.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PROCESS_MARK "THREADKEEPER_RUN"

struct process_stat {
    pid_t pid, parent, group, session;
    char state;           /* 'R', 'S', 'Z', ... */
    uint64_t start_ticks; /* since boot: with the pid it names a process once and for all */
};

bool process_read_stat(pid_t pid, struct process_stat *ret_stat); /* false: no such process */

/* Milliseconds that a process with these start ticks has existed. */
int64_t process_age_ms(uint64_t start_ticks);

#define PROCESS_BOOT_ID_BYTES 40

/* The kernel's id of this boot, "" where there is none: start ticks mean nothing in another. */
void process_boot_id(char out[PROCESS_BOOT_ID_BYTES]);

/* A pidfd (close-on-exec) for exactly that process, or -1. It is readable once it has ended. */
int process_open(pid_t pid, uint64_t start_ticks);

/* Signals exactly that process, with SIGCONT behind a SIGTERM: a stopped one can act on it. */
void process_signal_one(pid_t pid, uint64_t start_ticks, int signal_number);

/*
 * Sends `signal_number` (0 only counts) to every living process of the run, as
 * process_signal_one() does. `leader` 0: by mark only. Returns how
 * many are alive; never counts or signals the caller.
 */
size_t process_signal_run(const char *run_id, pid_t leader, int signal_number);

/*
 * The same for whatever descends from the caller, which is the subreaper of its tree, so
 * nothing gets away; also for a child that /proc hides from us. Single-threaded callers only.
 */
size_t process_signal_descendants(int signal_number);

/*
 * Kills the children of ours that no run waits for, with all that descends from them: what
 * comes to us alive has lost its supervisor. Returns how many were alive.
 */
size_t process_kill_strays(void);

/*
 * posix_spawn that registers the child in the same breath: nobody but process_reap() takes
 * its exit status. ERR_SYSTEM.
 */
int process_spawn(const char *path, const posix_spawn_file_actions_t *actions,
                  const posix_spawnattr_t *attributes, char *const *argv,
                  char *const *environment, pid_t *ret_pid, struct err *err);

void process_watch(pid_t pid);   /* registers a child that is there already */
void process_unwatch(pid_t pid); /* from now on it is anybody's to reap, but no stray */

/* Whether the child has ended; it stays a zombie, so its pid and group stay taken. False also
 * for a process that is not our child. `*ret_info` as waitid() fills it. */
bool process_has_ended(pid_t pid, siginfo_t *ret_info);

/* Takes the zombie away and forgets it. */
void process_reap(pid_t pid);

#endif
