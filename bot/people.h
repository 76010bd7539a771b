/*
 * people.h - who is a guest: users.info, asked once an hour for each person.
 *
 * Owns:    its cache (at most PEOPLE_MAX, the oldest forgotten).
 * Threads: worker, desk. Blocks on Slack.
 */
#ifndef BOT_PEOPLE_H
#define BOT_PEOPLE_H

#include <stdbool.h>

#include "slack/web.h"

#define PEOPLE_MAX        1024
#define PEOPLE_MAX_AGE_MS (INT64_C(60) * 60 * 1000)

struct people;

struct people *people_new(void);
void people_free(struct people *people); /* NULL is fine */

/*
 * True when `user` is known to be a guest or somebody of another workspace. When Slack does not
 * tell (no scope, no network) the answer is false and is not remembered: membership is then
 * decided by what the event itself said.
 */
bool people_is_guest(struct people *people, struct slack_web *web, const char *user,
                     const char *own_team);

#endif
