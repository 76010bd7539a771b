/*
 * option.h - the option table: each option once, with everything that is known about it.
 *
 * The loader, the example file, the masked listing and the comparison all walk this table, so
 * an option is added in one place: a row here and a member in struct config.
 *
 * Owns:    nothing; the tables are constant.
 * Threads: any.
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/value.h"

enum option_type {
    OPTION_TEXT,     /* char * */
    OPTION_LIST,     /* struct config_list */
    OPTION_BOOL,     /* bool */
    OPTION_NUMBER,   /* int64_t */
    OPTION_DURATION, /* int64_t, milliseconds */
    OPTION_SIZE,     /* int64_t, bytes */
    OPTION_CHOICE,   /* int, the index in `choices` */
};

struct option {
    const char *key;    /* with its sections: memory.context.max_messages */
    size_t offset;      /* of its member in struct config (or struct config_channel) */
    const char *preset; /* the default, as YAML; NULL: none, the example has it commented out */
    const char
        *example;     /* what the example file shows where that is not the default, or NULL */
    int64_t min, max; /* of NUMBER, DURATION, SIZE; of TEXT: the longest, in bytes */
    const char *const *choices; /* ended by NULL */
    value_check_fn check;       /* of TEXT, or of each item of a LIST; may be NULL */
    const char *accepted;       /* in words, for TEXT and LIST */
    const char *variable;       /* an environment variable that overrides it, or NULL */
    enum option_type type;
    bool is_secret;
    bool needs_restart; /* a reload alone does not bring it into force */
    const char *help;
};

struct option_section {
    const char *key;
    const char *help;
};

extern const struct option option_table[];
extern const size_t option_count;
/* The options of one entry of `channels:`; offsets in struct config_channel. */
extern const struct option option_channel_table[];
extern const size_t option_channel_count;
extern const struct option_section option_sections[];
extern const size_t option_sections_count;

const struct option *option_find(const struct option *table, size_t count, const char *key);
const struct option_section *option_find_section(const char *key);

/* The key in `table` (or, for the main table, the section) that `key` was probably meant to be.
 */
const char *option_find_nearest(const struct option *table, size_t count, const char *key);

#endif
