/*
 * status.h - what the daemon says of itself: /status as JSON, /healthz, /readyz and /metrics on
 * the local listener, and the line that systemd shows. POST /memory/refresh makes it look at
 * once at what another process has written to the store.
 *
 * Threads: loop.
 */
#ifndef BOT_STATUS_H
#define BOT_STATUS_H

#include <stdbool.h>

#include "base/buf.h"

struct app;
struct loop_http_answer;

void status_answer_http(struct app *app, const char *path, bool is_post,
                        struct loop_http_answer *answer);

/* "2 of 2 links, 1 running, 3 waiting" */
void status_print_line(struct app *app, struct buf *out);

#endif
