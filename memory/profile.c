/* The rules of profile.h. A statement about oneself begins a clause: "Hi, I'm Ann and I'm a
 * developer" has two. */
#include "memory/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/profile_parts.h"

#define NAME_WORDS_MAX  4
#define ROLE_WORDS_MAX  6
#define OF_WORDS_MAX    3
#define FIELD_WORDS_MAX 3

enum rule_kind {
    RULE_ROLE_ARTICLE, /* "I'm a ...": a role or nothing, never a name */
    RULE_ROLE,         /* "I work as ..." */
    RULE_FIELD,        /* "I do frontend" */
    RULE_ROLE_OR_NAME, /* "I'm ..." */
    RULE_ROLE_BARE,    /* "ich bin ...", where any noun has a capital */
    RULE_NAME,         /* "my name is ..." */
    RULE_NAME_CALL,    /* "call me ..." */
    RULE_NAME_SPOKEN,  /* "this is ... speaking" */
    RULE_LIKE,         /* terms and pastimes */
    RULE_USE,          /* things with names */
    RULE_OPEN,         /* "I'm interested in ...": anything short */
};

struct rule {
    const char *phrase; /* folded words; "~" is an adverb that may be missing */
    enum rule_kind kind;
};

/* The first that fits counts, so what is longer and more certain comes first. */
static const struct rule rules[] = {
    { "i'm ~ interested in", RULE_OPEN },
    { "i am ~ interested in", RULE_OPEN },
    { "i'm very interested in", RULE_OPEN },
    { "my interests are", RULE_OPEN },
    { "my interests include", RULE_OPEN },
    { "ich interessiere mich für", RULE_OPEN },
    { "je m'intéresse à", RULE_OPEN },
    { "me interesa", RULE_OPEN },
    { "me interesan", RULE_OPEN },
    { "i'm learning", RULE_LIKE },
    { "i am learning", RULE_LIKE },
    { "i'm into", RULE_LIKE },
    { "i am into", RULE_LIKE },
    { "i'm a fan of", RULE_LIKE },
    { "i'm a big fan of", RULE_LIKE },
    { "i'm working with", RULE_LIKE },
    { "i ~ work with", RULE_LIKE },
    { "i ~ like", RULE_LIKE },
    { "i ~ love", RULE_LIKE },
    { "i ~ enjoy", RULE_LIKE },
    { "i ~ code in", RULE_LIKE },
    { "i ~ program in", RULE_LIKE },
    { "i ~ write", RULE_LIKE },
    { "ich arbeite mit", RULE_LIKE },
    { "ich mag", RULE_LIKE },
    { "je travaille avec", RULE_LIKE },
    { "j'aime", RULE_LIKE },
    { "trabajo con", RULE_LIKE },
    { "me gusta", RULE_LIKE },
    { "me gustan", RULE_LIKE },
    { "i ~ use", RULE_USE },
    { "i'm using", RULE_USE },
    { "we ~ use", RULE_USE },
    { "we're using", RULE_USE },
    { "i ~ work as", RULE_ROLE },
    { "i'm ~ working as", RULE_ROLE },
    { "i am ~ working as", RULE_ROLE },
    { "my role is", RULE_ROLE },
    { "my job is", RULE_ROLE },
    { "my job title is", RULE_ROLE },
    { "my title is", RULE_ROLE },
    { "my position is", RULE_ROLE },
    { "my profession is", RULE_ROLE },
    { "ich arbeite als", RULE_ROLE },
    { "je travaille comme", RULE_ROLE },
    { "trabajo como", RULE_ROLE },
    { "i'm ~ a", RULE_ROLE_ARTICLE },
    { "i'm ~ an", RULE_ROLE_ARTICLE },
    { "i'm ~ the", RULE_ROLE_ARTICLE },
    { "i am ~ a", RULE_ROLE_ARTICLE },
    { "i am ~ an", RULE_ROLE_ARTICLE },
    { "i am ~ the", RULE_ROLE_ARTICLE },
    { "im ~ a", RULE_ROLE_ARTICLE },
    { "im ~ an", RULE_ROLE_ARTICLE },
    { "ich bin ein", RULE_ROLE_ARTICLE },
    { "ich bin eine", RULE_ROLE_ARTICLE },
    { "je suis un", RULE_ROLE_ARTICLE },
    { "je suis une", RULE_ROLE_ARTICLE },
    { "soy un", RULE_ROLE_ARTICLE },
    { "soy una", RULE_ROLE_ARTICLE },
    { "i do", RULE_FIELD },
    { "i ~ do", RULE_FIELD },
    { "my name is", RULE_NAME },
    { "my name's", RULE_NAME },
    { "my full name is", RULE_NAME },
    { "ich heiße", RULE_NAME },
    { "ich heisse", RULE_NAME },
    { "mein name ist", RULE_NAME },
    { "je m'appelle", RULE_NAME },
    { "mon nom est", RULE_NAME },
    { "me llamo", RULE_NAME },
    { "mi nombre es", RULE_NAME },
    { "mi chiamo", RULE_NAME },
    { "ik heet", RULE_NAME },
    { "mijn naam is", RULE_NAME },
    { "call me", RULE_NAME_CALL },
    { "just call me", RULE_NAME_CALL },
    { "you can call me", RULE_NAME_CALL },
    { "you may call me", RULE_NAME_CALL },
    { "people call me", RULE_NAME_CALL },
    { "everyone calls me", RULE_NAME_CALL },
    { "everybody calls me", RULE_NAME_CALL },
    { "my friends call me", RULE_NAME_CALL },
    { "i go by", RULE_NAME_CALL },
    { "this is", RULE_NAME_SPOKEN },
    { "i'm ~", RULE_ROLE_OR_NAME },
    { "i am ~", RULE_ROLE_OR_NAME },
    { "je suis", RULE_ROLE_OR_NAME },
    { "soy", RULE_ROLE_OR_NAME },
    { "ich bin", RULE_ROLE_BARE },
};

