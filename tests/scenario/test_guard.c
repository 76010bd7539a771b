/* No secret reaches Slack, the memory or the log, whichever way it comes. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

#define SECRET         "correct-horse-battery-staple"
#define PASTED         "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE3fG6"
#define FILE_MAX_BYTES ((size_t)64 << 20)

static char *secrets_path(struct harness *h)
{
    return xasprintf("%s/secrets.env", harness_dir(h));
}

static void write_file(struct harness *h, const char *path, const char *text)
{
    struct err err = { 0 };

    if (file_write(path, text, strlen(text), 0600, &err) < 0)
        harness_fail(h, "%s", err.message);
}

static void know(struct harness *h, const char *text)
{
    AUTO_FREE char *path = secrets_path(h);
    AUTO_FREE char *option = xasprintf("secret_files: [%s]", path);

    write_file(h, path, text);
    harness_set(h, "guard", option);
}

static void leak(struct harness *h, const char *scenario, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/leak", harness_workspace(h));

    write_file(h, path, text);
    set_scenario(h, scenario);
}

/* ---- where a secret must not be -----------------------------------------------------------
 */

static void check_calls(struct harness *h, const char *secret)
{
    json_int_t after = 0;

    for (;;) {
        AUTO_FREE char *command =
            xasprintf("log?after=%lld&wait_ms=0&kind=api", (long long)after);
        json_auto_t *page = lab_command(h, command, NULL);
        const json_t *entries = json_object_get(page, "entries");
        const json_t *entry;
        size_t i;

        if (!json_array_size(entries))
            return;
        json_array_foreach(entries, i, entry)
        {
            AUTO_FREE char *args = json_dumps(json_object_get(entry, "args"), 0);

            CHECK_INT(args && strstr(args, secret), 0, args);
            after = json_integer_value(json_object_get(entry, "seq"));
        }
    }
}

static void check_files(struct harness *h, const char *dir_path, const char *secret)
{
    DIR *dir = opendir(dir_path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        AUTO_FREE char *path = xasprintf("%s/%s", dir_path, entry->d_name);
        AUTO_BUF struct buf bytes = { 0 };
        struct stat info;

        if (entry->d_name[0] == '.' || lstat(path, &info) < 0)
            continue;
        if (S_ISDIR(info.st_mode))
            check_files(h, path, secret);
        buf_init(&bytes, FILE_MAX_BYTES);
        if (S_ISREG(info.st_mode) && file_read(path, &bytes, NULL) == 0 && bytes.len)
            CHECK_INT(memmem(bytes.data, bytes.len, secret, strlen(secret)) != NULL, 0, path);
    }
    if (dir)
        closedir(dir);
}

static void check_nowhere(struct harness *h, const char *secret)
{
    check_calls(h, secret);
    CHECK_INT(strstr(daemon_log(h), secret) != NULL, 0, "in the log");
    CHECK_INT(daemon_stop(h), 0, "clean end");
    check_files(h, harness_state_dir(h), secret);
    check_no_violations(h);
}

/* ---- outgoing -----------------------------------------------------------------------------
 */

static void leak_in_mode(struct harness *h, const char *mode)
{
    AUTO_FREE char *reply = xasprintf("reply: %s", mode);
    const char *thread;

    know(h, "DB_PASSWORD=" SECRET "\n");
    leak(h, "leak piece=5 pause_ms=3", SECRET);
    harness_set(h, "slack", reply);
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper what is the password?");
    lab_wait_reply(h, DEV, thread, "It is <[secret removed]> and no more.");
    lab_wait_idle(h, DEV, thread);
    daemon_wait_metric(h, "guard_masked_total{direction=\"outgoing\"}", 1);
    CHECK_HOLDS(daemon_log(h), "kind=a secret that is known here", "the log says what kind");
    check_nowhere(h, SECRET);
}

static void an_answer_that_streams_holds_no_secret(void **state)
{
    leak_in_mode(*state, "stream");
}

static void nor_does_one_that_is_edited(void **state)
{
    leak_in_mode(*state, "edit");
}

static void nor_does_one_that_is_posted(void **state)
{
    leak_in_mode(*state, "post");
}

