/*
 * outbox.h - acks as ready-made websocket frames, waiting for one link to be writeable.
 *
 * Slack takes an ack only as one unfragmented frame under SLACK_ACK_MAX_BYTES, so a frame is
 * built whole, with the room in front that libwebsockets needs, and written whole.
 *
 * Owns:    its frames.
 * Threads: loop.
 */
#ifndef SLACK_OUTBOX_H
#define SLACK_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#define SLACK_OUTBOX_MAX_FRAMES 8192 /* most of a second at the highest rate foreseen */

struct slack_frame;

struct slack_outbox {
    struct slack_frame *first;
    struct slack_frame *last;
    size_t count;
};

/*
 * {"envelope_id":"..."} or {"envelope_id":"...","payload":...}. `payload_json` may be NULL and
 * is left out when the whole would be too large. NULL when even the id alone is too large.
 */
struct slack_frame *slack_frame_new_ack(const char *envelope_id, const char *payload_json);
void slack_frame_free(struct slack_frame *frame); /* NULL is fine */

/* The text, with LWS_PRE writable bytes in front of it. */
unsigned char *slack_frame_text(struct slack_frame *frame);
size_t slack_frame_length(const struct slack_frame *frame);

/* Adopts the frame; false when the outbox is full, and the frame is freed. */
bool slack_outbox_push(struct slack_outbox *outbox, struct slack_frame *frame);

/* The oldest frame, which the caller frees; NULL when empty. */
struct slack_frame *slack_outbox_pop(struct slack_outbox *outbox);

#endif
