/*
 * chats.h - what we keep of the agent's own chat of a conversation (agent.resume): a field of
 * the conversation that says which chat it is, for whom it is good, and how far it has
 * followed. And the chats themselves, which are the agent's and lie in state_dir/chats where it
 * lets us choose that (agent/slot.h).
 *
 * Owns:    nothing.
 * Threads: worker, desk, a command; not the loop and not the journal.
 */
#ifndef BOT_CHATS_H
#define BOT_CHATS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/chat.h"
#include "base/err.h"
#include "config/config.h"
#include "memory/forget.h"
#include "memory/told.h"

#define CHATS_HOST_BYTES 65

struct chat_record {
    char id[AGENT_CHAT_ID_BYTES]; /* never "" */
    /* Whose it is; another one of these is another chat. Owned. */
    char *dialect;
    char *workspace;
    char *model;
    char host[CHATS_HOST_BYTES]; /* an agent's store is on one machine */
    /* The run that goes on in it, "" for none: as long as it stands there nobody knows what the
     * chat holds. */
    char run_id[AGENT_RUN_ID_BYTES];
    /* What the conversation was when the chat had followed all of it; "" and 0: it was told
     * nothing yet. */
    char told[MEMORY_TOLD_BYTES];
    int64_t told_seq;
    char person[MEMORY_TOLD_BYTES]; /* what it was told of who asks */
    int64_t used_wall_s;
};

void chat_record_deinit(struct chat_record *record); /* safe on a zeroed struct, and twice */

/* 1 with the record in a zeroed `ret_record`; 0: there is none that can be read; -1. */
int chats_load(struct memory *memory, const char *conversation, struct chat_record *ret_record,
               struct err *err);

/* Durable when it returns; kept for `ttl_ms`. */
int chats_save(struct memory *memory, const char *conversation,
               const struct chat_record *record, int64_t ttl_ms, struct err *err);
int chats_drop(struct memory *memory, const char *conversation, struct err *err);

/* This machine's name. */
void chats_host(char ret_host[CHATS_HOST_BYTES]);

/* Whether the agent will find the chat of this conversation (see agent_chat_is_there()). */
bool chats_is_there(const struct config *config, const char *conversation, const char *id);

/* Removes what the agent keeps of a conversation, as far as it lies with us; failures are
 * logged. The second for all that were touched by an erasure. */
void chats_remove(const char *state_dir, const char *conversation);
void chats_forget(const char *state_dir, const struct memory_forgotten *forgotten);

#endif
