#include "agent/sweep.h"

#include "tests/unit/run_lab.h"

#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/time.h>

#include "agent/run_dir.h"

#define HOUR_S 3600

struct ledger {
    const char *needed[4];
    int calls;
    bool is_unreadable;
};

static int list_needed(void *context, char ***ret_ids, struct err *err)
{
    struct ledger *ledger = context;

    ledger->calls++;
    *ret_ids = xcalloc(ARRAY_LEN(ledger->needed) + 1, sizeof(**ret_ids));
    for (size_t i = 0; i < ARRAY_LEN(ledger->needed) && ledger->needed[i]; i++)
        (*ret_ids)[i] = xstrdup(ledger->needed[i]);
    return ledger->is_unreadable ? err_set(err, ERR_SYSTEM, "no ledger") : 0;
}

static struct agent_sweep sweep_of(struct ledger *ledger, bool is_start)
{
    return (struct agent_sweep){
        .runs_dir = runs_dir,
        .is_start = is_start,
        .ttl_ms = (int64_t)2 * HOUR_S * 1000,
        .max_bytes = INT64_C(1) << 40,
        .kill_grace_ms = 300,
        .list_needed = list_needed,
        .context = ledger,
    };
}

/* A directory with a file of that size, last touched so long ago. */
static void make_run(const char *id, size_t bytes, int64_t age_s)
{
    AUTO_FREE char *dir = xasprintf("%s/%s", runs_dir, id);
    AUTO_FREE char *path = xasprintf("%s/out.ndjson", dir);
    AUTO_FREE char *text = xcalloc(1, bytes + 1);
    struct timeval times[2];

    assert_int_equal(file_make_dirs(dir, 0700, NULL), 0);
    assert_int_equal(file_write(path, text, bytes, 0600, NULL), 0);
    for (size_t i = 0; i < 2; i++)
        times[i] = (struct timeval){ .tv_sec = clock_wall_s() - age_s };
    assert_int_equal(utimes(path, times), 0);
    assert_int_equal(utimes(dir, times), 0);
}

static bool is_there(const char *id)
{
    AUTO_FREE char *dir = xasprintf("%s/%s", runs_dir, id);

    return access(dir, F_OK) == 0;
}

static struct agent_swept run_sweep(const struct agent_sweep *sweep)
{
    struct agent_swept swept;
    struct err err = { 0 };

    if (agent_sweep(sweep, &swept, &err) != 0)
        fail_msg("%s", err.message);
    return swept;
}

static void begin_anew(void)
{
    file_remove_tree(runs_dir, NULL);
    assert_int_equal(file_make_dirs(runs_dir, 0700, NULL), 0);
}

/* Before that it may still be on its way from the spawn to the agent. */
static void wait_until_it_talks(const char *id)
{
    AUTO_FREE char *path = xasprintf("%s/%s/out.ndjson", runs_dir, id);
    int64_t give_up_ms = clock_now_ms() + PATIENCE_MS;
    struct stat info = { 0 };

    while (stat(path, &info) != 0 || info.st_size == 0) {
        if (clock_now_ms() > give_up_ms)
            fail_msg("run %s does not begin", id);
        sched_yield();
    }
}

static void nothing_to_do_asks_nobody(void **state)
{
    struct ledger ledger = { 0 };
    struct agent_sweep sweep = sweep_of(&ledger, true);
    struct agent_swept swept;

    (void)state;
    begin_anew();
    swept = run_sweep(&sweep);
    CHECK_INT(swept.removed, 0, "empty");
    file_remove_tree(runs_dir, NULL);
    swept = run_sweep(&sweep);
    CHECK_INT(swept.removed, 0, "no directory at all");
    CHECK_INT(ledger.calls, 0, "the ledger was not read");
}

static void a_start_removes_all_that_the_ledger_does_not_need(void **state)
{
    struct ledger ledger = { .needed = { "pending" } };
    struct agent_sweep sweep = sweep_of(&ledger, true);
    struct agent_swept swept;

    (void)state;
    begin_anew();
    make_run("pending", 10, 100 * HOUR_S);
    make_run("young", 10, 0);
    make_run("old", 5000, 100 * HOUR_S);
    make_run("not.a.run", 10, 100 * HOUR_S);
    swept = run_sweep(&sweep);
    CHECK_INT(is_there("pending"), 1, "a message waits for it, however old it is");
    CHECK_INT(is_there("young"), 0, "nobody waits for it");
    CHECK_INT(is_there("old"), 0, "nobody waits for it");
    CHECK_INT(is_there("not.a.run"), 1, "nothing of ours");
    CHECK_INT(swept.removed, 2, "counted");
    CHECK_INT(swept.removed_bytes >= 5000, 1, "and measured");
    CHECK_INT(swept.kept, 0, "none of those that are not needed");
}

