/* Worktrees of real repositories, and what is found where something was cut short. */
#include "agent/worktree.h"

#include "tests/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

#define ID  "0123456789ab"
#define ID2 "ba9876543210"

struct lab {
    char dir[64];
    char *state;
    char *repository;
};

static char *path_in(const struct lab *lab, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static char *path_in(const struct lab *lab, const char *format, ...)
{
    va_list args;
    AUTO_FREE char *rest = NULL;

    va_start(args, format);
    rest = xvasprintf(format, args);
    va_end(args);
    return xasprintf("%s/%s", lab->dir, rest);
}

/* A command line for the test itself; its output without the newline at its end. */
static char *shell(const struct lab *lab, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static char *shell(const struct lab *lab, const char *format, ...)
{
    va_list args;
    AUTO_FREE char *command = NULL;
    AUTO_FREE char *whole = NULL;
    AUTO_BUF struct buf out = { 0 };
    char bytes[4096];
    size_t got;
    FILE *pipe;

    va_start(args, format);
    command = xvasprintf(format, args);
    va_end(args);
    whole = xasprintf("cd %s && export HOME=%s GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t "
                      "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t && { %s; } 2>&1",
                      lab->dir, lab->dir, command);
    buf_init(&out, 1 << 20);
    pipe = popen(whole, "r"); /* NOLINT(cert-env33-c): a test's own words */
    while ((got = fread(bytes, 1, sizeof(bytes), pipe)) > 0)
        buf_append(&out, bytes, got);
    if (pclose(pipe) != 0)
        fail_msg("%s: %s", command, buf_text(&out));
    while (out.len && buf_text(&out)[out.len - 1] == '\n')
        buf_truncate(&out, out.len - 1);
    return out.len ? buf_take(&out) : xstrdup("");
}

static void run(const struct lab *lab, const char *command)
{
    free(shell(lab, "%s", command));
}

static int set_up(void **state)
{
    struct lab *lab = xcalloc(1, sizeof(*lab));

    snprintf(lab->dir, sizeof(lab->dir), "/tmp/worktree.XXXXXX");
    assert_non_null(mkdtemp(lab->dir));
    lab->state = path_in(lab, "state");
    lab->repository = path_in(lab, "repository");
    run(lab, "git init -q -b main repository && cd repository && echo one > a.txt && mkdir sub "
             "&& echo sub > sub/b.txt && echo ignored > .gitignore && git add . && git commit "
             "-qm first");
    *state = lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *lab = *state;

    file_remove_tree(lab->dir, NULL);
    free(lab->state);
    free(lab->repository);
    free(lab);
    return 0;
}

static struct agent_worktree_place place(const struct lab *lab, const char *id)
{
    return (struct agent_worktree_place){ .state_dir = lab->state,
                                          .workspace = lab->repository,
                                          .id = id };
}

static struct agent_worktree open_one(const struct lab *lab, const char *id)
{
    struct agent_worktree_place where = place(lab, id);
    struct agent_worktree worktree = { 0 };
    struct err err = { 0 };

    if (agent_worktree_open(&where, &worktree, &err) < 0)
        fail_msg("cannot open: %s", err.message);
    return worktree;
}

static struct agent_worktree_kept commit(const struct lab *lab, const char *id)
{
    struct agent_worktree_place where = place(lab, id);
    struct agent_worktree_kept kept;
    struct err err = { 0 };

    if (agent_worktree_commit(&where, "a turn", &kept, &err) < 0)
        fail_msg("cannot commit: %s", err.message);
    return kept;
}

static size_t sweep(const struct lab *lab, int64_t before_wall_s)
{
    size_t removed = 99;
    struct err err = { 0 };

    if (agent_worktrees_sweep(lab->state, before_wall_s, NULL, &removed, &err) < 0)
        fail_msg("cannot sweep: %s", err.message);
    return removed;
}

static void write_in(const struct agent_worktree *worktree, const char *name, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/%s", worktree->path, name);

    assert_int_equal(file_write(path, text, strlen(text), 0644, NULL), 0);
}

static bool is_there(const struct lab *lab, const char *name)
{
    AUTO_FREE char *path = path_in(lab, "%s", name);
    struct stat info;

    return lstat(path, &info) == 0;
}

static void check_said(const struct lab *lab, const char *command, const char *want,
                       const char *because)
{
    AUTO_FREE char *said = shell(lab, "%s", command);

    CHECK_TEXT(said, want, because);
}

/* ---- */

static void each_conversation_has_its_own_checkout(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree one = open_one(lab, ID);
    struct agent_worktree two = open_one(lab, ID2);
    struct agent_worktree_kept kept;

    CHECK_TEXT(one.branch, "threadkeeper/" ID, "its branch");
    CHECK_INT(strcmp(one.path, two.path) == 0, 0, "two places");
    write_in(&one, "a.txt", "by one\n");
    write_in(&one, "new name\n.txt", "new\n");
    write_in(&two, "a.txt", "by two\n");
    write_in(&two, "ignored", "x\n");
    kept = commit(lab, ID);
    CHECK_INT(kept.has_committed, 1, "something changed");
    CHECK_INT(kept.is_untold, 1, "nobody knows yet");
    CHECK_TEXT(kept.branch, "threadkeeper/" ID, "where it is");
    commit(lab, ID2);
    CHECK_INT(commit(lab, ID).has_committed, 0, "nothing changed since");
    check_said(lab, "cd repository && git show threadkeeper/" ID ":a.txt", "by one", "one");
    check_said(lab, "cd repository && git show threadkeeper/" ID2 ":a.txt", "by two", "two");
    check_said(lab, "cd repository && git show 'threadkeeper/" ID ":new name\n.txt'", "new",
               "whatever its name");
    check_said(lab, "cd repository && git ls-tree --name-only threadkeeper/" ID2,
               ".gitignore\na.txt\nsub", "what is ignored is not taken");
    check_said(lab, "cd repository && git status --porcelain && cat a.txt", "one",
               "the workspace is as it was");
    check_said(lab, "cd repository && git log -1 --format='%an %s' threadkeeper/" ID,
               "threadkeeper a turn", "who and what");
    check_said(lab, "cd repository && git log --format=%s threadkeeper/" ID, "a turn\nfirst",
               "begins at HEAD");
    agent_worktree_deinit(&one);
    agent_worktree_deinit(&two);
}

static void the_next_turn_finds_it_as_it_was(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    struct agent_worktree_place where = place(lab, ID);

    write_in(&worktree, "half.txt", "not done\n");
    agent_worktree_deinit(&worktree);
    assert_int_equal(agent_worktree_note_told(&where, NULL), 0);
    run(lab, "cd repository && echo two > a.txt && git commit -qam second");
    worktree = open_one(lab, ID);
    check_said(lab, "cat state/worktrees/" ID "/half.txt state/worktrees/" ID "/a.txt",
               "not done\none", "its own state, not the workspace's");
    CHECK_INT(commit(lab, ID).is_untold, 0, "was told");
    agent_worktree_deinit(&worktree);
}

static void deleted_moved_and_turned_files_are_committed(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);

    run(lab, "cd state/worktrees/" ID " && rm a.txt && mkdir a.txt && echo in > a.txt/in && rm "
             "-r sub && echo file > sub && ln -s /etc/passwd link && chmod +x .gitignore");
    CHECK_INT(commit(lab, ID).has_committed, 1, "changed");
    check_said(lab, "cd repository && git ls-tree -r threadkeeper/" ID " | cut -c1-6,53-",
               "100755\t.gitignore\n100644\ta.txt/in\n120000\tlink\n100644\tsub",
               "as it is now");
    CHECK_INT(commit(lab, ID).has_committed, 0, "all of it");
    agent_worktree_deinit(&worktree);
}

static void a_workspace_below_the_top_is_found_in_the_checkout(void **state)
{
    struct lab *lab = *state;
    AUTO_FREE char *sub = path_in(lab, "repository/sub");
    AUTO_FREE char *want = path_in(lab, "state/worktrees/" ID "/sub");
    struct agent_worktree_place where = { .state_dir = lab->state, .workspace = sub, .id = ID };
    struct agent_worktree worktree = { 0 };
    struct err err = { 0 };

    CHECK_INT(agent_worktree_open(&where, &worktree, &err), 0, err.message);
    CHECK_TEXT(worktree.path, want, "the same directory of the other checkout");
    agent_worktree_deinit(&worktree);
    run(lab, "mkdir repository/fresh && echo x > repository/fresh/x");
    where.workspace = want;
    free(sub);
    sub = path_in(lab, "repository/fresh");
    where.workspace = sub;
    where.id = ID2;
    CHECK_INT(agent_worktree_open(&where, &worktree, &err), -1, "it is in no commit");
    CHECK_HOLDS(err.message, "mend: commit it", "said");
}

static void what_cannot_have_worktrees_says_why(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *prepare;
        const char *workspace;
        const char *words;
    } cases[] = {
        { "mkdir plain", "plain", "not in a git repository; mend: git init" },
        { "git init -q empty", "empty", "no commit yet that a worktree could begin at; mend:" },
        { "true", "nowhere", "not in a git repository" },
        { "cp -r repository own && git -C own config extensions.worktreeConfig true", "own",
          "mend: git config --unset extensions.worktreeConfig" },
        { "cp -r repository broken && echo ref: refs/heads/main > broken/.git/HEAD && rm "
          "-r broken/.git/objects",
          "broken", "git " },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *workspace = path_in(lab, "%s", cases[i].workspace);
        struct agent_worktree_place where = { .state_dir = lab->state,
                                              .workspace = workspace,
                                              .id = ID };
        struct agent_worktree worktree = { 0 };
        struct err err = { 0 };

        run(lab, cases[i].prepare);
        CHECK_INT(agent_worktree_open(&where, &worktree, &err), -1, cases[i].workspace);
        CHECK_HOLDS(err.message, cases[i].words, cases[i].workspace);
        CHECK_INT(is_there(lab, "state/worktrees/" ID), 0, "nothing half-made is left");
        CHECK_INT(is_there(lab, "state/worktrees/" ID ".json"), 0, "nor a record");
        err = (struct err){ 0 };
        CHECK_INT(agent_worktree_check(workspace, &err), -1, cases[i].workspace);
    }
    CHECK_INT(agent_worktree_check(lab->repository, NULL), 0, "and this one can");
}

