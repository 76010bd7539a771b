#include "bot/turn_parts.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/utf8.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define NOTE_MAX_BYTES 2000
#define CHAT_LOST                                                                      \
    "_I lost my own notes of this conversation, so I went on from what I remember of " \
    "it._\n"
#define DENIED_MAX_BYTES 500
#define RETRY_MAX_BYTES  1900 /* a button carries 2,000 */
#define PATIENCE_BASE_MS 2000 /* waits between attempts while Slack or the disk refuse */
#define PATIENCE_CAP_MS  60000

/* Waits before the next attempt at what Slack or the disk refused; false when the daemon stops.
 */
static bool wait_for_better_times(const struct turn *turn, unsigned attempt)
{
    int64_t until_ms =
        clock_now_ms() + random_backoff_ms(PATIENCE_BASE_MS, PATIENCE_CAP_MS, attempt);

    while (clock_now_ms() < until_ms) {
        if (turn_is_stopping(turn))
            return false;
        poll(NULL, 0, TURN_STOP_CHECK_MS);
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
        if (turn_is_stopping(turn))
            return -1;
        if (err.kind != ERR_TEMP || clock_now_ms() - started_ms > turn->patience_ms) {
            log_err("the end of an answer could not be delivered, channel=%s ts=%s%s%s: %s",
                    turn_first_entry(turn)->channel, turn_first_entry(turn)->ts,
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
    if (err->kind == ERR_INPUT || turn_is_stopping(turn) ||
        clock_now_ms() - started_ms > turn->patience_ms)
        return false;
    log_warn("the end of a turn is not stored yet, trying again: %s", err->message);
    return wait_for_better_times(turn, attempt);
}

/* False when the ledger could not be told. */
static bool mark(struct turn *turn, const int64_t *ids, enum ledger_state state)
{
    int64_t started_ms = clock_now_ms();
    struct err err = { 0 };

    for (unsigned attempt = 0;
         memory_mark_messages(turn->memory, ids, turn->batch->count, state, &err) < 0;
         attempt++) {
        if (may_store_again(turn, started_ms, attempt, &err))
            continue;
        log_err("ledger not updated, the turn will be taken up again at the next start: %s",
                err.message);
        return false;
    }
    return true;
}

static void fill_turns(const struct turn *turn, const char *answer, const char *metadata,
                       struct memory_turn *turns)
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
        .metadata = metadata,
    };
}

/* False when it is not: the next start takes the turn up again. */
static bool remember(struct turn *turn, struct turn_progress *progress, const char *answer,
                     enum ledger_state state)
{
    struct memory_turn turns[DISPATCH_BATCH_MAX + 1];
    AUTO_FREE char *metadata = usage_print_json(&progress->usage);
    int64_t started_ms = clock_now_ms();
    struct err err = { 0 };

    fill_turns(turn, answer, metadata, turns);
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
        return false;
    }
    if (agent_run_remove(turn->runs_dir, progress->run_id, &err) < 0)
        log_warn("%s", err.message);
    return true;
}

void turn_note_run(const struct turn *turn, struct turn_progress *progress)
{
    turn_count_usage(turn, progress);
    turn_chat_note_id(turn, progress);
    turn_chat_note_end(turn, progress);
}

/* Blanks alone are no text to Slack: a message of them would never appear. */
static bool is_wordless(const char *answer)
{
    return answer[strspn(answer, " \t\n\r")] == '\0';
}

/* What stands under an answer: what was left undone, and what it cost. */
static void print_note(const struct turn *turn, const struct turn_progress *progress,
                       struct buf *note)
{
    const char *denied = buf_text(&progress->denied);

    if (progress->chat.is_lost)
        buf_append_text(note, CHAT_LOST);
    if (*denied)
        buf_printf(note, "_Not allowed here, so left undone: %.*s._",
                   (int)utf8_cut(denied, progress->denied.len, DENIED_MAX_BYTES), denied);
    else if (is_wordless(turn->surface->ops->answer(turn->surface)))
        buf_append_text(note, "_The agent finished without a word._");
    if (note->len && buf_text(note)[note->len - 1] != '\n')
        buf_append_char(note, '\n');
    if (progress->branch_note)
        buf_printf(note, "%s\n", progress->branch_note);
    turn_print_usage(turn, progress, note);
}

static enum turn_outcome end_answered(struct turn *turn, struct turn_progress *progress)
{
    bool is_whole =
        !progress->denied.len && !is_wordless(turn->surface->ops->answer(turn->surface));
    AUTO_BUF struct buf note = { 0 };
    AUTO_FREE char *last_lines = NULL;

    buf_init(&note, NOTE_MAX_BYTES);
    print_note(turn, progress, &note);
    last_lines = turn_files_join(&progress->files, buf_text(&note));
    if (close_answer(turn, last_lines) < 0)
        return TURN_LEFT;
    turn_note_branch_told(turn, progress);
    if (remember(turn, progress, turn->surface->ops->answer(turn->surface), LEDGER_DONE))
        turn_chat_keep(turn, progress);
    if (is_whole && !progress->files.not_gone && !progress->files.sent_files)
        kept_store(turn->memory, turn->config, &progress->question,
                   turn_settings_of(turn).workspace, turn_first_entry(turn)->user,
                   turn->batch->conversation, turn->surface->ops->answer(turn->surface));
    metric_add(turn->metrics->answered, 1);
    return TURN_ANSWERED;
}

