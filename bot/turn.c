#include "bot/turn.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "agent/run_dir.h"
#include "base/clock.h"
#include "bot/note.h"
#include "bot/turn_parts.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

void turn_metrics_init(struct turn_metrics *turn_metrics, struct metrics *metrics)
{
    static const char help[] = "Turns by how they ended.";
    static const char tokens_help[] =
        "Tokens as the agent reports them (cache_read is a part of input), and estimated of "
        "those that report none.";

    *turn_metrics = (struct turn_metrics){
        .answered = metrics_counter(metrics, "turns_total", "outcome=\"answered\"", help),
        .failed = metrics_counter(metrics, "turns_total", "outcome=\"failed\"", help),
        .stopped = metrics_counter(metrics, "turns_total", "outcome=\"stopped\"", help),
        .interrupted = metrics_counter(metrics, "turns_total", "outcome=\"interrupted\"", help),
        .steered = metrics_counter(metrics, "turns_steered_total", "",
                                   "Runs that another one followed with newer messages."),
        .repeated = metrics_counter(metrics, "agent_repeats_total", "",
                                    "Runs started once more after a failure that passes."),
        .input_tokens =
            metrics_counter(metrics, "agent_tokens_total", "kind=\"input\"", tokens_help),
        .output_tokens =
            metrics_counter(metrics, "agent_tokens_total", "kind=\"output\"", tokens_help),
        .cache_read_tokens =
            metrics_counter(metrics, "agent_tokens_total", "kind=\"cache_read\"", tokens_help),
        .cache_write_tokens =
            metrics_counter(metrics, "agent_tokens_total", "kind=\"cache_write\"", tokens_help),
        .estimated_tokens =
            metrics_counter(metrics, "agent_tokens_total", "kind=\"estimated\"", tokens_help),
        .spent = metrics_counter(metrics, "spending_refused_total", "",
                                 "Questions refused because their author's tokens of the day "
                                 "were used up (agent.spending.user_day_tokens)."),
        .wait = metrics_histogram(metrics, "event_to_agent_seconds", "",
                                  "From the arrival of a message to the start of its run."),
        .duration =
            metrics_histogram(metrics, "agent_run_seconds", "", "Duration of agent runs."),
    };
    kept_metrics_init(&turn_metrics->kept, metrics);
    context_metrics_init(&turn_metrics->contexts, metrics);
    turn_files_metrics_init(&turn_metrics->files, metrics);
}

const struct ledger_entry *turn_first_entry(const struct turn *turn)
{
    return turn->batch->entries[0];
}

bool turn_is_stopping(const struct turn *turn)
{
    return atomic_load(turn->is_stopping);
}

int64_t turn_tick(struct turn *turn, int64_t now_ms)
{
    bool is_stopped = false;
    int64_t due_ms = turn->surface->ops->tick(turn->surface, now_ms, &is_stopped);

    if (is_stopped)
        eventfd_write(turn->cancel_fd, 1);
    return due_ms;
}

/* Carries events to the surface until the run has ended: true, or the daemon stops: false. */
static bool follow_run(struct turn *turn, struct turn_progress *progress)
{
    int64_t due_ms = 0;

    progress->denied_before = progress->denied.len;
    progress->done_before = progress->done.len;
    activity_begin(&progress->activity, turn->surface, clock_now_ms());
    for (;;) {
        struct agent_event event = { 0 };
        int64_t now_ms = clock_now_ms();

        if (turn_is_stopping(turn))
            return false;
        if (activity_tick(&progress->activity, now_ms) || now_ms >= due_ms)
            due_ms = turn_tick(turn, now_ms);
        agent_run_next(progress->run,
                       due_ms < now_ms + TURN_STOP_CHECK_MS ? due_ms
                                                            : now_ms + TURN_STOP_CHECK_MS,
                       &event);
        if (event.kind == AGENT_EVENT_ENDED && turn_try_again(turn, progress))
            continue;
        turn_show_event(turn, progress, &event);
        if (event.kind == AGENT_EVENT_STARTED)
            turn_chat_note_id(turn, progress);
        if (event.kind == AGENT_EVENT_ENDED)
            return true;
        turn_note_done(progress, &event);
        if (event.kind != AGENT_EVENT_NONE)
            due_ms = 0; /* the surface decides whether that is worth sending now */
        else
            turn_ask_busy(turn, progress);
    }
}

