/*
 * memory_args.h - what stands behind `threadkeeper memory VERB`: options and words.
 *
 *     show KEY --limit 20 --since 7d        --limit=20 is the same
 *     get -- --a-key-that-begins-so FIELD   behind -- everything is a word
 *
 * Owns:    nothing; texts are argv's.
 * Threads: startup.
 */
#ifndef BOT_MEMORY_ARGS_H
#define BOT_MEMORY_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The options that a verb takes, as bits. */
enum memory_option {
    MEMORY_OPTION_JSON = 1 << 0,
    MEMORY_OPTION_USER = 1 << 1,
    MEMORY_OPTION_PATTERN = 1 << 2,
    MEMORY_OPTION_LIMIT = 1 << 3,
    MEMORY_OPTION_AFTER = 1 << 4,
    MEMORY_OPTION_SINCE = 1 << 5,
    MEMORY_OPTION_UNTIL = 1 << 6,
    MEMORY_OPTION_SUMMARIES = 1 << 7,
    MEMORY_OPTION_CONVERSATION = 1 << 8,
    MEMORY_OPTION_BEFORE = 1 << 9,
    MEMORY_OPTION_YES = 1 << 10,
    MEMORY_OPTION_DRY_RUN = 1 << 11,
    MEMORY_OPTION_SKIP_BAD = 1 << 12,
    MEMORY_OPTION_BUDGET = 1 << 13,
    MEMORY_OPTION_TTL = 1 << 14,
    MEMORY_OPTION_DEFAULT = 1 << 15,
    MEMORY_OPTION_AUTHOR = 1 << 16,
    MEMORY_OPTION_METADATA = 1 << 17,
    MEMORY_OPTION_AT = 1 << 18,
    MEMORY_OPTION_TO_CONFIG = 1 << 19,
    MEMORY_OPTION_KEEP = 1 << 20,
};

/* What was given; a text that was not is NULL. */
struct memory_args {
    unsigned given; /* enum memory_option */
    const char *user;
    const char *pattern;
    const char *after;
    const char *conversation;
    const char *fallback; /* --default */
    const char *author;
    const char *metadata;
    const char *to_config;
    int64_t limit;
    int64_t keep;
    int64_t budget;
    int64_t ttl_ms; /* -1: never */
    int64_t since_wall_s;
    int64_t until_wall_s;
    int64_t before_wall_s;
    int64_t at_wall_s;
    size_t words_count;
    char **words; /* argv's own, put in front of the options */
};

/* Reorders argv. ERR_INPUT, in words for the person, when something is wrong. */
int memory_args_parse(int argc, char **argv, unsigned options, struct memory_args *ret_args,
                      struct err *err);

/*
 * A point in time: seconds since 1970 (1790000000, 1790000000.5), a date or a time in UTC or
 * with its offset (2026-11-20, 2026-11-20T12:00, 2026-11-20T12:00:00+02:00), or how long ago
 * (90s 15m 24h 30d).
 */
int memory_args_parse_time(const char *text, int64_t now_wall_s, int64_t *ret_wall_s,
                           struct err *err);

/* A duration (90s 15m 24h 30d), a bare number of seconds, or never: -1. False for others. */
bool memory_args_parse_ttl(const char *text, int64_t *ret_ms);

#endif
