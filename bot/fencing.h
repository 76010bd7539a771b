/*
 * fencing.h - the fence around agents in the words of the configuration: what a run may have,
 * and what daemon, `threadkeeper check` and `status` say of it.
 *
 * Owns:    the lists behind a struct fencing.
 * Threads: any.
 */
#ifndef BOT_FENCING_H
#define BOT_FENCING_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/run.h"
#include "base/buf.h"
#include "config/config.h"

struct fencing {
    const char **read;
    const char **write;
    char **hidden;
    char **denied;
};

/*
 * Sets the fence's part of `spec`, whose workspace is set already. Hidden are the state
 * directory, the configuration with its directory, and every file of secrets that it names;
 * denied is our own listener.
 * What it points to is `fencing`'s, until fencing_deinit(), and the configuration's.
 */
void fencing_init(struct fencing *fencing, const struct config *config,
                  struct agent_spec *spec);
void fencing_deinit(struct fencing *fencing); /* safe on a zeroed struct, and twice */

/* What this host lacks for agent.fence as configured, one line each; true when runs will be
 * refused for it. */
bool fencing_missing(const struct config *config, struct buf *out);

/* Startup: says what is missing, and prepares the control group. */
void fencing_begin(const struct config *config);

/* {"mode", "landlock", "seccomp", "metadata", "memory", "processes", "missing": [...]}; new. */
json_t *fencing_json(const struct config *config);

#endif
