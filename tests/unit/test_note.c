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
        bool has_files;
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
        struct note note = { parent, parent_until, team, cases[i].is_direct,
                             cases[i].has_files };
        AUTO_FREE char *text = note_print(&note);
        struct note got;

        note_parse(text, &got);
        CHECK_TEXT(got.parent, cases[i].parent, text);
        CHECK_TEXT(got.parent_until, cases[i].parent_until, text);
        CHECK_TEXT(got.team, cases[i].team, text);
        CHECK_INT(got.is_direct, cases[i].is_direct, text);
        CHECK_INT(got.has_files, cases[i].has_files, text);
        note_deinit(&got);
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
        CHECK_INT(got.is_direct || got.has_files, false, texts[i]);
        note_deinit(&got);
    }
}

TEST_MAIN(TEST(a_note_reads_back_as_it_was_written), TEST(what_cannot_be_read_is_empty))
