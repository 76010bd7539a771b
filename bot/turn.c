#include "bot/turn.h"

#include <ctype.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "agent/prompt.h"
#include "agent/run.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "bot/kept.h"
#include "bot/note.h"
#include "bot/wiring.h"
#include "memory/context.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define STOP_CHECK_MS      200 /* how soon a running turn notices that the daemon stops */
#define PROMPT_MAX_BYTES   (2U << 20)          /* without what memory adds */
#define QUESTION_MAX_BYTES ((size_t)256 << 10) /* what recall looks at */
#define RETRY_MAX_BYTES    1900                /* a button carries 2,000 */
#define PATIENCE_BASE_MS   2000 /* waits between attempts while Slack or the disk refuse */
#define PATIENCE_CAP_MS    60000

/* What one run of turn_run() carries from step to step. */
struct progress {
    struct conversation *conversation;
    struct agent_run *run;
    struct buf denied; /* what the agent was not allowed to do */
    struct kept_question question;
    struct buf kept; /* an answer given before that serves again */
    struct buf kept_note;
    int64_t ids[DISPATCH_BATCH_MAX];
    char run_id[AGENT_RUN_ID_BYTES];
    size_t prompt_bytes; /* of the run that was started here, else 0 */
    int64_t prompt_tokens;
};

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
}

static const struct ledger_entry *first_entry(const struct turn *turn)
{
    return turn->batch->entries[0];
}

static bool is_stopping(const struct turn *turn)
{
    return atomic_load(turn->is_stopping);
}

/* ---- starting the agent -------------------------------------------------------------------
 */

/* The configuration of this channel, or the global one where it has none. */
struct settings {
    const char *workspace;
    const char *model;
    const char *instructions;
    enum agent_mode mode;
};

static struct settings settings_of(const struct turn *turn)
{
    const struct config *config = turn->config;
    const struct config_channel *channel =
        config_find_channel(config, first_entry(turn)->channel);
    struct settings settings = {
        .workspace = config->agent.workspace,
        .model = config->agent.model,
        .instructions = config->agent.instructions,
        .mode = (enum agent_mode)config->agent.mode,
    };

    if (!channel)
        return settings;
    if (channel->workspace)
        settings.workspace = channel->workspace;
    if (channel->model)
        settings.model = channel->model;
    if (channel->instructions)
        settings.instructions = channel->instructions;
    if (channel->has_mode)
        settings.mode = (enum agent_mode)channel->mode;
    return settings;
}

static size_t context_max_bytes(const struct turn *turn)
{
    return (size_t)turn->config->memory.context.budget_tokens * MEMORY_TOKEN_MAX_BYTES;
}

/* What is asked, as recall reads it: every message of the batch. */
static void join_questions(const struct turn *turn, struct buf *out)
{
    for (size_t i = 0; i < turn->batch->count; i++) {
        if (i > 0)
            buf_append_char(out, '\n');
        buf_append_text(out, turn->batch->entries[i]->text);
    }
}

/* Other conversations are recalled only where nobody but their owner reads the answer. */
static bool is_private(const struct turn *turn)
{
    struct note note;
    bool is_direct;

    note_parse(first_entry(turn)->attributes, &note);
    is_direct = note.is_direct;
    note_deinit(&note);
    return is_direct;
}

static void build_context(const struct turn *turn, const struct progress *progress,
                          struct buf *out)
{
    const struct config *config = turn->config;
    struct memory_context_options options = wiring_context_options(config, is_private(turn));
    struct memory_receipt receipt = { 0 };
    AUTO_BUF struct buf question = { 0 };

    buf_init(&question, QUESTION_MAX_BYTES);
    join_questions(turn, &question);
    options.question = buf_text(&question);
    options.user = first_entry(turn)->user;
    options.now_wall_s = clock_wall_s();
    memory_build_context(turn->memory, progress->conversation, &options, out, &receipt);
    context_metrics_note(&turn->metrics->contexts, turn->batch, progress->conversation,
                         &receipt);
    memory_receipt_deinit(&receipt);
}

static void build_prompt(const struct turn *turn, struct progress *progress,
                         const struct settings *settings, struct buf *out)
{
    struct agent_prompt_message messages[DISPATCH_BATCH_MAX];
    AUTO_BUF struct buf context = { 0 };
    struct agent_prompt prompt = {
        .mode = settings->mode,
        .instructions = settings->instructions,
        .messages = messages,
        .messages_count = turn->batch->count,
    };

    buf_init(&context, context_max_bytes(turn));
    build_context(turn, progress, &context);
    prompt.context_lines = buf_text(&context);
    for (size_t i = 0; i < turn->batch->count; i++) {
        messages[i].author = turn->batch->entries[i]->user;
        messages[i].text = turn->batch->entries[i]->text;
    }
    agent_prompt_build(&prompt, out);
    kept_identify(turn->config, &prompt, settings->workspace, settings->model,
                  &progress->question);
    progress->prompt_bytes = out->len;
    progress->prompt_tokens = memory_estimate_tokens(buf_text(out), out->len);
}

