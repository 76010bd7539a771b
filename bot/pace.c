#include "bot/pace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define OVERDUE_PART 4 /* a turn that is longer than usual goes on for a quarter of that */
#define MINUTE_MS    INT64_C(60000)
#define SHORT_MS     INT64_C(45000) /* below it, minutes say nothing */
#define HOUR_MIN     60

void pace_note(struct pace *pace, int64_t duration_ms)
{
    pace->recent_ms[pace->next] = duration_ms < 0 ? 0 : duration_ms;
    pace->next = (pace->next + 1) % PACE_TURNS;
    if (pace->count < PACE_TURNS)
        pace->count++;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int64_t pace_typical_ms(const struct pace *pace)
{
    int64_t sorted[PACE_TURNS];

    if (!pace->count)
        return PACE_UNKNOWN;
    memcpy(sorted, pace->recent_ms, pace->count * sizeof(sorted[0]));
    qsort(sorted, pace->count, sizeof(sorted[0]), by_size);
    return (sorted[(pace->count - 1) / 2] + sorted[pace->count / 2]) / 2;
}

static int64_t left_of(int64_t typical_ms, int64_t elapsed_ms)
{
    int64_t least_ms = typical_ms / OVERDUE_PART;

    return typical_ms - elapsed_ms > least_ms ? typical_ms - elapsed_ms : least_ms;
}

int64_t pace_left_ms(const struct pace *pace, int64_t elapsed_ms)
{
    int64_t typical_ms = pace_typical_ms(pace);

    return typical_ms == PACE_UNKNOWN ? PACE_UNKNOWN : left_of(typical_ms, elapsed_ms);
}

void pace_line_begin(struct pace_line *line, const struct pace *pace, size_t workers,
                     const int64_t *elapsed_ms, size_t running)
{
    *line = (struct pace_line){ .typical_ms = pace_typical_ms(pace),
                                .workers = workers > running ? workers : running };
    if (line->typical_ms == PACE_UNKNOWN || !line->workers)
        return;
    line->free_in_ms = xcalloc(line->workers, sizeof(int64_t));
    for (size_t i = 0; i < running; i++)
        line->free_in_ms[i] = left_of(line->typical_ms, elapsed_ms[i]);
}

int64_t pace_line_next(struct pace_line *line)
{
    size_t first = 0;
    int64_t wait_ms;

    if (!line->free_in_ms)
        return PACE_UNKNOWN;
    for (size_t i = 1; i < line->workers; i++) {
        if (line->free_in_ms[i] < line->free_in_ms[first])
            first = i;
    }
    wait_ms = line->free_in_ms[first];
    line->free_in_ms[first] += line->typical_ms;
    return wait_ms;
}

void pace_line_end(struct pace_line *line)
{
    free(line->free_in_ms);
    line->free_in_ms = NULL;
}

void pace_print(size_t ahead, int64_t wait_ms, struct buf *out)
{
    int64_t minutes = (wait_ms + MINUTE_MS / 2) / MINUTE_MS;

    if (ahead)
        buf_printf(out, "%zu ahead of you, ", ahead);
    else
        buf_append_text(out, "you are next, ");
    if (wait_ms == PACE_UNKNOWN)
        buf_append_text(out, "no estimate yet");
    else if (wait_ms < SHORT_MS)
        buf_append_text(out, "less than a minute");
    else if (minutes < INT64_C(2) * HOUR_MIN)
        buf_printf(out, "about %" PRId64 " min", minutes ? minutes : 1);
    else
        buf_printf(out, "about %" PRId64 " h", (minutes + HOUR_MIN / 2) / HOUR_MIN);
}
