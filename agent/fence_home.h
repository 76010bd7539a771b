/*
 * fence_home.h - what a run may have of the home that it shares with all others: where its kind
 * of agent keeps login, settings and caches, and git's settings.
 *
 * Without a slot the agent may change its part, which is made when it is missing: Landlock
 * allows only what is there. With one it has settings, data and chats of its own, and what all
 * runs share is theirs to read: hooks, servers or compiled code that one of them left there
 * would run in the next, in whatever mode. But for the file of the stored login, whose tokens
 * are renewed; it can be written in place, not exchanged.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef AGENT_FENCE_HOME_H
#define AGENT_FENCE_HOME_H

#include "agent/fence_rules.h"

struct agent_meta;

/* Paths as they are named, which may not be there, be links, or be hidden: the caller decides.
 * Reads HOME, XDG_CONFIG_HOME and the agents' own variables; to be deinited as rules are. */
void fence_home_init(struct fence_rules *ret_wanted, const struct agent_meta *meta);

#endif
