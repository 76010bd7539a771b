#include "agent/run.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/dialect.h"
#include "agent/environment.h"
#include "agent/follow.h"
#include "agent/meta.h"
#include "agent/outcome.h"
#include "agent/process.h"
#include "agent/stream.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#define LOG_MODULE "agent.run"
#include "base/log.h"

#define CHUNK_BYTES 65536
/* After its result an agent gets this long (at most kill_grace) to exit by itself. */
#define RESULT_GRACE_MS 3000
/* What a leader that exited left behind gets this long between TERM and KILL. */
#define STRAGGLER_GRACE_MS 500
#define SWEEP_MS           20   /* while ending: between two looks at the processes */
#define EXIT_POLL_MS       50   /* where the kernel gives us no pidfd */
#define UNKILLABLE_MS      5000 /* after KILL: stuck in the kernel, we go on without it */
#define SIGN_WAIT_MS       2000 /* attach: for a launcher that has not signed yet */

enum run_state { RUNNING, ENDING, DRAINING, ENDED };

struct agent_run {
    char id[AGENT_RUN_ID_BYTES];
    char *dir;
    const struct dialect *dialect;
    struct agent_stream *stream;
    struct agent_follow follow;
    enum run_state state;

    pid_t leader; /* 0: was gone before we came */
    uint64_t leader_ticks;
    int pidfd;
    bool is_child;
    bool has_leader_ended;
    bool has_status;
    siginfo_t status;

    int64_t first_output_timeout_ms, idle_timeout_ms, timeout_ms, kill_grace_ms;
    int64_t max_output_bytes;
    int cancel_fd;

    int64_t started_ms; /* monotonic, also when an earlier daemon started it */
    int64_t last_output_ms;
    int64_t result_ms; /* when the result was read; -1 before */
    int64_t kill_at_ms;
    int64_t sweep_at_ms;
    bool has_verdict;
    enum agent_outcome verdict;
    struct agent_result result;
};

void agent_run_new_id(char out[AGENT_RUN_ID_BYTES])
{
    random_uuid(out);
}

/* The id becomes part of a path and of an environment variable. */
static bool is_run_id(const char *id)
{
    size_t len = strlen(id);

    if (len == 0 || len >= AGENT_RUN_ID_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)id[i]) && id[i] != '-' && id[i] != '_')
            return false;
    }
    return true;
}

static struct agent_run *new_run(const struct agent_spec *spec, const char *run_id,
                                 const struct dialect *dialect)
{
    struct agent_run *run = xcalloc(1, sizeof(*run));

    snprintf(run->id, sizeof(run->id), "%s", run_id);
    run->dir = xasprintf("%s/%s", spec->runs_dir, run_id);
    run->dialect = dialect;
    run->stream = agent_stream_new(dialect);
    run->pidfd = -1;
    run->follow.output_fd = run->follow.errors_fd = run->follow.notice_fd = -1;
    run->cancel_fd = spec->cancel_fd;
    run->first_output_timeout_ms = spec->first_output_timeout_ms;
    run->idle_timeout_ms = spec->idle_timeout_ms;
    run->timeout_ms = spec->timeout_ms;
    run->kill_grace_ms = spec->kill_grace_ms;
    run->max_output_bytes = spec->max_output_bytes;
    run->started_ms = run->last_output_ms = clock_now_ms();
    run->result_ms = -1;
    return run;
}

static void delete_run(struct agent_run *run)
{
    if (run->pidfd >= 0)
        close(run->pidfd);
    agent_follow_deinit(&run->follow);
    agent_stream_free(run->stream);
    free(run->dir);
    free(run);
}

/* --- start ------------------------------------------------------------------------------ */

/*
 * A relative path with a slash means our directory, not the workspace that the agent gets; a
 * name means our PATH, not the short one that it gets. What is not there stays as it is: the
 * launcher says so.
 */
static char *resolve_program(const char *program)
{
    AUTO_FREE char *found = agent_environment_find(program);
    AUTO_FREE char *directory = NULL;
    const char *slash = found ? strrchr(found, '/') : NULL;

    if (!slash || found[0] == '/')
        return found ? take_ptr(&found) : xstrdup(program);
    found[slash - found] =
        '\0'; /* its own name stays: it may be a link, which says what it is */
    directory = realpath(found, NULL);
    return directory ? xasprintf("%s/%s", directory, slash + 1) : xstrdup(program);
}

