/*
 * catchup_run.h - one catching up: which places to ask about, a page at a time from Slack, and
 * each message through the loop to the intake.
 *
 * Owns:    its list of places and its connection to Slack. Messages under way outlive it.
 * Threads: the one that catches up.
 */
#ifndef BOT_CATCHUP_RUN_H
#define BOT_CATCHUP_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metrics.h"

struct app;
struct catchup_run;

/*
 * What was received before `owed_us` (wall time) is known. `pause_ms` before each call but the
 * first; `messages` counts what was found and is for us.
 */
struct catchup_run *catchup_run_new(struct app *app, int64_t owed_us, int64_t pause_ms,
                                    struct metric *messages);
void catchup_run_free(struct catchup_run *run); /* NULL is fine */

/*
 * 0 once every place was asked and every message is on the disk, or was not for us. ERR_TEMP,
 * ERR_SYSTEM: call again, it goes on where it failed. A place that Slack refuses for good is
 * logged once and passed over. Returns within a second when the daemon stops.
 */
int catchup_run_round(struct catchup_run *run, struct err *err);

struct catchup_run_figures {
    size_t places;
    size_t calls;
    size_t refused; /* by Slack, for good */
    size_t cut;     /* had more pages than are read */
    size_t found;
};
struct catchup_run_figures catchup_run_get_figures(const struct catchup_run *run);

#endif
