#include "tests/slack_lab/envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/link.h"
#include "tests/slack_lab/load.h"

#define REMEMBERED_MAX 200000

enum event_state { EVENT_SENT, EVENT_WAITING, EVENT_ACKED, EVENT_LOST };

struct event {
    char id[64];
    char ts[32];
    json_t *payload;
    size_t fragments;
    enum event_state state;
    int retries;    /* how many redeliveries there were */
    int64_t due_us; /* SENT: the ack clock; WAITING: the next redelivery */
    bool is_listed;
    LIST_ENTRY(event) list; /* while SENT or WAITING */
    UT_hash_handle hh;
};

struct delivery {
    char envelope_id[64];
    char event_id[64];
    uint64_t link;
    int64_t sent_us;
    bool is_acked;
    bool accepts_payload;
    UT_hash_handle hh;
};

struct envelopes {
    struct lab *lab;
    struct event *events;
    struct delivery *deliveries;
    LIST_HEAD(, event) pending;
};

struct envelopes *envelopes_new(struct lab *lab)
{
    struct envelopes *envelopes = xcalloc(1, sizeof(*envelopes));

    envelopes->lab = lab;
    LIST_INIT(&envelopes->pending);
    return envelopes;
}

static void forget_event(struct envelopes *envelopes, struct event *event)
{
    HASH_DEL(envelopes->events, event);
    if (event->is_listed)
        LIST_REMOVE(event, list);
    json_decref(event->payload);
    free(event);
}

static void forget_delivery(struct envelopes *envelopes, struct delivery *delivery)
{
    HASH_DEL(envelopes->deliveries, delivery);
    free(delivery);
}

void envelopes_free(struct envelopes *envelopes)
{
    if (!envelopes)
        return;

    struct event *event = envelopes->events;
    struct delivery *delivery = envelopes->deliveries;

    HASH_CLEAR(hh, envelopes->events);
    HASH_CLEAR(hh, envelopes->deliveries);
    for (struct event *next; event; event = next) {
        next = event->hh.next;
        json_decref(event->payload);
        free(event);
    }
    for (struct delivery *next; delivery; delivery = next) {
        next = delivery->hh.next;
        free(delivery);
    }
    free(envelopes);
}

static void set_state(struct envelopes *envelopes, struct event *event, enum event_state state)
{
    bool pending = state == EVENT_SENT || state == EVENT_WAITING;

    event->state = state;
    if (pending && !event->is_listed)
        LIST_INSERT_HEAD(&envelopes->pending, event, list);
    else if (!pending && event->is_listed)
        LIST_REMOVE(event, list);
    event->is_listed = pending;
}

static void remember_delivery(struct envelopes *envelopes, const char *envelope_id,
                              const char *event_id, struct link *link, bool accepts_payload)
{
    struct delivery *delivery = xcalloc(1, sizeof(*delivery));

    if (HASH_COUNT(envelopes->deliveries) >= REMEMBERED_MAX)
        forget_delivery(envelopes, envelopes->deliveries);
    snprintf(delivery->envelope_id, sizeof(delivery->envelope_id), "%s", envelope_id);
    snprintf(delivery->event_id, sizeof(delivery->event_id), "%s", event_id);
    delivery->link = link_id(link);
    delivery->sent_us = clock_now_us();
    delivery->accepts_payload = accepts_payload;
    HASH_ADD_STR(envelopes->deliveries, envelope_id, delivery);
}

static void send_envelope(struct envelopes *envelopes, struct link *link, json_t *envelope,
                          const char *event_id, size_t fragments)
{
    AUTO_FREE char *text = json_dumps(envelope, JSON_COMPACT);
    const char *id = json_string_value(json_object_get(envelope, "envelope_id"));

    if (id)
        remember_delivery(envelopes, id, event_id, link,
                          json_is_true(json_object_get(envelope, "accepts_response_payload")));
    link_send(link, text, strlen(text), false, fragments);
}

/* Sends the event once more, or puts it off until its next turn. */
static void deliver(struct envelopes *envelopes, struct event *event, bool is_retry)
{
    struct lab *lab = envelopes->lab;
    struct link *link = links_pick(lab->links);
    char envelope_id[RANDOM_UUID_BYTES];
    json_t *inner = json_object_get(event->payload, "event");
    json_t *type = json_object_get(inner, "type");

    random_uuid(envelope_id);
    event->due_us = clock_now_us() + lab->settings.ack_timeout_ms * INT64_C(1000);
    set_state(envelopes, event, EVENT_SENT);
    if (link) {
        json_t *envelope = json_pack(
            "{s:s, s:s, s:b, s:i, s:s, s:O}", "envelope_id", envelope_id, "type", "events_api",
            "accepts_response_payload", 0, "retry_attempt", event->retries, "retry_reason",
            is_retry ? "timeout" : "", "payload", event->payload);

        send_envelope(envelopes, link, envelope, event->id, event->fragments);
        json_decref(envelope);
    } else {
        event->due_us = clock_now_us(); /* nobody to wait for */
    }
    journal_add(lab->journal, link ? "event_sent" : "event_unsendable",
                json_pack("{s:s, s:s, s:s, s:s, s:i, s:I}", "event_id", event->id,
                          "envelope_id", envelope_id, "type",
                          json_string_value(type) ? json_string_value(type) : "", "ts",
                          event->ts, "retry_attempt", event->retries, "link",
                          (json_int_t)(link ? link_id(link) : 0)));
}

