/* Conversations of any bytes, and what an agent may answer, through what is made of them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/summary.h"
#include "memory/summary_check.h"

#define MAX_BYTES 700

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is three texts, each behind a NUL: the turns, the summary so far, an answer. */
static char *take_text(const uint8_t **data, size_t *size)
{
    const uint8_t *end = memchr(*data, 0, *size);
    size_t len = end ? (size_t)(end - *data) : *size;
    char *text = xstrndup((const char *)*data, len);

    *data += len;
    *size -= len;
    if (end) {
        (*data)++;
        (*size)--;
    }
    return text;
}

static void check_work(const struct summary_work *work, const char *answer)
{
    AUTO_BUF struct buf extract = { 0 };
    AUTO_BUF struct buf stored = { 0 };
    AUTO_BUF struct buf pinned = { 0 };
    AUTO_BUF struct buf prompt = { 0 };

    buf_init(&extract, 1 << 20);
    buf_init(&stored, SUMMARY_TEXT_MAX_BYTES);
    buf_init(&pinned, SUMMARY_PINNED_MAX_BYTES);
    buf_init(&prompt, 1 << 22);
    summary_extract(work, MAX_BYTES, &extract);
    if (extract.len > MAX_BYTES)
        abort();
    if (summary_check(work, answer, &stored, NULL) == 0 &&
        (!stored.len || !utf8_is_valid(stored.data, stored.len)))
        abort();
    summary_pin(work, buf_text(&stored), &pinned);
    summary_prompt(work, &prompt);
    if (pinned.overflowed || !utf8_is_valid(buf_text(&prompt), prompt.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct summary_work work = { .first_seq = 1, .last_seq = 9, .turns_count = 4 };
    AUTO_FREE char *turns = NULL;
    AUTO_FREE char *answer = NULL;

    if (size > 1 << 14)
        return 0;
    buf_init(&work.turns, 1 << 20);
    turns = take_text(&data, &size);
    buf_append_text(&work.turns, turns);
    work.previous = size ? take_text(&data, &size) : NULL;
    answer = take_text(&data, &size);
    check_work(&work, answer);
    summary_work_deinit(&work);
    return 0;
}