static void no_git_says_so(void **state)
{
    struct lab *lab = *state;
    AUTO_FREE char *path = xstrdup(getenv("PATH")); /* NOLINT(concurrency-mt-unsafe) */
    struct agent_worktree_place where = place(lab, ID);
    struct agent_worktree worktree = { 0 };
    struct err err = { 0 };

    setenv("PATH", lab->dir, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    CHECK_INT(agent_worktree_open(&where, &worktree, &err), -1, "no git");
    setenv("PATH", path, 1); /* NOLINT(concurrency-mt-unsafe) */
    CHECK_HOLDS(err.message, "git is not installed; mend: install", "said");
    CHECK_INT(is_there(lab, "state/worktrees/" ID ".json"), 0, "nothing is left");
}

/* A program called git that does as it is told, before the real one in PATH. */
static int open_with_git(const struct lab *lab, const char *script, const atomic_bool *stopping,
                         struct err *err)
{
    AUTO_FREE char *path = xstrdup(getenv("PATH")); /* NOLINT(concurrency-mt-unsafe) */
    AUTO_FREE char *bin = path_in(lab, "bin");
    AUTO_FREE char *program = path_in(lab, "bin/git");
    AUTO_FREE char *text = xasprintf("#!/bin/sh\n%s\n", script);
    AUTO_FREE char *longer = xasprintf("%s:%s", bin, path);
    struct agent_worktree_place where = place(lab, ID);
    struct agent_worktree worktree = { 0 };
    int rc;

    assert_int_equal(file_make_dirs(bin, 0755, NULL), 0);
    assert_int_equal(file_write(program, text, strlen(text), 0755, NULL), 0);
    setenv("PATH", longer, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    where.is_stopping = stopping;
    rc = agent_worktree_open(&where, &worktree, err);
    setenv("PATH", path, 1); /* NOLINT(concurrency-mt-unsafe) */
    agent_worktree_deinit(&worktree);
    return rc;
}

static void what_git_says_is_told_with_its_mend(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *script;
        const char *words;
        enum err_kind kind;
    } cases[] = {
        { "echo 'error: unable to write file x: No space left on device' >&2; exit 128",
          "the disk is full; mend: make room", ERR_SYSTEM },
        { "echo \"fatal: Unable to create '/x/index.lock': File exists.\" >&2; exit 128",
          "mend: remove the lock when none is", ERR_TEMP },
        { "echo 'fatal: could not create leading directories: Permission denied' >&2; exit 128",
          "mend: let the daemon's user write", ERR_SYSTEM },
        { "echo 'fatal: Read-only file system' >&2; exit 128",
          "mend: let the daemon's user write", ERR_SYSTEM },
        { "printf 'fatal: \\033[31mthe cause\\377\\nhint: no hint\\n' >&2; exit 1",
          "fatal: [31mthe cause\xef\xbf\xbd", ERR_REMOTE },
        { "kill -SEGV $$", "ended by signal 11", ERR_SYSTEM },
        { "exec yes", "took too long or said too much", ERR_TEMP },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };

        CHECK_INT(open_with_git(lab, cases[i].script, NULL, &err), -1, cases[i].script);
        CHECK_HOLDS(err.message, cases[i].words, cases[i].script);
        CHECK_INT(err.kind, cases[i].kind, cases[i].script);
        CHECK_INT(is_there(lab, "state/worktrees/" ID ".json"), 0, "nothing half-made is left");
    }
}

