/* turn_parts.h: what newer messages make of a turn that runs (agent.busy).
 *
 * steer: the run is ended and another one answers old and new messages together. What people
 * have read stays, for a stream cannot take back what it said and text that vanishes under a
 * reader's eyes reads worse than a seam: one line tells where the newer messages came in, and
 * the new run is told not to repeat what stands above it.
 *
 * The old text lies in the directory of the new run before the ledger names that run, so that
 * whichever process follows finds the whole answer again:
 *
 *   in the ledger                      a process that dies then leaves to the next one
 *   old RUNNING run 1, new RECEIVED    run 1, with the new ones waiting behind it: steers again
 *   old, new RUNNING run 2             run 2, and what run 1 had said
 */
#include "bot/turn_parts.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "slack/text.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define SHOWN_FILE "shown"
#define SEAM_BYTES 512

void turn_note_done(struct turn_progress *progress, const struct agent_event *event)
{
    if (event->kind != AGENT_EVENT_TOOL ||
        progress->done.len + event->text_len + 3 > TURN_DONE_MAX_BYTES)
        return;
    buf_append_text(&progress->done, "- ");
    buf_append(&progress->done, event->text, event->text_len);
    buf_append_char(&progress->done, '\n');
}

/* A run that has told its result is let finish: nothing would be gained. */
void turn_ask_busy(struct turn *turn, struct turn_progress *progress)
{
    if (!turn->dispatch || progress->busy != DISPATCH_QUEUE ||
        agent_run_has_result(progress->run))
        return;
    progress->busy = dispatch_ask_busy(turn->dispatch, turn->batch, clock_now_ms(), false);
    if (progress->busy == DISPATCH_QUEUE)
        return;
    log_info("run=%s ends for newer messages (%s)", progress->run_id,
             progress->busy == DISPATCH_STEER ? "steer" : "interrupt");
    eventfd_write(turn->cancel_fd, 1);
}

/*
 * What is left of a run that an earlier process was ending when it died; what this one ended
 * has left its mark, and so has what the earlier one ended, as a rule. Without a mark it may
 * have died by itself: where it may write, nothing is done twice unasked.
 */
static bool was_killed_before(const struct turn *turn, const struct turn_progress *progress,
                              enum agent_outcome outcome)
{
    struct pollfd cancel = { .fd = turn->cancel_fd, .events = POLLIN };

    if (!progress->is_taken_up || poll(&cancel, 1, 0) > 0)
        return false;
    if (outcome == AGENT_CANCELLED)
        return true;
    return agent_run_mode(progress->run) != AGENT_MODE_WRITE &&
           (outcome == AGENT_LOST || outcome == AGENT_CRASHED || outcome == AGENT_NO_RESULT);
}

enum dispatch_busy turn_busy_verdict(struct turn *turn, struct turn_progress *progress)
{
    enum agent_outcome outcome = agent_run_result(progress->run)->outcome;
    enum dispatch_busy busy = progress->busy;

    progress->busy = DISPATCH_QUEUE;
    if (!turn->dispatch || outcome == AGENT_OK ||
        dispatch_is_stopped(turn->dispatch, turn->batch))
        return DISPATCH_QUEUE;
    if (busy == DISPATCH_QUEUE && was_killed_before(turn, progress, outcome))
        return dispatch_ask_busy(turn->dispatch, turn->batch, clock_now_ms(), true);
    /* One that failed at the same moment is told as such, unless the next run makes it good. */
    return busy == DISPATCH_INTERRUPT && outcome != AGENT_CANCELLED ? DISPATCH_QUEUE : busy;
}

/* ---- what was said so far -----------------------------------------------------------------
 */

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\n\r")] == '\0';
}

/* Where the newer messages came in; a code block that was cut off ends before it. `more` is 0
 * when they were taken back or refused: then only a new paragraph begins. */
