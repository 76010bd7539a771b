#include "memory/dates.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"

#define DAY_S           86400
#define WORD_MAX        16
#define MONTHS          12
#define YEAR_MIN        1900
#define YEAR_MAX        2199
#define NEAR_DAYS       2 /* told just before or after */
#define NEAR_CLOSENESS  0.7
#define LATER_DAYS      8 /* told of "last week" */
#define LATER_CLOSENESS 0.5

static const char *const months[MONTHS] = { "january",   "february", "march",    "april",
                                            "may",       "june",     "july",     "august",
                                            "september", "october",  "november", "december" };

/* Days from civil and back: years begin in March, 400 of them have 146097 days. */
int64_t dates_day_of(int64_t year, int month, int day)
{
    int64_t shifted = month <= 2 ? year - 1 : year;
    int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int64_t of_era = shifted - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void dates_split_day(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;

    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

/* What has been read of the question so far. */
struct reading {
    int64_t today;
    int64_t year;
    int month;
    int day;
    int64_t number; /* the word before was this number; -1: it was none */
    char before[WORD_MAX];
    struct date_range relative;
    bool has_relative;
};

static void set_relative(struct reading *reading, int64_t first_day, int64_t days)
{
    reading->relative = (struct date_range){ first_day, first_day + days, 0 };
    reading->has_relative = true;
}

static int64_t days_in(const char *unit)
{
    if (strncmp(unit, "day", 3) == 0)
        return 1;
    if (strncmp(unit, "week", 4) == 0)
        return 7;
    if (strncmp(unit, "month", 5) == 0)
        return 30;
    return strncmp(unit, "year", 4) == 0 ? 365 : 0;
}

static void read_relative(struct reading *reading, const char *word)
{
    int64_t unit = days_in(word);

    if (strcmp(word, "today") == 0)
        set_relative(reading, reading->today, 1);
    else if (strcmp(word, "yesterday") == 0)
        set_relative(reading, reading->today - 1, 1);
    else if (unit && reading->number >= 0 && reading->number < 1000)
        /* "3 weeks ago": a unit's width around that day. Taken back unless "ago" follows. */
        reading->relative =
            (struct date_range){ reading->today - reading->number * unit - unit / 2,
                                 reading->today - reading->number * unit + unit / 2 + 1, 0 };
    else if (strcmp(word, "ago") == 0 && reading->relative.after_day &&
             days_in(reading->before))
        reading->has_relative = true;
    else if (unit > 1 && strcmp(reading->before, "last") == 0)
        set_relative(reading, reading->today - 2 * unit + 1, 2 * unit);
    else if (unit > 1 && strcmp(reading->before, "this") == 0)
        set_relative(reading, reading->today - unit + 1, unit);
}

/* "may" and "march" are months only where a date is expected. */
static bool expects_month(const struct reading *reading)
{
    static const char *const openers[] = { "in",    "of",     "on",   "since",
                                           "until", "by",     "last", "this",
                                           "early", "late",   "mid",  "during",
                                           "after", "before", "and",  "from" };

    if (reading->number >= 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(openers); i++) {
        if (strcmp(reading->before, openers[i]) == 0)
            return true;
    }
    return false;
}

static bool read_month(struct reading *reading, const char *word, size_t len, bool is_upper)
{
    for (int i = 0; i < MONTHS; i++) {
        bool is_short = len == 3 || (len == 4 && i == 8); /* Sept */

        if (strcmp(word, months[i]) != 0 &&
            !(is_short && is_upper && strncmp(word, months[i], len) == 0))
            continue;
        if ((i == 2 || i == 4) && !(is_upper && expects_month(reading)))
            continue;
        reading->month = i + 1;
        return true;
    }
    return false;
}

static void read_number(struct reading *reading, const char *word, size_t len)
{
    int64_t value = 0;
    size_t digits = 0;

    while (digits < len && digits < 6 && isdigit((unsigned char)word[digits]))
        value = value * 10 + (word[digits++] - '0');
    reading->number = value;
    if (digits == 4 && value >= YEAR_MIN && value <= YEAR_MAX)
        reading->year = value;
    else if (digits <= 2 && value >= 1 && value <= 31)
        reading->day = (int)value; /* "9", "9th" */
}

/* 2023-05-03, at a digit. Returns its length, 0 when it is none. */
static size_t read_iso(struct reading *reading, const char *text)
{
    static const char shape[] = "dddd-dd-dd";
    size_t len = sizeof(shape) - 1;
    int month;
    int day;

    for (size_t i = 0; i < len; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != '-')
            return 0;
    }
    month = (text[5] - '0') * 10 + text[6] - '0';
    day = (text[8] - '0') * 10 + text[9] - '0';
    if (month < 1 || month > MONTHS || day < 1 || day > 31)
        return 0;
    read_number(reading, text, 4);
    reading->month = month;
    reading->day = day;
    return len;
}

static void read_word(struct reading *reading, const char *text, size_t len)
{
    char word[WORD_MAX] = "";

    if (len >= WORD_MAX)
        len = WORD_MAX - 1;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)tolower((unsigned char)text[i]);
    if (isdigit((unsigned char)*word)) {
        read_number(reading, word, len);
    } else {
        if (!read_month(reading, word, len, isupper((unsigned char)*text)))
            read_relative(reading, word);
        reading->number = -1;
    }
    memcpy(reading->before, word, sizeof(word));
}

static bool make_range(const struct reading *reading, struct date_range *ret_range)
{
    int64_t year = reading->year;
    int month = reading->month;

    if (month && year && reading->day) {
        ret_range->first_day = dates_day_of(year, month, reading->day);
        ret_range->after_day = ret_range->first_day + 1;
    } else if (month && year) {
        ret_range->first_day = dates_day_of(year, month, 1);
        ret_range->after_day =
            month == MONTHS ? dates_day_of(year + 1, 1, 1) : dates_day_of(year, month + 1, 1);
    } else if (month) {
        ret_range->month = month;
    } else if (reading->has_relative) {
        *ret_range = reading->relative;
    } else if (year) {
        ret_range->first_day = dates_day_of(year, 1, 1);
        ret_range->after_day = dates_day_of(year + 1, 1, 1);
    } else {
        return false;
    }
    return true;
}

bool dates_find(const char *question, int64_t now_wall_s, struct date_range *ret_range)
{
    struct reading reading = { .today = now_wall_s / DAY_S, .number = -1 };

    *ret_range = (struct date_range){ 0 };
    for (const char *at = question; *at;) {
        size_t len = 0;

        if (isdigit((unsigned char)*at))
            len = read_iso(&reading, at);
        if (!len) {
            while (isalnum((unsigned char)at[len]))
                len++;
            if (len)
                read_word(&reading, at, len);
        }
        at += len ? len : 1;
    }
    return make_range(&reading, ret_range);
}

double dates_closeness(const struct date_range *range, int64_t at_wall_s)
{
    int64_t day = at_wall_s / DAY_S;
    int64_t distance;

    if (range->month) {
        int64_t year;
        int month;
        int of_month;

        dates_split_day(day, &year, &month, &of_month);
        return month == range->month ? 1 : 0;
    }
    if (day >= range->first_day && day < range->after_day)
        return 1;
    distance = day < range->first_day ? range->first_day - day : day - range->after_day + 1;
    if (distance <= NEAR_DAYS)
        return NEAR_CLOSENESS;
    return day >= range->after_day && distance <= LATER_DAYS ? LATER_CLOSENESS : 0;
}
