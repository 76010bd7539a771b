/* A question and what was said, as people may write it: recall and the lines of a context. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/excerpt.h"
#include "memory/line.h"
#include "memory/recall.h"

#define TURNS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A turn's text is one line or more, and none of them could be a heading or another's turn. */
static void check_lines(const struct recall_turn *turn)
{
    struct memory_turn said = { .role = MEMORY_ROLE_USER,
                                .author = turn->author,
                                .text = turn->text };
    struct line_names names = { "", true };
    AUTO_BUF struct buf out = { 0 };
    const char *line;

    buf_init(&out, 1 << 22);
    line_append_turn(&out, &said, &names, strlen(turn->text));
    if (!utf8_is_valid(buf_text(&out), out.len) || buf_text(&out)[out.len - 1] != '\n')
        abort();
    line = buf_text(&out);
    if (*line == '#' || *line == ' ')
        abort();
    while ((line = strchr(line, '\n')) && *++line) {
        if (strncmp(line, "  ", 2) != 0)
            abort();
    }
}

static void check_excerpt(const char *text, const struct recall_question *question, size_t max)
{
    struct excerpt found;

    if (!utf8_is_valid(text, strlen(text)))
        return;
    found = excerpt_find(text, question, max);
    if (found.len > max || found.from + found.len > strlen(text) ||
        !utf8_is_valid(text + found.from, found.len))
        abort();
}

/* Fields end with NUL: the question, then author and text of each turn. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = NULL;
    struct recall_turn turns[TURNS_MAX];
    struct recall_question question = { .asker = "ann" };
    double scores[TURNS_MAX];
    double best = 0;
    size_t count = 0;

    if (size > (1 << 16))
        return 0;
    text = xcalloc(size + 1, 1);
    if (size)
        memcpy(text, data, size);
    question.text = text;
    question.now_wall_s = size ? (int64_t)data[0] * 100000000 : 0;
    for (size_t at = strlen(text) + 1; at < size && count < TURNS_MAX; count++) {
        turns[count].author = text + at;
        at += strlen(text + at) + 1;
        turns[count].text = at < size ? text + at : "";
        turns[count].at_wall_s = (int64_t)at * 977;
        at += strlen(turns[count].text) + 1;
        check_lines(&turns[count]);
        check_excerpt(turns[count].text, &question, at % 97);
    }
    recall_rank(turns, count, &question, scores);
    for (size_t i = 0; i < count; i++) {
        if (!(scores[i] >= 0 && scores[i] <= 1) || !(recall_worth(scores[i], i) >= 0))
            abort();
        best = scores[i] > best ? scores[i] : best;
    }
    if (best != 0 && best != 1)
        abort();
    return 0;
}
