/*
 * summary_check.h - is this text a summary of those turns, and what did it lose?
 *
 * Pure.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef MEMORY_SUMMARY_CHECK_H
#define MEMORY_SUMMARY_CHECK_H

#include "base/buf.h"
#include "base/err.h"
#include "memory/summary.h"

/*
 * Appends the text as it may be stored: clean UTF-8, without what agents put around an answer,
 * at most SUMMARY_TEXT_MAX_BYTES. ERR_INPUT says why it is no summary.
 */
int summary_check(const struct summary_work *work, const char *text, struct buf *out,
                  struct err *err);

/* What must be kept of the turns and of what was pinned before, and is not in `text`, one a
 * line; as much as `out` takes. */
void summary_pin(const struct summary_work *work, const char *text, struct buf *out);

#endif
