/*
 * told.h - a fingerprint of what was said in a conversation: whether an agent that has followed
 * it in a chat of its own still knows what we know.
 *
 * Owns:    nothing.
 * Threads: worker; the one who holds the pin.
 */
#ifndef MEMORY_TOLD_H
#define MEMORY_TOLD_H

#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"

#define MEMORY_TOLD_BYTES 65 /* hex and NUL */

/*
 * Of the turns in the window up to and including seq `until_seq` (INT64_MAX: all): their seq,
 * role, author and text. Another one as soon as a turn is erased, edited or no longer injected,
 * or comes to stand between them. Returns the seq of the last turn that counted, 0 for none.
 */
int64_t memory_told_print(const struct conversation *conversation, int64_t until_seq,
                          char ret_print[MEMORY_TOLD_BYTES]);

/* The same for any text. */
void memory_told_print_text(const char *text, size_t len, char ret_print[MEMORY_TOLD_BYTES]);

#endif
