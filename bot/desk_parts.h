/*
 * desk_parts.h - what the desk's files share: the functions behind the chat commands (see
 * commands.h) and what more than one of them needs.
 *
 * Owns:    nothing.
 * Threads: desk; in the terminal those that the table allows there.
 */
#ifndef BOT_DESK_PARTS_H
#define BOT_DESK_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "bot/commands.h"
#include "bot/dispatch.h"

/* One of access.admins. */
bool desk_is_admin(struct app *app, const char *user);

/* Ends what runs and drops what waits; says how much that was. */
void desk_stop_matching(struct app *app, const struct dispatch_filter *filter,
                        unsigned *ret_running, size_t *ret_waiting);

/* A message is gone from Slack: it is not answered any more, and forgotten. */
void desk_message_deleted(struct app *app, const char *channel, const char *thread_ts,
                          const char *user, const char *ts);

/* ---- the commands, see the table in commands.c ------------------------------------------- */

void desk_say_help(const struct command_call *call, struct buf *out);
void desk_say_new(const struct command_call *call, struct buf *out);
void desk_say_stop(const struct command_call *call, struct buf *out);
void desk_say_status(const struct command_call *call, struct buf *out);
void desk_say_prefs(const struct command_call *call, struct buf *out);
void desk_say_profile(const struct command_call *call, struct buf *out);
void desk_say_forget(const struct command_call *call, struct buf *out);
void desk_say_usage(const struct command_call *call, struct buf *out);
void desk_say_stats(const struct command_call *call, struct buf *out);

#endif