bool sentence_has_word(const struct sentence *sentence, size_t at)
{
    return at < sentence->end && sentence->tokens[at].kind == TOKEN_WORD;
}

bool sentence_word_is(const struct sentence *sentence, size_t at, enum profile_words list)
{
    return sentence_has_word(sentence, at) &&
           profile_word_is(list, sentence->tokens[at].folded);
}

char *sentence_join(const struct sentence *sentence, size_t from, size_t to)
{
    AUTO_BUF struct buf value = { 0 };

    buf_init(&value, PROFILE_VALUE_MAX_BYTES);
    for (size_t i = from; i < to; i++) {
        if (i > from)
            buf_append_char(&value, ' ');
        buf_append_text(&value, sentence->tokens[i].text);
    }
    return value.overflowed || !value.len ? NULL : buf_take(&value);
}

bool profile_ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool tell(const struct sentence *sentence, const char *name, size_t from, size_t to)
{
    AUTO_FREE char *value = sentence_join(sentence, from, to);

    if (value)
        sentence->on_fact(sentence->context, name, value);
    return value;
}

/* ---- roles ------------------------------------------------------------------------------- */

/* "head of design": the words that a job is of. */
static size_t read_of(const struct sentence *sentence, size_t at)
{
    size_t end = at + 1;

    if (!sentence_has_word(sentence, at) || strcmp(sentence->tokens[at].folded, "of") != 0)
        return at;
    while (end - at <= OF_WORDS_MAX && sentence_has_word(sentence, end) &&
           !sentence_word_is(sentence, end, WORDS_CUT) &&
           !sentence_word_is(sentence, end, WORDS_FUNCTION))
        end++;
    return end > at + 1 ? end : at;
}

static bool is_job(const struct sentence *sentence, size_t first, size_t at)
{
    const char *word = sentence->tokens[at].folded;
    bool is_lead = strcmp(word, "lead") == 0 || strcmp(word, "head") == 0;

    if (is_lead) /* "tech lead", "head of design", but not "I'm lead" */
        return at > first ? strcmp(word, "lead") == 0 : read_of(sentence, at + 1) > at + 1;
    return profile_word_is(WORDS_JOB, word);
}

/* A role at `at`: ends with a job. Tells it and returns its end; `at` when there is none. */
static size_t read_role(const struct sentence *sentence, size_t at)
{
    size_t first = at;
    size_t end;
    bool has_job = false;

    while (sentence_word_is(sentence, first, WORDS_LEADING))
        first++;
    if (sentence_word_is(sentence, first, WORDS_DISOWNING) ||
        (sentence_has_word(sentence, first) &&
         strncmp(sentence->tokens[first].folded, "ex-", 3) == 0))
        return at;
    for (end = first; sentence_has_word(sentence, end) && end - first < ROLE_WORDS_MAX; end++) {
        if (sentence_word_is(sentence, end, WORDS_CUT) ||
            strcmp(sentence->tokens[end].folded, "of") == 0)
            break;
        has_job = is_job(sentence, first, end);
    }
    /* "a developer tools fan" is no developer. */
    if (!has_job || (sentence_has_word(sentence, end) && end - first == ROLE_WORDS_MAX))
        return at;
    end = read_of(sentence, end);
    return tell(sentence, "role", first, end) ? end : at;
}

