/*
 * leavings.h - what an agent left in its outbox. Whoever wrote there is not trusted: only
 * regular files that nobody else holds are opened, by names looked up one step at a time and
 * never through a link.
 *
 * Files in directories count too, four deep, and are named after their way: charts/a.png is
 * "charts-a.png". What begins with a dot is left out.
 *
 * Owns:    its list, until leavings_deinit().
 * Threads: worker.
 */
#ifndef BOT_LEAVINGS_H
#define BOT_LEAVINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LEAVINGS_MAX       1000   /* listed; the rest is only counted */
#define LEAVINGS_TOTAL_MAX 100000 /* and counted no further than to here */

enum leaving_kind {
    LEAVING_FILE,
    LEAVING_EMPTY,  /* a file of no bytes, which Slack does not take */
    LEAVING_HIDDEN, /* begins with a dot */
    LEAVING_LINK,   /* a symbolic link, or a file with a second name */
    LEAVING_OTHER,  /* a pipe, a socket, a device, a directory too deep */
};

struct leaving {
    char *path; /* below the outbox */
    char *name; /* for people: clean, without slashes */
    enum leaving_kind kind;
    int64_t size;
};

struct leavings {
    struct leaving *items; /* in the order of their paths */
    size_t count;
    size_t total; /* with those over LEAVINGS_MAX */
};

/* No outbox is an empty one. ERR_SYSTEM when it cannot be read. */
int leavings_list(const char *outbox, struct leavings *ret_leavings, struct err *err);
void leavings_deinit(struct leavings *leavings); /* safe on a zeroed struct, and twice */

/*
 * Opens a file of the list for reading; its size is then that of the open file. ERR_INPUT when
 * it is no longer what it was listed as.
 */
int leaving_open(const char *outbox, struct leaving *leaving, int *ret_fd, struct err *err);

#endif