static void a_token_of_our_own_is_known_without_being_told(void **state)
{
    struct harness *h = *state;
    const char *thread;

    /* harness.c puts it into the environment of the daemon and of the agent. */
    leak(h, "leak piece=1", "key-for-the-double");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper what is your key?");
    lab_wait_reply(h, DEV, thread, "It is <[secret removed]> and no more.");
    check_nowhere(h, "key-for-the-double");
}

static void the_cause_of_a_failure_holds_none(void **state)
{
    struct harness *h = *state;
    const char *thread;

    know(h, SECRET "\n");
    leak(h, "leak fail=1", SECRET);
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper try");
    lab_wait_reply(h, DEV, thread, ":warning:");
    lab_wait_idle(h, DEV, thread);
    CHECK_HOLDS(daemon_log(h), "cannot go on with ***", "the cause is in the log, masked");
    check_nowhere(h, SECRET);
}

/* Taken up again, the answer is given from its start: the same marks at the same places. */
static void an_answer_goes_on_behind_the_guard_after_a_restart(void **state)
{
    struct harness *h = *state;
    const char *thread;

    know(h, SECRET "\n");
    leak(h, "leak piece=4 pause_ms=60", SECRET " one " SECRET " two " SECRET " three");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper what is it?");
    lab_wait_text(h, DEV, thread, "[secret removed] one");
    daemon_kill(h);
    daemon_start(h);
    lab_wait_reply(h, DEV, thread,
                   "It is <[secret removed] one [secret removed] two [secret removed] three> "
                   "and no more.");
    lab_wait_idle(h, DEV, thread);
    CHECK_INT(lab_count_replies(h, DEV, thread), 1, "one message");
    check_nowhere(h, SECRET);
}

static void the_desk_repeats_no_secret(void **state)
{
    struct harness *h = *state;

    know(h, SECRET "\n");
    harness_set(h, "guard", "inbound: false");
    set_scenario(h, "ok");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs set language " SECRET);
    lab_wait_reply(h, ALICE_DM, NULL, "[secret removed]");
    check_calls(h, SECRET);
}

