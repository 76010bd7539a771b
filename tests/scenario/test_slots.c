/* Runs at the same time share no configuration and no data, also across daemons. */
#include <dirent.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"

#define RECORD_MAX_BYTES ((size_t)8 << 20)

/* A variable of the double's `start`-th start, which lives as long as the harness; waits for
 * it. */
static char *variable_of(struct harness *h, size_t start, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/fake-cursor-agent.log", harness_workspace(h));
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (clock_now_ms() < until) {
        AUTO_BUF struct buf record = { 0 };
        const char *at;
        size_t line = 0;

        buf_init(&record, RECORD_MAX_BYTES);
        file_read(path, &record, NULL);
        for (at = buf_text(&record); *at && line < start; line++)
            at = strchr(at, '\n') ? strchr(at, '\n') + 1 : at + strlen(at);
        if (*at && strchr(at, '\n')) {
            json_auto_t *root = json_loadb(at, strcspn(at, "\n"), 0, NULL);
            size_t i;
            json_t *value;

            json_array_foreach(json_object_get(root, "env"), i, value)
            {
                const char *text = json_string_value(value);

                if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=')
                    return xstrdup(text + strlen(name) + 1);
            }
            harness_fail(h, "start %zu has no %s", start, name);
        }
        poll(NULL, 0, 10);
    }
    harness_fail(h, "there was no start %zu", start);
}

static size_t count_slots(struct harness *h)
{
    AUTO_FREE char *path = xasprintf("%s/slots", harness_state_dir(h));
    DIR *directory = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    while (directory &&
           (entry = readdir(directory)) != NULL) /* NOLINT(concurrency-mt-unsafe) */
        count += entry->d_name[0] != '.' && !strchr(entry->d_name, '.');
    if (directory)
        closedir(directory);
    return count;
}

static void wait_slots(struct harness *h, size_t want)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (count_slots(h) != want) {
        if (clock_now_ms() > until)
            harness_fail(h, "%zu slots in use, not %zu", count_slots(h), want);
        poll(NULL, 0, 10);
    }
}

static void runs_at_once_share_nothing(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *one = NULL;
    AUTO_FREE char *two = NULL;
    AUTO_FREE char *data = NULL;
    AUTO_FREE char *file = NULL;
    const char *first, *second;

    set_scenario(h, "gate");
    daemon_start(h);
    first = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    second = lab_say(h, BOB, GENERAL, NULL, "@threadkeeper two");
    one = variable_of(h, 0, "CURSOR_CONFIG_DIR");
    two = variable_of(h, 1, "CURSOR_CONFIG_DIR");
    data = variable_of(h, 0, "CURSOR_DATA_DIR");
    CHECK_INT(strcmp(one, two) == 0, 0, "one each");
    CHECK_HOLDS(one, harness_state_dir(h), "ours, whatever our environment says");
    CHECK_INT(access(data, W_OK), 0, "it can write there");
    file = xasprintf("%s/cli-config.json", one);
    CHECK_INT(access(file, R_OK), 0, "its permissions are there");
    open_gate(h);
    lab_wait_replies(h, DEV, first, 1);
    lab_wait_replies(h, GENERAL, second, 1);
    wait_slots(h, 0);
    check_no_violations(h);
}

static void a_run_keeps_its_slot_when_the_daemon_dies(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *one = NULL;
    AUTO_FREE char *two = NULL;
    const char *first, *second;

    set_scenario(h, "gate");
    daemon_start(h);
    first = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    one = variable_of(h, 0, "CURSOR_CONFIG_DIR");
    daemon_kill(h);
    daemon_start(h);
    second = lab_say(h, BOB, GENERAL, NULL, "@threadkeeper two");
    two = variable_of(h, 1, "CURSOR_CONFIG_DIR");
    CHECK_INT(strcmp(one, two) == 0, 0, "the living run's slot is not given away");
    open_gate(h);
    lab_wait_replies(h, DEV, first, 1);
    lab_wait_replies(h, GENERAL, second, 1);
    wait_slots(h, 0);
    check_nothing_left(h);
    check_no_violations(h);
}

static void a_changed_permission_file_is_said_and_not_kept(void **state)
{
    struct harness *h = *state;
    static const char nothing_denied[] = "{\"permissions\":{\"allow\":[],\"deny\":[]}}";
    AUTO_FREE char *one = NULL;
    AUTO_FREE char *two = NULL;
    AUTO_FREE char *file = NULL;
    AUTO_BUF struct buf text = { 0 };
    const char *thread;

    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    one = variable_of(h, 0, "CURSOR_CONFIG_DIR");
    file = xasprintf("%s/cli-config.json", one);
    if (file_write(file, nothing_denied, strlen(nothing_denied), 0600, NULL) < 0)
        harness_fail(h, "cannot write %s", file);
    open_gate(h);
    lab_wait_replies(h, DEV, thread, 1);
    daemon_wait_log(h, "permission file was changed while it ran");
    wait_slots(h, 0);
    shut_gate(h);
    lab_say(h, ALICE, DEV, thread, "two");
    two = variable_of(h, 1, "CURSOR_CONFIG_DIR");
    CHECK_TEXT(two, one, "the same slot");
    buf_init(&text, RECORD_MAX_BYTES);
    if (file_read(file, &text, NULL) < 0)
        harness_fail(h, "cannot read %s", file);
    CHECK_HOLDS(buf_text(&text), "\"Shell(*)\"", "with permissions of its own");
    open_gate(h);
    lab_wait_replies(h, DEV, thread, 2);
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(runs_at_once_share_nothing),
              SCENARIO(a_run_keeps_its_slot_when_the_daemon_dies),
              SCENARIO(a_changed_permission_file_is_said_and_not_kept))
