#include <stdio.h>

#include "base/file.h"
#include "tests/scenario/scenario.h"

static void read_session(struct harness *h, const char *name, struct buf *out)
{
    AUTO_FREE char *path = xasprintf("%s/sessions/%s", harness_state_dir(h), name);

    buf_init(out, 1 << 20);
    assert_int_equal(file_read(path, out, NULL), 0);
}

static void converse(struct harness *h, const char *durability)
{
    AUTO_BUF struct buf file = { 0 };

    harness_set(h, "memory", "store: files");
    harness_set(h, "memory", durability);
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "remember 4711");
    lab_wait_replies(h, ALICE_DM, NULL, 1);
    daemon_wait_metric(h, "turns_total{outcome=\"answered\"}", 1); /* and remembered */
    daemon_kill(h);
    daemon_start(h);
    read_session(h, ALICE_DM ".json", &file);
    CHECK_HOLDS(buf_text(&file), "\"text\":\"remember 4711\"", "anybody can read it");
    lab_say(h, ALICE, ALICE_DM, NULL, "which number?");
    lab_wait_reply(h, ALICE_DM, NULL, "(1) \"remember 4711\"");
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 2, "each answered once");
}

static void memory_in_files_survives_a_kill(void **state)
{
    struct harness *h = *state;

    converse(h, "durability: turn");
    check_no_violations(h);
}

/* The interval is never over: what the kill leaves unsaved is written by the next start. */
static void snapshots_into_files_survive_a_kill(void **state)
{
    struct harness *h = *state;

    harness_set(h, "memory", "snapshot_interval: 1h");
    converse(h, "durability: interval");
    check_no_violations(h);
}

static void what_a_command_erases_from_files_the_daemon_forgets(void **state)
{
    struct harness *h = *state;
    struct program program;

    converse(h, "durability: turn");
    program =
        run_threadkeeper(h, "", "memory", "forget", "--conversation", ALICE_DM, "--yes", NULL);
    CHECK_INT(program.status, 0, program.err);
    lab_say(h, ALICE, ALICE_DM, NULL, "and now?");
    lab_wait_reply(h, ALICE_DM, NULL, "You have not told me anything before");
    daemon_wait_metric(h, "turns_total{outcome=\"answered\"}", 2);
    program = run_threadkeeper(h, "", "memory", "show", ALICE_DM, NULL);
    CHECK_INT(program.status, 0, program.err);
    CHECK_HOLDS(program.out, "and now?", "it goes on");
    assert_null(strstr(program.out, "4711"));
}

SCENARIO_MAIN(SCENARIO(memory_in_files_survives_a_kill),
              SCENARIO(snapshots_into_files_survive_a_kill),
              SCENARIO(what_a_command_erases_from_files_the_daemon_forgets))
