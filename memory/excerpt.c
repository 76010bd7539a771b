#include "memory/excerpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define PASSAGES_MAX      512
#define PASSAGE_MIN_BYTES 24 /* shorter sentences go with the next one */

struct passages {
    struct excerpt parts[PASSAGES_MAX];
    size_t count;
};

/* Whether a passage may end before `at`: behind a line, or behind a sentence. */
static bool is_end(const char *text, size_t at)
{
    return text[at - 1] == '\n' ||
           (text[at - 1] == ' ' && at > 1 && strchr(".!?:;", text[at - 2]));
}

/* The last passage takes what is left when there are too many. */
static void split(const char *text, size_t len, struct passages *passages)
{
    size_t from = 0;

    for (size_t at = 1; at < len && passages->count < PASSAGES_MAX - 1; at++) {
        if (at - from < PASSAGE_MIN_BYTES || !is_end(text, at))
            continue;
        passages->parts[passages->count++] = (struct excerpt){ from, at - from };
        from = at;
    }
    passages->parts[passages->count++] = (struct excerpt){ from, len - from };
}

/* The passage that answers best; the first one when none does. */
static size_t find_best(const char *text, const struct passages *passages,
                        const struct recall_question *question)
{
    AUTO_FREE struct recall_turn *turns = xcalloc(passages->count, sizeof(*turns));
    AUTO_FREE char **copies = xcalloc(passages->count, sizeof(*copies));
    AUTO_FREE double *scores = xcalloc(passages->count, sizeof(*scores));
    size_t best = 0;

    for (size_t i = 0; i < passages->count; i++) {
        copies[i] = xstrndup(text + passages->parts[i].from, passages->parts[i].len);
        turns[i] = (struct recall_turn){ copies[i], "", 0 };
    }
    recall_rank(turns, passages->count, question, scores);
    for (size_t i = 0; i < passages->count; i++) {
        if (scores[i] > scores[best])
            best = i;
        free(copies[i]);
    }
    return best;
}

struct excerpt excerpt_find(const char *text, const struct recall_question *question,
                            size_t max_bytes)
{
    AUTO_FREE struct passages *passages = xcalloc(1, sizeof(*passages));
    size_t len = strlen(text);
    size_t first;
    size_t last;
    struct excerpt found;

    if (len <= max_bytes)
        return (struct excerpt){ 0, len };
    split(text, len, passages);
    first = last = find_best(text, passages, question);
    found = passages->parts[first];
    if (found.len > max_bytes) {
        found.len = utf8_cut(text + found.from, found.len, max_bytes);
        return found;
    }
    /* What follows explains more often than what comes before. */
    while (last + 1 < passages->count && found.len + passages->parts[last + 1].len <= max_bytes)
        found.len += passages->parts[++last].len;
    while (first > 0 && found.len + passages->parts[first - 1].len <= max_bytes) {
        found.from = passages->parts[--first].from;
        found.len += passages->parts[first].len;
    }
    return found;
}
