/*
 * bench_ack.c - what Slack waits for: from an event on the wire to its ack, which goes out
 * after the durable commit only; then how many events a second the daemon takes, and for how
 * much CPU.
 *
 * The agent hangs, so messages just pile up, as in a bad hour. The floor is an append and
 * fdatasync of one row in the daemon's own directory, measured before and after each round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/lab.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define PACED_ROUNDS 9 /* short ones: the disk of a shared machine has moods of seconds */
#define PACED_EVENTS 1000
#define BURST_ROUNDS 3
#define BURST_EVENTS 50000
#define POLL_NS      50000000

struct round {
    int64_t p50_us, p99_us;
    int64_t events_per_s;
    int64_t cpu_us; /* for all of the round's events */
};

struct figure {
    double value, floor;
};

/* Runs a load to its end. False when an ack was lost. */
static bool run_load(struct harness *harness, json_t *request, struct round *ret_round)
{
    struct timespec poll = { .tv_nsec = POLL_NS };
    int64_t events = lab_number(request, "events");
    int64_t cpu_before_us = measure_cpu_us(daemon_pid(harness));
    json_t *answer = lab_command(harness, "load", request);
    const json_t *load = json_object_get(answer, "load");
    int64_t acked;

    while (json_object_get(load, "running")) {
        json_decref(answer);
        nanosleep(&poll, NULL);
        answer = lab_command(harness, "load", NULL);
        load = json_object_get(answer, "load");
    }
    acked = lab_number(load, "acked");
    ret_round->p50_us = lab_number(load, "p50_us");
    ret_round->p99_us = lab_number(load, "p99_us");
    ret_round->events_per_s = lab_number(load, "events_per_s");
    ret_round->cpu_us = measure_cpu_us(daemon_pid(harness)) - cpu_before_us;
    json_decref(answer);
    if (acked != events)
        fprintf(stderr, "bench_ack: of %lld events only %lld were acked\n", (long long)events,
                (long long)acked);
    return acked == events;
}

static int compare_ratios(const void *a, const void *b)
{
    const struct figure *left = a;
    const struct figure *right = b;
    double difference = left->value / left->floor - right->value / right->floor;

    return (difference > 0) - (difference < 0);
}

/* The round with the median ratio stands for all of them. */
static void report_ratio(const char *figure, struct figure *rounds, double target)
{
    const struct figure *middle = &rounds[PACED_ROUNDS / 2];

    qsort(rounds, PACED_ROUNDS, sizeof(rounds[0]), compare_ratios);
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "us",
                                     .value = middle->value,
                                     .floor = middle->floor,
                                     .goal = REPORT_AT_MOST,
                                     .target = target,
                                     .is_ratio = true });
}

static bool measure_paced(struct harness *harness)
{
    struct figure p50[PACED_ROUNDS];
    struct figure p99[PACED_ROUNDS];
    int64_t cpu_us[PACED_ROUNDS];
    int64_t floor_us = measure_append_us(harness_state_dir(harness));

    for (size_t i = 0; i < PACED_ROUNDS; i++) {
        int64_t before_us = floor_us;
        struct round round;
        double floor;

        if (!run_load(harness,
                      json_pack("{s:i, s:i, s:i}", "events", PACED_EVENTS, "rate", 1000,
                                "channels", 50),
                      &round))
            return false;
        floor_us = measure_append_us(harness_state_dir(harness));
        floor = (double)(before_us + floor_us) / 2;
        p50[i] = (struct figure){ (double)round.p50_us, floor };
        p99[i] = (struct figure){ (double)round.p99_us, floor };
        cpu_us[i] = round.cpu_us;
    }
    report_ratio("p50 at 1,000 events/s", p50, 3);
    report_ratio("p99 at 1,000 events/s", p99, 40);
    report_row(&(struct report_row){
        .figure = "CPU of the daemon for each of these events",
        .unit = "us",
        .value = (double)measure_quantile(cpu_us, PACED_ROUNDS, 500) / PACED_EVENTS });
    return true;
}

static bool measure_burst(struct harness *harness)
{
    int64_t events_per_s[BURST_ROUNDS];
    int64_t cpu_us[BURST_ROUNDS];
    double floor_us = (double)measure_append_us(harness_state_dir(harness));

    for (size_t i = 0; i < BURST_ROUNDS; i++) {
        struct round round;

        if (!run_load(harness,
                      json_pack("{s:i, s:i, s:i}", "events", BURST_EVENTS, "window", 512,
                                "channels", 500),
                      &round))
            return false;
        events_per_s[i] = round.events_per_s;
        cpu_us[i] = round.cpu_us;
    }
    report_row(&(struct report_row){
        .figure = "sustained, 512 on their way",
        .unit = "/s",
        .value = (double)measure_quantile(events_per_s, BURST_ROUNDS, 500),
        .floor = 1e6 / floor_us,
        .goal = REPORT_AT_LEAST,
        .target = 10000 });
    report_row(&(struct report_row){
        .figure = "CPU of the daemon for each of these events",
        .unit = "us",
        .value = (double)measure_quantile(cpu_us, BURST_ROUNDS, 500) / BURST_EVENTS,
        .goal = REPORT_AT_MOST,
        .target = 100 });
    return true;
}

int main(void)
{
    struct harness *harness = harness_new();
    bool is_good;

    if (!harness)
        return 1;
    harness_set(harness, "log", "level: info");
    harness_set(harness, "agent", "max_running: 1");
    set_scenario(harness, "hang0");
    daemon_start(harness);
    report_title("Events (floor: append + fdatasync)");
    is_good = measure_paced(harness) && measure_burst(harness);
    daemon_kill(harness);
    lab_kill_agents(harness);
    harness_free(harness);
    return is_good ? 0 : 1;
}
