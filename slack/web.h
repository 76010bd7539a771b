/*
 * web.h - Slack's Web API: one client per thread, one pacing table for all of them, one retry
 * policy driven by one table.
 *
 * Every call blocks its thread (never the loop). Errors carry Slack's own error name in the
 * message ("chat.postMessage: channel_not_found") and in slack_web_error(). ERR_AUTH: the token
 * is dead or lacks a scope (the message names it). ERR_TEMP: gave up within the deadline.
 * ERR_INPUT: permanent, never retry with the same arguments.
 *
 * Owns:    a struct slack_web owns its HTTP client. struct slack_limits is shared and outlives
 * all. Threads: a slack_web belongs to one thread at a time; slack_limits is for any.
 */
#ifndef SLACK_WEB_H
#define SLACK_WEB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"

#define SLACK_ID_MAX_BYTES 32
#define SLACK_TS_MAX_BYTES 32

struct slack_limits; /* token buckets by method, and by channel for chat.postMessage */
struct slack_limits *slack_limits_new(struct metrics *metrics); /* NULL: nothing is counted */
void slack_limits_free(struct slack_limits *limits);            /* NULL is fine */

struct slack_web;
struct slack_web *slack_web_new(const char *api_url, const char *bot_token,
                                struct slack_limits *limits);
void slack_web_free(struct slack_web *web); /* NULL is fine */

/* Calls end early (ERR_TEMP) once *cancelled is true; waits are cut too. NULL: never. */
void slack_web_set_cancel(struct slack_web *web, const atomic_bool *cancelled);

/* How long a call may take with all its retries; default 60 s. */
void slack_web_set_deadline(struct slack_web *web, int64_t deadline_ms);

/*
 * From now on what is posted, shown to one person or put in the place of a message passes
 * `filter` first (not what is streamed, of which it would see pieces): it returns a new string,
 * which is freed here.
 */
typedef char *(*slack_filter_fn)(void *context, const char *markdown);
void slack_web_set_filter(struct slack_web *web, slack_filter_fn filter, void *context);

/*
 * Slack's error name for the last call ("channel_not_found"), "" when there was none. It is set
 * also when the call returned 0 because that refusal is as good as success, such as
 * already_reacted, or message_not_in_streaming_state on chat.stopStream.
 */
const char *slack_web_error(const struct slack_web *web);

/* auth.test and the scopes header. Strings are "" when Slack did not say. */
struct slack_identity {
    char team_id[SLACK_ID_MAX_BYTES];
    char team[128];
    char user_id[SLACK_ID_MAX_BYTES];
    char bot_id[SLACK_ID_MAX_BYTES];
    char user[128];
    char url[256];
    char scopes[1024];     /* comma-separated, from x-oauth-scopes */
    int64_t server_wall_s; /* Slack's clock, -1 when the answer carries no date */
};
int slack_auth_test(struct slack_web *web, struct slack_identity *ret_identity,
                    struct err *err);

/* What a user is allowed to be, from users.info. */
struct slack_user {
    char name[128]; /* display name, else real name, else name */
    char team_id[SLACK_ID_MAX_BYTES];
    bool is_bot;
    bool is_guest; /* is_restricted or is_ultra_restricted */
    bool is_deleted;
};
int slack_users_info(struct slack_web *web, const char *user, struct slack_user *ret_user,
                     struct err *err);

/*
 * chat.postMessage of Markdown (<= 12,000 characters as `markdown_text`), unfurls off, with
 * metadata that carries `key` so that a post that may have been executed is looked for before
 * it is sent again (conversations.replies / history). thread_ts "" posts flat. `ret_ts` gets
 * the ts.
 */
int slack_post_markdown(struct slack_web *web, const char *channel, const char *thread_ts,
                        const char *markdown, const char *key, char ret_ts[SLACK_TS_MAX_BYTES],
                        struct err *err);

/*
 * Looks for a message that was posted with `key` since `since_s` (wall time): 1 and its ts, 0
 * when there is none among the hundred that Slack lists, -1 when Slack could not be asked.
 */
int slack_find_markdown(struct slack_web *web, const char *channel, const char *thread_ts,
                        const char *key, int64_t since_s, char ret_ts[SLACK_TS_MAX_BYTES],
                        struct err *err);

