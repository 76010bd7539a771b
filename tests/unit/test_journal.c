#include "memory/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/random.h"
#include "tests/unit/memory_lab.h"

/* ---- a disk that fails on demand --------------------------------------------------------- */

static _Atomic bool sync_fails;
static _Atomic bool disk_full;

/* In front of the C library's: SQLite calls this one. */
int fdatasync(int fildes)
{
    if (atomic_load(&sync_fails)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fildes);
}

static ssize_t full_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    if (atomic_load(&disk_full)) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, bytes, len, offset);
}

static int put_disk_between(void **state)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    (void)state;
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)full_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)full_pwrite);
    return 0;
}

static void outlives_a_failing_disk(void **state)
{
    static const struct {
        _Atomic bool *fault;
        const char *name;
    } cases[] = { { &sync_fails, "fdatasync says EIO" }, { &disk_full, "no space left" } };
    struct lab lab;
    struct conversation *conversation;
    struct memory_stats stats;
    struct err err = { 0 };
    int64_t id;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char event[8];
        char ts[8];

        snprintf(event, sizeof(event), "Ev%zu", i);
        snprintf(ts, sizeof(ts), "%zu.1", i);
        conversation = lab_begin(&lab, "k");
        id = lab_record_new(&lab, "", ts);
        atomic_store(cases[i].fault, true);
        CHECK_INT(lab_record_as(&lab, lab_entry(event, "", ""), false, false, NULL),
                  LEDGER_NOT_DURABLE, cases[i].name);
        assert_int_equal(memory_mark_running(lab.memory, &id, 1, "r", &err), -1);
        CHECK_INT(err.kind, ERR_SYSTEM, err.message);
        assert_int_equal(lab_commit(&lab, conversation, "q", "", "a", &id, 1, &err), -1);
        CHECK_INT(memory_conversation_turns(conversation), i * 2, "RAM is as before");
        atomic_store(cases[i].fault, false);

        CHECK_INT(lab_record_as(&lab, lab_entry(event, "", ""), false, false, NULL), LEDGER_NEW,
                  "Slack's retry is new: the first was never recorded");
        assert_int_equal(lab_commit(&lab, conversation, "q", "", "a", &id, 1, &err), 0);
        memory_conversation_end(lab.memory, conversation);
        memory_get_stats(lab.memory, &stats);
        CHECK_INT(stats.pending, i + 1, "one waiting of each round, one done");
        lab_restart(&lab);
    }
    conversation = lab_begin(&lab, "k");
    CHECK_INT(memory_conversation_turns(conversation), 4, "each turn once");
    memory_conversation_end(lab.memory, conversation);
    lab_remove(&lab);
}

static void a_failed_snapshot_loses_nothing(void **state)
{
    struct lab lab;
    AUTO_FREE char *text = NULL;

    (void)state;
    lab_prepare(&lab);
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    lab_say(&lab, "k", "q", "", "a");
    atomic_store(&disk_full, true);
    lab_close(&lab); /* cannot take its last snapshot */
    atomic_store(&disk_full, false);
    lab_open(&lab);
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "You: a\n", "the next start took it up");
    lab_remove(&lab);
}

/* ---- order and groups -------------------------------------------------------------------- */

#define MANY 3000

struct arrivals {
    int next;
    bool in_order;
    int64_t last_id;
    _Atomic int finished;
};

static void note_arrival(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                         void *user_data)
{
    struct arrivals *arrivals = context;
    int number = (int)strtol(entry->ts, NULL, 10);

    (void)user_data;

    if (outcome != LEDGER_NEW || number != arrivals->next || entry->id <= arrivals->last_id)
        arrivals->in_order = false;
    arrivals->next = number + 1;
    arrivals->last_id = entry->id;
    ledger_entry_free(entry);
    atomic_fetch_add(&arrivals->finished, 1);
}

static void wait_for(_Atomic int *number, int want)
{
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;

    while (atomic_load(number) < want && clock_now_ms() < give_up_ms)
        usleep(1000);
    CHECK_INT(atomic_load(number), want, "all were reported");
}

