/*
 * excerpt.h - the part of a long text that answers a question best, for a budget that the whole
 * does not fit into: sentences and lines that stand together.
 *
 * Threads: any. Pure.
 */
#ifndef MEMORY_EXCERPT_H
#define MEMORY_EXCERPT_H

#include <stddef.h>

#include "memory/recall.h"

struct excerpt {
    size_t from; /* bytes into the text, at the beginning of a character */
    size_t len;  /* at most what was asked for; 0 when not even a word fits */
};

/* Without any word of the question in it, the beginning. `text` is valid UTF-8. */
struct excerpt excerpt_find(const char *text, const struct recall_question *question,
                            size_t max_bytes);

#endif
