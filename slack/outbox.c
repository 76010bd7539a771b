#include "slack/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libwebsockets.h>

#include "base/alloc.h"
#include "slack/socket.h"

struct slack_frame {
    struct slack_frame *next;
    size_t len;
    unsigned char bytes[]; /* LWS_PRE, then the text */
};

static const char HEAD[] = "{\"envelope_id\":\"";
static const char MIDDLE[] = "\",\"payload\":";
static const char TAIL[] = "\"}";

static bool needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

static size_t escaped_length(const char *text)
{
    size_t len = 0;

    for (; *text; text++)
        len += needs_escape(*text) ? sizeof("\\u0000") - 1 : 1;
    return len;
}

static char *put_escaped(char *at, const char *text)
{
    for (; *text; text++) {
        if (needs_escape(*text)) {
            snprintf(at, sizeof("\\u0000"), "\\u%04x", (unsigned char)*text);
            at += sizeof("\\u0000") - 1;
        } else {
            *at++ = *text;
        }
    }
    return at;
}

static char *put(char *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

struct slack_frame *slack_frame_new_ack(const char *envelope_id, const char *payload_json)
{
    size_t id_len = escaped_length(envelope_id);
    size_t payload_len = payload_json ? strlen(payload_json) : 0;
    size_t bare_len = sizeof(HEAD) - 1 + id_len + sizeof(TAIL) - 1;
    size_t full_len = sizeof(HEAD) - 1 + id_len + sizeof(MIDDLE) - 1 + payload_len + 1;
    bool with_payload = payload_len > 0 && full_len < SLACK_ACK_MAX_BYTES;
    size_t len = with_payload ? full_len : bare_len;
    struct slack_frame *frame;
    char *at;

    if (len >= SLACK_ACK_MAX_BYTES)
        return NULL;
    frame = xcalloc(1, sizeof(*frame) + LWS_PRE + len + 1);
    frame->len = len;
    at = put((char *)slack_frame_text(frame), HEAD, sizeof(HEAD) - 1);
    at = put_escaped(at, envelope_id);
    if (with_payload) {
        at = put(at, MIDDLE, sizeof(MIDDLE) - 1);
        at = put(at, payload_json, payload_len);
        put(at, "}", 1);
    } else {
        put(at, TAIL, sizeof(TAIL) - 1);
    }
    return frame;
}

void slack_frame_free(struct slack_frame *frame)
{
    free(frame);
}

unsigned char *slack_frame_text(struct slack_frame *frame)
{
    return frame->bytes + LWS_PRE;
}

size_t slack_frame_length(const struct slack_frame *frame)
{
    return frame->len;
}

bool slack_outbox_push(struct slack_outbox *outbox, struct slack_frame *frame)
{
    if (outbox->count >= SLACK_OUTBOX_MAX_FRAMES) {
        slack_frame_free(frame);
        return false;
    }
    if (outbox->last)
        outbox->last->next = frame;
    else
        outbox->first = frame;
    outbox->last = frame;
    outbox->count++;
    return true;
}

struct slack_frame *slack_outbox_pop(struct slack_outbox *outbox)
{
    struct slack_frame *frame = outbox->first;

    if (!frame)
        return NULL;
    outbox->first = frame->next;
    if (!outbox->first)
        outbox->last = NULL;
    frame->next = NULL;
    outbox->count--;
    return frame;
}
