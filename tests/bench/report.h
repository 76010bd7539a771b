/*
 * report.h - the table that `make bench` prints: each figure beside its floor, which was
 * measured in the same run, and beside its target.
 *
 * A figure that misses its target is marked and nothing more: whoever shares the machine
 * decides about the clock, so a benchmark fails only when what it measures does not work.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>

enum report_goal { REPORT_NO_GOAL, REPORT_AT_MOST, REPORT_AT_LEAST };

struct report_row {
    const char *figure;
    const char *unit;
    double value;
    double floor; /* 0: there is none */
    enum report_goal goal;
    double target;
    bool is_ratio; /* the target is for value / floor */
};

void report_title(const char *title);
void report_row(const struct report_row *row);

/* A line of explanation under the rows. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
