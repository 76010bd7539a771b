#include "bot/summarize.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/run.h"
#include "agent/slot.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "bot/fencing.h"
#include "bot/wiring.h"
#include "memory/summary.h"

#define LOG_MODULE "bot.summarize"
#include "base/log.h"

#define PROMPT_MAX_BYTES (SUMMARY_TURNS_MAX_BYTES * 4 + 65536)
#define ANSWER_MAX_BYTES ((size_t)128 * 1024) /* more is refused */
#define STOP_CHECK_MS    200
/* Between TERM and KILL, whatever agent.kill_grace says: nobody waits for the answer, and the
 * daemon stops within seconds. */
#define GRACE_MAX_MS 1000

static const char *const source_names[] = { "extract", "agent" };
static const char *const outcome_names[] = { "made", "refused", "failed", "stale", "stopped" };

void summarize_metrics_init(struct summarize_metrics *summarize_metrics,
                            struct metrics *metrics)
{
    static const char tokens_help[] = "Tokens of summary runs as the agent reports them.";

    for (size_t s = 0; s < SUMMARIZE_SOURCES; s++) {
        for (size_t o = 0; o < SUMMARIZE_OUTCOMES; o++) {
            AUTO_FREE char *labels =
                xasprintf("source=\"%s\",outcome=\"%s\"", source_names[s], outcome_names[o]);

            summarize_metrics->summaries[s][o] = metrics_counter(
                metrics, "summaries_total", labels, "Summaries by maker and how they ended.");
        }
    }
    summarize_metrics->input_tokens =
        metrics_counter(metrics, "summary_tokens_total", "kind=\"input\"", tokens_help);
    summarize_metrics->output_tokens =
        metrics_counter(metrics, "summary_tokens_total", "kind=\"output\"", tokens_help);
    summarize_metrics->duration =
        metrics_histogram(metrics, "summary_seconds", "", "Time that a summary took to make.");
}

/* ---- the agent ----------------------------------------------------------------------------
 */

static bool is_stopping(const struct summarize *summarize)
{
    return summarize->is_stopping && atomic_load(summarize->is_stopping);
}

static struct agent_spec spec_of(const struct summarize *summarize)
{
    const struct config *config = summarize->config;
    int64_t grace_ms = config->agent.kill_grace_ms;

    return (struct agent_spec){
        .launcher = summarize->launcher,
        .runs_dir = summarize->runs_dir,
        .dialect = (enum agent_dialect)config->agent.dialect,
        .mode = AGENT_MODE_ASK,
        .model = config->agent.model,
        .workspace = config->agent.workspace,
        .first_output_timeout_ms = config->agent.first_output_timeout_ms,
        .idle_timeout_ms = config->agent.idle_timeout_ms,
        .timeout_ms = config->agent.timeout_ms,
        .kill_grace_ms = grace_ms < GRACE_MAX_MS ? grace_ms : GRACE_MAX_MS,
        .max_output_bytes = config->agent.max_output_bytes,
        .cancel_fd = summarize->cancel_fd,
    };
}

/* The answer is what was written last: between tools agents say what they are about to do.
 * False when the daemon stops. */
static bool follow(const struct summarize *summarize, struct agent_run *run, struct buf *answer)
{
    bool begins_anew = false;

    for (;;) {
        struct agent_event event = { 0 };

        if (is_stopping(summarize))
            return false;
        agent_run_next(run, clock_now_ms() + STOP_CHECK_MS, &event);
        if (event.kind == AGENT_EVENT_ENDED)
            return true;
        if (event.kind == AGENT_EVENT_SEGMENT)
            begins_anew = true;
        if (event.kind != AGENT_EVENT_TEXT)
            continue;
        if (begins_anew)
            buf_clear(answer);
        begins_anew = false;
        buf_append(answer, event.text, event.text_len);
    }
}

static enum summarize_outcome judge(const struct summarize *summarize,
                                    const struct agent_result *result, const struct buf *answer)
{
    if (result->input_tokens > 0)
        metric_add(summarize->metrics->input_tokens, result->input_tokens);
    if (result->output_tokens > 0)
        metric_add(summarize->metrics->output_tokens, result->output_tokens);
    if (result->outcome == AGENT_CANCELLED)
        return SUMMARIZE_STOPPED;
    if (result->outcome != AGENT_OK) {
        log_warn("no summary of conversation=%s: the agent %s: %s", summarize->key,
                 agent_outcome_name(result->outcome), result->cause);
        return SUMMARIZE_FAILED;
    }
    if (answer->overflowed) {
        log_warn("no summary of conversation=%s: the agent wrote more than %zu bytes",
                 summarize->key, ANSWER_MAX_BYTES);
        return SUMMARIZE_REFUSED;
    }
    return SUMMARIZE_MADE;
}

static int take_slot(const struct summarize *summarize, const char *run_id,
                     struct agent_spec *spec, struct agent_slot **ret_slot, struct err *err)
{
    struct agent_slot_wanted wanted = { .state_dir = summarize->config->state_dir,
                                        .run_id = run_id,
                                        .mode = spec->mode };

    if (spec->dialect != AGENT_DIALECT_CURSOR)
        return 0;
    if (agent_slot_take(&wanted, ret_slot, err) < 0)
        return -1;
    spec->slot_dir = agent_slot_dir(*ret_slot);
    return 0;
}

