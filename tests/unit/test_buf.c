#include "base/buf.h"

#include "tests/test.h"

static void appends_grow_and_stay_ended_by_a_nul(void)
{
    AUTO_BUF struct buf buf = { 0 };
    struct err err = { 0 };

    buf_init(&buf, 100000);
    CHECK_TEXT(buf_text(&buf), "", "an empty buffer is an empty text");
    buf_append_text(&buf, "abc");
    buf_append(&buf, "d\0e", 3);
    buf_append_char(&buf, 'f');
    buf_printf(&buf, "%d-%s", 7, "g");
    CHECK_INT(buf.len, 10, "all bytes, the NUL inside included");
    CHECK_INT(memcmp(buf_text(&buf), "abcd\0ef7-g", 11), 0, "and one NUL behind them");
    for (int i = 0; i < 9000; i++)
        buf_append_text(&buf, "0123456789");
    CHECK_INT(buf.len, 90010, "grown many times");
    CHECK_TEXT(buf_text(&buf) + 90000, "0123456789", "the last ones are there");
    CHECK_INT(buf_finish(&buf, &err), 0, "within the maximum");
}

static void what_would_pass_the_maximum_is_refused_and_remembered(void)
{
    AUTO_BUF struct buf buf = { 0 };
    struct err err = { 0 };

    buf_init(&buf, 4);
    buf_append_text(&buf, "abcd");
    CHECK_INT(buf_finish(&buf, &err), 0, "exactly the maximum fits");
    buf_append_char(&buf, 'e');
    CHECK_TEXT(buf_text(&buf), "abcd", "not even a part is taken");
    buf_truncate(&buf, 1);
    buf_append_text(&buf, "x");
    CHECK_TEXT(buf_text(&buf), "a", "a text with a hole would be worse than a short one");
    CHECK_INT(buf_finish(&buf, &err), -1, "told at the end");
    CHECK_INT(err.kind, ERR_INPUT, "told at the end");
    CHECK_HOLDS(err.message, "4 bytes", "names the limit");
    buf_clear(&buf);
    buf_append_text(&buf, "x");
    CHECK_TEXT(buf_text(&buf), "x", "clearing forgets the overflow");
    CHECK_INT(buf_finish(&buf, NULL), 0, "clearing forgets the overflow");
}

static void a_maximum_of_nothing_takes_nothing(void)
{
    AUTO_BUF struct buf buf = { 0 };

    buf_init(&buf, 0);
    buf_append(&buf, "", 0);
    CHECK_INT(buf_finish(&buf, NULL), 0, "nothing fits into nothing");
    buf_append_char(&buf, 'x');
    CHECK_INT(buf_finish(&buf, NULL), -1, "one byte does not");
}

static void consuming_drops_from_the_front(void)
{
    static const struct {
        size_t len;
        const char *want;
        const char *because;
    } cases[] = {
        { 0, "abcdef", "nothing" },
        { 2, "cdef", "a part" },
        { 6, "", "all" },
        { 7, "", "more than there is" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf buf = { 0 };

        buf_init(&buf, 100);
        buf_consume(&buf, 3); /* an empty one is fine */
        buf_append_text(&buf, "abcdef");
        buf_consume(&buf, cases[i].len);
        CHECK_TEXT(buf_text(&buf), cases[i].want, cases[i].because);
        CHECK_INT(buf.len, strlen(cases[i].want), cases[i].because);
    }
}

static void taking_hands_the_text_out_and_leaves_an_empty_buffer(void)
{
    struct buf buf;
    char *text;

    buf_init(&buf, 100);
    text = buf_take(&buf);
    CHECK_TEXT(text, "", "never NULL");
    free(text);
    buf_append_text(&buf, "one");
    text = buf_take(&buf);
    buf_append_text(&buf, "two");
    CHECK_TEXT(text, "one", "the caller's own");
    CHECK_TEXT(buf_text(&buf), "two", "the buffer goes on");
    free(text);
    buf_deinit(&buf);
    buf_deinit(&buf); /* twice is fine */
    buf = (struct buf){ 0 };
    buf_deinit(&buf);
}

TEST_MAIN(TEST(appends_grow_and_stay_ended_by_a_nul),
          TEST(what_would_pass_the_maximum_is_refused_and_remembered),
          TEST(a_maximum_of_nothing_takes_nothing), TEST(consuming_drops_from_the_front),
          TEST(taking_hands_the_text_out_and_leaves_an_empty_buffer))
