/*
 * emit.h - prints a turn as the personality does: what an act says goes through its voice.
 *
 * Owns:    the text of the turn so far; the names of tools and their JSON are cursor's.
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_EMIT_H
#define DOUBLE_EMIT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/random.h"
#include "tests/agent_double/arguments.h"

#define EMIT_ID_BYTES 80

/* The turn so far, for voices. */
struct emit_turn {
    const struct arguments *arguments;
    const char *prompt;
    char session_id[EMIT_ID_BYTES]; /* of the chat */
    char request_id[RANDOM_UUID_BYTES];
    struct buf segment; /* since the last flush */
    struct buf whole;   /* all segments, joined without a separator */
    int64_t started_ms;
    int model_calls;
};

/* How a personality says things. Texts are clean UTF-8; a NULL member says nothing. */
struct voice {
    void (*new_session_id)(char *id, size_t size); /* NULL: a UUID */
    void (*init)(const struct emit_turn *turn);
    void (*prompt)(const struct emit_turn *turn, const char *text);
    void (*thinking)(const struct emit_turn *turn, const char *text);
    void (*delta)(const struct emit_turn *turn, const char *text);
    void (*segment)(const struct emit_turn *turn, const char *text, bool is_before_tool);
    /* result NULL: it starts. Both are borrowed. */
    void (*tool)(const struct emit_turn *turn, const char *id, const char *kind,
                 json_t *arguments, json_t *result);
    void (*connection)(const struct emit_turn *turn, const char *type, const char *subtype,
                       int attempt);
    void (*result)(const struct emit_turn *turn, bool is_error, const char *text);
};

/* For voices: prints one event and frees it. */
void emit_line(json_t *event);

/* The id of the chat that the turn belongs to. */
const char *emit_session_id(void);

/* Before anything else; once more when the prompt is known. */
void emit_begin(const struct arguments *arguments, const char *prompt);

void emit_init(void);
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
