/*
 * dispatch.h - who is answered next: a lane per conversation, one turn at a time in it, in
 * Slack's order; fair between people; bounded in memory, the rest waits in the ledger.
 *
 *   submit --> lane (by conversation key, ordered by ts) --> its person's queue --> ring of
 * people take   <-- the next person's next lane, with everything that waits in it (one batch)
 *   finish --> the lane is free; what came meanwhile makes the next batch
 *
 * Owns:    the entries submitted, until a batch or dispatch_stop() hands them out.
 * Threads: any; one lock, never held while a caller's code runs.
 */
#ifndef BOT_DISPATCH_H
#define BOT_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"
#include "memory/memory.h"

#define DISPATCH_QUEUE_MAX       16384 /* entries in RAM; beyond that they lie in the ledger */
#define DISPATCH_BATCH_MAX       50    /* messages answered together in one turn */
#define DISPATCH_BATCH_MAX_BYTES 65536

struct dispatch;

/* What a worker gets: all of one conversation, oldest first. */
struct dispatch_batch {
    char *conversation;
    struct ledger_entry **entries; /* with room for DISPATCH_BATCH_MAX */
    size_t count;
    bool is_found; /* the first was found in the ledger: an earlier process may know more */
};

struct dispatch *dispatch_new(struct metrics *metrics);
void dispatch_free(
    struct dispatch *dispatch); /* NULL is fine; close it and join the takers first */

/* How many threads take batches, for the estimates; 1 unless said. */
void dispatch_set_takers(struct dispatch *dispatch, size_t takers);

enum dispatch_source {
    DISPATCH_NEW,    /* just recorded; in the order of the ledger's ids */
    DISPATCH_REFILL, /* read from the ledger by a refill: always let in */
    DISPATCH_AGAIN,  /* Retry: RECEIVED once more */
};

/*
 * Takes the entry over. One that the queue has no room for is freed: it lies in the ledger, and
 * so does every newer one until a refill has led to them, so that none overtakes. A new one
 * that a refill has brought already, because it was committed while the ledger was read, is
 * freed as well.
 */
void dispatch_submit(struct dispatch *dispatch, struct ledger_entry *entry,
                     enum dispatch_source source);

/*
 * The next batch, waiting for one; false once closed. `cancel_fd` is the taker's eventfd: it is
 * drained here and made readable by dispatch_stop(). The batch's strings and entries belong to
 * the taker until dispatch_finish().
 */
bool dispatch_take(struct dispatch *dispatch, int cancel_fd, struct dispatch_batch *ret_batch);

/* The taker has left messages out of the batch (freed them): they are not the turn's any more.
 */
void dispatch_note_batch(struct dispatch *dispatch, const struct dispatch_batch *batch);

/* Frees the batch and its lane for the next turn. */
void dispatch_finish(struct dispatch *dispatch, struct dispatch_batch *batch);

/* ---- newer messages while a turn runs (agent.busy) ---------------------------------------
 *
 * A newer message acts on the running turn only when its author is one of those whose messages
 * that turn answers: in a conversation that people share nobody ends another one's turn by
 * talking; they queue. Nor does a Retry act. Several quick messages act together, once nothing
 * came for DISPATCH_SETTLE_MS, at the latest DISPATCH_SETTLE_MAX_MS after the first. Nothing is
 * remembered of that on disk: a new process finds the same messages waiting behind the same run
 * and decides anew.
 */

#define DISPATCH_SETTLE_MS     800
#define DISPATCH_SETTLE_MAX_MS 3000

enum dispatch_busy { DISPATCH_QUEUE, DISPATCH_STEER, DISPATCH_INTERRUPT }; /* as config_busy */

/* From now on, for turns that run already as well; DISPATCH_QUEUE at first. */
void dispatch_set_busy(struct dispatch *dispatch, enum dispatch_busy busy);

/*
 * What the running turn is to do: DISPATCH_QUEUE goes on. `is_over`: its run has ended, so
 * messages count that came a moment ago, too. Never steers or interrupts what was stopped.
 */
enum dispatch_busy dispatch_ask_busy(struct dispatch *dispatch,
                                     const struct dispatch_batch *batch, int64_t now_ms,
                                     bool is_over);

/*
 * Steering: adds to the batch what waits at the head of its lane for the same place, whoever
 * wrote it, in order, and drains cancel_fd. Returns how many; 0 also when a stop was quicker.
 */
size_t dispatch_take_more(struct dispatch *dispatch, struct dispatch_batch *batch);

/* Whether somebody stopped the running turn (dispatch_stop()). */
bool dispatch_is_stopped(struct dispatch *dispatch, const struct dispatch_batch *batch);

/* No more batches; waiting takers wake up. */
void dispatch_close(struct dispatch *dispatch);

