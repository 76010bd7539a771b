/*
 * guard.h - the leak guard: secrets that are known by value (bot/guard_values.h) and what looks
 * like one (base/secrets.h) become "[secret removed]" in whatever goes to people, and in what
 * people say before it is kept or passed on.
 *
 * What is masked depends on the text alone, never on the pieces in which it comes: an answer
 * that is given again from its start, after a restart, is masked the same way. A stream keeps
 * back only the end of a text that may still become part of a secret; so the last letters of
 * an agent that falls silent within a word may wait until it goes on or ends.
 *
 * A value once known stays masked until the process ends, also when a reload no longer names
 * it: it may be in what an agent has read.
 *
 * Owns:    the values, as an automaton that streams share.
 * Threads: any, but guard_new() and guard_reload() on startup and loop; a stream or scanner
 *          belongs to one thread at a time.
 */
#ifndef BOT_GUARD_H
#define BOT_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"
#include "config/config.h"

#define GUARD_MARK      "[secret removed]"
#define GUARD_KINDS_MAX 4

struct guard;

/* -1: a file that should name secrets cannot be read (ERR_INPUT, ERR_SYSTEM); say so and do not
 * start. */
int guard_new(const struct config *config, struct metrics *metrics, struct guard **ret_guard,
              struct err *err);
void guard_free(struct guard *guard); /* NULL is fine; every stream was freed before */

/* Takes what `config` names as well. -1 as guard_new(): then all is as before. Streams that
 * were begun go on with what they began with. */
int guard_reload(struct guard *guard, const struct config *config, struct err *err);

/* What was masked. */
struct guard_tally {
    unsigned count;
    const char *kinds[GUARD_KINDS_MAX]; /* "a Slack token"; constant, each once, NULL behind */
};
void guard_print_kinds(const struct guard_tally *tally, struct buf *out); /* "x, y and z" */

/* What the author of a message is told whose secrets were masked. */
void guard_print_notice(const struct guard_tally *tally, struct buf *out);

enum guard_direction { GUARD_OUTGOING, GUARD_INBOUND };

/* A whole text, masked; the caller frees it. Counts what was masked; `ret_tally` may be NULL.
 * A NULL guard copies. */
char *guard_mask(struct guard *guard, enum guard_direction direction, const char *text,
                 struct guard_tally *ret_tally);

/* ---- a text that comes in pieces, to people -----------------------------------------------
 */

struct guard_stream;
struct guard_stream *guard_stream_new(struct guard *guard);
void guard_stream_free(struct guard_stream *stream); /* NULL is fine */

/* Appends to `out` what may be shown by now. */
void guard_stream_append(struct guard_stream *stream, const char *text, size_t len,
                         struct buf *out);
/* There is no more: appends the rest. Half a secret or more at the very end is masked, too. */
void guard_stream_end(struct guard_stream *stream, struct buf *out);

/* Whether something is kept back. */
bool guard_stream_holds(const struct guard_stream *stream);
const struct guard_tally *guard_stream_tally(const struct guard_stream *stream);

/* ---- a file that would be sent ------------------------------------------------------------
 */

/*
 * Looks for secrets in bytes of any kind: those known by value and those with a shape of their
 * own, not what only stands where a password would (a test's `password = "abc12345"`).
 */
struct guard_scanner;
struct guard_scanner *guard_scanner_new(struct guard *guard);
void guard_scanner_free(struct guard_scanner *scanner); /* NULL is fine */
/* What was found so far, NULL for nothing. Constant. */
const char *guard_scanner_feed(struct guard_scanner *scanner, const void *bytes, size_t len);
const char *guard_scanner_end(struct guard_scanner *scanner);

/* All of an open file from its offset on. *ret_kind is NULL when it holds none. ERR_SYSTEM. */
int guard_scan_file(struct guard *guard, int fd, const char **ret_kind, struct err *err);

#endif
