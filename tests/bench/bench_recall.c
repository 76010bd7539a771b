/*
 * bench_recall.c - how much of what a question needs stands in the context that it gets: long
 * conversations with questions and the turns that hold each answer, one JSON object a line:
 *
 *   {"name", "turns": [{"id", "speaker", "text", "at"}],
 *    "questions": [{"question", "evidence": [turn ids]}]}
 *
 * `threadkeeper memory import` takes them into a memory of their own, `threadkeeper memory
 * context` gets each question with a budget of 500, 1000 and 2000 tokens. Evidence recall: the
 * share of a question's evidence turns whose text stands in the context, averaged over
 * questions. Beside it, over the same turns in the same run: the last ten turns, and plain
 * BM25, each cut where the budget ends.
 *
 *   bench_recall FILE
 */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "memory/context.h"
#include "memory/memory.h"
#include "memory/words.h"

#define BUDGETS_COUNT    3
#define EVIDENCE_MAX     64
#define TERMS_MAX        64
#define LAST_TURNS       10
#define ARGUMENTS_MAX    8
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
    size_t questions;
};

static const char *question_text(const struct talk *talk, size_t at)
{
    return json_string_value(json_object_get(json_array_get(talk->questions, at), "question"));
}

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

/* ---- the program ------------------------------------------------------------------------- */

/* Where it all is, and the program's command line. */
struct place {
    char directory[32];
    char *config;
    char *input;
    char *output;
    const char *program;
};

/* Runs `threadkeeper -c CONFIG memory ARGUMENT...` from input to output; -1 when it fails. */
static int run_memory(const struct place *place, const char *const *arguments, struct err *err)
{
    const char *argv[ARGUMENTS_MAX + 5] = { place->program, "-c", place->config, "memory" };
    posix_spawn_file_actions_t actions;
    int status = -1;
    pid_t pid;
    int rc;

    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i]; i++)
        argv[4 + i] = arguments[i];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, place->input, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, place->output,
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    rc = posix_spawn(&pid, place->program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0)
        return err_set(err, ERR_SYSTEM, "cannot run %s", place->program);
    while (waitpid(pid, &status, 0) < 0)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_SYSTEM, "%s memory %s failed", place->program, arguments[0]);
    return 0;
}

static int import(const struct place *place, const struct talk *talk, struct err *err)
{
    static const char *const arguments[] = { "import", "-", NULL };
    FILE *file = fopen(place->input, "we");

    if (!file)
        return err_set_errno(err, ERR_SYSTEM, "%s", place->input);
    for (size_t i = 0; i < talk->count; i++) {
        const struct memory_turn *turn = &talk->turns[i];
        json_auto_t *line =
            json_pack("{s:s, s:s, s:s, s:s, s:I}", "key", talk->name, "role",
                      turn->role == MEMORY_ROLE_USER ? "user" : "assistant", "author",
                      turn->author, "text", turn->text, "at", (json_int_t)turn->at_wall_s);

        json_dumpf(line, file, JSON_COMPACT);
        fputc('\n', file);
    }
    if (fclose(file) != 0)
        return err_set_errno(err, ERR_SYSTEM, "%s", place->input);
    return run_memory(place, arguments, err);
}

static int write_questions(const struct place *place, const struct talk *talk, struct err *err)
{
    FILE *file = fopen(place->input, "we");

    if (!file)
        return err_set_errno(err, ERR_SYSTEM, "%s", place->input);
    for (size_t i = 0; i < json_array_size(talk->questions); i++) {
        const char *text = question_text(talk, i);

        for (; *text; text++)
            fputc(*text == '\n' ? ' ' : *text, file);
        fputc('\n', file);
    }
    if (fclose(file) != 0)
        return err_set_errno(err, ERR_SYSTEM, "%s", place->input);
    return 0;
}

/* What one answer holds of its question's evidence. */
static int judge(const struct talk *talk, size_t question, const char *line, size_t budget,
                 struct sums *sums, struct err *err)
{
    struct evidence evidence = find_evidence(talk, json_array_get(talk->questions, question));
    json_error_t why;
    json_auto_t *answer = json_loads(line, 0, &why);
    const char *context = json_string_value(json_object_get(answer, "context"));
    int64_t tokens = json_integer_value(json_object_get(answer, "tokens"));
    size_t found = 0;

    if (!context)
        return err_set(err, ERR_SYSTEM, "no context in: %.200s", line);
    if (tokens > budgets[budget] ||
        utf8_length(context, strlen(context)) > (size_t)budgets[budget] * CHARACTERS_TOKEN)
        return err_set(err, ERR_SYSTEM, "a context of %" PRId64 " tokens, %" PRId64 " allowed",
                       tokens, budgets[budget]);
    for (size_t e = 0; e < evidence.count; e++)
        found += strstr(context, talk->turns[evidence.turns[e]].text) != NULL;
    sums->recall[METHOD_CONTEXT][budget] += share(found, evidence.count);
    sums->tokens[METHOD_CONTEXT][budget] += (double)tokens;
    return 0;
}

