/*
 * ledger_erase.h - taking what was said out of the ledger. A row stays as long as it would
 * have, without its text, so that a delivery repeated by Slack is still known.
 *
 * Owns:    nothing.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_LEDGER_ERASE_H
#define MEMORY_LEDGER_ERASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/journal.h"
#include "memory/ledger.h"
#include "memory/readers.h"

/* All that are given must hold. */
struct ledger_erase {
    const char *conversation; /* NULL: not given, as for the rest */
    const char *user;
    int64_t before_wall_us; /* 0: not given */
    const char *team;
    const char *channel;
    const char *ts;
    bool is_alone; /* no daemon is at work on what is RUNNING */
};

struct ledger_erased {
    int64_t messages;
    char **run_ids; /* of rows that nobody is at work on */
    size_t run_ids_count;
    char **conversations; /* of the rows, each once; only with `ts` */
    size_t conversations_count;
};
void ledger_erased_deinit(
    struct ledger_erased *erased); /* safe on a zeroed struct, and twice */

/*
 * Empties text, attributes and reply_state. What waits or can be retried is CANCELLED with it;
 * of what is RUNNING only the text goes: whoever runs it finds it empty at the end, and forgets
 * its outcome. Commands that wait are left alone. Fills a zeroed `ret_erased`, on failure with
 * what was done.
 */
int ledger_erase(struct ledger *ledger, struct readers *readers, struct journal *journal,
                 const struct ledger_erase *what, struct ledger_erased *ret_erased,
                 struct err *err);

#endif
