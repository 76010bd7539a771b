/*
 * metrics.h - a registry of counters, gauges and histograms, printed as Prometheus text.
 *
 * Each module registers what it counts when it is made and keeps the pointers; counting is one
 * atomic operation. Asking for the same name and labels again returns the same metric.
 *
 * Owns:    every metric, until metrics_free().
 * Threads: any. Registering takes a lock, counting does not.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct metrics;
struct metric; /* one counter or gauge */
struct histogram;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics); /* NULL is fine */

/*
 * `name` without the "threadkeeper_" prefix, which is added; `labels` as they are printed, such
 * as `reason="close"`, or "". All three strings are copied.
 */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                               const char *help);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels,
                             const char *help);

/* Buckets from 0.1 ms to 15 min, in seconds as Prometheus wants; fed in microseconds. */
struct histogram *metrics_histogram(struct metrics *metrics, const char *name,
                                    const char *labels, const char *help);

void metric_add(struct metric *metric, int64_t amount);
void metric_set(struct metric *metric, int64_t value);
int64_t metric_value(const struct metric *metric);
void histogram_observe_us(struct histogram *histogram, int64_t microseconds);
int64_t histogram_count(const struct histogram *histogram);
/* The upper bound of the bucket that holds the `permille` quantile (500 = median); 0 when
 * empty. */
int64_t histogram_quantile_us(const struct histogram *histogram, unsigned permille);

/* Appends the whole registry in the Prometheus text format 0.0.4, sorted by registration. */
void metrics_print(struct metrics *metrics, struct buf *out);

#endif
