/*
 * memory.h - what the bot remembers: conversations in RAM over a store on disk, and the ledger
 * of messages that were received, are running or are done.
 *
 *   worker ----- memory_conversation_begin/commit ----> hash in RAM --miss--> store (own
 * reader) loop ------- memory_record_message --> journal thread --one fdatasync for a batch-->
 * SQLite
 *
 * The rooms behind this door: db (connection, schema), journal (the one writer thread), ledger,
 * store (the interface that every backend fills in), conversation (the hash), context.
 *
 * Owns:    the database, the journal thread, every conversation.
 * Threads: said at each function.
 */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"

enum memory_store_kind { MEMORY_STORE_NONE, MEMORY_STORE_SQLITE, MEMORY_STORE_FILES };
enum memory_durability { MEMORY_DURABILITY_TURN, MEMORY_DURABILITY_INTERVAL };

struct memory_options {
    const char *state_dir; /* holds threadkeeper.db */
    enum memory_store_kind store;
    enum memory_durability durability;
    int64_t snapshot_interval_ms;
    int64_t max_bytes;      /* of conversations in RAM */
    int64_t cache_ttl_ms;   /* idle conversations leave RAM */
    int64_t max_turns;      /* kept per conversation */
    int64_t session_ttl_ms; /* idle longer: the next message starts from summary and recall */
    int64_t retention_ms;   /* erased everywhere */
    const char *files_dir;  /* MEMORY_STORE_FILES; "" is state_dir/sessions */
    const char *encryption_key_file; /* "" leaves texts plain */
    bool learns_profile;             /* facts are taken from what people say */
    bool is_visitor;                 /* see memory_open() */
};

struct memory;

/*
 * Opens (creates, migrates) state_dir/threadkeeper.db and starts the journal thread. A damaged
 * database is moved aside and what can be read of it is kept (health.h); for a visitor it is
 * ERR_SYSTEM. Startup.
 *
 * A visitor is a command beside the daemon, which may run or not. Like a daemon that starts it
 * first brings into the store what waits in the "unsaved" table, for else it would not see the
 * newest turns, and what it erases would come back with the daemon's next snapshot. Both may do
 * that at any time: each piece is one transaction, from reading the rows to deleting them, so
 * one of them gets a row and the other finds it gone; the daemon's RAM keeps what it has not
 * heard to be saved. A visitor does not migrate an older schema (the daemon may be the older
 * program), does not move a damaged file aside, and does no upkeep: no sweep, no pruning of the
 * ledger. What it wrote the daemon notices before its next turn, or at once (memory_refresh()).
 */
int memory_open(const struct memory_options *options, struct metrics *metrics,
                struct memory **ret_memory, struct err *err);

/* Writes what is dirty, stops the journal, closes. NULL is fine. No other call may be under
 * way. */
void memory_close(struct memory *memory);

/* Applies what a reload may change (max_bytes, cache_ttl_ms, max_turns, snapshot_interval_ms).
 * Any. */
void memory_reconfigure(struct memory *memory, const struct memory_options *options);

/* Another process has written to the store, or wants to read it: what RAM holds is read anew,
 * what is unsaved is saved. Soon, on the journal thread; the first happens before each recorded
 * message as well. Any. */
void memory_refresh(struct memory *memory);

/* ---- the ledger -------------------------------------------------------------------------- */

enum ledger_state {
    LEDGER_RECEIVED,  /* durable, waiting for its turn */
    LEDGER_RUNNING,   /* its turn has begun; run_id says which run */
    LEDGER_DONE,      /* answered, and the turn is in memory */
    LEDGER_FAILED,    /* the person was told; Retry puts it back to RECEIVED */
    LEDGER_CANCELLED, /* stopped by the person, or handled by the desk */
};

enum ledger_kind { LEDGER_KIND_MESSAGE, LEDGER_KIND_COMMAND };

