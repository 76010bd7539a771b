/* What a run has to itself, and that nothing of it is found by the next. */
#include "agent/slot.h"

#include "tests/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/permission.h"
#include "agent/process.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

static char state_dir[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(state_dir, sizeof(state_dir), "/tmp/slot.XXXXXX");
    return mkdtemp(state_dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(state_dir, NULL);
}

static struct agent_slot_wanted wanted(enum agent_mode mode, const char *chats_id)
{
    return (struct agent_slot_wanted){
        .state_dir = state_dir, .run_id = "run-1", .mode = mode, .chats_id = chats_id
    };
}

static struct agent_slot *take(const char *run_id, enum agent_mode mode, const char *chats_id)
{
    struct agent_slot_wanted want = wanted(mode, chats_id);
    struct agent_slot *slot = NULL;
    struct err err = { 0 };

    want.run_id = run_id;
    if (agent_slot_take(&want, &slot, &err) < 0)
        fail_msg("no slot: %s", err.message);
    return slot;
}

static char *file_in(const struct agent_slot *slot, const char *name)
{
    return xasprintf("%s/%s", agent_slot_dir(slot), name);
}

static void put(const struct agent_slot *slot, const char *name, const char *text)
{
    AUTO_FREE char *path = file_in(slot, name);

    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static bool is_there(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

static json_t *permissions(const struct agent_slot *slot)
{
    AUTO_FREE char *path = file_in(slot, "config/cli-config.json");
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(root);
    return root;
}

static bool lists(const json_t *root, const char *list, const char *what)
{
    const json_t *array = json_object_get(json_object_get(root, "permissions"), list);

    for (size_t i = 0; i < json_array_size(array); i++) {
        if (strcmp(json_string_value(json_array_get(array, i)), what) == 0)
            return true;
    }
    return false;
}

/* ---- */

static void runs_at_once_have_different_slots(void **state)
{
    struct agent_slot *one = take("run-1", AGENT_MODE_ASK, NULL);
    struct agent_slot *two = take("run-2", AGENT_MODE_ASK, NULL);
    AUTO_FREE char *first = xstrdup(agent_slot_dir(one));

    (void)state;
    CHECK_INT(strcmp(first, agent_slot_dir(two)) == 0, 0, "two directories");
    CHECK_INT(first[0], '/', "absolute: the agent works somewhere else");
    agent_slot_release(one, false);
    one = take("run-3", AGENT_MODE_ASK, NULL);
    CHECK_TEXT(agent_slot_dir(one), first, "one that is let go is taken again");
    agent_slot_release(one, false);
    agent_slot_release(two, false);
    agent_slot_release(NULL, false);
    CHECK_INT(is_there(first), 0, "nothing is left");
}

static void a_reader_may_read_and_nothing_else(void **state)
{
    static const enum agent_mode modes[] = { AGENT_MODE_ASK, AGENT_MODE_PLAN };
    static const char *const denied[] = { "Shell(*)",        "Write(**)",      "WebFetch(*)",
                                          "Mcp(*:*)",        "Read(**/.env*)", "Read(**/*.pem)",
                                          "Read(**/id_rsa*)" };

    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct agent_slot *slot = take("run-1", modes[m], NULL);
        json_auto_t *root = permissions(slot);

        for (size_t i = 0; i < ARRAY_LEN(denied); i++)
            CHECK_INT(lists(root, "deny", denied[i]), 1, denied[i]);
        CHECK_INT(lists(root, "allow", "Read(**)"), 1, "may read");
        CHECK_INT(lists(root, "allow", "Shell(*)"), 0, "and run nothing");
        CHECK_TEXT(json_string_value(json_object_get(root, "approvalMode")), "allowlist", "");
        CHECK_INT(json_is_false(json_object_get(root, "autoAcceptWebSearch")), 1, "no web");
        CHECK_INT(json_integer_value(json_object_get(root, "version")), 1, "what it must hold");
        CHECK_INT(json_is_false(json_object_get(json_object_get(root, "editor"), "vimMode")), 1,
                  "what it must hold");
        agent_slot_release(slot, false);
    }
}

static void a_writer_may_work_but_read_no_secrets(void **state)
{
    struct agent_slot *slot = take("run-1", AGENT_MODE_WRITE, NULL);
    json_auto_t *root = permissions(slot);

    (void)state;
    CHECK_INT(lists(root, "allow", "Write(**)"), 1, "may write");
    CHECK_INT(lists(root, "allow", "Shell(*)"), 1, "may run tests");
    CHECK_INT(lists(root, "deny", "Write(**)"), 0, "deny would win");
    CHECK_INT(lists(root, "deny", "Shell(*)"), 0, "deny would win");
    CHECK_INT(lists(root, "deny", "Read(**/.env*)"), 1, "no secrets");
    CHECK_INT(lists(root, "deny", "Write(**/.cursor/hooks.json)"), 1,
              "nothing that runs later");
    agent_slot_release(slot, false);
}

/* Whatever a run did to its slot, the next one finds a fresh one. */
static void what_a_run_left_or_changed_is_gone(void **state)
{
    static const char *const damages[] = {
        "{\"permissions\":{\"allow\":[\"Shell(*)\"],\"deny\":[]}}",
        "not json",
        "",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct agent_slot *slot = take("run-1", AGENT_MODE_ASK, NULL);
        AUTO_FREE char *transcript = file_in(slot, "data/projects");
        json_t *root = NULL;

        put(slot, "config/cli-config.json", damages[i]);
        put(slot, "data/projects", "what somebody said");
        agent_slot_release(slot, false);
        CHECK_INT(is_there(transcript), 0, "not for the next to find");
        slot = take("run-2", AGENT_MODE_ASK, NULL);
        root = permissions(slot);
        CHECK_INT(lists(root, "deny", "Shell(*)"), 1, damages[i]);
        CHECK_INT(is_there(transcript), 0, "fresh");
        json_decref(root);
        agent_slot_release(slot, false);
    }
}

static void nothing_in_the_permission_files_place_is_waited_for(void **state)
{
    struct agent_slot *slot = take("run-1", AGENT_MODE_ASK, NULL);
    AUTO_FREE char *file = file_in(slot, "config/cli-config.json");

    (void)state;
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    alarm(10); /* a hang is a failure */
    agent_slot_release(slot, false);
    alarm(0);
    CHECK_INT(is_there(file), 0, "gone with the rest");
}

static void links_of_an_agent_are_removed_and_not_followed(void **state)
{
    struct agent_slot *slot = take("run-1", AGENT_MODE_ASK, NULL);
    AUTO_FREE char *config = file_in(slot, "config");
    AUTO_FREE char *precious = xasprintf("%s/precious", state_dir);
    AUTO_FREE char *file = xasprintf("%s/file", precious);

    (void)state;
    assert_int_equal(mkdir(precious, 0700), 0);
    assert_int_equal(file_write(file, "x", 1, 0600, NULL), 0);
    assert_int_equal(file_remove_tree(config, NULL), 0);
    assert_int_equal(symlink(precious, config), 0);
    agent_slot_release(slot, false);
    slot = take("run-2", AGENT_MODE_ASK, NULL);
    CHECK_INT(is_there(file), 1, "what it pointed at is as it was");
    agent_slot_release(slot, false);
}

static void a_slot_belongs_to_its_run_as_long_as_that_lives(void **state)
{
    char mark[] = "THREADKEEPER_RUN=7d9c2c1e-0000-4000-8000-00000000slot";
    const char *run_id = strchr(mark, '=') + 1;
    struct agent_slot *slot = take(run_id, AGENT_MODE_ASK, NULL);
    AUTO_FREE char *dir = xstrdup(agent_slot_dir(slot));
    char *const argv[] = { (char *)"sleep", (char *)"1000", NULL };
    char *const environment[] = { mark, NULL };
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        execve("/bin/sleep", argv, environment);
        _exit(1);
    }
    put(slot, "data/its", "own");
    agent_slot_release(slot, true); /* the daemon goes, the run goes on */
    /* It has its mark only after the exec. */
    for (int i = 0; i < 3000 && process_signal_run(run_id, 0, 0) == 0; i++)
        poll(NULL, 0, 10);
    slot = take("run-2", AGENT_MODE_ASK, NULL);
    CHECK_INT(strcmp(agent_slot_dir(slot), dir) == 0, 0, "a living run's is not given away");
    agent_slot_release(slot, false);
    agent_slots_clear(state_dir);
    CHECK_INT(is_there(dir), 1, "nor is it emptied");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    agent_slots_clear(state_dir);
    CHECK_INT(is_there(dir), 0, "until the run is over");
    slot = take("run-3", AGENT_MODE_ASK, NULL);
    CHECK_TEXT(agent_slot_dir(slot), dir, "then it is free");
    agent_slot_release(slot, false);
}

/* Killed in the middle of taking and releasing: the next daemon takes slots all the same. */
static void kills_leave_slots_that_can_be_taken(void **state)
{
    AUTO_FREE char *first = NULL;
    struct agent_slot *slot;

    (void)state;
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            for (;;) {
                struct agent_slot_wanted want = wanted(AGENT_MODE_ASK, "abc");

                slot = NULL;
                if (agent_slot_take(&want, &slot, NULL) < 0)
                    _exit(1);
                agent_slot_release(slot, false);
            }
        }
        nanosleep(&(struct timespec){ .tv_nsec = (i * 7919 % 20) * 1000000L }, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        slot = take("run-1", AGENT_MODE_ASK, NULL);
        if (!first)
            first = xstrdup(agent_slot_dir(slot));
        CHECK_TEXT(agent_slot_dir(slot), first, "the same one, every time");
        agent_slot_release(slot, false);
    }
}

