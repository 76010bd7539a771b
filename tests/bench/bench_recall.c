/*
 * bench_recall.c - how much of what a question needs stands in the context that it gets: long
 * conversations with questions and the turns that hold each answer, one JSON object a line:
 *
 *   {"name", "turns": [{"id", "speaker", "text", "at"}],
 *    "questions": [{"question", "evidence": [turn ids]}]}
 *
 * They are imported into a memory of their own; each question is asked with a budget of 500,
 * 1000 and 2000 tokens. Evidence recall: the share of a question's evidence turns whose text
 * stands in the context, averaged over questions. Beside it, over the same turns in the same
 * run: the last ten turns, and plain BM25, each cut where the budget ends.
 *
 *   bench_recall FILE [-v]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "memory/context.h"
#include "memory/memory.h"
#include "memory/words.h"
#include "tests/bench/measure.h"

#define BUDGETS_COUNT    3
#define EVIDENCE_MAX     64
#define TERMS_MAX        64
#define LINE_MAX_BYTES   ((size_t)64 << 20)
#define CONTEXT_MAX      ((size_t)1 << 20)
#define IMPORT_BATCH     50
#define LAST_TURNS       10
#define MAX_TURNS        100000
#define BM25_K1          1.2
#define BM25_B           0.75
#define CHARACTERS_TOKEN 4

static const int64_t budgets[BUDGETS_COUNT] = { 500, 1000, 2000 };

enum method { METHOD_LAST, METHOD_BM25, METHOD_CONTEXT, METHODS_COUNT };
static const char *const method_names[METHODS_COUNT] = { "last 10 turns", "plain BM25",
                                                         "threadkeeper" };

struct talk {
    const char *name;
    struct memory_turn *turns;
    const char **ids;
    size_t count;
    const json_t *questions;
};

struct sums {
    double recall[METHODS_COUNT][BUDGETS_COUNT];
    double tokens[METHODS_COUNT][BUDGETS_COUNT];
    double characters[BUDGETS_COUNT]; /* of the contexts, as tokens of four */
    size_t questions;
};

/* Which turns are evidence, by index. */
struct evidence {
    size_t turns[EVIDENCE_MAX];
    size_t count;
};

static struct evidence find_evidence(const struct talk *talk, const json_t *question)
{
    const json_t *ids = json_object_get(question, "evidence");
    struct evidence evidence = { 0 };

    for (size_t e = 0; e < json_array_size(ids) && evidence.count < EVIDENCE_MAX; e++) {
        const char *id = json_string_value(json_array_get(ids, e));

        for (size_t i = 0; id && i < talk->count; i++) {
            if (strcmp(talk->ids[i], id) == 0) {
                evidence.turns[evidence.count++] = i;
                break;
            }
        }
    }
    return evidence;
}

static double share(size_t found, size_t of)
{
    return of ? (double)found / (double)of : 0;
}

/* ---- what it is compared with -------------------------------------------------------------
 */

struct bm25 {
    uint64_t terms[TERMS_MAX];
    size_t terms_count;
    unsigned counts[TERMS_MAX];
    unsigned words;
};

static void add_term(void *context, const struct word *word)
{
    struct bm25 *bm25 = context;

    if (word->flags & (WORD_STOP | WORD_WHOLE) || bm25->terms_count == TERMS_MAX)
        return;
    for (size_t t = 0; t < bm25->terms_count; t++) {
        if (bm25->terms[t] == word->stem)
            return;
    }
    bm25->terms[bm25->terms_count++] = word->stem;
}

static void count_term(void *context, const struct word *word)
{
    struct bm25 *bm25 = context;

    if (word->flags & WORD_WHOLE)
        return;
    bm25->words++;
    for (size_t t = 0; t < bm25->terms_count; t++) {
        if (bm25->terms[t] == word->stem)
            bm25->counts[t]++;
    }
}

struct scored {
    size_t turn;
    double score;
};

static int compare_scored(const void *a, const void *b)
{
    const struct scored *first = a;
    const struct scored *second = b;

    if (first->score != second->score)
        return first->score < second->score ? 1 : -1;
    return first->turn < second->turn ? -1 : 1;
}

