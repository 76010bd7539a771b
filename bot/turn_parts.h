/*
 * turn_parts.h - the parts of one turn, for its own modules only.
 *
 *   turn_start.c  from the messages to a running agent (or one of an earlier process)
 *   turn_worktree.c  the checkout that it works in
 *   turn_show.c   what the agent does, as the person sees it
 *   turn_again.c  once more, after a failure of the agent that passes
 *   turn_steer.c  what newer messages make of a turn that runs
 *   turn_chat.c   the agent's own chat of the conversation
 *   turn_end.c    how a turn ends: for the person, in memory, in the ledger
 *   turn.c        the order of all that
 *
 * Threads: worker.
 */
#ifndef BOT_TURN_PARTS_H
#define BOT_TURN_PARTS_H

#include "agent/run.h"
#include "agent/slot.h"
#include "agent/worktree.h"
#include "base/buf.h"
#include "bot/activity.h"
#include "bot/chats.h"
#include "bot/kept.h"
#include "bot/turn.h"
#include "bot/turn_files.h"
#include "bot/usage.h"

#define TURN_STOP_CHECK_MS   200 /* how soon a running turn notices that the daemon stops */
#define TURN_SHOWN_MAX_BYTES ((size_t)128 * 1024)
#define TURN_DONE_MAX_BYTES  4096
#define TURN_DEATHS_MAX      3 /* of the daemon, in one turn */

#define TURN_NOT_STARTED \
    "Sorry, I could not start on this; the people who run me find the cause in the log."

/* The agent's own chat (agent.resume). */
struct turn_chat {
    bool is_used;
    bool is_new;       /* it knows nothing: memory tells */
    bool is_lost;      /* another one had to be begun, for the agent no longer had it */
    bool was_replaced; /* the agent refused one in this turn */
    struct chat_record record;
};

