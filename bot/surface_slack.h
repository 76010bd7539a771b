/*
 * surface_slack.h - the surface that is a Slack thread.
 *
 * Threads: worker.
 */
#ifndef BOT_SURFACE_SLACK_H
#define BOT_SURFACE_SLACK_H

#include "bot/surface.h"
#include "slack/reply.h"

/*
 * Everything is copied but `web`, and `options`' features, metrics and context. `target->key`
 * also keys the failure message, so that it is posted once; `since_s` (wall time) is when the
 * message came that it answers.
 */
struct surface *surface_slack_new(struct slack_web *web,
                                  const struct slack_reply_target *target,
                                  const struct slack_reply_options *options, int64_t since_s);

#endif
