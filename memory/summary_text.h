/*
 * summary_text.h - reads conversation text (line.h) for the makers of summaries: lines with
 * their speakers, sentences, terms. Any language: ends of sentences as Unicode has them, pairs
 * of characters as terms where a script puts no blanks between words.
 *
 *     # 2026-11-21             a heading
 *     U0ALICE: what was said   a turn, or a line of an earlier summary
 *       its next line
 *     whatever else            a line of nobody
 *
 * Pure; any bytes will do.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef MEMORY_SUMMARY_TEXT_H
#define MEMORY_SUMMARY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed from the text. */
struct summary_span {
    const char *text;
    size_t len;
};

struct summary_line {
    struct summary_span speaker; /* empty when nobody is named */
    struct summary_span body;    /* without indent and speaker */
    bool is_heading;
    bool begins_turn;
    bool is_code; /* inside ``` fences, or one */
};

struct summary_reader {
    const char *at;
    const char *end;
    struct summary_span speaker; /* of the turn under way */
    bool is_fenced;
};
void summary_reader_init(struct summary_reader *reader, const char *text, size_t len);
bool summary_reader_next(struct summary_reader *reader, struct summary_line *ret_line);

/* Takes the next sentence, without blanks around it, off the front of `rest`; false at its end.
 */
bool summary_take_sentence(struct summary_span *rest, struct summary_span *ret_sentence);

/* True when the sentence ends with a question mark of some script. */
bool summary_is_question(struct summary_span sentence);

/*
 * The hashes of the terms in order, at most `max`; returns how many. A term is a word without
 * case and inflection (its first characters), or two neighbours in a script without blanks.
 */
size_t summary_terms(struct summary_span text, uint64_t *ret_terms, size_t max);

/* Says that something was decided ("we agreed on", "let's use", "wir nehmen", ...). */
bool summary_is_decision(struct summary_span sentence);

/* Introduces somebody or something ("my name is", "I work on", "we are building", ...). */
bool summary_is_introduction(struct summary_span sentence);

/* True when one of the phrases ("a|b c|d") stands in the text as whole words. ASCII case does
 * not matter. */
bool summary_holds_any(struct summary_span text, const char *phrases);

#endif