static void a_daemon_that_stops_does_not_wait_for_git(void **state)
{
    struct lab *lab = *state;
    const atomic_bool stopping = true;
    struct err err = { 0 };
    AUTO_FREE char *left = NULL;

    CHECK_INT(
        open_with_git(lab, "echo $$ > pid; sleep 1000 & echo $! >> pid; wait", &stopping, &err),
        -1, "ended");
    CHECK_INT(err.kind, ERR_TEMP, err.message);
    /* A zombie is init's to take away. */
    left = shell(lab, "grep -sL 'State:.Z' $(sed 's,.*,/proc/&/status,' repository/.git/pid) "
                      "/dev/null | grep -v null; true");
    CHECK_TEXT(left, "", "nor is anything of it left");
}

static void a_branch_that_is_checked_out_elsewhere_says_so(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    struct agent_worktree_place where = place(lab, ID);
    struct err err = { 0 };

    agent_worktree_deinit(&worktree);
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 1, "its worktree goes");
    run(lab, "cd repository && git checkout -q threadkeeper/" ID);
    CHECK_INT(agent_worktree_open(&where, &worktree, &err), -1, "somebody stands on it");
    CHECK_HOLDS(err.message, "mend: switch that checkout to another branch", "said");
    run(lab, "cd repository && git checkout -q main");
    worktree = open_one(lab, ID);
    agent_worktree_deinit(&worktree);
}

