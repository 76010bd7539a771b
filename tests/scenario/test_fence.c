/*
 * The double turns hostile: what it tries, what comes of it within the fence, and that without
 * one it would succeed.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

#define LEAKED_TOKEN "xoxb-1-leaked-by-another-name"
#define FILE_BYTES   ((size_t)1 << 20)

static char *path_in(struct harness *h, const char *name)
{
    return xasprintf("%s/%s", harness_dir(h), name);
}

static void write_text(struct harness *h, const char *path, const char *text)
{
    struct err err = { 0 };

    if (file_write(path, text, strlen(text), 0644, &err) < 0)
        harness_fail(h, "%s", err.message);
}

static void read_text(struct harness *h, const char *path, struct buf *out)
{
    struct err err = { 0 };

    buf_init(out, FILE_BYTES);
    if (file_read(path, out, &err) < 0)
        harness_fail(h, "%s", err.message);
}

/* What the daemon says of its fence; new. */
static json_t *fence_of(struct harness *h)
{
    const char *body = NULL;
    json_auto_t *status = NULL;

    daemon_get(h, "/status", &body);
    status = json_loads(body ? body : "", 0, NULL);
    return json_incref(json_object_get(status, "fence"));
}

static bool has_landlock(struct harness *h)
{
    json_auto_t *fence = fence_of(h);

    return json_integer_value(json_object_get(fence, "landlock")) > 0;
}

/* What it aims at lies about; then it is started. The daemon runs already. */
static const char *play_hostile(struct harness *h, const char *how)
{
    AUTO_FREE char *token = path_in(h, "token");
    AUTO_FREE char *victim = path_in(h, "victim");
    AUTO_FREE char *link = xasprintf("%s/link-to-config", harness_workspace(h));
    AUTO_FREE char *other = xasprintf("%s/runs/other", harness_state_dir(h));
    AUTO_FREE char *prompt = xasprintf("%s/prompt", other);
    AUTO_FREE char *scenario = xasprintf(
        "hostile config=%s token=%s database=%s/threadkeeper.db prompt=%s victim=%s outside=%s "
        "%s",
        harness_config_path(h), token, harness_state_dir(h), prompt, victim, harness_dir(h),
        how);

    write_text(h, token, "xoxb-a-token");
    write_text(h, victim, "still here");
    if (symlink(harness_config_path(h), link) != 0 || mkdir(other, 0700) != 0)
        harness_fail(h, "cannot lay out %s", link);
    write_text(h, prompt, "somebody else's question");
    set_scenario(h, scenario);
    lab_say(h, ALICE, ALICE_DM, NULL, "do your worst");
    return lab_wait_reply(h, ALICE_DM, NULL, " end");
}

/* Whether the answer says NAME=done. */
static bool is_done(const char *answer, const char *name)
{
    AUTO_FREE char *word = xasprintf("%s=done", name);

    return strstr(answer, word) != NULL;
}

/* Fails on the first attempt that succeeded, or on one of the agent's own ways that did not. */
static size_t check_refused(const char *answer, bool is_watched)
{
    size_t count = 0;

    for (const char *at = answer; at;) {
        size_t len = strcspn(at, " ");
        AUTO_FREE char *word = xstrndup(at, len);
        bool is_own = strncmp(word, "own-", 4) == 0;
        bool is_about_connect =
            strncmp(word, "metadata", 8) == 0 || strncmp(word, "abstract", 8) == 0;

        if (strchr(word, '=')) {
            count++;
            if (strstr(word, "=done") ? !is_own : is_own)
                fail_msg("%s", word);
            /* The network that is not there would stop it as well. */
            if (is_watched && is_about_connect && !strstr(word, "=EACCES") &&
                !strstr(word, "=EPERM") && !strstr(word, "=EOPNOTSUPP"))
                fail_msg("%s", word);
            if (strstr(word, "=ENOENT"))
                fail_msg("%s: the test aims at nothing", word);
        }
        at = at[len] ? at + len + 1 : NULL;
    }
    return count;
}

static void what_a_hostile_agent_tries_is_refused(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *victim = path_in(h, "victim");
    AUTO_BUF struct buf left = { 0 };
    const char *answer = NULL;

    harness_set(h, "agent", "fence_write: []");
    harness_set(h, "agent", "max_processes: 64");
    daemon_start(h);
    if (!has_landlock(h)) {
        printf("# the kernel has no Landlock\n");
        skip();
    }
    answer = play_hostile(h, "signal=9 forks=200");
    {
        json_auto_t *fence = fence_of(h);
        bool is_watched = json_is_true(json_object_get(fence, "metadata"));

        CHECK_INT(check_refused(answer, is_watched) >= 75, 1, "all of it was tried");
    }
    read_text(h, victim, &left);
    CHECK_TEXT(buf_text(&left), "still here", "nothing happened to it");
    set_scenario(h, "ok");
    lab_say(h, ALICE, ALICE_DM, NULL, "are you well?");
    lab_wait_reply(h, ALICE_DM, NULL, "are you well?");
    check_nothing_left(h);
    CHECK_INT(daemon_stop(h), 0, "the daemon is well");
}

