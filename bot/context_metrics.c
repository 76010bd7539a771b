#include "bot/context_metrics.h"

#include <inttypes.h>

#define LOG_MODULE "bot.turn"
#include "base/log.h"

void context_metrics_init(struct context_metrics *context_metrics, struct metrics *metrics)
{
    *context_metrics = (struct context_metrics){
        .contexts = metrics_counter(metrics, "contexts_total", "",
                                    "Questions that memory was put before."),
        .tokens = metrics_counter(metrics, "context_tokens_total", "",
                                  "Estimated tokens of that; per context: by contexts_total."),
        .summarized = metrics_counter(metrics, "contexts_with_total", "part=\"summary\"",
                                      "Contexts that hold a summary, or turns recalled."),
        .recalled = metrics_counter(metrics, "contexts_with_total", "part=\"recalled\"", ""),
    };
}

void context_metrics_note(const struct context_metrics *context_metrics,
                          const struct dispatch_batch *batch,
                          const struct conversation *conversation,
                          const struct memory_receipt *receipt)
{
    metric_add(context_metrics->contexts, 1);
    metric_add(context_metrics->tokens, receipt->tokens);
    metric_add(context_metrics->summarized, receipt->summary_version > 0);
    metric_add(context_metrics->recalled, receipt->recalled_count > 0);
    log_info("context user=%s conversation=%s messages=%" PRId64 " tokens=%" PRId64
             " cached=%d summarized=%d verbatim=%" PRId64 " recalled=%zu dropped=%" PRId64,
             batch->entries[0]->user, batch->conversation, receipt->turns_known,
             receipt->tokens, memory_conversation_was_cached(conversation),
             receipt->summary_version > 0, receipt->verbatim_turns, receipt->recalled_count,
             receipt->turns_dropped);
}