static void no_hook_and_no_settings_of_a_user_run(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree;

    run(lab,
        "for hook in post-checkout pre-commit reference-transaction post-index-change; do "
        "printf '#!/bin/sh\\ntouch %s/ran\\n' \"$PWD\" > repository/.git/hooks/$hook; chmod "
        "+x repository/.git/hooks/$hook; done; git config --global core.fsmonitor "
        "\"touch $PWD/ran\"; git -C repository config core.fsmonitor \"touch $PWD/ran\"");
    setenv("GIT_DIR", "/nonexistent", 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    worktree = open_one(lab, ID);
    write_in(&worktree, "a.txt", "changed\n");
    CHECK_INT(commit(lab, ID).has_committed, 1, "works all the same");
    unsetenv("GIT_DIR"); /* NOLINT(concurrency-mt-unsafe) */
    CHECK_INT(is_there(lab, "ran"), 0, "nothing was run");
    agent_worktree_deinit(&worktree);
}

/* The agent may write whatever it likes into its checkout and behind it. */
static void what_an_agent_writes_is_not_run_and_not_believed(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);

    run(lab, "git init -q evil && git -C evil config filter.x.clean \"touch $PWD/ran; cat\" && "
             "git -C evil config core.fsmonitor \"touch $PWD/ran\"");
    run(lab, "cd state/worktrees/" ID " && echo '* filter=x' > .gitattributes && echo more > "
             "a.txt && echo \"gitdir: $HOME/evil/.git\" > .git && echo $HOME/evil/.git > "
             "../../../repository/.git/worktrees/" ID "/commondir && cp -r $HOME/evil inner && "
             "echo x > inner/x");
    CHECK_INT(commit(lab, ID).holds_repositories, 1, "said, and not taken");
    CHECK_INT(is_there(lab, "ran"), 0, "nothing was run");
    check_said(lab,
               "cd repository && git show threadkeeper/" ID ":a.txt && git ls-tree "
               "--name-only threadkeeper/" ID,
               "more\n.gitattributes\n.gitignore\na.txt\nsub", "committed where it belongs");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 0, "its history would be lost");
    CHECK_INT(is_there(lab, "state/worktrees/" ID "/inner/.git"), 1, "so it stays");
    run(lab, "rm -rf state/worktrees/" ID "/inner");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 1, "until it is taken out");
    CHECK_INT(is_there(lab, "ran"), 0, "nothing was run");
    agent_worktree_deinit(&worktree);
}

