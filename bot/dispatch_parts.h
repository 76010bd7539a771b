/*
 * dispatch_parts.h - the inside of the dispatcher, for bot/dispatch*.c only.
 *
 *   dispatch_lanes.c  lanes, people and the ring: who is next
 *   dispatch.c        in and out: submit, take, finish, overflow
 *   dispatch_stop.c   what is ended or taken back
 *   dispatch_busy.c   what newer messages do to a turn that runs
 *   dispatch_place.c  who waits where, and for how long
 *
 * Owns:    see dispatch.h.
 * Threads: any; functions ending in _locked want dispatch->lock.
 */
#ifndef BOT_DISPATCH_PARTS_H
#define BOT_DISPATCH_PARTS_H

#include <pthread.h>
#include <sys/queue.h>
#include <uthash.h>

#include "bot/dispatch.h"
#include "bot/pace.h"

#define DISPATCH_TS_BYTES    32
#define DISPATCH_ANSWERS_MAX 16 /* messages of one answer that are known by ts */

struct waiting {
    TAILQ_ENTRY(waiting) in_lane;
    struct ledger_entry *entry;
    int64_t since_ms;
    enum dispatch_source source;
    char notice_ts[DISPATCH_TS_BYTES]; /* of the message that tells its place, "" for none */
};

/* A message that the running turn answers. */
struct asked {
    char *user;
    char *ts;
};

/* What a lane has while a turn of it runs. */
struct running {
    TAILQ_ENTRY(running) in_list;
    struct lane *lane;
    int cancel_fd; /* of the worker */
    int64_t since_ms;
    bool wants_reset; /* once the turn is over */
    bool is_stopped;  /* by somebody, not by newer messages */
    char *channel;
    char *thread;
    struct asked *asked; /* of DISPATCH_BATCH_MAX */
    size_t asked_count;
    size_t asked_bytes;                                    /* of their texts */
    char answers[DISPATCH_ANSWERS_MAX][DISPATCH_TS_BYTES]; /* the oldest is overwritten */
    size_t answers_count;
};

struct person;

struct lane {
    UT_hash_handle hh;
    TAILQ_ENTRY(lane) in_person; /* while it waits for a worker */
    TAILQ_HEAD(waiting_list, waiting) waiting;
    struct person *person;   /* in whose queue it is; NULL when in none */
    struct running *running; /* NULL while no turn of it runs */
    char key[];
};

struct person {
    UT_hash_handle hh;
    TAILQ_ENTRY(person) in_ring;
    TAILQ_HEAD(lane_list, lane) lanes; /* ready ones, in order of arrival */
    struct lane *at;                   /* how far a walk has come, see lanes_walk_locked() */
    char user[];
};

struct dispatch {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t ready;
    struct lane *lanes;
    struct person *people;
    TAILQ_HEAD(ring, person)
    ring; /* people with a ready lane; taken from the head, back to the tail */
    TAILQ_HEAD(running_list, running) running_turns;
    size_t waiting;
    size_t running;
    size_t takers;
    struct pace pace;
    enum dispatch_busy busy;
    int64_t last_id;     /* the highest id let in */
    bool is_overflowing; /* newer messages stay in the ledger, so that none overtakes */
    bool is_held;        /* until the refill of the start is over */
    bool is_refilling;
    bool dropped_since_refill;
    bool is_closed;
    struct metric *waiting_gauge;
    struct metric *running_gauge;
    struct metric *overflows;
};

/* ---- dispatch_lanes.c -------------------------------------------------------------------- */

struct lane *lanes_find_locked(struct dispatch *dispatch, const char *key); /* or NULL */
struct lane *lanes_of_locked(struct dispatch *dispatch, const char *key);
void lanes_free_all(struct dispatch *dispatch);

/* By Slack's ts; runs of an earlier process come first. Adopts the entry. */
void lanes_add_locked(struct dispatch *dispatch, struct lane *lane, struct ledger_entry *entry,
                      enum dispatch_source source);
/* The entry is the caller's again. */
struct ledger_entry *lanes_remove_locked(struct dispatch *dispatch, struct lane *lane,
                                         struct waiting *item);

/* A lane with something waiting and nothing running joins its person's queue. */
void lanes_make_ready_locked(struct dispatch *dispatch, struct lane *lane);
/* The next person's next lane, out of its queue; that person goes to the back. NULL: none. */
struct lane *lanes_next_locked(struct dispatch *dispatch);
/* After something was removed: leaves the queue when nothing waits, goes when it is idle. */
void lanes_tidy_locked(struct dispatch *dispatch, struct lane *lane);

void lanes_begin_locked(struct dispatch *dispatch, struct lane *lane, int cancel_fd,
                        const struct dispatch_batch *batch);
void lanes_note_asked_locked(struct running *running, const struct dispatch_batch *batch);
void lanes_end_locked(struct dispatch *dispatch, struct lane *lane);

/* Whether a waiting message can be answered in one turn with what is in the batch, of which
 * these are the run id, the place and the size. */
struct lane_fit {
    const char *run_id;
    const char *channel;
    const char *thread;
    size_t count;
    size_t bytes;
};
bool lanes_fits(const struct lane_fit *fit, const struct ledger_entry *entry);

/* Calls `visit` with the waiting lanes in the order in which they will be taken, until it
 * returns false. */
typedef bool (*lane_visit_fn)(void *context, struct lane *lane, size_t ahead);
void lanes_walk_locked(struct dispatch *dispatch, lane_visit_fn visit, void *context);

#endif
