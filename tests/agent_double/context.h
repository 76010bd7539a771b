/*
 * context.h - the JSON in a prompt, read strictly: what agent/prompt.h does not say is a fault.
 *
 * Owns:    its JSON; texts are borrowed from it.
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_CONTEXT_H
#define DOUBLE_CONTEXT_H

#include <jansson.h>
#include <stdbool.h>

struct context {
    json_t *root;      /* NULL: the prompt has none */
    const char *fault; /* what is wrong with it; NULL: nothing */
};

/* The delimiter that the prompt's own first line announces, "" for none, to be freed: a marker
 * without it is somebody's text. */
char *context_key(const char *prompt);

void context_read(const char *prompt, struct context *ret_context);
void context_deinit(struct context *context);

/* "person", "summary": its text; NULL when not there. */
const char *context_text(const struct context *context, const char *part);

/* Each turn in order. */
typedef void (*context_turn_fn)(void *opaque, const char *from, const char *text);
void context_visit_turns(const struct context *context, context_turn_fn visit, void *opaque);

#endif