static void a_git_directory_of_the_agent_is_moved_aside(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);

    run(lab, "cd state/worktrees/" ID " && rm .git && git init -q . && echo new > n.txt");
    CHECK_INT(commit(lab, ID).has_committed, 1, "the repository is found from the outside");
    check_said(lab, "cd repository && git show threadkeeper/" ID ":n.txt", "new",
               "it is there");
    check_said(lab, "ls -d state/worktrees/" ID ".git-aside-*/HEAD | wc -l", "1",
               "nothing is destroyed");
    agent_worktree_deinit(&worktree);
}

static void where_the_agent_went_gets_the_work(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *show = NULL;
    struct agent_worktree_kept kept;

    run(lab, "cd state/worktrees/" ID " && git checkout -q -b feature && echo f > f.txt");
    kept = commit(lab, ID);
    CHECK_INT(strncmp(kept.branch, "threadkeeper/" ID "-", 26), 0, kept.branch);
    first = xasprintf("git -C repository show %s:f.txt", kept.branch);
    check_said(lab, first, "f", "there, as the branch that it made is not ours");
    run(lab,
        "cd state/worktrees/" ID " && git checkout -q --detach && echo g > g.txt && git add "
        ". && git commit -qm own && echo h > h.txt");
    kept = commit(lab, ID);
    CHECK_INT(strncmp(kept.branch, "threadkeeper/" ID "-", 26), 0, kept.branch);
    show = xasprintf("git -C repository show %s:g.txt", kept.branch);
    check_said(lab, show, "g", "what stood on no branch stands on one");
    agent_worktree_deinit(&worktree);
}

/* ---- sweeping ---- */