static int write_meta(const struct agent_run *run, const struct agent_spec *spec,
                      struct err *err)
{
    struct dialect_argv argv = { 0 };
    AUTO_FREE char *program = resolve_program(spec->command[0]);
    struct agent_meta meta = { 0 };
    int rc = 0;

    dialect_argv_add(&argv, program);
    for (size_t i = 1; spec->command[i]; i++)
        dialect_argv_add(&argv, spec->command[i]);
    run->dialect->append_arguments(spec, &argv);
    meta.dialect = xstrdup(run->dialect->name);
    meta.workspace = xstrdup(spec->workspace);
    meta.argv = argv.items;
    meta.max_output_bytes = spec->max_output_bytes;
    meta.started_wall_s = clock_wall_s();
    fence_spec_set(&meta.fence, spec);
    rc = agent_meta_write(run->dir, &meta, err);
    agent_meta_deinit(&meta);
    return rc;
}

/* The launcher's own stderr goes where the agent's will: a loader's complaint is not lost. */
static int spawn_launcher(struct agent_run *run, const struct agent_spec *spec, struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    AUTO_FREE char *errors = xasprintf("%s/%s", run->dir, AGENT_FILE_ERRORS);
    char verb[] = "launch";
    char *argv[] = { (char *)spec->launcher, verb, run->dir, NULL };
    AUTO_FREE char *program = resolve_program(spec->command[0]);
    char **environment = agent_environment_build(spec->env_names, run->id, run->dir, program);
    int rc = 0;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_APPEND, 0);
    rc = process_spawn(spec->launcher, &actions, &attributes, argv, environment, &run->leader,
                       err);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    agent_environment_free(environment);
    return rc;
}

static void open_leader(struct agent_run *run)
{
    struct process_stat stat;

    if (process_read_stat(run->leader, &stat)) {
        run->leader_ticks = stat.start_ticks;
        run->is_child = stat.parent == getpid();
    }
    run->pidfd = process_open(run->leader, run->leader_ticks);
}

static void sleep_ms(int64_t duration_ms)
{
    struct timespec pause = { .tv_sec = duration_ms / 1000,
                              .tv_nsec = (duration_ms % 1000) * 1000000 };

    nanosleep(&pause, NULL);
}

/*
 * Until its exec is over, a child counts as undumpable when we are; where /proc hides what one
 * may not trace (ProtectProc=invisible), it is not there for that instant. A child that ended
 * meanwhile stays, as a zombie.
 */
static void open_child(struct agent_run *run)
{
    struct process_stat stat;
    int64_t give_up_ms = clock_now_ms() + SIGN_WAIT_MS;

    while (!process_read_stat(run->leader, &stat) && clock_now_ms() < give_up_ms)
        sleep_ms(1);
    open_leader(run);
    run->is_child = true;
}

static int prepare_and_spawn(struct agent_run *run, const struct agent_spec *spec,
                             struct err *err)
{
    if (agent_meta_write_file(run->dir, AGENT_FILE_PROMPT, spec->prompt, spec->prompt_len,
                              err) != 0 ||
        agent_follow_init(&run->follow, run->dir, err) != 0 || write_meta(run, spec, err) != 0)
        return -1;
    run->started_ms = run->last_output_ms = clock_now_ms();
    return spawn_launcher(run, spec, err);
}

int agent_run_start(const struct agent_spec *spec, const char *run_id,
                    struct agent_run **ret_run, struct err *err)
{
    struct agent_run *run = NULL;

    if (!is_run_id(run_id))
        return err_set(err, ERR_INPUT, "bad run id");
    if (!spec->command || !spec->command[0])
        return err_set(err, ERR_INPUT, "no agent command");
    if (file_make_dirs(spec->runs_dir, 0700, err) != 0)
        return -1;
    /* posix_spawn() tells too, but not under every tool that replaces vfork by fork. */
    if (access(spec->launcher, X_OK) != 0)
        return err_set_errno(err, ERR_SYSTEM, "start %s", spec->launcher);
    run = new_run(spec, run_id, dialect_get(spec->dialect));
    if (mkdir(run->dir, 0700) != 0) {
        err_set_errno(err, errno == EEXIST ? ERR_INPUT : ERR_SYSTEM, "make %s", run->dir);
        delete_run(run);
        return -1;
    }
    if (prepare_and_spawn(run, spec, err) != 0) {
        file_remove_tree(run->dir, NULL);
        delete_run(run);
        return -1;
    }
    open_child(run);
    *ret_run = run;
    return 0;
}

