/*
 * random.h - random numbers from the kernel: identifiers, delimiters, jitter.
 *
 * Threads: any.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Uniform in [0, bound); 0 when bound is 0. */
uint64_t random_below(uint64_t bound);

/* `bytes` random bytes as lower-case hex: 2 * bytes characters and a NUL. */
void random_hex(char *out, size_t bytes);

#define RANDOM_UUID_BYTES 37

/* A version 4 UUID into `out` (RANDOM_UUID_BYTES). */
void random_uuid(char *out);

/* Full jitter: uniform in [0, min(cap, base * 2^attempt)], never below 1. All in milliseconds.
 */
int64_t random_backoff_ms(int64_t base_ms, int64_t cap_ms, unsigned attempt);

#endif
