#include "bot/note.h"

#include <stdlib.h>

#include "tests/test.h"

static void a_note_reads_back_as_it_was_written(void **state)
{
    static const struct {
        const char *parent;
        const char *parent_until;
        const char *team;
        bool is_direct;
        bool is_mention;
    } cases[] = {
        { "U1:D1:*", "1790000000.000001", "T1", true, false },
        { "", "", "", false, true },
        { "\"quotes\" and \\", "\n", "T\xc3\xa9", true, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *parent = xstrdup(cases[i].parent);
        AUTO_FREE char *parent_until = xstrdup(cases[i].parent_until);
        AUTO_FREE char *team = xstrdup(cases[i].team);
        struct note note = {
            parent, parent_until, team, cases[i].is_direct, cases[i].is_mention, { 0 }
        };
        AUTO_FREE char *text = note_print(&note);
        struct note got;

        note_parse(text, &got);
        CHECK_TEXT(got.parent, cases[i].parent, text);
        CHECK_TEXT(got.parent_until, cases[i].parent_until, text);
        CHECK_TEXT(got.team, cases[i].team, text);
        CHECK_INT(got.is_direct, cases[i].is_direct, text);
        CHECK_INT(got.is_mention, cases[i].is_mention, text);
        CHECK_INT((int)got.files.total, 0, text);
        note_deinit(&got);
        note_deinit(&got);
    }
}

static void files_read_back_with_all_that_is_known(void **state)
{
    char id[] = "F1";
    char name[] = "../\"a\".png";
    char type[] = "image/png";
    char url[] = "https://files.slack.com/x?a=b&c=\"";
    char empty[] = "";
    struct slack_file items[] = { { id, name, type, url, 123, SLACK_FILE_HERE },
                                  { id, name, empty, empty, -1, SLACK_FILE_HIDDEN } };
    struct note note = { empty, empty, empty, false, false, { items, 2, 7 } };
    AUTO_FREE char *text = note_print(&note);
    struct note got;

    (void)state;
    note_parse(text, &got);
    CHECK_INT((int)got.files.count, 2, text);
    CHECK_INT((int)got.files.total, 7, "with those that are not kept");
    for (size_t i = 0; i < 2; i++) {
        CHECK_TEXT(got.files.items[i].id, items[i].id, text);
        CHECK_TEXT(got.files.items[i].name, items[i].name, text);
        CHECK_TEXT(got.files.items[i].mimetype, items[i].mimetype, text);
        CHECK_TEXT(got.files.items[i].url, items[i].url, text);
        CHECK_INT(got.files.items[i].size, items[i].size, text);
        CHECK_INT(got.files.items[i].state, items[i].state, text);
    }
    note_deinit(&got);
}

static void files_that_cannot_be_read_lead_nowhere(void **state)
{
    static const char *const texts[] = {
        "{\"files\":[7]}", "{\"files\":[{}]}", "{\"files\":[{\"state\":99}]}",
        "{\"files\":[{\"url\":7,\"state\":0}],\"files_total\":-5}"
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct note got;

        note_parse(texts[i], &got);
        CHECK_INT((int)got.files.count, 1, texts[i]);
        CHECK_INT((int)got.files.total, 1, texts[i]);
        CHECK_TEXT(got.files.items[0].url, "", texts[i]);
        CHECK_INT(got.files.items[0].size, -1, texts[i]);
        note_deinit(&got);
    }
}

static void what_cannot_be_read_is_empty(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "7", "null", "{\"parent\":7}", "{}", "{\"direct\":\"yes\"}"
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct note got;

        note_parse(texts[i], &got);
        CHECK_TEXT(got.parent, "", texts[i]);
        CHECK_TEXT(got.parent_until, "", texts[i]);
        CHECK_TEXT(got.team, "", texts[i]);
        CHECK_INT(got.is_direct || got.is_mention || got.files.total, false, texts[i]);
        note_deinit(&got);
    }
}

TEST_MAIN(TEST(a_note_reads_back_as_it_was_written),
          TEST(files_read_back_with_all_that_is_known),
          TEST(files_that_cannot_be_read_lead_nowhere), TEST(what_cannot_be_read_is_empty))
