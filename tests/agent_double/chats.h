/*
 * chats.h - the agent's own store of chats: one JSON file each, `chats/ID.json` in the
 * directory that the personality's variable names, with the questions that were asked in it.
 * Without the variable nothing is kept.
 *
 * Owns:    the chat that is open, for the life of the program.
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_CHATS_H
#define DOUBLE_CHATS_H

#include <stdbool.h>

bool chats_has(const char *id);

/* Reads the chat, if there is one, and adds the question to it. */
void chats_open(const char *id, const char *question);

/* ` My notes of this chat hold 2 questions: (1) "..." (2) "...".` without the one just added,
 * to be freed; NULL when there are none. */
char *chats_answer(void);

#endif
