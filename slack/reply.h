/*
 * reply.h - one answer on its way into Slack: streamed, or posted and edited, or posted whole.
 *
 * The answer is one growing text. The reply cuts it into messages (rolled over before 240 s or
 * 9,000 bytes, code fences closed and reopened), coalesces what it sends, falls back from
 * stream to edit to post, and never loses the tail. Slack's limits and failure modes: "Sending
 * and scheduling messages", chat.startStream / appendStream / stopStream.
 *
 * What was sent where is told to the owner as a small JSON text after each new message, so that
 * a later process can go on in the same message (slack_reply_resume).
 *
 * An answer is cut at 256 KiB, which its reader is told. A chat.startStream whose answer is
 * lost may leave an empty streamed message behind: Slack gives no way to look for it.
 *
 * Owns:    its text. Borrows the slack_web of the worker.
 * Threads: worker; every function may block on Slack.
 */
#ifndef SLACK_REPLY_H
#define SLACK_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metrics.h"
#include "slack/web.h"

enum slack_reply_mode {
    SLACK_REPLY_AUTO,   /* stream where Slack takes it, else edit, else post */
    SLACK_REPLY_STREAM, /* as auto, without remembering that it failed elsewhere */
    SLACK_REPLY_EDIT,
    SLACK_REPLY_POST,
};

/* What one workspace turned out to support; shared by all replies, for any thread. */
struct slack_features;
struct slack_features *slack_features_new(void);
void slack_features_free(struct slack_features *features); /* NULL is fine */

struct slack_reply_target {
    const char *channel;
    const char *thread_ts; /* "" answers flat (no stream: chat.startStream wants a parent) */
    const char *recipient_user; /* streams outside direct messages must name the person */
    const char *recipient_team;
    bool is_direct;
    const char *key; /* unique per answer: makes posts findable after a lost reply */
};

struct slack_reply_options {
    enum slack_reply_mode mode;
    struct slack_features *features;
    struct metrics *metrics;
    /* Told each time a message of the answer exists; `state` is borrowed. May be NULL. */
    void (*on_state)(void *context, const char *state);
    void *context;
};

struct slack_reply;

/*
 * Copies everything but web, features and metrics (both may be NULL). Sends nothing yet. Each
 * call below changes the web's deadline only for itself.
 */
struct slack_reply *slack_reply_new(struct slack_web *web,
                                    const struct slack_reply_target *target,
                                    const struct slack_reply_options *options);

/*
 * Goes on after a restart: `state` is what on_state said last. The text is given again from its
 * start; what is in finished messages is skipped, the last one is stopped and rewritten whole.
 * Give the text that is known before the first tick. A `state` of "" says that an earlier
 * process died before it told any: its first message is looked for by its key before one is
 * posted (a stream cannot be looked for). The status and the session that the earlier process
 * left are cleared at the end. ERR_INPUT when `state` is none: the reply
 * is then as new.
 */
int slack_reply_resume(struct slack_reply *reply, const char *state, struct err *err);

/* The state of an answer whose first message stands already and holds nothing of it. Caller
 * frees. */
char *slack_reply_state_of(const char *ts);

/* The message that a state of on_state names; false when it is none. */
bool slack_reply_state_message(const char *state, char ret_ts[SLACK_TS_MAX_BYTES]);

void slack_reply_free(struct slack_reply *reply); /* NULL is fine; end it first */

/* Marks the conversation as being worked on (status line, Stop button). Failure is not fatal.
 */
void slack_reply_begin(struct slack_reply *reply, int64_t now_ms);

/*
 * What is being done right now ("Reading build.log"); shown at the next tick, until text is
 * appended. In a thread it is Slack's status line, which is refreshed before Slack drops it;
 * outside of threads, and in a message that is edited, it is the message's last line.
 */
void slack_reply_set_status(struct slack_reply *reply, const char *status, int64_t now_ms);

/*
 * A step of the work, by number (1, 2, ...; the same again changes it). In a streamed message
 * it is a card that shows how the step goes on and ends, in its place between the text; cards
 * that still run when a message ends become complete in one that rolls over, else an error.
 * While cards are shown the status line is left alone. Where there is no streamed message yet
 * or none at all, or Slack does not take cards (which is remembered), nothing is shown of it.
 */
enum slack_task_state { SLACK_TASK_RUNNING, SLACK_TASK_DONE, SLACK_TASK_FAILED };
void slack_reply_set_task(struct slack_reply *reply, unsigned number, const char *title,
                          enum slack_task_state state);

/* More of the answer: any bytes; cut characters are joined. */
void slack_reply_append(struct slack_reply *reply, const char *text, size_t len);

/*
 * Sends what is due: coalesced text, status refresh, rollover. Call it at the time that it
 * returns (monotonic ms), or earlier after an append. `*ret_stopped` turns true when Slack said
 * stopped_by_user.
 */
int64_t slack_reply_tick(struct slack_reply *reply, int64_t now_ms, bool *ret_stopped);

/*
 * Sends all that is left and closes: `note` (may be NULL or "") is a last line such as
 * "_Stopped._". The status is cleared and the session set active whatever became of the text.
 * -1 when the end of the answer could not be delivered by any means, or when the web was
 * cancelled: then whoever resumes this reply delivers it. 70 s at the very most,
 * and a minute more where Slack's rate limit keeps the session from being set active.
 */
int slack_reply_end(struct slack_reply *reply, const char *note, struct err *err);

/* The whole answer so far, clean UTF-8, without notes. Borrowed. */
const char *slack_reply_text(const struct slack_reply *reply);

#endif
