/* agent.worktree: every conversation works in a checkout of its own. */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"

#define TEXT_MAX_BYTES ((size_t)1 << 20)

/* A command in the workspace, its output without the last newline; lives as long as `h`. */
static char *git(struct harness *h, const char *arguments)
{
    AUTO_FREE char *command =
        xasprintf("cd %s && HOME=/nonexistent GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t "
                  "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t %s 2>&1",
                  harness_workspace(h), arguments);
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): a test's own words */
    AUTO_BUF struct buf out = { 0 };
    char bytes[4096];
    size_t got;

    buf_init(&out, TEXT_MAX_BYTES);
    while ((got = fread(bytes, 1, sizeof(bytes), pipe)) > 0)
        buf_append(&out, bytes, got);
    if (pclose(pipe) != 0)
        harness_fail(h, "%s: %s", command, buf_text(&out));
    while (out.len && buf_text(&out)[out.len - 1] == '\n')
        buf_truncate(&out, out.len - 1);
    return out.len ? buf_take(&out) : xstrdup("");
}

static void check_git(struct harness *h, const char *arguments, const char *want,
                      const char *because)
{
    AUTO_FREE char *said = git(h, arguments);

    CHECK_TEXT(said, want, because);
}

/* The double's own files lie in the workspace and are not part of the work. */
static void start(struct harness *h, const char *scenario)
{
    harness_set(h, "agent", "mode: write");
    harness_set(h, "agent", "worktree: true");
    set_scenario(h, scenario);
    free(git(h, "git init -q -b main . && echo 'fake-*' > .git/info/exclude && echo gate >> "
                ".git/info/exclude && echo original > note.txt && git add . && git commit -qm "
                "first"));
    daemon_start(h);
}

/* The branch that an answer's note names, to be freed. */
static char *branch_in(struct harness *h, const char *answer)
{
    const char *at = strstr(answer, "`threadkeeper/");

    if (at)
        return xstrndup(at + 1, strcspn(at + 1, "`"));
    harness_fail(h, "no branch in: %s", answer);
}

/* The worktree has no scenario file: the double is told on its command line. */
static void use_double(struct harness *h, const char *scenario)
{
    const char *program = getenv("TK_DOUBLE"); /* NOLINT(concurrency-mt-unsafe): one thread */
    AUTO_FREE char *path =
        realpath(program ? program : "build/release/tests/agent_double/cursor-agent", NULL);
    AUTO_FREE char *line = xasprintf("command: [%s, \"--scenario=%s\"]", path, scenario);

    harness_set(h, "agent", line);
}

static void two_threads_write_at_once_and_neither_sees_the_other(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *scenario = xasprintf("write gate=%s/gate", harness_workspace(h));
    AUTO_FREE char *one_branch = NULL;
    AUTO_FREE char *two_branch = NULL;
    AUTO_FREE char *show = NULL;
    const char *one, *two, *answer;

    use_double(h, scenario);
    start(h, "unused");
    one = lab_say(h, ALICE, DEV, NULL, "@threadkeeper written by one");
    two = lab_say(h, BOB, GENERAL, NULL, "@threadkeeper written by two");
    daemon_wait_metric(h, "turns_running", 2);
    open_gate(h);
    answer = lab_wait_reply(h, DEV, one, "held \"original\n\" before.");
    one_branch = branch_in(h, answer);
    answer = lab_wait_reply(h, GENERAL, two, "held \"original\n\" before.");
    two_branch = branch_in(h, answer);
    CHECK_INT(strcmp(one_branch, two_branch) == 0, 0, "a branch each");
    check_git(h, "git status --porcelain && cat note.txt", "original",
              "the workspace is as it was");
    show = xasprintf("git show %s:note.txt && echo && git show %s:note.txt | grep -c two",
                     one_branch, two_branch);
    check_git(h, show, "written by one\n1", "each has what it wrote");

    lab_say(h, ALICE, DEV, one, "again");
    answer = lab_wait_reply(h, DEV, one, "held \"written by one\" before.");
    CHECK_INT(strstr(answer, "threadkeeper/") == NULL, 1, "said once");
    lab_wait_idle(h, DEV, one);
    check_nothing_left(h);
    check_no_violations(h);
}

