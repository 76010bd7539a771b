/*
 * lab.h - what benchmarks ask the Slack stand-in, beyond the harness.
 *
 * Threads: one.
 */
#ifndef BENCH_LAB_H
#define BENCH_LAB_H

#include <jansson.h>
#include <stdint.h>

#include "tests/scenario/harness.h"

/* A number of an object, whole or not; 0 when absent. */
int64_t lab_number(const json_t *object, const char *key);

/* What to add to a time of the lab's journal ("at_us") to have it on our monotonic clock. */
int64_t lab_clock_offset_us(struct harness *harness);

/* Kills the agents of a daemon that is gone: they outlive it, a hanging one for ever. */
void lab_kill_agents(struct harness *harness);

#endif
