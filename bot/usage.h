/*
 * usage.h - what one run used, and how that reads.
 *
 * Owns:    nothing.
 * Threads: any; pure functions.
 */
#ifndef BOT_USAGE_H
#define BOT_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define USAGE_MODEL_BYTES 64

struct usage {
    int64_t input_tokens; /* what was read from the cache is a part of it */
    int64_t output_tokens;
    int64_t cache_read_tokens; /* -1: the agent does not say */
    int64_t duration_ms;
    bool is_estimate; /* the agent reported none: prompt and answer, as memory counts tokens */
    bool is_kept;     /* no agent ran: an answer of before served again */
    char model[USAGE_MODEL_BYTES]; /* "" unknown */
};

int64_t usage_tokens(const struct usage *usage); /* what limits count: input and output */

/* One more run of the same turn; a zeroed `sum` becomes that run. */
void usage_add(struct usage *sum, const struct usage *run);

/* As a turn's metadata {"usage":{...}}; the caller frees. NULL when the model is no text. */
char *usage_print_json(const struct usage *usage);
/* False when `json` (NULL is fine) holds none. */
bool usage_parse_json(const char *json, struct usage *ret_usage);

/* "1,203 in (74 % cached), 87 out, 21 s, gpt-5", with "about" before an estimate. */
void usage_print(const struct usage *usage, struct buf *out);
/* "1,203 in (74 % cached), 87 out"; cache_read_tokens below 0 is left out. */
void usage_print_tokens(int64_t input_tokens, int64_t output_tokens, int64_t cache_read_tokens,
                        struct buf *out);
/* "1,234,567". */
void usage_print_number(int64_t number, struct buf *out);

#endif
