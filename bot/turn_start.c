#include "bot/turn_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/prompt.h"
#include "agent/run_dir.h"
#include "agent/sweep.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "bot/fencing.h"
#include "bot/note.h"
#include "bot/wiring.h"
#include "memory/context.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define PROMPT_MAX_BYTES (2U << 20) /* without what memory adds */
/* For a chat that was told something else before. */
#define PERSON_UNKNOWN "Nothing is known of them; what was told before holds no more."
#define SENTENCE_DEATHS                                                                     \
    "Sorry, I broke down each time I worked on this, so I have stopped trying. The people " \
    "who "                                                                                  \
    "run me find the cause in the log."
#define SENTENCE_UNKNOWN                                                                       \
    "I was restarted while this was being worked on, and cannot tell how far it came. Please " \
    "look before you let me try again."
#define QUESTION_MAX_BYTES ((size_t)256 << 10) /* what recall looks at */

struct turn_settings turn_settings_of(const struct turn *turn)
{
    const struct config *config = turn->config;
    const struct config_channel *channel =
        config_find_channel(config, turn_first_entry(turn)->channel);
    struct turn_settings settings = {
        .workspace = config->agent.workspace,
        .model = config->agent.model,
        .instructions = config->agent.instructions,
        .mode = (enum agent_mode)config->agent.mode,
    };

    if (!channel)
        return settings;
    if (channel->workspace)
        settings.workspace = channel->workspace;
    if (channel->model)
        settings.model = channel->model;
    if (channel->instructions)
        settings.instructions = channel->instructions;
    if (channel->has_mode)
        settings.mode = (enum agent_mode)channel->mode;
    return settings;
}

static size_t context_max_bytes(const struct turn *turn)
{
    return (size_t)turn->config->memory.context.budget_tokens * MEMORY_TOKEN_MAX_BYTES;
}

/* What is asked, as recall reads it: every message of the batch. */
static void join_questions(const struct turn *turn, struct buf *out)
{
    for (size_t i = 0; i < turn->batch->count; i++) {
        if (i > 0)
            buf_append_char(out, '\n');
        buf_append_text(out, turn->batch->entries[i]->text);
    }
}

/* Other conversations are recalled only where nobody but their owner reads the answer. */
static bool is_private(const struct turn *turn)
{
    struct note note;
    bool is_direct;

    note_parse(turn_first_entry(turn)->attributes, &note);
    is_direct = note.is_direct;
    note_deinit(&note);
    return is_direct;
}

static void build_context(const struct turn *turn, const struct turn_progress *progress,
                          struct memory_context_items *ret_items)
{
    const struct config *config = turn->config;
    struct memory_context_options options = wiring_context_options(config, is_private(turn));
    struct memory_receipt receipt = { 0 };
    AUTO_BUF struct buf question = { 0 };
    AUTO_BUF struct buf lines = { 0 };

    buf_init(&lines, context_max_bytes(turn));
    buf_init(&question, QUESTION_MAX_BYTES);
    join_questions(turn, &question);
    options.question = buf_text(&question);
    options.user = turn_first_entry(turn)->user;
    options.now_wall_s = clock_wall_s();
    options.told_seq = turn_chat_told_seq(progress);
    memory_build_context(turn->memory, progress->conversation, &options, &lines, ret_items,
                         &receipt);
    context_metrics_note(&turn->metrics->contexts, turn->batch, progress->conversation,
                         &receipt);
    memory_receipt_deinit(&receipt);
}

/* What memory tells, in the words of a prompt, without what the agent's own chat was told of
 * the person. Strings are borrowed. */