/* It may write all of what git keeps of its worktree, and git of ours runs without a fence. */
static void links_where_git_writes_are_not_followed(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    struct agent_worktree_kept kept;

    commit(lab, ID);
    write_in(&worktree, "a.txt", "changed\n");
    run(lab,
        "echo precious > victim && mkdir dir && cd $HOME/repository/.git/worktrees/" ID
        " && rm -r logs index && mkdir logs && ln -s $HOME/victim logs/HEAD && "
        "ln -sf $HOME/made ORIG_HEAD && ln -s $HOME/fresh index && "
        "ln -sf $HOME/victim $HOME/repository/.git/logs/refs/heads/threadkeeper/" ID
        " && cd $HOME/repository/.git/objects && for i in 0 1 2 3 4 5 6 7 8 9 a b c d e f; "
        "do for k in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do [ -d $i$k ] || ln -s $HOME/dir "
        "$i$k; done; done");
    kept = commit(lab, ID);
    CHECK_INT(kept.has_committed, 1, "the change is kept");
    check_said(lab, "cat victim && ls dir", "precious", "nothing was written through a link");
    CHECK_INT(is_there(lab, "made") || is_there(lab, "fresh"), 0, "nor was anything made");
    check_said(lab, "cd repository && git show threadkeeper/" ID ":a.txt", "changed",
               "and it is on its branch");
    agent_worktree_deinit(&worktree);
}

static void another_branch_is_not_moved_for_the_agent(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    AUTO_FREE char *before = shell(lab, "git -C repository rev-parse main");
    struct agent_worktree_kept kept;

    write_in(&worktree, "a.txt", "by the agent\n");
    run(lab, "echo ref: refs/heads/main > repository/.git/worktrees/" ID "/HEAD");
    kept = commit(lab, ID);
    CHECK_INT(strncmp(kept.branch, "threadkeeper/" ID "-", 26), 0, kept.branch);
    check_said(lab, "git -C repository rev-parse main", before, "main is where it was");
    agent_worktree_deinit(&worktree);
}

static void old_ones_go_and_their_work_stays(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);

    write_in(&worktree, "left.txt", "uncommitted\n");
    CHECK_INT(sweep(lab, clock_wall_s() - 10), 0, "it is young");
    CHECK_INT(is_there(lab, "state/worktrees/" ID "/left.txt"), 1, "there");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 1, "it is old");
    CHECK_INT(is_there(lab, "state/worktrees/" ID), 0, "gone");
    check_said(lab,
               "ls -A state/worktrees repository/.git/worktrees 2>/dev/null | grep 0123 | wc "
               "-l",
               "0", "nothing of it is left");
    check_said(lab,
               "cd repository && git show threadkeeper/" ID ":left.txt && git worktree list "
               "| wc -l",
               "uncommitted\n1", "kept on its branch");
    agent_worktree_deinit(&worktree);
    worktree = open_one(lab, ID);
    check_said(lab, "cat state/worktrees/" ID "/left.txt", "uncommitted",
               "the conversation goes on where it was");
    CHECK_INT(commit(lab, ID).is_untold, 1, "and says so again");
    agent_worktree_deinit(&worktree);
}

static void what_cannot_be_committed_stays(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);

    write_in(&worktree, "left.txt", "uncommitted\n");
    run(lab, "mv repository/.git/objects repository/.git/o");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 0, "no repository to commit to");
    CHECK_INT(is_there(lab, "state/worktrees/" ID "/left.txt"), 1, "there");
    run(lab, "mv repository/.git/o repository/.git/objects");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 1, "now there is");
    agent_worktree_deinit(&worktree);
}

static void one_that_is_in_use_is_left_alone(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    AUTO_FREE char *path = path_in(lab, "state/worktrees/" ID ".lock");
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(flock(fd, LOCK_EX), 0);
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 0, "somebody has it");
    close(fd);
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 1, "nobody has");
    agent_worktree_deinit(&worktree);
}

/* ---- what was cut short ---- */

