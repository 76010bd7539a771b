/*
 * context.h - what the agent is told of earlier turns, inside a budget of tokens: the person
 * (profile, preferences), the summary of older turns, older turns that matter to this question
 * (recalled, with their neighbours, dated), the last turns verbatim. In this order, so that the
 * text begins alike from one turn to the next.
 *
 *   <what is known of the person>
 *   # Summary
 *   <older turns told shorter>
 *   # Recalled
 *   # 2026-11-18
 *   User: we keep tokens in `auth_token.c`
 *   # Latest
 *   # 2026-11-20
 *   You: ...
 *
 * The form of a line is line.h's. Parts that are empty have no heading.
 *
 * Size: never above budget_tokens, and, where a summary or recall stands in for the rest, less
 * than the turns there are: up to CONTEXT_WHOLE_TOKENS all of them, then a share that falls
 * with their number, from CONTEXT_WHOLE_TOKENS / CONTEXT_SHARE on that share of them. Who pays
 * for tokens saves most on long conversations, and recall has most to choose from there.
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
#include "memory/context_items.h"
#include "memory/memory.h"
#include "memory/receipt.h"
#include "memory/tokens.h"

#define CONTEXT_WHOLE_TOKENS 400
#define CONTEXT_SHARE        0.19

struct memory_context_options {
    int64_t budget_tokens;
    int64_t max_messages;      /* that may stand there verbatim */
    int64_t verbatim_messages; /* the newest so many always do, as far as the budget goes; the
                                  rest of max_messages compete with what is recalled */
    bool uses_summary;
    bool uses_recall;
    bool uses_profile;      /* profile and preferences */
    bool name_authors;      /* shared scopes: every turn carries its author */
    bool recalls_elsewhere; /* direct message, memory.recall_scope user: the person's other
                               conversations too */
    int64_t session_ttl_ms;
    int64_t told_seq; /* turns up to this one are known to who reads it: neither they nor their
                         summary are told again; 0: none */
    const char *question; /* what is about to be asked, "" for none */
    const char *user;     /* who asks */
    int64_t now_wall_s;
};

/* Appends to `out` ("" when there is nothing); fills zeroed items (NULL: not wanted) and a
 * zeroed receipt, the caller's to deinit. */
void memory_build_context(struct memory *memory, const struct conversation *conversation,
                          const struct memory_context_options *options, struct buf *out,
                          struct memory_context_items *ret_items,
                          struct memory_receipt *ret_receipt);

#endif
