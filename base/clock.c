#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_wall_s(void)
{
    return clock_wall_us() / 1000000;
}

const char *clock_iso_utc(int64_t wall_s, char *out)
{
    time_t when = (time_t)wall_s;
    struct tm parts;

    if (!gmtime_r(&when, &parts) ||
        strftime(out, CLOCK_ISO_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(out, CLOCK_ISO_BYTES, "%" PRId64, wall_s);
    return out;
}

const char *clock_human(int64_t duration_ms, char *out)
{
    int64_t seconds = (duration_ms + 500) / 1000;

    if (seconds < 60)
        snprintf(out, 32, "%" PRId64 " s", seconds);
    else if (seconds < 3600)
        snprintf(out, 32, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else
        snprintf(out, 32, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
    return out;
}