static void rank_bm25(const struct talk *talk, const char *question, struct scored *ranked)
{
    AUTO_FREE struct bm25 *all = xcalloc(talk->count, sizeof(*all));
    double having[TERMS_MAX] = { 0 };
    struct bm25 asked = { 0 };
    double words = 0;

    words_visit(question, strlen(question), add_term, &asked);
    for (size_t i = 0; i < talk->count; i++) {
        all[i] = asked;
        words_visit(talk->turns[i].text, strlen(talk->turns[i].text), count_term, &all[i]);
        words += all[i].words;
        for (size_t t = 0; t < asked.terms_count; t++)
            having[t] += all[i].counts[t] > 0;
    }
    words /= (double)talk->count;
    for (size_t i = 0; i < talk->count; i++) {
        double norm = BM25_K1 * (1 - BM25_B + BM25_B * all[i].words / words);

        ranked[i] = (struct scored){ i, 0 };
        for (size_t t = 0; t < asked.terms_count; t++) {
            double rarity =
                log(1 + ((double)talk->count - having[t] + 0.5) / (having[t] + 0.5));

            ranked[i].score +=
                rarity * all[i].counts[t] * (BM25_K1 + 1) / (all[i].counts[t] + norm);
        }
    }
    qsort(ranked, talk->count, sizeof(*ranked), compare_scored);
}

/* Their texts alone are counted, so that they come off better rather than worse. */
static void take_ranked(const struct talk *talk, const struct scored *ranked, size_t count,
                        const struct evidence *evidence, enum method method, size_t budget,
                        struct sums *sums)
{
    int64_t left = budgets[budget];
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const char *text = talk->turns[ranked[i].turn].text;
        int64_t tokens = memory_estimate_tokens(text, strlen(text));

        if (tokens > left)
            continue;
        left -= tokens;
        for (size_t e = 0; e < evidence->count; e++)
            found += evidence->turns[e] == ranked[i].turn;
    }
    sums->recall[method][budget] += share(found, evidence->count);
    sums->tokens[method][budget] += (double)(budgets[budget] - left);
}

static void compare_question(const struct talk *talk, const char *question,
                             const struct evidence *evidence, struct sums *sums)
{
    AUTO_FREE struct scored *ranked = xcalloc(talk->count, sizeof(*ranked));
    struct scored last[LAST_TURNS];
    size_t last_count = talk->count < LAST_TURNS ? talk->count : LAST_TURNS;

    rank_bm25(talk, question, ranked);
    for (size_t i = 0; i < last_count; i++)
        last[i] = (struct scored){ talk->count - 1 - i, 0 };
    for (size_t b = 0; b < BUDGETS_COUNT; b++) {
        take_ranked(talk, ranked, talk->count, evidence, METHOD_BM25, b, sums);
        take_ranked(talk, last, last_count, evidence, METHOD_LAST, b, sums);
    }
}

/* ---- the context --------------------------------------------------------------------------
 */

static void ask(struct memory *memory, struct conversation *conversation,
                const struct talk *talk, const char *question, const struct evidence *evidence,
                struct sums *sums)
{
    for (size_t b = 0; b < BUDGETS_COUNT; b++) {
        struct memory_context_options options = {
            .budget_tokens = budgets[b],
            .max_messages = 10,
            .verbatim_messages = 3,
            .uses_summary = true,
            .uses_recall = true,
            .session_ttl_ms = INT64_C(86400000),
            .question = question,
            .now_wall_s = clock_wall_s(),
        };
        struct memory_receipt receipt = { 0 };
        AUTO_BUF struct buf out = { 0 };
        size_t found = 0;

        buf_init(&out, CONTEXT_MAX);
        memory_build_context(memory, conversation, &options, &out, &receipt);
        for (size_t e = 0; e < evidence->count; e++)
            found += strstr(buf_text(&out), talk->turns[evidence->turns[e]].text) != NULL;
        sums->recall[METHOD_CONTEXT][b] += share(found, evidence->count);
        sums->tokens[METHOD_CONTEXT][b] += (double)receipt.tokens;
        sums->characters[b] += (double)out.len / CHARACTERS_TOKEN;
        if (receipt.tokens > budgets[b] || (int64_t)out.len > budgets[b] * CHARACTERS_TOKEN) {
            fprintf(stderr, "bench_recall: a context of %lld tokens is over its budget\n",
                    (long long)receipt.tokens);
            exit(1);
        }
        memory_receipt_deinit(&receipt);
    }
}

