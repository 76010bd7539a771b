/*
 * receipt.h - what went into a context, and why.
 *
 * Owns:    the keys of the conversations that turns were recalled from.
 * Threads: any.
 */
#ifndef MEMORY_RECEIPT_H
#define MEMORY_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { MEMORY_RECEIPT_RECALLED_MAX = 256 };

struct memory_recalled {
    int64_t seq;
    double score;       /* the best has 1; 0: taken for being recent */
    char *conversation; /* NULL: this one */
};

/* Tokens are estimated and calibrated. */
struct memory_receipt {
    int64_t budget_tokens;
    int64_t tokens;       /* of all of it */
    int64_t tokens_known; /* of all turns there were to choose from */
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
    bool is_cut;         /* the newest turn alone was over the budget: its beginning is there */
    bool is_new_session; /* idle for longer than session_ttl: nothing is verbatim */
    bool lacks_person;   /* what the store did not give */
    bool lacks_older;
    bool lacks_elsewhere;
    struct memory_recalled recalled[MEMORY_RECEIPT_RECALLED_MAX]; /* the first so many */
    size_t recalled_count;
};

void memory_receipt_deinit(struct memory_receipt *receipt); /* safe on a zeroed struct, twice */

/* One JSON object without a newline. */
void memory_receipt_print_json(const struct memory_receipt *receipt, struct buf *out);

#endif