/* The part of the specification that a run of an earlier process needs as well. */
static struct agent_spec spec_of(const struct turn *turn)
{
    const struct config *config = turn->config;

    return (struct agent_spec){
        .launcher = turn->launcher,
        .runs_dir = turn->runs_dir,
        .dialect = (enum agent_dialect)config->agent.dialect,
        .first_output_timeout_ms = config->agent.first_output_timeout_ms,
        .idle_timeout_ms = config->agent.idle_timeout_ms,
        .timeout_ms = config->agent.timeout_ms,
        .kill_grace_ms = config->agent.kill_grace_ms,
        .max_output_bytes = config->agent.max_output_bytes,
        .cancel_fd = turn->cancel_fd,
    };
}

static int start_agent(struct turn *turn, struct progress *progress, struct err *err)
{
    struct settings settings = settings_of(turn);
    struct agent_spec spec = spec_of(turn);
    AUTO_FREE const char **command = wiring_argv(&turn->config->agent.command);
    AUTO_FREE const char **env_names = wiring_argv(&turn->config->agent.env);
    AUTO_BUF struct buf prompt = { 0 };

    buf_init(&prompt, PROMPT_MAX_BYTES + context_max_bytes(turn));
    build_prompt(turn, progress, &settings, &prompt);
    if (buf_finish(&prompt, err) < 0)
        return err_wrap(err, "prompt");
    spec.command = command;
    spec.env_names = env_names;
    spec.mode = settings.mode;
    spec.model = settings.model;
    spec.workspace = settings.workspace;
    spec.prompt = buf_text(&prompt);
    spec.prompt_len = prompt.len;
    agent_run_new_id(progress->run_id);
    /* Stored before the process exists: a crash in between leaves a run id without a directory.
     */
    if (memory_mark_running(turn->memory, progress->ids, turn->batch->count, progress->run_id,
                            err) < 0)
        return -1;
    if (kept_find(turn->memory, &turn->metrics->kept, &progress->question,
                  first_entry(turn)->user, &progress->kept, &progress->kept_note))
        return 0;
    if (agent_run_start(&spec, progress->run_id, &progress->run, err) < 0)
        return -1;
    histogram_observe_us(turn->metrics->wait,
                         clock_wall_us() - first_entry(turn)->received_wall_us);
    log_info("run=%s started for user=%s channel=%s messages=%zu conversation=%s",
             progress->run_id, first_entry(turn)->user, first_entry(turn)->channel,
             turn->batch->count, turn->batch->conversation);
    return 0;
}

/* Goes on with the run of an earlier process, where there is one. */
static int resume_agent(struct turn *turn, struct progress *progress, struct err *err)
{
    struct agent_spec spec = spec_of(turn);
    const struct ledger_entry *entry = first_entry(turn);

    if (agent_run_attach(&spec, entry->run_id, &progress->run, err) < 0)
        return -1;
    snprintf(progress->run_id, sizeof(progress->run_id), "%s", entry->run_id);
    log_info("run=%s taken up again for user=%s channel=%s", entry->run_id, entry->user,
             entry->channel);
    return turn->surface->ops->resume(turn->surface, entry->reply_state, err);
}

/* ---- while it runs ------------------------------------------------------------------------
 */

static void note_denied(struct progress *progress, const struct agent_event *event)
{
    if (progress->denied.len)
        buf_append_text(&progress->denied, ", ");
    buf_append(&progress->denied, event->text, event->text_len);
}

static void show_event(struct turn *turn, struct progress *progress,
                       const struct agent_event *event)
{
    struct surface *surface = turn->surface;
    AUTO_FREE char *status = NULL;

    switch (event->kind) {
    case AGENT_EVENT_TEXT:
        surface->ops->append(surface, event->text, event->text_len);
        break;
    case AGENT_EVENT_SEGMENT:
        if (*surface->ops->answer(surface))
            surface->ops->append(surface, "\n\n", 2);
        break;
    case AGENT_EVENT_TOOL:
        /* Slack shows it behind our name: "threadkeeper is reading auth.c". */
        status = xasprintf("is %.*s", (int)event->text_len, event->text);
        status[3] = (char)tolower((unsigned char)status[3]);
        surface->ops->set_status(surface, status, clock_now_ms());
        break;
    case AGENT_EVENT_TOOL_DONE:
    case AGENT_EVENT_STARTED:
        surface->ops->set_status(surface, "is thinking...", clock_now_ms());
        break;
    case AGENT_EVENT_DENIED:
        note_denied(progress, event);
        break;
    case AGENT_EVENT_NONE:
    case AGENT_EVENT_ENDED:
        break;
    }
}

