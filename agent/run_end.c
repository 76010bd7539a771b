#include "agent/run_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/environment.h"
#include "agent/fence_cgroup.h"
#include "agent/meta.h"
#include "agent/outcome.h"
#include "agent/process.h"
#include "agent/run_dir.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define LOG_MODULE "agent.run"
#include "base/log.h"

#define SWEEP_MS      20   /* without a supervisor: between two looks at the processes */
#define UNKILLABLE_MS 5000 /* after KILL: stuck in the kernel, we go on without it */
/* A supervisor takes its grace and as long as above; behind that it does not do its work. */
#define SUPERVISOR_MS (UNKILLABLE_MS + 2000)

/* ---- the processes ------------------------------------------------------------------------
 */

void run_note_exit(struct agent_run *run)
{
    struct process_stat stat;

    if (run->has_leader_ended)
        return;
    if (run->is_child) {
        run->has_leader_ended = run->has_status = process_has_ended(run->leader, &run->status);
        return;
    }
    run->has_leader_ended = !process_read_stat(run->leader, &stat) ||
                            stat.start_ticks != run->leader_ticks || stat.state == 'Z';
}

static bool has_launch_error(const struct agent_run *run)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run->dir, AGENT_FILE_LAUNCH_ERROR);

    return access(path, F_OK) == 0;
}

/*
 * Whether the supervisor ended of itself, which it does when nothing of the run is left. A
 * child tells by its own status; of another's we know only what it wrote.
 */
static bool has_ended_in_order(struct agent_run *run)
{
    run->has_exit = run_exit_read(run->dir, &run->how);
    if (run->has_exit && run->how.left > 0)
        return false;
    if (run->is_child)
        return run->status.si_code == CLD_EXITED;
    return run->has_exit ? run->how.is_over : has_launch_error(run);
}

/* The pid as long as it names its group and nothing else, else 0: by mark only. */
static pid_t group_of(pid_t pid, uint64_t start_ticks)
{
    struct process_stat stat;

    if (pid > 0 && process_read_stat(pid, &stat) && stat.start_ticks != start_ticks)
        return 0;
    return pid;
}

/* The agent leads the group: it has a session of its own. */
static pid_t group_to_signal(const struct agent_run *run)
{
    struct agent_meta meta = { 0 };
    pid_t group = group_of(run->leader, run->leader_ticks);

    if (!run->is_supervised || agent_meta_read(run->dir, &meta, NULL) != 0)
        return group;
    group = group_of(meta.agent_pid, meta.agent_ticks);
    agent_meta_deinit(&meta);
    return group;
}

static size_t signal_all(const struct agent_run *run, int signal_number)
{
    size_t alive = process_signal_run(run->id, group_to_signal(run), signal_number);

    /* What left its group, its parents and its mark behind came to us with its supervisor's
     * end. */
    if (run->is_supervised && run->has_leader_ended)
        alive += process_kill_strays();
    return alive;
}

void run_begin_ending(struct agent_run *run, int64_t now_ms, int64_t grace_ms)
{
    run->state = ENDING;
    if (!run->is_supervised) {
        run->kill_at_ms = now_ms + grace_ms;
        run->sweep_at_ms = now_ms;
        /* None alive is the common case: then nothing is left to wait for. */
        if (signal_all(run, SIGTERM) == 0)
            run->state = DRAINING;
    } else if (!run->has_leader_ended) {
        process_signal_one(run->leader, run->leader_ticks, SIGTERM);
        run->kill_at_ms = run->sweep_at_ms = now_ms + run->kill_grace_ms + SUPERVISOR_MS;
    } else if (has_ended_in_order(run)) {
        run->state = DRAINING;
    } else {
        run->kill_at_ms = run->sweep_at_ms = now_ms;
    }
}

void run_end_with(struct agent_run *run, enum agent_outcome verdict, int64_t now_ms)
{
    run->has_verdict = true;
    run->verdict = verdict;
    if (!run->has_noted)
        run_exit_note_verdict(run->dir, verdict);
    run_begin_ending(run, now_ms, run->kill_grace_ms);
}

void run_sweep(struct agent_run *run, int64_t now_ms)
{
    size_t alive = 0;

    if (run->is_supervised && run->has_leader_ended && now_ms < run->kill_at_ms)
        run_begin_ending(run, now_ms, 0); /* it has done what it was asked for, or is dead */
    if (run->state != ENDING || now_ms < run->sweep_at_ms)
        return;
    alive = signal_all(run, now_ms >= run->kill_at_ms ? SIGKILL : 0);
    run->sweep_at_ms = now_ms + SWEEP_MS;
    if (alive == 0) {
        run->state = DRAINING;
    } else if (now_ms >= run->kill_at_ms + UNKILLABLE_MS) {
        log_err("run=%s: %zu processes do not die of SIGKILL; giving them up", run->id, alive);
        run->state = DRAINING;
    }
}

/* ---- what it was --------------------------------------------------------------------------
 */

