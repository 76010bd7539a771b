/*
 * link.h - Socket Mode links: one-use tickets, hello, frames, pings, disconnects, misbehaviour.
 *
 *   admitted -> hello -> frames <-> acks -> disconnect message -> closed
 *
 * A deaf link neither reads nor writes but counts as open, as Slack's do until it notices.
 * What the client does wrong is told to the journal.
 */
#ifndef SLACK_LAB_LINK_H
#define SLACK_LAB_LINK_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/slack_lab/lab.h"

#define LINK_FRAME_MAX_BYTES 20480 /* at this size Slack closes with 1009 */

struct link;

struct links *links_new(struct lab *lab);
void links_free(struct links *links);

/* A fresh URL; `ret_url` takes at least 256 bytes. */
void links_issue_url(struct links *links, bool debug_reconnects, char *ret_url, size_t size);

/* The websocket handshake: is its ticket good? Uses it up. */
bool links_admit(struct links *links, struct lws *wsi);

struct link *link_new(struct links *links, struct lws *wsi);
int link_on_receive(struct link *link, const char *bytes, size_t len);
void link_on_pong(struct link *link);
void link_on_peer_close(struct link *link, const char *bytes, size_t len);
int link_on_writable(struct link *link);
void link_on_closed(struct link *link); /* NULL is fine */

/*
 * Queues one message in `fragments` frames (0 and 1: one) on that link.
 */
void link_send(struct link *link, const void *bytes, size_t len, bool binary, size_t fragments);
uint64_t link_id(const struct link *link);

/* Any link that has said hello and is not closed, or NULL. Deaf ones count. */
struct link *links_pick(struct links *links);
struct link *links_newest(struct links *links);
bool links_is_open(const struct links *links, uint64_t id);

/* Every link that can write is asked to. */
void links_wake_all(struct links *links);

/* drop deaf hear refresh warning link_disabled too_many close; how many links it hit. */
int links_misbehave(struct links *links, const char *action, const char *which, int code);

json_t *links_json(const struct links *links); /* new */
size_t links_open(const struct links *links);

/* Clocks: pings, recycling, closings. True while something is soon due. */
bool links_tick(struct links *links, int64_t now_us);

#endif
