/*
 * fence_net_parts.h - one question of a run, between fence_net.c and fence_mode.c.
 *
 * Owns:    the listener's duplicate and a share of `reach`.
 * Threads: one thread has one question.
 */
#ifndef AGENT_FENCE_NET_PARTS_H
#define AGENT_FENCE_NET_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "agent/fence_reach.h"

/* One system call of the run that waits for its answer. */
struct question {
    int listener;
    struct fence_reach *reach; /* shared */
    uint64_t id;
    pid_t thread; /* who asks */
    int number;   /* of the call */
    uint64_t arguments[6];
    size_t address_len; /* of connect() */
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
        unsigned char bytes[sizeof(struct sockaddr_storage)];
    } address;
};

/* Whether the process that asked still waits: only then what was read of it was its own. */
bool fence_net_is_valid(const struct question *question);

/* A pidfd names a process; who asks may be another of its threads. -1: it is gone. */
pid_t fence_net_process(const struct question *question);

/* A duplicate of a descriptor of theirs, or -1 with errno. */
int fence_net_borrow(const struct question *question, int fd);

/* How the kernel names an open file. */
bool fence_net_name(int fd, char *name, size_t size);

/* The errno that chmod(), utimensat() and their kin shall have, 0 for none: made here, when
 * the file is one that the run may change, else EPERM, as for a file of somebody else. */
int fence_mode_answer(const struct question *question);

#endif
