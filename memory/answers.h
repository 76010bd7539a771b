/*
 * answers.h - answers kept for the very same question, as values "cache:answer:USER:ID". An
 * answer belongs to the person whom it was given to, for erasure and because nobody else may
 * see it: who asks stands in the question anyway.
 *
 * The id is the SHA-256 of everything that makes the question. A shorter or faster hash would
 * do for equal questions, but people write half of what is hashed: with one whose collisions
 * can be made, a question could be prepared to get the answer of another.
 *
 * Owns:    nothing.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_ANSWERS_H
#define MEMORY_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"

#define ANSWER_ID_BYTES  65 /* hex and NUL */
#define ANSWER_MAX_BYTES ((size_t)256 * 1024)

void answers_make_id(const char *question, size_t len, char ret_id[ANSWER_ID_BYTES]);

/* 1 with the answer appended to `out` and when it was given, 0 there is none, -1. */
int memory_answer_find(struct memory *memory, const char *user, const char *id, struct buf *out,
                       int64_t *ret_at_wall_s, struct err *err);

/* ERR_INPUT when it is longer than ANSWER_MAX_BYTES. `conversation` is where it was given. */
int memory_answer_keep(struct memory *memory, const char *user, const char *id,
                       const char *conversation, const char *text, int64_t ttl_ms,
                       struct err *err);

/* Forgets those of a user, of a conversation, given before a time: all that are given must
 * hold (NULL, 0: not given). How many went, or -1. */
int64_t memory_answers_forget(struct memory *memory, const char *user, const char *conversation,
                              int64_t before_wall_s, struct err *err);

#endif
