/*
 * profile_parts.h - what the files behind profile.h share: a message as tokens, and the lists
 * of words.
 *
 *   profile_text.c    text -> tokens, without what is not the author's own words
 *   profile_words.c   the lists
 *   profile.c         the rules: names, roles
 *   profile_interests.c  interests, terms
 *
 * Owns:    struct profile_text its memory.
 * Threads: any.
 */
#ifndef MEMORY_PROFILE_PARTS_H
#define MEMORY_PROFILE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "memory/profile.h"

/* ---- tokens ------------------------------------------------------------------------------ */

enum token_kind {
    TOKEN_WORD,
    TOKEN_BREAK, /* a comma, dash, bracket, slash, emoji */
    TOKEN_COLON,
    TOKEN_OTHER, /* code, a quotation, a URL, a path */
    TOKEN_STOP,  /* the end of a sentence or a line */
};

struct token {
    enum token_kind kind;
    const char *text;   /* TOKEN_WORD: as written, with a plain apostrophe */
    const char *folded; /* in lower case */
    bool is_capital;    /* begins with a capital, or with a letter that knows no case */
    bool is_shouted;    /* two letters or more, all of them capitals */
    bool is_question;   /* TOKEN_STOP */
    bool is_plain;      /* letters, marks, "'" and "-" only */
};

struct profile_text {
    struct token *tokens; /* the last one is a TOKEN_STOP */
    size_t count;
    struct buf bytes; /* the words */
};
void profile_read(const char *text, struct profile_text *ret_text);
void profile_text_deinit(struct profile_text *text);

/* ---- sentences --------------------------------------------------------------------------- */

struct sentence {
    const struct token *tokens;
    size_t end; /* index of its TOKEN_STOP */
    profile_fact_fn on_fact;
    void *context;
};

bool profile_ends_with(const char *text, const char *end);
bool sentence_has_word(const struct sentence *sentence, size_t at);
/* Words [from, to) with blanks between; NULL when that is too long for a value. */
char *sentence_join(const struct sentence *sentence, size_t from, size_t to);

/* How a statement about interests is meant. */
enum interest_kind {
    INTEREST_LIKED, /* "I like": terms and pastimes */
    INTEREST_USED,  /* "we use": things with names */
    INTEREST_OPEN,  /* "I'm interested in": anything short */
};
/* "React, Node.js and chess" at `at`: tells them and returns where they end. */
size_t interests_read(const struct sentence *sentence, size_t at, enum interest_kind kind);

/* ---- words ------------------------------------------------------------------------------- */

enum profile_words {
    WORDS_NO_NAME,    /* begin no name, capital or not */
    WORDS_NO_SURNAME, /* nor follow in one: here, away */
    WORDS_JOB,        /* end a role: developer, manager */
    WORDS_CUT,        /* end a phrase: who, with, from */
    WORDS_FUNCTION,   /* are in no interest: the, your, how */
    WORDS_HOBBY,      /* what people like: hiking, chess */
    WORDS_SUPPOSING,  /* what follows is supposed or somebody else's: if, said */
    WORDS_FILLER,     /* may stand before a statement: hi, well */
    WORDS_CONNECTING, /* a new statement may follow: and, because */
    WORDS_PARTICLE,   /* small words inside names: van, de */
    WORDS_AFTER_NAME, /* may follow a name: and, from */
    WORDS_FIELD,      /* "I do ...": frontend, research */
    WORDS_FIELD_TAIL, /* ... and then: development, work */
    WORDS_ADVERB,     /* "I'm currently a ..." */
    WORDS_LEADING,    /* before a role and not part of it: new, just */
    WORDS_DISOWNING,  /* before a role that is not theirs: former, not */
    WORDS_TERM_TAIL,  /* may follow a term: apps, projects */
};
bool profile_word_is(enum profile_words list, const char *folded);
bool sentence_word_is(const struct sentence *sentence, size_t at, enum profile_words list);

struct profile_term {
    const char *folded;
    const char *spelling;
    bool is_exact; /* an everyday word as well: counts in its own spelling only */
};
/* The first that is not before `folded` by its bytes; behind the last one `folded` is NULL. */
const struct profile_term *profile_terms_from(const char *folded);
const struct profile_term *profile_find_term(const char *folded); /* or NULL */
#define PROFILE_TERMS_MAX 256
size_t profile_term_number(const struct profile_term *term);

#endif
