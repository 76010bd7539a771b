/*
 * forget.h - erasure, everywhere: RAM, store, summaries, fields and what was derived from the
 * erased turns (summaries are made anew, facts go), the ledger's text, answers kept for
 * repeated questions. What is erased leaves no bytes in the files.
 *
 * Owns:    nothing.
 * Threads: desk, a command; not the loop and not the journal.
 */
#ifndef MEMORY_FORGET_H
#define MEMORY_FORGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"

/* All that are given must hold; at least one of key, user, before and slack_ts is. */
struct memory_forget {
    const char *key;       /* one conversation */
    const char *user;      /* a person: what they said, in conversations that others share; the
                              whole of those in which nobody else spoke; preferences, profile */
    int64_t before_wall_s; /* what was said before */
    const char *team;      /* with channel and slack_ts: one message of Slack's and, when it was
                              answered alone, its answer */
    const char *channel;
    const char *slack_ts;
};

/* The receipt. */
struct memory_forgotten {
    int64_t conversations; /* erased whole */
    int64_t turns;
    int64_t summaries;
    int64_t fields;
    int64_t items;    /* preferences and facts */
    int64_t messages; /* of the ledger, whose text is gone */
    int64_t values;
    char **run_ids; /* runs whose directories hold what was erased; the caller removes them */
    size_t run_ids_count;
};
void memory_forgotten_deinit(struct memory_forgotten *forgotten); /* twice is fine */

int memory_forget(struct memory *memory, const struct memory_forget *what,
                  struct memory_forgotten *ret_forgotten, struct err *err);

/* "3 conversations, 41 turns, ..." - only what is not 0; "nothing" when all are. */
void memory_forgotten_print(const struct memory_forgotten *forgotten, struct buf *out);

#endif
