/*
 * meta.h - RUN_DIR/meta.json: what to start, and who it became.
 *
 * The daemon writes it before it starts the supervisor, which adds itself and the agent. So at
 * whatever instant the daemon dies, the next one can tell whether the run lives, what it may
 * cost and how it was confined. Written by rename, without fsync - after a crash of the host
 * there is no process to find again - but where the agent may write: there it must also be
 * certain that a run without this file never began. Holds no secret: those travel by
 * environment.
 *
 * What an older version wrote is read, too: a field that is not there is 0, "" or NULL.
 *
 * Owns:    its strings.
 * Threads: any.
 */
#ifndef AGENT_META_H
#define AGENT_META_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/fence_spec.h"
#include "agent/process.h"
#include "base/err.h"

#define AGENT_FILE_META         "meta.json"
#define AGENT_FILE_PROMPT       "prompt"
#define AGENT_FILE_OUTPUT       "out.ndjson"
#define AGENT_FILE_ERRORS       "err.log"
#define AGENT_FILE_LAUNCH_ERROR "launch.err"
#define AGENT_FILE_EXIT         "exit.json"
#define AGENT_FILE_VERDICT      "verdict"

struct agent_meta {
    char *dialect; /* its name in the table */
    char *workspace;
    char **argv; /* ended by NULL */
    int64_t max_output_bytes;
    int64_t started_wall_s;
    int64_t first_output_timeout_ms, idle_timeout_ms, timeout_ms, kill_grace_ms;
    struct fence_spec fence; /* and the mode */
    /* From the supervisor; 0 and "" until it ran: */
    pid_t pid;
    uint64_t start_ticks;
    char boot_id[PROCESS_BOOT_ID_BYTES];
    bool is_supervised; /* pid is a supervisor and agent_pid the agent; older ones: the agent */
    pid_t agent_pid;
    uint64_t agent_ticks;
};

void agent_meta_deinit(struct agent_meta *meta); /* safe on a zeroed struct, and twice */

/* `is_durable`: it is there after a crash of the host as well. */
int agent_meta_write(const char *run_dir, const struct agent_meta *meta, bool is_durable,
                     struct err *err);

/* ERR_INPUT when the file is absent or not what we wrote. */
int agent_meta_read(const char *run_dir, struct agent_meta *ret_meta, struct err *err);

/* Writes a small file in the directory, whole or not at all; mode 0600. */
int agent_meta_write_file(const char *run_dir, const char *name, const void *bytes, size_t len,
                          struct err *err);

#endif
