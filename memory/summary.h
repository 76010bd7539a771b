/*
 * summary.h - older turns told shorter. A summary has a version and says which turns it covers;
 * the turns themselves stay. Made off the turn's path, by an agent or by choosing sentences
 * (extract); what must not be lost - paths, symbols, error codes, URLs, numbers, decisions - is
 * pinned beside the text when the text dropped it.
 *
 * Owns:    nothing.
 * Threads: worker, summarizer.
 */
#ifndef MEMORY_SUMMARY_H
#define MEMORY_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"

/* What there is to summarize now. */
struct summary_work {
    int64_t first_seq; /* of the turns that the new summary will cover */
    int64_t last_seq;
    int64_t version;  /* the new one's */
    struct buf turns; /* the turns that no summary covers yet, as in a context */
    char *previous;   /* the summary in force, NULL for none */
    size_t turns_count;
};
void summary_work_deinit(struct summary_work *work); /* safe on a zeroed struct, and twice */

/*
 * True, with *ret_work, when at least `after` turns older than the newest `verbatim` are not
 * covered by a summary yet. Holder of the pin.
 */
bool memory_summary_due(struct memory *memory, const struct conversation *conversation,
                        int64_t verbatim, int64_t after, struct summary_work *ret_work);

/* The work done without any model: the sentences that say most, in order. Pure. */
void summary_extract(const struct summary_work *work, size_t max_bytes, struct buf *out);

/* What must be kept of `turns`, one a line, each once, the likeliest to be asked for first. */
void summary_must_keep(const char *turns, struct buf *out);

/* What the agent is asked. */
void summary_prompt(const struct summary_work *work, struct buf *out);

/*
 * Stores a summary made from `work`: empty, longer than what it replaces or made of nothing
 * that stands in the turns is refused (ERR_INPUT) and changes nothing. Pins what it dropped.
 * `source` is "agent" or "extract". Waits for the commit. Holder of the pin.
 */
int memory_set_summary(struct memory *memory, struct conversation *conversation,
                       const struct summary_work *work, const char *text, const char *source,
                       struct err *err);

#endif
