/*
 * turn.h - one turn: what somebody said becomes a run of the agent, its answer appears on a
 * surface and is remembered. The place where memory, agent and surface meet.
 *
 *   marked running -> conversation pinned -> agent started (or taken up again)
 *         -> events to the surface -> answer closed -> turns and "done" in one commit
 *               ^           |
 *               +-- steer --+  newer messages join the batch, another run goes on
 * (turn_steer.c)
 *
 * The answer is closed before the commit: if the process dies between the two, the run is found
 * again and the last message is rewritten with the same text, while the other order would lose
 * the tail of an answer that counts as done.
 *
 * Threads: worker.
 */
#ifndef BOT_TURN_H
#define BOT_TURN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "bot/context_metrics.h"
#include "bot/dispatch.h"
#include "bot/guard.h"
#include "bot/kept.h"
#include "bot/surface.h"
#include "bot/turn_files.h"
#include "config/config.h"
#include "memory/memory.h"

struct turn_metrics {
    struct metric *answered;
    struct metric *failed;
    struct metric *stopped;
    struct metric *repeated; /* runs, not turns */
    struct metric *interrupted;
    struct metric *steered; /* runs */
    struct metric *input_tokens;
    struct metric *output_tokens;
    struct metric *cache_read_tokens;
    struct metric *cache_write_tokens;
    struct metric *estimated_tokens; /* of agents that report none */
    struct metric *spent;            /* questions refused because a day's tokens were used up */
    struct histogram *wait;          /* from the event to the start of the agent */
    struct histogram *duration;      /* of the agent's run */
    struct kept_metrics kept;
    struct context_metrics contexts;
    struct turn_files_metrics files;
};
void turn_metrics_init(struct turn_metrics *turn_metrics, struct metrics *metrics);

struct slack_web;
struct twins;

/* What turns share, and what this one is about. All borrowed for the call. */
struct turn {
    const struct config *config;
    struct memory *memory;
    struct surface *surface; /* behind the guard already */
    struct guard *guard;     /* for what does not pass through the surface, such as files */
    const struct turn_metrics *metrics;
    const char *launcher;
    const char *runs_dir;
    const atomic_bool *is_stopping; /* turns true: leave the run alive and return */
    int cancel_fd;
    int64_t patience_ms; /* for a Slack or a disk that refuses the end of the turn */
    struct dispatch_batch *batch;
    struct dispatch *dispatch; /* NULL: nothing newer can come (a terminal) */
    /* Newer messages have joined the batch: the owner drops those that may not, and notes the
     * ids. */
    void (*on_more)(void *context, struct dispatch_batch *batch);
    void *context;

    /* For files; each may be NULL. */
    struct slack_web *web; /* NULL outside Slack: none come, none go */
    struct twins *twins;
};

#define TURN_PATIENCE_MS (INT64_C(30) * 60 * 1000)

enum turn_outcome {
    TURN_ANSWERED,
    TURN_FAILED,      /* the person was told */
    TURN_STOPPED,     /* by the person */
    TURN_INTERRUPTED, /* by a newer message of the person */
    TURN_REFUSED,     /* no run: the day's tokens are used up */
    TURN_LEFT,        /* the daemon stops; the next one takes it up */
};

enum turn_outcome turn_run(struct turn *turn);

/* No run: the person reads `sentence`, and the messages are done with. */
enum turn_outcome turn_refuse(struct turn *turn, const char *sentence);

#endif
