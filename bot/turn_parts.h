/*
 * turn_parts.h - the parts of one turn, for its own modules only.
 *
 *   turn_start.c  from the messages to a running agent (or one of an earlier process)
 *   turn_show.c   what the agent does, as the person sees it
 *   turn_end.c    how a turn ends: for the person, in memory, in the ledger
 *   turn.c        the order of all that
 *
 * Threads: worker.
 */
#ifndef BOT_TURN_PARTS_H
#define BOT_TURN_PARTS_H

#include "agent/run.h"
#include "base/buf.h"
#include "bot/kept.h"
#include "bot/turn.h"
#include "bot/turn_files.h"

#define TURN_STOP_CHECK_MS 200 /* how soon a running turn notices that the daemon stops */

/* What one turn carries from step to step. */
struct turn_progress {
    struct conversation *conversation;
    struct agent_run *run;
    struct buf denied; /* what the agent was not allowed to do */
    struct kept_question question;
    struct buf kept; /* an answer given before that serves again */
    struct buf kept_note;
    int64_t ids[DISPATCH_BATCH_MAX];
    char run_id[AGENT_RUN_ID_BYTES];
    size_t prompt_bytes; /* of the run that was started here, else 0 */
    int64_t prompt_tokens;
    struct turn_files files;
};

/* The configuration of the turn's channel, or the global one where it has none. Borrowed. */
struct turn_settings {
    const char *workspace;
    const char *model;
    const char *instructions;
    enum agent_mode mode;
};

const struct ledger_entry *turn_first_entry(const struct turn *turn);
bool turn_is_stopping(const struct turn *turn);
struct turn_settings turn_settings_of(const struct turn *turn);

/*
 * A run of an earlier process if there is one, else a new one, or none: then progress->kept is
 * the answer. -1: nothing runs.
 */
int turn_have_agent(struct turn *turn, struct turn_progress *progress, struct err *err);

void turn_show_event(struct turn *turn, struct turn_progress *progress,
                     const struct agent_event *event);

/* Each closes the answer, stores what is to be stored and counts; TURN_LEFT: the next daemon
 * has to. */
enum turn_outcome turn_end_run(struct turn *turn, struct turn_progress *progress);
enum turn_outcome turn_end_kept(struct turn *turn, struct turn_progress *progress);
enum turn_outcome turn_end_failed(struct turn *turn, struct turn_progress *progress,
                                  const char *sentence, bool is_partial);

#endif
