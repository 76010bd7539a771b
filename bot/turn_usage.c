/* turn_parts.h: what a run used - counted, and told. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/spending.h"
#include "bot/turn_parts.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define BYTES_PER_TOKEN 4 /* of a prompt that an earlier process wrote */

static int64_t prompt_tokens(const struct turn *turn, const struct turn_progress *progress)
{
    AUTO_FREE char *path = xasprintf("%s/%s/prompt", turn->runs_dir, progress->run_id);
    struct stat info;

    if (progress->prompt_tokens)
        return progress->prompt_tokens;
    return stat(path, &info) == 0 ? (int64_t)info.st_size / BYTES_PER_TOKEN : 0;
}

/* Of one run. */
static struct usage usage_of(const struct turn *turn, const struct turn_progress *progress,
                             const struct agent_result *result)
{
    const char *answer = turn->surface->ops->answer(turn->surface);
    size_t said_before = progress->shown.len; /* by earlier runs of this turn */
    struct usage usage = { .input_tokens = result->input_tokens,
                           .output_tokens = result->output_tokens,
                           .cache_read_tokens = result->cache_read_tokens,
                           .duration_ms = result->duration_ms };

    snprintf(usage.model, sizeof(usage.model), "%s",
             *progress->model ? progress->model : turn_settings_of(turn).model);
    if (usage.input_tokens < 0 && usage.output_tokens < 0) {
        usage.is_estimate = true;
        usage.cache_read_tokens = -1;
        if (progress->has_started) {
            answer += strlen(answer) > said_before ? said_before : strlen(answer);
            usage.input_tokens = prompt_tokens(turn, progress);
            usage.output_tokens = memory_estimate_tokens(answer, strlen(answer));
        }
    }
    if (usage.input_tokens < 0)
        usage.input_tokens = 0;
    if (usage.output_tokens < 0)
        usage.output_tokens = 0;
    return usage;
}

static void count_metrics(const struct turn *turn, const struct usage *usage,
                          const struct agent_result *result)
{
    const struct turn_metrics *metrics = turn->metrics;

    histogram_observe_us(metrics->duration, result->duration_ms * 1000);
    if (usage->is_estimate) {
        metric_add(metrics->estimated_tokens, usage_tokens(usage));
        return;
    }
    metric_add(metrics->input_tokens, usage->input_tokens);
    metric_add(metrics->output_tokens, usage->output_tokens);
    if (result->cache_read_tokens > 0)
        metric_add(metrics->cache_read_tokens, result->cache_read_tokens);
    if (result->cache_write_tokens > 0)
        metric_add(metrics->cache_write_tokens, result->cache_write_tokens);
}

void turn_count_usage(const struct turn *turn, struct turn_progress *progress)
{
    const struct agent_result *result = agent_run_result(progress->run);
    struct usage usage = usage_of(turn, progress, result);

    count_metrics(turn, &usage, result);
    if (progress->prompt_bytes && result->outcome == AGENT_OK)
        memory_note_usage(turn->memory, progress->prompt_bytes, progress->prompt_tokens,
                          result->input_tokens);
    usage_add(&progress->usage, &usage);
    usage_add(&progress->unpaid, &usage);
    progress->has_started = false;
}

void turn_charge_usage(const struct turn *turn, struct turn_progress *progress)
{
    struct usage *usage = &progress->unpaid;
    struct err err = { 0 };

    if (usage_tokens(usage) > 0 && spending_count(turn->memory, turn_first_entry(turn)->user,
                                                  usage, clock_wall_s(), &err) < 0)
        log_warn("what run=%s used is not counted for user=%s: %s", progress->run_id,
                 turn_first_entry(turn)->user, err.message);
    *usage = (struct usage){ 0 };
}

void turn_print_usage(const struct turn *turn, const struct turn_progress *progress,
                      struct buf *out)
{
    if (spending_wants_footer(turn->memory, turn_first_entry(turn)->user)) {
        buf_append_char(out, '_');
        usage_print(&progress->usage, out);
        buf_append_text(out, "_\n");
    }
    spending_print_warnings(turn->memory, turn->config, turn_first_entry(turn)->user,
                            &progress->usage, clock_wall_s(), out);
    while (out->len && buf_text(out)[out->len - 1] == '\n')
        buf_truncate(out, out->len - 1);
}
