/*
 * summary.h - prompts that ask for a summary, and the summaries that prompts contain.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_SUMMARY_H
#define DOUBLE_SUMMARY_H

#include <stdbool.h>

/* By its first line, which is always the same. */
bool summary_is_wanted(const char *prompt);

/* `Summary of 5 turns: U0ALICE said "..."; assistant said "...".`, to be freed. */
char *summary_answer(const char *prompt);

/* The summary that a turn's prompt carries along, on one line, to be freed; NULL for none. */
char *summary_given(const char *prompt);

#endif