static int ask(const struct place *place, const struct talk *talk, size_t budget,
               struct sums *sums, struct err *err)
{
    AUTO_FREE char *tokens = xasprintf("%" PRId64, budgets[budget]);
    const char *arguments[] = { "context", talk->name, "-", "--budget", tokens, NULL };
    size_t asked = json_array_size(talk->questions);
    char *line = NULL;
    size_t capacity = 0;
    size_t answered = 0;
    FILE *file;
    int rc;

    if (run_memory(place, arguments, err) < 0)
        return -1;
    file = fopen(place->output, "re");
    if (!file)
        return err_set_errno(err, ERR_SYSTEM, "%s", place->output);
    for (rc = 0; rc == 0 && answered < asked && getline(&line, &capacity, file) > 0; answered++)
        rc = judge(talk, answered, line, budget, sums, err);
    free(line);
    fclose(file);
    if (rc == 0 && answered < asked)
        return err_set(err, ERR_SYSTEM, "%zu answers to %zu questions", answered, asked);
    return rc;
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

static int run_talk(const struct place *place, const char *line, struct sums *all,
                    struct err *err)
{
    json_error_t why;
    json_auto_t *root = json_loads(line, 0, &why);
    struct talk talk;
    struct sums sums = { 0 };
    int rc;

    if (!root)
        return err_set(err, ERR_INPUT, "not JSON: %s", why.text);
    read_talk(root, &talk);
    sums.questions = json_array_size(talk.questions);
    rc = import(place, &talk, err);
    for (size_t i = 0; rc == 0 && i < sums.questions; i++) {
        struct evidence evidence = find_evidence(&talk, json_array_get(talk.questions, i));

        compare_question(&talk, question_text(&talk, i), &evidence, &sums);
    }
    if (rc == 0)
        rc = write_questions(place, &talk, err);
    for (size_t b = 0; rc == 0 && b < BUDGETS_COUNT; b++)
        rc = ask(place, &talk, b, &sums, err);
    if (rc == 0)
        print_sums(talk.name, &sums, false);
    add_sums(all, &sums);
    free(talk.turns);
    free(talk.ids);
    return rc;
}

static int run_file(const struct place *place, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    struct sums all = { 0 };
    char *line = NULL;
    size_t capacity = 0;
    int rc = 0;

    if (!file)
        return err_set_errno(err, ERR_INPUT, "%s", path);
    printf("evidence recall (mean tokens)  at 500           1000           2000 tokens\n");
    while (rc == 0 && getline(&line, &capacity, file) > 0)
        rc = run_talk(place, line, &all, err);
    free(line);
    fclose(file);
    if (rc == 0)
        print_sums("all", &all, true);
    return rc;
}

/* No account is needed, and conversations of years ago are to stay. */
static int prepare(struct place *place, struct err *err)
{
    const char *program = getenv("TK_BIN"); /* NOLINT(concurrency-mt-unsafe): one thread */
    AUTO_FREE char *yaml = NULL;

    *place = (struct place){ .directory = "/tmp/bench-recall-XXXXXX" };
    place->program = program ? program : "build/release/threadkeeper";
    if (!mkdtemp(place->directory))
        return err_set_errno(err, ERR_SYSTEM, "%s", place->directory);
    place->config = xasprintf("%s/threadkeeper.yaml", place->directory);
    place->input = xasprintf("%s/input", place->directory);
    place->output = xasprintf("%s/output", place->directory);
    yaml = xasprintf("slack: { app_token: xapp-bench, bot_token: xoxb-bench }\n"
                     "memory: { retention: 3650d }\n"
                     "state_dir: %s/state\n",
                     place->directory);
    return file_write(place->config, yaml, strlen(yaml), 0600, err);
}

int main(int argc, char **argv)
{
    struct place place;
    struct err err = { 0 };
    int rc;

    if (argc < 2) {
        printf("bench_recall: make bench-recall DATA=FILE measures recall\n");
        return 0;
    }
    rc = prepare(&place, &err);
    if (rc == 0)
        rc = run_file(&place, argv[1], &err);
    if (rc < 0)
        fprintf(stderr, "bench_recall: %s\n", err.message);
    if (file_remove_tree(place.directory, NULL) < 0)
        fprintf(stderr, "bench_recall: %s stays behind\n", place.directory);
    free(place.config);
    free(place.input);
    free(place.output);
    return rc < 0;
}
