/*
 * note.h - what the ledger keeps beside a message for the turn: the `attributes` JSON.
 *
 * Owns:    its strings and files, until note_deinit().
 * Threads: any.
 */
#ifndef BOT_NOTE_H
#define BOT_NOTE_H

#include <stdbool.h>

#include "slack/files.h"

struct note {
    char *parent;       /* key of the conversation that this one may start from, "" for none */
    char *parent_until; /* ... and up to which ts */
    char *team;         /* of the recipient */
    bool is_direct;
    bool is_mention; /* came as app_mention, which need not name its files */
    struct slack_files files;
};

void note_deinit(struct note *note); /* safe on a zeroed struct, and twice */

/* As JSON text; the caller frees it. */
char *note_print(const struct note *note);

/* From JSON text; what is missing or unreadable is "", false and no files. */
void note_parse(const char *json, struct note *ret_note);

#endif
