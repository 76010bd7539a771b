/*
 * preference.h - which preferences there are, what they may be and how the agent is told.
 *
 * Owns:    nothing.
 * Threads: any; pure functions, but for a look at the system's time zones.
 */
#ifndef MEMORY_PREFERENCE_H
#define MEMORY_PREFERENCE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Those that have a value even when nobody set one, by name. */
struct preference_default {
    const char *name;
    const char *value; /* JSON */
};
const struct preference_default *preference_defaults(size_t *ret_count);

/* The name in its one spelling (lower case, "-" and " " are "_"), or ERR_INPUT. Caller frees.
 */
int preference_check_name(const char *name, char **ret_name, struct err *err);

/* The value as JSON, in its one spelling where the preference (a checked name) is known; or
 * ERR_INPUT, which says what is accepted. Caller frees. */
int preference_check_value(const char *name, const char *value, char **ret_json,
                           struct err *err);

/* What the agent should know or do, as a clause ("answer in German"); nothing for what is none
 * of its business (notifications, theme) and for null. */
void preference_append_wish(struct buf *out, const char *name, const char *json);

#endif
