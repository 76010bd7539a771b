/*
 * wiring.h - the configuration in the words of the rooms below: what a memory, a run or a
 * launcher is opened with.
 *
 * Threads: any.
 */
#ifndef BOT_WIRING_H
#define BOT_WIRING_H

#include "config/config.h"
#include "memory/memory.h"

/* Strings are the configuration's. */
struct memory_options wiring_memory_options(const struct config *config);

/* A list as an argv that ends with NULL: the array is the caller's to free, its strings are
 * not. */
const char **wiring_argv(const struct config_list *list);

/* The path of the program that runs, "" when /proc does not tell. Caller frees. */
char *wiring_own_path(void);

#endif
