/*
 * control.h - the two messages that are about the connection itself: hello and disconnect.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef SLACK_CONTROL_H
#define SLACK_CONTROL_H

#include <stddef.h>
#include <stdint.h>

enum slack_control_kind {
    SLACK_CONTROL_NONE, /* an envelope, or anything else */
    SLACK_CONTROL_HELLO,
    SLACK_CONTROL_DISCONNECT,
};

#define SLACK_CONTROL_TEXT_BYTES 64

struct slack_control {
    enum slack_control_kind kind;
    char host[SLACK_CONTROL_TEXT_BYTES];   /* Slack's name for the other end, "" if unsaid */
    char reason[SLACK_CONTROL_TEXT_BYTES]; /* of a disconnect */
    int64_t num_connections;               /* 0 if unsaid */
    int64_t lifetime_s;                    /* approximate_connection_time, 0 if unsaid */
};

/*
 * Says which one a message is. Cheap for envelopes: those are parsed later, once, and here only
 * when they are small and hold one of the two words in quotes.
 */
void slack_control_parse(const char *json, size_t len, struct slack_control *ret_control);

#endif
