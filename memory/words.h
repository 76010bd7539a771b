/*
 * words.h - the words of a text as recall compares them: case folded, stemmed (English, by
 * Snowball), hashed. What is written together is found whole and in parts: `auth_token.c` also
 * by "auth" and "token", `getUserById` also by "user". Scripts without blanks go in pairs of
 * characters.
 *
 * Owns:    per thread a stemmer and a bounded cache from word to stem, freed with the thread.
 * Threads: any.
 */
#ifndef MEMORY_WORDS_H
#define MEMORY_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum {
    WORD_STOP = 1,         /* says nothing of the subject: "the", "did", "what" */
    WORD_TIME = 2,         /* says when: "yesterday", "week", "June" */
    WORD_FIRST_PERSON = 4, /* "I", "my", "we" */
    WORD_WHOLE = 8,        /* repeats the parts that came just before it */
};

struct word {
    uint64_t stem;  /* hash, never 0 */
    uint64_t stump; /* hash of the stem's first letters, for near relatives; 0: too short */
    unsigned flags;
};

/* Calls `visit` with each word in order. Bytes that are no UTF-8 separate words. */
typedef void (*words_visit_fn)(void *context, const struct word *word);
void words_visit(const char *text, size_t len, words_visit_fn visit, void *context);

#endif
