/*
 * erasure.h - what an erasure has found, gathered into commits: a batch of mutations, and what
 * RAM must let go once the batch is durable. The part of forget.c that knows one conversation.
 *
 * Owns:    the batch; borrows memory and receipt.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_ERASURE_H
#define MEMORY_ERASURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "memory/forget.h"
#include "memory/pick.h"
#include "memory/store.h"

struct erasure {
    struct memory *memory;
    struct memory_forgotten *receipt; /* of what is durable */
    struct memory_forgotten counted;  /* of what the next commit brings */
    struct store_mutation *mutations;
    size_t count;
    size_t capacity;
    struct names texts; /* what the mutations borrow */
    struct names keys;  /* conversations that RAM lets go after the commit */
    struct names people;
    struct names untaught; /* conversations that have taught a fact which goes, and stay */
    bool is_lent; /* a conversation that lends its turns was touched: copies may lie in RAM */
};

void erasure_deinit(struct erasure *erasure); /* safe on a zeroed struct, and twice */

void erasure_add(struct erasure *erasure, const struct store_mutation *mutation);

/* Commits what was gathered and lets it go from RAM. */
int erasure_flush(struct erasure *erasure, struct err *err);

enum erased { ERASED_NOTHING, ERASED_TURNS, ERASED_WHOLE };

/*
 * Erases what `pick` means in one conversation, with the next flush or this one. Is nothing
 * left, the conversation goes as a whole - but for single messages of Slack's, which take no
 * fields with them. `erased_ts` (NULL is fine) gets the Slack ts of what goes.
 */
int erasure_conversation(struct erasure *erasure, const char *key, const struct pick *pick,
                         struct names *erased_ts, enum erased *ret_erased, struct err *err);

/* True for a direct message's own conversation, from which threads under it begin. */
bool erasure_lends(const char *key);

#endif
