/*
 * archive_search.c - every conversation read once to learn how rare the words of the query are
 * and where they occur, then those where they do once more, each ranked as recall ranks it
 * (recall.h). Recall compares the turns of one conversation; between conversations the best
 * turn's BM25 over all turns decides.
 */
#include "memory/archive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/recall.h"
#include "memory/rooms.h"
#include "memory/words.h"

#define K1             1.2
#define B              0.75
#define TERMS_MAX      32
#define CHUNK_TURNS    4096 /* that are ranked together */
#define CHUNK_BYTES    ((size_t)32 * 1024 * 1024)
#define CANDIDATES_MAX 65536 /* conversations remembered; with more all are read again */
#define OWN_SHARE      0.01  /* what a match counts where recall sees nothing */
#define SILENT         64    /* conversations between two calls of progress */

struct term {
    uint64_t stem;
    int64_t turns; /* that have it */
    double weight;
};

struct chunk {
    struct recall_turn turns[CHUNK_TURNS];
    struct archive_hit hits[CHUNK_TURNS]; /* what would be handed out */
    double own[CHUNK_TURNS];              /* BM25 */
    double scores[CHUNK_TURNS];           /* of recall */
    size_t count;
    size_t bytes;
};

struct search {
    struct memory *memory;
    const char *query;
    struct term terms[TERMS_MAX];
    size_t terms_count;
    int64_t turns; /* read in the first pass */
    int64_t words; /* in them */
    char **candidates;
    size_t candidates_count;
    bool is_overflowing;
    const char *key; /* under way */
    bool is_candidate;
    struct chunk *chunk;
    struct archive_hit *hits; /* best first */
    size_t max;
    size_t count;
    void (*progress)(void *context, int64_t done, int64_t total);
    void *context;
    int64_t total;
    int64_t conversations;
    struct err err;
    bool has_failed;
};

void archive_hit_deinit(struct archive_hit *hit)
{
    free(hit->key);
    free(hit->author);
    free(hit->text);
    *hit = (struct archive_hit){ 0 };
}

/* ---- the query ----------------------------------------------------------------------------
 */

struct reading_query {
    struct search *search;
    bool takes_stops; /* there is nothing else in it */
};

static void add_term(void *context, const struct word *word)
{
    struct reading_query *reading = context;
    struct search *search = reading->search;

    if ((word->flags & WORD_WHOLE) || ((word->flags & WORD_STOP) && !reading->takes_stops))
        return;
    for (size_t i = 0; i < search->terms_count; i++) {
        if (search->terms[i].stem == word->stem)
            return;
    }
    if (search->terms_count < TERMS_MAX)
        search->terms[search->terms_count++].stem = word->stem;
}

static void read_query(struct search *search)
{
    struct reading_query reading = { .search = search };

    words_visit(search->query, strlen(search->query), add_term, &reading);
    reading.takes_stops = true;
    if (!search->terms_count)
        words_visit(search->query, strlen(search->query), add_term, &reading);
}

/* ---- a turn -------------------------------------------------------------------------------
 */

struct counting {
    const struct search *search;
    uint32_t found[TERMS_MAX];
    int64_t words;
};

static void count_word(void *context, const struct word *word)
{
    struct counting *counting = context;

    if (!(word->flags & WORD_WHOLE))
        counting->words++;
    for (size_t i = 0; i < counting->search->terms_count; i++)
        counting->found[i] += counting->search->terms[i].stem == word->stem;
}

static void count_words(const struct search *search, const char *text,
                        struct counting *counting)
{
    *counting = (struct counting){ .search = search };
    words_visit(text, strlen(text), count_word, counting);
}

static double bm25(const struct search *search, const struct counting *counting)
{
    double mean = (double)search->words / (double)(search->turns ? search->turns : 1);
    double norm = K1 * (1 - B + B * (double)counting->words / (mean > 0 ? mean : 1));
    double score = 0;

    for (size_t i = 0; i < search->terms_count; i++) {
        double found = counting->found[i];

        score += search->terms[i].weight * found * (K1 + 1) / (found + norm);
    }
    return score;
}

/* ---- the first pass: how rare, and where --------------------------------------------------
 */

static bool learn_turn(void *context, const struct memory_turn *turn)
{
    struct search *search = context;
    struct counting counting;

    count_words(search, turn->text, &counting);
    search->turns++;
    search->words += counting.words;
    for (size_t i = 0; i < search->terms_count; i++) {
        search->terms[i].turns += counting.found[i] > 0;
        search->is_candidate = search->is_candidate || counting.found[i];
    }
    return true;
}

static bool read_conversation(struct search *search, const char *key, store_visit_turn_fn visit)
{
    struct store *store = search->memory->store;
    struct store_range all = { 0 };

    search->key = key;
    if (store->ops->history(store, key, &all, visit, search, &search->err) < 0)
        search->has_failed = true;
    return !search->has_failed;
}

static bool learn_conversation(void *context, const struct store_conversation *conversation)
{
    struct search *search = context;

    search->is_candidate = false;
    if (!read_conversation(search, conversation->key, learn_turn))
        return false;
    if (search->progress && search->conversations++ % SILENT == 0)
        search->progress(search->context, search->turns, search->total);
    if (!search->is_candidate)
        return true;
    if (search->candidates_count == CANDIDATES_MAX)
        search->is_overflowing = true;
    else
        search->candidates[search->candidates_count++] = xstrdup(conversation->key);
    return true;
}