static void what_was_cut_short_is_made_anew(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *damage;
        const char *because;
    } cases[] = {
        { "sed -i 's/ready/making/' state/worktrees/" ID ".json && rm state/worktrees/" ID
          "/a.txt",
          "killed before the record said ready" },
        { "sed -i 's/ready/making/' state/worktrees/" ID ".json && rm -r state/worktrees/" ID
          " && rm repository/.git/worktrees/" ID "/gitdir && echo initializing > "
          "repository/.git/worktrees/" ID "/locked",
          "git was killed at its first file" },
        { "sed -i 's/ready/making/' state/worktrees/" ID ".json && rm -r state/worktrees/" ID
          " repository/.git/worktrees/" ID,
          "killed before git began" },
        { "sed -i 's/ready/removing/' state/worktrees/" ID ".json && rm -r "
          "repository/.git/worktrees/" ID,
          "killed while it was removed" },
        { "rm -rf state/worktrees/" ID, "lost" },
        { "rm -rf state/worktrees/" ID " && cd repository && git worktree prune",
          "lost, and the repository knows" },
        { "rm -rf state/worktrees", "all of it lost" },
        { "touch -d '1 hour ago' repository/.git/worktrees/" ID "/index.lock "
          "repository/.git/refs/heads/threadkeeper/" ID ".lock",
          "locks of a git that was killed" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_worktree worktree = open_one(lab, ID);

        write_in(&worktree, "kept.txt", "kept\n");
        commit(lab, ID);
        run(lab, cases[i].damage);
        agent_worktree_deinit(&worktree);
        worktree = open_one(lab, ID);
        write_in(&worktree, "new.txt", cases[i].because);
        CHECK_INT(commit(lab, ID).has_committed, 1, cases[i].because);
        check_said(lab,
                   "cat state/worktrees/" ID "/kept.txt state/worktrees/" ID
                   "/sub/b.txt | tail -1",
                   "sub", cases[i].because);
        check_said(lab,
                   "cd repository && git worktree list | wc -l && ls .git/worktrees | wc -l",
                   "2\n1", cases[i].because);
        agent_worktree_deinit(&worktree);
        CHECK_INT(sweep(lab, clock_wall_s() + 10), 1, "can be removed");
    }
}

static void what_belongs_to_no_repository_is_moved_aside(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);

    write_in(&worktree, "work.txt", "precious\n");
    run(lab, "rm -r repository/.git/worktrees");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 0, "cannot be committed, so it stays");
    agent_worktree_deinit(&worktree);
    worktree = open_one(lab, ID);
    check_said(lab, "cat state/worktrees/" ID ".aside-*/work.txt", "precious", "kept");
    CHECK_INT(is_there(lab, "state/worktrees/" ID "/work.txt"), 0, "a fresh one");
    agent_worktree_deinit(&worktree);
}

static void a_damaged_record_is_not_guessed_at(void **state)
{
    struct lab *lab = *state;
    struct agent_worktree worktree = open_one(lab, ID);
    struct agent_worktree_place where = place(lab, ID);
    struct err err = { 0 };

    agent_worktree_deinit(&worktree);
    run(lab, "echo garbage > state/worktrees/" ID ".json");
    CHECK_INT(agent_worktree_open(&where, &worktree, &err), -1, "refused");
    CHECK_HOLDS(err.message, "is damaged; mend:", "said");
    CHECK_INT(sweep(lab, clock_wall_s() + 10), 0, "and not removed");
    CHECK_INT(is_there(lab, "state/worktrees/" ID "/a.txt"), 1, "there");
}

static void ids_are_names_and_nothing_else(void **state)
{
    struct lab *lab = *state;
    static const char *const bad[] = { "", "../x", "a/b", "A", "a.b", "-a", "a b" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct agent_worktree_place where = place(lab, bad[i]);
        struct agent_worktree worktree = { 0 };
        struct err err = { 0 };

        CHECK_INT(agent_worktree_open(&where, &worktree, &err), -1, bad[i]);
        CHECK_INT(err.kind, ERR_INPUT, bad[i]);
    }
}

