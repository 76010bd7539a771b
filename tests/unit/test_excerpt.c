#include "memory/excerpt.h"

#include "tests/test.h"

#include "base/alloc.h"
#include "base/utf8.h"

static const char text[] =
    "The release of May is planned for the second week, as every year.\n"
    "Ann prepares the notes, Bob the packages and the mirrors.\n"
    "The staging database moves to another host, it listens on port 6543. That is new.\n"
    "Nobody works on the weekend, but for the one who watches the mirrors.\n"
    "The caf\xc3\xa9 \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac opens late.\n";

static void finds_the_part_that_answers(void **state)
{
    static const struct {
        const char *question;
        size_t max_bytes;
        const char *want;
        const char *because;
    } cases[] = {
        { "which port has the database?", 120, "port 6543", "one sentence" },
        { "which port has the database?", 20, "The staging", "its beginning" },
        { "who prepares the notes?", 80, "Ann prepares", "another one" },
        { "zebra", 70, "The release of May", "the beginning when nothing matches" },
        { "", 70, "The release of May", "or nothing is asked" },
        { "port", 4096, "opens late.", "all of it" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct recall_question question = { cases[i].question, "", 0 };
        struct excerpt found = excerpt_find(text, &question, cases[i].max_bytes);
        AUTO_FREE char *part = xstrndup(text + found.from, found.len);

        CHECK_INT(found.len <= cases[i].max_bytes, 1, cases[i].because);
        CHECK_HOLDS(part, cases[i].want, cases[i].because);
    }
}

static void stays_inside_and_on_characters(void **state)
{
    struct recall_question question = { "caf\xc3\xa9 late", "", 0 };

    (void)state;
    for (size_t max = 0; max <= sizeof(text); max++) {
        struct excerpt found = excerpt_find(text, &question, max);

        CHECK_INT(found.len <= max && found.from + found.len < sizeof(text), 1, "inside");
        CHECK_INT(utf8_is_valid(text + found.from, found.len), 1, "no character is split");
    }
}

TEST_MAIN(TEST(finds_the_part_that_answers), TEST(stays_inside_and_on_characters))