static enum summarize_outcome ask_agent(const struct summarize *summarize,
                                        const struct summary_work *work, struct buf *answer)
{
    struct agent_spec spec = spec_of(summarize);
    AUTO_FREE const char **command = wiring_argv(&summarize->config->agent.command);
    AUTO_FREE const char **env_names = wiring_argv(&summarize->config->agent.env);
    AUTO_BUF struct buf prompt = { 0 };
    char run_id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_slot *slot = NULL;
    struct fencing fencing;
    enum summarize_outcome outcome = SUMMARIZE_STOPPED;
    struct err err = { 0 };

    buf_init(&prompt, PROMPT_MAX_BYTES);
    summary_prompt(work, &prompt);
    spec.command = command;
    spec.env_names = env_names;
    spec.prompt = buf_text(&prompt);
    spec.prompt_len = prompt.len;
    fencing_init(&fencing, summarize->config, &spec);
    agent_run_new_id(run_id);
    if (take_slot(summarize, run_id, &spec, &slot, &err) < 0 ||
        agent_run_start(&spec, run_id, &run, &err) < 0) {
        log_warn("no summary of conversation=%s: %s", summarize->key, err.message);
        outcome = SUMMARIZE_FAILED;
    } else if (follow(summarize, run, answer)) {
        outcome = judge(summarize, agent_run_result(run), answer);
    }
    agent_run_free(run, false);
    fencing_deinit(&fencing);
    agent_slot_release(slot, false);
    if (agent_run_remove(summarize->runs_dir, run_id, &err) < 0)
        log_warn("%s", err.message);
    return outcome;
}

/* ---- all of it ----------------------------------------------------------------------------
 */

/* The conversation is pinned for a look only, not while an agent thinks. */
static bool find_work(const struct summarize *summarize, struct summary_work *ret_work)
{
    struct conversation *conversation = NULL;
    struct err err = { 0 };
    bool is_due;

    if (memory_conversation_begin(summarize->memory, summarize->key, NULL, NULL, &conversation,
                                  &err) < 0) {
        log_warn("no summary of conversation=%s: %s", summarize->key, err.message);
        return false;
    }
    is_due = memory_summary_due(summarize->memory, conversation,
                                summarize->config->memory.context.verbatim_messages,
                                summarize->config->memory.context.summarize_after, ret_work);
    memory_conversation_end(summarize->memory, conversation);
    return is_due;
}

static enum summarize_outcome store(const struct summarize *summarize,
                                    const struct summary_work *work, const char *text,
                                    enum summarize_source source)
{
    struct conversation *conversation = NULL;
    struct err err = { 0 };
    enum summarize_outcome outcome = SUMMARIZE_MADE;

    if (memory_conversation_begin(summarize->memory, summarize->key, NULL, NULL, &conversation,
                                  &err) < 0) {
        outcome = SUMMARIZE_FAILED;
    } else if (memory_set_summary(summarize->memory, conversation, work, text,
                                  source_names[source], &err) < 0) {
        outcome = err.kind == ERR_INPUT  ? SUMMARIZE_REFUSED
                  : err.kind == ERR_TEMP ? SUMMARIZE_STALE
                                         : SUMMARIZE_FAILED;
    }
    memory_conversation_end(summarize->memory, conversation);
    if (outcome != SUMMARIZE_MADE)
        log_warn("no summary of conversation=%s: source=%s: %s", summarize->key,
                 source_names[source], err.message);
    return outcome;
}

enum summarize_outcome summarize_run(const struct summarize *summarize,
                                     enum summarize_source source)
{
    struct summary_work work = { 0 };
    AUTO_BUF struct buf text = { 0 };
    int64_t began_us = clock_now_us();
    enum summarize_outcome outcome = SUMMARIZE_MADE;
    char took[32];

    if (!find_work(summarize, &work))
        return SUMMARIZE_NOTHING;
    buf_init(&text, ANSWER_MAX_BYTES);
    if (source == SUMMARIZE_AGENT)
        outcome = ask_agent(summarize, &work, &text);
    else
        summary_extract(&work, SUMMARY_TEXT_MAX_BYTES, &text);
    if (outcome == SUMMARIZE_MADE) {
        AUTO_FREE char *masked = guard_mask(source == SUMMARIZE_AGENT ? summarize->guard : NULL,
                                            GUARD_OUTGOING, buf_text(&text), NULL);

        outcome = store(summarize, &work, masked, source);
    }
    metric_add(summarize->metrics->summaries[source][outcome], 1);
    if (outcome == SUMMARIZE_MADE) {
        histogram_observe_us(summarize->metrics->duration, clock_now_us() - began_us);
        log_info("summary conversation=%s version=%" PRId64 " turns=%" PRId64 "..%" PRId64
                 " source=%s after %s",
                 summarize->key, work.version, work.first_seq, work.last_seq,
                 source_names[source], clock_human((clock_now_us() - began_us) / 1000, took));
    }
    summary_work_deinit(&work);
    return outcome;
}

/* ---- what an earlier process left ----------------------------------------------------------
 */

static void end_leftover(const struct summarize *summarize, const char *run_id)
{
    struct agent_spec spec = spec_of(summarize);
    struct agent_run *run = NULL;
    struct err err = { 0 };

    spec.cancel_fd = -1;
    if (agent_run_attach(&spec, run_id, &run, NULL) == 0)
        agent_run_free(run, false);
    if (agent_run_remove(summarize->runs_dir, run_id, &err) < 0)
        log_warn("%s", err.message);
    else
        log_info("run=%s of a summary that nobody waits for is removed", run_id);
}

void summarize_clean_up(const struct summarize *summarize)
{
    DIR *directory = opendir(summarize->runs_dir);
    const struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (entry->d_name[0] != '.')
            end_leftover(summarize, entry->d_name);
    }
    closedir(directory);
    agent_slots_clear(summarize->config->state_dir); /* theirs, and of runs that ended alone */
}
