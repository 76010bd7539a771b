/*
 * turn_parts.h: the agent's own chat of the conversation (agent.resume).
 *
 * A turn goes on in the chat when all of this holds; else it begins another one, which is told
 * what memory tells:
 *
 *   - the record says that no run is in it: a run that failed or was stopped midway, or that
 *     ended with its daemon, leaves a chat of which nobody knows what it holds
 *   - dialect, workspace, model and machine are the same, and it is not older than session_ttl
 *   - the conversation, up to where the chat has followed it, is what it was (memory/told.h):
 *     nothing was forgotten, deleted, edited, or put aside by !new
 *   - the agent's store has it, where the agent would not say so itself
 *
 * The record is durable before the process exists, with the run in it; only when the answer is
 * remembered is the run taken out again. So whenever the daemon dies, the next turn finds
 * either a chat that has followed everything or one that nobody asks again.
 *
 * What went wrong decides about the chat: an agent that could not reach its model leaves it as
 * it was (the same id again), one that does not find it gives way to another in the same turn,
 * anything else ends it.
 */
#include "bot/turn_parts.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"

#define LOG_MODULE "bot.chat"
#include "base/log.h"

#define TTL_MIN_MS INT64_C(3600000)

static const char *conversation_of(const struct turn *turn)
{
    return turn->batch->conversation;
}

static int64_t ttl_ms(const struct turn *turn)
{
    int64_t session_ms = turn->config->memory.session_ttl_ms;

    return session_ms > TTL_MIN_MS ? session_ms : TTL_MIN_MS;
}

static int save(const struct turn *turn, struct turn_chat *chat, struct err *err)
{
    chat->record.used_wall_s = clock_wall_s();
    return chats_save(turn->memory, conversation_of(turn), &chat->record, ttl_ms(turn), err);
}

/* Why the chat of the record cannot be gone on with; NULL when it can. */
static const char *find_break(const struct turn *turn, const struct turn_progress *progress,
                              const struct turn_settings *settings,
                              const struct chat_record *record)
{
    char host[CHATS_HOST_BYTES];
    char told[MEMORY_TOLD_BYTES];
    int64_t session_s = turn->config->memory.session_ttl_ms / 1000;

    chats_host(host);
    if (*record->run_id)
        return "a run in it did not end well";
    if (strcmp(record->dialect,
               dialect_get((enum agent_dialect)turn->config->agent.dialect)->name) != 0)
        return "it is another agent's";
    if (strcmp(record->workspace, settings->workspace) != 0)
        return "it is of another workspace";
    if (strcmp(record->model, settings->model) != 0)
        return "it is another model's";
    if (strcmp(record->host, host) != 0)
        return "it is on another machine";
    if (session_s > 0 && clock_wall_s() - record->used_wall_s > session_s)
        return "it is too old";
    if (!*record->told)
        return NULL; /* told nothing yet: the same id, and everything is told */
    if (memory_told_print(progress->conversation, record->told_seq, told) != record->told_seq ||
        strcmp(told, record->told) != 0)
        return "the conversation is not what it has followed";
    return NULL;
}

static void begin_new(const struct turn *turn, const struct turn_settings *settings,
                      struct turn_chat *chat)
{
    enum agent_dialect dialect = (enum agent_dialect)turn->config->agent.dialect;

    chat_record_deinit(&chat->record);
    chat->is_new = true;
    if (agent_chats_of(dialect) == AGENT_CHATS_CHOSEN)
        random_uuid(chat->record.id);
    chat->record.dialect = xstrdup(dialect_get(dialect)->name);
    chat->record.workspace = xstrdup(settings->workspace);
    chat->record.model = xstrdup(settings->model);
    chats_host(chat->record.host);
    chats_remove(turn->config->state_dir, conversation_of(turn)); /* what older ones hold */
}