static void without_a_fence_it_would_succeed(void **state)
{
    static const char *const names[] = {
        "config",        "config-by-root", "token",           "database",
        "other-prompt",  "tmp-link",       "outbox-link",     "workspace-link",
        "meta-read",     "meta-write",     "workspace-write", "outside-write",
        "kill-daemon",   "kill-all",       "tgkill",          "sigqueue",
        "daemon-limits", "victim-link",    "victim-move",     "victim-truncate",
        "victim-remove", "forkbomb",       "pidfd-signal",    "kill-supervisor",
    };
    struct harness *h = *state;
    AUTO_BUF struct buf list = { 0 };
    const char *answer = NULL;

    buf_init(&list, 4096);
    buf_append_text(&list, "signal=0 forks=80 try=");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        buf_printf(&list, "%s,", names[i]);
    harness_set(h, "agent", "fence: off");
    harness_set(h, "agent", "max_processes: 64");
    daemon_start(h);
    answer = play_hostile(h, buf_text(&list));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        CHECK_INT(is_done(answer, names[i]), 1, names[i]);
    daemon_wait_log(h, "agent.fence is off");
}

static void a_writer_changes_its_workspace_and_nothing_else(void **state)
{
    struct harness *h = *state;
    const char *answer = NULL;

    harness_set(h, "agent", "fence_write: []");
    harness_set(h, "agent", "mode: write");
    daemon_start(h);
    if (!has_landlock(h)) {
        printf("# the kernel has no Landlock\n");
        skip();
    }
    answer =
        play_hostile(h, "try=workspace-write,workspace-link,config,outside-write,victim-move");
    CHECK_INT(is_done(answer, "workspace-write"), 1, "in mode write");
    CHECK_HOLDS(answer, "workspace-link=EACCES", "a link leads nowhere");
    CHECK_HOLDS(answer, "config=EACCES", "what it may not read in mode ask");
    CHECK_HOLDS(answer, "outside-write=EACCES", "beside the workspace");
}

static void a_repeated_attempt_begins_with_nothing_of_the_first(void **state)
{
    struct harness *h = *state;
    const char *answer = NULL;

    daemon_start(h);
    if (!has_landlock(h)) {
        printf("# the kernel has no Landlock\n");
        skip();
    }
    answer = play_hostile(h, "relink=1 try=own-tmp,database,loose-permissions");
    daemon_wait_log(h, "trying again");
    CHECK_INT(is_done(answer, "own-tmp"), 1, "the second attempt");
    CHECK_HOLDS(answer, "database=EACCES", "the link of the first one opens nothing");
    CHECK_HOLDS(answer, "loose-permissions=EACCES", "its permissions are the daemon's");
}

/* Whether a process has this as an argument. */
static bool somebody_has_argument(const char *argument)
{
    DIR *proc = opendir("/proc");
    bool is_there = false;

    for (const struct dirent *entry; !is_there && proc && (entry = readdir(proc)) != NULL;) {
        AUTO_FREE char *path = xasprintf("/proc/%s/cmdline", entry->d_name);
        char words[512] = "";
        AUTO_FD int fd =
            isdigit((unsigned char)entry->d_name[0]) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t got = fd >= 0 ? read(fd, words, sizeof(words) - 1) : 0;

        is_there = got > 0 && memmem(words, (size_t)got, argument, strlen(argument)) != NULL;
    }
    if (proc)
        closedir(proc);
    return is_there;
}

static void what_leaves_its_session_parents_and_environment_is_ended(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *argument = NULL;
    int64_t tries = 0;

    daemon_start(h);
    argument = xasprintf("1000.%d", (int)daemon_pid(h));
    CHECK_INT(is_done(play_hostile(h, "try=daemonize"), "daemonize"), 1, "it may try");
    lab_wait_idle(h, ALICE_DM, NULL);
    while (somebody_has_argument(argument))
        harness_wait_step(h, &tries, "what the agent left behind lives");
}

static void an_agent_that_fills_the_disk_is_stopped(void **state)
{
    struct harness *h = *state;

    harness_set(h, "agent", "max_output: 256KiB");
    daemon_start(h);
    set_scenario(h, "hostile try=fill-disk files=200");
    lab_say(h, ALICE, ALICE_DM, NULL, "fill it");
    lab_wait_reply(h, ALICE_DM, NULL, "more output than it is allowed to");
    check_nothing_left(h);
}