/* Carries events to the surface until the run has ended: true, or the daemon stops: false. */
static bool follow_run(struct turn *turn, struct progress *progress)
{
    int64_t due_ms = 0;

    for (;;) {
        struct agent_event event = { 0 };
        int64_t now_ms = clock_now_ms();
        bool is_stopped = false;

        if (is_stopping(turn))
            return false;
        if (now_ms >= due_ms) {
            due_ms = turn->surface->ops->tick(turn->surface, now_ms, &is_stopped);
            if (is_stopped)
                eventfd_write(turn->cancel_fd, 1);
        }
        agent_run_next(progress->run,
                       due_ms < now_ms + STOP_CHECK_MS ? due_ms : now_ms + STOP_CHECK_MS,
                       &event);
        if (event.kind == AGENT_EVENT_ENDED)
            return true;
        show_event(turn, progress, &event);
        if (event.kind != AGENT_EVENT_NONE)
            due_ms = 0; /* the surface decides whether that is worth sending now */
    }
}

/* ---- the end ------------------------------------------------------------------------------
 */

/* Waits before the next attempt at what Slack or the disk refused; false when the daemon stops.
 */
static bool wait_for_better_times(const struct turn *turn, unsigned attempt)
{
    int64_t until_ms =
        clock_now_ms() + random_backoff_ms(PATIENCE_BASE_MS, PATIENCE_CAP_MS, attempt);

    while (clock_now_ms() < until_ms) {
        if (is_stopping(turn))
            return false;
        poll(NULL, 0, STOP_CHECK_MS);
    }
    return true;
}

/* How a turn ends for the person: `failure` (NULL for none) with its Retry, or `note`. */
struct ending {
    const char *note;
    const char *failure;
    const char *retry;
};

static int show_ending(struct turn *turn, const struct ending *ending, struct err *err)
{
    const struct surface_ops *ops = turn->surface->ops;

    return ending->failure ? ops->failed(turn->surface, ending->failure, ending->retry, err)
                           : ops->end(turn->surface, ending->note, err);
}

/*
 * Shows the end, patiently: while Slack is away it is kept. 0 delivered or refused for good
 * (logged); -1: the daemon stops, the next one delivers.
 */
static int deliver(struct turn *turn, const struct ending *ending)
{
    int64_t started_ms = clock_now_ms();

    for (unsigned attempt = 0;; attempt++) {
        struct err err = { 0 };

        if (show_ending(turn, ending, &err) == 0)
            return 0;
        if (is_stopping(turn))
            return -1;
        if (err.kind != ERR_TEMP || clock_now_ms() - started_ms > turn->patience_ms) {
            log_err("the end of an answer could not be delivered, channel=%s ts=%s%s%s: %s",
                    first_entry(turn)->channel, first_entry(turn)->ts,
                    ending->failure ? " failure=" : "", ending->failure ? ending->failure : "",
                    err.message);
            return 0;
        }
        log_warn("answer not delivered yet, trying again: %s", err.message);
        if (!wait_for_better_times(turn, attempt))
            return -1;
    }
}

static int close_answer(struct turn *turn, const char *note)
{
    struct ending ending = { .note = note };

    return deliver(turn, &ending);
}

static int tell_failure(struct turn *turn, const char *sentence)
{
    AUTO_BUF struct buf retry = { 0 };
    struct ending ending = { .failure = sentence };

    buf_init(&retry, RETRY_MAX_BYTES);
    for (size_t i = 0; i < turn->batch->count; i++)
        buf_printf(&retry, "%s%" PRId64, i ? "," : "", turn->batch->entries[i]->id);
    ending.retry = buf_text(&retry);
    return deliver(turn, &ending);
}

/*
 * Whether to try again what the disk refused: a full disk is emptied, and until then the turns
 * behind this one could not be kept either. False when that is hopeless, takes too long, or the
 * daemon stops.
 */
static bool may_store_again(const struct turn *turn, int64_t started_ms, unsigned attempt,
                            const struct err *err)
{
    if (err->kind == ERR_INPUT || is_stopping(turn) ||
        clock_now_ms() - started_ms > turn->patience_ms)
        return false;
    log_warn("the end of a turn is not stored yet, trying again: %s", err->message);
    return wait_for_better_times(turn, attempt);
}

