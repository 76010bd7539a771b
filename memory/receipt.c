#include "memory/receipt.h"

#include <stdlib.h>

#include <jansson.h>

#include "base/alloc.h"

void memory_receipt_deinit(struct memory_receipt *receipt)
{
    for (size_t i = 0; i < receipt->recalled_count; i++)
        free(receipt->recalled[i].conversation);
    receipt->recalled_count = 0;
}

/* Three digits are enough to see why. */
static double rounded(double score)
{
    return (double)(int64_t)(score * 1000 + 0.5) / 1000;
}

static json_t *recalled_json(const struct memory_receipt *receipt)
{
    json_t *list = json_array();

    for (size_t i = 0; i < receipt->recalled_count; i++) {
        const struct memory_recalled *recalled = &receipt->recalled[i];

        json_array_append_new(
            list, json_pack("{s:I, s:f, s:s*}", "seq", (json_int_t)recalled->seq, "score",
                            rounded(recalled->score), "conversation", recalled->conversation));
    }
    return list;
}

static json_t *missing_json(const struct memory_receipt *receipt)
{
    json_t *list = json_array();

    if (receipt->lacks_person)
        json_array_append_new(list, json_string("person"));
    if (receipt->lacks_older)
        json_array_append_new(list, json_string("older turns"));
    if (receipt->lacks_elsewhere)
        json_array_append_new(list, json_string("other conversations"));
    return list;
}

void memory_receipt_print_json(const struct memory_receipt *receipt, struct buf *out)
{
    json_auto_t *root = json_pack(
        "{s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I, s:I}, s:o, "
        "s:{s:I, s:I}, s:b, s:b, s:o}",
        "budget_tokens", (json_int_t)receipt->budget_tokens, "tokens",
        (json_int_t)receipt->tokens, "tokens_known", (json_int_t)receipt->tokens_known,
        "tokens_by_part", "person", (json_int_t)receipt->tokens_person, "summary",
        (json_int_t)receipt->tokens_summary, "recalled", (json_int_t)receipt->tokens_recalled,
        "verbatim", (json_int_t)receipt->tokens_verbatim, "verbatim", "turns",
        (json_int_t)receipt->verbatim_turns, "first_seq",
        (json_int_t)receipt->verbatim_first_seq, "summary", "version",
        (json_int_t)receipt->summary_version, "first_seq",
        (json_int_t)receipt->summary_first_seq, "last_seq",
        (json_int_t)receipt->summary_last_seq, "recalled", recalled_json(receipt), "turns",
        "known", (json_int_t)receipt->turns_known, "dropped",
        (json_int_t)receipt->turns_dropped, "is_cut", receipt->is_cut, "is_new_session",
        receipt->is_new_session, "missing", missing_json(receipt));
    AUTO_FREE char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    buf_append_text(out, text ? text : "{}");
}