static void a_reload_brings_new_secrets_into_force(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *path = secrets_path(h);
    const char *thread;

    know(h, "something-else-entirely\n");
    leak(h, "leak", SECRET);
    daemon_start(h);
    write_file(h, path, "export TOKEN='" SECRET "'\n");
    daemon_reload(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper what is it?");
    lab_wait_reply(h, DEV, thread, "It is <[secret removed]> and no more.");
    /* A list that cannot be read changes nothing, and is said. */
    CHECK_INT(unlink(path), 0, "gone");
    daemon_signal(h, SIGHUP);
    daemon_wait_log(h, "configuration not reloaded, the old one stays in force: "
                       "guard.secret_files: cannot read");
    thread = lab_say(h, BOB, DEV, NULL, "@threadkeeper what is it?");
    lab_wait_reply(h, DEV, thread, "It is <[secret removed]> and no more.");
    check_nowhere(h, SECRET);
}

static void a_list_that_cannot_be_read_is_no_start(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *path = secrets_path(h);
    AUTO_FREE char *option = xasprintf("secret_files: [%s]", path);
    struct program check;

    harness_set(h, "guard", option);
    daemon_launch(h);
    CHECK_INT(daemon_wait_exit(h), 1, "refused");
    CHECK_HOLDS(daemon_log(h), "cannot start: guard.secret_files: cannot read", "and says why");
    check = run_threadkeeper(h, "", "check", NULL);
    CHECK_HOLDS(check.out, "FAIL  guard", "check names it");
    CHECK_HOLDS(check.out, path, "with its path");
    write_file(h, path, SECRET "\n");
    check = run_threadkeeper(h, "", "check", NULL);
    CHECK_HOLDS(check.out, "ok    guard      1 secret", "and is content afterwards");
}

static void the_terminal_is_guarded_as_well(void **state)
{
    struct harness *h = *state;
    struct program chat;

    know(h, SECRET "\n");
    leak(h, "leak", SECRET);
    chat = run_threadkeeper(h, "my token is " PASTED ", what is it?\n", "chat", NULL);
    CHECK_INT(chat.status, 0, chat.err);
    CHECK_HOLDS(chat.out, "It is <[secret removed]> and no more.", "masked");
    CHECK_HOLDS(chat.out, "held what looks like a GitHub token", "and told");
    CHECK_INT(strstr(chat.out, SECRET) != NULL, 0, "not shown");
    check_files(h, harness_state_dir(h), SECRET);
    check_files(h, harness_state_dir(h), PASTED);
}

/* ---- inbound ------------------------------------------------------------------------------
 */

static json_t *find_notice(struct harness *h, const char *channel, const char *thread)
{
    json_auto_t *messages = lab_messages(h, channel, thread);
    json_t *message;
    json_t *found = NULL;
    size_t i;

    json_array_foreach(messages, i, message)
    {
        const char *text = json_string_value(json_object_get(message, "text"));

        if (text && strstr(text, "held what looks like"))
            found = message;
    }
    return json_incref(found);
}

static void a_pasted_token_reaches_nobody_and_its_author_is_told(void **state)
{
    struct harness *h = *state;
    json_auto_t *notice = NULL;
    const char *thread;

    set_scenario(h, "echo");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper why does " PASTED " not work?");
    lab_wait_reply(h, DEV, thread, "why does [secret removed] not work?");
    lab_wait_reply(h, DEV, NULL, "held what looks like a GitHub token");
    notice = find_notice(h, DEV, NULL);
    CHECK_TEXT(json_string_value(json_object_get(notice, "ephemeral_user")), ALICE,
               "nobody else sees it");
    daemon_wait_metric(h, "guard_masked_total{direction=\"inbound\"}", 1);
    lab_wait_idle(h, DEV, thread);
    check_nowhere(h, PASTED);
}

static void in_a_direct_message_the_notice_stays(void **state)
{
    struct harness *h = *state;
    json_auto_t *notice = NULL;

    know(h, SECRET "\n");
    set_scenario(h, "echo");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "is " SECRET " still good?");
    lab_wait_reply(h, ALICE_DM, NULL, "is [secret removed] still good?");
    lab_wait_reply(h, ALICE_DM, NULL, "a secret that is known here");
    notice = find_notice(h, ALICE_DM, NULL);
    CHECK_TEXT(json_string_value(json_object_get(notice, "ephemeral_user")), "",
               "an ordinary message");
    check_nowhere(h, SECRET);
}

static void a_command_keeps_no_secret_either(void **state)
{
    struct harness *h = *state;

    set_scenario(h, "ok");
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs set style " PASTED);
    lab_wait_reply(h, ALICE_DM, NULL, "held what looks like a GitHub token");
    lab_wait_reply(h, ALICE_DM, NULL, "[secret removed]");
    check_nowhere(h, PASTED);
}

static void without_inbound_what_people_say_passes(void **state)
{
    struct harness *h = *state;
    const char *thread;

    harness_set(h, "guard", "inbound: false");
    set_scenario(h, "echo");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper why does " PASTED " not work?");
    lab_wait_reply(h, DEV, thread, "why does [secret removed] not work?"); /* the answer */
    CHECK_INT(lab_count_replies(h, DEV, NULL), 1, "and nobody is told");
    CHECK_INT(daemon_stop(h), 0, "clean end");
    check_calls(h, PASTED);
}

SCENARIO_MAIN(SCENARIO(an_answer_that_streams_holds_no_secret),
              SCENARIO(nor_does_one_that_is_edited), SCENARIO(nor_does_one_that_is_posted),
              SCENARIO(a_token_of_our_own_is_known_without_being_told),
              SCENARIO(the_cause_of_a_failure_holds_none),
              SCENARIO(an_answer_goes_on_behind_the_guard_after_a_restart),
              SCENARIO(the_desk_repeats_no_secret),
              SCENARIO(a_reload_brings_new_secrets_into_force),
              SCENARIO(a_list_that_cannot_be_read_is_no_start),
              SCENARIO(the_terminal_is_guarded_as_well),
              SCENARIO(a_pasted_token_reaches_nobody_and_its_author_is_told),
              SCENARIO(in_a_direct_message_the_notice_stays),
              SCENARIO(a_command_keeps_no_secret_either),
              SCENARIO(without_inbound_what_people_say_passes))
