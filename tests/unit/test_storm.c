/*
 * Nothing lost, nothing twice: a process that answers messages in several conversations is
 * killed with SIGKILL at a random moment - while it opens, commits, takes a snapshot, recovers
 * from the last kill - and what it had acknowledged is looked for, again and again on the same
 * directory.
 *
 * Messages are numbered within their conversation. Whoever starts takes up what the ledger says
 * is pending, as the daemon does, and goes on with the number after the last. So at any time a
 * conversation holds question and answer 1, 2, ... m, each once and in order, m is not below
 * the last one acknowledged, and what is pending is above m.
 *
 * STORM_ROUNDS sets the number of kills over all stores; `make storm` runs 200.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/random.h"
#include "memory/rooms.h"
#include "tests/unit/memory_lab.h"

#define CONVERSATIONS   6
#define WRITERS         3
#define PENDING_MAX     64
#define KILL_AFTER_MS   40
#define DIRECTORY_KILLS 10 /* then a fresh one, or the conversations grow too long */

static const struct storm {
    const char *name;
    enum memory_store_kind store;
    enum memory_durability durability;
} storms[] = {
    { "sqlite/turn", MEMORY_STORE_SQLITE, MEMORY_DURABILITY_TURN },
    { "sqlite/interval", MEMORY_STORE_SQLITE, MEMORY_DURABILITY_INTERVAL },
    { "files/turn", MEMORY_STORE_FILES, MEMORY_DURABILITY_TURN },
    { "files/interval", MEMORY_STORE_FILES, MEMORY_DURABILITY_INTERVAL },
};

static const char *const keys[CONVERSATIONS] = { "U1:C1:1.0", "U1:C1:2.0", "U2:C2:1.0",
                                                 "U2:D1/x",   "D1",        "U3:C1:1.0" };

/* ---- the one that is killed -------------------------------------------------------------- */

struct worker {
    struct lab *lab;
    int first; /* of its conversations */
    int next[CONVERSATIONS];
    int acknowledged_fd;
};

static _Noreturn void give_up(const char *what, const struct err *err)
{
    fprintf(stderr, "storm: %s: %s\n", what, err->message);
    _exit(3);
}

static void answer(struct lab *lab, int which, int number, int64_t id, int acknowledged_fd)
{
    AUTO_FREE char *question = xasprintf("question %d", number);
    AUTO_FREE char *reply = xasprintf("answer %d", number);
    AUTO_FREE char *line = xasprintf("%d %d\n", which, number);
    struct conversation *conversation = NULL;
    struct err err = { 0 };

    if (memory_conversation_begin(lab->memory, keys[which], NULL, NULL, &conversation, &err) <
        0)
        give_up("cannot begin", &err);
    if (lab_commit(lab, conversation, question, "", reply, &id, 1, &err) < 0)
        give_up("cannot commit", &err);
    if (write(acknowledged_fd, line, strlen(line)) != (ssize_t)strlen(line))
        give_up("cannot write down", &err);
    memory_conversation_end(lab->memory, conversation);
}

static struct ledger_entry *message_of(int which, int number)
{
    AUTO_FREE char *event_id = xasprintf("Ev%d-%d", which, number);
    AUTO_FREE char *ts = xasprintf("%d%06d.1", which + 1, number);
    struct ledger_entry *entry = lab_entry(event_id, ts, "");

    free(entry->conversation);
    entry->conversation = xstrdup(keys[which]);
    free(entry->text);
    entry->text = xasprintf("%d %d", which, number);
    return entry;
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (int turn = 0;; turn++) {
        int which = worker->first + turn % (CONVERSATIONS / WRITERS);
        int number = worker->next[which]++;
        int64_t id = 0;

        if (lab_record_as(worker->lab, message_of(which, number), false, false, &id) !=
            LEDGER_NEW) {
            fprintf(stderr, "storm: message %d of %s is known\n", number, keys[which]);
            _exit(3);
        }
        answer(worker->lab, which, number, id, worker->acknowledged_fd);
    }
    return NULL;
}

/* The number behind a word: "question 12". */
static int number_in(const char *text)
{
    const char *space = strchr(text, ' ');

    return space ? (int)strtol(space, NULL, 10) : -1;
}

