/*
 * commands.h - the chat commands: `!word arguments`, one table of them. The desk answers them
 * in Slack, `threadkeeper chat` answers those that need no daemon.
 *
 * To add one: a row in commands.c, its function in a bot/desk_NAME.c, declared in desk_parts.h.
 *
 * Owns:    nothing.
 * Threads: any for the table and the parsing; a command runs on the desk, or in the terminal.
 */
#ifndef BOT_COMMANDS_H
#define BOT_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "memory/memory.h"

struct app;

struct command_call {
    struct app *app; /* NULL in the terminal */
    struct memory *memory;
    const struct ledger_entry *entry; /* who, where, in which conversation */
    const char *arguments;            /* what stands after the word, trimmed, "" for nothing */
};

/* Does it and appends the answer, in Markdown; a failure is an answer too. */
typedef void (*command_fn)(const struct command_call *call, struct buf *out);

struct command {
    const char *word;
    const char *usage; /* what may follow the word, "" for nothing */
    const char *help;
    command_fn run;
    bool is_private;   /* outside direct messages the answer is shown to the asker alone */
    bool needs_daemon; /* not in the terminal */
};

/* The command that `line` (without its "!") begins with, whatever its case, and what follows
 * the word. NULL when it is none of ours. */
const struct command *commands_find(const char *line, const char **ret_arguments);

/*
 * A message as a command line "word arguments" without the "!", or NULL when it is no command.
 * Blanks of every kind count as such; marks around the line or the word (`code`, *bold*) and
 * the bot's own mention at the end go. Caller frees.
 */
char *commands_read(const char *plain_text, const char *bot_user_id);

/*
 * The next of the arguments: a word, or what stands in quotes - straight, typographic or code.
 * Moves *arguments behind it. NULL at the end; caller frees.
 */
char *commands_take_word(const char **arguments);

/* All that is left, trimmed, without quotes around it. Caller frees. */
char *commands_take_rest(const char **arguments);

/* The list of commands. */
void commands_append_help(struct buf *out, bool in_terminal);

/*
 * For answers: text of a person's between backticks, so that it shows as it is and can neither
 * format nor notify; one line, long ones cut.
 */
void commands_append_quoted(struct buf *out, const char *text);

#endif
