/*
 * status.h - what the daemon says of itself: /status as JSON, /healthz, /readyz and /metrics on
 * the local listener, and the line that systemd shows.
 *
 * Threads: loop.
 */
#ifndef BOT_STATUS_H
#define BOT_STATUS_H

#include "base/buf.h"

struct app;
struct loop_http_answer;

void status_answer_http(struct app *app, const char *path, struct loop_http_answer *answer);

/* "2 of 2 links, 1 running, 3 waiting" */
void status_print_line(struct app *app, struct buf *out);

#endif
