/* Forgetting: !forget, and messages that were deleted in Slack. */
#include "bot/desk_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/run.h"
#include "base/alloc.h"
#include "bot/app.h"
#include "bot/chats.h"
#include "bot/summarizer.h"
#include "memory/forget.h"

#define LOG_MODULE "bot.desk"
#include "base/log.h"

#define WAITING_PAGE 256

/* Takes what waits out of the lanes; memory_forget() marks it in the ledger. */
static size_t drop_waiting(struct app *app, const struct dispatch_filter *filter)
{
    struct ledger_entry *entries[WAITING_PAGE];
    size_t total = 0;
    size_t count;

    do {
        count = dispatch_take_waiting(app->dispatch, filter, entries, WAITING_PAGE);
        for (size_t i = 0; i < count; i++)
            ledger_entry_free(entries[i]);
        total += count;
    } while (count == WAITING_PAGE);
    return total;
}

/* What lies outside the store: runs, and what the agent keeps by itself. */
static void remove_files(struct app *app, const struct memory_forgotten *forgotten)
{
    struct config *config = app_config(app);
    struct err err = { 0 };

    chats_forget(config->state_dir, forgotten);
    config_unref(config);
    for (size_t i = 0; i < forgotten->run_ids_count; i++) {
        if (agent_run_remove(app->runs_dir, forgotten->run_ids[i], &err) < 0)
            log_err("the files of a forgotten run stay: %s", err.message);
    }
}

/* A conversation that is not one person's alone begins with a star where the person stands. */
static bool is_shared(const char *key)
{
    const char *slash = strchr(key, '/');

    return *(slash ? slash + 1 : key) == '*';
}

static void say_forgotten(const struct command_call *call, const struct memory_forget *what,
                          size_t dropped, struct buf *out)
{
    struct memory_forgotten forgotten = { 0 };
    struct err err = { 0 };

    if (memory_forget(call->memory, what, &forgotten, &err) < 0) {
        log_err("!forget of user=%s failed: %s", call->entry->user, err.message);
        buf_append_text(out, ":warning: Sorry, I could not forget all of it; please try again, "
                             "and if that fails too the people who run me find the cause in "
                             "the log. Forgotten so far: ");
    } else {
        buf_append_text(out, "Forgotten: ");
    }
    memory_forgotten_print(&forgotten, out);
    buf_append_char(out, '.');
    if (dropped)
        buf_printf(out, " %zu waiting message%s will not be answered.", dropped,
                   dropped == 1 ? "" : "s");
    if (call->app) {
        summarizer_interrupt(call->app->summarizer);
        remove_files(call->app, &forgotten);
    }
    memory_forgotten_deinit(&forgotten);
}

static bool is_running(struct app *app, const char *conversation)
{
    struct dispatch_figures figures;

    dispatch_get_figures(app->dispatch, conversation, &figures);
    return figures.is_running;
}

void desk_say_forget(const struct command_call *call, struct buf *out)
{
    const struct ledger_entry *entry = call->entry;
    const char *arguments = call->arguments;
    AUTO_FREE char *word = commands_take_word(&arguments);
    bool is_me = word && strcasecmp(word, "me") == 0;
    bool is_theirs =
        !is_shared(entry->conversation) || (call->app && desk_is_admin(call->app, entry->user));
    struct memory_forget what = { .key = is_me ? NULL : entry->conversation,
                                  .user = is_me || !is_theirs ? entry->user : NULL };
    struct dispatch_filter filter = { .conversation = what.key, .user = what.user };
    size_t dropped;

    if (word && (!is_me || *arguments)) {
        buf_append_text(out,
                        "`!forget` forgets this conversation, `!forget me` everything that "
                        "I know of you, in every conversation.");
        return;
    }
    dropped = call->app ? drop_waiting(call->app, &filter) : 0;
    say_forgotten(call, &what, dropped, out);
    if (!is_me && !is_theirs)
        buf_append_text(out, " Others share this conversation: what they said stays.");
    if (call->app && is_running(call->app, entry->conversation))
        buf_append_text(out, " What I am still answering here will not be remembered; `!stop` "
                             "ends it.");
}

void desk_message_deleted(struct app *app, const char *channel, const char *thread_ts,
                          const char *user, const char *ts)
{
    struct memory_forget what = {
        .channel = channel, .slack_ts = ts, .thread_ts = thread_ts, .user = user
    };
    struct memory_forgotten forgotten = { 0 };
    struct ledger_entry *entry;
    struct err err = { 0 };

    if (!*ts || !*channel)
        return;
    entry = dispatch_withdraw(app->dispatch, channel, ts);
    if (entry) {
        log_info("withdrawn before its turn: channel=%s ts=%s", channel, ts);
        if (memory_mark_messages(app->memory, &entry->id, 1, LEDGER_CANCELLED, &err) < 0)
            log_err("ledger not updated: %s", err.message);
        ledger_entry_free(entry);
    }
    if (memory_forget(app->memory, &what, &forgotten, &err) < 0)
        log_err("a message deleted in Slack is not forgotten: channel=%s ts=%s: %s", channel,
                ts, err.message);
    if (forgotten.turns || forgotten.summaries)
        summarizer_interrupt(app->summarizer);
    remove_files(app, &forgotten);
    memory_forgotten_deinit(&forgotten);
}
