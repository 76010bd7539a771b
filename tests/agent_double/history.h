/*
 * history.h - what a prompt says was said before, and what is asked now.
 *
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_HISTORY_H
#define DOUBLE_HISTORY_H

#include <stddef.h>

#define HISTORY_MAX_TURNS 64

struct history {
    char *told[HISTORY_MAX_TURNS]; /* the user's earlier turns, the newest ones */
    size_t told_count;             /* all of them, also those that did not fit */
    char *question;
    const char *fault; /* of what was said before; NULL: none */
};

void history_read(const char *prompt, struct history *ret_history);
void history_deinit(struct history *history);

/* `You have told me 2 things before: (1) "..." (2) "...". Now you ask: "..."`, to be freed. */
char *history_answer(const struct history *history);

#endif
