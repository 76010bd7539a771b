/*
 * acts.h - the scenarios: what the double does once it has been started.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_ACTS_H
#define DOUBLE_ACTS_H

#include <stdbool.h>

#include "tests/agent_double/scenario.h"

struct stage {
    const struct scenario *scenario;
    const struct arguments *arguments;
    const char *prompt;
};

struct act {
    const char *name;
    bool skips_prompt;                      /* plays without reading stdin */
    int (*play)(const struct stage *stage); /* returns the exit status */
};

const struct act *act_find(const char *name); /* NULL: unknown */

/* For a prompt that asks for a summary, in every scenario. */
extern const struct act act_summary;

/* files.c: what lies in the inbox, what is left in the outbox. */
int act_files(const struct stage *stage);

/* cursor-agent's, which it also gives without a scenario. */
int act_refuse_trust(void);

#endif
