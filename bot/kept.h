/*
 * kept.h - answers that serve again (agent.cache_ttl): for the very same prompt, agent, model
 * and mode, asked by the same person, while the workspace stands at the same commit. Only where
 * the agent changes nothing, so modes ask and plan; without a commit nothing is kept.
 *
 * What is changed in the workspace and not committed is not seen: where people work in it by
 * hand, the time to live is what bounds how old an answer can be.
 *
 * Owns:    nothing.
 * Threads: worker.
 */
#ifndef BOT_KEPT_H
#define BOT_KEPT_H

#include <stdbool.h>

#include "agent/prompt.h"
#include "agent/revision.h"
#include "base/buf.h"
#include "base/metrics.h"
#include "config/config.h"
#include "memory/answers.h"

struct kept_metrics {
    struct metric *hits;
    struct metric *misses;
};
void kept_metrics_init(struct kept_metrics *kept_metrics, struct metrics *metrics);

/* Which question it is; all zero when its answer is not to be kept. */
struct kept_question {
    char id[ANSWER_ID_BYTES];
    char revision[AGENT_REVISION_BYTES];
};

void kept_identify(const struct config *config, const struct agent_prompt *prompt,
                   const char *workspace, const char *model,
                   struct kept_question *ret_question);

/* True with the answer in `answer` and a line that says where it comes from in `note`. */
bool kept_find(struct memory *memory, const struct kept_metrics *kept_metrics,
               const struct kept_question *question, const char *user, struct buf *answer,
               struct buf *note);

/* Keeps the answer, unless the workspace has moved on since the question. */
void kept_store(struct memory *memory, const struct config *config,
                const struct kept_question *question, const char *workspace, const char *user,
                const char *conversation, const char *answer);

#endif