static void later_age_and_size_decide(void **state)
{
    struct ledger ledger = { .needed = { "pending" } };
    struct agent_sweep sweep = sweep_of(&ledger, false);
    struct agent_swept swept;

    (void)state;
    begin_anew();
    make_run("pending", 400000, 5 * HOUR_S);
    make_run("expired", 10, 3 * HOUR_S);
    make_run("oldest", 100000, 1 * HOUR_S);
    make_run("older", 100000, 1 * HOUR_S - 60);
    make_run("newest", 100000, 60);
    swept = run_sweep(&sweep);
    CHECK_INT(is_there("expired"), 0, "over its time");
    CHECK_INT(swept.removed, 1, "only that");
    CHECK_INT(swept.kept, 3, "young and small enough");
    sweep.max_bytes = 230000;
    swept = run_sweep(&sweep);
    CHECK_INT(is_there("oldest"), 0, "the oldest goes first");
    CHECK_INT(is_there("older") && is_there("newest"), 1, "that was enough");
    CHECK_INT(swept.kept_bytes <= sweep.max_bytes, 1, "so much may stay");
    CHECK_INT(is_there("pending"), 1, "it does not count");
}

static void without_the_ledger_nothing_is_touched(void **state)
{
    struct ledger ledger = { .is_unreadable = true };
    struct agent_sweep sweep = sweep_of(&ledger, true);
    struct agent_swept swept;
    struct err err = { 0 };

    (void)state;
    begin_anew();
    make_run("old", 10, 100 * HOUR_S);
    CHECK_INT(agent_sweep(&sweep, &swept, &err), -1, "not known");
    CHECK_INT(is_there("old"), 1, "so it stays");
    CHECK_INT(swept.removed, 0, "so it stays");
}

static void a_run_that_nobody_waits_for_is_ended(void **state)
{
    static const bool removes[] = { false, true };

    (void)state;
    begin_anew();
    for (size_t i = 0; i < ARRAY_LEN(removes); i++) {
        struct ledger ledger = { 0 };
        struct agent_sweep sweep = sweep_of(&ledger, false);
        struct agent_swept swept;
        char id[AGENT_RUN_ID_BYTES];

        start_in_another_process("igterm", id);
        wait_until_it_talks(id);
        while (removes[i] && is_there(id)) /* erased while it goes on, and writes */
            agent_run_remove(runs_dir, id, NULL);
        ledger.needed[0] = id;
        swept = run_sweep(&sweep);
        CHECK_INT(swept.ended, 0, "somebody waits for it");
        CHECK_INT(process_signal_run(id, 0, 0) > 0, 1, "so it lives");
        ledger.needed[0] = NULL;
        swept = run_sweep(&sweep);
        CHECK_INT(swept.ended, 1, "nobody does any more");
        check_nothing_left(id, "ended");
    }
}

static void a_run_of_another_installation_is_left_alone(void **state)
{
    struct ledger ledger = { 0 };
    struct agent_sweep sweep = sweep_of(&ledger, true);
    AUTO_FREE char *elsewhere = xasprintf("%s/elsewhere", home);
    char id[AGENT_RUN_ID_BYTES];
    struct agent_run *run = NULL;
    struct agent_spec spec = plain_spec();

    (void)state;
    begin_anew();
    start_for_attach("hangmid", &spec, id, &run);
    wait_until_it_talks(id);
    sweep.runs_dir = elsewhere;
    assert_int_equal(file_make_dirs(elsewhere, 0700, NULL), 0);
    CHECK_INT(run_sweep(&sweep).ended, 0, "its directory is not ours");
    CHECK_INT(process_signal_run(id, 0, 0) > 0, 1, "it lives");
    agent_run_free(run, false);
}

/* Between the directory and the ledger a new run looks like a forgotten one. */
static void a_run_that_begins_holds_the_sweep_off(void **state)
{
    struct ledger ledger = { 0 };
    AUTO_FD int hold = -1;
    AUTO_FD int other = -1;

    (void)state;
    begin_anew();
    hold = agent_sweep_hold(runs_dir);
    other = agent_sweep_hold(runs_dir);
    CHECK_INT(hold >= 0 && other >= 0, 1, "several may begin at once");
    {
        AUTO_FD int sweeps = open(runs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        CHECK_INT(flock(sweeps, LOCK_EX | LOCK_NB), -1, "the sweep waits");
        close(take_fd(&hold));
        CHECK_INT(flock(sweeps, LOCK_EX | LOCK_NB), -1, "for all of them");
        close(take_fd(&other));
        CHECK_INT(flock(sweeps, LOCK_EX | LOCK_NB), 0, "and then goes on");
    }
    CHECK_INT(ledger.calls, 0, "nobody asked");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_to_do_asks_nobody),
        TEST(a_start_removes_all_that_the_ledger_does_not_need),
        TEST(later_age_and_size_decide),
        TEST(without_the_ledger_nothing_is_touched),
        TEST(a_run_that_nobody_waits_for_is_ended),
        TEST(a_run_of_another_installation_is_left_alone),
        TEST(a_run_that_begins_holds_the_sweep_off),
    };

    return lab_main(argc, argv, tests, NULL);
}