static size_t skip_article(const struct sentence *sentence, size_t at)
{
    static const char *const articles[] = {
        "a", "an", "the", "un", "une", "una", "ein", "eine"
    };

    for (size_t i = 0; sentence_has_word(sentence, at) && i < ARRAY_LEN(articles); i++) {
        if (strcmp(sentence->tokens[at].folded, articles[i]) == 0)
            return at + 1;
    }
    return at;
}

/* "I do frontend development": all that is said, or it is something else that they do. */
static size_t read_field(const struct sentence *sentence, size_t at)
{
    size_t end = at;

    while (sentence_word_is(sentence, end, WORDS_FIELD) && end - at < FIELD_WORDS_MAX)
        end++;
    if (end == at)
        return at;
    end += sentence_word_is(sentence, end, WORDS_FIELD_TAIL);
    if (sentence_has_word(sentence, end) && !sentence_word_is(sentence, end, WORDS_CUT))
        return at;
    return tell(sentence, "role", at, end) ? end : at;
}

/* ---- names ------------------------------------------------------------------------------- */

static bool may_be_name(const struct token *word)
{
    return word->kind == TOKEN_WORD && word->is_plain && word->is_capital &&
           !profile_ends_with(word->folded, "'s") &&
           word->folded[strlen(word->folded) - 1] != '\'';
}

/* The words of a name at `at`, small ones such as "van" between capital ones; returns the end.
 */
static size_t read_name_words(const struct sentence *sentence, size_t at)
{
    size_t end = at;

    while (end < sentence->end) {
        size_t next = end;

        while (next > at && next - end < 2 &&
               sentence_word_is(sentence, next, WORDS_PARTICLE) &&
               !sentence->tokens[next].is_capital)
            next++;
        if (next == sentence->end || !may_be_name(&sentence->tokens[next]))
            break;
        end = next + 1;
    }
    return end;
}

static bool is_named_thing(const struct sentence *sentence, size_t at)
{
    const struct token *word = &sentence->tokens[at];

    return profile_word_is(WORDS_JOB, word->folded) || profile_find_term(word->folded);
}

/* "Working", "Swamped", but not Ahmed, Alfred, Khaled. */
static bool is_participle(const char *folded)
{
    size_t len = strlen(folded);

    return profile_ends_with(folded, "ing") || (len > 5 && profile_ends_with(folded, "ed") &&
                                                strchr("bcdghkpstwxz", folded[len - 3]));
}

/* `is_sure`: a rule that names follow; else each word must look like one, and the name must
 * end where names end. */
static size_t read_name(const struct sentence *sentence, size_t at, bool is_sure)
{
    size_t end = read_name_words(sentence, at);

    if (end == at || end - at > NAME_WORDS_MAX || sentence_word_is(sentence, at, WORDS_NO_NAME))
        return at;
    for (size_t i = at; i < end && !is_sure; i++) {
        if (sentence->tokens[i].is_shouted || is_named_thing(sentence, i) ||
            is_participle(sentence->tokens[i].folded) ||
            (i > at && sentence_word_is(sentence, i, WORDS_NO_SURNAME)))
            return at;
    }
    if (!is_sure && sentence_has_word(sentence, end) &&
        !sentence_word_is(sentence, end, WORDS_AFTER_NAME))
        return at;
    if (!is_sure &&
        (sentence->tokens[end].kind == TOKEN_OTHER || sentence->tokens[end].is_question))
        return at;
    return tell(sentence, "name", at, end) ? end : at;
}

/* "I'm Ann Lee, a full stack developer" */
static size_t read_role_behind_name(const struct sentence *sentence, size_t at)
{
    size_t end;

    if (at >= sentence->end || sentence->tokens[at].kind != TOKEN_BREAK)
        return at;
    end = read_role(sentence, skip_article(sentence, at + 1));
    return end > skip_article(sentence, at + 1) ? end : at;
}

static size_t read_spoken_name(const struct sentence *sentence, size_t at)
{
    size_t end = read_name_words(sentence, at);
    const char *next = sentence_has_word(sentence, end) ? sentence->tokens[end].folded : "";

    if (end == at || end - at > NAME_WORDS_MAX ||
        sentence_word_is(sentence, at, WORDS_NO_NAME) || is_named_thing(sentence, at) ||
        (strcmp(next, "speaking") != 0 && strcmp(next, "here") != 0))
        return at;
    return tell(sentence, "name", at, end) ? end + 1 : at;
}

