#include "memory/recall.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/dates.h"
#include "memory/words.h"

/*
 * The weights below were found by hill climbing on five long conversations between two people,
 * and rounded. Found on four of them they do about as well on the fifth, so they are not about
 * these five; other kinds of talk have not been measured.
 */

/* BM25. A power of the inverse document frequency above 1 favours rare words more than the
 * textbook does: in a dialogue the common words of its subject say little. */
#define K1        2.5
#define B         0.7
#define IDF_POWER 1.5

/* What a kind of match counts, relative to a word of the question. */
#define WEIGHT_STUMP  0.2 /* a relative: "configure", "configuration" */
#define WEIGHT_PAIR   0.3 /* on top: two words of the question, one after the other */
#define WEIGHT_AUTHOR 0.3 /* somebody's name in the text, rather than above it */
#define WEIGHT_STOP   0.1

/* What a turn gets of the turns before and after it. */
#define REACH 3
static const double from_before[REACH] = { 0.4, 0.4, 0.1 };
static const double from_after[REACH] = { 0.3, 0.25, 0.2 };
#define FROM_QUESTION 0.3 /* on top, when the turn before is a question: this is its answer */
#define FROM_SESSION  0.1

/* Shares by which a turn's score is raised or lowered. */
#define BONUS_AUTHOR       0.75 /* said by the one that the question names */
#define BONUS_COVERAGE     0.55 /* all words of the question are around it */
#define BONUS_DATE         2.0  /* said on the day asked about */
#define BONUS_TIME         0.6  /* "when": it says a time */
#define BONUS_FIRST_PERSON 0.13
#define LOSS_QUESTION      0.3
#define FLOOR_AUTHOR       0.1 /* of the best: whatever the one asked about said may be it */
#define FLOOR_DATE         0.1 /* ... or whatever was said on that day */
#define LENGTH_POWER       0.13
#define WORTH_POWER        0.35

#define TERMS_MAX     48
#define TABLE_SLOTS   256 /* a power of two, some times TERMS_MAX */
#define AUTHORS_MAX   32
#define AUTHOR_WORDS  3
#define PAIR_SEED     UINT64_C(31)
#define SESSION_K     1.0
#define SESSION_B     0.5
#define COVERAGE_NEAR 0.7
#define COVERAGE_FAR  0.4

enum term_kind { TERM_STEM, TERM_STUMP, TERM_PAIR };

struct term {
    uint64_t hash;
    enum term_kind kind;
    double weight; /* times the inverse document frequency, once that is known */
    size_t turns;  /* that have it */
};

struct author {
    const char *name;
    uint64_t words[AUTHOR_WORDS]; /* stems of the name */
    size_t words_count;
    bool is_asked; /* the question is about them */
};

/* What is known of a turn. */
struct reading {
    uint32_t words; /* that are no stop words */
    uint32_t session;
    int author; /* -1: none */
    bool is_question;
    bool says_time;
    bool is_first_person;
};

struct ranking {
    const struct recall_turn *turns;
    const struct recall_question *question;
    size_t count;
    struct reading *readings;
    uint8_t *found; /* a row of TERMS_MAX counts for each turn */
    struct term terms[TERMS_MAX];
    size_t terms_count;
    uint8_t table[TABLE_SLOTS]; /* index of a term + 1, open addressing */
    struct author authors[AUTHORS_MAX];
    size_t authors_count;
    double mean_words;
    size_t sessions;
    bool asks_when;
    bool names_author;
    bool has_match; /* of more than stop words */
    bool has_date;
    struct date_range date;
    /* While words are visited. */
    uint64_t before; /* the stem before this word, 0 for none */
    struct reading *reading;
    uint8_t *row;
};

/* ---- the question -------------------------------------------------------------------------
 */

static size_t slot_of(uint64_t hash, enum term_kind kind)
{
    return (size_t)((hash >> 24) ^ hash ^ (uint64_t)kind) & (TABLE_SLOTS - 1);
}

static int find_term(const struct ranking *ranking, uint64_t hash, enum term_kind kind)
{
    for (size_t slot = slot_of(hash, kind); ranking->table[slot];
         slot = (slot + 1) & (TABLE_SLOTS - 1)) {
        int index = ranking->table[slot] - 1;

        if (ranking->terms[index].hash == hash && ranking->terms[index].kind == kind)
            return index;
    }
    return -1;
}