static struct agent_prompt_item *prompt_items(struct turn_progress *progress,
                                              const struct memory_context_items *context,
                                              size_t *ret_count)
{
    struct agent_prompt_item *items = xcalloc(context->count + 1, sizeof(*items));
    bool has_person = context->count && context->all[0].part == MEMORY_CONTEXT_PERSON;
    size_t count = 0;

    if (!has_person && !turn_chat_knows_person(progress, PERSON_UNKNOWN) &&
        turn_chat_told_seq(progress))
        items[count++] =
            (struct agent_prompt_item){ .part = AGENT_PROMPT_PERSON, .text = PERSON_UNKNOWN };
    for (size_t i = 0; i < context->count; i++) {
        const struct memory_context_item *item = &context->all[i];

        if (item->part == MEMORY_CONTEXT_PERSON && turn_chat_knows_person(progress, item->text))
            continue;
        items[count++] = (struct agent_prompt_item){
            .part = (enum agent_prompt_part)item->part, /* alike in both */
            .day = item->day,
            .conversation = item->conversation,
            .from = item->speaker,
            .text = item->text,
        };
    }
    *ret_count = count;
    return items;
}

static void build_prompt(const struct turn *turn, struct turn_progress *progress,
                         const struct turn_settings *settings, struct buf *out)
{
    struct agent_prompt_message messages[DISPATCH_BATCH_MAX];
    struct memory_context_items context = { 0 };
    AUTO_FREE struct agent_prompt_item *items = NULL;
    AUTO_FREE char *last = NULL;
    struct agent_prompt prompt = {
        .mode = settings->mode,
        .instructions = settings->instructions,
        .branch = progress->worktree.branch,
        .files = progress->files.inbox,
        .files_count = progress->files.inbox_count,
        .outbox = turn->web ? progress->files.outbox : NULL,
        .messages = messages,
        .messages_count = turn->batch->count,
        .shown = buf_text(&progress->shown),
        .done = buf_text(&progress->done),
        .is_follower = progress->is_follower,
    };

    build_context(turn, progress, &context);
    items = prompt_items(progress, &context, &prompt.items_count);
    prompt.items = items;
    for (size_t i = 0; i < turn->batch->count; i++) {
        messages[i].author = turn->batch->entries[i]->user;
        messages[i].text = turn->batch->entries[i]->text;
    }
    /* So that the agent does not look for them. */
    if (progress->files.not_come && turn->batch->count > 0) {
        last = xasprintf("%s\n\n%s", messages[turn->batch->count - 1].text,
                         progress->files.not_come);
        messages[turn->batch->count - 1].text = last;
    }
    agent_prompt_build(&prompt, out);
    /* Its answer is not one to the question alone: what was said, what files hold or what the
     * chat knows counts. */
    if (progress->is_follower || progress->files.had_files || progress->chat.is_lost ||
        progress->chat.was_replaced || turn_chat_told_seq(progress))
        progress->question = (struct kept_question){ .id = "" };
    else
        kept_identify(turn->config, &prompt, settings->workspace, settings->model,
                      &progress->question);
    memory_context_items_deinit(&context);
    progress->prompt_bytes = out->len;
    progress->prompt_tokens = memory_estimate_tokens(buf_text(out), out->len);
}

/* The part of the specification that a run of an earlier process needs as well. */
static struct agent_spec spec_of(const struct turn *turn)
{
    const struct config *config = turn->config;

    return (struct agent_spec){
        .launcher = turn->launcher,
        .runs_dir = turn->runs_dir,
        .dialect = (enum agent_dialect)config->agent.dialect,
        .first_output_timeout_ms = config->agent.first_output_timeout_ms,
        .idle_timeout_ms = config->agent.idle_timeout_ms,
        .timeout_ms = config->agent.timeout_ms,
        .kill_grace_ms = config->agent.kill_grace_ms,
        .max_output_bytes = config->agent.max_output_bytes,
        .cancel_fd = turn->cancel_fd,
    };
}

/* Other agents than cursor-agent have none, see slot.h. */
static int take_slot(const struct turn *turn, struct turn_progress *progress,
                     struct agent_spec *spec, struct err *err)
{
    const struct config *config = turn->config;
    char chats_id[WIRING_ID_BYTES];
    struct agent_slot_wanted wanted = {
        .state_dir = config->state_dir,
        .run_id = progress->run_id,
        .mode = spec->mode,
        .chats_id = config->agent.resume ? chats_id : NULL,
    };