int turn_chat_begin(const struct turn *turn, struct turn_progress *progress,
                    const struct turn_settings *settings, struct err *err)
{
    struct turn_chat *chat = &progress->chat;
    const char *why = NULL;
    int rc;

    chat->is_used =
        turn->config->agent.resume &&
        agent_chats_of((enum agent_dialect)turn->config->agent.dialect) != AGENT_CHATS_NONE;
    if (!chat->is_used)
        return 0;
    chat->is_new = false;
    chat_record_deinit(&chat->record);
    rc = chats_load(turn->memory, conversation_of(turn), &chat->record, err);
    if (rc < 0)
        return err_wrap(err, "the agent's chat");
    why = rc == 0 ? "there is none" : find_break(turn, progress, settings, &chat->record);
    if (!why && *chat->record.told &&
        !chats_is_there(turn->config, conversation_of(turn), chat->record.id)) {
        why = "the agent has lost it";
        chat->is_lost = true;
    }
    if (!why) {
        chat->is_new = !*chat->record.told;
        return 0;
    }
    log_debug("a new chat for conversation=%s: %s", conversation_of(turn), why);
    if (rc > 0 && chats_drop(turn->memory, conversation_of(turn), err) < 0)
        return err_wrap(err, "the agent's chat");
    begin_new(turn, settings, chat);
    return 0;
}

int64_t turn_chat_told_seq(const struct turn_progress *progress)
{
    return progress->chat.is_used && !progress->chat.is_new ? progress->chat.record.told_seq
                                                            : 0;
}

/* What is known of the person is told when it is not what the chat was told last. */
bool turn_chat_knows_person(struct turn_progress *progress, const char *text)
{
    struct turn_chat *chat = &progress->chat;
    char print[MEMORY_TOLD_BYTES];
    bool is_known;

    if (!chat->is_used)
        return false;
    memory_told_print_text(text, strlen(text), print);
    is_known = !chat->is_new && strcmp(print, chat->record.person) == 0;
    memcpy(chat->record.person, print, sizeof(print));
    return is_known;
}

int turn_chat_store(const struct turn *turn, struct turn_progress *progress,
                    struct agent_spec *spec, struct err *err)
{
    struct turn_chat *chat = &progress->chat;

    if (!chat->is_used)
        return 0;
    snprintf(chat->record.run_id, sizeof(chat->record.run_id), "%s", progress->run_id);
    spec->is_new_chat = chat->is_new;
    if (!*chat->record.id)
        return 0; /* the agent tells it */
    spec->chat_id = chat->record.id;
    if (save(turn, chat, err) < 0)
        return err_wrap(err, "the agent's chat");
    return 0;
}

void turn_chat_attach(const struct turn *turn, struct turn_progress *progress)
{
    struct turn_chat *chat = &progress->chat;
    struct err err = { 0 };

    if (chats_load(turn->memory, conversation_of(turn), &chat->record, &err) < 0)
        log_warn("the agent's chat: %s", err.message);
    chat->is_used = strcmp(chat->record.run_id, progress->run_id) == 0;
    chat->is_new = !*chat->record.told;
    if (!chat->is_used)
        chat_record_deinit(&chat->record);
}

/*
 * The id that the agent tells: of a new chat, or another one than was asked for, which some do
 * when they go on in a copy. A failure costs only the chat.
 */
void turn_chat_note_id(const struct turn *turn, struct turn_progress *progress)
{
    struct turn_chat *chat = &progress->chat;
    const char *id = agent_run_chat_id(progress->run);
    struct err err = { 0 };

    if (!chat->is_used || !*id || strcmp(id, chat->record.id) == 0 || !*chat->record.run_id)
        return;
    snprintf(chat->record.id, sizeof(chat->record.id), "%s", id);
    if (save(turn, chat, &err) < 0)
        log_warn("the agent's chat is not kept: %s", err.message);
}