static int import(struct memory *memory, const struct talk *talk,
                  struct conversation **ret_conversation, struct err *err)
{
    if (memory_conversation_begin(memory, talk->name, NULL, NULL, ret_conversation, err) < 0)
        return -1;
    for (size_t i = 0; i < talk->count; i += IMPORT_BATCH) {
        size_t count = talk->count - i < IMPORT_BATCH ? talk->count - i : IMPORT_BATCH;

        if (memory_conversation_commit(memory, *ret_conversation, talk->turns + i, count, NULL,
                                       0, LEDGER_DONE, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the file -----------------------------------------------------------------------------
 */

/* Strings stay those of `root`. */
static void read_talk(const json_t *root, struct talk *talk)
{
    const json_t *turns = json_object_get(root, "turns");
    const char *first_speaker = NULL;

    talk->name = json_string_value(json_object_get(root, "name"));
    talk->questions = json_object_get(root, "questions");
    talk->count = json_array_size(turns);
    talk->turns = xcalloc(talk->count + 1, sizeof(*talk->turns));
    talk->ids = xcalloc(talk->count + 1, sizeof(*talk->ids));
    for (size_t i = 0; i < talk->count; i++) {
        const json_t *turn = json_array_get(turns, i);
        const char *speaker = json_string_value(json_object_get(turn, "speaker"));
        const char *text = json_string_value(json_object_get(turn, "text"));

        if (!first_speaker)
            first_speaker = speaker;
        talk->ids[i] = json_string_value(json_object_get(turn, "id"));
        talk->turns[i] = (struct memory_turn){
            .role =
                strcmp(speaker, first_speaker) == 0 ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
            .author = speaker,
            .text = text,
            .slack_ts = "",
            .at_wall_s = json_integer_value(json_object_get(turn, "at")),
            .tokens = memory_estimate_tokens(text, strlen(text)),
        };
    }
}

static void print_sums(const char *name, const struct sums *sums, bool is_all)
{
    double count = sums->questions ? (double)sums->questions : 1;

    for (size_t m = is_all ? 0 : METHOD_CONTEXT; m < METHODS_COUNT; m++) {
        printf("%-16s %-14s", m == METHOD_CONTEXT || !m ? name : "", method_names[m]);
        for (size_t b = 0; b < BUDGETS_COUNT; b++)
            printf("   %.3f (%4.0f)", sums->recall[m][b] / count, sums->tokens[m][b] / count);
        putchar('\n');
    }
}

static void add_sums(struct sums *to, const struct sums *from)
{
    for (size_t m = 0; m < METHODS_COUNT; m++) {
        for (size_t b = 0; b < BUDGETS_COUNT; b++) {
            to->recall[m][b] += from->recall[m][b];
            to->tokens[m][b] += from->tokens[m][b];
        }
    }
    to->questions += from->questions;
}

static int run_talk(struct memory *memory, const char *line, struct sums *all, struct err *err)
{
    json_error_t why;
    json_auto_t *root = json_loads(line, 0, &why);
    struct conversation *conversation = NULL;
    struct talk talk;
    struct sums sums = { 0 };
    int rc;

    if (!root)
        return err_set(err, ERR_INPUT, "not JSON: %s", why.text);
    read_talk(root, &talk);
    rc = import(memory, &talk, &conversation, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(talk.questions); i++) {
        const json_t *question = json_array_get(talk.questions, i);
        const char *text = json_string_value(json_object_get(question, "question"));
        struct evidence evidence = find_evidence(&talk, question);

        compare_question(&talk, text, &evidence, &sums);
        ask(memory, conversation, &talk, text, &evidence, &sums);
        sums.questions++;
    }
    memory_conversation_end(memory, conversation);
    print_sums(talk.name, &sums, false);
    add_sums(all, &sums);
    free(talk.turns);
    free(talk.ids);
    return rc;
}

static int run_file(struct memory *memory, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    struct sums all = { 0 };
    char *line = NULL;
    size_t capacity = 0;
    int rc = 0;

    if (!file)
        return err_set_errno(err, ERR_INPUT, "%s", path);
    printf("evidence recall (mean tokens)   at   500             1000             2000\n");
    while (rc == 0 && getline(&line, &capacity, file) > 0)
        rc = run_talk(memory, line, &all, err);
    free(line);
    fclose(file);
    if (rc == 0)
        print_sums("all", &all, true);
    return rc;
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/bench-recall-XXXXXX";
    struct memory_options options = { .store = MEMORY_STORE_SQLITE,
                                      .durability = MEMORY_DURABILITY_TURN,
                                      .snapshot_interval_ms = INT64_C(3600000),
                                      .max_bytes = INT64_C(256) << 20,
                                      .cache_ttl_ms = INT64_C(3600000),
                                      .session_ttl_ms = INT64_C(86400000),
                                      .retention_ms = INT64_C(36500) * 86400000,
                                      .max_turns = MAX_TURNS,
                                      .files_dir = "",
                                      .encryption_key_file = "" };
    struct metrics *metrics = metrics_new();
    struct memory *memory = NULL;
    struct err err = { 0 };
    int rc;

    if (argc < 2) {
        printf("bench_recall: make bench-recall DATA=FILE measures recall\n");
        metrics_free(metrics);
        return 0;
    }
    if (!mkdtemp(directory))
        return 1;
    options.state_dir = directory;
    rc = memory_open(&options, metrics, &memory, &err);
    if (rc == 0)
        rc = run_file(memory, argv[1], &err);
    memory_close(memory);
    metrics_free(metrics);
    if (rc < 0)
        fprintf(stderr, "bench_recall: %s\n", err.message);
    if (file_remove_tree(directory, NULL) < 0)
        fprintf(stderr, "bench_recall: %s stays behind\n", directory);
    return rc < 0;
}
