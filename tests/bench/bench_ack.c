/*
 * bench_ack.c - what Slack waits for: from an event on the wire to its ack, which goes out
 * after the durable commit only; then how many events a second the daemon takes, and for how
 * much CPU.
 *
 * The agent hangs, so messages just pile up, as in a bad hour. The floor is an append and
 * fdatasync of one row in the daemon's own directory, measured before each round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/lab.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define ROUNDS       3
#define PACED_EVENTS 5000
#define BURST_EVENTS 50000
#define POLL_NS      50000000

struct round {
    int64_t p50_us, p99_us, floor_us;
    int64_t events_per_s;
    int64_t cpu_us; /* for all of the round's events */
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

#define MEDIAN_OF(rounds, member)                       \
    __extension__({                                     \
        int64_t values_[ROUNDS];                        \
        for (size_t i_ = 0; i_ < ROUNDS; i_++)          \
            values_[i_] = (rounds)[i_].member;          \
        (double)measure_quantile(values_, ROUNDS, 500); \
    })

static bool measure_paced(struct harness *harness)
{
    struct round rounds[ROUNDS];
    double floor_us;

    for (size_t i = 0; i < ROUNDS; i++) {
        rounds[i].floor_us = measure_append_us(harness_state_dir(harness));
        if (!run_load(harness,
                      json_pack("{s:i, s:i, s:i}", "events", PACED_EVENTS, "rate", 1000,
                                "channels", 50),
                      &rounds[i]))
            return false;
    }
    floor_us = MEDIAN_OF(rounds, floor_us);
    report_row(&(struct report_row){ .figure = "p50 at 1,000 events/s",
                                     .unit = "us",
                                     .value = MEDIAN_OF(rounds, p50_us),
                                     .floor = floor_us,
                                     .goal = REPORT_AT_MOST,
                                     .target = 3,
                                     .is_ratio = true });
    report_row(&(struct report_row){ .figure = "p99 at 1,000 events/s",
                                     .unit = "us",
                                     .value = MEDIAN_OF(rounds, p99_us),
                                     .floor = floor_us,
                                     .goal = REPORT_AT_MOST,
                                     .target = 40,
                                     .is_ratio = true });
    report_row(&(struct report_row){ .figure = "CPU of the daemon for each of these events",
                                     .unit = "us",
                                     .value = MEDIAN_OF(rounds, cpu_us) / PACED_EVENTS });
    return true;
}

static bool measure_burst(struct harness *harness)
{
    struct round rounds[ROUNDS];
    double floor_us = (double)measure_append_us(harness_state_dir(harness));

    for (size_t i = 0; i < ROUNDS; i++) {
        if (!run_load(harness,
                      json_pack("{s:i, s:i, s:i}", "events", BURST_EVENTS, "window", 512,
                                "channels", 500),
                      &rounds[i]))
            return false;
    }
    report_row(&(struct report_row){ .figure = "sustained, 512 on their way",
                                     .unit = "/s",
                                     .value = MEDIAN_OF(rounds, events_per_s),
                                     .floor = 1e6 / floor_us,
                                     .goal = REPORT_AT_LEAST,
                                     .target = 10000 });
    report_row(&(struct report_row){ .figure = "CPU of the daemon for each of these events",
                                     .unit = "us",
                                     .value = MEDIAN_OF(rounds, cpu_us) / BURST_EVENTS,
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
    harness_free(harness);
    return is_good ? 0 : 1;
}
