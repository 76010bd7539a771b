/* !stats: what is kept, in figures. */
#include "bot/desk_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/app.h"
#include "bot/figures.h"
#include "memory/archive.h"
#include "memory/fields.h"
#include "memory/person.h"

#define LOG_MODULE "bot.desk"
#include "base/log.h"

#define KIB INT64_C(1024)

static const char *many(int64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_bytes(int64_t bytes, struct buf *out)
{
    if (bytes < KIB)
        buf_printf(out, "%" PRId64 " B", bytes);
    else if (bytes < KIB * KIB)
        buf_printf(out, "%.1f KiB", (double)bytes / KIB);
    else
        buf_printf(out, "%.1f MiB", (double)bytes / (KIB * KIB));
}

static void say_failed(struct buf *out, const char *what, const struct err *err)
{
    log_warn("!stats: %s: %s", what, err->message);
    buf_append_text(out, "- not to be had just now; the cause is in the log\n");
}

/* ---- this conversation --------------------------------------------------------------------
 */

static bool add_tokens(void *context, const struct memory_turn *turn)
{
    *(int64_t *)context += turn->tokens;
    return true;
}

static void say_conversation(const struct command_call *call, struct buf *out)
{
    const char *key = call->entry->conversation;
    struct store_conversation size = { 0 };
    struct err err = { 0 };
    int64_t tokens = 0;
    char since[CLOCK_ISO_BYTES];

    buf_append_text(out, "*This conversation*\n");
    if (memory_size(call->memory, key, &size, &err) < 0 ||
        memory_messages_visit(call->memory, key, 0, add_tokens, &tokens, &err) < 0) {
        say_failed(out, key, &err);
        return;
    }
    if (!size.key) {
        buf_append_text(out, "- nothing is kept of it yet\n");
        return;
    }
    buf_printf(out, "- %" PRId64 " turn%s, ", size.turns, many(size.turns));
    print_bytes(size.bytes, out);
    buf_printf(out, " of text, about %" PRId64 " tokens, since %s\n", tokens,
               clock_iso_utc(size.first_wall_s, since));
    buf_printf(out, "- %" PRId64 " summar%s, %" PRId64 " field%s\n", size.summaries,
               size.summaries == 1 ? "y" : "ies", size.fields, many(size.fields));
}

/* ---- the person ---------------------------------------------------------------------------
 */

struct person {
    int64_t conversations;
    int64_t turns;
    int64_t bytes;
    int64_t items;
};

static bool add_conversation(void *context, const struct store_conversation *conversation)
{
    struct person *person = context;

    person->conversations++;
    person->turns += conversation->turns;
    person->bytes += conversation->bytes;
    return true;
}

static bool add_item(void *context, const struct store_item *item)
{
    struct person *person = context;

    person->items += item->created_wall_s != 0; /* 0: a default, not kept */
    return true;
}

static void say_person(const struct command_call *call, struct buf *out)
{
    const char *user = call->entry->user;
    struct store_list list = { .user = user, .pattern = "", .after = "" };
    struct person person = { 0 };
    struct err err = { 0 };

    buf_append_text(out, "*You*\n");
    if (memory_list(call->memory, &list, add_conversation, &person, &err) < 0 ||
        memory_visit_preferences(call->memory, user, add_item, &person, &err) < 0 ||
        memory_visit_facts(call->memory, user, add_item, &person, &err) < 0) {
        say_failed(out, user, &err);
        return;
    }
    buf_printf(out, "- %" PRId64 " conversation%s with %" PRId64 " turn%s, ",
               person.conversations, many(person.conversations), person.turns,
               many(person.turns));
    print_bytes(person.bytes, out);
    buf_printf(out, "\n- %" PRId64 " preference%s and facts (`!prefs`, `!profile`)\n",
               person.items, many(person.items));
}

/* ---- all of it, for admins ----------------------------------------------------------------
 */

static void say_ram(const struct memory_stats *memory, int64_t max_bytes, struct buf *out)
{
    buf_printf(out, "- in RAM: %" PRId64 " conversation%s, ", memory->conversations,
               many(memory->conversations));
    print_bytes(memory->bytes, out);
    buf_append_text(out, " of ");
    print_bytes(max_bytes, out);
    buf_printf(out, "; found there %d %% of %" PRId64 " times; %" PRId64 " left\n",
               figures_percent(memory->hits, memory->hits + memory->misses),
               memory->hits + memory->misses, memory->evictions);
}

static void say_store(struct memory *memory, struct buf *out)
{
    struct store_stats stats = { 0 };
    struct err err = { 0 };

    if (memory_store_stats(memory, &stats, &err) < 0) {
        say_failed(out, "store", &err);
        return;
    }
    buf_printf(out,
               "- stored: %" PRId64 " conversation%s, %" PRId64 " turns, %" PRId64
               " summaries, %" PRId64 " people, ",
               stats.conversations, many(stats.conversations), stats.turns, stats.summaries,
               stats.people);
    print_bytes(stats.disk_bytes, out);
    buf_append_text(out, " on the disk\n");
}

static void say_all(struct app *app, struct buf *out)
{
    struct config *config = app_config(app);
    struct figures figures;

    figures_get(app->memory, app->metrics, &figures);
    buf_append_text(out, "*All of it*, counted since the start\n");
    say_ram(&figures.memory, config->memory.max_bytes, out);
    say_store(app->memory, out);
    buf_printf(out,
               "- %" PRId64 " question%s, on average %" PRId64
               " tokens of memory before each; %d %% with a summary, %d %% with turns "
               "recalled\n",
               figures.contexts, many(figures.contexts),
               figures.contexts ? figures.context_tokens / figures.contexts : 0,
               figures_percent(figures.summarized, figures.contexts),
               figures_percent(figures.recalled, figures.contexts));
    buf_printf(out, "- %" PRId64 " summaries made; ", figures.summaries);
    if (config->agent.cache_ttl_ms > 0)
        buf_printf(
            out, "%" PRId64 " answers served again, %d %% of those looked for; ",
            figures.answers_hit,
            figures_percent(figures.answers_hit, figures.answers_hit + figures.answers_missed));
    else
        buf_append_text(out, "answers are not kept (`agent.cache_ttl`); ");
    buf_printf(out, "%" PRId64 " messages over the rate limit\n", figures.rate_limited);
    buf_printf(out, "- tokens, as the agent reports them: %" PRId64 " in, %" PRId64 " out\n",
               figures.input_tokens, figures.output_tokens);
    if (figures.calibration.samples)
        buf_printf(out,
                   "- an estimated token is %.2f of the agent's, %.0f of its own come first; "
                   "off by %.1f %% on average\n",
                   figures.calibration.tokens_per_estimate, figures.calibration.overhead_tokens,
                   figures.calibration.mean_error * 100);
    config_unref(config);
}

void desk_say_stats(const struct command_call *call, struct buf *out)
{
    say_conversation(call, out);
    say_person(call, out);
    if (call->app && desk_is_admin(call->app, call->entry->user))
        say_all(call->app, out);
}