static void mark_failed(struct turn *turn, const struct progress *progress)
{
    int64_t started_ms = clock_now_ms();
    struct err err = { 0 };

    for (unsigned attempt = 0;
         memory_mark_messages(turn->memory, progress->ids, turn->batch->count, LEDGER_FAILED,
                              &err) < 0;
         attempt++) {
        if (may_store_again(turn, started_ms, attempt, &err))
            continue;
        log_err("ledger not updated, the turn will be taken up again at the next start: %s",
                err.message);
        return;
    }
}

static void fill_turns(const struct turn *turn, const char *answer, struct memory_turn *turns)
{
    size_t count = turn->batch->count;

    for (size_t i = 0; i < count; i++) {
        const struct ledger_entry *entry = turn->batch->entries[i];

        turns[i] = (struct memory_turn){
            .role = MEMORY_ROLE_USER,
            .author = entry->user,
            .text = entry->text,
            .slack_ts = entry->ts,
            .at_wall_s = entry->received_wall_us / 1000000,
            .tokens = memory_estimate_tokens(entry->text, strlen(entry->text)),
        };
    }
    turns[count] = (struct memory_turn){
        .role = MEMORY_ROLE_ASSISTANT,
        .author = "",
        .text = answer,
        .slack_ts = "",
        .at_wall_s = clock_wall_s(),
        .tokens = memory_estimate_tokens(answer, strlen(answer)),
    };
}

static void remember(struct turn *turn, struct progress *progress, enum ledger_state state)
{
    struct memory_turn turns[DISPATCH_BATCH_MAX + 1];
    const char *answer = turn->surface->ops->answer(turn->surface);
    int64_t started_ms = clock_now_ms();
    struct err err = { 0 };

    fill_turns(turn, answer, turns);
    for (unsigned attempt = 0;
         memory_conversation_commit(turn->memory, progress->conversation, turns,
                                    turn->batch->count + (*answer ? 1 : 0), progress->ids,
                                    turn->batch->count, state, &err) < 0;
         attempt++) {
        if (may_store_again(turn, started_ms, attempt, &err))
            continue;
        log_err("the turn was answered but not remembered; it is taken up again at the next "
                "start: run=%s: %s",
                progress->run_id, err.message);
        return;
    }
    if (agent_run_remove(turn->runs_dir, progress->run_id, &err) < 0)
        log_warn("%s", err.message);
}

static void count_usage(const struct turn *turn, const struct progress *progress,
                        const struct agent_result *result)
{
    histogram_observe_us(turn->metrics->duration, result->duration_ms * 1000);
    if (result->input_tokens > 0)
        metric_add(turn->metrics->input_tokens, result->input_tokens);
    if (result->output_tokens > 0)
        metric_add(turn->metrics->output_tokens, result->output_tokens);
    if (progress->prompt_bytes && result->outcome == AGENT_OK)
        memory_note_usage(turn->memory, progress->prompt_bytes, progress->prompt_tokens,
                          result->input_tokens);
}

/* Blanks alone are no text to Slack: a message of them would never appear. */
static bool is_wordless(const char *answer)
{
    return answer[strspn(answer, " \t\n\r")] == '\0';
}

static enum turn_outcome end_answered(struct turn *turn, struct progress *progress)
{
    AUTO_FREE char *note = NULL;

    if (progress->denied.len)
        note =
            xasprintf("_Not allowed here, so left undone: %s._", buf_text(&progress->denied));
    else if (is_wordless(turn->surface->ops->answer(turn->surface)))
        note = xstrdup("_The agent finished without a word._");
    if (close_answer(turn, note ? note : "") < 0)
        return TURN_LEFT;
    remember(turn, progress, LEDGER_DONE);
    if (!note)
        kept_store(turn->memory, turn->config, &progress->question, settings_of(turn).workspace,
                   first_entry(turn)->user, turn->batch->conversation,
                   turn->surface->ops->answer(turn->surface));
    metric_add(turn->metrics->answered, 1);
    return TURN_ANSWERED;
}

/* No agent has run. */
static enum turn_outcome end_kept(struct turn *turn, struct progress *progress)
{
    turn->surface->ops->append(turn->surface, buf_text(&progress->kept), progress->kept.len);
    if (close_answer(turn, buf_text(&progress->kept_note)) < 0)
        return TURN_LEFT;
    log_info("answered from what is kept, without an agent: user=%s channel=%s conversation=%s",
             first_entry(turn)->user, first_entry(turn)->channel, turn->batch->conversation);
    remember(turn, progress, LEDGER_DONE);
    metric_add(turn->metrics->answered, 1);
    return TURN_ANSWERED;
}

