#include "bot/pace.h"

#include "tests/test.h"

#define MIN INT64_C(60000)

static void what_is_said_is_no_more_than_what_is_known(void **state)
{
    static const struct {
        size_t ahead;
        int64_t wait_ms;
        const char *want;
        const char *because;
    } cases[] = {
        { 2, 4 * MIN, "2 ahead of you, about 4 min", "the usual" },
        { 0, 4 * MIN, "you are next, about 4 min", "nobody before" },
        { 3, PACE_UNKNOWN, "3 ahead of you, no estimate yet", "nothing was measured" },
        { 1, 0, "1 ahead of you, less than a minute", "soon" },
        { 1, 44999, "1 ahead of you, less than a minute", "still" },
        { 1, 45000, "1 ahead of you, about 1 min", "rounded" },
        { 1, 89999, "1 ahead of you, about 1 min", "rounded" },
        { 1, 90000, "1 ahead of you, about 2 min", "rounded" },
        { 9, 119 * MIN, "9 ahead of you, about 119 min", "the last of the minutes" },
        { 9, 120 * MIN, "9 ahead of you, about 2 h", "hours say enough" },
        { 9, 151 * MIN, "9 ahead of you, about 3 h", "rounded" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 256);
        pace_print(cases[i].ahead, cases[i].wait_ms, &out);
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].because);
    }
}

static void the_typical_turn_is_the_median_of_the_last(void **state)
{
    struct pace pace = { 0 };

    (void)state;
    CHECK_INT(pace_typical_ms(&pace), PACE_UNKNOWN, "nothing yet");
    CHECK_INT(pace_left_ms(&pace, 0), PACE_UNKNOWN, "so nothing is known");
    pace_note(&pace, 10);
    CHECK_INT(pace_typical_ms(&pace), 10, "one");
    pace_note(&pace, 30);
    CHECK_INT(pace_typical_ms(&pace), 20, "between two");
    pace_note(&pace, 900000);
    CHECK_INT(pace_typical_ms(&pace), 30, "one that hung does not count for more");
    for (int i = 0; i < PACE_TURNS; i++)
        pace_note(&pace, 7);
    CHECK_INT(pace_typical_ms(&pace), 7, "the old ones are forgotten");
    pace_note(&pace, -5);
    CHECK_INT(pace_typical_ms(&pace), 7, "a clock that jumps does no harm");
}

static void a_turn_that_is_overdue_is_not_over(void **state)
{
    struct pace pace = { 0 };

    (void)state;
    pace_note(&pace, 1000);
    CHECK_INT(pace_left_ms(&pace, 0), 1000, "just begun");
    CHECK_INT(pace_left_ms(&pace, 400), 600, "under way");
    CHECK_INT(pace_left_ms(&pace, 900), 250, "nearly over: a quarter at least");
    CHECK_INT(pace_left_ms(&pace, 60000), 250, "long overdue");
}

static void those_in_line_start_as_workers_get_free(void **state)
{
    static const int64_t elapsed_ms[] = { 0, 700 };
    static const int64_t want[] = { 300, 1000, 1300, 2000, 2300 };
    struct pace pace = { 0 };
    struct pace_line line;

    (void)state;
    pace_line_begin(&line, &pace, 2, elapsed_ms, 2);
    CHECK_INT(pace_line_next(&line), PACE_UNKNOWN, "nothing measured");
    pace_line_end(&line);
    pace_note(&pace, 1000);
    pace_line_begin(&line, &pace, 2, elapsed_ms, 2);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        CHECK_INT(pace_line_next(&line), want[i], "each takes the first that is free");
    pace_line_end(&line);
    pace_line_begin(&line, &pace, 3, elapsed_ms, 2);
    CHECK_INT(pace_line_next(&line), 0, "one of three has nothing to do");
    CHECK_INT(pace_line_next(&line), 300, "then as before");
    pace_line_end(&line);
    pace_line_begin(&line, &pace, 1, elapsed_ms, 2);
    CHECK_INT(pace_line_next(&line), 300, "more run than there are workers: as many as run");
    pace_line_end(&line);
    pace_line_end(&line);
}

TEST_MAIN(TEST(what_is_said_is_no_more_than_what_is_known),
          TEST(the_typical_turn_is_the_median_of_the_last),
          TEST(a_turn_that_is_overdue_is_not_over),
          TEST(those_in_line_start_as_workers_get_free))
