/*
 * intake.h - from Slack's socket to the dispatcher: parse, route, record durably, and only then
 * ack.
 *
 * Owns:    what is on its way through the journal.
 * Threads: loop for intake_envelope() and intake_message(); the journal calls back and hands over to the dispatcher
 * and, by loop_post(), to the socket for the ack.
 */
#ifndef BOT_INTAKE_H
#define BOT_INTAKE_H

#include <stddef.h>

#include "slack/event.h"
#include "slack/socket.h"

struct app;
struct intake;

struct intake *intake_new(struct app *app);
void intake_free(struct intake *intake); /* NULL is fine; the journal must be idle */

/*
 * One envelope. What the ledger need not know is acked at once; a message or command after its
 * commit; one that the disk refused is not acked, so that Slack sends it again. A reply in a
 * young thread that is not ours yet waits up to two seconds for the mention that may follow it.
 */
void intake_envelope(struct intake *intake, struct slack_socket_origin origin, const char *json,
                     size_t len);

enum intake_outcome {
    INTAKE_TAKEN,       /* new, and for us: it gets its answer */
    INTAKE_LEFT,        /* known already, or not for us */
    INTAKE_NOT_DURABLE, /* the disk refused it: offer it again later */
};
typedef void (*intake_settled_fn)(void *context, enum intake_outcome outcome);

/*
 * A message that came without an envelope, found by asking Slack. It goes the way of one that
 * did, the same guards, ledger and dispatcher, but nothing is acked, and nobody is told that he
 * may not ask: that was long ago. `on_settled` is called once, here or later on the journal
 * thread.
 */
void intake_message(struct intake *intake, const struct slack_event *event,
                    intake_settled_fn on_settled, void *context);

#endif
