/* The chat commands that are about the conversation: !new, !stop, !status, !help. */
#include "bot/desk_parts.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "bot/app.h"
#include "bot/pace.h"
#include "bot/route.h"

#define LOG_MODULE "bot.desk"
#include "base/log.h"

#define STOPPED_PAGE 256

bool desk_is_admin(struct app *app, const char *user)
{
    struct config *config = app_config(app);
    bool found = route_is_admin(config, user);

    config_unref(config);
    return found;
}

static void drop_entries(struct app *app, struct ledger_entry **entries, size_t count)
{
    int64_t ids[STOPPED_PAGE];
    struct err err = { 0 };

    for (size_t i = 0; i < count; i++) {
        ids[i] = entries[i]->id;
        ledger_entry_free(entries[i]);
    }
    if (count && memory_mark_messages(app->memory, ids, count, LEDGER_CANCELLED, &err) < 0)
        log_err("ledger not updated: %s", err.message);
}

void desk_stop_matching(struct app *app, const struct dispatch_filter *filter,
                        unsigned *ret_running, size_t *ret_waiting)
{
    struct ledger_entry *entries[STOPPED_PAGE];
    size_t count;

    *ret_running = dispatch_stop(app->dispatch, filter, entries, STOPPED_PAGE, &count);
    *ret_waiting = count;
    drop_entries(app, entries, count);
    while (count == STOPPED_PAGE) {
        dispatch_stop(app->dispatch, filter, entries, STOPPED_PAGE, &count);
        *ret_waiting += count;
        drop_entries(app, entries, count);
    }
}

void desk_say_help(const struct command_call *call, struct buf *out)
{
    (void)call;
    buf_append_text(
        out, "Talk to me in a direct message, mention me in a channel, or reply in a thread I "
             "am in: I pass it to the coding agent and remember the conversation.\n\n");
    commands_append_help(out, false);
}

void desk_say_new(const struct command_call *call, struct buf *out)
{
    const struct ledger_entry *entry = call->entry;
    /* Marked first: a turn that is remembered after the mark is reset by its worker, one that
     * was remembered before it is reset here. */
    bool is_running = dispatch_mark_reset(call->app->dispatch, entry->conversation);
    struct err err = { 0 };

    if (memory_conversation_reset(call->memory, entry->conversation, &err) < 0) {
        log_err("!new failed for conversation=%s: %s", entry->conversation, err.message);
        buf_append_text(out, ":warning: Sorry, I could not start afresh; the people who run me "
                             "find the cause in the log.");
        return;
    }
    buf_append_text(out, "A fresh start: what was said here before is no longer passed on.");
    if (is_running)
        buf_append_text(out, " Nor is what I am still answering; `!stop` ends it.");
}

void desk_say_stop(const struct command_call *call, struct buf *out)
{
    const struct ledger_entry *entry = call->entry;
    struct dispatch_filter filter = { .conversation = entry->conversation };
    unsigned running;
    size_t waiting;

    desk_stop_matching(call->app, &filter, &running, &waiting);
    if (!running && !waiting && *entry->reply_thread && desk_is_admin(call->app, entry->user)) {
        filter = (struct dispatch_filter){ .channel = entry->channel,
                                           .thread = entry->reply_thread };
        desk_stop_matching(call->app, &filter, &running, &waiting);
    }
    if (!running && !waiting)
        buf_append_text(out, "Nothing of yours is running in this conversation.");
    else if (running)
        buf_append_text(out, "Stopping.");
    if (waiting)
        buf_printf(out, "%sDropped %zu waiting message%s.", running ? " " : "", waiting,
                   waiting == 1 ? "" : "s");
}

void desk_say_status(const struct command_call *call, struct buf *out)
{
    struct app *app = call->app;
    struct config *config = app_config(app);
    struct dispatch_figures figures;
    struct memory_stats stats;
    char up[32];
    char took[32];

    dispatch_get_figures(app->dispatch, call->entry->conversation, &figures);
    memory_get_stats(app->memory, &stats);
    buf_printf(out,
               "- up for %s, %u of %" PRId64 " links to Slack\n"
               "- %zu of %" PRId64 " agents running, %zu message%s waiting\n"
               "- %" PRId64 " conversations at hand\n",
               clock_human(clock_now_ms() - app->started_ms, up),
               atomic_load(&app->ready_links), config->slack.connections, figures.running,
               config->agent.max_running, figures.waiting, figures.waiting == 1 ? "" : "s",
               stats.conversations);
    if (figures.typical_ms != PACE_UNKNOWN)
        buf_printf(out, "- a turn takes %s of late\n", clock_human(figures.typical_ms, took));
    if (figures.is_waiting) {
        buf_append_text(out, "- your waiting message: ");
        pace_print(figures.ahead, figures.wait_ms, out);
        buf_append_char(out, '\n');
    }
    config_unref(config);
}