/* --- attach ----------------------------------------------------------------------------- */

/*
 * A daemon that died right after the spawn leaves a launcher that has not signed its name yet:
 * waits as long as one is alive.
 */
static int read_signed_meta(const struct agent_run *run, struct agent_meta *ret_meta,
                            struct err *err)
{
    int64_t give_up_ms = clock_now_ms() + SIGN_WAIT_MS;

    for (;;) {
        bool is_alive = process_signal_run(run->id, 0, 0) > 0;

        if (agent_meta_read(run->dir, ret_meta, err) != 0)
            return -1;
        if (ret_meta->pid > 0 || !is_alive || clock_now_ms() > give_up_ms)
            return 0;
        agent_meta_deinit(ret_meta);
        sleep_ms(SWEEP_MS);
    }
}

/* Whether the process that signed is still there, perhaps as a zombie of ours. */
static bool find_leader(struct agent_run *run, const struct agent_meta *meta)
{
    char boot_id[PROCESS_BOOT_ID_BYTES];
    struct process_stat stat;

    process_boot_id(boot_id);
    if (meta->pid <= 0 || strcmp(boot_id, meta->boot_id) != 0 ||
        !process_read_stat(meta->pid, &stat) || stat.start_ticks != meta->start_ticks)
        return false;
    if (stat.parent == getpid())
        process_watch(meta->pid);
    else if (stat.state == 'Z')
        return false;
    run->leader = meta->pid;
    run->started_ms = clock_now_ms() - process_age_ms(meta->start_ticks);
    open_leader(run);
    return true;
}

int agent_run_attach(const struct agent_spec *spec, const char *run_id,
                     struct agent_run **ret_run, struct err *err)
{
    struct agent_run *run = NULL;
    struct agent_meta meta = { 0 };
    const struct dialect *dialect = NULL;

    if (!is_run_id(run_id))
        return err_set(err, ERR_INPUT, "bad run id");
    run = new_run(spec, run_id, dialect_get(AGENT_DIALECT_TEXT));
    if (read_signed_meta(run, &meta, err) != 0)
        goto failed;
    dialect = dialect_find(meta.dialect);
    if (!dialect) {
        err_set(err, ERR_INPUT, "%s: unknown dialect %s", run->dir, meta.dialect);
        goto failed;
    }
    if (agent_follow_init(&run->follow, run->dir, err) != 0)
        goto failed;
    agent_stream_free(run->stream);
    run->stream = agent_stream_new(dialect);
    run->dialect = dialect;
    run->max_output_bytes = meta.max_output_bytes;
    if (!find_leader(run, &meta)) {
        run->has_leader_ended = true;
        run->has_verdict = true; /* unless its output or its stderr says better */
        run->verdict = AGENT_LOST;
        run->started_ms -= (clock_wall_s() - meta.started_wall_s) * 1000;
    }
    agent_meta_deinit(&meta);
    *ret_run = run;
    return 0;

failed:
    agent_meta_deinit(&meta);
    delete_run(run);
    return -1;
}

/* --- ending ----------------------------------------------------------------------------- */

/* The leader's pid as long as it names its group and nothing else, else 0: by mark only. */
static pid_t group_to_signal(const struct agent_run *run)
{
    struct process_stat stat;

    if (run->leader > 0 && process_read_stat(run->leader, &stat) &&
        stat.start_ticks != run->leader_ticks)
        return 0;
    return run->leader;
}

static void begin_ending(struct agent_run *run, int64_t now_ms, int64_t grace_ms)
{
    run->state = ENDING;
    run->kill_at_ms = now_ms + grace_ms;
    run->sweep_at_ms = now_ms;
    /* None alive is the common case: then nothing is left to wait for. */
    if (process_signal_run(run->id, group_to_signal(run), SIGTERM) == 0)
        run->state = DRAINING;
}

