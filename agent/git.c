#include "agent/git.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/environment.h"
#include "agent/process.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/utf8.h"

#define PROGRAM          "git"
#define TIMEOUT_MS       (INT64_C(10) * 60 * 1000) /* a checkout of something huge */
#define GRACE_MS         2000                      /* on SIGTERM git takes its locks away */
#define LOOK_FIRST_MS    1
#define LOOK_MAX_MS      50
#define WORDS_MAX_BYTES  ((size_t)300)
#define ERRORS_MAX_BYTES ((size_t)64 * 1024)
#define CONFIG_MAX_BYTES ((size_t)1024 * 1024)

/* Whatever would run a program, ask, or go on in the background. */
static const char *const settings[] = {
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "core.editor=true",
    "core.pager=cat",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
    "core.quotePath=false",
};

/* Files of ours in somebody's repository must be readable for those who may read it: the
 * daemon's umask would hide them. A repository that says itself how it is shared knows better.
 */
static bool needs_sharing(const struct agent_git *git)
{
    const char *common = git->common_dir ? git->common_dir : git->git_dir;
    AUTO_FREE char *path = xasprintf("%s/config", common);
    AUTO_BUF struct buf config = { 0 };
    struct stat info;

    buf_init(&config, CONFIG_MAX_BYTES);
    return stat(common, &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0 &&
           file_read(path, &config, NULL) == 0 &&
           !strcasestr(buf_text(&config), "sharedrepository");
}

struct words {
    char **items;
    size_t count;
};

static void add(struct words *words, char *word /* adopt */)
{
    words->items = xrealloc(words->items, words->count + 2, sizeof(*words->items));
    words->items[words->count++] = word;
    words->items[words->count] = NULL;
}

static void free_words(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
}

static struct words make_argv(const struct agent_git *git, const char *const *arguments)
{
    struct words argv = { 0 };

    add(&argv, xstrdup(PROGRAM));
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        add(&argv, xstrdup("-c"));
        add(&argv, xstrdup(settings[i]));
    }
    if (needs_sharing(git)) {
        add(&argv, xstrdup("-c"));
        add(&argv, xstrdup("core.sharedRepository=0644"));
    }
    for (size_t i = 0; arguments[i]; i++)
        add(&argv, xstrdup(arguments[i]));
    return argv;
}

static struct words make_environment(const struct agent_git *git, const char *mark)
{
    static const char *const fixed[] = {
        "HOME=/nonexistent",
        "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ASKPASS=",
        "GIT_AUTHOR_NAME=threadkeeper",
        "GIT_AUTHOR_EMAIL=threadkeeper@localhost",
        "GIT_COMMITTER_NAME=threadkeeper",
        "GIT_COMMITTER_EMAIL=threadkeeper@localhost",
        "GIT_OPTIONAL_LOCKS=0",
    };
    struct words environment = { 0 };
    const char *path = agent_environment_get("PATH");

    add(&environment, xasprintf(PROCESS_MARK "=%s", mark));
    add(&environment, xasprintf("PATH=%s", path && *path ? path : "/usr/bin:/bin"));
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        add(&environment, xstrdup(fixed[i]));
    add(&environment, xasprintf("GIT_DIR=%s", git->git_dir));
    if (git->common_dir)
        add(&environment, xasprintf("GIT_COMMON_DIR=%s", git->common_dir));
    if (git->work_tree)
        add(&environment, xasprintf("GIT_WORK_TREE=%s", git->work_tree));
    return environment;
}

/* ---- the process --------------------------------------------------------------------------
 */

struct running {
    pid_t pid;
    char mark[RANDOM_UUID_BYTES];
    int input_fd; /* files in memory: nobody blocks on them */
    int output_fd;
    int errors_fd;
};

static int open_files(struct running *running, const struct buf *input, struct err *err)
{
    running->input_fd = memfd_create("git-input", MFD_CLOEXEC);
    running->output_fd = memfd_create("git-output", MFD_CLOEXEC);
    running->errors_fd = memfd_create("git-errors", MFD_CLOEXEC);
    if (running->input_fd < 0 || running->output_fd < 0 || running->errors_fd < 0 ||
        (input && file_write_all(running->input_fd, buf_text(input), input->len) < 0) ||
        lseek(running->input_fd, 0, SEEK_SET) < 0)
        return err_set_errno(err, ERR_SYSTEM, "make files for git");
    return 0;
}

static void close_files(struct running *running)
{
    const int fds[] = { running->input_fd, running->output_fd, running->errors_fd };

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* PATH of ours, as everybody's git; process_spawn() wants a path. */
static char *find_git(void)
{
    const char *at = agent_environment_get("PATH");

    for (at = at && *at ? at : "/usr/bin:/bin"; *at;) {
        size_t len = strcspn(at, ":");
        AUTO_FREE char *path = xasprintf("%.*s/" PROGRAM, (int)len, at);

        if (len > 0 && *at == '/' && access(path, X_OK) == 0)
            return take_ptr(&path);
        at += len + (at[len] == ':');
    }
    return NULL;
}

static int start(struct running *running, const struct agent_git *git,
                 const char *const *arguments, struct err *err)
{
    AUTO_FREE char *program = find_git();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    struct words argv;
    struct words environment;
    int rc;

    if (!program)
        return err_set(err, ERR_SYSTEM, "git is not installed; mend: install the package git");
    argv = make_argv(git, arguments);
    environment = make_environment(git, running->mark);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, running->input_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, running->output_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, running->errors_fd, STDERR_FILENO);
    if (git->lock_fd > 0) /* the same number: it is closed on exec no longer */
        posix_spawn_file_actions_adddup2(&actions, git->lock_fd, git->lock_fd);
    posix_spawn_file_actions_addchdir_np(&actions,
                                         git->work_tree ? git->work_tree : git->git_dir);
    rc = process_spawn(program, &actions, &attributes, argv.items, environment.items,
                       &running->pid, err);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free_words(&argv);
    free_words(&environment);
    return rc;
}

