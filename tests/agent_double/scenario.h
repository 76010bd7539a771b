/*
 * scenario.h - which part the double plays in this start, and its parameters.
 *
 * Chosen by, in this order: the file `fake-cursor-agent.scenario` in $CURSOR_CONFIG_DIR, the
 * same in the workspace, the name it was started by (`cursor-agent@hang0`), the extra first
 * argument `--scenario=NAME`. The file holds a name and `key=value` words.
 *
 * Owns:    its strings, for the life of the program.
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_SCENARIO_H
#define DOUBLE_SCENARIO_H

#include <stdint.h>

#include "tests/agent_double/arguments.h"

struct scenario {
    char name[64];
    char parameters[4096]; /* "key=value key=value" */
    char directory[4096];  /* where the file was; "" when there was none: nothing is recorded */
};

void scenario_choose(const char *program, const struct arguments *arguments,
                     struct scenario *ret_scenario);

/* The parameter's number or text (borrowed until the next call), or `otherwise`. */
int64_t scenario_number(const struct scenario *scenario, const char *key, int64_t otherwise);
const char *scenario_text(const struct scenario *scenario, const char *key,
                          const char *otherwise);

/* How often this was asked before in this directory; 0 the first time. */
int64_t scenario_count(const struct scenario *scenario);

#endif
