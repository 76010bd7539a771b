/*
 * chat.h - the agents' own chats, which `agent.resume` goes on in: what a dialect can do with
 * them, and whether one is still there.
 *
 * An agent keeps its chats in its own store, under its own rules; nothing here writes to it.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef AGENT_CHAT_H
#define AGENT_CHAT_H

#include <stdbool.h>

#include "agent/run.h"

enum agent_chats {
    AGENT_CHATS_NONE,   /* it has none to go on in */
    AGENT_CHATS_CHOSEN, /* the id of a new one is ours to choose: known before it starts */
    AGENT_CHATS_GIVEN,  /* it tells the id in its first event */
};
enum agent_chats agent_chats_of(enum agent_dialect dialect);

/* True for what may follow an option on a command line: letters, digits, '-' and '_', no '-' in
 * front, shorter than AGENT_CHAT_ID_BYTES. */
bool agent_chat_is_id(const char *id);

/*
 * False when the agent would not find the chat and would not say so either: cursor begins an
 * empty one under the same id. `chats_dir` is where it keeps them, NULL for where it looks by
 * itself. True for dialects that refuse an id that they do not know.
 */
bool agent_chat_is_there(enum agent_dialect dialect, const char *chats_dir, const char *id);

#endif
