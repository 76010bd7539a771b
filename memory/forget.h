/*
 * forget.h - erasure, everywhere: RAM, store, summaries, fields and what was derived from the
 * erased turns (summaries are made anew, facts go), the ledger's text, answers kept for
 * repeated questions. What is erased leaves no bytes in the files.
 *
 * What is being answered meanwhile: the ledger's row has lost its text then, which
 * memory_is_forgotten() tells whoever has remembered the turn; he forgets it again.
 *
 * What stays: what others were answered, although it may repeat something; for 48 hours the ids
 * of messages, so that a delivery repeated by Slack is still known; copies that somebody made
 * (backups, exports, a quarantined file); what is in Slack.
 *
 * Owns:    nothing.
 * Threads: desk, worker, a command; not the loop and not the journal.
 */
#ifndef MEMORY_FORGET_H
#define MEMORY_FORGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"

/* The field that names the agent's own chat of a conversation. It goes when any of its turns
 * does: nobody asks that chat again. */
#define MEMORY_FIELD_CHAT "agent.chat"

/* All that are given must hold; at least one of key, user, before and slack_ts is. */
struct memory_forget {
    const char *key;       /* one conversation, and what threads under it took over from it */
    const char *user;      /* a person: what they said, and the answers to it; the whole of
                              conversations in which nobody else spoke; when it stands alone,
                              preferences and profile too */
    int64_t before_wall_s; /* what was said before */
    const char *team;      /* with channel and slack_ts: one message of Slack's and, when it was
                              answered alone, its answer */
    const char *channel;
    const char *slack_ts;
    const char *thread_ts; /* of that message, NULL or "" when not in a thread or not known */
    bool takes_answer;     /* of a message: its answer goes although others got it as well */
    bool is_alone; /* no daemon is running: what a run of an earlier process is about to answer
                      goes as well */
};

/* The receipt. */
struct memory_forgotten {
    int64_t conversations; /* erased whole */
    int64_t turns;
    int64_t summaries;
    int64_t fields;
    int64_t items;    /* preferences and facts */
    int64_t messages; /* of the ledger, whose text is gone */
    int64_t values;
    char **run_ids; /* runs whose directories hold what was erased; the caller removes them */
    size_t run_ids_count;
    char **keys; /* conversations that lost something: what agents keep of them is the caller's
                    to remove */
    size_t keys_count;
};
void memory_forgotten_deinit(struct memory_forgotten *forgotten); /* twice is fine */

/*
 * Fills a zeroed `ret_forgotten`, on failure with what was done; done again, it goes on from
 * there. When another process keeps the bytes from leaving the files, that is logged and
 * happens later by itself (cleaning.h), after a visitor by the daemon.
 */
int memory_forget(struct memory *memory, const struct memory_forget *what,
                  struct memory_forgotten *ret_forgotten, struct err *err);

/* True when the ledger's message was erased, for a turn that was running then. */
bool memory_is_forgotten(struct memory *memory, int64_t ledger_id);

/* "3 conversations, 41 turns, ..." - only what is not 0; "nothing" when all are. */
void memory_forgotten_print(const struct memory_forgotten *forgotten, struct buf *out);

#endif
