/*
 * memory_line.h - a turn as a line of an export:
 *
 *     {"key":"U1:C1:1.0","role":"user","author":"U1","text":"hello","at":1790000000}
 *
 * and, where there is one, "slack_ts". Whatever else an imported line holds is the turn's
 * metadata, and stands in the line again when it is exported; what would take the place of one
 * of ours stands in "metadata". A time with a fraction is kept there as well.
 *
 * Owns:    a line that was read owns its strings.
 * Threads: any.
 */
#ifndef BOT_MEMORY_LINE_H
#define BOT_MEMORY_LINE_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "memory/memory.h"

struct memory_line {
    json_t *object;
    const char *key;
    char *metadata;
    struct memory_turn turn; /* its strings are the object's */
};
void memory_line_deinit(struct memory_line *line); /* safe on a zeroed struct, and twice */

/* ERR_INPUT says what is wrong with it. */
int memory_line_read(const char *text, size_t len, struct memory_line *ret_line,
                     struct err *err);

/* The other way; new. */
json_t *memory_turn_json(const char *key, const struct memory_turn *turn);

#endif
