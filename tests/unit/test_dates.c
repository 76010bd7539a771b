#include "memory/dates.h"

#include "tests/test.h"

#define DAY_S INT64_C(86400)

static void finds_the_days_asked_about(void **state)
{
    enum { NOW_DAY = 19700 }; /* 2023-12-09, a Saturday */
    static const struct {
        const char *question;
        bool want;
        int64_t year; /* of the first day */
        int month;
        int day;
        int64_t days; /* 0: a month of any year, `month` */
        const char *because;
    } cases[] = {
        { "What did she eat on 9 October, 2022?", true, 2022, 10, 9, 1, "day month year" },
        { "Who had dinner on May 3, 2023?", true, 2023, 5, 3, 1, "month day year" },
        { "what was decided on 2023-02-28", true, 2023, 2, 28, 1, "ISO" },
        { "2023-13-01", true, 2023, 1, 1, 365, "no such month: the year" },
        { "What happened in December 2022?", true, 2022, 12, 1, 31, "a month" },
        { "Which place did she visit in May?", true, 0, 5, 0, 0, "a month of any year" },
        { "what did we plan for Sept 2023", true, 2023, 9, 1, 30, "a short month" },
        { "the plan of 2021", true, 2021, 1, 1, 365, "a year" },
        { "May I ask something?", false, 0, 0, 0, 0, "not a month" },
        { "it may rain in the march", false, 0, 0, 0, 0, "neither" },
        { "what did we say yesterday", true, 2023, 12, 8, 1, "yesterday" },
        { "and today?", true, 2023, 12, 9, 1, "today" },
        { "what broke last week", true, 2023, 11, 26, 14, "within the two weeks" },
        { "3 days ago", true, 2023, 12, 6, 1, "days ago" },
        { "it took 3 days", false, 0, 0, 0, 0, "a duration is no date" },
        { "which port?", false, 0, 0, 0, 0, "nothing" },
        { "", false, 0, 0, 0, 0, "empty" },
        { "99999999999999999999 months ago", false, 0, 0, 0, 0, "nonsense" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct date_range range;
        bool got = dates_find(cases[i].question, (int64_t)NOW_DAY * DAY_S + 3600, &range);

        CHECK_INT(got, cases[i].want, cases[i].question);
        if (!got)
            continue;
        CHECK_INT(range.month, cases[i].days ? 0 : cases[i].month, cases[i].question);
        if (!cases[i].days)
            continue;
        CHECK_INT(range.first_day, dates_day_of(cases[i].year, cases[i].month, cases[i].day),
                  cases[i].question);
        CHECK_INT(range.after_day - range.first_day, cases[i].days, cases[i].question);
    }
}

static void nearer_days_are_closer(void **state)
{
    struct date_range day = { 100, 101, 0 };
    struct date_range month = { 0, 0, 2 };

    (void)state;
    CHECK_INT(dates_closeness(&day, 100 * DAY_S) == 1, 1, "that day");
    CHECK_INT(dates_closeness(&day, 102 * DAY_S) < 1, 1, "two days later");
    CHECK_INT(dates_closeness(&day, 106 * DAY_S) > 0, 1, "told within the week");
    CHECK_INT(dates_closeness(&day, 94 * DAY_S) == 0, 1, "a week before");
    CHECK_INT(dates_closeness(&day, 200 * DAY_S) == 0, 1, "far away");
    CHECK_INT(dates_closeness(&month, dates_day_of(2020, 2, 29) * DAY_S) == 1, 1, "February");
    CHECK_INT(dates_closeness(&month, dates_day_of(2020, 3, 1) * DAY_S) == 0, 1, "March");
}

static void days_and_dates_agree(void **state)
{
    int64_t year;
    int month;
    int day;

    (void)state;
    CHECK_INT(dates_day_of(1970, 1, 1), 0, "the epoch");
    CHECK_INT(dates_day_of(2024, 10, 4), 20000, "a known day");
    for (int64_t at = -800000; at < 800000; at += 97) {
        dates_split_day(at, &year, &month, &day);
        assert_int_equal(dates_day_of(year, month, day), at);
    }
}

TEST_MAIN(TEST(finds_the_days_asked_about), TEST(nearer_days_are_closer),
          TEST(days_and_dates_agree))
