/*
 * record.h - turns in the bytes of an "unsaved" row, one after the other:
 *
 *   | 24 bits length, 8 bits role | 32 bits seconds after base | text \0 author \0 slack_ts \0
 *     [metadata \0, when the role has its top bit set]
 *
 * in the machine's byte order: a database does not travel. Fixed, for old rows must be read for
 * ever; RAM packs turns otherwise (pack.h).
 *
 * Owns:    nothing.
 * Threads: any; pure.
 */
#ifndef MEMORY_RECORD_H
#define MEMORY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "memory/memory.h"

#define RECORD_TURN_MIN_BYTES 11 /* a head and three empty strings */
#define RECORD_TEXT_MAX_BYTES ((size_t)0xffffff)

/* `base_wall_s` is of the row: not later than any of its turns. ERR_INPUT: longer than a record
 * can say. */
int record_append(struct buf *bytes, int64_t base_wall_s, const struct memory_turn *turn,
                  struct err *err);

/*
 * Reads the turn at *offset (0 is the first) and moves on; false at the end, or when the rest
 * is no turn: the bytes may be damaged. The strings are borrowed from `bytes`; seq is 0,
 * metadata
 * "" when there is none.
 */
bool record_next(const char *bytes, size_t len, int64_t base_wall_s, size_t *offset,
                 struct memory_turn *ret_turn);

#endif