static void reports_in_order_and_commits_in_groups(void **state)
{
    struct lab lab;
    struct arrivals arrivals = { .in_order = true };
    struct metric *commits;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    for (int i = 0; i < MANY; i++) {
        struct ledger_request request = { .on_recorded = note_arrival, .context = &arrivals };
        char ts[32];

        snprintf(ts, sizeof(ts), "%d.1", i);
        request.entry = lab_entry("", ts, "");
        assert_true(memory_record_message(lab.memory, &request));
    }
    wait_for(&arrivals.finished, MANY);
    assert_true(arrivals.in_order);
    commits = metrics_counter(lab.metrics, "journal_commits_total", "", "");
    assert_true(metric_value(commits) > 0 && metric_value(commits) < MANY / 4);
    lab_remove(&lab);
}

static void finishes_what_is_queued_when_it_closes(void **state)
{
    struct lab lab;
    struct arrivals arrivals = { .in_order = true };

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    for (int i = 0; i < 200; i++) {
        struct ledger_request request = { .on_recorded = note_arrival, .context = &arrivals };
        char ts[32];

        snprintf(ts, sizeof(ts), "%d.1", i);
        request.entry = lab_entry("", ts, "");
        assert_true(memory_record_message(lab.memory, &request));
    }
    lab_close(&lab);
    CHECK_INT(atomic_load(&arrivals.finished), 200, "all were reported");
    assert_true(arrivals.in_order);
    lab_open(&lab);
    lab_remove(&lab);
}

/* ---- another process --------------------------------------------------------------------- */

static void waits_for_another_writer(void **state)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;
    struct arrivals arrivals = { .in_order = true };
    struct ledger_request request = { .on_recorded = note_arrival, .context = &arrivals };
    struct db *other = NULL;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    path = xasprintf("%s/%s", lab.directory, DB_FILE_NAME);
    assert_int_equal(db_open(path, DB_ROLE_WRITER, &other, NULL), 0);
    assert_int_equal(db_begin(other, NULL), 0);
    request.entry = lab_entry("", "0.1", "");
    assert_true(memory_record_message(lab.memory, &request));
    usleep(20000);
    CHECK_INT(atomic_load(&arrivals.finished), 0, "nothing is reported before it is durable");
    assert_int_equal(db_commit(other, NULL), 0);
    wait_for(&arrivals.finished, 1);
    assert_true(arrivals.in_order);
    db_close(other);
    lab_remove(&lab);
}

/* ---- killed ------------------------------------------------------------------------------ */

#define KILL_ROUNDS     40
#define KILL_MAX_US     40000
#define KILL_MAX_NUMBER 200000

struct storm {
    struct lab lab;
    int report_fd; /* survives the kill: what was reported as durable */
    int first;
};

static void report(const struct storm *storm, char what, int number)
{
    char line[32];
    int len = snprintf(line, sizeof(line), "%c%d\n", what, number);

    if (write(storm->report_fd, line, (size_t)len) != len)
        _exit(3);
}

static void report_event(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                         void *user_data)
{
    if (outcome != LEDGER_NEW)
        _exit(4);
    (void)user_data;
    report(context, 'e', (int)strtol(entry->event_id + strlen("Ev"), NULL, 10));
    ledger_entry_free(entry);
}

static void *storm_turns(void *context)
{
    struct storm *storm = context;

    for (int number = storm->first;; number++) {
        char text[32];

        snprintf(text, sizeof(text), "turn-%d", number);
        lab_say(&storm->lab, "k", text, "", "answer");
        report(storm, 't', number);
    }
    return NULL;
}

/* Writes until it is killed. */
static void storm_run(struct storm *storm)
{
    pthread_t thread;

    lab_open(&storm->lab);
    if (pthread_create(&thread, NULL, storm_turns, storm) != 0)
        _exit(5);
    for (int number = storm->first; number < storm->first + 20000; number++) {
        char event[32];
        struct ledger_request request = { .on_recorded = report_event, .context = storm };

        snprintf(event, sizeof(event), "Ev%d", number);
        request.entry = lab_entry(event, "", "");
        if (!memory_record_message(storm->lab.memory, &request))
            _exit(6);
        if (number % 8 == 0)
            usleep(500);
    }
    for (;;)
        pause();
}