static void add_term(struct ranking *ranking, uint64_t hash, enum term_kind kind, double weight)
{
    int known = find_term(ranking, hash, kind);
    size_t slot = slot_of(hash, kind);

    if (known >= 0) {
        if (ranking->terms[known].weight < weight)
            ranking->terms[known].weight = weight;
        return;
    }
    if (ranking->terms_count == TERMS_MAX)
        return;
    while (ranking->table[slot])
        slot = (slot + 1) & (TABLE_SLOTS - 1);
    ranking->terms[ranking->terms_count++] =
        (struct term){ .hash = hash, .kind = kind, .weight = weight };
    ranking->table[slot] = (uint8_t)ranking->terms_count;
}

static bool is_name(struct ranking *ranking, uint64_t stem)
{
    bool found = false;

    for (size_t i = 0; i < ranking->authors_count; i++) {
        struct author *author = &ranking->authors[i];

        for (size_t w = 0; w < author->words_count; w++) {
            if (author->words[w] != stem)
                continue;
            author->is_asked = true;
            found = true;
        }
    }
    ranking->names_author = ranking->names_author || found;
    return found;
}

static void read_question_word(void *context, const struct word *word)
{
    struct ranking *ranking = context;

    if (word->flags & WORD_STOP) {
        add_term(ranking, word->stem, TERM_STEM, WEIGHT_STOP);
        return;
    }
    if (is_name(ranking, word->stem)) {
        add_term(ranking, word->stem, TERM_STEM, WEIGHT_AUTHOR);
        ranking->before = 0;
        return;
    }
    add_term(ranking, word->stem, TERM_STEM, 1);
    if (word->flags & WORD_WHOLE)
        return;
    if (word->stump)
        add_term(ranking, word->stump, TERM_STUMP, WEIGHT_STUMP);
    if (ranking->before)
        add_term(ranking, ranking->before * PAIR_SEED + word->stem, TERM_PAIR, WEIGHT_PAIR);
    ranking->before = word->stem;
}

struct asking {
    bool speaks_of_self;
    bool asks_when;
    uint64_t when;
};

static void note_when(void *context, const struct word *word)
{
    ((struct asking *)context)->when = word->stem;
}

static void read_asking_word(void *context, const struct word *word)
{
    struct asking *asking = context;

    if (word->flags & WORD_FIRST_PERSON)
        asking->speaks_of_self = true;
    if (word->stem == asking->when)
        asking->asks_when = true;
}

static void read_question(struct ranking *ranking)
{
    const struct recall_question *question = ranking->question;
    struct asking asking = { 0 };

    words_visit("when", 4, note_when, &asking);
    words_visit(question->text, strlen(question->text), read_asking_word, &asking);
    ranking->asks_when = asking.asks_when;
    ranking->before = 0;
    words_visit(question->text, strlen(question->text), read_question_word, ranking);
    ranking->has_date = dates_find(question->text, question->now_wall_s, &ranking->date);
    if (!asking.speaks_of_self || ranking->names_author || !*question->asker)
        return;
    /* "What did I say of ...?" */
    for (size_t i = 0; i < ranking->authors_count; i++) {
        if (strcmp(ranking->authors[i].name, question->asker) == 0)
            ranking->authors[i].is_asked = true;
    }
}

/* ---- the turns ----------------------------------------------------------------------------
 */

static void read_name_word(void *context, const struct word *word)
{
    struct author *author = context;

    if (author->words_count < AUTHOR_WORDS && !(word->flags & (WORD_STOP | WORD_WHOLE)))
        author->words[author->words_count++] = word->stem;
}

/* Two or three people take turns, so a list is searched; who comes after AUTHORS_MAX is nobody.
 */
static int find_author(struct ranking *ranking, const char *name)
{
    struct author *author;

    if (!*name)
        return -1;
    for (size_t i = 0; i < ranking->authors_count; i++) {
        if (strcmp(ranking->authors[i].name, name) == 0)
            return (int)i;
    }
    if (ranking->authors_count == AUTHORS_MAX)
        return -1;
    author = &ranking->authors[ranking->authors_count++];
    author->name = name;
    words_visit(name, strlen(name), read_name_word, author);
    return (int)ranking->authors_count - 1;
}

static void read_heads(struct ranking *ranking)
{
    uint32_t session = 0;

    for (size_t i = 0; i < ranking->count; i++) {
        if (i > 0 && ranking->turns[i].at_wall_s - ranking->turns[i - 1].at_wall_s >
                         RECALL_SESSION_GAP_S)
            session++;
        ranking->readings[i].session = session;
        ranking->readings[i].author = find_author(ranking, ranking->turns[i].author);
    }
    ranking->sessions = (size_t)session + 1;
}