/* What the launcher wrote when it failed; "" and "" otherwise. */
static void read_launch_error(const struct agent_run *run, char *step, size_t step_size,
                              char *text, size_t text_size)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run->dir, AGENT_FILE_LAUNCH_ERROR);
    AUTO_BUF struct buf bytes = { 0 };
    json_auto_t *root = NULL;
    const char *value = NULL;

    step[0] = text[0] = '\0';
    buf_init(&bytes, 4096);
    if (access(path, F_OK) != 0 || file_read(path, &bytes, NULL) != 0)
        return;
    root = json_loadb(buf_text(&bytes), bytes.len, 0, NULL);
    value = json_string_value(json_object_get(root, "step"));
    snprintf(step, step_size, "%s", value ? value : "unknown");
    value = json_string_value(json_object_get(root, "text"));
    snprintf(text, text_size, "%s", value ? value : "");
}

/* What ended it while nobody watched; a verdict of our own stands. */
static void take_verdict(struct agent_run *run, bool has_launch_step)
{
    static const enum agent_outcome outcomes[] = {
        [RUN_EXIT_BY_ITSELF] = AGENT_OK, /* none: its status and its output say */
        [RUN_EXIT_BY_REQUEST] = AGENT_OK,
        [RUN_EXIT_BY_FIRST_OUTPUT] = AGENT_NO_FIRST_OUTPUT,
        [RUN_EXIT_BY_IDLE] = AGENT_IDLE_TIMEOUT,
        [RUN_EXIT_BY_TIMEOUT] = AGENT_TIMEOUT,
        [RUN_EXIT_BY_DISK] = AGENT_OUTPUT_LIMIT,
        [RUN_EXIT_BY_OUTPUT] = AGENT_OUTPUT_LIMIT,
    };
    enum agent_outcome verdict = AGENT_OK;

    if (run->has_verdict || has_launch_step)
        return;
    if (run->has_exit)
        verdict = outcomes[run->how.by];
    if (run->was_dead && (!run->has_exit || run->how.by == RUN_EXIT_BY_REQUEST))
        verdict = AGENT_LOST;
    else if (run->is_supervised && !run->is_child && !run->has_exit)
        verdict = AGENT_CRASHED; /* with its supervisor */
    if (verdict == AGENT_OK)
        return;
    run->has_verdict = true;
    run->verdict = verdict;
}

static void take_status(struct agent_run *run)
{
    if (!run->is_supervised)
        return;
    if (!run->has_exit)
        run->has_exit = run_exit_read(run->dir, &run->how);
    if (!run->has_exit || !run->how.has_status)
        return;
    run->has_status = true;
    run->status.si_code = run->how.code;
    run->status.si_status = run->how.status;
}

static void decide_result(struct agent_run *run, int64_t now_ms)
{
    char step[64], text[512];
    AUTO_BUF struct buf errors = { 0 };
    struct agent_evidence evidence = { 0 };
    int64_t ended_ms = run->result_ms >= 0 ? run->result_ms : now_ms;

    buf_init(&errors, (size_t)128 * 1024);
    agent_follow_read_errors(&run->follow, &errors);
    read_launch_error(run, step, sizeof(step), text, sizeof(text));
    take_status(run);
    take_verdict(run, step[0] != '\0');
    evidence.has_verdict = run->has_verdict;
    evidence.verdict = run->verdict;
    evidence.ends_by_exit = run->dialect->ends_by_exit;
    evidence.needs_settled = run->dialect->needs_settled;
    evidence.exits = run->dialect->exits;
    evidence.has_status = run->has_status;
    evidence.status = run->status;
    evidence.launch_step = step;
    evidence.launch_text = text;
    evidence.error_output = buf_text(&errors);
    evidence.error_output_len = errors.len;
    evidence.summary = agent_stream_summary(run->stream);
    agent_outcome_decide(&evidence, &run->result);
    run->result.duration_ms = ended_ms - run->started_ms;
    if (run->was_dead && run->has_exit)
        run->result.duration_ms = run->how.duration_ms;
}

void run_finish(struct agent_run *run, int64_t now_ms)
{
    run_note_exit(run);
    agent_stream_finish(run->stream);
    decide_result(run, now_ms);
    if (run->leader > 0)
        process_reap(run->leader);
    agent_reap_orphans();
    fence_group_release_run(run->id); /* its supervisor does, unless it was killed */
    run->state = ENDED;
}

const struct agent_result *agent_run_result(const struct agent_run *run)
{
    return &run->result;
}

/* ---- letting go ---------------------------------------------------------------------------
 */

void run_delete(struct agent_run *run)
{
    if (run->pidfd >= 0)
        close(run->pidfd);
    agent_follow_deinit(&run->follow);
    agent_stream_free(run->stream);
    agent_environment_free(run->environment);
    free(run->launcher);
    free(run->dir);
    free(run);
}

void agent_run_free(struct agent_run *run, bool keep_running)
{
    if (!run)
        return;
    if (keep_running) {
        if (run->state != ENDED && run->leader > 0)
            process_unwatch(run->leader);
    } else {
        if (run->state == RUNNING)
            run_end_with(run, AGENT_CANCELLED, clock_now_ms());
        while (run->state != ENDED) {
            if (!run_step(run))
                run_wait_for_news(run, CLOCK_FOREVER_MS);
        }
    }
    run_delete(run);
}

int agent_run_remove(const char *runs_dir, const char *run_id, struct err *err)
{
    AUTO_FREE char *dir = NULL;

    if (!run_dir_is_id(run_id))
        return err_set(err, ERR_INPUT, "bad run id");
    dir = xasprintf("%s/%s", runs_dir, run_id);
    return file_remove_tree(dir, err);
}
