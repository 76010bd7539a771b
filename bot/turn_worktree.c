#include "bot/turn_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/worktree.h"
#include "base/alloc.h"
#include "base/file.h"
#include "bot/wiring.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

#define ID_DIGITS      12 /* of a branch that people type */
#define NOTE_MAX_BYTES ((size_t)16384)

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

static struct agent_worktree_place place_of(const struct turn *turn, const char *workspace,
                                            const char *id)
{
    return (struct agent_worktree_place){ .state_dir = turn->config->state_dir,
                                          .workspace = workspace,
                                          .id = id,
                                          .is_stopping = turn->is_stopping };
}

/* ---- RUN_DIR/worktree: where the run works -----------------------------------------------
 *
 * Its id, a newline, its workspace; not there for a run that works in the workspace itself. The
 * process that ends the run may have another configuration than the one that began it.
 */

static char *note_path(const struct turn *turn, const struct turn_progress *progress)
{
    return xasprintf("%s/%s/worktree", turn->runs_dir, progress->run_id);
}

static int write_note(const struct turn *turn, const struct turn_progress *progress,
                      const char *id, struct err *err)
{
    AUTO_FREE char *path = note_path(turn, progress);
    AUTO_FREE char *text = xasprintf("%s\n%s", id, turn_settings_of(turn).workspace);

    return file_write(path, text, strlen(text), 0600, err);
}

/* An earlier process may have written it, and never started the run. */
static int remove_note(const struct turn *turn, const struct turn_progress *progress,
                       struct err *err)
{
    AUTO_FREE char *path = note_path(turn, progress);

    if (unlink(path) < 0 && errno != ENOENT)
        return err_set_errno(err, ERR_SYSTEM, "remove %s", path);
    return 0;
}

/* False: the run works in no worktree, or nobody knows in which (logged). */
static bool read_note(const struct turn *turn, const struct turn_progress *progress,
                      struct buf *text, char id[WIRING_ID_BYTES], const char **ret_workspace)
{
    AUTO_FREE char *path = note_path(turn, progress);
    const char *newline = NULL;
    struct err err = { 0 };

    if (access(path, F_OK) != 0 && errno == ENOENT)
        return false;
    if (file_read(path, text, &err) == 0)
        newline = strchr(buf_text(text), '\n');
    if (!newline || newline - buf_text(text) >= WIRING_ID_BYTES) {
        log_warn("run=%s: its changes are not committed, for %s does not tell its worktree%s%s",
                 progress->run_id, path, *err.message ? ": " : "", err.message);
        return false;
    }
    snprintf(id, WIRING_ID_BYTES, "%.*s", (int)(newline - buf_text(text)), buf_text(text));
    *ret_workspace = newline + 1;
    return true;
}

/* ---- what the turn calls ----------------------------------------------------------------- */

int turn_open_worktree(struct turn *turn, struct turn_progress *progress, struct err *err)
{
    char id[WIRING_ID_BYTES];
    struct agent_worktree_place place = place_of(turn, turn_settings_of(turn).workspace, id);

    if (!is_wanted(turn))
        return remove_note(turn, progress, err);
    make_id(turn, id);
    if (!progress->worktree.path && agent_worktree_open(&place, &progress->worktree, err) < 0)
        return err_wrap(err, "the conversation's worktree");
    return write_note(turn, progress, id, err); /* each run of the turn has its own */
}

static void commit_work(struct turn_progress *progress,
                        const struct agent_worktree_place *place)
{
    AUTO_FREE char *message =
        xasprintf("threadkeeper: changes of a turn\n\nRun: %s", progress->run_id);
    struct agent_worktree_kept kept = { .branch = "" };
    struct err err = { 0 };

    if (agent_worktree_commit(place, message, &kept, &err) < 0) {
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

/* What was done is on its branch before the person reads of it. */
void turn_keep_work(struct turn *turn, struct turn_progress *progress)
{
    char id[WIRING_ID_BYTES];
    const char *workspace = NULL;
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, NOTE_MAX_BYTES);
    if (read_note(turn, progress, &text, id, &workspace)) {
        struct agent_worktree_place place = place_of(turn, workspace, id);

        commit_work(progress, &place);
    }
}

/* Once the note has been shown. */
void turn_note_branch_told(struct turn *turn, struct turn_progress *progress)
{
    char id[WIRING_ID_BYTES];
    const char *workspace = NULL;
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };

    buf_init(&text, NOTE_MAX_BYTES);
    if (progress->branch_note && read_note(turn, progress, &text, id, &workspace)) {
        struct agent_worktree_place place = place_of(turn, workspace, id);

        if (agent_worktree_note_told(&place, &err) < 0)
            log_warn("the branch will be told again: %s", err.message);
    }
}