/* As an ordinary user, who cannot remove what is not theirs. */
static int take_the_first(void)
{
    struct agent_slot_wanted want = wanted(AGENT_MODE_ASK, NULL);
    struct agent_slot *slot = NULL;
    int rc = 0;

    if (setresuid(65534, 65534, 65534) < 0 || agent_slot_take(&want, &slot, NULL) < 0)
        return 1;
    rc = strcmp(strrchr(agent_slot_dir(slot), '/'), "/0") == 0 ? 0 : 2;
    agent_slot_release(slot, false);
    return rc;
}

static size_t count_entries(const char *path, const char *part)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    while (directory && (entry = readdir(directory)) != NULL)
        count += strstr(entry->d_name, part) != NULL;
    if (directory)
        closedir(directory);
    return count;
}

static void what_cannot_be_removed_does_not_cost_the_slot(void **state)
{
    AUTO_FREE char *slots = xasprintf("%s/slots", state_dir);
    AUTO_FREE char *dir = xasprintf("%s/0", slots);
    AUTO_FREE char *foreign = xasprintf("%s/foreign", dir);
    AUTO_FREE char *file = xasprintf("%s/file", foreign);
    int status = -1;
    pid_t pid;

    (void)state;
    if (geteuid() != 0)
        skip(); /* who else could make what they cannot remove? */
    assert_int_equal(file_make_dirs(foreign, 0755, NULL), 0);
    assert_int_equal(file_write(file, "x", 1, 0644, NULL), 0);
    assert_int_equal(chown(dir, 65534, 65534) | chown(slots, 65534, 65534) |
                         chown(state_dir, 65534, 65534),
                     0);
    pid = fork();
    if (pid == 0)
        _exit(take_the_first());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : 100, 0, "taken");
    CHECK_INT(count_entries(slots, "0.bad-"), 1, "aside");
    agent_slots_clear(state_dir);
    CHECK_INT(count_entries(slots, "0.bad-"), 0, "removed when it can be");
}