/* ---- statements -------------------------------------------------------------------------- */

/* Where the phrase ends that begins at `at`; `at` when another stands there. */
static size_t match_phrase(const struct sentence *sentence, size_t at, const char *phrase)
{
    size_t end = at;

    while (*phrase) {
        size_t len = strcspn(phrase, " ");

        if (len == 1 && *phrase == '~') {
            end += sentence_word_is(sentence, end, WORDS_ADVERB);
        } else if (sentence_has_word(sentence, end) &&
                   strncmp(sentence->tokens[end].folded, phrase, len) == 0 &&
                   !sentence->tokens[end].folded[len]) {
            end++;
        } else {
            return at;
        }
        phrase += len + (phrase[len] == ' ');
    }
    return end;
}

/* What follows the phrase of a rule; returns the end of what was understood. */
static size_t follow(const struct sentence *sentence, size_t at, enum rule_kind kind)
{
    size_t end = at;

    switch (kind) {
    case RULE_ROLE_ARTICLE:
    case RULE_ROLE_BARE:
        return read_role(sentence, at);
    case RULE_ROLE:
        return read_role(sentence, skip_article(sentence, at));
    case RULE_FIELD:
        return read_field(sentence, at);
    case RULE_ROLE_OR_NAME:
        end = read_role(sentence, at);
        if (end == at)
            end = read_name(sentence, at, false);
        return end > at ? read_role_behind_name(sentence, end) : at;
    case RULE_NAME:
    case RULE_NAME_CALL:
        end = read_name(sentence, at, kind == RULE_NAME);
        return end > at ? read_role_behind_name(sentence, end) : at;
    case RULE_NAME_SPOKEN:
        return read_spoken_name(sentence, at);
    case RULE_LIKE:
        return interests_read(sentence, at, INTEREST_LIKED);
    case RULE_USE:
        return interests_read(sentence, at, INTEREST_USED);
    case RULE_OPEN:
        return interests_read(sentence, at, INTEREST_OPEN);
    }
    return at;
}

/* The statement at `at`, if it is one; returns where to go on, `at` when there is none. */
static size_t read_statement(const struct sentence *sentence, size_t at)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        size_t end = match_phrase(sentence, at, rules[i].phrase);

        if (end > at)
            return follow(sentence, end, rules[i].kind);
    }
    return at;
}

/* "About me:", "Intro:" - behind any other colon somebody else may speak. */
static bool introduces(const struct token *before)
{
    static const char *const words[] = { "me",    "intro", "introduction", "hi",
                                         "hello", "hey",   "all",          "everyone",
                                         "btw",   "fyi",   "ps",           "context" };

    for (size_t i = 0; before->kind == TOKEN_WORD && i < ARRAY_LEN(words); i++) {
        if (strcmp(before->folded, words[i]) == 0)
            return true;
    }
    return false;
}

static void read_sentence(const struct sentence *sentence, size_t at)
{
    bool begins_clause = true;

    while (at < sentence->end) {
        const struct token *token = &sentence->tokens[at];
        size_t next = at;

        if (token->kind == TOKEN_COLON && !(at && introduces(token - 1)))
            return;
        if (token->kind != TOKEN_WORD) {
            begins_clause = token->kind != TOKEN_OTHER;
            at++;
            continue;
        }
        if (begins_clause)
            next = read_statement(sentence, at);
        if (next == at && profile_word_is(WORDS_SUPPOSING, token->folded))
            return;
        begins_clause =
            next == at && (profile_word_is(WORDS_CONNECTING, token->folded) ||
                           (begins_clause && profile_word_is(WORDS_FILLER, token->folded)));
        at = next > at ? next : at + 1;
    }
}

void profile_extract(const char *text, profile_fact_fn on_fact, void *context)
{
    struct profile_text read;
    struct sentence sentence = { .on_fact = on_fact, .context = context };
    size_t begin = 0;

    profile_read(text, &read);
    sentence.tokens = read.tokens;
    for (size_t i = 0; i < read.count; i++) {
        if (read.tokens[i].kind != TOKEN_STOP)
            continue;
        sentence.end = i;
        read_sentence(&sentence, begin);
        begin = i + 1;
    }
    profile_text_deinit(&read);
}
