/*
 * check.h - what no option can tell alone: tokens (given, read from files, of the right kind)
 * and options that must fit each other.
 *
 * Owns:    nothing.
 * Threads: startup or loop. Reads small files.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/loader.h"

/* Reads slack.app_token_file and slack.bot_token_file where they are given; "***" (a masked
 * listing loaded again) becomes "not given". */
void check_read_tokens(struct loader *loader);

/* Adds a problem for each thing that does not fit. */
void check_whole(struct loader *loader);

#endif
