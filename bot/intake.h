/*
 * intake.h - from Slack's socket to the dispatcher: parse, route, record durably, and only then
 * ack.
 *
 * Owns:    what is on its way through the journal.
 * Threads: loop for intake_envelope(); the journal calls back and hands over to the dispatcher
 * and, by loop_post(), to the socket for the ack.
 */
#ifndef BOT_INTAKE_H
#define BOT_INTAKE_H

#include <stddef.h>

#include "slack/socket.h"

struct app;
struct intake;

struct intake *intake_new(struct app *app);
void intake_free(struct intake *intake); /* NULL is fine; the journal must be idle */

/*
 * One envelope. What the ledger need not know is acked at once; a message or command after its
 * commit; one that the disk refused is not acked, so that Slack sends it again.
 */
void intake_envelope(struct intake *intake, struct slack_socket_origin origin, const char *json,
                     size_t len);

#endif
