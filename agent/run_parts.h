/*
 * run_parts.h - the parts of one run, for its own modules only.
 *
 *   run_start.c  from a specification, or from what an earlier process left, to a live run
 *   run.c        its events, and what the clock says to them
 *   run_end.c    its end: everything of it ended, then what it was
 *   run_again.c  once more, after a failure that passes
 *
 * Threads: worker.
 */
#ifndef AGENT_RUN_PARTS_H
#define AGENT_RUN_PARTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/dialect.h"
#include "agent/follow.h"
#include "agent/run.h"
#include "agent/run_exit.h"
#include "agent/stream.h"

/* What a leader that exited left behind gets this long between TERM and KILL. */
#define RUN_STRAGGLER_GRACE_MS 500

enum run_state { RUNNING, ENDING, DRAINING, ENDED };

struct agent_run {
    char id[AGENT_RUN_ID_BYTES];
    char *dir;
    const struct dialect *dialect;
    struct agent_stream *stream;
    char *launcher;     /* NULL: started by an earlier process */
    char **environment; /* as the launcher gets it; NULL likewise */
    struct agent_follow follow;

    uint64_t leader_ticks;
    siginfo_t status;    /* of the leader */
    struct run_exit how; /* what exit.json says */

    int64_t first_output_timeout_ms, idle_timeout_ms, timeout_ms, kill_grace_ms;
    int64_t max_output_bytes;
    int64_t started_ms; /* monotonic, also when an earlier daemon started it */
    int64_t last_output_ms;
    int64_t result_ms; /* when the result was read; -1 before */
    int64_t kill_at_ms;
    int64_t sweep_at_ms;
    struct agent_result result;

    enum run_state state;
    enum agent_mode mode;
    enum agent_outcome verdict; /* why we ended it */
    enum agent_outcome noted;   /* why an earlier process was ending it */
    unsigned repetitions;       /* how often agent_run_again() started it anew */
    pid_t leader; /* the supervisor, or the agent of an older version; 0: gone before we came */
    int pidfd;
    int cancel_fd;

    bool is_child;
    bool is_supervised;
    bool was_dead; /* already when we came */
    bool has_leader_ended;
    bool has_status;
    bool has_exit;
    bool has_verdict;
    bool has_noted;
};

void run_delete(struct agent_run *run); /* frees the struct, whatever its state */
int run_make_inside(const struct agent_run *run, const char *name, struct err *err);

/* Starts the launcher in the directory, which has its meta.json; on failure `run` is as before,
 * but for its times. */
int run_spawn(struct agent_run *run, struct err *err);

/* Whether the leader has ended, by now. */
void run_note_exit(struct agent_run *run);

/* Asks everything to end, with this grace; end_with() also says and notes why. */
void run_begin_ending(struct agent_run *run, int64_t now_ms, int64_t grace_ms);
void run_end_with(struct agent_run *run, enum agent_outcome verdict, int64_t now_ms);

/* ENDING: moves on to DRAINING when nothing of it is left, kills when it is time. */
void run_sweep(struct agent_run *run, int64_t now_ms);

/* No process is left: reads the last line, decides, reaps. */
void run_finish(struct agent_run *run, int64_t now_ms);

/* One pass: reads a chunk, or else moves the state on. True when there may be more at once. */
bool run_step(struct agent_run *run);
void run_wait_for_news(const struct agent_run *run, int64_t deadline_ms);

#endif
