/*
 * run_dir.h - the directory of a run, RUNS_DIR/<run_id>/, before and beside the run itself.
 *
 *   inbox/     what the person sent, put there by the caller before the start
 *   outbox/    what the agent wants to give, made by the start
 *   tmp/       the agent's TMPDIR, made by the start
 *   attempts   a byte for each process that took the run up and has not come to its end
 *   prompt out.ndjson err.log meta.json exit.json verdict launch.err   see run.h, meta.h,
 * exit.h
 *
 * The directory is made before the ledger names the run. So one with a directory but without
 * meta.json certainly never began; of one without a directory that is not known: it may have
 * been removed, or lost with the host.
 *
 * Owns:    nothing.
 * Threads: any but the loop.
 */
#ifndef AGENT_RUN_DIR_H
#define AGENT_RUN_DIR_H

#include <stdbool.h>

#include "base/err.h"

#define RUN_DIR_INBOX    "inbox"
#define RUN_DIR_OUTBOX   "outbox"
#define RUN_DIR_TMP      "tmp"
#define RUN_DIR_ATTEMPTS "attempts"

/* False for what must not become part of a path and of an environment variable. */
bool run_dir_is_id(const char *run_id);

/* Makes it, mode 0700; one that holds nothing of a run yet is fine. ERR_INPUT: another. */
int run_dir_make(const char *runs_dir, const char *run_id, struct err *err);

/* Whether the run certainly never began. */
bool run_dir_is_unstarted(const char *runs_dir, const char *run_id);

/*
 * The process that takes up a run notes itself before it does anything that might end it, and
 * takes its note back when it leaves the run to the next one on purpose. What is counted are
 * the deaths between. Returns the count with this one; 1 where it cannot be noted.
 */
unsigned run_dir_note_attempt(const char *runs_dir, const char *run_id);
void run_dir_forget_attempts(const char *runs_dir, const char *run_id);

#endif
