#include "agent/run_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/meta.h"
#include "agent/process.h"
#include "agent/run_dir.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/random.h"

#define EXIT_RESERVE "exit.json.tmp" /* see run_exit.h */

/*
 * What passes by itself. The service's own "exhausted" once, behind a pause; two starts that
 * met in the agent's configuration more often, but apart: whoever waited the same time would
 * meet again. A usage limit is none of these: it does not pass in seconds.
 */
static const struct passing {
    enum agent_outcome outcome;
    unsigned most;
    int64_t at_least_ms, spread_ms;
} passing[] = {
    { AGENT_OVERLOADED, 1, 2000, 3000 },
    { AGENT_CONFIG_RACE, 6, 150, 600 },
};

bool agent_run_may_repeat(const struct agent_run *run, int64_t *ret_wait_ms)
{
    const struct agent_result *result = &run->result;

    if (run->state != ENDED || !run->launcher || result->is_partial)
        return false;
    /* Where it may write, what it did before it failed is not done twice. Two starts that met
     * did nothing yet; but an agent that prints only at its end may have. */
    if (run->mode == AGENT_MODE_WRITE && (result->outcome != AGENT_CONFIG_RACE ||
                                          run->follow.offset > 0 || run->dialect->ends_by_exit))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        const struct passing *row = &passing[i];

        if (row->outcome != result->outcome)
            continue;
        *ret_wait_ms = row->at_least_ms +
                       (int64_t)random_below((uint64_t)row->spread_ms * (run->repetitions + 1));
        return run->repetitions < row->most;
    }
    return false;
}

/* What the failed attempt left; the prompt and the inbox stay, and the outbox: what a run
 * before this one made may lie in it. */
static int clean_directory(const struct agent_run *run, struct err *err)
{
    static const char *const names[] = { AGENT_FILE_OUTPUT,  AGENT_FILE_ERRORS,
                                         AGENT_FILE_EXIT,    EXIT_RESERVE,
                                         AGENT_FILE_VERDICT, AGENT_FILE_LAUNCH_ERROR,
                                         RUN_DIR_TMP };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", run->dir, names[i]);

        if (file_remove_tree(path, err) != 0)
            return -1;
    }
    return run_make_inside(run, RUN_DIR_OUTBOX, err) != 0 ||
                   run_make_inside(run, RUN_DIR_TMP, err) != 0
               ? -1
               : 0;
}

/* Unsigned again: nobody takes the ended one for this one. */
static int renew_meta(const struct agent_run *run, struct err *err)
{
    struct agent_meta meta = { 0 };
    int rc = 0;

    if (agent_meta_read(run->dir, &meta, err) != 0)
        return -1;
    meta.pid = meta.agent_pid = 0;
    meta.start_ticks = meta.agent_ticks = 0;
    meta.is_supervised = false;
    rc = agent_meta_write(run->dir, &meta, run->mode == AGENT_MODE_WRITE, err);
    agent_meta_deinit(&meta);
    return rc;
}

int agent_run_again(struct agent_run *run, struct err *err)
{
    struct agent_follow follow = { 0 };

    if (run->state != ENDED || !run->launcher)
        return err_set(err, ERR_INPUT, "run=%s is not to be repeated", run->id);
    if (renew_meta(run, err) != 0 || clean_directory(run, err) != 0 ||
        agent_follow_init(&follow, run->dir, err) != 0)
        return -1;
    agent_follow_deinit(&run->follow);
    run->follow = follow;
    if (run->pidfd >= 0)
        close(run->pidfd);
    run->pidfd = -1;
    if (run_spawn(run, err) != 0)
        return -1;
    agent_stream_free(run->stream);
    run->stream = agent_stream_new(run->dialect);
    run->state = RUNNING;
    run->repetitions++;
    run->has_leader_ended = run->has_status = run->has_exit = run->has_verdict = false;
    run->result_ms = -1;
    memset(&run->result, 0, sizeof(run->result));
    return 0;
}
