/*
 * dates.h - the days that a question asks about: "on 9 October, 2022", "in May", "2023-05-03",
 * "yesterday", "last week", "three days ago" (as "3 days ago"). English; days are UTC's.
 *
 * Threads: any. Pure.
 */
#ifndef MEMORY_DATES_H
#define MEMORY_DATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct date_range {
    int64_t first_day; /* since 1970 */
    int64_t after_day; /* the first one that is outside */
    int month;         /* 1 to 12: this month of any year, and no days; else 0 */
};

/* False when the question names no date. */
bool dates_find(const char *question, int64_t now_wall_s, struct date_range *ret_range);

/* How well a time fits: 1 inside, less for the days around (people speak of what was and of
 * what will be), 0 farther away. */
double dates_closeness(const struct date_range *range, int64_t at_wall_s);

/* Days since 1970 of a date, and back. */
int64_t dates_day_of(int64_t year, int month, int day);
void dates_split_day(int64_t day, int64_t *ret_year, int *ret_month, int *ret_day);

#endif
