/*
 * prompt_data.h - the part of a prompt that is data, as one line of JSON; see prompt.h.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef AGENT_PROMPT_DATA_H
#define AGENT_PROMPT_DATA_H

#include "agent/prompt.h"

/* All items and files together, a turn, and what stands in for many turns; a longer text is cut
 * at the end of a character, of too many turns the oldest go. */
#define PROMPT_DATA_MAX_BYTES ((size_t)512 * 1024)
#define PROMPT_TURN_MAX_BYTES ((size_t)64 * 1024)
#define PROMPT_FILES_MAX      100

/* Appends {"untrusted":true,"parts":[...]} and a newline; nothing when there are no parts. */
void prompt_data_print(const struct agent_prompt *prompt, struct buf *out);

#endif
