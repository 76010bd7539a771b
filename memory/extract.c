/*
 * extract.c - a summary without any model: of the sentences there are, those that say most.
 *
 * A sentence is worth what it shares with all the others (cosine of its terms, weighted by
 * rarity, with their sum) and what it does: decides, introduces, answers, names something that
 * must be kept. It is worth less the more it repeats what was chosen already. The earlier
 * summary's sentences compete like the new ones, within a share of the room that grows with the
 * turns they stand for, so that old matters fade slowly and not all at once.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/line.h"
#include "memory/summary.h"
#include "memory/summary_text.h"

#define SENTENCES_MAX      1024
#define TERMS_MAX          48  /* of one sentence */
#define SENTENCE_MAX_BYTES 320 /* what is longer is cut at a word */
#define SENTENCE_MIN_TERMS 5   /* of one that says something, unless it is something exact */
#define CUT_MARK           "..."
#define OLD_SHARE_MIN      50 /* per cent of the room */
#define OLD_SHARE_MAX      85

#define WORTH_DECISION     0.5
#define WORTH_INTRODUCTION 0.35
#define WORTH_ANSWER       0.2
#define WORTH_QUESTION     0.05
#define WORTH_FIRST        0.1
#define WORTH_KEPT         0.12 /* each, up to KEPT_COUNTED */
#define KEPT_COUNTED       3
#define WORTH_USER         0.08
#define COST_OF_FEW_TERMS  0.5
#define COST_OF_MANNERS    1.0
#define MANNERS_MAX_TERMS  7
#define COST_OF_REPEATING  0.7
#define SAID_ALREADY       0.95
#define WORTH_TELLING      0.1 /* what is worth less is left out even where there is room */

struct sentence {
    struct summary_span speaker;
    struct summary_span text;
    bool is_cut;
    bool is_old;
    bool is_chosen;
    size_t turn; /* sentences of one turn are told in one line */
    size_t term_count;
    uint64_t terms[TERMS_MAX]; /* ascending, each once */
    double norm;
    double worth;
    double repeated; /* the nearest of those chosen: 0 to 1 */
};

/* How many sentences hold a term: open addressing, for it is asked a great deal. */
struct term_count {
    uint64_t term;
    uint32_t sentences;
};

struct extraction {
    struct sentence *sentences;
    size_t count;
    size_t turns;
    struct term_count *counts;
    size_t slots; /* a power of two, at least twice the terms */
};

/* ---- gathering --------------------------------------------------------------------------- */

