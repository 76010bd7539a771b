/*
 * dialect.h - how to start one kind of agent and how to read what it prints.
 *
 * A dialect is one file, dialect_<name>.c, and one row of the table in dialect.c.
 *
 * Owns:    nothing; the table is constant.
 * Threads: any.
 */
#ifndef AGENT_DIALECT_H
#define AGENT_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/run.h"
#include "agent/stream.h"

struct dialect_argv {
    char **items; /* ended by NULL; items and array are the caller's to free */
    size_t count;
};

struct dialect {
    const char *name;
    /* True: `read` gets whole lines without their newline. False: chunks as they come, and a
     * last call with length 0 at the end. */
    bool has_lines;
    /* True: there is no terminal event; exit status 0 after some text is success. */
    bool ends_by_exit;
    /* An argument that succeeds only when the agent can reach its account, without spending
     * anything; NULL where there is none. */
    const char *login_check;
    /* Appends the arguments behind the configured command. */
    void (*append_arguments)(const struct agent_spec *spec, struct dialect_argv *argv);
    void *(*new_state)(void);
    void (*free_state)(void *state);
    void (*read)(void *state, struct agent_stream *stream, const char *bytes, size_t len);
};

const struct dialect *dialect_get(enum agent_dialect which);
const struct dialect *dialect_find(const char *name); /* NULL: unknown */

void dialect_argv_add(struct dialect_argv *argv, const char *argument); /* copies it */

extern const struct dialect dialect_cursor;
extern const struct dialect dialect_text;

#endif
