/*
 * envelope.h - envelopes on their way: the 3 s ack clock, and redelivery.
 *
 * An event goes to one open link, whichever. Unacked in time, or with no link at all, it is
 * sent again up to three times with the same event_id and a new envelope_id. Interactive
 * payloads are sent once.
 */
#ifndef SLACK_LAB_ENVELOPE_H
#define SLACK_LAB_ENVELOPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/slack_lab/lab.h"

struct envelopes;

struct envelopes *envelopes_new(struct lab *lab);
void envelopes_free(struct envelopes *envelopes);

/*
 * Keeps the event until it is acked or lost. `payload` (adopted) is an event_callback with its
 * event_id; `ts` names the message it tells about, "" for none.
 */
void envelopes_send_event(struct envelopes *envelopes, json_t *payload, const char *ts,
                          size_t fragments);

/* One try: interactive payloads and raw ones. `extra` (adopted, NULL is fine) overrides. */
void envelopes_send_once(struct envelopes *envelopes, const char *type, json_t *payload,
                         json_t *extra);

/* Sends old events again (by event_id, or by ts) as after a lost ack. How many. */
int envelopes_redeliver(struct envelopes *envelopes, const char *event_id, const char *ts);

/* A text message that came down link `link` whole. */
void envelopes_on_ack(struct envelopes *envelopes, uint64_t link, const char *text, size_t len);

/* How many events are neither acked nor lost. */
size_t envelopes_pending(const struct envelopes *envelopes);

/* True while something is due soon. */
bool envelopes_tick(struct envelopes *envelopes, int64_t now_us);

#endif
