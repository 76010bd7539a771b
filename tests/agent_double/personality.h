/*
 * personality.h - whose part the double plays, by the name it was started under: cursor-agent,
 * claude, codex, gemini, opencode. A personality is one file, personality_NAME.c, and one row
 * in personality.c: its command line, what it refuses, and the shape of its events.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_PERSONALITY_H
#define DOUBLE_PERSONALITY_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/agent_double/arguments.h"
#include "tests/agent_double/emit.h"

enum refusal {
    REFUSAL_LOGIN,
    REFUSAL_KEY,
    REFUSAL_MODEL,
    REFUSAL_LIMIT,    /* the account's */
    REFUSAL_OVERLOAD, /* passing */
};

struct personality {
    const char *name; /* of the program */
    const struct option_row *options;
    const struct option_refusals *refusals;
    const char *store_variable; /* names the directory that its chats are kept in */
    bool reads_stdin_too;       /* words on the command line do not replace the prompt there */
    const struct voice *voice;
    /* The exit status of a command that is no run, or -1 for a run: then the words that are no
     * prompt have been taken out of `positional`. */
    int (*run_subcommand)(struct arguments *arguments);
    /* Looks at the arguments of a run, in the order of the original: the status, or 0. */
    int (*check)(const struct arguments *arguments, int argc, char **argv);
    /* Complains as the original does; the exit status. */
    int (*refuse)(enum refusal refusal);
    /* The chat of `resume` is not known: complains, the exit status; 0: begins an empty one. */
    int (*refuse_chat)(const char *id);
};

/* By the name of the program (without its directory and what follows an '@'); cursor-agent for
 * any other. Remembered for personality(). */
const struct personality *personality_choose(const char *program);
const struct personality *personality(void);

/* For personalities: whether one of the variables, which end with NULL, is set and not "bad".
 */
bool personality_has_key(const char *const *variables);
bool personality_is_uuid(const char *text);
bool personality_is_one_of(const char *value, const char *const *list); /* ended by NULL */

/* The key that a tool has in cursor's events, as another agent calls it; the key itself when
 * the table, which ends with NULL, has no row. */
struct tool_name {
    const char *kind, *name;
};
const char *personality_name_tool(const struct tool_name *names, const char *kind);

extern const struct personality personality_cursor;
extern const struct personality personality_claude;
extern const struct personality personality_codex;
extern const struct personality personality_gemini;
extern const struct personality personality_opencode;

#endif
