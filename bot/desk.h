/*
 * desk.h - whatever must answer within 3 s while every worker is busy: chat commands, the Stop
 * and Retry buttons, refusals, withdrawn messages. One thread with its own Slack client.
 *
 * Owns:    its thread and queue.
 * Threads: any for the submitting functions, which never block.
 */
#ifndef BOT_DESK_H
#define BOT_DESK_H

#include "memory/memory.h"

struct app;
struct desk;

struct desk *desk_start(struct app *app);

/*
 * Ends the thread. Commands that still wait lie in the ledger and are answered by the next
 * start. Later submissions are dropped, so that the journal may still call in until
 * desk_free(). NULL is fine for both.
 */
void desk_join(struct desk *desk);
void desk_free(struct desk *desk);

/*
 * A `!command` that has just been recorded, in the order of the ledger's ids; takes the entry
 * over. entry->text is the word
 * and its arguments. Where there is no room for it the desk finds it in the ledger,
 * as it does at the start with those of an earlier process.
 */
void desk_command(struct desk *desk, struct ledger_entry *entry);

/* Slack's Stop button in a thread. */
void desk_stop_pressed(struct desk *desk, const char *channel, const char *thread_ts,
                       const char *user);

/*
 * A stop sign as a reaction to message `ts`. Where that is a question of `user` under way or
 * waiting, or the answer to one, what that person asked in that conversation is stopped, as by
 * !stop; an admin stops all of it by anybody's. Else nothing happens.
 */
void desk_stop_sign(struct desk *desk, const char *channel, const char *ts, const char *user);

/* Our Retry button; `ids` comma-separated. */
void desk_retry_pressed(struct desk *desk, const char *channel, const char *thread_ts,
                        const char *user, const char *ids);

/* Somebody spoke to us who may not: told once in ten minutes. */
void desk_refuse(struct desk *desk, const char *channel, const char *thread_ts,
                 const char *user, const char *reason);

/* A sentence for one person: for their eyes only where Slack shows it so, else in the thread.
 */
void desk_tell(struct desk *desk, const char *channel, const char *thread_ts, const char *user,
               const char *sentence);

/*
 * A sentence for nobody else's eyes: shown to `user` alone, or, in a direct message, as an
 * ordinary one, which stays. When Slack refuses, the log says so.
 */
void desk_whisper(struct desk *desk, const char *channel, const char *thread_ts,
                  const char *user, bool is_direct, const char *sentence);

/* A message of `user` was deleted in Slack: if it still waits, it is not answered, and what is
 * remembered of it is erased. */
void desk_deleted(struct desk *desk, const char *channel, const char *thread_ts,
                  const char *user, const char *ts);

#endif
