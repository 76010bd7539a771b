/*
 * turn_files.h - the files of one turn. What people sent is in RUN_DIR/inbox before the agent
 * starts; what it left in RUN_DIR/outbox is in the thread before its answer is closed.
 *
 *   RUN_DIR/inbox/1.png   under a name of our own: number and a harmless extension
 *   RUN_DIR/outbox/       the agent's
 *   RUN_DIR/files.note    what did not come, for the line under the answer
 *   RUN_DIR/sent.json     what is being shared, and whether it was
 *
 * In: a file is whole under its final name or not there. A process that dies before the agent
 * started leaves a directory without meta.json: the next one begins anew and fetches again.
 *
 * Out: bytes are brought to Slack, where nobody sees them, sent.json names them, and one call
 * shares them all. A process that dies in between leaves the file, and the next one asks Slack
 * whether they were shared: if not, it shares the same ones; if Slack cannot tell, it does not,
 * and says so. So nothing is shown twice. An answer that failed brings its files along; one
 * that was stopped does not, since its author said stop.
 *
 * No file is a failure of the turn: what did not come or go is told in one line.
 *
 * Owns:    what is in a struct turn_files.
 * Threads: worker.
 */
#ifndef BOT_TURN_FILES_H
#define BOT_TURN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/prompt.h"
#include "agent/run.h"
#include "base/buf.h"
#include "base/metrics.h"

#define TURN_FILES_FETCH_MS 60000  /* for all files of a turn */
#define TURN_FILES_SEND_MS  120000 /* likewise */

struct turn;
struct turn_progress;

struct turn_files_metrics {
    struct metric *fetched;
    struct metric *not_fetched;
    struct metric *sent;
    struct metric *not_sent;
};
void turn_files_metrics_init(struct turn_files_metrics *files_metrics, struct metrics *metrics);

struct turn_files {
    struct agent_prompt_file *inbox; /* with strings of their own */
    size_t inbox_count;
    char *outbox;    /* its path, NULL before turn_files_fetch() */
    char *carried;   /* the outbox of the run that this one follows; NULL for none */
    char *not_come;  /* a line for the person and the agent; NULL for none */
    char *not_gone;  /* a line for the person; NULL for none */
    bool had_files;  /* came with the question, fetched or not */
    bool sent_files; /* went with the answer */
};
void turn_files_deinit(struct turn_files *files); /* safe on a zeroed struct, and twice */

/* Needs progress->run_id. -1 only when the daemon stops: then no agent is to be started. */
int turn_files_fetch(struct turn *turn, struct turn_progress *progress);

/* What run `run_id` has left by now goes into the outbox of the run that follows it: at the
 * next turn_files_fetch(), which fetches again for all messages. */
void turn_files_carry(struct turn_progress *progress, const char *run_id);

/* After the agent ended as `outcome`. -1 only when the daemon stops: the next one goes on. */
int turn_files_deliver(struct turn *turn, struct turn_progress *progress,
                       enum agent_outcome outcome);

/* `note` (may be NULL or "") and what is to be said of files, as one text; the caller frees it.
 */
char *turn_files_join(const struct turn_files *files, const char *note);

/* ---- for turn_inbox.c and turn_outbox.c ---------------------------------------------------
 */

/* One line that names files and why each did not come or go. */
struct turn_files_line {
    struct buf text;
    size_t named;
    size_t more;
};
void turn_files_line_init(struct turn_files_line *line);
void turn_files_line_add(struct turn_files_line *line, const char *name, const char *reason);
/* "_INTRO: `a.png` (deleted)._", NULL when nothing was added; deinits the line. */
char *turn_files_line_end(struct turn_files_line *line, const char *intro);

/* Whether somebody pressed Stop, or the daemon stops; `context` is the struct turn. */
bool turn_files_unwanted(void *context);

/* "larger than 20 MiB", into `out` (64 bytes), which it returns. */
const char *turn_files_too_large(int64_t max_bytes, char *out);

#endif
