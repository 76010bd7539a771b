/*
 * leftover.h - what processes that died left in the ledger and in the directory of runs.
 *
 * Every `threadkeeper chat` holds state_dir/chat.lock while it lives, shared with others of its
 * kind. Who gets it alone knows that what the ledger still has of the terminal is nobody's: its
 * run is ended and the message counts as stopped, for there is no place to tell anything.
 *
 * Owns:    nothing.
 * Threads: any that may wait for the disk and for a run to end.
 */
#ifndef BOT_LEFTOVER_H
#define BOT_LEFTOVER_H

#include "agent/sweep.h"
#include "base/err.h"
#include "memory/memory.h"

struct leftover {
    struct memory *memory;
    const char *state_dir;
    const char *runs_dir;
    int64_t kill_grace_ms;
};

/*
 * Ends what dead chats left, unless one lives; then takes the lock for the caller's own life.
 * The descriptor, or -1 where it cannot be had: then nobody cleans up behind us.
 */
int leftover_enter_chat(const struct leftover *leftover);

/* The same for the daemon, which is no chat and keeps no lock. */
void leftover_end_chats(const struct leftover *leftover);

/* For struct agent_sweep: the runs that messages in the ledger wait for; context: a struct
 * leftover. */
int leftover_list_needed(void *context, char ***ret_ids, struct err *err);

#endif
