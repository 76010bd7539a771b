#include "memory/words.h"

#include <stdbool.h>

#include "tests/test.h"

#include "base/alloc.h"

#define FOUND_MAX 64

struct found {
    struct word words[FOUND_MAX];
    size_t count;
};

static void note_word(void *context, const struct word *word)
{
    struct found *found = context;

    if (found->count < FOUND_MAX)
        found->words[found->count++] = *word;
}

static struct found words_of(const char *text)
{
    struct found found = { .count = 0 };

    words_visit(text, strlen(text), note_word, &found);
    return found;
}

static bool holds(const struct found *found, uint64_t stem)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->words[i].stem == stem)
            return true;
    }
    return false;
}

/* Whether a text is found by a single word. */
static bool is_found_by(const char *text, const char *word)
{
    struct found asked = words_of(word);
    struct found there = words_of(text);

    return asked.count > 0 && holds(&there, asked.words[asked.count - 1].stem);
}

static void a_text_is_found_by_its_words(void **state)
{
    static const struct {
        const char *text;
        const char *word;
        bool want;
        const char *because;
    } cases[] = {
        { "The tokens expired", "token", true, "plural" },
        { "we are deploying", "Deployed", true, "inflected, other case" },
        { "the cat", "category", false, "another word" },
        { "see `auth_token.c`", "auth_token.c", true, "whole" },
        { "see `auth_token.c`", "token", true, "a part" },
        { "see src/auth_token.c:12", "src/auth_token.c:12", true, "a place in a file" },
        { "it was ECONNREFUSED again", "econnrefused", true, "an error code" },
        { "call getUserById()", "getUserById", true, "an identifier whole" },
        { "call getUserById()", "user", true, "an identifier's part" },
        { "call getUserById()", "getuser", false, "not a part" },
        { "lib/getUserById.c", "getuserbyid", true, "whole inside a path" },
        { "JSONFile", "json", true, "capitals before a word" },
        { "JSONFile", "file", true, "the word behind them" },
        { "MixedCASE", "case", true, "capitals behind a word" },
        { "Sara's plan", "Sara", true, "a genitive" },
        { "Sara\xe2\x80\x99s plan", "Sara", true, "with a typographer's apostrophe" },
        { "don't", "don", false, "one word" },
        { "\xc3\x84rger im B\xc3\xbcro", "\xc3\xa4rger", true, "case folds beyond ASCII" },
        { "\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0",
          "\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba"
          "\xd0\xb2\xd0\xb0",
          true, "Cyrillic" },
        { "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "\xe6\x9c\xac\xe8\xaa\x9e", true,
          "a pair of three characters" },
        { "port 6543.", "6543", true, "a number" },
        { "v1.2.3-rc1", "1.2.3", false, "part of a version is not its whole" },
        { "", "x", false, "nothing" },
        { "a\xff\xfe"
          "b \xe2\x82",
          "b", true, "bytes that are no text separate" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(is_found_by(cases[i].text, cases[i].word), cases[i].want, cases[i].because);
}

static void words_say_what_they_are(void **state)
{
    static const struct {
        const char *word;
        unsigned want;
    } cases[] = { { "the", WORD_STOP },
                  { "What's", WORD_STOP },
                  { "database", 0 },
                  { "yesterday", WORD_TIME },
                  { "June", WORD_TIME },
                  { "I", WORD_STOP | WORD_FIRST_PERSON },
                  { "I've", WORD_STOP | WORD_FIRST_PERSON },
                  { "x", WORD_STOP } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct found found = words_of(cases[i].word);

        CHECK_INT(found.count, 1, cases[i].word);
        CHECK_INT(found.words[0].flags, cases[i].want, cases[i].word);
    }
}

static void relatives_share_a_stump(void **state)
{
    struct found one = words_of("configuration");
    struct found other = words_of("configs");
    struct found small = words_of("con");

    (void)state;
    CHECK_INT(one.words[0].stem == other.words[0].stem, 0, "stems differ");
    CHECK_INT(one.words[0].stump == other.words[0].stump, 1, "stumps do not");
    CHECK_INT(small.words[0].stump == 0, 1, "too short for one");
}

static void what_repeats_the_parts_is_marked(void **state)
{
    struct found found = words_of("a.getName");
    size_t wholes = 0;

    (void)state;
    for (size_t i = 0; i < found.count; i++)
        wholes += (found.words[i].flags & WORD_WHOLE) != 0;
    CHECK_INT(found.count, 5, "a, get, name, getName, a.getName");
    CHECK_INT(wholes, 2, "the last two");
}

static void very_long_words_are_cut(void **state)
{
    AUTO_FREE char *text = xcalloc(1, 100001);
    struct found found;

    (void)state;
    memset(text, 'x', 100000);
    found = words_of(text);
    CHECK_INT(found.count, 1, "one word");
    for (size_t i = 1; i < 100000; i += 2)
        text[i] = '_';
    found = words_of(text);
    CHECK_INT(found.count, FOUND_MAX, "many parts");
}

static void many_words_do_not_confuse_the_cache(void **state)
{
    struct found before = words_of("kubernetes");

    (void)state;
    for (int i = 0; i < 50000; i++) {
        char word[32];

        snprintf(word, sizeof(word), "word%d", i);
        words_of(word);
    }
    CHECK_INT(words_of("kubernetes").words[0].stem == before.words[0].stem, 1, "the same");
}

TEST_MAIN(TEST(a_text_is_found_by_its_words), TEST(words_say_what_they_are),
          TEST(relatives_share_a_stump), TEST(what_repeats_the_parts_is_marked),
          TEST(very_long_words_are_cut), TEST(many_words_do_not_confuse_the_cache))