static void count_match(struct ranking *ranking, uint64_t hash, enum term_kind kind)
{
    int index = find_term(ranking, hash, kind);

    if (index < 0 || ranking->row[index] == UINT8_MAX)
        return;
    if (ranking->row[index]++ == 0)
        ranking->terms[index].turns++;
}

static void read_turn_word(void *context, const struct word *word)
{
    struct ranking *ranking = context;
    struct reading *reading = ranking->reading;

    count_match(ranking, word->stem, TERM_STEM);
    if (word->flags & WORD_TIME)
        reading->says_time = true;
    if (word->flags & WORD_FIRST_PERSON)
        reading->is_first_person = true;
    if (word->flags & WORD_WHOLE)
        return;
    if (word->stump)
        count_match(ranking, word->stump, TERM_STUMP);
    if (word->flags & WORD_STOP)
        return;
    reading->words++;
    if (ranking->before)
        count_match(ranking, ranking->before * PAIR_SEED + word->stem, TERM_PAIR);
    ranking->before = word->stem;
}

static bool ends_in_question(const char *text, size_t len)
{
    while (len > 0 && strchr(" \n\t", text[len - 1]))
        len--;
    return len > 0 && text[len - 1] == '?';
}

static void read_turns(struct ranking *ranking)
{
    double sum = 0;

    for (size_t i = 0; i < ranking->count; i++) {
        const char *text = ranking->turns[i].text;
        size_t len = strlen(text);

        ranking->reading = &ranking->readings[i];
        ranking->row = ranking->found + i * TERMS_MAX;
        ranking->before = 0;
        ranking->reading->is_question = ends_in_question(text, len);
        words_visit(text, len, read_turn_word, ranking);
        sum += ranking->reading->words;
    }
    ranking->mean_words = sum > 0 ? sum / (double)ranking->count : 1;
    for (size_t t = 0; t < ranking->terms_count; t++) {
        struct term *term = &ranking->terms[t];
        double with = (double)term->turns + 0.5;
        double without = (double)(ranking->count - term->turns) + 0.5;

        if (term->turns && term->weight > WEIGHT_STOP)
            ranking->has_match = true;
        term->weight *= pow(log(1 + without / with), IDF_POWER);
    }
}

/* ---- scores -------------------------------------------------------------------------------
 */

static double own_score(const struct ranking *ranking, size_t turn)
{
    const uint8_t *row = ranking->found + turn * TERMS_MAX;
    double length = ranking->readings[turn].words / ranking->mean_words;
    double norm = K1 * (1 - B + B * length);
    double score = 0;

    for (size_t t = 0; t < ranking->terms_count; t++) {
        if (row[t])
            score += ranking->terms[t].weight * row[t] * (K1 + 1) / (row[t] + norm);
    }
    return score;
}

static bool is_same_session(const struct ranking *ranking, size_t a, size_t b)
{
    return ranking->readings[a].session == ranking->readings[b].session;
}

static double smoothed_score(const struct ranking *ranking, const double *own, size_t turn)
{
    double score = own[turn];

    for (size_t d = 1; d <= REACH; d++) {
        if (turn >= d && is_same_session(ranking, turn - d, turn)) {
            double share = from_before[d - 1];

            if (d == 1 && ranking->readings[turn - 1].is_question)
                share += FROM_QUESTION;
            score += share * own[turn - d];
        }
        if (turn + d < ranking->count && is_same_session(ranking, turn + d, turn))
            score += from_after[d - 1] * own[turn + d];
    }
    return score;
}

/* The session of a turn, scored as if it were one turn; `*ret_end` is the next one's first. */
static double session_score(const struct ranking *ranking, size_t first, size_t *ret_end)
{
    uint32_t sums[TERMS_MAX] = { 0 };
    double words = 0;
    double mean = ranking->mean_words * (double)ranking->count / (double)ranking->sessions;
    double score = 0;
    double norm;
    size_t end = first;

    for (; end < ranking->count && is_same_session(ranking, first, end); end++) {
        for (size_t t = 0; t < ranking->terms_count; t++)
            sums[t] += ranking->found[end * TERMS_MAX + t];
        words += ranking->readings[end].words;
    }
    norm = SESSION_K * (1 - SESSION_B + SESSION_B * words / mean);
    for (size_t t = 0; t < ranking->terms_count; t++)
        score += ranking->terms[t].weight * sums[t] * (SESSION_K + 1) / (sums[t] + norm);
    *ret_end = end;
    return score;
}

