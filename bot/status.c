#include "bot/status.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/app.h"
#include "bot/dispatch.h"
#include "bot/fencing.h"
#include "bot/figures.h"
#include "bot/loop.h"
#include "bot/summarizer.h"
#include "slack/socket.h"

#define LINKS_MAX_BYTES 16384

static bool is_ready(struct app *app)
{
    return atomic_load(&app->ready_links) > 0 && !atomic_load(&app->is_stopping) &&
           !atomic_load(&app->tokens_dead);
}

static json_t *links_json(struct app *app)
{
    AUTO_BUF struct buf text = { 0 };
    json_t *links = NULL;

    buf_init(&text, LINKS_MAX_BYTES);
    if (app->socket)
        slack_socket_print_status(app->socket, &text);
    links = json_loads(buf_text(&text), 0, NULL);
    return links ? links : json_array();
}

static json_t *memory_json(struct app *app)
{
    struct figures figures;
    const struct memory_stats *memory = &figures.memory;

    figures_get(app->memory, app->metrics, &figures);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I,"
        " s:I, s:b, s:{s:f, s:f, s:I, s:I}}",
        "mode", app->config->memory.store == CONFIG_STORE_NONE ? "none" : "full",
        "conversations", (json_int_t)memory->conversations, "bytes", (json_int_t)memory->bytes,
        "hits", (json_int_t)memory->hits, "misses", (json_int_t)memory->misses, "hit_percent",
        figures_percent(memory->hits, memory->hits + memory->misses), "evictions",
        (json_int_t)memory->evictions, "contexts", (json_int_t)figures.contexts,
        "context_tokens", (json_int_t)figures.context_tokens, "tokens_per_context",
        (json_int_t)(figures.contexts ? figures.context_tokens / figures.contexts : 0),
        "contexts_with_summary", (json_int_t)figures.summarized, "summaries_made",
        (json_int_t)figures.summaries, "answer_cache", app->config->agent.cache_ttl_ms > 0,
        "answers_hit", (json_int_t)figures.answers_hit, "answers_missed",
        (json_int_t)figures.answers_missed, "rate_limited", (json_int_t)figures.rate_limited,
        "quarantined", (json_int_t)memory->quarantined, "damaged", (int)memory->is_damaged,
        "token_estimate", "factor", figures.calibration.tokens_per_estimate, "mean_error",
        figures.calibration.mean_error, "overhead_tokens",
        (json_int_t)figures.calibration.overhead_tokens, "samples",
        (json_int_t)figures.calibration.samples);
}

static json_t *status_json(struct app *app)
{
    struct dispatch_figures queue;

    dispatch_get_figures(app->dispatch, NULL, &queue);
    return json_pack(
        "{s:s, s:b, s:I, s:I, s:{s:s, s:s, s:s}, s:o, s:{s:I, s:I, s:I, s:b}, s:o, s:o}",
        "version", TK_VERSION, "ready", (int)is_ready(app), "started_at",
        (json_int_t)app->started_wall_s, "uptime_ms",
        (json_int_t)(clock_now_ms() - app->started_ms), "slack", "team", app->self.team, "user",
        app->self.user, "user_id", app->self.user_id, "links", links_json(app), "queue",
        "waiting", (json_int_t)queue.waiting, "running", (json_int_t)queue.running, "people",
        (json_int_t)queue.people, "overflowing", (int)queue.is_overflowing, "memory",
        memory_json(app), "fence", fencing_json(app->config));
}

static void update_gauges(struct app *app)
{
    struct memory_stats memory;

    memory_get_stats(app->memory, &memory);
    metric_set(metrics_gauge(app->metrics, "ledger_pending", "", "Messages not answered yet."),
               memory.pending);
    metric_set(metrics_gauge(app->metrics, "memory_quarantined", "",
                             "Damaged databases that were moved aside and still lie there."),
               memory.quarantined);
    metric_set(metrics_gauge(app->metrics, "memory_damaged", "",
                             "1: damage was found, the next start moves the database aside."),
               memory.is_damaged);
    metric_set(metrics_gauge(app->metrics, "uptime_seconds", "", "Seconds since the start."),
               (clock_now_ms() - app->started_ms) / 1000);
}

static void answer_status(struct app *app, struct loop_http_answer *answer)
{
    json_auto_t *root = status_json(app);
    AUTO_FREE char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;

    answer->status = text ? 200 : 500;
    answer->content_type = "application/json";
    buf_append_text(&answer->body, text ? text : "{}");
    buf_append_char(&answer->body, '\n');
}

static void answer_refresh(struct app *app, bool is_post, struct loop_http_answer *answer)
{
    answer->status = is_post ? 202 : 405;
    buf_append_text(&answer->body, is_post ? "looking\n" : "POST only\n");
    if (!is_post)
        return;
    memory_refresh(app->memory);
    summarizer_interrupt(app->summarizer); /* it may be at what was erased */
}

void status_answer_http(struct app *app, const char *path, bool is_post,
                        struct loop_http_answer *answer)
{
    answer->status = 200;
    if (strcmp(path, "/healthz") == 0) {
        buf_append_text(&answer->body, "ok\n");
    } else if (strcmp(path, "/readyz") == 0) {
        answer->status = is_ready(app) ? 200 : 503;
        buf_append_text(&answer->body, is_ready(app) ? "ready\n" : "no link to Slack\n");
    } else if (strcmp(path, "/metrics") == 0) {
        answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
        update_gauges(app);
        metrics_print(app->metrics, &answer->body);
    } else if (strcmp(path, "/status") == 0) {
        answer_status(app, answer);
    } else if (strcmp(path, "/memory/refresh") == 0) {
        answer_refresh(app, is_post, answer);
    } else {
        answer->status = 404;
        buf_append_text(&answer->body,
                        "known: /healthz /readyz /metrics /status, POST /memory/refresh\n");
    }
}

void status_print_line(struct app *app, struct buf *out)
{
    struct dispatch_figures queue;

    dispatch_get_figures(app->dispatch, NULL, &queue);
    buf_printf(out, "%u of %d links to Slack, %zu running, %zu waiting",
               atomic_load(&app->ready_links), (int)app->config->slack.connections,
               queue.running, queue.waiting);
}