/* A message for the agent, or a command for the desk. Strings may be "" but not NULL. */
struct ledger_entry {
    int64_t id; /* given by the ledger; ascending in order of arrival */
    enum ledger_kind kind;
    enum ledger_state state;
    char *event_id;
    char *team;
    char *channel;
    char *ts;        /* Slack's ts: order within the conversation, and the second dedupe key */
    char *thread_ts; /* as it came, "" outside a thread */
    char *user;
    char *conversation; /* the conversation key */
    char *reply_thread; /* where the answer goes: a thread_ts, or "" for flat */
    char *text;         /* plain, as the agent will read it */
    char *attributes;   /* JSON for the owner's own use (channel type, surface, ...) */
    char *run_id;       /* RUNNING: the run, "" before it is known */
    char *reply_state;  /* RUNNING: what slack_reply_resume() needs, "" */
    unsigned attempts;  /* how many answers were begun to it */
    int64_t received_wall_us;
};

void ledger_entry_free(struct ledger_entry *entry); /* NULL is fine; frees the struct too */

enum ledger_outcome {
    LEDGER_NEW,         /* durable now; entry->id is set */
    LEDGER_DUPLICATE,   /* known by event_id or by (team, channel, ts) */
    LEDGER_NOT_ENGAGED, /* only_if_engaged was asked and nobody was engaged in that thread */
    LEDGER_NOT_DURABLE, /* the disk refused: do not ack, Slack will send it again */
};

struct ledger_request {
    struct ledger_entry *entry; /* adopted; handed to the callback, which owns it then */
    bool only_if_engaged;       /* a thread reply without mention: is the bot in that thread? A
                                   message refused by this is not remembered: its app_mention
                                   copy is still LEDGER_NEW */
    bool engages; /* from now on the bot is in (team, channel, thread of the answer) */
    /* This copy of the message tells more: a LEDGER_DUPLICATE leaves its attributes in the
     * entry that is there, as long as that waits or runs and was not forgotten. */
    bool completes;
    void (*on_recorded)(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                        void *user_data);
    void *context;
    void *user_data;
};

/*
 * Queues the record for the next group commit. The callback runs on the journal thread after
 * the commit, in the order of the calls; it must not call what waits for a commit. False when
 * the queue is full or closed: nothing was adopted. Any thread, never blocks on the disk. Both
 * dedupe keys are known for 48 hours, across restarts.
 */
bool memory_record_message(struct memory *memory, const struct ledger_request *request);

/*
 * Entries in RECEIVED or RUNNING with id > after_id, oldest first, at most `max`: what a start
 * (or a dispatcher that let some lie) takes up. Fills `ret_entries` (each freed by the caller),
 * returns the count or -1. Any thread but the loop.
 */
int memory_pending_messages(struct memory *memory, int64_t after_id,
                            struct ledger_entry **ret_entries, size_t max, size_t *ret_count,
                            struct err *err);

/* One entry by id; NULL in *ret_entry when there is none. Any thread but the loop. */
int memory_find_message(struct memory *memory, int64_t id, struct ledger_entry **ret_entry,
                        struct err *err);

/* A thread, or with thread_ts "" a channel without one, in which the ledger has messages. */
struct memory_place {
    char *team;
    char *channel;
    char *thread_ts;
    char *newest_ts; /* of its messages */
};
void memory_place_deinit(struct memory_place *place); /* safe on a zeroed struct, and twice */

struct memory_places_query {
    int64_t since_wall_us;      /* said after that (by Slack's clock) */
    int64_t before_wall_us;     /* received before that (by ours) */
    const char *except_channel; /* one that is no place, "" for none */
};

/*
 * The places of the messages that the query means, the one with the newest first, at most
 * `max`. Reads along an index, the newest 100,000 messages at most. Fills `ret_places` (each
 * deinited by the caller). Any thread but the loop.
 */
int memory_active_places(struct memory *memory, const struct memory_places_query *query,
                         struct memory_place *ret_places, size_t max, size_t *ret_count,
                         struct err *err);

/* When the last message in Slack's order that came before `before_wall_us` was received; 0 when
 * there is none. Any thread but the loop. */
