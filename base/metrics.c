#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
    struct metric *next;
    enum metric_type type;
    char *name;
    char *labels;
    char *help;
    atomic_int_least64_t value;
};

static const int64_t bucket_limits_us[] = {
    100,     250,      500,      1000,     2500,      5000,     10000,
    25000,   50000,    100000,   250000,   500000,    1000000,  2500000,
    5000000, 10000000, 30000000, 60000000, 300000000, 900000000
};

struct histogram {
    struct histogram *next;
    char *name;
    char *labels;
    char *help;
    atomic_int_least64_t
        buckets[ARRAY_LEN(bucket_limits_us) + 1]; /* the last one: above all limits */
    atomic_int_least64_t sum_us;
};

struct metrics {
    pthread_mutex_t lock; /* guards the two lists; the numbers are atomic */
    struct metric *first;
    struct histogram *first_histogram;
};

struct metrics *metrics_new(void)
{
    struct metrics *metrics = xcalloc(1, sizeof(*metrics));

    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    while (metrics->first) {
        struct metric *metric = metrics->first;

        metrics->first = metric->next;
        free(metric->name);
        free(metric->labels);
        free(metric->help);
        free(metric);
    }
    while (metrics->first_histogram) {
        struct histogram *histogram = metrics->first_histogram;

        metrics->first_histogram = histogram->next;
        free(histogram->name);
        free(histogram->labels);
        free(histogram->help);
        free(histogram);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static struct metric *register_metric(struct metrics *metrics, enum metric_type type,
                                      const char *name, const char *labels, const char *help)
{
    struct metric **at;
    struct metric *metric;

    pthread_mutex_lock(&metrics->lock);
    for (at = &metrics->first; *at; at = &(*at)->next) {
        if (strcmp((*at)->name, name) == 0 && strcmp((*at)->labels, labels) == 0)
            break;
    }
    if (!*at) {
        *at = xcalloc(1, sizeof(**at));
        (*at)->type = type;
        (*at)->name = xstrdup(name);
        (*at)->labels = xstrdup(labels);
        (*at)->help = xstrdup(help);
    }
    metric = *at;
    pthread_mutex_unlock(&metrics->lock);
    return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                               const char *help)
{
    return register_metric(metrics, METRIC_COUNTER, name, labels, help);
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels,
                             const char *help)
{
    return register_metric(metrics, METRIC_GAUGE, name, labels, help);
}

struct histogram *metrics_histogram(struct metrics *metrics, const char *name,
                                    const char *labels, const char *help)
{
    struct histogram **at;
    struct histogram *histogram;

    pthread_mutex_lock(&metrics->lock);
    for (at = &metrics->first_histogram; *at; at = &(*at)->next) {
        if (strcmp((*at)->name, name) == 0 && strcmp((*at)->labels, labels) == 0)
            break;
    }
    if (!*at) {
        *at = xcalloc(1, sizeof(**at));
        (*at)->name = xstrdup(name);
        (*at)->labels = xstrdup(labels);
        (*at)->help = xstrdup(help);
    }
    histogram = *at;
    pthread_mutex_unlock(&metrics->lock);
    return histogram;
}

void metric_add(struct metric *metric, int64_t amount)
{
    atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

void histogram_observe_us(struct histogram *histogram, int64_t microseconds)
{
    size_t i = 0;

    while (i < ARRAY_LEN(bucket_limits_us) && microseconds > bucket_limits_us[i])
        i++;
    atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, microseconds, memory_order_relaxed);
}

int64_t histogram_count(const struct histogram *histogram)
{
    int64_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(histogram->buckets); i++)
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    return count;
}

int64_t histogram_quantile_us(const struct histogram *histogram, unsigned permille)
{
    int64_t count = histogram_count(histogram);
    int64_t seen = 0;

    if (!count)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(bucket_limits_us); i++) {
        seen += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        if (seen * 1000 >= count * permille)
            return bucket_limits_us[i];
    }
    return bucket_limits_us[ARRAY_LEN(bucket_limits_us) - 1];
}

/* HELP and TYPE once per name: all metrics of a name follow its first one. */
static void print_metric(const struct metric *metric, struct buf *out)
{
    if (*metric->labels)
        buf_printf(out, "threadkeeper_%s{%s} %" PRId64 "\n", metric->name, metric->labels,
                   metric_value(metric));
    else
        buf_printf(out, "threadkeeper_%s %" PRId64 "\n", metric->name, metric_value(metric));
}

static void print_head(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_printf(out, "# HELP threadkeeper_%s %s\n# TYPE threadkeeper_%s %s\n", name, help, name,
               type);
}

static bool is_first_of_name(const struct metrics *metrics, const struct metric *metric)
{
    const struct metric *earlier = metrics->first;

    while (earlier != metric && strcmp(earlier->name, metric->name) != 0)
        earlier = earlier->next;
    return earlier == metric;
}

static void print_histogram(const struct histogram *histogram, struct buf *out)
{
    const char *comma = *histogram->labels ? "," : "";
    int64_t total = 0;

    for (size_t i = 0; i < ARRAY_LEN(bucket_limits_us); i++) {
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        buf_printf(out, "threadkeeper_%s_bucket{%s%sle=\"%g\"} %" PRId64 "\n", histogram->name,
                   histogram->labels, comma, (double)bucket_limits_us[i] / 1e6, total);
    }
    total += atomic_load_explicit(&histogram->buckets[ARRAY_LEN(bucket_limits_us)],
                                  memory_order_relaxed);
    buf_printf(out, "threadkeeper_%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", histogram->name,
               histogram->labels, comma, total);
    buf_printf(out, "threadkeeper_%s_sum%s%s%s %g\n", histogram->name,
               *histogram->labels ? "{" : "", histogram->labels, *histogram->labels ? "}" : "",
               (double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) / 1e6);
    buf_printf(out, "threadkeeper_%s_count%s%s%s %" PRId64 "\n", histogram->name,
               *histogram->labels ? "{" : "", histogram->labels, *histogram->labels ? "}" : "",
               total);
}

void metrics_print(struct metrics *metrics, struct buf *out)
{
    pthread_mutex_lock(&metrics->lock);
    for (const struct metric *metric = metrics->first; metric; metric = metric->next) {
        if (!is_first_of_name(metrics, metric))
            continue;
        print_head(out, metric->name, metric->help,
                   metric->type == METRIC_COUNTER ? "counter" : "gauge");
        for (const struct metric *same = metric; same; same = same->next) {
            if (strcmp(same->name, metric->name) == 0)
                print_metric(same, out);
        }
    }
    for (const struct histogram *h = metrics->first_histogram; h; h = h->next) {
        const struct histogram *earlier = metrics->first_histogram;

        while (earlier != h && strcmp(earlier->name, h->name) != 0)
            earlier = earlier->next;
        if (earlier != h)
            continue;
        print_head(out, h->name, h->help, "histogram");
        for (const struct histogram *same = h; same; same = same->next) {
            if (strcmp(same->name, h->name) == 0)
                print_histogram(same, out);
        }
    }
    pthread_mutex_unlock(&metrics->lock);
}
