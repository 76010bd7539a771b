#include "bot/turn_parts.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "bot/note.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

void turn_metrics_init(struct turn_metrics *turn_metrics, struct metrics *metrics)
{
    static const char help[] = "Turns by how they ended.";

    *turn_metrics = (struct turn_metrics){
        .answered = metrics_counter(metrics, "turns_total", "outcome=\"answered\"", help),
        .failed = metrics_counter(metrics, "turns_total", "outcome=\"failed\"", help),
        .stopped = metrics_counter(metrics, "turns_total", "outcome=\"stopped\"", help),
        .input_tokens = metrics_counter(metrics, "agent_tokens_total", "kind=\"input\"",
                                        "Tokens as the agent reports them."),
        .output_tokens = metrics_counter(metrics, "agent_tokens_total", "kind=\"output\"",
                                         "Tokens as the agent reports them."),
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

/* Carries events to the surface until the run has ended: true, or the daemon stops: false. */
static bool follow_run(struct turn *turn, struct turn_progress *progress)
{
    int64_t due_ms = 0;

    for (;;) {
        struct agent_event event = { 0 };
        int64_t now_ms = clock_now_ms();
        bool is_stopped = false;

        if (turn_is_stopping(turn))
            return false;
        if (now_ms >= due_ms) {
            due_ms = turn->surface->ops->tick(turn->surface, now_ms, &is_stopped);
            if (is_stopped)
                eventfd_write(turn->cancel_fd, 1);
        }
        agent_run_next(progress->run,
                       due_ms < now_ms + TURN_STOP_CHECK_MS ? due_ms
                                                            : now_ms + TURN_STOP_CHECK_MS,
                       &event);
        if (event.kind == AGENT_EVENT_ENDED)
            return true;
        turn_show_event(turn, progress, &event);
        if (event.kind != AGENT_EVENT_NONE)
            due_ms = 0; /* the surface decides whether that is worth sending now */
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
                                         const struct err *err)
{
    if (turn_is_stopping(turn))
        return TURN_LEFT;
    log_err("turn not started, channel=%s ts=%s: %s", turn_first_entry(turn)->channel,
            turn_first_entry(turn)->ts, err->message);
    return turn_end_failed(turn, progress,
                           "Sorry, I could not start on this; the people who run me find the "
                           "cause in the log.",
                           false);
}

enum turn_outcome turn_run(struct turn *turn)
{
    struct turn_progress progress = { 0 };
    struct err err = { 0 };
    enum turn_outcome outcome;

    buf_init(&progress.denied, 1024);
    for (size_t i = 0; i < turn->batch->count; i++)
        progress.ids[i] = turn->batch->entries[i]->id;
    if (open_conversation(turn, &progress, &err) < 0 ||
        turn_have_agent(turn, &progress, &err) < 0) {
        outcome = end_not_started(turn, &progress, &err);
    } else if (!progress.run) {
        outcome = turn_end_kept(turn, &progress);
    } else if (follow_run(turn, &progress)) {
        outcome = turn_end_run(turn, &progress);
    } else {
        outcome = TURN_LEFT;
    }
    if (progress.run)
        agent_run_free(progress.run, outcome == TURN_LEFT);
    memory_conversation_end(turn->memory, progress.conversation);
    buf_deinit(&progress.denied);
    buf_deinit(&progress.kept);
    buf_deinit(&progress.kept_note);
    turn_files_deinit(&progress.files);
    return outcome;
}
