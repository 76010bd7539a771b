/*
 * fence_net.h - connect() on behalf of an agent, except to the addresses that hand out the
 * credentials of the host.
 *
 * The filter of fence_seccomp.h turns each connect() of the run into a question. The address
 * is copied out of the asking process, judged, and connected to from here, on a duplicate of
 * its socket: what was judged is what is connected to, whatever another thread writes into the
 * original meanwhile. The socket is one and the same, so non-blocking ones return EINPROGRESS,
 * timeouts hold, and errors are what they would have been.
 *
 * Refused with EACCES: the metadata services of EC2, ECS and EKS, by IPv4, IPv6 and the ways
 * to write one as the other; our own services, and unix sockets that are none of the agent's
 * business (fence_reach.h). With EAFNOSUPPORT: any other family than those and unix. With
 * EPERM: abstract unix sockets, whose fence (Landlock's) is that of the process that connects,
 * which here is not the agent. A unix socket with a path connects with the path resolved from
 * the agent's root and working directory; its other side sees the supervisor's pid.
 *
 * chmod(), fchmod(), fchmodat() and utimensat() are asked about as well, for Landlock knows no
 * rights for them: they are made from here on what the run may change, and refused with EPERM
 * elsewhere (fence_mode.c).
 *
 * Each question is answered on a thread of its own, for a connect() may take minutes; past
 * FENCE_NET_MAX at once the answer is EAGAIN. A signal that the agent handles waits for the end
 * of a blocking connect(); one that kills it does not.
 *
 * Owns:    its threads, which touch nothing of the caller's.
 * Threads: the supervisor's.
 */
#ifndef AGENT_FENCE_NET_H
#define AGENT_FENCE_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/fence_reach.h"

#define FENCE_NET_MAX 64

/* Whether this process could answer for its children: the kernel's side of it is there. */
bool fence_net_is_there(void);

/* Whether an address (as connect() takes it) is one that is refused. */
bool fence_net_is_metadata(const void *address, size_t len);

/* Takes one question from the listener and has it answered; `reach` is shared for as long as
 * that takes. False: nobody can ask any more. */
bool fence_net_serve(int listener, struct fence_reach *reach);

#endif
