/*
 * acts_leak.h - an agent that gives away what it has read.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_ACTS_LEAK_H
#define DOUBLE_ACTS_LEAK_H

#include "tests/agent_double/acts.h"

int play_leak(const struct stage *stage);

#endif
