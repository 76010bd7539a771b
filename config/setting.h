/*
 * setting.h - the value of one option: set it from text, print it, free it.
 *
 * Owns:    the strings it stores in the struct; setting_free() gives them back.
 * Threads: any, one at a time per struct.
 */
#ifndef CONFIG_SETTING_H
#define CONFIG_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/option.h"

/*
 * Sets the option's member in the struct at `base` (struct config or struct config_channel). On
 * bad text -1: the member is as before, and `wrong` holds what is wrong as the end of a
 * sentence
 * ("is \"5x\", which is not a duration"). Not for OPTION_LIST.
 */
int setting_set(const struct option *option, void *base, const char *text, struct buf *wrong);

/* For OPTION_LIST: checks one item, and stores items that were checked (copied). */
int setting_check_item(const struct option *option, const char *text, struct buf *wrong);
void setting_set_list(const struct option *option, void *base, const char *const *items,
                      size_t count);

/* "a duration from 1s to 10m such as 30s" */
void setting_print_accepted(const struct option *option, struct buf *out);

/* The value as YAML on one line; a secret as VALUE_MASK. */
void setting_print(const struct option *option, const void *base, struct buf *out);

/* Whether an optional member (text that may be NULL, a list) holds something. */
bool setting_is_set(const struct option *option, const void *base);

/* What an OPTION_TEXT holds; NULL when it is not set. Borrowed. */
const char *setting_text(const struct option *option, const void *base);

bool setting_equals(const struct option *option, const void *base, const void *other);

void setting_free(const struct option *option, void *base);

#endif