static void what_cannot_be_written_says_so(void **state)
{
    struct agent_slot_wanted want = wanted(AGENT_MODE_ASK, NULL);
    AUTO_FREE char *slots = xasprintf("%s/slots", state_dir);
    struct agent_slot *slot = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(file_write(slots, "x", 1, 0600, NULL), 0);
    CHECK_INT(agent_slot_take(&want, &slot, &err), -1, "no directory");
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    CHECK_HOLDS(err.message, slots, "says which");
    unlink(slots);
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_equal(chmod(state_dir, 0500), 0);
        err = (struct err){ 0 };
        CHECK_INT(agent_slot_take(&want, &slot, &err), -1, "read-only state_dir");
        CHECK_INT(err.kind, ERR_SYSTEM, err.message);
        assert_int_equal(chmod(state_dir, 0700), 0);
    }
    want.state_dir = "/proc/self";
    err = (struct err){ 0 };
    CHECK_INT(agent_slot_take(&want, &slot, &err), -1, "a file system that takes nothing");
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
}

/* ---- the environment ---- */

static const char *value_in(char **environment, const char *name)
{
    for (size_t i = 0; environment[i]; i++) {
        if (strncmp(environment[i], name, strlen(name)) == 0 &&
            environment[i][strlen(name)] == '=')
            return environment[i] + strlen(name) + 1;
    }
    return NULL;
}

