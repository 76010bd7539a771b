#include "bot/commands.h"

#include <stdlib.h>

#include "tests/test.h"

static void words_and_quotes_are_told_apart(void)
{
    static const struct {
        const char *arguments;
        const char *words[4];
        const char *because;
    } cases[] = {
        { "set language de", { "set", "language", "de" }, "plain words" },
        { "", { NULL }, "nothing" },
        { "  a   b  ", { "a", "b" }, "blanks" },
        { "set name \"Ann Lee\"", { "set", "name", "Ann Lee" }, "straight quotes" },
        { "“Ann Lee” x", { "Ann Lee", "x" }, "typographic ones" },
        { "„Ann Lee“ x", { "Ann Lee", "x" }, "German ones" },
        { "«Ann Lee»", { "Ann Lee" }, "French ones" },
        { "‘Ann Lee’", { "Ann Lee" }, "single ones" },
        { "'O’Brien' x", { "O’Brien", "x" }, "an apostrophe inside" },
        { "O'Brien's 'x", { "O'Brien's", "'x" }, "no quotes at all" },
        { "`a b` \"\"", { "a b", "" }, "code, and nothing in quotes" },
        { "\"open end", { "\"open", "end" }, "a quote without its other half" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *left = cases[i].arguments;

        for (size_t w = 0; w < ARRAY_LEN(cases[i].words); w++) {
            AUTO_FREE char *word = commands_take_word(&left);

            CHECK_TEXT(word, cases[i].words[w], cases[i].because);
            if (!word)
                break;
        }
    }
}

static void the_rest_loses_quotes_only_around_all_of_it(void)
{
    static const struct {
        const char *arguments;
        const char *rest;
    } cases[] = {
        { " a b c", "a b c" },
        { "\"a b\"", "a b" },
        { "\"a b\" c", "\"a b\" c" },
        { "", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *left = cases[i].arguments;
        AUTO_FREE char *rest = commands_take_rest(&left);

        CHECK_TEXT(rest, cases[i].rest, cases[i].arguments);
        CHECK_TEXT(left, "", "nothing is left");
    }
}

static void only_words_of_the_table_are_commands(void)
{
    const char *arguments = NULL;
    const struct command *command = commands_find("HELP me", &arguments);

    assert_non_null(command);
    CHECK_TEXT(command->word, "help", "whatever its case");
    CHECK_TEXT(arguments, "me", "what follows");
    assert_null(commands_find("helpme", NULL));
    assert_null(commands_find("help-me", NULL));
    assert_null(commands_find("", NULL));
}

static void what_people_wrote_cannot_format_an_answer(void)
{
    AUTO_BUF struct buf out = { 0 };
    char longer[300];

    buf_init(&out, 4000);
    commands_append_quoted(&out, "a`b\nc");
    CHECK_TEXT(buf_text(&out), "`a'b c`", "one line, one piece of code");
    buf_clear(&out);
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    commands_append_quoted(&out, longer);
    CHECK_INT(out.len, 200 + 5, "cut, and it says so");
    assert_non_null(strstr(buf_text(&out), "x...`"));
}

TEST_MAIN(TEST(words_and_quotes_are_told_apart),
          TEST(the_rest_loses_quotes_only_around_all_of_it),
          TEST(only_words_of_the_table_are_commands),
          TEST(what_people_wrote_cannot_format_an_answer))