/* What one turn carries from step to step. */
struct turn_progress {
    struct conversation *conversation;
    struct agent_run *run;
    struct activity activity;
    bool has_started;               /* the first line of the run came */
    char model[USAGE_MODEL_BYTES];  /* as the agent calls it, "" when it does not */
    struct usage usage;             /* of the runs that have ended */
    struct usage unpaid;            /* of these, what is not counted for the person yet */
    struct agent_slot *slot;        /* of a run that was started here, else NULL */
    struct agent_worktree worktree; /* where that run works; path NULL: in the workspace */
    char *branch_note; /* where the work is, for who does not know yet; else NULL */
    struct buf denied; /* what the agent was not allowed to do */
    struct buf done; /* what the agent did, in the words of its tools; while steering matters */
    size_t denied_before, done_before; /* of these, what earlier runs of this turn had */
    struct buf shown;                  /* what earlier runs of this turn have said */
    enum dispatch_busy busy; /* why the run was ended here; DISPATCH_QUEUE: it was not */
    bool is_interrupted;     /* ... and the turn ends with it */
    bool is_taken_up;        /* the run is one of an earlier process */
    struct turn_chat chat;
    bool has_new_run; /* run_id is in the ledger and has its directory, but nothing ran yet */
    bool is_follower; /* the run follows one that newer messages ended */
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
 * The first step of a turn: its run has an id in the ledger and a directory, in which it is
 * noted that this process has begun with it. A turn in which TURN_DEATHS_MAX processes died is
 * refused: -1 with *ret_sentence, and nothing of it lives any more.
 */
int turn_begin(struct turn *turn, struct turn_progress *progress, const char **ret_sentence,
               struct err *err);

/*
 * A run of an earlier process if there is one, else a new one, or none: then progress->kept is
 * the answer. -1: nothing runs, and *ret_sentence may say why in place of TURN_NOT_STARTED.
 */
int turn_have_agent(struct turn *turn, struct turn_progress *progress,
                    const char **ret_sentence, struct err *err);

/* A new run for the batch, told what earlier ones have said and done (progress->shown). */
int turn_start_agent(struct turn *turn, struct turn_progress *progress, struct err *err);

/*
 * turn_worktree.c: the conversation's own checkout, where it has one (agent.worktree). What was
 * done in it is committed to its branch when a run has ended, before the person reads the
 * answer; what fails there is logged and stays in the checkout. RUN_DIR/worktree tells which
 * checkout that is, whatever the configuration says by then.
 */
int turn_open_worktree(struct turn *turn, struct turn_progress *progress, struct err *err);
void turn_keep_work(struct turn *turn, struct turn_progress *progress);
void turn_note_branch_told(struct turn *turn, struct turn_progress *progress);
/* Serves the surface when it is time, and carries a stop from there to the run. Returns when it
 * wants to be served again. */
int64_t turn_tick(struct turn *turn, int64_t now_ms);

/*
 * The run has ended. True: it failed by something that passes, before it showed anything, and
 * runs again (or the daemon stops, and leaves it). False: that was it.
 */
bool turn_try_again(struct turn *turn, struct turn_progress *progress);

/* Remembers what the agent does, for a run that may have to go on with it. */
void turn_note_done(struct turn_progress *progress, const struct agent_event *event);

/* Whether newer messages want the run to end now (agent.busy); ends it then. */
void turn_ask_busy(struct turn *turn, struct turn_progress *progress);

/* What the end of the run means: DISPATCH_QUEUE is the end of the turn, too. */
enum dispatch_busy turn_busy_verdict(struct turn *turn, struct turn_progress *progress);

/*
 * The run has ended for newer messages: they join the batch and another one goes on in the same
 * answer: 0. 1: a stop was quicker, and they end with the turn. -1: nothing runs.
 */
int turn_steer(struct turn *turn, struct turn_progress *progress, struct err *err);

/* What an earlier run of this turn had said, kept in the directory of the one that followed. */
void turn_load_shown(struct turn *turn, struct turn_progress *progress, const char *run_id);
int turn_save_shown(const struct turn *turn, const struct turn_progress *progress,
                    struct err *err);

void turn_show_event(struct turn *turn, struct turn_progress *progress,
                     const struct agent_event *event);

/* Each closes the answer, stores what is to be stored and counts; TURN_LEFT: the next daemon
 * has to. */
enum turn_outcome turn_end_run(struct turn *turn, struct turn_progress *progress);
enum turn_outcome turn_end_interrupted(struct turn *turn, struct turn_progress *progress);
enum turn_outcome turn_end_kept(struct turn *turn, struct turn_progress *progress);
enum turn_outcome turn_end_failed(struct turn *turn, struct turn_progress *progress,
                                  const char *sentence, bool is_partial);

/* A run of the turn has ended, perhaps with another to follow. */
void turn_note_run(const struct turn *turn, struct turn_progress *progress);

/* turn_usage.c: */

/* A run has ended: adds what it used to the turn's, as far as it is known; nothing for one that
 * never began. */
void turn_count_usage(const struct turn *turn, struct turn_progress *progress);
/* Counts it for the person whose message began the turn; once nobody counts it again. */
void turn_charge_usage(const struct turn *turn, struct turn_progress *progress);
/* What stands of it under the answer: warnings, and the footer of those who want it. */
void turn_print_usage(const struct turn *turn, const struct turn_progress *progress,
                      struct buf *out);

/* ---- turn_chat.c: */

/* Decides which chat the next run goes on in, before its prompt is made. ERR_TEMP, ERR_SYSTEM:
 * the store. */
int turn_chat_begin(const struct turn *turn, struct turn_progress *progress,
                    const struct turn_settings *settings, struct err *err);

/* How far the chat knows the conversation, 0 for nothing; and whether it was told this of the
 * person who asks: noted as told. */
int64_t turn_chat_told_seq(const struct turn_progress *progress);
bool turn_chat_knows_person(struct turn_progress *progress, const char *text);

/* Makes the record durable, with progress->run_id in it, before the process exists. */
int turn_chat_store(const struct turn *turn, struct turn_progress *progress,
                    struct agent_spec *spec, struct err *err);

/* The same chat for a run of an earlier process. */
void turn_chat_attach(const struct turn *turn, struct turn_progress *progress);

/* While the run goes on: the id may be known by now. */
void turn_chat_note_id(const struct turn *turn, struct turn_progress *progress);

/* The run has ended, well (then nothing happens yet) or not. Once for each run. */
void turn_chat_note_end(const struct turn *turn, struct turn_progress *progress);

/* What was said in the run is remembered: the chat has followed everything. */
void turn_chat_keep(const struct turn *turn, struct turn_progress *progress);

/* The run failed because its chat is not to be had: true once a turn; then a new run begins in
 * a new chat, -1: nothing runs. */
bool turn_chat_is_gone(const struct turn *turn, const struct turn_progress *progress);
int turn_chat_begin_anew(struct turn *turn, struct turn_progress *progress, struct err *err);

#endif