static void fail_child(const struct err *err)
{
    fprintf(stderr, "the child: %s\n", err->message);
    _exit(1);
}

/* Makes, commits and removes until it is killed. */
static void work_for_ever(const struct lab *lab, int round)
{
    struct agent_worktree_place where = place(lab, ID);

    for (int n = 0;; n++) {
        struct agent_worktree worktree = { 0 };
        struct agent_worktree_kept kept;
        size_t removed;
        AUTO_FREE char *name = xasprintf("file-%d", n % 7);
        AUTO_FREE char *text = xasprintf("%d %d", round, n);
        struct err err = { 0 };

        if (agent_worktree_open(&where, &worktree, &err) < 0)
            fail_child(&err);
        write_in(&worktree, name, text);
        agent_worktree_deinit(&worktree);
        if (agent_worktree_commit(&where, "a turn", &kept, &err) < 0 ||
            agent_worktrees_sweep(lab->state, clock_wall_s() + 10, NULL, &removed, &err) < 0)
            fail_child(&err);
    }
}

/* Killed at whatever instant, while its git goes on as it does when a daemon is killed: what
 * comes next finds what was committed, and goes on. */
static void kills_at_any_moment_are_survived(void **state)
{
    enum { ROUNDS = 25 };
    struct lab *lab = *state;
    struct agent_worktree worktree;

    for (int i = 0; i < ROUNDS; i++) {
        struct timespec pause = { .tv_nsec = (i * 7919 % 60) * 1000000L };
        pid_t child = fork();
        int status;

        if (child == 0) {
            setsid();
            work_for_ever(lab, i);
        }
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        CHECK_INT(WIFSIGNALED(status), 1, "it ran until it was killed");
    }
    worktree = open_one(lab, ID);
    write_in(&worktree, "last.txt", "last\n");
    CHECK_INT(commit(lab, ID).has_committed, 1, "it works in the end");
    agent_worktree_deinit(&worktree);
    check_said(lab,
               "cd repository && git show threadkeeper/" ID ":last.txt && git fsck --strict "
               "2>&1 | grep -v dangling | wc -l && git status --porcelain",
               "last\n0", "and nothing is broken");
}

#define WITH_LAB(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LAB(each_conversation_has_its_own_checkout),
        WITH_LAB(the_next_turn_finds_it_as_it_was),
        WITH_LAB(deleted_moved_and_turned_files_are_committed),
        WITH_LAB(a_workspace_below_the_top_is_found_in_the_checkout),
        WITH_LAB(what_cannot_have_worktrees_says_why),
        WITH_LAB(no_git_says_so),
        WITH_LAB(what_git_says_is_told_with_its_mend),
        WITH_LAB(a_daemon_that_stops_does_not_wait_for_git),
        WITH_LAB(a_branch_that_is_checked_out_elsewhere_says_so),
        WITH_LAB(no_hook_and_no_settings_of_a_user_run),
        WITH_LAB(what_an_agent_writes_is_not_run_and_not_believed),
        WITH_LAB(a_git_directory_of_the_agent_is_moved_aside),
        WITH_LAB(where_the_agent_went_gets_the_work),
        WITH_LAB(links_where_git_writes_are_not_followed),
        WITH_LAB(another_branch_is_not_moved_for_the_agent),
        WITH_LAB(old_ones_go_and_their_work_stays),
        WITH_LAB(what_cannot_be_committed_stays),
        WITH_LAB(one_that_is_in_use_is_left_alone),
        WITH_LAB(what_was_cut_short_is_made_anew),
        WITH_LAB(what_belongs_to_no_repository_is_moved_aside),
        WITH_LAB(a_damaged_record_is_not_guessed_at),
        WITH_LAB(ids_are_names_and_nothing_else),
        WITH_LAB(kills_at_any_moment_are_survived),
    };

    if (system("command -v git >/dev/null") !=
        0) { /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
        puts("git is not installed: nothing to test");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