static void wait_for_report(const struct storm *storm, off_t before)
{
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;

    while (lseek(storm->report_fd, 0, SEEK_END) == before && clock_now_ms() < give_up_ms)
        usleep(500);
}

static void kill_at_random(struct storm *storm)
{
    off_t before = lseek(storm->report_fd, 0, SEEK_END);
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        storm_run(storm);
    wait_for_report(storm, before);
    usleep((useconds_t)random_below(KILL_MAX_US));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    CHECK_INT(WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status), SIGKILL,
              "it wrote until it was killed");
}

/* Every reported turn stands once in the whole conversation, and no number has a hole. */
static void check_turns(struct storm *storm, const bool *reported)
{
    char *context = lab_context(&storm->lab, "k");
    AUTO_FREE bool *found = xcalloc(KILL_MAX_NUMBER, sizeof(*found));

    for (const char *at = context; (at = strstr(at, "turn-")) != NULL; at += 5) {
        long number = strtol(at + 5, NULL, 10);

        if (found[number])
            fail_msg("turn %ld stands there twice", number);
        found[number] = true;
    }
    for (int i = 0; i < KILL_MAX_NUMBER; i++) {
        if (reported[i] && !found[i])
            fail_msg("turn %d was reported and is lost", i);
    }
    free(context);
}

static void check_events(struct storm *storm, int from, const bool *reported)
{
    for (int i = from; i < KILL_MAX_NUMBER; i++) {
        char event[32];

        if (!reported[i])
            continue;
        snprintf(event, sizeof(event), "Ev%d", i);
        if (lab_record_as(&storm->lab, lab_entry(event, "", ""), false, false, NULL) !=
            LEDGER_DUPLICATE)
            fail_msg("event %d was reported and is lost", i);
    }
}

static int read_reports(const char *path, bool *events, bool *turns)
{
    FILE *file = fopen(path, "re");
    char line[32];
    int highest = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) && strchr(line, '\n')) {
        int number = (int)strtol(line + 1, NULL, 10);

        assert_in_range(number, 0, KILL_MAX_NUMBER - 1);
        (line[0] == 'e' ? events : turns)[number] = true;
        highest = number > highest ? number : highest;
    }
    fclose(file);
    return highest;
}

static void loses_nothing_when_killed(void **state)
{
    struct storm storm = { .report_fd = -1 };
    AUTO_FREE bool *events = xcalloc(KILL_MAX_NUMBER, sizeof(*events));
    AUTO_FREE bool *turns = xcalloc(KILL_MAX_NUMBER, sizeof(*turns));
    char path[128];

    (void)state;
    lab_prepare(&storm.lab);
    storm.lab.options.max_turns = 100000;
    snprintf(path, sizeof(path), "%s/reported", storm.lab.directory);
    storm.report_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(storm.report_fd >= 0);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int first = storm.first;

        storm.lab.options.durability =
            round % 2 ? MEMORY_DURABILITY_INTERVAL : MEMORY_DURABILITY_TURN;
        storm.lab.options.snapshot_interval_ms = 7;
        kill_at_random(&storm);
        storm.first = read_reports(path, events, turns) + 1000;
        lab_open(&storm.lab);
        check_turns(&storm, turns);
        check_events(&storm, first, events);
        lab_close(&storm.lab);
    }
    assert_true(storm.first > KILL_ROUNDS * 1000); /* every round reported something */
    close(storm.report_fd);
    lab_open(&storm.lab);
    lab_remove(&storm.lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlives_a_failing_disk),
        cmocka_unit_test(a_failed_snapshot_loses_nothing),
        cmocka_unit_test(reports_in_order_and_commits_in_groups),
        cmocka_unit_test(finishes_what_is_queued_when_it_closes),
        cmocka_unit_test(waits_for_another_writer),
        cmocka_unit_test(loses_nothing_when_killed),
    };

    return cmocka_run_group_tests(tests, put_disk_between, NULL);
}
