/* The part of profile.h that is about interests and technical terms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/profile_parts.h"

#define PHRASE_WORDS_MAX 3 /* of an interest in words of their own */
#define LIST_MAX         8

/* Where the words of `term` end that begin at `at`; `at` when others stand there. */
static size_t match_term(const struct sentence *sentence, size_t at,
                         const struct profile_term *term)
{
    const char *left = term->folded;
    size_t end = at;

    while (sentence_has_word(sentence, end)) {
        const char *word = sentence->tokens[end].folded;
        size_t len = strlen(word);

        if (strncmp(left, word, len) != 0 || (left[len] && left[len] != ' '))
            return at;
        end++;
        if (!left[len])
            return end;
        left += len + 1;
    }
    return at;
}

/* The longest term at `at`; *ret_end is behind it. */
static const struct profile_term *find_term(const struct sentence *sentence, size_t at,
                                            size_t *ret_end)
{
    const struct profile_term *best = NULL;
    const struct token *word = &sentence->tokens[at];
    size_t len;

    if (!sentence_has_word(sentence, at))
        return NULL;
    len = strlen(word->folded);
    *ret_end = at;
    for (const struct profile_term *term = profile_terms_from(word->folded);
         term->folded && strncmp(term->folded, word->folded, len) == 0; term++) {
        size_t end = match_term(sentence, at, term);

        if (end <= *ret_end ||
            (term->is_exact && strncmp(term->spelling, word->text, strlen(word->text)) != 0))
            continue;
        *ret_end = end;
        best = term;
    }
    return best;
}

void profile_fold(char *text)
{
    for (; *text; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 0x20);
    }
}

static void tell_interest(const struct sentence *sentence, const char *value)
{
    AUTO_FREE char *name = xasprintf("interest:%s", value);

    profile_fold(name);
    sentence->on_fact(sentence->context, name, value);
}

static bool ends_item(const struct sentence *sentence, size_t at)
{
    return !sentence_has_word(sentence, at) || sentence_word_is(sentence, at, WORDS_CUT) ||
           sentence_word_is(sentence, at, WORDS_CONNECTING);
}

/* "GraphQL", "ISO-8601", "three.js": written as only a thing's name is. */
static bool has_shape_of_a_name(const struct token *word)
{
    bool inner = false;

    for (const char *c = word->text + 1; *word->text && *c; c++)
        inner = inner || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '+' ||
                *c == '#' || *c == '.';
    return inner && !profile_ends_with(word->folded, "'s") &&
           !profile_word_is(WORDS_NO_NAME, word->folded);
}

static bool is_free_word(const struct sentence *sentence, size_t at)
{
    return sentence_has_word(sentence, at) && !sentence_word_is(sentence, at, WORDS_FUNCTION) &&
           !sentence_word_is(sentence, at, WORDS_SUPPOSING);
}

/* "running my own studio" is no sport. */
static bool has_object(const struct sentence *sentence, size_t at)
{
    static const char *const words[] = { "a",     "an",   "the",  "my",    "our", "your",
                                         "their", "this", "that", "these", "it" };

    for (size_t i = 0; sentence_has_word(sentence, at) && i < ARRAY_LEN(words); i++) {
        if (strcmp(sentence->tokens[at].folded, words[i]) == 0)
            return true;
    }
    return false;
}

/* One item of a list at `at`, which is no known term; returns its end, `at` for none. */
static size_t read_other_item(const struct sentence *sentence, size_t at,
                              enum interest_kind kind, bool is_first)
{
    const struct token *word = &sentence->tokens[at];
    size_t end = at;

    if (!is_free_word(sentence, at))
        return at;
    switch (kind) {
    case INTEREST_OPEN:
        while (is_free_word(sentence, end) && !ends_item(sentence, end))
            end++;
        return end - at <= (is_first ? PHRASE_WORDS_MAX : PHRASE_WORDS_MAX - 1) ? end : at;
    case INTEREST_USED:
        while (end - at < 2 && sentence_has_word(sentence, end) &&
               sentence->tokens[end].is_capital &&
               !sentence_word_is(sentence, end, WORDS_NO_NAME))
            end++;
        if (end > at)
            return ends_item(sentence, end) ? end : at;
        break;
    case INTEREST_LIKED:
        if (profile_word_is(WORDS_HOBBY, word->folded))
            return ends_item(sentence, at + 1) && !has_object(sentence, at + 1) ? at + 1 : at;
        break;
    }
    return has_shape_of_a_name(word) && ends_item(sentence, at + 1) ? at + 1 : at;
}

static size_t read_item(const struct sentence *sentence, size_t at, enum interest_kind kind,
                        bool is_first)
{
    const struct profile_term *term;
    AUTO_FREE char *value = NULL;
    size_t end = at;

    term = find_term(sentence, at, &end);
    if (term) {
        while (sentence_word_is(sentence, end, WORDS_TERM_TAIL))
            end++;
        if (ends_item(sentence, end)) {
            tell_interest(sentence, term->spelling);
            return end;
        }
        if (kind != INTEREST_OPEN)
            return at;
    }
    end = read_other_item(sentence, at, kind, is_first);
    value = end > at ? sentence_join(sentence, at, end) : NULL;
    if (!value)
        return at;
    tell_interest(sentence, value);
    return end;
}

/* "React, Node.js and chess": as far as the items are some. */
size_t interests_read(const struct sentence *sentence, size_t at, enum interest_kind kind)
{
    size_t end = at;

    for (size_t count = 0; count < LIST_MAX && at < sentence->end; count++) {
        size_t next = read_item(sentence, at, kind, count == 0);

        if (next == at)
            break;
        end = at = next;
        if (at < sentence->end && sentence->tokens[at].kind == TOKEN_BREAK)
            at++;
        if (sentence_word_is(sentence, at, WORDS_CONNECTING) ||
            (sentence_has_word(sentence, at) && strcmp(sentence->tokens[at].folded, "or") == 0))
            at++;
        if (at == end)
            break;
    }
    return end;
}

void profile_visit_terms(const char *text, profile_term_fn on_term, void *context)
{
    struct profile_text read;
    struct sentence all = { 0 };
    bool seen[PROFILE_TERMS_MAX] = { false };

    profile_read(text, &read);
    all.tokens = read.tokens;
    all.end = read.count;
    for (size_t i = 0, end; i < read.count; i = end) {
        const struct profile_term *term = find_term(&all, i, &end);
        size_t number;

        if (!term) {
            end = i + 1;
            continue;
        }
        number = profile_term_number(term);
        if (term->is_exact || number >= PROFILE_TERMS_MAX || seen[number])
            continue;
        seen[number] = true;
        on_term(context, number);
    }
    profile_text_deinit(&read);
}