static void end_with(struct agent_run *run, enum agent_outcome verdict, int64_t now_ms)
{
    run->has_verdict = true;
    run->verdict = verdict;
    begin_ending(run, now_ms, run->kill_grace_ms);
}

static void sweep(struct agent_run *run, int64_t now_ms)
{
    size_t alive = 0;

    if (now_ms < run->sweep_at_ms)
        return;
    alive = process_signal_run(run->id, group_to_signal(run),
                               now_ms >= run->kill_at_ms ? SIGKILL : 0);
    run->sweep_at_ms = now_ms + SWEEP_MS;
    if (alive == 0) {
        run->state = DRAINING;
    } else if (now_ms >= run->kill_at_ms + UNKILLABLE_MS) {
        log_err("run=%s: %zu processes do not die of SIGKILL; giving them up", run->id, alive);
        run->state = DRAINING;
    }
}

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

static void decide_result(struct agent_run *run, int64_t now_ms)
{
    char step[64], text[256];
    AUTO_BUF struct buf errors = { 0 };
    struct agent_evidence evidence = { 0 };

    buf_init(&errors, (size_t)128 * 1024);
    agent_follow_read_errors(&run->follow, &errors);
    read_launch_error(run, step, sizeof(step), text, sizeof(text));
    evidence.has_verdict = run->has_verdict;
    evidence.verdict = run->verdict;
    evidence.ends_by_exit = run->dialect->ends_by_exit;
    evidence.has_status = run->has_status;
    evidence.status = run->status;
    evidence.launch_step = step;
    evidence.launch_text = text;
    evidence.error_output = buf_text(&errors);
    evidence.error_output_len = errors.len;
    evidence.summary = agent_stream_summary(run->stream);
    agent_outcome_decide(&evidence, &run->result);
    run->result.duration_ms = (run->result_ms >= 0 ? run->result_ms : now_ms) - run->started_ms;
}

static void note_exit(struct agent_run *run)
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

/* No process is left: reads the last line, decides, reaps. */
static void finish(struct agent_run *run, int64_t now_ms)
{
    note_exit(run);
    agent_stream_finish(run->stream);
    decide_result(run, now_ms);
    if (run->leader > 0)
        process_reap(run->leader);
    agent_reap_orphans();
    run->state = ENDED;
}

/* --- events ----------------------------------------------------------------------------- */

/* Once we stop a run, what it still prints is nobody's answer. */
static bool is_reading(const struct agent_run *run)
{
    return run->state != ENDED && (!run->has_verdict || run->verdict == AGENT_LOST);
}

static bool read_more(struct agent_run *run, int64_t now_ms)
{
    char chunk[CHUNK_BYTES];
    size_t got = is_reading(run) ? agent_follow_read(&run->follow, chunk, sizeof(chunk)) : 0;

    if (got == 0)
        return false;
    run->last_output_ms = now_ms;
    agent_stream_feed(run->stream, chunk, got);
    if (run->result_ms < 0 && agent_stream_summary(run->stream)->has_result)
        run->result_ms = now_ms;
    return true;
}

