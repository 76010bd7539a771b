/*
 * guard_forms.h - the forms in which a secret's value may appear: as it is, escaped for JSON,
 * HTML or a URL, in hexadecimal, and within base64 wherever it begins there.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef BOT_GUARD_FORMS_H
#define BOT_GUARD_FORMS_H

#include <stddef.h>

#include "base/patterns.h"

/* Adds each form of the value that differs from the others. */
void guard_forms_add(struct patterns *patterns, const char *value, size_t len);

#endif