int memory_last_message(struct memory *memory, const char *except_channel,
                        int64_t before_wall_us, int64_t *ret_wall_us, struct err *err);

/*
 * Sets RUNNING with the run's id for all ids, one durable commit, waits for it. Those that were
 * RUNNING already go on with the same answer (attempts stay) in another run; what was noted of
 * the answer stays. Worker.
 */
int memory_mark_running(struct memory *memory, const int64_t *ids, size_t count,
                        const char *run_id, struct err *err);

/* Stores reply_state for all ids; returns at once, committed with the next group. Worker. */
void memory_note_reply(struct memory *memory, const int64_t *ids, size_t count,
                       const char *reply_state);

/* Sets a final state (or RECEIVED, for Retry) for all ids, waits for the commit. ERR_INPUT when
 * one of them is not (any more) in the ledger: none is changed. Not the loop. */
int memory_mark_messages(struct memory *memory, const int64_t *ids, size_t count,
                         enum ledger_state state, struct err *err);

/*
 * Sets CANCELLED with the next group commit, without waiting for it; a crash before that leaves
 * the message to the next start. False when the queue is full or closed: nothing happens then.
 * Any thread, from on_recorded() as well.
 */
bool memory_cancel_message(struct memory *memory, int64_t id);

/* ---- conversations ----------------------------------------------------------------------- */

enum memory_role { MEMORY_ROLE_USER, MEMORY_ROLE_ASSISTANT, MEMORY_ROLE_SYSTEM };

struct memory_turn {
    int64_t seq; /* 1, 2, ... within the conversation */
    enum memory_role role;
    const char *author; /* user id, "" for the assistant */
    const char *text;
    const char *slack_ts; /* "" when it has none */
    int64_t at_wall_s;
    int64_t tokens;       /* estimated */
    const char *metadata; /* a JSON object, NULL or "" for none; not kept in RAM */
};

struct conversation; /* pinned between begin and end */

/*
 * Finds the conversation in RAM or loads it, pins it. A key that nobody has used yet begins
 * empty, or, with `parent_key`, with a copy of what that conversation held up to (and
 * including) Slack ts `parent_until_ts` (a thread opened under a flat direct message). Worker,
 * desk.
 */
int memory_conversation_begin(struct memory *memory, const char *key, const char *parent_key,
                              const char *parent_until_ts,
                              struct conversation **ret_conversation, struct err *err);
void memory_conversation_end(struct memory *memory,
                             struct conversation *conversation); /* unpins; NULL is fine */

/*
 * Appends the turns and sets the ledger ids to `state`, in one transaction, and waits for the
 * commit (durability turn; with interval the ledger keeps the text until the snapshot holds
 * it). seq is given here. On failure RAM and disk are as before; ERR_INPUT when another process
 * has continued the same conversation meanwhile: end, begin again and it is loaded anew. The
 * one who holds the pin.
 */
int memory_conversation_commit(struct memory *memory, struct conversation *conversation,
                               const struct memory_turn *turns, size_t turns_count,
                               const int64_t *ledger_ids, size_t ledger_count,
                               enum ledger_state state, struct err *err);

/* From now on nothing that was said before is injected (!new). Turns stay until retention.
 * Worker, desk. */
int memory_conversation_reset(struct memory *memory, const char *key, struct err *err);

/* Number of turns in the verbatim window (since the last reset). */
size_t memory_conversation_turns(const struct conversation *conversation);

/* Whether it was in RAM when it was begun. */
bool memory_conversation_was_cached(const struct conversation *conversation);

/* ---- figures ------------------------------------------------------------------------------
 */

struct memory_stats {
    int64_t conversations; /* in RAM */
    int64_t bytes;
    int64_t hits;
    int64_t misses;
    int64_t evictions;
    int64_t pending;     /* ledger rows waiting or running */
    int64_t quarantined; /* damaged databases that were moved aside and still lie there */
    bool is_damaged;     /* damage was found; the next start moves the database aside */
};
void memory_get_stats(struct memory *memory, struct memory_stats *ret_stats); /* any */

#endif