/* No agent has run. */
enum turn_outcome turn_end_kept(struct turn *turn, struct turn_progress *progress)
{
    turn->surface->ops->append(turn->surface, buf_text(&progress->kept), progress->kept.len);
    if (close_answer(turn, buf_text(&progress->kept_note)) < 0)
        return TURN_LEFT;
    log_info("answered from what is kept, without an agent: user=%s channel=%s conversation=%s",
             turn_first_entry(turn)->user, turn_first_entry(turn)->channel,
             turn->batch->conversation);
    progress->usage.is_kept = true;
    remember(turn, progress, turn->surface->ops->answer(turn->surface), LEDGER_DONE);
    metric_add(turn->metrics->answered, 1);
    return TURN_ANSWERED;
}

/* Whoever reads it again, the agent among them, shall know that there was more to say. Only of
 * a closed answer: until then the guard may hold some of it back. Caller frees. */
static char *print_interrupted(const struct turn *turn)
{
    const char *answer = turn->surface->ops->answer(turn->surface);

    return xasprintf("%s%s(Interrupted by a newer message.)", is_wordless(answer) ? "" : answer,
                     is_wordless(answer) ? "" : "\n\n");
}

enum turn_outcome turn_end_interrupted(struct turn *turn, struct turn_progress *progress)
{
    AUTO_FREE char *last_lines = NULL;
    AUTO_FREE char *remembered = NULL;

    turn_note_run(turn, progress);
    turn_keep_work(turn, progress);
    log_info("run=%s ended: interrupted by a newer message", progress->run_id);
    if (turn_files_deliver(turn, progress, AGENT_CANCELLED) < 0)
        return TURN_LEFT;
    last_lines = turn_files_join(&progress->files, "_Interrupted by your newer message._");
    if (close_answer(turn, last_lines) < 0)
        return TURN_LEFT;
    remembered = print_interrupted(turn);
    remember(turn, progress, remembered, LEDGER_CANCELLED);
    turn_charge_usage(turn, progress);
    metric_add(turn->metrics->interrupted, 1);
    return TURN_INTERRUPTED;
}

static enum turn_outcome end_stopped(struct turn *turn, struct turn_progress *progress)
{
    AUTO_FREE char *last_lines = turn_files_join(&progress->files, "_Stopped._");

    if (close_answer(turn, last_lines) < 0)
        return TURN_LEFT;
    remember(turn, progress, turn->surface->ops->answer(turn->surface), LEDGER_CANCELLED);
    metric_add(turn->metrics->stopped, 1);
    return TURN_STOPPED;
}

/* The person reads one sentence; the log has the cause; the ledger keeps the message for
 * Retry.
 */
enum turn_outcome turn_end_failed(struct turn *turn, struct turn_progress *progress,
                                  const char *sentence, bool is_partial)
{
    AUTO_FREE char *whole =
        xasprintf("%s%s", sentence, is_partial ? " The answer above is incomplete." : "");
    AUTO_FREE char *text = turn_files_join(&progress->files, whole);
    struct err err = { 0 };

    if (tell_failure(turn, text) < 0)
        return TURN_LEFT;
    /* While the ledger names it, its directory says that it is not to run again. */
    if (mark(turn, progress->ids, LEDGER_FAILED) && *progress->run_id &&
        agent_run_remove(turn->runs_dir, progress->run_id, &err) < 0)
        log_warn("%s", err.message);
    metric_add(turn->metrics->failed, 1);
    return TURN_FAILED;
}

/* What trying again does not mend, and the person cannot. */
static bool needs_admin(enum agent_outcome outcome)
{
    return outcome == AGENT_NOT_STARTED || outcome == AGENT_NOT_FENCED ||
           outcome == AGENT_NOT_AUTHENTICATED || outcome == AGENT_UNTRUSTED_WORKSPACE ||
           outcome == AGENT_BAD_MODEL || outcome == AGENT_BAD_OPTION ||
           outcome == AGENT_USAGE_LIMIT;
}

enum turn_outcome turn_end_run(struct turn *turn, struct turn_progress *progress)
{
    const struct agent_result *result = agent_run_result(progress->run);
    enum turn_outcome outcome;
    char took[32];

    turn_note_run(turn, progress);
    log_line(needs_admin(result->outcome) ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, LOG_MODULE,
             "run=%s ended: %s after %s%s%s", progress->run_id,
             result->outcome == AGENT_OK          ? "answered"
             : result->outcome == AGENT_CANCELLED ? "stopped"
                                                  : "failed",
             clock_human(result->duration_ms, took), *result->cause ? ": " : "", result->cause);
    turn_keep_work(turn, progress);
    if (turn_files_deliver(turn, progress, result->outcome) < 0)
        return TURN_LEFT;
    if (result->outcome == AGENT_OK)
        outcome = end_answered(turn, progress);
    else if (result->outcome == AGENT_CANCELLED)
        outcome = end_stopped(turn, progress);
    else
        outcome = turn_end_failed(turn, progress, result->sentence,
                                  result->is_partial || progress->shown.len);
    if (outcome != TURN_LEFT)
        turn_charge_usage(turn, progress);
    return outcome;
}

enum turn_outcome turn_refuse(struct turn *turn, const char *sentence)
{
    struct ending ending = { .failure = sentence, .retry = "" };
    int64_t ids[DISPATCH_BATCH_MAX];

    for (size_t i = 0; i < turn->batch->count; i++)
        ids[i] = turn->batch->entries[i]->id;
    if (deliver(turn, &ending) < 0)
        return TURN_LEFT;
    (void)mark(turn, ids, LEDGER_CANCELLED); /* said in the log */
    metric_add(turn->metrics->spent, 1);
    return TURN_REFUSED;
}
