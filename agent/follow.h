/*
 * follow.h - reads the files that an agent writes, as they grow.
 *
 * err.log is kept short while we watch: beyond a megabyte its end is remembered and the file
 * cut to nothing, which is safe because the agent appends. While no daemon watches, the
 * launcher's RLIMIT_FSIZE bounds it.
 *
 * Owns:    its descriptors.
 * Threads: any, one at a time.
 */
#ifndef AGENT_FOLLOW_H
#define AGENT_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Reading looks again this often when the kernel gives us no inotify instance. */
#define AGENT_FOLLOW_POLL_MS 200

struct agent_follow {
    int output_fd, errors_fd;
    int notice_fd;  /* inotify, or -1: then look every AGENT_FOLLOW_POLL_MS */
    int64_t offset; /* bytes of out.ndjson read so far */
    struct buf kept_errors;
    bool was_cut; /* said once, however much comes */
};

/* Opens (and makes, mode 0600) both files in the directory. ERR_SYSTEM. */
int agent_follow_init(struct agent_follow *follow, const char *run_dir, struct err *err);
void agent_follow_deinit(struct agent_follow *follow); /* safe on a zeroed struct, and twice */

/* The next bytes of the output; 0 when there are no more yet. */
size_t agent_follow_read(struct agent_follow *follow, char *chunk, size_t size);

/* Takes the notices out of notice_fd and keeps err.log short. */
void agent_follow_look(struct agent_follow *follow);

/* Appends the last 32 KiB or so of the error output. */
void agent_follow_read_errors(const struct agent_follow *follow, struct buf *out);

#endif
