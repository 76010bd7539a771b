/*
 * event_parts.h - what slack/ shares of reading events: inside slack/ only.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef SLACK_EVENT_PARTS_H
#define SLACK_EVENT_PARTS_H

#include <jansson.h>

#include "slack/event.h"

/*
 * A message as conversations.history and conversations.replies list it, which is the event it
 * once was without an envelope around it: envelope_id, event_id and api_app_id stay "". Never
 * fails: what cannot be read is SLACK_EVENT_OTHER. The caller deinits the event.
 */
void slack_event_from_message(const json_t *message, const char *team, const char *channel,
                              struct slack_event *ret_event);

#endif
