#include "agent/run_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/environment.h"
#include "agent/meta.h"
#include "agent/process.h"
#include "agent/run_dir.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#define SIGN_WAIT_MS   2000 /* attach: for a launcher that has not signed yet */
#define SIGN_LOOK_MS   20
#define SIGN_UNSEEN_MS 300

void agent_run_new_id(char out[AGENT_RUN_ID_BYTES])
{
    random_uuid(out);
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
    run->mode = spec->mode;
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

/* ---- start --------------------------------------------------------------------------------
 */

/*
 * A relative path with a slash means our directory, not the workspace that the agent gets; a
 * name means our PATH, not the short one that it gets. Its last part stays as it is: it may be
 * a link whose name says what it is. What is not there stays: the launcher says so.
 */
static char *resolve_program(const char *program)
{
    AUTO_FREE char *found = agent_environment_find(program);
    AUTO_FREE char *directory = NULL;
    char *slash = found ? strrchr(found, '/') : NULL;

    if (!slash || found[0] == '/')
        return found ? take_ptr(&found) : xstrdup(program);
    *slash = '\0';
    directory = realpath(found, NULL);
    return directory ? xasprintf("%s/%s", directory, slash + 1) : xstrdup(program);
}

static int write_meta(const struct agent_run *run, const struct agent_spec *spec,
                      const char *program, struct err *err)
{
    struct dialect_argv argv = { 0 };
    struct agent_meta meta = {
        .dialect = xstrdup(run->dialect->name),
        .workspace = xstrdup(spec->workspace),
        .max_output_bytes = spec->max_output_bytes,
        .started_wall_s = clock_wall_s(),
        .first_output_timeout_ms = spec->first_output_timeout_ms,
        .idle_timeout_ms = spec->idle_timeout_ms,
        .timeout_ms = spec->timeout_ms,
        .kill_grace_ms = spec->kill_grace_ms,
    };
    int rc = 0;

    dialect_argv_add(&argv, program);
    for (size_t i = 1; spec->command[i]; i++)
        dialect_argv_add(&argv, spec->command[i]);
    run->dialect->append_arguments(spec, &argv);
    meta.argv = argv.items;
    fence_spec_set(&meta.fence, spec);
    rc = agent_meta_write(run->dir, &meta, spec->mode == AGENT_MODE_WRITE, err);
    agent_meta_deinit(&meta);
    return rc;
}

/* The launcher's own stderr goes where the agent's will: a loader's complaint is not lost. */
static int spawn_launcher(struct agent_run *run, struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    AUTO_FREE char *errors = xasprintf("%s/%s", run->dir, AGENT_FILE_ERRORS);
    char verb[] = "launch";
    char *argv[] = { run->launcher, verb, run->dir, NULL };
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
    rc = process_spawn(run->launcher, &actions, &attributes, argv, run->environment,
                       &run->leader, err);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
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
int run_spawn(struct agent_run *run, struct err *err)
{
    struct process_stat stat;
    int64_t give_up_ms = 0;

    run->started_ms = run->last_output_ms = clock_now_ms();
    if (spawn_launcher(run, err) != 0)
        return -1;
    give_up_ms = clock_now_ms() + SIGN_WAIT_MS;
    while (!process_read_stat(run->leader, &stat) && clock_now_ms() < give_up_ms)
        sleep_ms(1);
    open_leader(run);
    run->is_child = run->is_supervised = true;
    return 0;
}

int run_make_inside(const struct agent_run *run, const char *name, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run->dir, name);

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, ERR_SYSTEM, "make %s", path);
    return 0;
}

static int prepare_and_spawn(struct agent_run *run, const struct agent_spec *spec,
                             struct err *err)
{
    AUTO_FREE char *program = resolve_program(spec->command[0]);
    struct agent_environment wanted = { .names = spec->env_names,
                                        .run_id = run->id,
                                        .run_dir = run->dir,
                                        .slot_dir = spec->slot_dir,
                                        .program = program };

    if (run_make_inside(run, RUN_DIR_OUTBOX, err) != 0 ||
        run_make_inside(run, RUN_DIR_TMP, err) != 0 ||
        agent_meta_write_file(run->dir, AGENT_FILE_PROMPT, spec->prompt, spec->prompt_len,
                              err) != 0 ||
        agent_follow_init(&run->follow, run->dir, err) != 0 ||
        write_meta(run, spec, program, err) != 0)
        return -1;
    run->environment = agent_environment_build(&wanted);
    return run_spawn(run, err);
}

int agent_run_start(const struct agent_spec *spec, const char *run_id,
                    struct agent_run **ret_run, struct err *err)
{
    struct agent_run *run = NULL;

    if (!spec->command || !spec->command[0])
        return err_set(err, ERR_INPUT, "no agent command");
    /* posix_spawn() tells too, but not under every tool that replaces vfork by fork. */
    if (access(spec->launcher, X_OK) != 0)
        return err_set_errno(err, ERR_SYSTEM, "start %s", spec->launcher);
    if (run_dir_make(spec->runs_dir, run_id, err) != 0)
        return -1;
    run = new_run(spec, run_id, dialect_get(spec->dialect));
    run->launcher = xstrdup(spec->launcher);
    if (prepare_and_spawn(run, spec, err) != 0) {
        file_remove_tree(run->dir, NULL);
        run_delete(run);
        return -1;
    }
    *ret_run = run;
    return 0;
}

/* ---- attach -------------------------------------------------------------------------------
 */

/*
 * A daemon that died right after the spawn leaves a launcher that has not signed its name yet:
 * waits as long as one is alive. Until its exec is over it does not carry the mark, so that
 * none is seen means something only after a while.
 */
static int read_signed_meta(const struct agent_run *run, struct agent_meta *ret_meta,
                            struct err *err)
{
    int64_t give_up_ms = clock_now_ms() + SIGN_WAIT_MS;
    int64_t unseen_until_ms = clock_now_ms() + SIGN_UNSEEN_MS;

    for (;;) {
        bool is_alive = process_signal_run(run->id, 0, 0) > 0;

        if (agent_meta_read(run->dir, ret_meta, err) != 0)
            return -1;
        if (ret_meta->pid > 0 || clock_now_ms() > give_up_ms ||
            (!is_alive && clock_now_ms() > unseen_until_ms))
            return 0;
        agent_meta_deinit(ret_meta);
        sleep_ms(SIGN_LOOK_MS);
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

static void take_up(struct agent_run *run, const struct agent_meta *meta)
{
    run->mode = meta->fence.mode;
    run->max_output_bytes = meta->max_output_bytes;
    run->is_supervised = meta->is_supervised;
    if (meta->is_supervised)
        run->kill_grace_ms = meta->kill_grace_ms; /* by which the supervisor goes */
    run->has_noted = run_exit_read_verdict(run->dir, &run->noted);
    if (find_leader(run, meta))
        return;
    run->was_dead = run->has_leader_ended = true;
    run->started_ms -= (clock_wall_s() - meta->started_wall_s) * 1000;
}

int agent_run_attach(const struct agent_spec *spec, const char *run_id,
                     struct agent_run **ret_run, struct err *err)
{
    struct agent_run *run = NULL;
    struct agent_meta meta = { 0 };
    const struct dialect *dialect = NULL;

    if (!run_dir_is_id(run_id))
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
    take_up(run, &meta);
    agent_meta_deinit(&meta);
    *ret_run = run;
    return 0;

failed:
    agent_meta_deinit(&meta);
    run_delete(run);
    return -1;
}