static void weigh_terms(struct search *search)
{
    for (size_t i = 0; i < search->terms_count; i++) {
        double with = (double)search->terms[i].turns;

        search->terms[i].weight = log(1 + ((double)search->turns - with + 0.5) / (with + 0.5));
    }
}

/* ---- the second pass: rank ----------------------------------------------------------------
 */

/* Takes the hit over. */
static void keep_hit(struct search *search, struct archive_hit *hit)
{
    size_t at = search->count;

    if (search->count == search->max) {
        if (search->hits[search->max - 1].score >= hit->score) {
            archive_hit_deinit(hit);
            return;
        }
        archive_hit_deinit(&search->hits[search->max - 1]);
        at--;
    } else {
        search->count++;
    }
    for (; at && search->hits[at - 1].score < hit->score; at--)
        search->hits[at] = search->hits[at - 1];
    search->hits[at] = *hit;
    *hit = (struct archive_hit){ 0 };
}

static void rank_chunk(struct search *search)
{
    struct chunk *chunk = search->chunk;
    struct recall_question question = { .text = search->query,
                                        .asker = "",
                                        .now_wall_s = clock_wall_s() };
    double best = 0;

    for (size_t i = 0; i < chunk->count; i++)
        best = fmax(best, chunk->own[i]);
    if (best > 0)
        recall_rank(chunk->turns, chunk->count, &question, chunk->scores);
    for (size_t i = 0; i < chunk->count; i++) {
        struct archive_hit *hit = &chunk->hits[i];

        hit->score = best * chunk->scores[i] + OWN_SHARE * chunk->own[i];
        if (best > 0 && chunk->own[i] > 0)
            keep_hit(search, hit);
        archive_hit_deinit(hit);
    }
    chunk->count = 0;
    chunk->bytes = 0;
}

static bool rank_turn(void *context, const struct memory_turn *turn)
{
    struct search *search = context;
    struct chunk *chunk = search->chunk;
    struct archive_hit *hit = &chunk->hits[chunk->count];
    struct counting counting;

    count_words(search, turn->text, &counting);
    *hit = (struct archive_hit){ .key = xstrdup(search->key),
                                 .seq = turn->seq,
                                 .at_wall_s = turn->at_wall_s,
                                 .role = turn->role,
                                 .author = xstrdup(turn->author),
                                 .text = xstrdup(turn->text) };
    chunk->turns[chunk->count] = (struct recall_turn){ .text = hit->text,
                                                       .author = hit->author,
                                                       .at_wall_s = turn->at_wall_s };
    chunk->own[chunk->count] = bm25(search, &counting);
    chunk->scores[chunk->count] = 0;
    chunk->count++;
    chunk->bytes += strlen(turn->text);
    if (chunk->count == CHUNK_TURNS || chunk->bytes > CHUNK_BYTES)
        rank_chunk(search);
    return true;
}

static bool rank_conversation(void *context, const struct store_conversation *conversation)
{
    struct search *search = context;
    bool goes_on = read_conversation(search, conversation->key, rank_turn);

    rank_chunk(search);
    return goes_on;
}

static int rank(struct search *search, const struct store_list *list)
{
    if (search->is_overflowing)
        return memory_list(search->memory, list, rank_conversation, search, &search->err);
    for (size_t i = 0; i < search->candidates_count; i++) {
        struct store_conversation conversation = { .key = search->candidates[i] };

        if (!rank_conversation(search, &conversation))
            return -1;
    }
    return 0;
}

static int run(struct search *search, const struct store_list *list)
{
    struct store_list all = { .user = list->user, .pattern = list->pattern, .after = "" };

    read_query(search);
    if (!search->terms_count)
        return 0;
    if (memory_list(search->memory, &all, learn_conversation, search, &search->err) < 0 ||
        search->has_failed)
        return -1;
    weigh_terms(search);
    return rank(search, &all) < 0 || search->has_failed ? -1 : 0;
}

int memory_search(struct memory *memory, const struct store_list *list, const char *query,
                  struct archive_hit *ret_hits, size_t max, size_t *ret_count,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err)
{
    struct store_stats stats = { 0 };
    struct search *search;
    int rc;

    *ret_count = 0;
    if (!max)
        return 0;
    if (progress && memory_store_stats(memory, &stats, err) < 0)
        return -1;
    search = xcalloc(1, sizeof(*search));
    *search = (struct search){ .memory = memory,
                               .query = query,
                               .hits = xcalloc(max, sizeof(*search->hits)),
                               .max = max,
                               .progress = progress,
                               .context = context,
                               .total = stats.turns };
    search->chunk = xcalloc(1, sizeof(*search->chunk));
    search->candidates = xcalloc(CANDIDATES_MAX, sizeof(*search->candidates));
    rc = run(search, list);
    for (size_t i = 0; i < search->count; i++) {
        ret_hits[i] = search->hits[i];
        if (rc < 0)
            archive_hit_deinit(&ret_hits[i]);
    }
    if (rc == 0)
        *ret_count = search->count;
    else if (err)
        *err = search->err;
    for (size_t i = 0; i < search->candidates_count; i++)
        free(search->candidates[i]);
    free(search->candidates);
    free(search->chunk);
    free(search->hits);
    free(search);
    return rc;
}