static enum turn_outcome end_stopped(struct turn *turn, struct progress *progress)
{
    if (close_answer(turn, "_Stopped._") < 0)
        return TURN_LEFT;
    remember(turn, progress, LEDGER_CANCELLED);
    metric_add(turn->metrics->stopped, 1);
    return TURN_STOPPED;
}

/* The person reads one sentence; the log has the cause; the ledger keeps the message for Retry.
 */
static enum turn_outcome end_failed(struct turn *turn, struct progress *progress,
                                    const char *sentence, bool is_partial)
{
    AUTO_FREE char *whole =
        xasprintf("%s%s", sentence, is_partial ? " The answer above is incomplete." : "");
    struct err err = { 0 };

    if (tell_failure(turn, whole) < 0)
        return TURN_LEFT;
    mark_failed(turn, progress);
    if (*progress->run_id && agent_run_remove(turn->runs_dir, progress->run_id, &err) < 0)
        log_warn("%s", err.message);
    metric_add(turn->metrics->failed, 1);
    return TURN_FAILED;
}

static enum turn_outcome end_run(struct turn *turn, struct progress *progress)
{
    const struct agent_result *result = agent_run_result(progress->run);
    char took[32];

    count_usage(turn, progress, result);
    log_info("run=%s ended: %s after %s%s%s", progress->run_id,
             result->outcome == AGENT_OK          ? "answered"
             : result->outcome == AGENT_CANCELLED ? "stopped"
                                                  : "failed",
             clock_human(result->duration_ms, took), *result->cause ? ": " : "", result->cause);
    if (result->outcome == AGENT_OK)
        return end_answered(turn, progress);
    if (result->outcome == AGENT_CANCELLED)
        return end_stopped(turn, progress);
    return end_failed(turn, progress, result->sentence, result->is_partial);
}

/* ---- all of it ----------------------------------------------------------------------------
 */

static int open_conversation(struct turn *turn, struct progress *progress, struct err *err)
{
    struct note note;
    int rc;

    note_parse(first_entry(turn)->attributes, &note);
    rc = memory_conversation_begin(turn->memory, turn->batch->conversation,
                                   *note.parent ? note.parent : NULL, note.parent_until,
                                   &progress->conversation, err);
    note_deinit(&note);
    return rc;
}

/* A run of an earlier process if there is one, else a new one, or no run: a kept answer. */
static int have_agent(struct turn *turn, struct progress *progress, struct err *err)
{
    if (*first_entry(turn)->run_id) {
        if (resume_agent(turn, progress, err) == 0 || progress->run)
            return progress->run ? 0 : -1;
        if (err->kind != ERR_INPUT)
            return -1;
        /* No directory: the process died before it started anything, so nothing runs twice;
         * but a kept answer may have been shown. */
        log_warn("run=%s was never started, starting anew", first_entry(turn)->run_id);
        agent_run_remove(turn->runs_dir, first_entry(turn)->run_id, NULL);
        if (turn->surface->ops->resume(turn->surface, first_entry(turn)->reply_state, err) < 0)
            log_warn("%s", err->message);
    }
    turn->surface->ops->begin(turn->surface, clock_now_ms());
    return start_agent(turn, progress, err);
}

enum turn_outcome turn_run(struct turn *turn)
{
    struct progress progress = { 0 };
    struct err err = { 0 };
    enum turn_outcome outcome;

    buf_init(&progress.denied, 1024);
    for (size_t i = 0; i < turn->batch->count; i++)
        progress.ids[i] = turn->batch->entries[i]->id;
    if (open_conversation(turn, &progress, &err) < 0 || have_agent(turn, &progress, &err) < 0) {
        log_err("turn not started, channel=%s ts=%s: %s", first_entry(turn)->channel,
                first_entry(turn)->ts, err.message);
        outcome = end_failed(turn, &progress,
                             "Sorry, I could not start on this; the people who run me find the "
                             "cause in the log.",
                             false);
    } else if (!progress.run) {
        outcome = end_kept(turn, &progress);
    } else if (follow_run(turn, &progress)) {
        outcome = end_run(turn, &progress);
    } else {
        outcome = TURN_LEFT;
    }
    if (progress.run)
        agent_run_free(progress.run, outcome == TURN_LEFT);
    memory_conversation_end(turn->memory, progress.conversation);
    buf_deinit(&progress.denied);
    buf_deinit(&progress.kept);
    buf_deinit(&progress.kept_note);
    return outcome;
}
