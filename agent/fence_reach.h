/*
 * fence_reach.h - what the supervisor does on behalf of an agent, and what not: which unix
 * sockets, which addresses, which files' modes.
 *
 *   sockets    below a path that the run may change, or that agent.fence_read or fence_write
 *              names; those of the resolvers. Landlock sees no connect() to a path.
 *   addresses  not the services of our own (agent.spec's fence_denied)
 *   modes      of files that the run may change, and of what has no path
 *
 * Paths are judged as the kernel names an open file: absolute, without links.
 *
 * Owns:    copies of all that it is made from.
 * Threads: any; it never changes. Counted: the last fence_reach_release() frees it.
 */
#ifndef AGENT_FENCE_REACH_H
#define AGENT_FENCE_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/fence_rules.h"

struct fence_reach;

/*
 * `denied`: ADDRESS:PORT each, ended by NULL; NULL for none. ADDRESS is an IPv4 or an IPv6
 * address, bare or in brackets, or localhost; 0.0.0.0 and :: mean every address of this host.
 * What is not of this form denies nothing.
 */
struct fence_reach *fence_reach_new(const struct fence_rules *rules, char *const *denied);
struct fence_reach *fence_reach_share(struct fence_reach *reach);
void fence_reach_release(struct fence_reach *reach); /* NULL is fine */

bool fence_reach_has_socket(const struct fence_reach *reach, const char *path);
bool fence_reach_may_change(const struct fence_reach *reach, const char *path);

/* `address` as connect() takes it, for whatever family; IPv4 also when written as IPv6. */
bool fence_reach_is_denied(const struct fence_reach *reach, const void *address, size_t len);

#endif
