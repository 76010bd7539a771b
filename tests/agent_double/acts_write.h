/*
 * acts_write.h - scenarios that change the workspace.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_ACTS_WRITE_H
#define DOUBLE_ACTS_WRITE_H

#include "tests/agent_double/acts.h"

/* Writes a file where it works, and says where that is and what was in the file before. */
int play_write(const struct stage *stage);

#endif
