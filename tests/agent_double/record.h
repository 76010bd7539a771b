/*
 * record.h - one JSON line per start in `fake-cursor-agent.log` beside the scenario file: what
 * the double was given, for tests to look at. The fields are listed in README.md.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_RECORD_H
#define DOUBLE_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/agent_double/scenario.h"

void record_start(const struct scenario *scenario, int argc, char **argv, const char *input,
                  size_t input_len, bool has_input_eof);

void record_signal(const struct scenario *scenario, int signal_number);

#endif
