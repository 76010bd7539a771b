/*
 * cmd_memory.h - the verbs of `threadkeeper memory`, and what they share: the open memory, the
 * way to stdout, the progress bar.
 *
 * Verbs that only look open the store for reading and write nothing. Verbs that write open it
 * as a visitor beside the daemon, if there is one, and tell it afterwards to read again what
 * it has in RAM.
 *
 * Owns:    nothing.
 * Threads: startup.
 */
#ifndef BOT_CMD_MEMORY_H
#define BOT_CMD_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "bot/cli.h"
#include "bot/memory_args.h"
#include "config/config.h"
#include "memory/archive.h"
#include "memory/memory.h"

struct memory_call {
    const struct config *config;
    struct memory *memory;
    struct memory_args args;
    const char *verb;
    bool is_terminal; /* stdout is one: texts are shown without control characters */
    int out_errno;    /* why stdout takes nothing more, 0: it does */
};

/* A verb returns an enum cli_status; what failed is said by memory_say_failed(). */
typedef int (*memory_verb_fn)(struct memory_call *call);

int memory_list_verb(struct memory_call *call);
int memory_show_verb(struct memory_call *call);
int memory_search_verb(struct memory_call *call);
int memory_stats_verb(struct memory_call *call);
int memory_context_verb(struct memory_call *call);
int memory_forget_verb(struct memory_call *call);
int memory_sweep_verb(struct memory_call *call);
int memory_export_verb(struct memory_call *call);
int memory_import_verb(struct memory_call *call);
int memory_backup_verb(struct memory_call *call);
int memory_copy_verb(struct memory_call *call);

int memory_get_verb(struct memory_call *call);
int memory_set_verb(struct memory_call *call);
int memory_update_verb(struct memory_call *call);
int memory_contains_verb(struct memory_call *call);
int memory_keys_verb(struct memory_call *call);
int memory_items_verb(struct memory_call *call);
int memory_delete_verb(struct memory_call *call);
int memory_append_verb(struct memory_call *call);
int memory_extend_verb(struct memory_call *call);
int memory_pop_verb(struct memory_call *call);
int memory_insert_verb(struct memory_call *call);
int memory_remove_verb(struct memory_call *call);
int memory_get_list_verb(struct memory_call *call);
int memory_list_length_verb(struct memory_call *call);
int memory_add_message_verb(struct memory_call *call);
int memory_messages_verb(struct memory_call *call);
int memory_count_verb(struct memory_call *call);
int memory_ttl_verb(struct memory_call *call);
int memory_clear_verb(struct memory_call *call);
int memory_size_verb(struct memory_call *call);

/* ---- out ----------------------------------------------------------------------------------
 */

/* "threadkeeper memory VERB: message" on stderr; CLI_FAILED. */
int memory_say_failed(const struct memory_call *call, const struct err *err);

/* Text on its way to stdout; control characters but newline and tab go when a person reads it.
 */
void memory_put(struct memory_call *call, const char *text);
void memory_putf(struct memory_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The value (adopted) as JSON on one line, without a newline. */
void memory_put_json(struct memory_call *call, json_t *value);

/* False when stdout takes nothing more (a closed pipe, a full disk): stop. */
bool memory_out_is_open(const struct memory_call *call);

/* Sends what is left on its way; CLI_OK, or CLI_FAILED when the disk is full. Who closes the
 * pipe (`| head`) has what they wanted: CLI_OK. */
int memory_out_end(struct memory_call *call);

/* ---- in -----------------------------------------------------------------------------------
 */

/* The words of the call after its name, by number; NULL beyond the last. */
const char *memory_word(const struct memory_call *call, size_t index);

/* A word, or with "-" all of stdin (without its last newline); NULL and `err` when it cannot be
 * read. `ret_text` is the caller's, zeroed. */
const char *memory_word_or_stdin(const struct memory_call *call, size_t index,
                                 struct buf *ret_text, struct err *err);

/* Lines of a file or of stdin, each bounded. */
struct memory_lines {
    int fd;
    const char *name;
    struct buf line;
    int64_t number; /* of the line, from 1 */
    size_t block_at;
    size_t block_len;
    char block[65536]; /* read, and not yet in a line from block_at on */
};
/* "-" or NULL is stdin. Close with memory_lines_close(), safe on a zeroed struct. */
int memory_lines_open(struct memory_lines *lines, const char *path, struct err *err);
void memory_lines_close(struct memory_lines *lines);
/* 1 a line (in lines->line, without its newline), 0 the end, -1. */
int memory_lines_next(struct memory_lines *lines, struct err *err);

/* ---- progress -----------------------------------------------------------------------------
 */

/* A bar on stderr, where that is a terminal, from the second second on. */
struct memory_progress {
    const char *what;
    int64_t begun_ms;
    int64_t shown_ms; /* 0: not yet */
    bool is_wanted;
};
void memory_progress_begin(struct memory_progress *progress, const char *what);
/* For memory_search() and others: `context` is the struct. */
void memory_progress_show(void *context, int64_t done, int64_t total);
void memory_progress_end(struct memory_progress *progress); /* wipes it */

/* ---- shared -------------------------------------------------------------------------------
 */

const char *memory_role_name(enum memory_role role);
bool memory_role_parse(const char *name, enum memory_role *ret_role);

/* A string; what is no UTF-8 in it is replaced. New. */
json_t *memory_json_text(const char *text);

/* {"key","turns","bytes",...}; new. */
json_t *memory_figures_json(const struct store_conversation *conversation);

#endif
