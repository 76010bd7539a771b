/*
 * context.h - what the agent is told of earlier turns, inside a budget of tokens: the person
 * (profile, preferences), the summary of older turns, older turns that matter to this question
 * (recalled, with their neighbours, dated), the last turns verbatim. In this order, so that the
 * text begins alike from one turn to the next.
 *
 * Form: lines of text. A turn is one line, "NAME: text" below a line with its date; further
 * lines of the same text are indented by two spaces, so that no text can pass for a turn or a
 * heading.
 *
 * Owns:    nothing.
 * Threads: worker; holder of the pin.
 * Errors:  a part that cannot be had (the store is away) is left out, named in the receipt and
 *          logged; a context never fails.
 */
#ifndef MEMORY_CONTEXT_H
#define MEMORY_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "memory/memory.h"

struct memory_context_options {
    int64_t budget_tokens;
    int64_t max_messages;      /* that may stand there verbatim */
    int64_t verbatim_messages; /* the newest so many always do, as far as the budget goes; the
                                  rest of max_messages only while nothing older is summarized
                                  or recalled instead */
    bool uses_summary;
    bool uses_recall;
    bool uses_profile;      /* profile and preferences */
    bool name_authors;      /* shared scopes: every turn carries its author */
    bool recalls_elsewhere; /* direct message, memory.recall_scope user: the person's other
                               conversations too */
    int64_t session_ttl_ms;
    const char *question; /* what is about to be asked, "" for none */
    const char *user;     /* who asks */
    int64_t now_wall_s;
};

enum { MEMORY_RECEIPT_RECALLED_MAX = 256 };

struct memory_recalled {
    int64_t seq;
    double score;       /* 0 for a neighbour of one that was found */
    char *conversation; /* NULL: this one */
};

/* What went in, and why. */
struct memory_receipt {
    int64_t budget_tokens;
    int64_t tokens; /* estimated, of all of it */
    int64_t tokens_person;
    int64_t tokens_summary;
    int64_t tokens_recalled;
    int64_t tokens_verbatim;
    int64_t turns_known;        /* in the window */
    int64_t verbatim_first_seq; /* 0: none */
    int64_t verbatim_turns;
    int64_t summary_version; /* 0: none */
    int64_t summary_first_seq;
    int64_t summary_last_seq;
    int64_t turns_dropped; /* of the window: neither verbatim, summarized nor recalled */
    bool is_cut;           /* the newest turn alone was over the budget */
    bool is_new_session;   /* idle for longer than session_ttl: nothing is verbatim */
    struct memory_recalled recalled[MEMORY_RECEIPT_RECALLED_MAX];
    size_t recalled_count;
};
void memory_receipt_deinit(struct memory_receipt *receipt); /* safe on a zeroed struct, twice */
void memory_receipt_print_json(const struct memory_receipt *receipt, struct buf *out);

/* Appends to `out` ("" when there is nothing); fills a zeroed receipt, the caller's to deinit.
 */
void memory_build_context(struct memory *memory, const struct conversation *conversation,
                          const struct memory_context_options *options, struct buf *out,
                          struct memory_receipt *ret_receipt);

#define MEMORY_TOKEN_MAX_BYTES 4

/* Tokens in a text, estimated from its bytes: one for MEMORY_TOKEN_MAX_BYTES at least, which
 * bounds the bytes of a context by its budget. Any. */
int64_t memory_estimate_tokens(const char *text, size_t len);

/*
 * What the agent reported for a prompt of `prompt_bytes` that was estimated at
 * `estimated_tokens`: the estimate and its error are kept as running figures. `reported_tokens`
 * includes the agent's own instructions, so the factor is learnt from the differences between
 * prompts of different size. Any.
 */
void memory_note_usage(struct memory *memory, size_t prompt_bytes, int64_t estimated_tokens,
                       int64_t reported_tokens);
struct memory_calibration {
    double tokens_per_estimate; /* 1.0: the estimate is right */
    double overhead_tokens;     /* the agent's own instructions */
    double mean_error;          /* of the calibrated estimate, as a share */
    int64_t samples;
};
void memory_get_calibration(struct memory *memory, struct memory_calibration *ret);

#endif
