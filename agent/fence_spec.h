/*
 * fence_spec.h - what a run may have, as meta.json carries it from the daemon to the
 * supervisor.
 *
 * Owns:    its strings.
 * Threads: any.
 */
#ifndef AGENT_FENCE_SPEC_H
#define AGENT_FENCE_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "agent/run.h"
#include "base/err.h"

struct fence_spec {
    enum agent_fence fence;
    enum agent_mode mode; /* only in mode write the workspace may be changed */
    char **read;          /* further paths, ended by NULL; NULL for none */
    char **write;
    char **hidden;            /* never, wherever they lie: configuration, token files */
    char **denied;            /* addresses of our own services, as fence_reach.h has them */
    char *slot_dir;           /* NULL for none */
    char *chats_dir;          /* NULL for none */
    size_t command_size;      /* so many of the first arguments are the configured command */
    int64_t max_memory_bytes; /* 0: no limit */
    int64_t max_processes;    /* 0: no limit */
};

void fence_spec_set(struct fence_spec *spec, const struct agent_spec *from);
void fence_spec_deinit(struct fence_spec *spec); /* safe on a zeroed struct, and twice */

/* Into and out of the object of meta.json. ERR_INPUT: a path is not UTF-8; not what we wrote.
 * Where meta.json holds no fence - it is of an older version - there is none. */
int fence_spec_pack(const struct fence_spec *spec, json_t *meta, struct err *err);
int fence_spec_unpack(const json_t *meta, struct fence_spec *ret_spec, struct err *err);

#endif
