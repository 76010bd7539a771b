/*
 * wiring.h - the configuration in the words of the rooms below: what a memory, a run or a
 * launcher is opened with.
 *
 * Threads: any.
 */
#ifndef BOT_WIRING_H
#define BOT_WIRING_H

#include <stdbool.h>

#include "config/config.h"
#include "memory/context.h"
#include "memory/memory.h"

/* Strings are the configuration's. */
struct memory_options wiring_memory_options(const struct config *config);

/* What a context is made of; question, user and time are the caller's to add. `is_private`:
 * only the one who asks reads the conversation. */
struct memory_context_options wiring_context_options(const struct config *config,
                                                     bool is_private);

/* A list as an argv that ends with NULL: the array is the caller's to free, its strings are
 * not. */
const char **wiring_argv(const struct config_list *list);

#define WIRING_ID_BYTES 17

/* A short name for a conversation, always the same one: of directories and branches. */
void wiring_conversation_id(const char *conversation, char ret_id[WIRING_ID_BYTES]);

/* The program that starts agents and stays beside them: threadkeeper-launch next to us or,
 * where it is missing, our own, which can do it too but is ten times larger. Caller frees. */
char *wiring_launcher(void);

#endif