static void append_seam(struct turn *turn, size_t more)
{
    const struct surface_ops *ops = turn->surface->ops;
    const char *answer = ops->answer(turn->surface);
    struct slack_split end = { 0 };
    AUTO_BUF struct buf seam = { 0 };
    AUTO_BUF struct buf reopen = { 0 };

    if (is_blank(answer))
        return;
    buf_init(&seam, SEAM_BYTES);
    buf_init(&reopen, SEAM_BYTES);
    slack_split_advance(&end, answer, strlen(answer));
    slack_split_close(&end, &seam, &reopen);
    buf_append_text(&seam, "\n\n");
    if (more)
        buf_printf(&seam, "_Your newer message%s taken in from here._\n\n",
                   more == 1 ? " is" : "s are");
    ops->append(turn->surface, buf_text(&seam), seam.len);
}

static char *shown_path(const struct turn *turn, const char *run_id)
{
    return xasprintf("%s/%s/%s", turn->runs_dir, run_id, SHOWN_FILE);
}

int turn_save_shown(const struct turn *turn, const struct turn_progress *progress,
                    struct err *err)
{
    AUTO_FREE char *dir = xasprintf("%s/%s", turn->runs_dir, progress->run_id);
    AUTO_FREE char *path = shown_path(turn, progress->run_id);

    if (!progress->is_follower)
        return 0;
    if (file_make_dirs(dir, 0700, err) < 0)
        return -1;
    return file_write(path, buf_text(&progress->shown), progress->shown.len, 0600, err);
}

void turn_load_shown(struct turn *turn, struct turn_progress *progress, const char *run_id)
{
    AUTO_FREE char *path = shown_path(turn, run_id);
    struct err err = { 0 };

    if (access(path, F_OK) != 0)
        return;
    progress->is_follower = true;
    if (file_read(path, &progress->shown, &err) < 0)
        log_warn("what run=%s goes on with cannot be read: %s", run_id, err.message);
    turn->surface->ops->append(turn->surface, buf_text(&progress->shown), progress->shown.len);
}

/* ---- going on -----------------------------------------------------------------------------
 */

static void note_ids(const struct turn *turn, struct turn_progress *progress)
{
    for (size_t i = 0; i < turn->batch->count; i++)
        progress->ids[i] = turn->batch->entries[i]->id;
}

static void note_shown(struct turn *turn, struct turn_progress *progress)
{
    const char *answer = turn->surface->ops->answer(turn->surface);

    buf_clear(&progress->shown);
    buf_append(&progress->shown, answer, strlen(answer));
}

static void drop_old_run(struct turn *turn, struct agent_run *run)
{
    AUTO_FREE char *run_id = xstrdup(agent_run_id(run));
    struct err err = { 0 };

    agent_run_free(run, false);
    if (agent_run_remove(turn->runs_dir, run_id, &err) < 0)
        log_warn("%s", err.message);
}

int turn_steer(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    size_t before = turn->batch->count;
    size_t more = dispatch_take_more(turn->dispatch, turn->batch);
    struct agent_run *ended = progress->run;
    bool was_taken_up = progress->is_taken_up;
    int rc;

    /* Whatever happens next, they are messages of this turn. */
    if (more && turn->on_more)
        turn->on_more(turn->context, turn->batch);
    note_ids(turn, progress);
    if (dispatch_is_stopped(turn->dispatch, turn->batch))
        return 1;
    turn_note_run(turn, progress);
    append_seam(turn, turn->batch->count - before);
    note_shown(turn, progress);
    log_info("run=%s is followed by another: newer messages=%zu", progress->run_id,
             turn->batch->count - before);
    metric_add(turn->metrics->steered, 1);
    turn->surface->ops->set_status(turn->surface, "is reading your newer message...",
                                   clock_now_ms());
    turn_files_carry(progress, agent_run_id(ended));
    progress->run = NULL;
    progress->is_taken_up = false;
    progress->is_follower = true;
    rc = turn_start_agent(turn, progress, err);
    /* The ledger names the next run, so no other process counts this one again. */
    turn_charge_usage(turn, progress);
    drop_old_run(turn, ended);
    if (was_taken_up) /* the daemon that had its slot is gone */
        agent_slots_clear(turn->config->state_dir);
    return rc;
}
