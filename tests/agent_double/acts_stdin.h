/*
 * acts_stdin.h - scenarios about the prompt: who reads it, and when.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_ACTS_STDIN_H
#define DOUBLE_ACTS_STDIN_H

#include "tests/agent_double/acts.h"

int play_outfirst(const struct stage *stage);   /* prints more than a pipe holds, then reads */
int play_closestdin(const struct stage *stage); /* closes it unread, then is not logged in */

#endif
