/*
 * clock.h - the two clocks. Durations and deadlines are monotonic milliseconds, read once per
 * pass and handed on as `now_ms`, so that tests move them by hand; wall time is only stored and
 * shown.
 *
 * Threads: any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_FOREVER_MS INT64_MAX

int64_t clock_now_ms(void); /* monotonic */
int64_t clock_now_us(void); /* monotonic */
int64_t clock_wall_s(void); /* seconds since 1970 */
int64_t clock_wall_us(void);

#define CLOCK_ISO_BYTES 32

/* "2026-11-20T12:00:00Z" into `out` (CLOCK_ISO_BYTES), which it returns. */
const char *clock_iso_utc(int64_t wall_s, char *out);

/* "3 s", "4 min 10 s", "2 h 5 min": a duration for people, into `out` (32 bytes), which it
 * returns. */
const char *clock_human(int64_t duration_ms, char *out);

#endif
