#include "tests/bench/report.h"

#include <stdarg.h>
#include <stdio.h>

#define CELL_BYTES 48

/* Three digits are what a measurement is worth. */
static int decimals_of(double value)
{
    return value < 10 ? 2 : value < 100 ? 1 : 0;
}

static void print_value(char *cell, double value, const char *unit)
{
    snprintf(cell, CELL_BYTES, "%.*f %s", decimals_of(value), value, unit);
}

static void print_target(char *cell, const struct report_row *row)
{
    const char *relation = row->goal == REPORT_AT_MOST ? "<=" : ">=";

    if (row->goal == REPORT_NO_GOAL)
        snprintf(cell, CELL_BYTES, "%s", "");
    else if (row->is_ratio)
        snprintf(cell, CELL_BYTES, "%s %g x floor", relation, row->target);
    else
        snprintf(cell, CELL_BYTES, "%s %g %s", relation, row->target, row->unit);
}

static const char *verdict_of(const struct report_row *row)
{
    double value = row->is_ratio ? row->value / row->floor : row->value;

    switch (row->goal) {
    case REPORT_NO_GOAL:
        break;
    case REPORT_AT_MOST:
        return value <= row->target ? "met" : "MISSED";
    case REPORT_AT_LEAST:
        return value >= row->target ? "met" : "MISSED";
    }
    return "";
}

void report_title(const char *title)
{
    printf("\n%-46s %14s %14s %8s  %-16s\n", title, "measured", "floor", "ratio", "target");
    fflush(stdout);
}

void report_row(const struct report_row *row)
{
    char value[CELL_BYTES];
    char floor[CELL_BYTES] = "";
    char ratio[CELL_BYTES] = "";
    char target[CELL_BYTES];

    print_value(value, row->value, row->unit);
    print_target(target, row);
    if (row->floor > 0) {
        print_value(floor, row->floor, row->unit);
        snprintf(ratio, sizeof(ratio), "%.*f x", row->value / row->floor < 10 ? 2 : 1,
                 row->value / row->floor);
    }
    printf("  %-44s %14s %14s %8s  %-16s %s\n", row->figure, value, floor, ratio, target,
           verdict_of(row));
    fflush(stdout);
}

void report_note(const char *format, ...)
{
    va_list args;

    printf("    ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}
