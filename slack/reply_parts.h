/*
 * reply_parts.h - the inside of a reply: the answer's text and the message that is being
 * written. For slack/reply*.c only.
 *
 * Threads: that of the reply; the features are shared by all.
 *
 *   safe   |---- finished messages ----|-- the open message --|-- not sent yet --|
 *          0                          done                  part.sent          safe.len
 */
#ifndef SLACK_REPLY_PARTS_H
#define SLACK_REPLY_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "slack/call.h"
#include "slack/reply.h"
#include "slack/text.h"

#define STREAMS_KNOWN   64
#define REPLY_TASKS_MAX 32 /* of an answer at one time */

struct slack_features {
    atomic_bool no_stream_direct; /* by channel type: direct messages, */
    atomic_bool no_stream;        /* and everything else */
    atomic_bool no_sessions;      /* agents.sessions.* is not for this app */
    atomic_bool no_status;        /* nor assistant.threads.setStatus */
    atomic_bool no_tasks;         /* streams take text, but no cards */

    /* Streams started lately, so that none is taken for one whose answer was lost. */
    pthread_mutex_t lock; /* guards the two */
    char started[STREAMS_KNOWN][SLACK_TS_MAX_BYTES];
    size_t next_started;
};

enum part_kind {
    PART_NONE,   /* no message is open */
    PART_STREAM, /* grows by appends */
    PART_EDIT,   /* rewritten whole by chat.update */
};

struct part {
    enum part_kind kind;
    char ts[SLACK_TS_MAX_BYTES];
    size_t sent;                /* Slack shows the answer up to here (safe offset) */
    struct slack_split at_sent; /* stream: fences at `sent` */
    size_t used;                /* stream: bytes that its message holds */
    size_t task_bytes;          /* stream: of these, what cards took */
    bool is_full;               /* stream: Slack takes no more into it */
    int64_t opened_at_ms;       /* stream */
    char *shown;                /* edit: what the message says now; NULL: not known */
};

struct reply_task {
    unsigned number;
    enum slack_task_state state;
    size_t at;     /* its card stands behind the answer up to here (safe offset) */
    bool is_shown; /* the open stream has its card */
    bool is_due;   /* which says something else, or is not there */
    char title[160];
};

struct slack_reply {
    struct slack_web *web;
    struct slack_features *features;
    char *channel;
    char *thread_ts;
    char *recipient_user;
    char *recipient_team;
    char *key;
    void (*on_state)(void *context, const char *state);
    void *context;
    struct metric *messages; /* NULL: not counted */
    struct metric *fallbacks;

    struct buf text; /* clean: what the agent said */
    struct buf safe; /* the same, defused: what Slack gets */
    size_t defused;  /* text up to here is in safe */
    size_t cut_len;
    char cut[8]; /* the start of a character whose rest has not come */

    size_t done; /* finished messages hold the answer up to here */
    struct slack_split at_done;
    struct part part;
    size_t stream_budget; /* bytes per message; shrunk when Slack finds one too long */
    size_t edit_budget;

    int64_t pending_since_ms; /* unsent text was first seen; -1 for none */
    int64_t last_write_ms;    /* of the request that changed a message last */
    int64_t retry_at_ms;      /* after a failure, nothing before this */
    int64_t retry_delay_ms;

    char status[256];       /* what is being done; "" once text came after it */
    char shown_status[256]; /* what the status line, or the message, says */
    int64_t status_at_ms;
    int64_t status_since_ms; /* something is being done; -1: nothing */

    struct reply_task tasks[REPLY_TASKS_MAX]; /* those that run, or whose end is to be shown */
    size_t tasks_count;

    unsigned index; /* of the open message, or of the next */
    enum slack_reply_mode mode;
    enum part_kind kind; /* of the next message: STREAM, EDIT, or NONE until the end (post) */
    bool is_direct;
    bool is_truncated;
    bool is_resuming;     /* `done` lies ahead of the text given so far */
    bool looks_first;     /* an earlier process may have posted the message that is due */
    bool is_stopped;      /* stopped_by_user */
    bool is_status_busy;  /* a status call was made that must be undone */
    bool is_session_busy; /* the session is "processing" */
};

/* reply_send.c: one step towards Slack; -1 leaves the rest for a later try. */

/* Writes into, opens or rolls over a streamed message. */
int reply_stream_step(struct slack_reply *reply, int64_t now_ms, struct err *err);

/*
 * Closes the open stream with what is left of the answer, as far as that fits, and with
 * `*note`, which becomes "" once it is delivered.
 */
int reply_stream_finish(struct slack_reply *reply, const char **note, struct err *err);

/* Posts or rewrites one message; `is_last` drops the status line and adds `note`. */
int reply_edit_step(struct slack_reply *reply, bool is_last, const char *note, struct err *err);

/* True when there is text for a new or the open message. */
bool reply_has_pending(const struct slack_reply *reply);

/* reply_status.c: failures are logged, none is fatal. */

/*
 * Marks the session as processing, which draws Slack's Stop button, while there is room for the
 * call that undoes it: a button less is a small loss, one that stays for ever is a lie.
 */
void reply_begin_session(struct slack_reply *reply);
/* Sets it active again, waiting for up to a minute (or until the web is cancelled) where
 * Slack's rate limit wants it. */
void reply_end_session(struct slack_reply *reply);
/* After a stream was stopped, which makes the session active. */
void reply_mark_processing(struct slack_reply *reply);
/* Whether the last call said that this app or workspace knows no such method. */
bool reply_is_unsupported(const struct slack_web *web);
/* The status line; "" clears it. */
void reply_show_status(struct slack_reply *reply, const char *status, int64_t now_ms);

/* reply_tasks.c: cards. */

/* What one request says of them. */
struct reply_task_batch {
    struct slack_task items[REPLY_TASKS_MAX];
    unsigned numbers[REPLY_TASKS_MAX];
    char ids[REPLY_TASKS_MAX][16];
    size_t count;
    size_t bytes; /* what it takes of the message, estimated */
};

/* Whether the open message shows cards, and has room for them. */
bool reply_takes_tasks(const struct slack_reply *reply);
bool reply_has_due_task(const struct slack_reply *reply);

/* How much text comes before the next new card: it goes out first. SIZE_MAX: no such card. */
size_t reply_text_before_task(const struct slack_reply *reply);

/* What is due once the answer is sent up to `until`, where `split` is how fences stand. */
void reply_pick_tasks(struct slack_reply *reply, size_t until, const struct slack_split *split,
                      struct reply_task_batch *batch);
/* For the request that ends the message: no card is left running. */
void reply_pick_last_tasks(struct slack_reply *reply, bool is_end,
                           struct reply_task_batch *batch);
void reply_note_tasks(struct slack_reply *reply, const struct reply_task_batch *batch);

/* The open message is no stream any more: those that run begin anew in the next. */
void reply_leave_tasks(struct slack_reply *reply);

/* True when a request was refused for its cards; then there are none from now on, and the same
 * request without them is worth another try. */
bool reply_tasks_are_refused(struct slack_reply *reply, const struct reply_task_batch *batch);

/* reply.c */
void reply_tell_state(struct slack_reply *reply);
/* Whether the status is the last line of the open (or next) message. */
bool reply_is_status_in_message(const struct slack_reply *reply);

#endif
