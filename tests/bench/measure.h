/*
 * measure.h - quantiles, the floors, and what the kernel says about a process.
 *
 * Threads: any.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Sorts the values. 500 is the median, 1000 the largest; 0 without values. */
int64_t measure_quantile(int64_t *values, size_t count, unsigned permille);

/* The median of appending an event's worth of bytes to a file there and fdatasync; -1 when the
 * directory cannot be written. */
int64_t measure_append_us(const char *directory);

/* The median of starting argv[0] and waiting for its end; -1 when it does not start. */
int64_t measure_spawn_us(char *const *argv);

/* User and system time of all threads so far; -1 when there is no such process. */
int64_t measure_cpu_us(pid_t pid);

/* "VmRSS", "RssAnon", ... of /proc/PID/status; -1 when there is none. */
int64_t measure_memory_kb(pid_t pid, const char *name);

/* How often its threads went to sleep and were woken so far. */
int64_t measure_wakeups(pid_t pid);

#endif
