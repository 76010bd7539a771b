#include "bot/figures.h"

static int64_t counted(struct metrics *metrics, const char *name, const char *labels)
{
    return metric_value(metrics_counter(metrics, name, labels, ""));
}

void figures_get(struct memory *memory, struct metrics *metrics, struct figures *ret_figures)
{
    *ret_figures = (struct figures){
        .contexts = counted(metrics, "contexts_total", ""),
        .context_tokens = counted(metrics, "context_tokens_total", ""),
        .summarized = counted(metrics, "contexts_with_total", "part=\"summary\""),
        .recalled = counted(metrics, "contexts_with_total", "part=\"recalled\""),
        .summaries = counted(metrics, "summaries_total", "source=\"agent\",outcome=\"made\"") +
                     counted(metrics, "summaries_total", "source=\"extract\",outcome=\"made\""),
        .answers_hit = counted(metrics, "answer_cache_total", "result=\"hit\""),
        .answers_missed = counted(metrics, "answer_cache_total", "result=\"miss\""),
        .rate_limited = counted(metrics, "rate_limited_total", ""),
        .input_tokens = counted(metrics, "agent_tokens_total", "kind=\"input\""),
        .output_tokens = counted(metrics, "agent_tokens_total", "kind=\"output\""),
    };
    memory_get_stats(memory, &ret_figures->memory);
    memory_get_calibration(memory, &ret_figures->calibration);
}

int figures_percent(int64_t part, int64_t whole)
{
    return whole > 0 ? (int)(part * 100 / whole) : 0;
}
