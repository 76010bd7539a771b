/* !usage: what runs used - the last one here, and all of the person's today. */
#include "bot/desk_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/app.h"
#include "bot/figures.h"
#include "bot/route.h"
#include "bot/spending.h"
#include "memory/fields.h"
#include "memory/person.h"

#define LOG_MODULE "bot.desk"
#include "base/log.h"

#define LOOK_BACK 20 /* turns: the last answer is among them unless people only asked */

static void say_failed(const struct command_call *call, const struct err *err, struct buf *out)
{
    log_warn("!usage of user=%s: %s", call->entry->user, err->message);
    buf_append_text(out, "- not to be had just now; the cause is in the log\n");
}

/* ---- on and off -------------------------------------------------------------------------- */

static bool switch_footer(const struct command_call *call, struct buf *out)
{
    bool is_on = strcasecmp(call->arguments, "on") == 0;
    struct err err = { 0 };

    if (!is_on && strcasecmp(call->arguments, "off") != 0)
        return false;
    if (memory_set_preference(call->memory, call->entry->user, SPENDING_PREFERENCE,
                              is_on ? "true" : "false", &err) < 0) {
        log_err("!usage of user=%s: %s", call->entry->user, err.message);
        buf_append_text(out, ":warning: Sorry, that did not work; the people who run me find "
                             "the cause in the log.");
    } else {
        buf_append_text(out, is_on ? "From now on a line under each answer to you says what it "
                                     "took."
                                   : "Answers to you end without that line now.");
    }
    return true;
}

/* ---- figures ----------------------------------------------------------------------------- */

struct last {
    struct usage usage;
    bool is_found;
};

static bool take_last(void *context, const struct memory_turn *turn)
{
    struct last *last = context;
    struct usage usage;

    if (turn->role == MEMORY_ROLE_ASSISTANT && usage_parse_json(turn->metadata, &usage))
        *last = (struct last){ .usage = usage, .is_found = true };
    return true;
}

static void say_last(const struct command_call *call, struct buf *out)
{
    struct last last = { 0 };
    struct err err = { 0 };

    buf_append_text(out, "*The last answer here*\n");
    if (memory_messages_visit(call->memory, call->entry->conversation, LOOK_BACK, take_last,
                              &last, &err) < 0) {
        say_failed(call, &err, out);
    } else if (!last.is_found) {
        buf_append_text(out, "- there is none yet\n");
    } else if (last.usage.is_kept) {
        buf_append_text(out, "- was kept from before and took nothing\n");
    } else {
        buf_append_text(out, "- ");
        usage_print(&last.usage, out);
        buf_append_char(out, '\n');
    }
}

static void say_limit(const struct command_call *call, int64_t used, int64_t now_wall_s,
                      struct buf *out)
{
    struct config *config = call->app ? app_config(call->app) : NULL;
    int64_t limit = config ? config->agent.spending.user_day_tokens : 0;

    if (limit > 0 && route_is_admin(config, call->entry->user)) {
        buf_append_text(out, "- no limit: you are one of my admins\n");
    } else if (limit > 0) {
        buf_printf(out, "- that is %d %% of the ", figures_percent(used, limit));
        usage_print_number(limit, out);
        buf_printf(out, " that one person may use in a day%s; the count begins anew ",
                   used >= limit ? ", so new questions are refused" : "");
        spending_print_reset(now_wall_s, out);
        buf_append_char(out, '\n');
    }
    config_unref(config);
}

static void say_day(const struct command_call *call, int64_t now_wall_s, struct buf *out)
{
    struct spending_day day;
    struct err err = { 0 };
    char took[32];

    buf_append_text(out, "*You, today* (UTC)\n");
    if (spending_get_day(call->memory, call->entry->user, now_wall_s, &day, &err) < 0) {
        say_failed(call, &err, out);
        return;
    }
    buf_printf(out, "- %" PRId64 " run%s", day.runs, day.runs == 1 ? "" : "s");
    if (day.runs) {
        buf_append_text(out, ": ");
        usage_print_number(spending_tokens(&day), out);
        buf_append_text(out, " tokens, ");
        usage_print_tokens(day.input_tokens, day.output_tokens, day.cache_read_tokens, out);
        buf_printf(out, ", %s of work", clock_human(day.duration_ms, took));
    }
    buf_append_char(out, '\n');
    say_limit(call, spending_tokens(&day), now_wall_s, out);
}

void desk_say_usage(const struct command_call *call, struct buf *out)
{
    if (switch_footer(call, out))
        return;
    if (*call->arguments)
        buf_append_text(out, "`!usage` takes `on`, `off` or nothing behind it.\n");
    say_last(call, out);
    say_day(call, clock_wall_s(), out);
    buf_append_text(out, spending_wants_footer(call->memory, call->entry->user)
                             ? "\n`!usage off` takes the line under each answer away."
                             : "\n`!usage on` puts such a line under each answer.");
}
