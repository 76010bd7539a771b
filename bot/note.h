/*
 * note.h - what the ledger keeps beside a message for the turn: the `attributes` JSON.
 *
 * Owns:    its strings, until note_deinit().
 * Threads: any.
 */
#ifndef BOT_NOTE_H
#define BOT_NOTE_H

#include <stdbool.h>

struct note {
    char *parent;       /* key of the conversation that this one may start from, "" for none */
    char *parent_until; /* ... and up to which ts */
    char *team;         /* of the recipient */
    bool is_direct;
    bool has_files;
};

void note_deinit(struct note *note); /* safe on a zeroed struct, and twice */

/* As JSON text; the caller frees it. */
char *note_print(const struct note *note);

/* From JSON text; what is missing or unreadable is "" and false. */
void note_parse(const char *json, struct note *ret_note);

#endif