/* The agent did not come to its model, or that had no time for it. */
static bool is_passing(enum agent_outcome outcome)
{
    switch (outcome) {
    case AGENT_NOT_STARTED:
    case AGENT_NOT_FENCED:
    case AGENT_NOT_AUTHENTICATED:
    case AGENT_UNTRUSTED_WORKSPACE:
    case AGENT_BAD_MODEL:
    case AGENT_BAD_OPTION:
    case AGENT_USAGE_LIMIT:
    case AGENT_OVERLOADED:
    case AGENT_CONFIG_RACE:
        return true;
    case AGENT_OK:
    case AGENT_CANCELLED:
    case AGENT_NO_FIRST_OUTPUT:
    case AGENT_IDLE_TIMEOUT:
    case AGENT_TIMEOUT:
    case AGENT_OUTPUT_LIMIT:
    case AGENT_CHAT_GONE:
    case AGENT_REPORTED_ERROR:
    case AGENT_NO_RESULT:
    case AGENT_CRASHED:
    case AGENT_LOST:
        break;
    }
    return false;
}

/* cursor-agent takes the id of a new chat as often as it likes; others refuse one that a failed
 * run has used. */
static bool is_spent(const struct turn *turn, const struct turn_chat *chat)
{
    enum agent_dialect dialect = (enum agent_dialect)turn->config->agent.dialect;

    return chat->is_new && dialect != AGENT_DIALECT_CURSOR &&
           agent_chats_of(dialect) == AGENT_CHATS_CHOSEN;
}

void turn_chat_note_end(const struct turn *turn, struct turn_progress *progress)
{
    struct turn_chat *chat = &progress->chat;
    enum agent_outcome outcome = agent_run_result(progress->run)->outcome;
    struct err err = { 0 };
    int rc = 0;

    if (!chat->is_used || outcome == AGENT_OK)
        return;
    if (is_passing(outcome) && *chat->record.id && !is_spent(turn, chat)) {
        chat->record.run_id[0] = '\0';
        chat->record.person[0] = '\0'; /* perhaps it was told, perhaps not */
        rc = save(turn, chat, &err);
    } else {
        rc = chats_drop(turn->memory, conversation_of(turn), &err);
    }
    chat->is_used = false;
    if (rc < 0) /* it still says that a run is in it */
        log_warn("the agent's chat: %s", err.message);
}

void turn_chat_keep(const struct turn *turn, struct turn_progress *progress)
{
    struct turn_chat *chat = &progress->chat;
    struct err err = { 0 };

    if (!chat->is_used || !*chat->record.id)
        return;
    chat->record.run_id[0] = '\0';
    chat->record.told_seq =
        memory_told_print(progress->conversation, INT64_MAX, chat->record.told);
    if (save(turn, chat, &err) < 0)
        log_warn("the agent's chat is not kept: %s", err.message);
}

bool turn_chat_is_gone(const struct turn *turn, const struct turn_progress *progress)
{
    const struct turn_chat *chat = &progress->chat;

    return chat->is_used && !chat->was_replaced && !turn_is_stopping(turn) &&
           agent_run_result(progress->run)->outcome == AGENT_CHAT_GONE;
}

int turn_chat_begin_anew(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    struct agent_run *ended = progress->run;
    AUTO_FREE char *run_id = xstrdup(progress->run_id);
    struct err ignored = { 0 };
    int rc;

    log_info("run=%s does not find its chat, another begins: %s", run_id,
             agent_run_result(ended)->cause);
    turn_chat_note_end(turn, progress);
    progress->chat.was_replaced = true;
    if (!progress->chat.is_new) /* of a new one nothing is lost */
        progress->chat.is_lost = true;
    progress->is_taken_up = false;
    progress->run = NULL;
    agent_run_free(ended, false);
    rc = turn_start_agent(turn, progress, err);
    if (agent_run_remove(turn->runs_dir, run_id, &ignored) < 0)
        log_warn("%s", ignored.message);
    return rc;
}