static void the_slot_goes_before_our_own_environment(void **state)
{
    struct agent_slot *slot = take("run-1", AGENT_MODE_ASK, NULL);
    AUTO_FREE char *config = file_in(slot, "config");
    AUTO_FREE char *data = file_in(slot, "data");
    const char *named[] = { "CURSOR_CONFIG_DIR", "CURSOR_DATA_DIR", NULL };
    char **environment;

    (void)state;
    setenv("CURSOR_CONFIG_DIR", "/ours", 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    unsetenv("CURSOR_DATA_DIR");             /* NOLINT(concurrency-mt-unsafe) */
    setenv("HOME", "/home/ours", 1);         /* NOLINT(concurrency-mt-unsafe) */
    environment = agent_slot_environment(agent_slot_dir(slot), NULL);
    CHECK_TEXT(value_in(environment, "CURSOR_CONFIG_DIR"), config, "its own");
    CHECK_TEXT(value_in(environment, "CURSOR_DATA_DIR"), data, "its own");
    CHECK_INT(value_in(environment, "HOME") == NULL, 1, "a stored login stays ours");
    free(environment);
    environment = agent_slot_environment(agent_slot_dir(slot), named);
    CHECK_INT(value_in(environment, "CURSOR_CONFIG_DIR") == NULL, 1, "who names it keeps it");
    CHECK_TEXT(value_in(environment, "CURSOR_DATA_DIR"), data, "named, but not there");
    free(environment);
    environment = agent_slot_environment(NULL, NULL);
    CHECK_INT(environment[0] == NULL, 1, "no slot");
    free(environment);
    unsetenv("CURSOR_CONFIG_DIR"); /* NOLINT(concurrency-mt-unsafe) */
    agent_slot_release(slot, false);
}

static void long_paths_are_noticed(void **state)
{
    (void)state;
    CHECK_INT(agent_slot_path_is_long("/var/lib/threadkeeper"), 0, "the usual one");
    CHECK_INT(
        agent_slot_path_is_long("/srv/a/very/long/path/that/somebody/thought/was/a/good/idea"),
        1, "a socket's name would not fit");
}

/* ---- chats ---- */

static void chats_are_found_from_every_slot(void **state)
{
    struct agent_slot *one = take("run-1", AGENT_MODE_ASK, "abc123");
    struct agent_slot *two = take("run-2", AGENT_MODE_ASK, "def456");
    AUTO_FREE char *chat = NULL;

    (void)state;
    put(one, "config/chats/store.db", "what was said");
    CHECK_HOLDS(agent_slot_chats(one), "/chats/abc123", "the fence lets it write there");
    agent_slot_release(one, false);
    agent_slot_release(two, false);
    one = take("run-3", AGENT_MODE_ASK, NULL);
    two = take("run-4", AGENT_MODE_ASK, "abc123");
    chat = file_in(two, "config/chats/store.db");
    CHECK_INT(is_there(chat), 1, "found from another slot");
    free(chat);
    chat = file_in(one, "config/chats/store.db");
    CHECK_INT(is_there(chat), 0, "and by nobody else");
    CHECK_INT(agent_slot_chats(one) == NULL, 1, "none");
    agent_slot_release(one, false);
    agent_slot_release(two, false);
}

static void a_slot_that_is_filled_anew_is_as_it_was(void **state)
{
    struct agent_slot *slot = take("run-1", AGENT_MODE_ASK, "abc123");
    AUTO_FREE char *chats = file_in(slot, "config/chats");
    AUTO_FREE char *left = file_in(slot, "data/left");
    AUTO_FREE char *before = xstrdup(agent_slot_chats(slot));
    AUTO_FREE char *leads_to = NULL;
    AUTO_FREE char *config = file_in(slot, "config");

    (void)state;
    put(slot, "data/left", "by the first attempt");
    put(slot, "config/cli-config.json", "{}");
    assert_int_equal(unlink(chats), 0);
    assert_int_equal(symlink("/etc", chats), 0);
    CHECK_TEXT(agent_slot_chats(slot), before, "the link is not asked");
    CHECK_INT(agent_slot_fill(slot, NULL), 0, "filled");
    leads_to = realpath(chats, NULL);
    CHECK_TEXT(leads_to, before, "the link leads to the chats");
    CHECK_INT(is_there(left), 0, "nothing else is left");
    CHECK_INT(agent_permission_holds(config, AGENT_MODE_ASK), 1, "the permissions are ours");
    agent_slot_release(slot, false);
}

static void chats_are_forgotten_and_swept(void **state)
{
    size_t removed = 9;
    struct agent_slot_wanted want = wanted(AGENT_MODE_ASK, "../../etc");
    struct agent_slot *slot = NULL;
    AUTO_FREE char *forgotten = xasprintf("%s/chats/abc", state_dir);
    AUTO_FREE char *old = xasprintf("%s/chats/def", state_dir);
    struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

    (void)state;
    CHECK_INT(agent_chats_sweep(state_dir, clock_wall_s(), &removed, NULL), 0, "none yet");
    CHECK_INT(removed, 0, "none yet");
    agent_slot_release(take("run-1", AGENT_MODE_ASK, "abc"), false);
    agent_slot_release(take("run-1", AGENT_MODE_ASK, "def"), false);
    CHECK_INT(agent_chats_forget(state_dir, "abc", NULL), 0, "forgotten");
    CHECK_INT(agent_chats_forget(state_dir, "abc", NULL), 0, "twice is fine");
    CHECK_INT(is_there(forgotten), 0, "gone");
    assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
    CHECK_INT(agent_chats_sweep(state_dir, 999, &removed, NULL), 0, "young enough");
    CHECK_INT(removed, 0, "young enough");
    CHECK_INT(agent_chats_sweep(state_dir, 2000, &removed, NULL), 0, "old");
    CHECK_INT(removed, 1, "old");
    CHECK_INT(is_there(old), 0, "gone");
    CHECK_INT(agent_slot_take(&want, &slot, NULL), -1, "no name");
    CHECK_INT(agent_chats_forget(state_dir, "../slots", NULL), -1, "no name");
}

#define WITH_STATE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STATE(runs_at_once_have_different_slots),
        WITH_STATE(a_reader_may_read_and_nothing_else),
        WITH_STATE(a_writer_may_work_but_read_no_secrets),
        WITH_STATE(what_a_run_left_or_changed_is_gone),
        WITH_STATE(nothing_in_the_permission_files_place_is_waited_for),
        WITH_STATE(links_of_an_agent_are_removed_and_not_followed),
        WITH_STATE(a_slot_belongs_to_its_run_as_long_as_that_lives),
        WITH_STATE(kills_leave_slots_that_can_be_taken),
        WITH_STATE(what_cannot_be_removed_does_not_cost_the_slot),
        WITH_STATE(what_cannot_be_written_says_so),
        WITH_STATE(the_slot_goes_before_our_own_environment),
        WITH_STATE(long_paths_are_noticed),
        WITH_STATE(chats_are_found_from_every_slot),
        WITH_STATE(a_slot_that_is_filled_anew_is_as_it_was),
        WITH_STATE(chats_are_forgotten_and_swept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