    if (spec->dialect != AGENT_DIALECT_CURSOR)
        return 0;
    wiring_conversation_id(turn->batch->conversation, chats_id);
    agent_slot_release(take_ptr(&progress->slot), false); /* of a run that is tried again */
    if (agent_slot_take(&wanted, &progress->slot, err) < 0)
        return err_wrap(err, "a slot for the agent");
    spec->slot_dir = agent_slot_dir(progress->slot);
    spec->chats_dir = agent_slot_chats(progress->slot);
    return 0;
}

static int start_run(struct turn *turn, struct turn_progress *progress, struct agent_spec *spec,
                     struct err *err)
{
    struct fencing fencing;
    int rc;

    if (take_slot(turn, progress, spec, err) < 0 ||
        turn_chat_store(turn, progress, spec, err) < 0)
        return -1;
    fencing_init(&fencing, turn->config, spec);
    rc = agent_run_start(spec, progress->run_id, &progress->run, err);
    fencing_deinit(&fencing);
    return rc;
}

/*
 * Directory, ledger, note, in this order and before anything is done with what the message
 * holds: so a message that no process survives is counted, and a run whose directory has no
 * meta.json certainly never began.
 */
static int begin_run(const struct turn *turn, struct turn_progress *progress, struct err *err)
{
    AUTO_FD int hold = agent_sweep_hold(turn->runs_dir); /* until the end */

    (void)hold;
    agent_run_new_id(progress->run_id);
    if (run_dir_make(turn->runs_dir, progress->run_id, err) < 0 ||
        turn_save_shown(turn, progress, err) < 0 ||
        memory_mark_running(turn->memory, progress->ids, turn->batch->count, progress->run_id,
                            err) < 0)
        return -1;
    run_dir_note_attempt(turn->runs_dir, progress->run_id);
    progress->has_new_run = true;
    return 0;
}

int turn_start_agent(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    struct turn_settings settings = turn_settings_of(turn);
    struct agent_spec spec = spec_of(turn);
    AUTO_FREE const char **command = wiring_argv(&turn->config->agent.command);
    AUTO_FREE const char **env_names = wiring_argv(&turn->config->agent.env);
    AUTO_BUF struct buf prompt = { 0 };

    if (!progress->has_new_run && begin_run(turn, progress, err) < 0)
        return -1;
    progress->has_new_run = false;
    if (turn_files_fetch(turn, progress) < 0)
        return err_set(err, ERR_TEMP, "the daemon stops");
    if (turn_open_worktree(turn, progress, err) < 0)
        return -1;
    buf_init(&prompt, PROMPT_MAX_BYTES + context_max_bytes(turn));
    if (turn_chat_begin(turn, progress, &settings, err) < 0)
        return -1;
    build_prompt(turn, progress, &settings, &prompt);
    if (buf_finish(&prompt, err) < 0)
        return err_wrap(err, "prompt");
    spec.command = command;
    spec.env_names = env_names;
    spec.mode = settings.mode;
    spec.model = settings.model;
    spec.workspace = progress->worktree.path ? progress->worktree.path : settings.workspace;
    spec.prompt = buf_text(&prompt);
    spec.prompt_len = prompt.len;
    if (!progress->is_follower &&
        kept_find(turn->memory, &turn->metrics->kept, &progress->question,
                  turn_first_entry(turn)->user, &progress->kept, &progress->kept_note))
        return 0;
    if (start_run(turn, progress, &spec, err) < 0)
        return -1;
    if (!progress->is_follower)
        histogram_observe_us(turn->metrics->wait,
                             clock_wall_us() - turn_first_entry(turn)->received_wall_us);
    log_info("run=%s started for user=%s channel=%s messages=%zu conversation=%s",
             progress->run_id, turn_first_entry(turn)->user, turn_first_entry(turn)->channel,
             turn->batch->count, turn->batch->conversation);
    return 0;
}

