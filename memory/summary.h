/*
 * summary.h - older turns told shorter. A summary has a version and says which turns it covers;
 * the turns themselves stay. Made off the turn's path, by an agent or by choosing sentences
 * (extract); what must not be lost - paths, symbols, error codes, URLs, numbers, decisions - is
 * pinned beside the text when the text dropped it.
 *
 *   memory_summary_due -> summary_prompt and an agent, or summary_extract -> memory_set_summary
 *
 * The conversation need not stay pinned in between: what was forgotten, begun afresh or
 * summarized by somebody else meanwhile is noticed at the end, and then nothing is stored.
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

#define SUMMARY_TEXT_MAX_BYTES   ((size_t)1600) /* what is longer is cut at a sentence */
#define SUMMARY_PINNED_MAX_BYTES ((size_t)800)
#define SUMMARY_MAX_WORDS        220                 /* that an agent is asked for */
#define SUMMARY_TURNS_MAX_BYTES  ((size_t)48 * 1024) /* that are told shorter in one go */

/* What there is to summarize now. */
struct summary_work {
    int64_t first_seq; /* of the turns that the new summary will cover: the window's first */
    int64_t from_seq;  /* of those that no summary covers yet */
    int64_t last_seq;
    int64_t version;       /* the new one's */
    struct buf turns;      /* the turns that no summary covers yet, as in a context */
    char *previous;        /* the summary in force, NULL for none */
    char *previous_pinned; /* NULL or "" for none */
    size_t turns_count;
    uint64_t fingerprint; /* of the turns: whether they are still the same */
};
void summary_work_deinit(struct summary_work *work); /* safe on a zeroed struct, and twice */

/*
 * True, with *ret_work, when at least `after` turns older than the newest `verbatim` are not
 * covered by a summary yet. More than SUMMARY_TURNS_MAX_BYTES are work for several rounds: ask
 * again. Holder of the pin.
 */
bool memory_summary_due(struct memory *memory, const struct conversation *conversation,
                        int64_t verbatim, int64_t after, struct summary_work *ret_work);

/* The work done without any model: the sentences that say most, in order, each with its
 * speaker; "" when there are none. Pure. */
void summary_extract(const struct summary_work *work, size_t max_bytes, struct buf *out);

/* What must be kept of `turns`, one a line, each once, the likeliest to be asked for first; as
 * many as `out` takes. Pure. */
void summary_must_keep(const char *turns, struct buf *out);

/* What the agent is asked; begins with SUMMARY_PROMPT_LINE. */
#define SUMMARY_PROMPT_LINE "You shorten the earlier part of a conversation."
void summary_prompt(const struct summary_work *work, struct buf *out);

/*
 * Stores a summary made from `work`. On -1 nothing is changed. ERR_INPUT: it is empty, longer
 * than what it replaces, a refusal, an echo of the prompt, or made of nothing that stands in
 * the turns. ERR_TEMP: the conversation is not what it was (begun afresh, erased, a turn
 * withdrawn, summarized already), ask memory_summary_due() again. Pins what it dropped.
 * `source` is "agent" or "extract". Waits for the commit. Holder of the pin.
 */
int memory_set_summary(struct memory *memory, struct conversation *conversation,
                       const struct summary_work *work, const char *text, const char *source,
                       struct err *err);

#endif