/*
 * At the start: the ledger holds messages of an earlier process. Until the first refill is over
 * new ones stay there too, and nothing is taken: what one run is to answer must not be torn
 * apart. Before the first submit.
 */
void dispatch_hold_for_refill(struct dispatch *dispatch);

/*
 * After an overflow, once there is room again: the highest id that was let in. The caller reads
 * the ledger from there, submits, says with dispatch_refilled() whether the ledger had more,
 * and asks again: what came meanwhile may be left with nobody else to ask for it.
 */
bool dispatch_wants_refill(struct dispatch *dispatch, int64_t *ret_after_id);
void dispatch_refilled(struct dispatch *dispatch, bool has_more);

/* Which conversations a stop means: an empty member matches any. */
struct dispatch_filter {
    const char *conversation;
    const char *user; /* only what that person asked, alone or with others */
    const char *channel;
    const char *thread; /* reply_thread */
};

/*
 * Ends the running turns that match (their cancel_fd becomes readable) and takes the waiting
 * entries that match out of their lanes into `ret_entries` (at most `max`), which the caller
 * then owns. Returns how many turns were running.
 */
unsigned dispatch_stop(struct dispatch *dispatch, const struct dispatch_filter *filter,
                       struct ledger_entry **ret_entries, size_t max, size_t *ret_count);

/* Only the second half of that: what runs goes on. Returns how many it took out. */
size_t dispatch_take_waiting(struct dispatch *dispatch, const struct dispatch_filter *filter,
                             struct ledger_entry **ret_entries, size_t max);

/* Takes one waiting entry by Slack's channel and ts out, or NULL. */
struct ledger_entry *dispatch_withdraw(struct dispatch *dispatch, const char *channel,
                                       const char *ts);

struct dispatch_message {
    const char *channel;
    const char *ts;
    const char *user; /* who must have asked what it is about; NULL: whoever */
};

/*
 * The conversation in which the message is a question that is being answered or waits, is
 * written into by the running turn, or tells the place of a waiting question; *ret_thread is
 * where it is answered. NULL: no such, and *ret_thread as before; caller frees both.
 */
char *dispatch_find_conversation(struct dispatch *dispatch,
                                 const struct dispatch_message *message, char **ret_thread);

/* The running turn answers in this message, too; the message tells the place of a waiting one.
 */
void dispatch_note_answer(struct dispatch *dispatch, const char *conversation, const char *ts);
void dispatch_note_notice(struct dispatch *dispatch, const char *conversation, int64_t id,
                          const char *ts);

/*
 * For a conversation that begins afresh (!new) while a turn of it runs: true when one does, and
 * then dispatch_wants_reset() tells its worker before dispatch_finish() that its turn belongs
 * to the past.
 */
bool dispatch_mark_reset(struct dispatch *dispatch, const char *conversation);
bool dispatch_wants_reset(struct dispatch *dispatch, const struct dispatch_batch *batch);

/* ---- who waits where ---------------------------------------------------------------------
 */

/* How long a turn took, for the estimates. */
void dispatch_note_duration(struct dispatch *dispatch, int64_t duration_ms);

/* The first waiting message of a conversation. */
struct dispatch_place {
    int64_t id;
    char *conversation;
    char *channel;
    char *reply_thread;
    char *reply_state; /* what an earlier process noted, or "" */
    int64_t received_wall_us;
    int64_t waited_ms;
    int64_t wait_ms;   /* until its turn begins, PACE_UNKNOWN without an estimate */
    size_t ahead;      /* turns before its own */
    unsigned attempts; /* as in the ledger */
    bool is_found;     /* in the ledger */
    bool is_run;       /* an earlier process has begun it */
    bool has_company;  /* a turn runs in that place, or one listed before waits there */
};
void dispatch_place_deinit(struct dispatch_place *place); /* safe on a zeroed struct */

/*
 * At most `max` places, those that are next first; not those whose conversation is being
 * answered in the same place, for there the answer can be seen. The caller deinits them.
 */
#define DISPATCH_PLACES_MAX 50
size_t dispatch_list_waiting(struct dispatch *dispatch, int64_t now_ms,
                             struct dispatch_place *ret_places, size_t max);

/* Whether that message still waits. */
bool dispatch_is_waiting(struct dispatch *dispatch, const char *conversation, int64_t id);

struct dispatch_figures {
    size_t waiting;
    size_t running;
    size_t people; /* with something waiting */
    bool is_overflowing;
    int64_t typical_ms; /* of a turn, PACE_UNKNOWN when none has ended yet */
    /* Of one conversation, only with a key: */
    bool is_running;
    bool is_waiting; /* a message of it; then also: */
    size_t ahead;    /* turns before its next one */
    int64_t wait_ms; /* or PACE_UNKNOWN */
};
void dispatch_get_figures(struct dispatch *dispatch, const char *conversation,
                          struct dispatch_figures *ret_figures);

#endif