static int open_conversation(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    struct note note;
    int rc;

    note_parse(turn_first_entry(turn)->attributes, &note);
    rc = memory_conversation_begin(turn->memory, turn->batch->conversation,
                                   *note.parent ? note.parent : NULL, note.parent_until,
                                   &progress->conversation, err);
    note_deinit(&note);
    return rc;
}

static enum turn_outcome end_not_started(struct turn *turn, struct turn_progress *progress,
                                         const char *sentence, const struct err *err)
{
    if (turn_is_stopping(turn))
        return TURN_LEFT;
    log_err("turn not started, channel=%s ts=%s: %s", turn_first_entry(turn)->channel,
            turn_first_entry(turn)->ts, err->message);
    if (progress->is_follower) /* what was done before the newer messages came */
        turn_keep_work(turn, progress);
    return turn_end_failed(turn, progress, sentence, progress->shown.len > 0);
}

static void end_agent(const struct turn *turn, struct turn_progress *progress, bool is_left)
{
    bool was_taken_up = progress->run && !progress->slot;

    if (progress->run)
        agent_run_free(progress->run, is_left);
    agent_slot_release(progress->slot, is_left);
    if (is_left) /* on purpose: the next process is not to count it */
        run_dir_forget_attempts(turn->runs_dir, progress->run_id);
    if (was_taken_up && !is_left) /* the daemon that had its slot is gone */
        agent_slots_clear(turn->config->state_dir);
}

/* Another run for the turn: 0; 1: the turn ends with the last one; -1: nothing runs. */
static int begin_next(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    if (turn_chat_is_gone(turn, progress))
        return turn_chat_begin_anew(turn, progress, err);
    switch (turn_busy_verdict(turn, progress)) {
    case DISPATCH_QUEUE:
        break;
    case DISPATCH_INTERRUPT:
        progress->is_interrupted = true;
        break;
    case DISPATCH_STEER:
        return turn_steer(turn, progress, err);
    }
    return 1;
}

/* Follows the run, and those that follow it, to the end of the turn. */
static enum turn_outcome follow(struct turn *turn, struct turn_progress *progress)
{
    struct err err = { 0 };

    while (follow_run(turn, progress)) {
        int rc = begin_next(turn, progress, &err);

        if (rc < 0)
            return end_not_started(turn, progress, TURN_NOT_STARTED, &err);
        if (rc > 0)
            return progress->is_interrupted ? turn_end_interrupted(turn, progress)
                                            : turn_end_run(turn, progress);
    }
    return TURN_LEFT;
}

static enum turn_outcome carry_out(struct turn *turn, struct turn_progress *progress)
{
    const char *sentence = TURN_NOT_STARTED;
    struct err err = { 0 };

    if (turn_begin(turn, progress, &sentence, &err) < 0 ||
        open_conversation(turn, progress, &err) < 0 ||
        turn_have_agent(turn, progress, &sentence, &err) < 0)
        return end_not_started(turn, progress, sentence, &err);
    return progress->run ? follow(turn, progress) : turn_end_kept(turn, progress);
}

enum turn_outcome turn_run(struct turn *turn)
{
    struct turn_progress progress = { 0 };
    enum turn_outcome outcome;

    buf_init(&progress.denied, 1024);
    buf_init(&progress.done, TURN_DONE_MAX_BYTES);
    buf_init(&progress.shown, TURN_SHOWN_MAX_BYTES);
    for (size_t i = 0; i < turn->batch->count; i++)
        progress.ids[i] = turn->batch->entries[i]->id;
    outcome = carry_out(turn, &progress);
    end_agent(turn, &progress, outcome == TURN_LEFT);
    agent_worktree_deinit(&progress.worktree);
    free(progress.branch_note);
    memory_conversation_end(turn->memory, progress.conversation);
    buf_deinit(&progress.denied);
    buf_deinit(&progress.done);
    buf_deinit(&progress.shown);
    buf_deinit(&progress.kept);
    buf_deinit(&progress.kept_note);
    turn_files_deinit(&progress.files);
    chat_record_deinit(&progress.chat.record);
    return outcome;
}
