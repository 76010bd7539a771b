/*
 * environment.h - the environment as the configuration sees it: ${NAME} in values, and secrets
 * that are taken out of the process's environment but stay readable here for a reload.
 *
 * Owns:    the names of variables that held a secret, and the values it took out. They belong
 *          to the process like the environment itself, so there is one set of them.
 * Threads: startup or loop, like loading.
 */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* The value, also of a variable taken out; NULL when it is not set. Borrowed. */
const char *environment_get(const char *name);

/*
 * Appends `text` with each ${NAME} replaced by its value; $${ stands for a plain ${. On a
 * variable that is not set -1 with ERR_TEMP (it may be set elsewhere), on something malformed
 * ERR_INPUT. With `is_secret` the names are remembered for environment_hide_secrets().
 */
int environment_expand(const char *text, bool is_secret, struct buf *out, struct err *err);

/* Appends `text` so that environment_expand() gives it back. */
void environment_escape(const char *text, struct buf *out);

/* Whether a configuration used this variable for a secret. */
bool environment_is_secret(const char *name);

/*
 * Overwrites the value of every variable that was used for a secret, and of every other one
 * that holds a Slack token, and unsets it. Startup only, before threads.
 */
void environment_hide_secrets(void);

/* The values that were taken out; `variable` is "". */
void environment_each_secret(void (*on_secret)(void *context, const char *variable,
                                               const char *value),
                             void *context);

#endif
