/*
 * hostile.h - an agent that tries its ways out: scenario `hostile`.
 *
 * Its answer is a word for each attempt, NAME=ERRNO (EACCES, EPERM, ...), or NAME=done where it
 * succeeded. The parameters say what to aim at and which attempts to make.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_HOSTILE_H
#define DOUBLE_HOSTILE_H

#include "tests/agent_double/acts.h"

int hostile_play(const struct stage *stage);

#endif
