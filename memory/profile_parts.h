/*
 * profile_parts.h - what the files behind profile.h share: a message as tokens, and the lists
 * of words.
 *
 *   profile_text.c    text -> tokens, without what is not the author's own words
 *   profile_words.c   the lists
 *   profile.c         the rules
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

/* ---- words ------------------------------------------------------------------------------- */

enum profile_words {
    WORDS_NO_NAME,    /* begin no name, capital or not */
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

struct profile_term {
    const char *folded;
    const char *spelling;
    bool is_exact; /* an everyday word as well: counts in its own spelling only */
};
const struct profile_term *profile_find_term(const char *folded); /* or NULL */
#define PROFILE_TERMS_MAX 256
size_t profile_term_number(const struct profile_term *term);

#endif
