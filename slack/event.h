/*
 * event.h - a Socket Mode envelope as a plain struct.
 *
 * Owns:    its strings, until slack_event_deinit().
 * Threads: any.
 */
#ifndef SLACK_EVENT_H
#define SLACK_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "slack/files.h"

enum slack_event_kind {
    SLACK_EVENT_OTHER,           /* ack and forget */
    SLACK_EVENT_MESSAGE,         /* message (accepted subtype) or app_mention */
    SLACK_EVENT_MESSAGE_CHANGED, /* ts, text: the message as it is now */
    SLACK_EVENT_MESSAGE_DELETED, /* ts: the message that is gone, or is a thread's tombstone */
    SLACK_EVENT_SESSION_STOPPED, /* agent_session_stopped: channel, thread_ts, user */
    SLACK_EVENT_REACTION,        /* reaction_added to a message: channel, ts, user, reaction */
    SLACK_EVENT_ACTION,          /* block_actions: a button */
    SLACK_EVENT_APP_UNINSTALLED, /* app_uninstalled */
    SLACK_EVENT_TOKENS_REVOKED,  /* tokens_revoked with a bot token among them */
    SLACK_EVENT_RATE_LIMITED,    /* app_rate_limited */
};

enum slack_channel_type {
    SLACK_CHANNEL_UNKNOWN,
    SLACK_CHANNEL_PUBLIC,  /* C... */
    SLACK_CHANNEL_PRIVATE, /* G..., or C... with channel_type group */
    SLACK_CHANNEL_DIRECT,  /* D... */
    SLACK_CHANNEL_GROUP_DIRECT,
};

/* A string that the envelope does not have is "". */
struct slack_event {
    enum slack_event_kind kind;
    char *envelope_id;
    char *envelope_type; /* events_api, interactive, slash_commands, or something new */
    bool accepts_payload;
    int retry_attempt;

    char *event_id;
    char *team; /* the workspace */
    char *api_app_id;
    char *event_type; /* "message", "app_mention", "block_actions", ... */
    char *subtype;
    char *channel;
    enum slack_channel_type channel_type;
    char *user;
    char *user_team; /* the author's own workspace when it differs (Slack Connect) */
    char *bot_id;
    char *app_id; /* event.app_id or bot_profile.app_id */
    char *ts;
    char *thread_ts;       /* "" outside a thread */
    char *text;            /* as Slack sent it: escaped, with <@U...> entities */
    bool is_mention_event; /* app_mention */
    bool is_ext_shared;
    bool
        is_agent_surface; /* carries assistant_thread or app_context: agent or assistant view */
    bool has_files;
    struct slack_files files; /* what it carries, as far as it says so itself */
    bool is_edited;           /* app_mention with `edited` */

    char *reaction; /* SLACK_EVENT_REACTION: its name, without colons */

    char *action_id; /* SLACK_EVENT_ACTION: the first action */
    char *action_value;
    char *action_ts;
    char *trigger_id;
    char *response_url; /* a secret */
};

/*
 * Parses one envelope. ERR_INPUT when it is no envelope that could be understood; even then
 * `ret_event->envelope_id` is set when one could be found, and must be acked, or Slack would
 * redeliver it for ever (slack-morphism-rust PR #390). deinit in both cases.
 */
int slack_event_parse(const char *json, size_t len, struct slack_event *ret_event,
                      struct err *err);
void slack_event_deinit(struct slack_event *event); /* safe on a zeroed struct, and twice */

#endif