/* What it started goes with it. */
static void end_all(const struct running *running)
{
    int64_t kill_at_ms = clock_now_ms() + GRACE_MS;

    process_signal_run(running->mark, running->pid, SIGTERM);
    while (process_signal_run(running->mark, running->pid,
                              clock_now_ms() >= kill_at_ms ? SIGKILL : 0) > 0 &&
           clock_now_ms() < kill_at_ms + GRACE_MS)
        poll(NULL, 0, LOOK_MAX_MS);
}

static bool has_too_much(const struct running *running)
{
    struct stat output = { 0 };
    struct stat errors = { 0 };

    fstat(running->output_fd, &output);
    fstat(running->errors_fd, &errors);
    return (size_t)output.st_size > AGENT_GIT_OUTPUT_MAX_BYTES ||
           (size_t)errors.st_size > AGENT_GIT_OUTPUT_MAX_BYTES;
}

/* False: it took too long or said too much. */
static bool wait_for_end(const struct running *running, const atomic_bool *is_stopping,
                         siginfo_t *ret_status)
{
    int64_t deadline_ms = clock_now_ms() + TIMEOUT_MS;
    int look_ms = LOOK_FIRST_MS;
    bool has_ended;

    while (!(has_ended = process_has_ended(running->pid, ret_status)) &&
           clock_now_ms() < deadline_ms && !has_too_much(running) &&
           !(is_stopping && atomic_load(is_stopping))) {
        poll(NULL, 0, look_ms);
        look_ms = look_ms * 2 < LOOK_MAX_MS ? look_ms * 2 : LOOK_MAX_MS;
    }
    if (!has_ended)
        end_all(running);
    process_reap(running->pid);
    return has_ended;
}

/* ---- what came of it ----------------------------------------------------------------------
 */

static void read_all(int fd, struct buf *out)
{
    char bytes[16384];
    ssize_t got;

    for (off_t at = 0; (got = pread(fd, bytes, sizeof(bytes), at)) > 0; at += got)
        buf_append(out, bytes, (size_t)got);
}

static bool says_any(const char *words, const char *const *parts)
{
    for (size_t i = 0; parts[i]; i++) {
        if (strcasestr(words, parts[i]))
            return true;
    }
    return false;
}

/* Its last line that is no hint. */
static char *last_words(const struct buf *errors)
{
    const char *text = buf_text(errors);
    const char *found = text;
    AUTO_FREE char *line = NULL;

    for (const char *at = text; *at; at += strcspn(at, "\n")) {
        at += strspn(at, "\n");
        if (*at && strncmp(at, "hint:", 5) != 0)
            found = at;
    }
    line = xstrndup(found, strcspn(found, "\n"));
    return utf8_clean_copy(line, strlen(line), WORDS_MAX_BYTES);
}

static int tell_failure(const struct running *running, const char *verb,
                        const siginfo_t *status, struct err *err)
{
    static const char *const full[] = { "no space left", "disk quota", NULL };
    static const char *const locked[] = { ".lock': File exists", "unable to lock", NULL };
    static const char *const refused[] = { "permission denied", "read-only file system", NULL };
    AUTO_BUF struct buf errors = { 0 };
    AUTO_FREE char *words = NULL;

    buf_init(&errors, ERRORS_MAX_BYTES);
    read_all(running->errors_fd, &errors);
    words = last_words(&errors);
    if (says_any(buf_text(&errors), full))
        return err_set(err, ERR_SYSTEM, "git %s: the disk is full; mend: make room: %s", verb,
                       words);
    if (says_any(buf_text(&errors), locked))
        return err_set(err, ERR_TEMP,
                       "git %s: another git is at work there, or was killed; mend: remove the "
                       "lock when none is: %s",
                       verb, words);
    if (says_any(buf_text(&errors), refused))
        return err_set(err, ERR_SYSTEM,
                       "git %s: this user may not write there; mend: let the daemon's user "
                       "write into the repository and state_dir: %s",
                       verb, words);
    if (status->si_code != CLD_EXITED)
        return err_set(err, ERR_SYSTEM, "git %s ended by signal %d: %s", verb,
                       status->si_status, words);
    return err_set(err, ERR_REMOTE, "git %s: %s", verb, words);
}

static int run(struct running *running, const struct agent_git *git,
               const char *const *arguments, const struct buf *input, struct buf *ret_output,
               struct err *err)
{
    siginfo_t status = { 0 };

    if (open_files(running, input, err) < 0 || start(running, git, arguments, err) < 0)
        return -1;
    if (!wait_for_end(running, git->is_stopping, &status))
        return err_set(err, ERR_TEMP,
                       "git %s took too long or said too much, or we stop: ended",
                       arguments[0]);
    if (status.si_code != CLD_EXITED || status.si_status != 0)
        return tell_failure(running, arguments[0], &status, err);
    if (ret_output)
        read_all(running->output_fd, ret_output);
    return ret_output ? buf_finish(ret_output, err) : 0;
}

int agent_git_run(const struct agent_git *git, const char *const *arguments,
                  const struct buf *input, struct buf *ret_output, struct err *err)
{
    struct running running = { .input_fd = -1, .output_fd = -1, .errors_fd = -1 };
    int rc;

    random_uuid(running.mark);
    rc = run(&running, git, arguments, input, ret_output, err);
    close_files(&running);
    return rc;
}
