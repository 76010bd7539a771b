/*
 * permission.h - cli-config.json, the file in which cursor-agent finds what it may do without
 * asking. One layer of several: there are tools that it does not cover, and the agent may write
 * the file itself.
 *
 *   ask, plan   reads only; no command, no change, no web, no MCP, no secrets
 *   write       reads, changes, commands (--force allows what is not denied); no secrets, and
 *               no change of what is run without being asked for: hooks, MCP servers
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef AGENT_PERMISSION_H
#define AGENT_PERMISSION_H

#include <stdbool.h>

#include "agent/run.h"
#include "base/err.h"

/* Makes config_dir/cli-config.json, which must not be there, and reads it again: -1 when it
 * does not say what it should. */
int agent_permission_write(const char *config_dir, enum agent_mode mode, struct err *err);

/* Whether the file still says so: the program completes it, which is fine, and replaces one
 * that it cannot read by a file that denies nothing. */
bool agent_permission_holds(const char *config_dir, enum agent_mode mode);

#endif
