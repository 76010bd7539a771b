/*
 * slot.h - what one run of an agent at a time has to itself: its configuration, with a
 * permission file that is written anew for each run, and its data.
 *
 *   state_dir/slots/3.lock      held by who uses the slot; names its run
 *   state_dir/slots/3/config/   CURSOR_CONFIG_DIR: cli-config.json, and `chats`
 *   state_dir/slots/3/data/     CURSOR_DATA_DIR (whose path must be short, see below)
 *   state_dir/slots/3.bad-.../  what a run left there and nobody could remove
 *   state_dir/chats/<id>/       the agent's own chats of one conversation
 *
 * A slot is empty but for that file when a run gets it, and is emptied when the run is over: no
 * conversation finds anything of another. `config/chats` is a link to the chats of the run's
 * conversation, so that whatever slot its next turn gets, the agent finds its chat again; a run
 * that goes on with no chat has a directory of its own there, which goes with the rest.
 *
 * What stays where it is: HOME and XDG_CONFIG_HOME are the daemon's, for a stored login is
 * found there and must not be a copy, and HOME/.cache/cursor-compile-cache is shared by all
 * runs. The fence lets a run with a slot read there, and write into auth.json alone
 * (fence_rules.h). CURSOR_CONFIG_DIR and CURSOR_DATA_DIR of the daemon's own environment do not
 * count, unless agent.env names them: who does that keeps their own permissions, and no slot.
 *
 * Other agents than cursor-agent are not known to take such directories from the environment
 * without losing their login; they run without a slot.
 *
 * A slot is taken when a living process of any daemon holds its lock, or when the run that its
 * lock names still has processes: a run outlives the daemon, and nobody gets its slot.
 *
 * Owns:    state_dir/slots and state_dir/chats.
 * Threads: worker, summarizer; the sweeps on any that may wait for the disk.
 */
#ifndef AGENT_SLOT_H
#define AGENT_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/run.h"
#include "base/err.h"

/* cursor-agent uses /tmp/.cursor instead of a CURSOR_DATA_DIR that is too long for a socket's
 * name in it. How much it adds is not documented. */
#define AGENT_SLOT_DATA_MAX_BYTES 64

struct agent_slot;

struct agent_slot_wanted {
    const char *state_dir;
    const char *run_id;
    enum agent_mode mode;
    const char *chats_id; /* of the conversation, by lower-case letters, digits and "-"; NULL
                             for a run that goes on with no chat */
};

/*
 * Takes the first free slot, empties it and writes its permission file, which is read again and
 * checked. ERR_SYSTEM (disk full, not writable), ERR_TEMP (all are taken).
 */
int agent_slot_take(const struct agent_slot_wanted *wanted, struct agent_slot **ret_slot,
                    struct err *err);

/* Absolute; for agent_spec.slot_dir. Borrowed. */
const char *agent_slot_dir(const struct agent_slot *slot);

/* The chats of its conversation, absolute, for agent_spec.chats_dir; NULL for none. Borrowed.
 */
const char *agent_slot_chats(const struct agent_slot *slot);

/*
 * Empties a taken slot and fills it anew, for a run that is repeated: what the first attempt
 * left there, its permission file and its link to the chats among it, is not believed.
 */
int agent_slot_fill(const struct agent_slot *slot, struct err *err);

/*
 * Lets it go, emptied, and says in the log when the permission file has been changed meanwhile.
 * `keep_running`: the run goes on without us, so the slot stays as it is. NULL is fine.
 */
void agent_slot_release(struct agent_slot *slot, bool keep_running);

/*
 * What the agent's environment gets of its slot: "NAME=value" strings ended by NULL, in one
 * block that the caller frees with free(). They go before what is handed on from our own
 * environment. Names that `env_names` (agent.env; NULL for none) holds and our environment has
 * are left out. `slot_dir` NULL: an empty list.
 */
char **agent_slot_environment(const char *slot_dir, const char *const *env_names);

/* Empties slots whose run ended while nobody looked (a daemon died). */
void agent_slots_clear(const char *state_dir);

/* Removes the chats of a conversation, or of all that were used before `before_wall_s`. What
 * is not there is fine. */
int agent_chats_forget(const char *state_dir, const char *chats_id, struct err *err);
int agent_chats_sweep(const char *state_dir, int64_t before_wall_s, size_t *ret_removed,
                      struct err *err);

/* Whether CURSOR_DATA_DIR of any slot is too long, for `threadkeeper check`. */
bool agent_slot_path_is_long(const char *state_dir);

#endif
