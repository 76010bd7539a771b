/*
 * notice.h - the one line that stands where an answer will come, while its message waits: in a
 * thread Slack's status line; where that is taken, or Slack knows none, a message, which the
 * answer then takes over.
 *
 * Such a message has the key of the answer's first message, and slack_notice_state() is for
 * slack_reply_resume(): whoever writes the answer, now or after a restart, writes it there.
 *
 * Owns:    nothing beyond its own struct.
 * Threads: any, one at a time; each call blocks on Slack, for the web's deadline at most.
 */
#ifndef SLACK_NOTICE_H
#define SLACK_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "slack/reply.h"
#include "slack/web.h"

#define SLACK_NOTICE_BYTES 256

struct slack_notice_place {
    const char *channel;
    const char *thread_ts; /* "" outside a thread: always a message */
    const char *key;       /* of the answer, as slack_reply_target's */
    int64_t since_s;       /* wall time: the message is no older */
    bool takes_message;    /* the status line is somebody else's */
    bool looks_first;      /* an earlier process may have posted the message */
};

struct slack_notice { /* zeroed at first */
    char ts[SLACK_TS_MAX_BYTES];
    bool is_status;        /* the status line may show it */
    bool is_status_failed; /* Slack wants none here */
    char shown[SLACK_NOTICE_BYTES];
};

/*
 * Shows `text`, plain and short. A failure is for the caller to try again later: ERR_INPUT
 * never succeeds. `features` may be NULL.
 */
int slack_notice_show(struct slack_web *web, struct slack_features *features,
                      const struct slack_notice_place *place, const char *text,
                      struct slack_notice *notice, struct err *err);

/* Takes it away, where nothing takes its place. */
int slack_notice_clear(struct slack_web *web, const struct slack_notice_place *place,
                       struct slack_notice *notice, struct err *err);

/* For slack_reply_resume(): goes on in the notice's message, "" without one. Caller frees. */
char *slack_notice_state(const struct slack_notice *notice);

/* The message that an earlier process posted for this place: 1, 0, or -1. */
int slack_notice_find(struct slack_web *web, const struct slack_notice_place *place,
                      struct slack_notice *notice, struct err *err);

#endif