static bool is_cancelled(const struct agent_run *run)
{
    struct pollfd cancel = { .fd = run->cancel_fd, .events = POLLIN };

    return run->cancel_fd >= 0 && poll(&cancel, 1, 0) > 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t silence_deadline_ms(const struct agent_run *run)
{
    if (run->follow.offset == 0)
        return run->started_ms + run->first_output_timeout_ms;
    return run->last_output_ms + run->idle_timeout_ms;
}

static int64_t result_deadline_ms(const struct agent_run *run)
{
    return run->result_ms + smaller(RESULT_GRACE_MS, run->kill_grace_ms);
}

/* All that could be read has been read: what do the clock and the process say? */
static void check_limits(struct agent_run *run, int64_t now_ms)
{
    if (run->result_ms >= 0) {
        if (run->has_leader_ended || now_ms >= result_deadline_ms(run))
            begin_ending(run, now_ms,
                         run->has_leader_ended ? smaller(STRAGGLER_GRACE_MS, run->kill_grace_ms)
                                               : run->kill_grace_ms);
    } else if (run->follow.offset >= run->max_output_bytes) {
        end_with(run, AGENT_OUTPUT_LIMIT, now_ms);
    } else if (run->has_leader_ended) {
        begin_ending(run, now_ms, smaller(STRAGGLER_GRACE_MS, run->kill_grace_ms));
    } else if (now_ms >= run->started_ms + run->timeout_ms) {
        end_with(run, AGENT_TIMEOUT, now_ms);
    } else if (now_ms >= silence_deadline_ms(run)) {
        end_with(run, run->follow.offset == 0 ? AGENT_NO_FIRST_OUTPUT : AGENT_IDLE_TIMEOUT,
                 now_ms);
    }
}

/* One pass: reads a chunk, or else moves the state on. True when there may be more at once. */
static bool step(struct agent_run *run)
{
    int64_t now_ms = clock_now_ms();

    agent_follow_look(&run->follow);
    if (run->state == RUNNING && is_cancelled(run)) {
        end_with(run, AGENT_CANCELLED, now_ms);
        return true;
    }
    note_exit(run); /* before reading: what an ended process wrote is all there */
    if (read_more(run, now_ms))
        return true;
    switch (run->state) {
    case RUNNING:
        check_limits(run, now_ms);
        return run->state != RUNNING;
    case ENDING:
        sweep(run, now_ms);
        return run->state != ENDING;
    case DRAINING:
        finish(run, now_ms);
        return true;
    case ENDED:
        break;
    }
    return false;
}

static int64_t next_look_ms(const struct agent_run *run, int64_t now_ms)
{
    int64_t at_ms = 0;

    if (run->state == ENDING)
        return run->sweep_at_ms;
    if (run->result_ms >= 0)
        at_ms = result_deadline_ms(run);
    else
        at_ms = smaller(silence_deadline_ms(run), run->started_ms + run->timeout_ms);
    if (run->follow.notice_fd < 0)
        at_ms = smaller(at_ms, now_ms + AGENT_FOLLOW_POLL_MS);
    if (run->pidfd < 0)
        at_ms = smaller(at_ms, now_ms + EXIT_POLL_MS);
    return at_ms;
}

static void wait_for_news(const struct agent_run *run, int64_t deadline_ms)
{
    struct pollfd fds[3];
    nfds_t count = 0;
    int64_t now_ms = clock_now_ms();
    int64_t until_ms = smaller(deadline_ms, next_look_ms(run, now_ms));
    int64_t timeout_ms = until_ms - now_ms;

    if (timeout_ms <= 0)
        return;
    fds[count++] = (struct pollfd){ .fd = run->follow.notice_fd, .events = POLLIN };
    if (!run->has_leader_ended)
        fds[count++] = (struct pollfd){ .fd = run->pidfd, .events = POLLIN };
    if (run->state == RUNNING)
        fds[count++] = (struct pollfd){ .fd = run->cancel_fd, .events = POLLIN };
    poll(fds, count, (int)smaller(timeout_ms, 60000)); /* descriptors of -1 are skipped */
}

void agent_run_next(struct agent_run *run, int64_t deadline_ms, struct agent_event *ret_event)
{
    for (;;) {
        if (agent_stream_take(run->stream, ret_event))
            return;
        if (run->state == ENDED) {
            *ret_event = (struct agent_event){ .kind = AGENT_EVENT_ENDED, .text = "" };
            return;
        }
        if (step(run))
            continue;
        if (clock_now_ms() >= deadline_ms) {
            *ret_event = (struct agent_event){ .kind = AGENT_EVENT_NONE, .text = "" };
            return;
        }
        wait_for_news(run, deadline_ms);
    }
}

const struct agent_result *agent_run_result(const struct agent_run *run)
{
    return &run->result;
}

const char *agent_run_id(const struct agent_run *run)
{
    return run->id;
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
            end_with(run, AGENT_CANCELLED, clock_now_ms());
        while (run->state != ENDED) {
            if (!step(run))
                wait_for_news(run, CLOCK_FOREVER_MS);
        }
    }
    delete_run(run);
}

int agent_run_remove(const char *runs_dir, const char *run_id, struct err *err)
{
    AUTO_FREE char *dir = NULL;

    if (!is_run_id(run_id))
        return err_set(err, ERR_INPUT, "bad run id");
    dir = xasprintf("%s/%s", runs_dir, run_id);
    return file_remove_tree(dir, err);
}
