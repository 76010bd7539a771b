/*
 * patterns.h - finds any of many fixed texts in a stream of bytes: an Aho-Corasick automaton.
 *
 * A walk is one number. Each byte moves it on, in constant time on average whatever the texts
 * are, and afterwards it tells which text ends here and how much of what came last may still
 * become one. Memory: 36 bytes for each byte of the texts that no other
 * begins with, and a kilobyte where more than a dozen ways part.
 *
 * Owns:    copies of the texts, as its nodes; they are overwritten when it is freed.
 * Threads: one until patterns_seal(), then any: nothing changes any more.
 */
#ifndef BASE_PATTERNS_H
#define BASE_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERNS_MAX_BYTES ((size_t)4 << 20) /* of all texts together */

struct patterns;

struct patterns *patterns_new(void);
void patterns_free(struct patterns *patterns); /* NULL is fine */

/* False when there is no room for it any more (or it is empty): then it is not searched for. */
bool patterns_add(struct patterns *patterns, const void *bytes, size_t len);

/* Nothing may be added behind this, nothing walked before. */
void patterns_seal(struct patterns *patterns);

/* A walk begins with 0. */
uint32_t patterns_step(const struct patterns *patterns, uint32_t at, unsigned char byte);

/* The length of the longest text that ends here, 0 for none. */
size_t patterns_match(const struct patterns *patterns, uint32_t at);

/*
 * How many of the last bytes are the beginning of a longer text, and in *ret_shortest how long
 * the shortest of those is. 0 for none: then nothing that came can become part of a text.
 */
size_t patterns_pending(const struct patterns *patterns, uint32_t at, size_t *ret_shortest);

#endif
