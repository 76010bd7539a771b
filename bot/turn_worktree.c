#include "bot/turn_parts.h"

#include <stdlib.h>
#include <string.h>

#include "agent/worktree.h"
#include "base/alloc.h"
#include "bot/wiring.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define ID_DIGITS 12 /* of a branch that people type */

static bool is_wanted(const struct turn *turn)
{
    return turn->config->agent.worktree && turn_settings_of(turn).mode == AGENT_MODE_WRITE;
}

/* Another workspace - the channel got one of its own - is another worktree. */
static void make_id(const struct turn *turn, char id[WIRING_ID_BYTES])
{
    AUTO_FREE char *both =
        xasprintf("%s\n%s", turn->batch->conversation, turn_settings_of(turn).workspace);

    wiring_conversation_id(both, id);
    id[ID_DIGITS] = '\0';
}

static struct agent_worktree_place place_of(const struct turn *turn, const char *id)
{
    return (struct agent_worktree_place){ .state_dir = turn->config->state_dir,
                                          .workspace = turn_settings_of(turn).workspace,
                                          .id = id,
                                          .is_stopping = turn->is_stopping };
}

int turn_open_worktree(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    char id[WIRING_ID_BYTES];
    struct agent_worktree_place place = place_of(turn, id);

    if (!is_wanted(turn) || progress->worktree.path)
        return 0;
    make_id(turn, id);
    if (agent_worktree_open(&place, &progress->worktree, err) < 0)
        return err_wrap(err, "the conversation's worktree");
    return 0;
}

/* What was done is on its branch before the person reads of it. */
void turn_keep_work(struct turn *turn, struct turn_progress *progress)
{
    char id[WIRING_ID_BYTES];
    struct agent_worktree_place place = place_of(turn, id);
    AUTO_FREE char *message =
        xasprintf("threadkeeper: changes of a turn\n\nRun: %s", progress->run_id);
    struct agent_worktree_kept kept = { .branch = "" };
    struct err err = { 0 };

    if (!is_wanted(turn))
        return;
    make_id(turn, id);
    if (agent_worktree_commit(&place, message, &kept, &err) < 0) {
        log_warn("run=%s: its changes are in the worktree and not committed: %s",
                 progress->run_id, err.message);
        return;
    }
    if (kept.has_committed)
        log_info("run=%s: changes committed to branch=%s", progress->run_id, kept.branch);
    if (kept.holds_repositories)
        log_warn("run=%s: repositories below the worktree are not committed to branch=%s",
                 progress->run_id, kept.branch);
    free(progress->branch_note);
    progress->branch_note = NULL;
    if (*kept.branch && kept.is_untold)
        progress->branch_note =
            xasprintf("_I work on the branch `%s`, in a checkout of this conversation's own._",
                      kept.branch);
}

/* Once the note has been shown. */
void turn_note_branch_told(struct turn *turn, struct turn_progress *progress)
{
    char id[WIRING_ID_BYTES];
    struct agent_worktree_place place = place_of(turn, id);
    struct err err = { 0 };

    if (!progress->branch_note)
        return;
    make_id(turn, id);
    if (agent_worktree_note_told(&place, &err) < 0)
        log_warn("the branch will be told again: %s", err.message);
}
