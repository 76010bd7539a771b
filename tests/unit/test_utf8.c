#include "base/utf8.h"

#include "tests/test.h"

#define REPLACED "\xef\xbf\xbd"

static void outside_bytes_become_clean_text(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *want;
        const char *because;
    } cases[] = {
        { "plain", 5, "plain", "stays" },
        { "", 0, "", "nothing" },
        { "a\tb\nc", 5, "a\tb\nc", "tab and newline stay" },
        { "a\r\nb\rc", 6, "a\nbc", "carriage returns go" },
        { "a\0b\x1b[1m\x7f", 8, "ab[1m", "control characters go" },
        { "\xc2\x85x", 3, "x", "the later control characters too" },
        { "gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f", "two bytes" },
        { "\xe2\x82\xac \xf0\x9f\x8e\x89", 8, "\xe2\x82\xac \xf0\x9f\x8e\x89", "three, four" },
        { "\xef\xbf\xbd", 3, REPLACED, "a replacement that was there stays one" },
        { "a\xff"
          "b",
          3, "a" REPLACED "b", "a byte that never occurs" },
        { "\xc3", 1, REPLACED, "cut off at the end" },
        { "\xe2\x82"
          "x",
          3, REPLACED "x", "cut off inside" },
        { "\xed\xa0\x80", 3, REPLACED, "half of a surrogate pair" },
        { "\xc0\xaf", 2, REPLACED, "a longer spelling of a slash" },
        { "\x80\x80", 2, REPLACED REPLACED, "continuations of nothing" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 1000);
        utf8_append_clean(&out, cases[i].bytes, cases[i].len);
        CHECK_INT(utf8_is_valid(buf_text(&out), out.len), 1, cases[i].because);
        CHECK_INT(strlen(buf_text(&out)), out.len, cases[i].because);
        /* How many replacements a broken sequence gives is the library's choice; one at least.
         */
        if (strstr(cases[i].want, REPLACED)) {
            CHECK_HOLDS(buf_text(&out), REPLACED, cases[i].because);
            continue;
        }
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].because);
    }
}

static void any_bytes_become_valid_text(void)
{
    unsigned seed = 1;

    for (int round = 0; round < 20000; round++) {
        char bytes[12];
        AUTO_FREE char *clean = NULL;

        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1103515245U + 12345U;
            bytes[i] = (char)(seed >> 16);
        }
        clean = utf8_clean_copy(bytes, sizeof(bytes), 20);
        CHECK_INT(utf8_is_valid(clean, strlen(clean)), 1, "always valid");
        CHECK_INT(strlen(clean) <= 20, 1, "never longer");
    }
}

static void cutting_splits_no_character(void)
{
    static const char text[] =
        "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x8e\x89"; /* 1 + 2 + 3 + 4 bytes */
    static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

    for (size_t limit = 0; limit < ARRAY_LEN(want); limit++)
        CHECK_INT(utf8_cut(text, 10, limit), want[limit], "the last whole character");
    CHECK_INT(utf8_length(text, 10), 4, "characters, not bytes");
    CHECK_INT(utf8_length("", 0), 0, "none");
}

static void a_character_that_is_still_coming_is_seen(void)
{
    static const struct {
        const char *bytes;
        size_t want;
        const char *because;
    } cases[] = {
        { "", 0, "nothing" },
        { "abc", 0, "complete" },
        { "a\xc3", 1, "one of two" },
        { "a\xc3\xbc", 0, "two of two" },
        { "\xe2", 1, "one of three" },
        { "\xe2\x82", 2, "two of three" },
        { "\xe2\x82\xac", 0, "three of three" },
        { "\xf0\x9f\x8e", 3, "three of four" },
        { "\xf0\x9f\x8e\x89", 0, "four of four" },
        { "\x82\x82\x82\x82", 0, "never a beginning: garbage is not waited for" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(utf8_incomplete_tail(cases[i].bytes, strlen(cases[i].bytes)), cases[i].want,
                  cases[i].because);
}

TEST_MAIN(TEST(outside_bytes_become_clean_text), TEST(any_bytes_become_valid_text),
          TEST(cutting_splits_no_character), TEST(a_character_that_is_still_coming_is_seen))
