/*
 * pack.h - turns in one packed buffer, a conversation's only allocation beside its head:
 *
 *   | author \0 author \0 ... | turn | turn | ...
 *
 *   turn: | role and what follows | text length | seq - base | time - base | tokens |
 *         [place of the author] [Slack ts as microseconds from the time, or its text \0]
 *         text \0
 *
 * numbers with seven bits a byte, so that a turn takes a dozen bytes beside its text; grown to
 * the next multiple of 16 bytes, as malloc does, and not doubled: a million small conversations
 * cost little more than their text.
 *
 * Owns:    the buffer.
 * Threads: one at a time.
 */
#ifndef MEMORY_PACK_H
#define MEMORY_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/memory.h"

#define PACK_TEXT_MAX_BYTES ((size_t)0xffffff)
#define PACK_TS_BYTES       32

struct pack {
    char *bytes;
    int64_t base_wall_s; /* of the first turn that was ever appended */
    int64_t base_seq;
    uint32_t len;
    uint32_t capacity;
    uint32_t authors_len; /* the first so many bytes are the names */
    uint32_t count;
};

void pack_deinit(struct pack *pack); /* safe on a zeroed struct, and twice */

/*
 * Turns come in ascending order of seq; tokens are estimated here, metadata is not kept.
 * ERR_INPUT when a turn of this size, or one more of it, has no room, or its seq is lower than
 * the first one's.
 */
int pack_append(struct pack *pack, const struct memory_turn *turn, struct err *err);

/* Room for `bytes` more; the rest of it is given back by pack_fit(). For many appends in a
 * row. */
void pack_reserve(struct pack *pack, size_t bytes);
void pack_fit(struct pack *pack);

/* Forgets the oldest `count` turns (at most all). */
void pack_drop(struct pack *pack, size_t count);

/*
 * Reads the turn at *offset (0 is the first) and moves on; false at the end. The strings are
 * borrowed until the pack changes; slack_ts is NULL.
 */
bool pack_next(const struct pack *pack, size_t *offset, struct memory_turn *ret_turn);

/* The same with slack_ts, which lives in `ts` or in the pack. */
bool pack_next_with_ts(const struct pack *pack, size_t *offset, struct memory_turn *ret_turn,
                       char ts[PACK_TS_BYTES]);

#endif
