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

#include "agent/chat.h"
#include "agent/outcome.h"
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
    /* With ends_by_exit: and the agent has said that its answer is whole (is_settled). */
    bool needs_settled;
    /* True: `--version` tells the version and does nothing else. */
    bool has_version;
    /* Words that succeed only when the agent can reach its account, without spending anything,
     * ended by NULL; NULL where there are none. */
    const char *const *login_check;
    /* The check does not know of a key in this variable: not asked where it is set. NULL: none.
     */
    const char *login_variable;
    /* What its exit statuses mean beyond 0 and 1, ended by a status of 0; NULL for nothing. */
    const struct agent_exit *exits;
    enum agent_chats chats;
    /* Whether the chat is in the agent's store; NULL where the agent itself says that an id is
     * not known to it. */
    bool (*has_chat)(const char *chats_dir, const char *chat_id);
    /* Appends the arguments behind the configured command. */
    void (*append_arguments)(const struct agent_spec *spec, struct dialect_argv *argv);
    void *(*new_state)(void);
    void (*free_state)(void *state);
    void (*read)(void *state, struct agent_stream *stream, const char *bytes, size_t len);
};

const struct dialect *dialect_get(enum agent_dialect which);
const struct dialect *dialect_find(const char *name); /* NULL: unknown */

void dialect_argv_add(struct dialect_argv *argv, const char *argument); /* copies it */
/* All of `arguments`, which end with NULL. */
void dialect_argv_add_all(struct dialect_argv *argv, const char *const *arguments);
/* `option` and `value`, or nothing when the value is "" or NULL. */
void dialect_argv_add_option(struct dialect_argv *argv, const char *option, const char *value);

extern const struct dialect dialect_cursor;
extern const struct dialect dialect_claude;
extern const struct dialect dialect_codex;
extern const struct dialect dialect_gemini;
extern const struct dialect dialect_opencode;
extern const struct dialect dialect_text;

#endif