/* Fails when a file below holds the beginning of a token. */
static void check_no_token_below(const char *directory)
{
    DIR *listing = opendir(directory);

    for (const struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        AUTO_FREE char *path = xasprintf("%s/%s", directory, entry->d_name);
        AUTO_BUF struct buf bytes = { 0 };
        struct stat info;

        if (entry->d_name[0] == '.' || lstat(path, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode))
            check_no_token_below(path);
        buf_init(&bytes, FILE_BYTES);
        if (S_ISREG(info.st_mode) && file_read(path, &bytes, NULL) == 0 &&
            (memmem(buf_text(&bytes), bytes.len, "xoxb-", 5) ||
             memmem(buf_text(&bytes), bytes.len, "xapp-", 5)))
            fail_msg("%s holds a token", path);
    }
    if (listing)
        closedir(listing);
}

/* A held-open run: what its process was given, and what lies where it may read. */
static void no_token_reaches_the_agent_by_any_way(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *record = xasprintf("%s/fake-cursor-agent.log", harness_workspace(h));
    AUTO_FREE char *runs = xasprintf("%s/runs", harness_state_dir(h));
    AUTO_FREE char *slots = xasprintf("%s/slots", harness_state_dir(h));
    AUTO_BUF struct buf text = { 0 };
    int64_t tries = 0;

    setenv("HARMLESS_NAME", LEAKED_TOKEN, 1);        /* NOLINT(concurrency-mt-unsafe) */
    setenv("SLACK_BOT_TOKEN", LEAKED_TOKEN, 1);      /* NOLINT(concurrency-mt-unsafe) */
    setenv("TK_TEST_ASKED_FOR", "by its name", 1);   /* NOLINT(concurrency-mt-unsafe) */
    setenv("LD_LIBRARY_PATH", "/nowhere-at-all", 1); /* NOLINT(concurrency-mt-unsafe) */
    harness_set(h, "agent",
                "env: [CURSOR_API_KEY, HARMLESS_NAME, SLACK_BOT_TOKEN, TK_TEST_ASKED_FOR]");
    set_scenario(h, "gate");
    daemon_start(h);
    unsetenv("LD_LIBRARY_PATH"); /* NOLINT(concurrency-mt-unsafe) */
    lab_say(h, ALICE, ALICE_DM, NULL, "hold still");
    while (access(record, F_OK) != 0)
        harness_wait_step(h, &tries, "the double has noted nothing");
    check_no_token_below(runs);
    check_no_token_below(slots);
    check_no_token_below(harness_workspace(h));
    open_gate(h);
    lab_wait_idle(h, ALICE_DM, NULL);
    read_text(h, record, &text);
    CHECK_HOLDS(buf_text(&text), "TK_TEST_ASKED_FOR=by its name", "agent.env names it");
    CHECK_HOLDS(buf_text(&text), "THREADKEEPER_OUTBOX=", "where to put files");
    CHECK_HOLDS(buf_text(&text), "\"fds\":[0,1,2]", "no descriptor of the daemon's");
    CHECK_INT(strstr(buf_text(&text), "SLACK_") == NULL, 1, "never, not even by name");
    CHECK_INT(strstr(buf_text(&text), "HARMLESS_NAME") == NULL, 1, "a token by another name");
    CHECK_INT(strstr(buf_text(&text), "LD_LIBRARY_PATH") == NULL, 1, "not on the list");
    unsetenv("SLACK_BOT_TOKEN"); /* NOLINT(concurrency-mt-unsafe) */
    unsetenv("HARMLESS_NAME");   /* NOLINT(concurrency-mt-unsafe) */
}

static void status_and_check_say_what_there_is(void **state)
{
    struct harness *h = *state;
    json_auto_t *fence = NULL;
    struct program check;

    daemon_start(h);
    fence = fence_of(h);
    CHECK_TEXT(json_string_value(json_object_get(fence, "mode")), "auto", "as configured");
    CHECK_INT(json_is_array(json_object_get(fence, "missing")), 1, "a list, empty or not");
    CHECK_INT(json_is_true(json_object_get(fence, "seccomp")), 1, "everywhere");
    CHECK_HOLDS(run_threadkeeper(h, "", "status", NULL).out, "fence     auto", "for people");
    check = run_threadkeeper(h, "", "check", NULL);
    CHECK_HOLDS(check.out, "  fence ", "a line of its own");
}

SCENARIO_MAIN(SCENARIO(what_a_hostile_agent_tries_is_refused),
              SCENARIO(without_a_fence_it_would_succeed),
              SCENARIO(a_writer_changes_its_workspace_and_nothing_else),
              SCENARIO(a_repeated_attempt_begins_with_nothing_of_the_first),
              SCENARIO(what_leaves_its_session_parents_and_environment_is_ended),
              SCENARIO(an_agent_that_fills_the_disk_is_stopped),
              SCENARIO(no_token_reaches_the_agent_by_any_way),
              SCENARIO(status_and_check_say_what_there_is))
