/*
 * run_exit.h - how a run ended, for whoever comes later: RUN_DIR/exit.json from the supervisor
 * and RUN_DIR/verdict from the daemon.
 *
 * The supervisor reserves the space of exit.json at its start, so that a full disk does not
 * take the exit status with it. The daemon notes why it ends a run before it does: a next one
 * that finds the run ending tells the same outcome.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef AGENT_RUN_EXIT_H
#define AGENT_RUN_EXIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/run.h"

enum run_exit_by {
    RUN_EXIT_BY_ITSELF,
    RUN_EXIT_BY_REQUEST, /* SIGTERM to the supervisor */
    RUN_EXIT_BY_FIRST_OUTPUT,
    RUN_EXIT_BY_IDLE,
    RUN_EXIT_BY_TIMEOUT,
    RUN_EXIT_BY_DISK,   /* it wrote more files than it may */
    RUN_EXIT_BY_OUTPUT, /* it printed more than it may */
};

struct run_exit {
    bool has_status; /* else it did not die of SIGKILL */
    int code;        /* CLD_EXITED, CLD_KILLED or CLD_DUMPED */
    int status;      /* exit status or signal */
    enum run_exit_by by;
    bool is_over; /* nothing of the run was left behind that: the supervisor did all its work */
    size_t left;  /* processes that did not die */
    int64_t duration_ms;
};

/* A descriptor for run_exit_write(), or -1: then it is written without a reserve. */
int run_exit_reserve(const char *run_dir);

/*
 * By rename: all of it or nothing is seen; a second time in place. Silent on failure: its
 * reader says that the exit status is unknown.
 */
void run_exit_write(const char *run_dir, int reserved_fd, const struct run_exit *how);

/* False: there is none that can be read. */
bool run_exit_read(const char *run_dir, struct run_exit *ret_how);

void run_exit_note_verdict(const char *run_dir, enum agent_outcome verdict);
bool run_exit_read_verdict(const char *run_dir, enum agent_outcome *ret_verdict);

#endif