static int compare_terms(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void cut_sentence(struct sentence *sentence)
{
    size_t len;

    if (sentence->text.len <= SENTENCE_MAX_BYTES)
        return;
    len = utf8_cut(sentence->text.text, sentence->text.len, SENTENCE_MAX_BYTES);
    for (size_t back = len; back > len / 2; back--) {
        if (sentence->text.text[back] == ' ') {
            len = back;
            break;
        }
    }
    sentence->text.len = len;
    sentence->is_cut = true;
}

static void add_sentence(struct extraction *extraction, const struct summary_line *line,
                         struct summary_span text, bool is_old)
{
    struct sentence *sentence = &extraction->sentences[extraction->count];
    size_t kept = 0;

    if (extraction->count == SENTENCES_MAX)
        return;
    *sentence = (struct sentence){
        .speaker = line->speaker, .text = text, .is_old = is_old, .turn = extraction->turns
    };
    cut_sentence(sentence);
    sentence->term_count = summary_terms(sentence->text, sentence->terms, TERMS_MAX);
    qsort(sentence->terms, sentence->term_count, sizeof(uint64_t), compare_terms);
    for (size_t i = 0; i < sentence->term_count; i++) {
        if (!kept || sentence->terms[kept - 1] != sentence->terms[i])
            sentence->terms[kept++] = sentence->terms[i];
    }
    sentence->term_count = kept;
    if (kept)
        extraction->count++;
}

static void add_text(struct extraction *extraction, const char *text, size_t len, bool is_old,
                     bool wants_code)
{
    struct summary_reader reader;
    struct summary_line line;

    summary_reader_init(&reader, text, len);
    while (summary_reader_next(&reader, &line)) {
        struct summary_span sentence;

        if (line.begins_turn)
            extraction->turns++;
        if (line.is_heading || (line.is_code && !wants_code))
            continue;
        while (summary_take_sentence(&line.body, &sentence))
            add_sentence(extraction, &line, sentence, is_old);
    }
}

/* ---- weighing ---------------------------------------------------------------------------- */

static struct term_count *slot_of(const struct extraction *extraction, uint64_t term)
{
    size_t at = (size_t)term & (extraction->slots - 1);

    while (extraction->counts[at].sentences && extraction->counts[at].term != term)
        at = (at + 1) & (extraction->slots - 1);
    return &extraction->counts[at];
}

static void count_terms(struct extraction *extraction)
{
    size_t terms = 0;

    for (size_t i = 0; i < extraction->count; i++)
        terms += extraction->sentences[i].term_count;
    extraction->slots = 64;
    while (extraction->slots < terms * 2)
        extraction->slots *= 2;
    extraction->counts = xcalloc(extraction->slots, sizeof(*extraction->counts));
    for (size_t i = 0; i < extraction->count; i++) {
        const struct sentence *sentence = &extraction->sentences[i];

        for (size_t t = 0; t < sentence->term_count; t++) {
            struct term_count *slot = slot_of(extraction, sentence->terms[t]);

            slot->term = sentence->terms[t];
            slot->sentences++;
        }
    }
}

static double rarity(const struct extraction *extraction, uint64_t term)
{
    return log(1.0 + (double)extraction->count / slot_of(extraction, term)->sentences);
}

/* The cosine of a sentence with the sum of all of them. */
static void weigh_centrality(struct extraction *extraction)
{
    double whole = 0;
    double highest = 0;

    for (size_t i = 0; i < extraction->slots; i++) {
        const struct term_count *slot = &extraction->counts[i];

        if (slot->sentences) {
            double weight = slot->sentences * rarity(extraction, slot->term);

            whole += weight * weight;
        }
    }
    for (size_t i = 0; i < extraction->count; i++) {
        struct sentence *sentence = &extraction->sentences[i];
        double square = 0;
        double shared = 0;

        for (size_t t = 0; t < sentence->term_count; t++) {
            double weight = rarity(extraction, sentence->terms[t]);

            square += weight * weight;
            shared += weight * weight * slot_of(extraction, sentence->terms[t])->sentences;
        }
        sentence->norm = sqrt(square);
        sentence->worth = shared / (sentence->norm * sqrt(whole));
        highest = sentence->worth > highest ? sentence->worth : highest;
    }
    for (size_t i = 0; i < extraction->count && highest > 0; i++)
        extraction->sentences[i].worth /= highest;
}

static bool is_same_speaker(const struct sentence *a, const struct sentence *b)
{
    return a->speaker.len == b->speaker.len &&
           memcmp(a->speaker.text, b->speaker.text, a->speaker.len) == 0;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static size_t count_kept(const struct sentence *sentence)
{
    AUTO_FREE char *text = xstrndup(sentence->text.text, sentence->text.len);
    AUTO_BUF struct buf items = { 0 };

    buf_init(&items, SUMMARY_PINNED_MAX_BYTES);
    summary_must_keep(text, &items);
    return count_lines(buf_text(&items));
}

/* Digits and signs of code: short and exact. */
static bool is_exact(const struct sentence *sentence)
{
    for (size_t i = 0; i < sentence->text.len; i++) {
        if (strchr("0123456789/_()`", sentence->text.text[i]))
            return true;
    }
    return false;
}

static bool is_manners(const struct sentence *sentence)
{
    static const char phrases[] =
        "hello|hi|hey|good morning|good evening|thanks|thank you|thx|you are welcome|"
        "you're welcome|no problem|nice to meet|nice day|see you|bye|goodbye|how can i help|"
        "anything else|glad to|sounds good|great question|hallo|guten morgen|danke|gerne|"
        "gern geschehen|tschüss|bonjour|merci|de rien|hola|gracias|de nada|obrigado|grazie|"
        "спасибо|привет|こんにちは|ありがとう|你好|谢谢";

    return sentence->term_count <= MANNERS_MAX_TERMS &&
           summary_holds_any(sentence->text, phrases);
}

/* What a sentence does in the conversation. */
static void weigh_roles(struct extraction *extraction)
{
    for (size_t i = 0; i < extraction->count; i++) {
        struct sentence *sentence = &extraction->sentences[i];
        const struct sentence *before = i ? sentence - 1 : NULL;
        size_t kept = count_kept(sentence);

        if (summary_is_decision(sentence->text))
            sentence->worth += WORTH_DECISION;
        if (summary_is_introduction(sentence->text))
            sentence->worth += WORTH_INTRODUCTION;
        if (before && summary_is_question(before->text) && !is_same_speaker(before, sentence))
            sentence->worth += WORTH_ANSWER;
        if (summary_is_question(sentence->text))
            sentence->worth += WORTH_QUESTION;
        if (!before || before->turn != sentence->turn)
            sentence->worth += WORTH_FIRST;
        if (sentence->speaker.len &&
            !(sentence->speaker.len == strlen(LINE_ASSISTANT) &&
              memcmp(sentence->speaker.text, LINE_ASSISTANT, sentence->speaker.len) == 0))
            sentence->worth += WORTH_USER;
        sentence->worth += WORTH_KEPT * (double)(kept < KEPT_COUNTED ? kept : KEPT_COUNTED);
        if (sentence->term_count < SENTENCE_MIN_TERMS && !is_exact(sentence))
            sentence->worth -= COST_OF_FEW_TERMS;
        if (!kept && is_manners(sentence))
            sentence->worth -= COST_OF_MANNERS;
    }
}

/* ---- choosing ---------------------------------------------------------------------------- */

static double likeness(const struct extraction *extraction, const struct sentence *a,
                       const struct sentence *b)
{
    double shared = 0;

    for (size_t i = 0, j = 0; i < a->term_count && j < b->term_count;) {
        if (a->terms[i] < b->terms[j]) {
            i++;
        } else if (a->terms[i] > b->terms[j]) {
            j++;
        } else {
            double weight = rarity(extraction, a->terms[i]);

            shared += weight * weight;
            i++;
            j++;
        }
    }
    return a->norm > 0 && b->norm > 0 ? shared / (a->norm * b->norm) : 0;
}

/* Its line may have to be begun for it. */
static size_t cost_of(const struct sentence *sentence)
{
    return sentence->text.len + (sentence->is_cut ? strlen(CUT_MARK) : 0) +
           sentence->speaker.len + strlen(": ") + 1;
}

static double value_of(const struct sentence *sentence)
{
    return sentence->worth - COST_OF_REPEATING * sentence->repeated;
}

/* The most valuable sentence that fits; NULL when none does. */
static struct sentence *best_of(struct extraction *extraction, size_t room, bool is_old,
                                bool is_any)
{
    struct sentence *best = NULL;

    for (size_t i = 0; i < extraction->count; i++) {
        struct sentence *sentence = &extraction->sentences[i];

        if (sentence->is_chosen || value_of(sentence) < WORTH_TELLING ||
            sentence->repeated > SAID_ALREADY || cost_of(sentence) > room ||
            (!is_any && sentence->is_old != is_old))
            continue;
        if (!best || value_of(sentence) > value_of(best))
            best = sentence;
    }
    return best;
}

/* Returns what is left of the room. */
static size_t choose(struct extraction *extraction, size_t room, bool is_old, bool is_any)
{
    struct sentence *best;

    while ((best = best_of(extraction, room, is_old, is_any)) != NULL) {
        best->is_chosen = true;
        room -= cost_of(best);
        for (size_t i = 0; i < extraction->count; i++) {
            struct sentence *other = &extraction->sentences[i];
            double like = other->is_chosen ? 0 : likeness(extraction, other, best);

            other->repeated = like > other->repeated ? like : other->repeated;
        }
    }
    return room;
}

static size_t room_for_old(const struct summary_work *work, size_t max_bytes)
{
    int64_t turns = work->last_seq - work->first_seq + 1;
    int64_t share = turns > 0 ? 100 - (int64_t)work->turns_count * 100 / turns : 0;

    if (!work->previous)
        return 0;
    share = share < OLD_SHARE_MIN ? OLD_SHARE_MIN : share;
    share = share > OLD_SHARE_MAX ? OLD_SHARE_MAX : share;
    return max_bytes * (size_t)share / 100;
}

static void tell(const struct extraction *extraction, struct buf *out)
{
    const struct sentence *before = NULL;

    for (size_t i = 0; i < extraction->count; i++) {
        const struct sentence *sentence = &extraction->sentences[i];

        if (!sentence->is_chosen)
            continue;
        if (before && before->turn == sentence->turn) {
            buf_append_char(out, ' ');
        } else {
            if (before)
                buf_append_char(out, '\n');
            buf_append(out, sentence->speaker.text, sentence->speaker.len);
            if (sentence->speaker.len)
                buf_append_text(out, ": ");
        }
        buf_append(out, sentence->text.text, sentence->text.len);
        if (sentence->is_cut)
            buf_append_text(out, CUT_MARK);
        before = sentence;
    }
}

void summary_extract(const struct summary_work *work, size_t max_bytes, struct buf *out)
{
    struct extraction extraction = { 0 };
    const char *turns = buf_text(&work->turns);
    size_t old_room = room_for_old(work, max_bytes);
    size_t room;

    extraction.sentences = xcalloc(SENTENCES_MAX, sizeof(*extraction.sentences));
    if (work->previous)
        add_text(&extraction, work->previous, strlen(work->previous), true, true);
    add_text(&extraction, turns, work->turns.len, false, false);
    if (!extraction.count) /* nothing but code was said */
        add_text(&extraction, turns, work->turns.len, false, true);
    if (extraction.count) {
        count_terms(&extraction);
        weigh_centrality(&extraction);
        weigh_roles(&extraction);
        room = choose(&extraction, old_room, true, false);
        room = choose(&extraction, room + max_bytes - old_room, false, false);
        choose(&extraction, room, false, true);
        tell(&extraction, out);
    }
    free(extraction.counts);
    free(extraction.sentences);
}