/* Goes on with the run of an earlier process, where there is one. */
static int resume_agent(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    struct agent_spec spec = spec_of(turn);
    const struct ledger_entry *entry = turn_first_entry(turn);
    int rc;

    if (agent_run_attach(&spec, entry->run_id, &progress->run, err) < 0)
        return -1;
    snprintf(progress->run_id, sizeof(progress->run_id), "%s", entry->run_id);
    progress->is_taken_up = true;
    turn_chat_attach(turn, progress);
    log_info("run=%s taken up again for user=%s channel=%s", entry->run_id, entry->user,
             entry->channel);
    rc = turn->surface->ops->resume(turn->surface, entry->reply_state, err);
    turn_load_shown(turn, progress, entry->run_id);
    return rc;
}

/* The run of an earlier process that is not to be gone on with: it ends, and the answer too. */
static void give_up(struct turn *turn, struct turn_progress *progress)
{
    struct agent_spec spec = spec_of(turn);
    struct err err = { 0 };

    spec.cancel_fd = -1;
    if (agent_run_attach(&spec, progress->run_id, &progress->run, &err) == 0)
        agent_run_free(take_ptr(&progress->run), false);
    if (turn->surface->ops->resume(turn->surface, turn_first_entry(turn)->reply_state, &err) <
        0)
        log_warn("%s", err.message);
}

int turn_begin(struct turn *turn, struct turn_progress *progress, const char **ret_sentence,
               struct err *err)
{
    const char *run_id = turn_first_entry(turn)->run_id;

    if (!*run_id)
        return begin_run(turn, progress, err);
    snprintf(progress->run_id, sizeof(progress->run_id), "%s", run_id);
    if (run_dir_note_attempt(turn->runs_dir, run_id) <= TURN_DEATHS_MAX)
        return 0;
    give_up(turn, progress);
    *ret_sentence = SENTENCE_DEATHS;
    return err_set(err, ERR_SYSTEM, "run=%s: %d processes have died of it", run_id,
                   TURN_DEATHS_MAX);
}

/*
 * An earlier process died before it started anything, or its run is not there any more. Without
 * its directory that is not the same, and where the agent may write nothing is done twice
 * unless somebody asks for it.
 */
static int start_anew(struct turn *turn, struct turn_progress *progress,
                      const char **ret_sentence, struct err *err)
{
    const char *run_id = turn_first_entry(turn)->run_id;
    bool is_certain = run_dir_is_unstarted(turn->runs_dir, run_id);

    /* A kept answer may have been shown, or what earlier runs had said. */
    if (turn->surface->ops->resume(turn->surface, turn_first_entry(turn)->reply_state, err) < 0)
        log_warn("%s", err->message);
    if (!is_certain && turn_settings_of(turn).mode == AGENT_MODE_WRITE) {
        *ret_sentence = SENTENCE_UNKNOWN;
        return err_set(err, ERR_INPUT, "run=%s: whether it ran is not known", run_id);
    }
    log_warn("run=%s was never started, starting anew", run_id);
    turn_load_shown(turn, progress, run_id);
    progress->has_new_run = is_certain;
    if (!is_certain && agent_run_remove(turn->runs_dir, run_id, err) < 0)
        log_warn("%s", err->message);
    return 0;
}

int turn_have_agent(struct turn *turn, struct turn_progress *progress,
                    const char **ret_sentence, struct err *err)
{
    if (*turn_first_entry(turn)->run_id) {
        if (resume_agent(turn, progress, err) == 0 || progress->run)
            return progress->run ? 0 : -1;
        if (err->kind != ERR_INPUT || start_anew(turn, progress, ret_sentence, err) < 0)
            return -1;
    }
    turn->surface->ops->begin(turn->surface, clock_now_ms());
    return turn_start_agent(turn, progress, err);
}
