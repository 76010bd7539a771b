/*
 * utf8.h - outside bytes made into clean UTF-8. Slack, jansson and SQLite all refuse or garble
 * anything else, so text is scrubbed where it enters.
 *
 * Threads: any.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

bool utf8_is_valid(const char *bytes, size_t len);

/*
 * Appends `len` bytes to `out` as valid UTF-8: each bad sequence becomes U+FFFD, control
 * characters other than newline and tab (and CR of a CRLF, which vanishes) are dropped.
 */
void utf8_append_clean(struct buf *out, const char *bytes, size_t len);

/* utf8_append_clean into a new string that the caller frees, cut to at most `max_bytes` bytes.
 */
char *utf8_clean_copy(const char *bytes, size_t len, size_t max_bytes);

/* The longest length <= `limit` at which valid text can be cut without splitting a character.
 */
size_t utf8_cut(const char *text, size_t len, size_t limit);

/* How many trailing bytes of `bytes` begin a character that is not complete yet: 0 to 3. */
size_t utf8_incomplete_tail(const char *bytes, size_t len);

/* Number of characters (code points) in valid UTF-8. */
size_t utf8_length(const char *text, size_t len);

#endif
