#include "base/metrics.h"

#include <pthread.h>

#include "tests/test.h"

static void counters_and_gauges_are_printed_for_prometheus(void)
{
    struct metrics *metrics = metrics_new();
    struct metric *drops =
        metrics_counter(metrics, "drops_total", "reason=\"close\"", "Drops.");
    struct metric *links = metrics_gauge(metrics, "links", "", "Links up.");
    struct metric *others =
        metrics_counter(metrics, "drops_total", "reason=\"ping\"", "Drops.");
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 10000);
    metric_add(drops, 2);
    metric_add(drops, 1);
    metric_set(links, 5);
    metric_set(links, -1);
    metric_add(others, 9);
    CHECK_INT(metric_value(drops), 3, "added up");
    metrics_print(metrics, &out);
    CHECK_TEXT(buf_text(&out),
               "# HELP threadkeeper_drops_total Drops.\n"
               "# TYPE threadkeeper_drops_total counter\n"
               "threadkeeper_drops_total{reason=\"close\"} 3\n"
               "threadkeeper_drops_total{reason=\"ping\"} 9\n"
               "# HELP threadkeeper_links Links up.\n"
               "# TYPE threadkeeper_links gauge\n"
               "threadkeeper_links -1\n",
               "one head per name, its metrics behind it");
    metrics_free(metrics);
    metrics_free(NULL);
}

static void asking_again_gives_the_same_metric(void)
{
    struct metrics *metrics = metrics_new();
    struct metric *first = metrics_counter(metrics, "a", "", "A.");

    CHECK_INT(metrics_counter(metrics, "a", "", "A.") == first, 1, "same name and labels");
    CHECK_INT(metrics_counter(metrics, "a", "x=\"1\"", "A.") != first, 1, "other labels");
    CHECK_INT(metrics_histogram(metrics, "h", "", "H.") ==
                  metrics_histogram(metrics, "h", "", "H."),
              1, "histograms too");
    metrics_free(metrics);
}

static void a_histogram_counts_into_cumulative_buckets(void)
{
    struct metrics *metrics = metrics_new();
    struct histogram *wait = metrics_histogram(metrics, "wait_seconds", "lane=\"a\"", "Wait.");
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 20000);
    histogram_observe_us(wait, 0);
    histogram_observe_us(wait, 100);        /* a limit belongs to its bucket */
    histogram_observe_us(wait, 101);        /* the next one */
    histogram_observe_us(wait, 2000000000); /* above all limits */
    CHECK_INT(histogram_count(wait), 4, "all of them");
    metrics_print(metrics, &out);
    CHECK_HOLDS(buf_text(&out), "# TYPE threadkeeper_wait_seconds histogram\n", "its type");
    CHECK_HOLDS(buf_text(&out), "_bucket{lane=\"a\",le=\"0.0001\"} 2\n", "up to 0.1 ms");
    CHECK_HOLDS(buf_text(&out), "_bucket{lane=\"a\",le=\"0.00025\"} 3\n", "cumulative");
    CHECK_HOLDS(buf_text(&out), "_bucket{lane=\"a\",le=\"900\"} 3\n", "15 min");
    CHECK_HOLDS(buf_text(&out), "_bucket{lane=\"a\",le=\"+Inf\"} 4\n", "all");
    CHECK_HOLDS(buf_text(&out), "_sum{lane=\"a\"} 2000\n", "in seconds");
    CHECK_HOLDS(buf_text(&out), "_count{lane=\"a\"} 4\n", "all");
    metrics_free(metrics);
}

static void quantiles_are_the_bound_of_their_bucket(void)
{
    struct metrics *metrics = metrics_new();
    struct histogram *wait = metrics_histogram(metrics, "w", "", "W.");

    CHECK_INT(histogram_quantile_us(wait, 500), 0, "empty");
    for (int i = 0; i < 99; i++)
        histogram_observe_us(wait, 200);
    histogram_observe_us(wait, 40000);
    CHECK_INT(histogram_quantile_us(wait, 500), 250, "the median");
    CHECK_INT(histogram_quantile_us(wait, 990), 250, "99 of 100");
    CHECK_INT(histogram_quantile_us(wait, 999), 50000, "the last one");
    metrics_free(metrics);
}

static void *count_up(void *context)
{
    struct metrics *metrics = context;
    struct metric *metric = metrics_counter(metrics, "shared", "", "Shared.");

    for (int i = 0; i < 10000; i++)
        metric_add(metric, 1);
    return NULL;
}

static void any_thread_may_count(void)
{
    struct metrics *metrics = metrics_new();
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, count_up, metrics);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(metric_value(metrics_counter(metrics, "shared", "", "Shared.")), 40000,
              "all of it");
    metrics_free(metrics);
}

TEST_MAIN(TEST(counters_and_gauges_are_printed_for_prometheus),
          TEST(asking_again_gives_the_same_metric),
          TEST(a_histogram_counts_into_cumulative_buckets),
          TEST(quantiles_are_the_bound_of_their_bucket), TEST(any_thread_may_count))
