#include "base/patterns.h"

#include <stdlib.h>

#include "base/random.h"
#include "tests/test.h"

static struct patterns *make(const char *const *texts, size_t count)
{
    struct patterns *patterns = patterns_new();

    for (size_t i = 0; i < count; i++)
        CHECK_INT(patterns_add(patterns, texts[i], strlen(texts[i])), 1, texts[i]);
    patterns_seal(patterns);
    return patterns;
}

/* What ought to be found: the longest of the texts with which the first `len` bytes end. */
static size_t longest_at(const char *const *texts, size_t count, const char *said, size_t len)
{
    size_t longest = 0;

    for (size_t i = 0; i < count; i++) {
        size_t own = strlen(texts[i]);

        if (own <= len && own > longest && memcmp(said + len - own, texts[i], own) == 0)
            longest = own;
    }
    return longest;
}

/* And the longest end that is the beginning of a longer text. */
static size_t pending_at(const char *const *texts, size_t count, const char *said, size_t len,
                         size_t *ret_shortest)
{
    size_t longest = 0;

    *ret_shortest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t own = strlen(texts[i]);

        for (size_t part = own - 1; part > 0 && part >= longest; part--) {
            if (part > len || memcmp(said + len - part, texts[i], part) != 0)
                continue;
            if (part > longest || own < *ret_shortest)
                *ret_shortest = own;
            longest = part;
            break;
        }
    }
    return longest;
}

static void check_all(const char *const *texts, size_t count, const char *said)
{
    struct patterns *patterns = make(texts, count);
    uint32_t at = 0;

    for (size_t i = 0; said[i]; i++) {
        size_t want_shortest;
        size_t shortest;
        size_t want = pending_at(texts, count, said, i + 1, &want_shortest);

        at = patterns_step(patterns, at, (unsigned char)said[i]);
        CHECK_INT(patterns_match(patterns, at), longest_at(texts, count, said, i + 1), said);
        CHECK_INT(patterns_pending(patterns, at, &shortest), want, said);
        CHECK_INT(shortest, want_shortest, said);
    }
    patterns_free(patterns);
}

static void texts_are_found_wherever_they_end(void)
{
    static const char *const some[] = { "he", "she", "his", "hers", "herself" };
    static const char *const nested[] = { "aa", "aaaa", "aab", "baab", "aabaab" };
    static const char *const high[] = { "\xc3\xa9\xff", "\xff\xff", "\x01" };

    check_all(some, ARRAY_LEN(some), "ushershimherselfhehis");
    check_all(nested, ARRAY_LEN(nested), "aaaaaabaabaaabaabaabb");
    check_all(high, ARRAY_LEN(high), "x\xc3\xa9\xff\xff\x01\xc3");
}

static void it_agrees_with_a_plain_search(void)
{
    for (int round = 0; round < 300; round++) {
        char store[6][9] = { 0 };
        const char *texts[6];
        char said[65] = { 0 };

        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
            size_t len = 1 + random_below(8);

            for (size_t j = 0; j < len; j++)
                store[i][j] = (char)('a' + random_below(2));
            texts[i] = store[i];
        }
        for (size_t j = 0; j < sizeof(said) - 1; j++)
            said[j] = (char)('a' + random_below(2));
        check_all(texts, ARRAY_LEN(texts), said);
    }
}

static void nothing_is_found_in_nothing(void)
{
    struct patterns *patterns = patterns_new();
    size_t shortest = 1;

    patterns_seal(patterns);
    CHECK_INT(patterns_step(patterns, 0, 'x'), 0, "no texts");
    CHECK_INT(patterns_match(patterns, 0), 0, "no texts");
    CHECK_INT(patterns_pending(patterns, 0, &shortest), 0, "no texts");
    CHECK_INT(shortest, 0, "no texts");
    patterns_free(patterns);
    patterns_free(NULL);
}

static void there_is_an_end_to_what_is_taken(void)
{
    struct patterns *patterns = patterns_new();
    char *text = xcalloc(PATTERNS_MAX_BYTES, 1);

    CHECK_INT(patterns_add(patterns, "", 0), 0, "empty");
    memset(text, 'x', PATTERNS_MAX_BYTES);
    CHECK_INT(patterns_add(patterns, text, PATTERNS_MAX_BYTES), 0,
              "more than there is room for");
    CHECK_INT(patterns_add(patterns, text, 1000), 1, "room");
    patterns_seal(patterns);
    patterns_free(patterns);
    free(text);
}

TEST_MAIN(TEST(texts_are_found_wherever_they_end), TEST(it_agrees_with_a_plain_search),
          TEST(nothing_is_found_in_nothing), TEST(there_is_an_end_to_what_is_taken))