void envelopes_send_event(struct envelopes *envelopes, json_t *payload, const char *ts,
                          size_t fragments)
{
    struct event *event = xcalloc(1, sizeof(*event));

    if (HASH_COUNT(envelopes->events) >= REMEMBERED_MAX)
        forget_event(envelopes, envelopes->events);
    snprintf(event->id, sizeof(event->id), "%s",
             json_string_value(json_object_get(payload, "event_id")));
    snprintf(event->ts, sizeof(event->ts), "%s", ts);
    event->payload = payload;
    event->fragments = fragments;
    HASH_ADD_STR(envelopes->events, id, event); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
    deliver(envelopes, event, false);
}

void envelopes_send_once(struct envelopes *envelopes, const char *type, json_t *payload,
                         json_t *extra)
{
    struct link *link = links_pick(envelopes->lab->links);
    char envelope_id[RANDOM_UUID_BYTES];

    random_uuid(envelope_id);

    json_t *envelope = json_pack("{s:s, s:s, s:b, s:o}", "envelope_id", envelope_id, "type",
                                 type, "accepts_response_payload",
                                 strcmp(type, "slash_commands") == 0, "payload", payload);

    if (extra)
        json_object_update(envelope, extra);
    json_decref(extra);
    if (link)
        send_envelope(envelopes, link, envelope, "", 1);
    journal_add(envelopes->lab->journal, link ? "payload_sent" : "payload_lost",
                json_pack("{s:s, s:s}", "type", type, "envelope_id", envelope_id));
    json_decref(envelope);
}

int envelopes_redeliver(struct envelopes *envelopes, const char *event_id, const char *ts)
{
    struct event *event, *next;
    int count = 0;

    HASH_ITER(hh, envelopes->events, event, next)
    {
        if (*event_id ? strcmp(event->id, event_id) != 0 : strcmp(event->ts, ts) != 0)
            continue;
        event->retries = event->retries < LAB_RETRIES_MAX ? event->retries + 1 : 1;
        deliver(envelopes, event, true);
        count++;
    }
    return count;
}

static void offence(struct envelopes *envelopes, const char *what, uint64_t link,
                    const char *envelope_id)
{
    journal_violation(
        envelopes->lab->journal, what,
        json_pack("{s:I, s:s}", "link", (json_int_t)link, "envelope_id", envelope_id));
}

static void accept_ack(struct envelopes *envelopes, struct delivery *delivery, uint64_t link,
                       json_t *payload)
{
    struct lab *lab = envelopes->lab;
    int64_t latency_us = clock_now_us() - delivery->sent_us;
    struct event *event = NULL;

    delivery->is_acked = true;
    if (latency_us > lab->settings.ack_timeout_ms * 1000)
        offence(envelopes, "ack_late", link, delivery->envelope_id);
    if (link != delivery->link && links_is_open(lab->links, delivery->link))
        offence(envelopes, "ack_on_other_link", link, delivery->envelope_id);
    if (!delivery->accepts_payload && json_object_size(payload) > 0)
        offence(envelopes, "ack_payload_not_accepted", link, delivery->envelope_id);
    HASH_FIND_STR(envelopes->events, delivery->event_id, event);
    if (event)
        set_state(envelopes, event, EVENT_ACKED);
    journal_add(lab->journal, "ack",
                json_pack("{s:s, s:s, s:I, s:I, s:O?}", "envelope_id", delivery->envelope_id,
                          "event_id", delivery->event_id, "link", (json_int_t)link,
                          "latency_us", (json_int_t)latency_us, "payload", payload));
}

void envelopes_on_ack(struct envelopes *envelopes, uint64_t link, const char *text, size_t len)
{
    json_auto_t *ack = json_loadb(text, len, 0, NULL);
    const char *id = json_string_value(json_object_get(ack, "envelope_id"));
    struct delivery *delivery = NULL;

    if (!id) {
        offence(envelopes, ack ? "message_without_envelope_id" : "message_not_json", link, "");
        return;
    }
    if (load_on_ack(envelopes->lab->load, id, clock_now_us()))
        return;
    HASH_FIND_STR(envelopes->deliveries, id, delivery);
    if (!delivery)
        offence(envelopes, "ack_unknown_envelope", link, id);
    else if (delivery->is_acked)
        offence(envelopes, "ack_twice", link, id);
    else
        accept_ack(envelopes, delivery, link, json_object_get(ack, "payload"));
}

size_t envelopes_pending(const struct envelopes *envelopes)
{
    const struct event *event;
    size_t count = 0;

    LIST_FOREACH(event, &envelopes->pending, list)
    count++;
    return count;
}

static void event_is_due(struct envelopes *envelopes, struct event *event, int64_t now_us)
{
    struct lab *lab = envelopes->lab;

    if (event->state == EVENT_WAITING) {
        event->retries++;
        deliver(envelopes, event, true);
    } else if (event->retries >= LAB_RETRIES_MAX) {
        set_state(envelopes, event, EVENT_LOST);
        journal_add(lab->journal, "event_lost", json_pack("{s:s}", "event_id", event->id));
    } else {
        event->due_us =
            now_us + lab->settings.redeliver_delays_ms[event->retries] * INT64_C(1000);
        set_state(envelopes, event, EVENT_WAITING);
    }
}

bool envelopes_tick(struct envelopes *envelopes, int64_t now_us)
{
    struct event *event = LIST_FIRST(&envelopes->pending);
    bool waits = event != NULL;

    while (event) {
        struct event *next = LIST_NEXT(event, list);

        if (now_us >= event->due_us)
            event_is_due(envelopes, event, now_us);
        event = next;
    }
    return waits;
}
