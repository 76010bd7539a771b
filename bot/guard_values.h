/*
 * guard_values.h - the secrets that are known by value: those of the configuration, of the
 * agent's environment, of the key of the memory, and of the files in guard.secret_files.
 *
 * Owns:    the values; they are overwritten when it is deinited.
 * Threads: startup or loop.
 */
#ifndef BOT_GUARD_VALUES_H
#define BOT_GUARD_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "config/config.h"

#define GUARD_VALUE_MIN_BYTES  8 /* shorter ones would be found in any text */
#define GUARD_VALUES_MAX_BYTES ((size_t)64 << 10)
#define GUARD_FILE_MAX_BYTES   ((size_t)1 << 20)

struct guard_value {
    char *bytes; /* with a NUL behind them */
    size_t len;
};

struct guard_values {
    struct guard_value *items;
    size_t count;
    size_t capacity;
    size_t bytes;
};

void guard_values_deinit(struct guard_values *values); /* safe on a zeroed struct */

/* Copies it, unless it is there already. ERR_INPUT when all of them together would be more than
 * GUARD_VALUES_MAX_BYTES. */
int guard_values_add(struct guard_values *values, const char *bytes, size_t len,
                     struct err *err);

/*
 * One secret a line, or NAME=value, or export NAME="value"; a line that begins with # is none.
 * A key block (-----BEGIN to -----END) is one secret, and each of its long lines as well.
 * Shorter ones than GUARD_VALUE_MIN_BYTES are left out, which the log says without showing
 * them. ERR_INPUT or ERR_SYSTEM names the file.
 */
int guard_values_read_file(struct guard_values *values, const char *path, struct err *err);

/* All that the configuration names. -1 with ERR_INPUT or ERR_SYSTEM: some file cannot be read.
 */
int guard_values_read_config(struct guard_values *values, const struct config *config,
                             struct err *err);

#endif