/* One button under a text, for Retry. `action_value` comes back in the click. */
int slack_post_button(struct slack_web *web, const char *channel, const char *thread_ts,
                      const char *markdown, const char *button_text, const char *action_id,
                      const char *action_value, const char *key,
                      char ret_ts[SLACK_TS_MAX_BYTES], struct err *err);

int slack_post_ephemeral(struct slack_web *web, const char *channel, const char *thread_ts,
                         const char *user, const char *markdown, struct err *err);
int slack_update_markdown(struct slack_web *web, const char *channel, const char *ts,
                          const char *markdown, struct err *err);
int slack_delete_message(struct slack_web *web, const char *channel, const char *ts,
                         struct err *err);
int slack_add_reaction(struct slack_web *web, const char *channel, const char *ts,
                       const char *name, struct err *err);
int slack_remove_reaction(struct slack_web *web, const char *channel, const char *ts,
                          const char *name, struct err *err);

/* assistant.threads.setStatus; "" clears. */
int slack_set_thread_status(struct slack_web *web, const char *channel, const char *thread_ts,
                            const char *status, struct err *err);
/* agents.sessions.setStatus: "processing" draws Slack's Stop button, "active" removes it. */
int slack_set_session_status(struct slack_web *web, const char *channel, const char *thread_ts,
                             const char *status, struct err *err);

/*
 * Starting and appending are not repeated when Slack may have executed them (ERR_TEMP): a
 * stream carries no metadata by which it could be looked for. Recipients may be NULL in direct
 * messages.
 */
/*
 * Looks in the thread for a streamed message of a bot that says `markdown` and nothing else, as
 * one does whose chat.startStream was executed while its answer was lost. `is_known` tells
 * which it cannot be. 1 and its ts, 0 when there is none, -1 when that cannot be told.
 */
int slack_find_stream(struct slack_web *web, const char *channel, const char *thread_ts,
                      const char *markdown, bool (*is_known)(void *context, const char *ts),
                      void *context, char ret_ts[SLACK_TS_MAX_BYTES], struct err *err);

int slack_start_stream(struct slack_web *web, const char *channel, const char *thread_ts,
                       const char *recipient_user, const char *recipient_team,
                       const char *markdown, char ret_ts[SLACK_TS_MAX_BYTES], struct err *err);
int slack_append_stream(struct slack_web *web, const char *channel, const char *ts,
                        const char *markdown, struct err *err);
/* `markdown` NULL or "" adds no text. */
int slack_stop_stream(struct slack_web *web, const char *channel, const char *ts,
                      const char *markdown, struct err *err);

/*
 * The same with cards behind the text (task_update chunks): the same id again changes its card.
 * status: pending, in_progress, complete or error. `markdown` may be NULL or "".
 */
struct slack_task {
    const char *id;
    const char *title;
    const char *status;
};
int slack_append_chunks(struct slack_web *web, const char *channel, const char *ts,
                        const char *markdown, const struct slack_task *tasks, size_t count,
                        struct err *err);
int slack_stop_chunks(struct slack_web *web, const char *channel, const char *ts,
                      const char *markdown, const struct slack_task *tasks, size_t count,
                      struct err *err);

/*
 * One page of what was said after `oldest` in a thread (conversations.replies, oldest first)
 * or, with thread_ts "", in a channel itself (conversations.history, newest first, without the
 * replies in threads). `cursor` is "" for the first page and is left at the next one, "" when
 * there is none. Calls `on_message` for each message, of whatever kind and by whomever: the
 * event is the callback's to keep (slack_event_deinit()). A page that Slack makes too long is
 * asked for again in smaller ones. Nothing was called back when this fails.
 */
#define SLACK_CURSOR_MAX_BYTES 256
#define SLACK_PAGE_MESSAGES    200
struct slack_event;
struct slack_reading {
    const char *team; /* for the events; Slack does not repeat it */
    const char *channel;
    const char *thread_ts;
    const char *oldest;
};
typedef void (*slack_message_fn)(void *context, struct slack_event *event);
int slack_read_messages(struct slack_web *web, const struct slack_reading *reading,
                        char cursor[SLACK_CURSOR_MAX_BYTES], slack_message_fn on_message,
                        void *context, struct err *err);

#endif
