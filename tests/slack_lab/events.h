/*
 * events.h - what happens in the world, told to the app as Slack tells it.
 */
#ifndef SLACK_LAB_EVENTS_H
#define SLACK_LAB_EVENTS_H

#include <jansson.h>
#include <stddef.h>

#include "tests/slack_lab/lab.h"
#include "tests/slack_lab/world.h"

/*
 * A person's message: one message event, and with a mention of the bot outside a direct
 * message also an app_mention, in whichever order. `extra` (borrowed, may be NULL) joins the
 * inner events. The event ids; new.
 */
json_t *events_say(struct lab *lab, const struct message *message, json_t *extra,
                   size_t fragments);

/* The app's own messages; nothing when settings.echo is off. */
void events_app_posted(struct lab *lab, const struct message *message);
void events_app_changed(struct lab *lab, const struct message *message);

/* A person's edit and deletion; the root of a thread is told as changed into a tombstone. The
 * event id; new. */
json_t *events_edited(struct lab *lab, const struct message *message, const char *old_text);
json_t *events_deleted(struct lab *lab, const struct message *message);

/* Slack's Stop button. The event id; new. */
json_t *events_stop_pressed(struct lab *lab, const char *channel, const char *thread_ts,
                            const char *user, json_t *streaming_ts /* adopt */);

/* Somebody, or the app itself, has reacted to the message or taken that back. The event id;
 * new, or NULL when the app may not hear of it (no reactions:read). */
json_t *events_reacted(struct lab *lab, const struct message *message, const char *name,
                       const char *user, bool is_added);

/* Any inner event. The event id; new. `inner` is adopted. */
json_t *events_tell(struct lab *lab, json_t *inner, const char *ts, size_t fragments);

/* A click on a button of the message. NULL when it has no such button. */
json_t *events_click(struct lab *lab, const struct message *message, const char *action_id,
                     const char *user);

#endif
