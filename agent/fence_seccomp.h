/*
 * fence_seccomp.h - the system calls that an agent never needs, refused.
 *
 * The program for the kernel is made beforehand (libseccomp is slow, and it wants memory) and
 * loaded by fence_seccomp_enter(). All is allowed that is not named: agents are any program.
 * Refused are looking into other processes, changing the system, kernel interfaces with a
 * history of holes, the system calls of other architectures, signals to the daemon.
 *
 * Owns:    the program.
 * Threads: any; fence_seccomp_enter() confines the calling thread for good.
 */
#ifndef AGENT_FENCE_SECCOMP_H
#define AGENT_FENCE_SECCOMP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct fence_seccomp_options {
    int landlock_abi;     /* what it does not cover is refused here */
    bool watches_connect; /* connect() and chmod() ask whoever holds the listener */
    bool changes_nothing; /* in modes without writing; counts where nobody can be asked */
    const pid_t *guarded; /* processes that the agent must not signal or slow down */
    size_t guarded_count;
};

struct fence_filter {
    void *program;
    unsigned short length;
    bool has_listener;
};

bool fence_seccomp_is_there(void);

int fence_seccomp_make(const struct fence_seccomp_options *options,
                       struct fence_filter *ret_filter, struct err *err);
void fence_filter_deinit(struct fence_filter *filter); /* safe on a zeroed struct, and twice */

/* Needs no-new-privs. *ret_listener is the descriptor of the watch over connect(), -1 without
 * one. -1 with errno. */
int fence_seccomp_enter(const struct fence_filter *filter, int *ret_listener);

#endif
