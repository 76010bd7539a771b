/*
 * pack.h - turns in one packed buffer, a conversation's only allocation beside its head:
 *
 *   | 24 bits length, 8 bits role | 32 bits seconds after base | text \0 author \0 slack_ts \0
 * | ...
 *
 * unaligned, grown to the next multiple of 64 bytes and not doubled: a million small
 * conversations cost little more than their text.
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
#define PACK_TURN_MIN_BYTES 11 /* a head and three empty strings */

struct pack {
    char *bytes;
    uint32_t len;
    uint32_t capacity;
    uint32_t count;
    int64_t base_wall_s; /* of the first turn that was ever appended */
};

void pack_deinit(struct pack *pack); /* safe on a zeroed struct, and twice */

/* ERR_INPUT when a turn of this size, or one more of it, has no room. */
int pack_append(struct pack *pack, const struct memory_turn *turn, struct err *err);

/* Forgets the oldest `count` turns (at most all). */
void pack_drop(struct pack *pack, size_t count);

/*
 * Reads the turn at *offset (0 is the first) and moves on; false at the end or when the rest is
 * no turn. The strings are borrowed until the pack changes; seq is 0, tokens are estimated.
 */
bool pack_next(const struct pack *pack, size_t *offset, struct memory_turn *ret_turn);

#endif
