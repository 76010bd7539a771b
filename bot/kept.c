#include "bot/kept.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "bot.kept"
#include "base/log.h"

#define QUESTION_MAX_BYTES ((size_t)8 << 20)
#define SHORT_REVISION     10

void kept_metrics_init(struct kept_metrics *kept_metrics, struct metrics *metrics)
{
    *kept_metrics = (struct kept_metrics){
        .hits = metrics_counter(metrics, "answer_cache_total", "result=\"hit\"",
                                "Questions looked for among the kept answers "
                                "(agent.cache_ttl)."),
        .misses = metrics_counter(metrics, "answer_cache_total", "result=\"miss\"", ""),
    };
}

static void append_part(struct buf *out, const char *part)
{
    buf_printf(out, "%zu:%s", strlen(part), part);
}

void kept_identify(const struct config *config, const struct agent_prompt *prompt,
                   const char *workspace, const char *model, struct kept_question *ret_question)
{
    AUTO_BUF struct buf text = { 0 };

    *ret_question = (struct kept_question){ .id = "" };
    if (config->agent.cache_ttl_ms <= 0 || prompt->mode == AGENT_MODE_WRITE ||
        !agent_workspace_revision(workspace, ret_question->revision))
        return;
    buf_init(&text, QUESTION_MAX_BYTES);
    append_part(&text, TK_VERSION); /* another one may build the prompt in another way */
    buf_printf(&text, "%d %d ", (int)config->agent.dialect, (int)prompt->mode);
    for (size_t i = 0; i < config->agent.command.count; i++)
        append_part(&text, config->agent.command.items[i]);
    append_part(&text, model);
    append_part(&text, workspace);
    append_part(&text, ret_question->revision);
    agent_prompt_print_parts(prompt, &text);
    if (buf_finish(&text, NULL) == 0)
        answers_make_id(buf_text(&text), text.len, ret_question->id);
}

bool kept_find(struct memory *memory, const struct kept_metrics *kept_metrics,
               const struct kept_question *question, const char *user, struct buf *answer,
               struct buf *note)
{
    int64_t at_wall_s = 0;
    int64_t age_ms;
    struct err err = { 0 };
    char age[32];
    int rc;

    if (!*question->id)
        return false;
    buf_init(answer, ANSWER_MAX_BYTES + 1);
    rc = memory_answer_find(memory, user, question->id, answer, &at_wall_s, &err);
    if (rc < 0)
        log_warn("kept answers cannot be looked at, asking the agent: %s", err.message);
    if (rc <= 0 || buf_finish(answer, NULL) < 0) {
        metric_add(kept_metrics->misses, 1);
        return false;
    }
    metric_add(kept_metrics->hits, 1);
    age_ms = (clock_wall_s() - at_wall_s) * 1000;
    buf_init(note, 256);
    buf_printf(note,
               "_From %s ago, when you asked the same; nothing was committed since (%.*s). Ask "
               "in other words for a fresh look._",
               clock_human(age_ms < 0 ? 0 : age_ms, age), SHORT_REVISION, question->revision);
    return true;
}

void kept_store(struct memory *memory, const struct config *config,
                const struct kept_question *question, const char *workspace, const char *user,
                const char *conversation, const char *answer)
{
    char revision[AGENT_REVISION_BYTES] = "";
    struct err err = { 0 };

    if (!*question->id || config->agent.cache_ttl_ms <= 0 ||
        !agent_workspace_revision(workspace, revision) ||
        strcmp(revision, question->revision) != 0)
        return;
    if (memory_answer_keep(memory, user, question->id, conversation, answer,
                           config->agent.cache_ttl_ms, &err) < 0)
        log_warn("an answer is not kept for the next time: %s", err.message);
}
