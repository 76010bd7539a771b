/*
 * emit.h - prints a turn as cursor-agent does, in each of its output formats: with partial
 * output every segment as deltas and once more whole, without it whole only.
 *
 * Owns:    the text of the turn so far.
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_EMIT_H
#define DOUBLE_EMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/agent_double/arguments.h"

/* Before anything else. The model is shown by its display name. */
void emit_begin(const struct arguments *arguments, const char *prompt);

void emit_init(void);   /* system/init */
void emit_prompt(void); /* the echo of the user's message */
void emit_thinking(const char *text);
void emit_delta(const char *text);
void emit_flush_before_tool(void);
void emit_flush_as(const char *text,
                   bool is_before_tool); /* a flush that says something else */
void emit_tool(const char *call_id, const char *kind, const char *arguments_json,
               const char *result_json); /* result NULL: started */
void emit_connection(const char *type, const char *subtype, int attempt);

/* The last flush and the result (or the text or JSON of the other formats). */
void emit_result(void);
void emit_result_with(bool is_error, const char *result_text); /* NULL: the turn's text */

/* The usual beginning: init, echo, thinking. */
void emit_opening(void);

/* Text as deltas, a word each, with a pause between. */
void emit_words(const char *text, int pause_ms);

void emit_raw(const void *bytes, size_t len);
void emit_raw_text(const char *text);
void emit_pause(int pause_ms);

#endif