static bool take_last(void *context, const struct memory_turn *turn)
{
    *(int *)context = number_in(turn->text);
    return true;
}

static int last_of(struct lab *lab, int which)
{
    struct store *store = lab->memory->store;
    struct store_range range = { .limit = 1 };
    struct err err = { 0 };
    int last = 0;

    if (store->ops->history(store, keys[which], &range, take_last, &last, &err) < 0)
        give_up("cannot read", &err);
    return last;
}

static size_t pending(struct lab *lab, struct ledger_entry **entries)
{
    struct err err = { 0 };
    size_t count = 0;

    if (memory_pending_messages(lab->memory, 0, entries, PENDING_MAX, &count, &err) < 0)
        give_up("cannot read what is pending", &err);
    return count;
}

static _Noreturn void run(struct lab *lab, int acknowledged_fd, int ready_fd)
{
    struct ledger_entry *entries[PENDING_MAX];
    struct worker workers[WRITERS];
    pthread_t threads[WRITERS];
    int next[CONVERSATIONS];
    size_t count;

    lab_open(lab);
    for (int which = 0; which < CONVERSATIONS; which++)
        next[which] = last_of(lab, which) + 1;
    count = pending(lab, entries);
    for (size_t i = 0; i < count; i++) {
        int which = (int)strtol(entries[i]->text, NULL, 10);
        int number = number_in(entries[i]->text);

        answer(lab, which, number, entries[i]->id, acknowledged_fd);
        next[which] = number + 1;
        ledger_entry_free(entries[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        workers[i] = (struct worker){ .lab = lab,
                                      .first = i * (CONVERSATIONS / WRITERS),
                                      .acknowledged_fd = acknowledged_fd };
        memcpy(workers[i].next, next, sizeof(next));
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    (void)!write(ready_fd, "r", 1);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    _exit(3);
}

/* ---- the one that kills and looks -------------------------------------------------------- */

struct figures {
    long long acknowledged;
    long long held;
    int early; /* killed while it opened */
};

static void wait_ready(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };

    if (poll(&ready, 1, LAB_WAIT_MS) <= 0)
        fail_msg("the process does not get ready");
}

static void pause_ms(int milliseconds)
{
    poll(NULL, 0, milliseconds);
}

/* One of five is killed as soon as it opens. */
static void kill_at_random(struct lab *lab, int acknowledged_fd, struct figures *figures)
{
    bool is_early = random_below(5) == 0;
    int pipes[2];
    int status = 0;
    pid_t child;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    child = fork();
    if (child == 0)
        run(lab, acknowledged_fd, pipes[1]);
    assert_true(child > 0);
    close(pipes[1]);
    if (!is_early)
        wait_ready(pipes[0]);
    pause_ms((int)random_below(KILL_AFTER_MS));
    close(pipes[0]);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        fail_msg("the process ended by itself, with status %d", WEXITSTATUS(status));
    figures->early += is_early;
}

static void read_acknowledged(int fd, int *last, struct figures *figures)
{
    AUTO_BUF struct buf lines = { 0 };
    char chunk[4096];
    ssize_t got;
    off_t offset = 0;

    buf_init(&lines, 64 << 20);
    while ((got = pread(fd, chunk, sizeof(chunk), offset)) > 0) {
        buf_append(&lines, chunk, (size_t)got);
        offset += got;
    }
    for (char *line = lines.data; line && *line; line = strchr(line, '\n') + 1) {
        char *space = NULL;
        long which = strtol(line, &space, 10);
        long number = strtol(space, NULL, 10);

        assert_true(which >= 0 && which < CONVERSATIONS);
        if (number <= last[which])
            fail_msg("%s: %ld is acknowledged after %d", keys[which], number, last[which]);
        last[which] = (int)number;
        figures->acknowledged++;
    }
}

struct looking {
    const char *key;
    int turns;
};

static bool look_at_turn(void *context, const struct memory_turn *turn)
{
    struct looking *looking = context;
    AUTO_FREE char *want =
        xasprintf("%s %d", looking->turns % 2 ? "answer" : "question", looking->turns / 2 + 1);

    CHECK_TEXT(turn->text, want, looking->key);
    CHECK_INT(turn->seq, looking->turns + 1, looking->key);
    looking->turns++;
    return true;
}

/* Every conversation is 1, 2, ... m, twice each; what is acknowledged is in it, what is pending
 * is not. */
static void look_for_everything(struct lab *lab, const int *acknowledged,
                                struct figures *figures)
{
    struct ledger_entry *entries[PENDING_MAX];
    struct store *store;
    int held[CONVERSATIONS];
    size_t count;

    lab_open(lab);
    store = lab->memory->store;
    for (int which = 0; which < CONVERSATIONS; which++) {
        struct looking looking = { .key = keys[which] };
        struct store_range all = { 0 };

        assert_int_equal(
            store->ops->history(store, keys[which], &all, look_at_turn, &looking, NULL), 0);
        CHECK_INT(looking.turns % 2, 0, "question and answer together");
        held[which] = looking.turns / 2;
        figures->held += held[which];
        if (held[which] < acknowledged[which])
            fail_msg("%s: %d is acknowledged, but it ends at %d", keys[which],
                     acknowledged[which], held[which]);
    }
    count = pending(lab, entries);
    for (size_t i = 0; i < count; i++) {
        int which = (int)strtol(entries[i]->text, NULL, 10);

        CHECK_INT(number_in(entries[i]->text), held[which] + 1, "asked again, and only this");
        ledger_entry_free(entries[i]);
    }
    lab_close(lab);
}

static void storm_directory(const struct storm *storm, int kills, struct figures *figures)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;
    AUTO_FD int fd = -1;
    struct figures last = { 0 };

    lab_prepare(&lab);
    lab.options.store = storm->store;
    lab.options.durability = storm->durability;
    lab.options.snapshot_interval_ms = 3;
    lab.options.max_turns = 1000000;
    path = xasprintf("%s/acknowledged", lab.directory);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (int i = 0; i < kills; i++) {
        int acknowledged[CONVERSATIONS] = { 0 };

        last.acknowledged = last.held = 0;
        kill_at_random(&lab, fd, &last);
        read_acknowledged(fd, acknowledged, &last);
        look_for_everything(&lab, acknowledged, &last);
    }
    figures->acknowledged += last.acknowledged;
    figures->held += last.held;
    figures->early += last.early;
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

/* Kills for one store. */
static int kills_of_one(void)
{
    const char *rounds = getenv("STORM_ROUNDS"); /* NOLINT(concurrency-mt-unsafe) */
    const char *variant = getenv("VARIANT");     /* NOLINT(concurrency-mt-unsafe) */
    int all = 40;

    if (variant && strcmp(variant, "valgrind") == 0)
        all = 4;
    else if (variant && (strcmp(variant, "asan") == 0 || strcmp(variant, "tsan") == 0))
        all = 12;
    if (rounds)
        all = (int)strtol(rounds, NULL, 10);
    return all / (int)ARRAY_LEN(storms) > 0 ? all / (int)ARRAY_LEN(storms) : 1;
}

static void storm(size_t which)
{
    struct figures figures = { 0 };
    int kills = kills_of_one();

    for (int left = kills; left > 0; left -= DIRECTORY_KILLS)
        storm_directory(&storms[which], left < DIRECTORY_KILLS ? left : DIRECTORY_KILLS,
                        &figures);
    printf("# %s: %d kills (%d while it opened), %lld turns acknowledged and found, "
           "%lld found in all, each once and in order\n",
           storms[which].name, kills, figures.early, figures.acknowledged, figures.held);
}

static void nothing_is_lost_with_sqlite_by_the_turn(void)
{
    storm(0);
}

static void nothing_is_lost_with_sqlite_by_snapshots(void)
{
    storm(1);
}

static void nothing_is_lost_with_files_by_the_turn(void)
{
    storm(2);
}

static void nothing_is_lost_with_files_by_snapshots(void)
{
    storm(3);
}

TEST_MAIN(TEST(nothing_is_lost_with_sqlite_by_the_turn),
          TEST(nothing_is_lost_with_sqlite_by_snapshots),
          TEST(nothing_is_lost_with_files_by_the_turn),
          TEST(nothing_is_lost_with_files_by_snapshots))