static void after_a_kill_the_thread_finds_its_checkout(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *scenario = xasprintf("write gate=%s/gate", harness_workspace(h));
    AUTO_FREE char *branch = NULL;
    AUTO_FREE char *show = NULL;
    const char *thread, *answer;

    use_double(h, scenario);
    start(h, "unused");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper first");
    daemon_wait_log(h, "started for user=" ALICE);
    daemon_kill(h);
    open_gate(h);
    daemon_start(h);
    answer = lab_wait_reply(h, DEV, thread, "held \"original\n\" before.");
    branch = branch_in(h, answer);
    lab_say(h, ALICE, DEV, thread, "second");
    lab_wait_reply(h, DEV, thread, "held \"first\" before.");
    show = xasprintf("git log --format=%%s %s", branch);
    check_git(h, show,
              "threadkeeper: changes of a turn\nthreadkeeper: changes of a turn\nfirst",
              "a commit each");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

/* The daemon that ends a run may be told something else than the one that began it. */
static void work_is_kept_whatever_the_next_daemon_is_told(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *scenario = xasprintf("write gate=%s/gate", harness_workspace(h));
    AUTO_FREE char *branch = NULL;
    AUTO_FREE char *show = NULL;
    const char *thread;

    use_double(h, scenario);
    start(h, "unused");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper first");
    daemon_wait_log(h, "started for user=" ALICE);
    CHECK_INT(daemon_stop(h), 0, "stopped");
    harness_set(h, "agent", "worktree: false");
    harness_set(h, "agent", "mode: ask");
    daemon_start(h);
    open_gate(h);
    branch = branch_in(h, lab_wait_reply(h, DEV, thread, "held \"original\n\" before."));
    show = xasprintf("git show %s:note.txt", branch);
    check_git(h, show, "first", "committed");
    lab_wait_idle(h, DEV, thread);
    check_nothing_left(h);
    check_no_violations(h);
}

static void a_workspace_without_commits_is_told_and_checked(void **state)
{
    struct harness *h = *state;
    const char *thread;
    struct program check;

    harness_set(h, "agent", "mode: write");
    harness_set(h, "agent", "worktree: true");
    set_scenario(h, "ok");
    free(git(h, "git init -q ."));
    check = run_threadkeeper(h, "", "check", NULL);
    CHECK_HOLDS(check.out, "FAIL  worktree", "check finds it");
    CHECK_HOLDS(check.out, "has no commit yet that a worktree could begin at; mend: git commit",
                "and tells the mend");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");
    lab_wait_reply(h, DEV, thread, "I could not start on this");
    CHECK_HOLDS(daemon_log(h), "mend: git commit", "the log has it");
    free(git(h, "git -c user.name=t -c user.email=t@t commit -q --allow-empty -m first"));
    check = run_threadkeeper(h, "", "check", NULL);
    CHECK_HOLDS(check.out, "ok    worktree", "now it can");
    check_nothing_left(h);
    check_no_violations(h);
}

static size_t count_worktrees(struct harness *h)
{
    AUTO_FREE char *list = git(h, "git worktree list | wc -l");

    return strtoull(list, NULL, 10);
}

static void unused_ones_are_removed_and_their_work_stays(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *branch = NULL;
    AUTO_FREE char *show = NULL;
    AUTO_FREE char *old = NULL;
    const char *thread, *answer;
    int64_t until;

    use_double(h, "write");
    start(h, "unused");
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper kept");
    answer = lab_wait_reply(h, DEV, thread, "before.");
    branch = branch_in(h, answer);
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(count_worktrees(h), 2, "the workspace and one more");
    CHECK_INT(daemon_stop(h), 0, "stopped");
    old = xasprintf("touch -d '40 days ago' %s/worktrees/*.json && echo late > $(ls -d "
                    "%s/worktrees/*/)late.txt",
                    harness_state_dir(h), harness_state_dir(h));
    free(git(h, old));
    daemon_start(h);
    until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    while (count_worktrees(h) != 1) {
        if (clock_now_ms() > until)
            harness_fail(h, "the worktree is not removed");
        poll(NULL, 0, 20);
    }
    show = xasprintf("git show %s:note.txt %s:late.txt", branch, branch);
    check_git(h, show, "keptlate", "nothing is lost");
    check_no_violations(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(two_threads_write_at_once_and_neither_sees_the_other),
        SCENARIO(after_a_kill_the_thread_finds_its_checkout),
        SCENARIO(work_is_kept_whatever_the_next_daemon_is_told),
        SCENARIO(a_workspace_without_commits_is_told_and_checked),
        SCENARIO(unused_ones_are_removed_and_their_work_stays),
    };

    if (system("command -v git >/dev/null") !=
        0) { /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
        puts("git is not installed: nothing to test");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