/* The share of the question's words, by weight, that stand in the turn or near it. */
static double coverage(const struct ranking *ranking, size_t turn)
{
    double all = 0;
    double covered = 0;

    for (size_t t = 0; t < ranking->terms_count; t++) {
        double best = 0;

        if (ranking->terms[t].kind != TERM_STEM)
            continue;
        all += ranking->terms[t].weight;
        for (size_t d = 0; d <= 2; d++) {
            double share = d == 0 ? 1 : d == 1 ? COVERAGE_NEAR : COVERAGE_FAR;
            bool before = turn >= d && is_same_session(ranking, turn - d, turn) &&
                          ranking->found[(turn - d) * TERMS_MAX + t];
            bool after = turn + d < ranking->count &&
                         is_same_session(ranking, turn + d, turn) &&
                         ranking->found[(turn + d) * TERMS_MAX + t];

            if (before || after) {
                best = share;
                break;
            }
        }
        covered += best * ranking->terms[t].weight;
    }
    return all > 0 ? covered / all : 0;
}

static double factor_of(const struct ranking *ranking, size_t turn)
{
    const struct reading *reading = &ranking->readings[turn];
    double factor = 1 + BONUS_COVERAGE * coverage(ranking, turn);

    if (reading->is_question)
        factor *= 1 - LOSS_QUESTION;
    if (ranking->asks_when && reading->says_time)
        factor *= 1 + BONUS_TIME;
    if (reading->is_first_person)
        factor *= 1 + BONUS_FIRST_PERSON;
    if (ranking->has_date)
        factor *=
            1 + BONUS_DATE * dates_closeness(&ranking->date, ranking->turns[turn].at_wall_s);
    return factor * pow((reading->words + 2) / (ranking->mean_words + 2), LENGTH_POWER);
}

static double max_of(const double *scores, size_t count)
{
    double best = 0;

    for (size_t i = 0; i < count; i++)
        best = scores[i] > best ? scores[i] : best;
    return best;
}

/* What neither a word nor a neighbour gave: said by the one, or on the day, asked about. */
static double raised_score(const struct ranking *ranking, size_t turn, double score,
                           double best)
{
    int author = ranking->readings[turn].author;

    if (ranking->has_date)
        score +=
            FLOOR_DATE * best * dates_closeness(&ranking->date, ranking->turns[turn].at_wall_s);
    if (author >= 0 && ranking->authors[author].is_asked)
        score = (score + FLOOR_AUTHOR * best) * (1 + BONUS_AUTHOR);
    return score > 0 ? score * factor_of(ranking, turn) : 0;
}

static void score_turns(const struct ranking *ranking, double *scores)
{
    AUTO_FREE double *own = xcalloc(ranking->count, sizeof(*own));
    double best;

    for (size_t i = 0; ranking->has_match && i < ranking->count; i++)
        own[i] = own_score(ranking, i);
    for (size_t i = 0, end; ranking->has_match && i < ranking->count; i = end) {
        double of_session = FROM_SESSION * session_score(ranking, i, &end);

        for (size_t turn = i; turn < end; turn++)
            scores[turn] = smoothed_score(ranking, own, turn) + of_session;
    }
    best = max_of(scores, ranking->count);
    for (size_t i = 0; i < ranking->count; i++)
        scores[i] = raised_score(ranking, i, scores[i], best > 0 ? best : 1);
}

bool recall_rank(const struct recall_turn *turns, size_t count,
                 const struct recall_question *question, double *ret_scores)
{
    struct ranking ranking = { .turns = turns, .question = question, .count = count };
    double best;

    memset(ret_scores, 0, count * sizeof(*ret_scores));
    if (!count)
        return false;
    ranking.readings = xcalloc(count, sizeof(*ranking.readings));
    read_heads(&ranking);
    read_question(&ranking);
    if (ranking.terms_count) {
        ranking.found = xcalloc(count, TERMS_MAX);
        read_turns(&ranking);
        score_turns(&ranking, ret_scores);
    }
    best = max_of(ret_scores, count);
    for (size_t i = 0; best > 0 && i < count; i++)
        ret_scores[i] /= best;
    free(ranking.found);
    free(ranking.readings);
    return best > 0;
}

double recall_worth(double score, size_t bytes)
{
    return score / pow((double)(bytes ? bytes : 1), WORTH_POWER);
}
