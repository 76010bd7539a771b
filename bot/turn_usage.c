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

void turn_take_usage(const struct turn *turn, struct turn_progress *progress,
                     const struct agent_result *result)
{
    const char *answer = turn->surface->ops->answer(turn->surface);
    struct usage *usage = &progress->usage;

    *usage = (struct usage){ .input_tokens = result->input_tokens,
                             .output_tokens = result->output_tokens,
                             .cache_read_tokens = result->cache_read_tokens,
                             .duration_ms = result->duration_ms };
    snprintf(usage->model, sizeof(usage->model), "%s",
             *progress->model ? progress->model : turn_settings_of(turn).model);
    if (usage->input_tokens < 0 && usage->output_tokens < 0) {
        usage->is_estimate = true;
        usage->cache_read_tokens = -1;
        if (progress->has_started) {
            usage->input_tokens = prompt_tokens(turn, progress);
            usage->output_tokens = memory_estimate_tokens(answer, strlen(answer));
        }
    }
    if (usage->input_tokens < 0)
        usage->input_tokens = 0;
    if (usage->output_tokens < 0)
        usage->output_tokens = 0;
}

void turn_count_usage(const struct turn *turn, const struct turn_progress *progress)
{
    const struct usage *usage = &progress->usage;
    struct err err = { 0 };

    if (usage_tokens(usage) == 0)
        return;
    if (usage->is_estimate) {
        metric_add(turn->metrics->estimated_tokens, usage_tokens(usage));
    } else {
        metric_add(turn->metrics->input_tokens, usage->input_tokens);
        metric_add(turn->metrics->output_tokens, usage->output_tokens);
    }
    if (usage->cache_read_tokens > 0)
        metric_add(turn->metrics->cache_read_tokens, usage->cache_read_tokens);
    if (spending_count(turn->memory, turn_first_entry(turn)->user, usage, clock_wall_s(),
                       &err) < 0)
        log_warn("what run=%s used is not counted for user=%s: %s", progress->run_id,
                 turn_first_entry(turn)->user, err.message);
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
