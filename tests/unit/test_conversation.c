#include "memory/conversation.h"

#include <stdatomic.h>

#include <sqlite3.h>

#include "tests/unit/memory_lab.h"

static void remembers_after_a_restart(void **state)
{
    struct lab lab;
    AUTO_FREE char *before = NULL;
    AUTO_FREE char *after = NULL;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "which auth system?", "1.1", "JWT");
    lab_say(&lab, "other", "hello", "1.2", "hi");
    lab_say(&lab, "k", "and its lifetime?", "1.3", "15 minutes");
    before = lab_context(&lab, "k");
    lab_restart(&lab);
    after = lab_context(&lab, "k");
    CHECK_TEXT(after, before, "the same context");
    CHECK_HOLDS(after, "15 minutes", "both turns");
    CHECK_HOLDS(after, "which auth", "in it");
    assert_false(lab_holds(after, "hello"));
    lab_remove(&lab);
}

static void keeps_a_turn_and_its_ledger_rows_together(void **state)
{
    struct lab lab;
    struct conversation *conversation;
    struct ledger_entry *entry = NULL;
    struct err err = { 0 };
    int64_t ids[2];

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    ids[0] = lab_record_new(&lab, "Ev1", "1.1");
    conversation = lab_begin(&lab, "k");
    ids[1] = 4711;
    assert_int_equal(lab_commit(&lab, conversation, "q", "1.1", "a", ids, 2, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    CHECK_INT(memory_conversation_turns(conversation), 0, "RAM is as before");
    assert_int_equal(lab_commit(&lab, conversation, "q", "1.1", "a", ids, 1, &err), 0);
    CHECK_INT(memory_conversation_turns(conversation), 2, "question and answer, once");
    memory_conversation_end(lab.memory, conversation);
    lab_restart(&lab);
    conversation = lab_begin(&lab, "k");
    CHECK_INT(memory_conversation_turns(conversation), 2, "the refused attempt left no trace");
    memory_conversation_end(lab.memory, conversation);
    assert_int_equal(memory_find_message(lab.memory, ids[0], &entry, NULL), 0);
    CHECK_INT(entry->state, LEDGER_DONE, "done with its turn");
    ledger_entry_free(entry);
    lab_remove(&lab);
}

static void begins_anew_without_what_was_said(void **state)
{
    struct lab lab;
    struct err err = { 0 };
    AUTO_FREE char *empty = NULL;
    AUTO_FREE char *later = NULL;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "old question", "1.1", "old answer");
    assert_int_equal(memory_conversation_reset(lab.memory, "k", &err), 0);
    empty = lab_context(&lab, "k");
    CHECK_TEXT(empty, "", "nothing is injected");
    lab_say(&lab, "k", "new question", "1.2", "new answer");
    lab_restart(&lab);
    later = lab_context(&lab, "k");
    CHECK_HOLDS(later, "new answer", "what came after");
    assert_false(lab_holds(later, "old"));
    lab_remove(&lab);
}

static void bounds_the_turns_it_keeps(void **state)
{
    struct lab lab;
    struct conversation *conversation;

    (void)state;
    lab_prepare(&lab);
    lab.options.max_turns = 6;
    lab_open(&lab);
    for (int i = 0; i < 10; i++) {
        char text[32];

        snprintf(text, sizeof(text), "question %d", i);
        lab_say(&lab, "k", text, "", "answer");
    }
    for (int restarted = 0; restarted < 2; restarted++) {
        AUTO_FREE char *text = lab_context(&lab, "k");

        conversation = lab_begin(&lab, "k");
        CHECK_INT(memory_conversation_turns(conversation), 6, "the newest six");
        CHECK_INT(conversation_last_seq(conversation), 20, "numbers go on");
        memory_conversation_end(lab.memory, conversation);
        CHECK_HOLDS(text, "question 9", "the newest");
        assert_false(lab_holds(text, "question 6"));
        lab_restart(&lab);
    }
    lab_remove(&lab);
}

static struct conversation *begin_under(struct lab *lab, const char *key, const char *parent,
                                        const char *until_ts)
{
    struct conversation *conversation = NULL;
    struct err err = { 0 };

    if (memory_conversation_begin(lab->memory, key, parent, until_ts, &conversation, &err) < 0)
        fail_msg("cannot begin: %s", err.message);
    return conversation;
}

static void begins_a_thread_with_what_its_parent_held(void **state)
{
    struct lab lab;
    struct conversation *conversation;
    struct err err = { 0 };

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "dm", "first", "999.5", "answer one");
    lab_say(&lab, "dm", "second", "1000.5", "answer two");
    lab_say(&lab, "dm", "third", "1000.6", "answer three");

    conversation = begin_under(&lab, "thread", "dm", "1000.5");
    CHECK_INT(memory_conversation_turns(conversation), 4, "up to and including the second");
    memory_conversation_end(lab.memory, conversation);
    lab_restart(&lab);
    conversation = begin_under(&lab, "thread", "dm", "1000.5");
    CHECK_INT(memory_conversation_turns(conversation), 4, "lent again: nothing was said here");
    assert_int_equal(lab_commit(&lab, conversation, "mine", "1001.1", "yours", NULL, 0, &err),
                     0);
    memory_conversation_end(lab.memory, conversation);
    lab_restart(&lab);
    lab_say(&lab, "dm", "fourth", "1002.5", "answer four");
    conversation = begin_under(&lab, "thread", "dm", "1002.5");
    CHECK_INT(memory_conversation_turns(conversation), 6, "its own now, with what was lent");
    memory_conversation_end(lab.memory, conversation);
    {
        AUTO_FREE char *text = lab_context(&lab, "thread");
        AUTO_FREE char *parent = lab_context(&lab, "dm");

        CHECK_HOLDS(text, "answer two", "the parent's");
        assert_false(lab_holds(text, "third"));
        assert_false(lab_holds(parent, "mine"));
    }
    lab_remove(&lab);
}

static void lends_nothing_to_a_conversation_begun_anew(void **state)
{
    struct lab lab;
    struct conversation *conversation;
    struct err err = { 0 };

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "dm", "first", "1.1", "one");
    assert_int_equal(memory_conversation_reset(lab.memory, "thread", &err), 0);
    lab_restart(&lab);
    conversation = begin_under(&lab, "thread", "dm", "");
    CHECK_INT(memory_conversation_turns(conversation), 0, "!new was said there");
    memory_conversation_end(lab.memory, conversation);
    conversation = begin_under(&lab, "thread2", "dm", "");
    CHECK_INT(memory_conversation_turns(conversation), 2, "no limit: all of it");
    memory_conversation_end(lab.memory, conversation);
    lab_remove(&lab);
}

static void lets_the_least_recently_used_go_but_never_a_pinned_one(void **state)
{
    struct lab lab;
    struct conversation *pinned;
    struct memory_stats stats;
    AUTO_FREE char *long_text = xcalloc(1, 4001);
    char key[16];

    (void)state;
    memset(long_text, 'x', 4000);
    lab_prepare(&lab);
    lab.options.max_bytes = 50000;
    lab_open(&lab);
    lab_say(&lab, "pinned", long_text, "", "kept");
    pinned = lab_begin(&lab, "pinned");
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        lab_say(&lab, key, long_text, "", "answer");
        memory_get_stats(lab.memory, &stats);
        assert_true(stats.bytes <= lab.options.max_bytes);
    }
    CHECK_INT(memory_conversation_turns(pinned), 2, "still there");
    CHECK_INT(stats.evictions + stats.conversations, 51, "all others are in RAM or left it");
    memory_conversation_end(lab.memory, lab_begin(&lab, "k49"));
    memory_conversation_end(lab.memory, lab_begin(&lab, "k0"));
    {
        struct memory_stats after;

        memory_get_stats(lab.memory, &after);
        CHECK_INT(after.misses - stats.misses, 1, "the newest was found, the oldest loaded");
    }
    memory_conversation_end(lab.memory, pinned);
    lab_remove(&lab);
}

static void lets_the_idle_go_after_their_time(void **state)
{
    struct lab lab;
    struct memory_stats stats;
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "q", "", "a");
    lab.options.cache_ttl_ms = 1;
    memory_reconfigure(lab.memory, &lab.options);
    do {
        usleep(1000);
        memory_get_stats(lab.memory, &stats);
    } while (stats.conversations && clock_now_ms() < give_up_ms);
    CHECK_INT(stats.conversations, 0, "left RAM without anybody asking");
    CHECK_INT(stats.bytes, 0, "and its bytes with it");
    lab_remove(&lab);
}

static int64_t count_rows(const struct lab *lab, const char *sql)
{
    AUTO_FREE char *path = xasprintf("%s/threadkeeper.db", lab->directory);
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t count = -1;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return count;
}

static void keeps_turns_aside_until_the_snapshot(void **state)
{
    struct lab lab;
    int64_t give_up_ms;

    (void)state;
    lab_prepare(&lab);
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab.options.max_turns = 4;
    lab_open(&lab);
    lab_say(&lab, "k", "q1", "1.1", "a1");
    lab_say(&lab, "k", "q2", "1.2", "a2");
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM turn"), 0, "not in the store yet");
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM unsaved"), 2, "but on the disk");
    lab.options.snapshot_interval_ms = 1;
    memory_reconfigure(lab.memory, &lab.options);
    lab_restart(&lab); /* the one that was scheduled is an hour away: close takes it */
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM turn"), 4, "saved at close");
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM unsaved"), 0, "and no longer aside");
    lab_say(&lab, "k", "q3", "1.3", "a3");
    give_up_ms = clock_now_ms() + LAB_WAIT_MS;
    while (count_rows(&lab, "SELECT count(*) FROM unsaved") && clock_now_ms() < give_up_ms)
        usleep(1000);
    CHECK_INT(count_rows(&lab, "SELECT max(seq) FROM turn"), 6, "saved when due");
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM turn"), 4, "the oldest were trimmed");
    lab_remove(&lab);
}

static void lets_go_what_another_process_saved(void **state)
{
    struct lab lab;
    struct lab beside;
    struct memory_stats stats;
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;

    (void)state;
    lab_prepare(&lab);
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab.options.snapshot_interval_ms = 300;
    lab.options.cache_ttl_ms = 1;
    lab_open(&lab);
    lab_say(&lab, "k", "q", "", "a");
    beside = lab;
    lab_open(&beside); /* takes up what is unsaved, as after a crash */
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM unsaved"), 0, "it did");
    do {
        usleep(1000);
        memory_get_stats(lab.memory, &stats);
    } while (stats.conversations && clock_now_ms() < give_up_ms);
    CHECK_INT(stats.conversations, 0, "nothing holds it in RAM any more");
    lab_close(&beside);
    lab_remove(&lab);
}

static void execute(const struct lab *lab, const char *sql)
{
    AUTO_FREE char *path = xasprintf("%s/threadkeeper.db", lab->directory);
    sqlite3 *handle = NULL;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
}

static void takes_what_is_readable_of_damaged_turns(void **state)
{
    struct lab lab;
    AUTO_FREE char *text = NULL;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_close(&lab);
    /* "x", "y" and half a third; counts that lie in both directions. */
    execute(&lab,
            "INSERT INTO unsaved(conversation, first_seq, base_wall_s, count, turns) VALUES"
            "('k', 1, 0, 3, x'010000000000000078000000"
            "010000010000000079000000"
            "790000000900'),"
            "('none', 1, 0, 9000000000, x''), ('minus', 1, 0, -1, x'00'),"
            "('few', 1, 0, 1, x'00000000000000000000000000000000000000000000')");
    lab_open(&lab);
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "User: x\n", "the first");
    CHECK_HOLDS(text, "You: y\n", "the second");
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM turn"), 3, "and one of the last row");
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM unsaved"), 0, "it does not come back");
    lab_remove(&lab);
}

static void never_loses_what_no_snapshot_holds_from_ram(void **state)
{
    struct lab lab;
    struct memory_stats stats;
    AUTO_FREE char *long_text = xcalloc(1, 4001);
    char key[16];

    (void)state;
    memset(long_text, 'x', 4000);
    lab_prepare(&lab);
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab.options.max_bytes = 50000;
    lab_open(&lab);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        lab_say(&lab, key, long_text, "", "a");
    }
    for (int i = 0; i < 60; i++) {
        struct conversation *conversation;

        snprintf(key, sizeof(key), "k%d", i);
        conversation = lab_begin(&lab, key);
        CHECK_INT(memory_conversation_turns(conversation), 2, key);
        memory_conversation_end(lab.memory, conversation);
    }
    memory_get_stats(lab.memory, &stats);
    assert_true(stats.evictions > 0); /* an early snapshot made room */
    lab_remove(&lab);
}

/* ---- many at once ------------------------------------------------------------------------ */

#define THREADS 4
#define ROUNDS  60

struct user {
    struct lab *lab;
    int number;
};

static void *talk(void *context)
{
    struct user *user = context;
    struct lab *lab = user->lab;

    for (int i = 0; i < ROUNDS; i++) {
        char own[32];
        struct conversation *shared = lab_begin(lab, "shared");
        char *text;

        snprintf(own, sizeof(own), "u%d-%d", user->number, i % 7);
        lab_say(lab, own, "question", "", "answer");
        text = lab_context_of(lab->memory, shared);
        free(text);
        memory_conversation_end(lab->memory, shared);
    }
    return NULL;
}

static void serves_many_at_once(void **state)
{
    struct lab lab;
    pthread_t threads[THREADS];
    struct user users[THREADS];

    (void)state;
    lab_prepare(&lab);
    lab.options.max_bytes = 2000; /* leaving and loading all the time */
    lab_open(&lab);
    lab_say(&lab, "shared", "q", "", "a");
    for (int i = 0; i < THREADS; i++) {
        users[i] = (struct user){ .lab = &lab, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, talk, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(count_rows(&lab, "SELECT count(*) FROM turn"), 2 + 2 * THREADS * ROUNDS,
              "every turn is there");
    lab_remove(&lab);
}

static void says_when_another_process_continued_the_conversation(void **state)
{
    struct lab lab;
    struct lab beside;
    struct conversation *conversation;
    struct err err = { 0 };

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    beside = lab;
    lab_open(&beside);
    lab_say(&lab, "k", "q1", "", "a1");
    conversation = lab_begin(&lab, "k"); /* what is pinned is not read anew */
    lab_say(&beside, "k", "q2", "", "a2");
    assert_int_equal(lab_commit(&lab, conversation, "q3", "", "a3", NULL, 0, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    memory_conversation_end(lab.memory, conversation);
    conversation = lab_begin(&lab, "k");
    CHECK_INT(memory_conversation_turns(conversation), 4, "loaded anew");
    assert_int_equal(lab_commit(&lab, conversation, "q3", "", "a3", NULL, 0, &err), 0);
    memory_conversation_end(lab.memory, conversation);
    lab_close(&beside);
    lab_remove(&lab);
}

/* ---- a store that is slow, or broken ----------------------------------------------------- */

struct fake_store {
    struct store base;
    _Atomic int loads;
    _Atomic bool broken;
};

static int fake_load(struct store *store, const char *key, size_t max_turns,
                     store_turn_fn on_turn, void *context, struct store_head *ret_head,
                     struct err *err)
{
    struct fake_store *fake = (struct fake_store *)store;
    const struct memory_turn turn = { .seq = 1, .author = "", .text = key, .slack_ts = "" };

    (void)max_turns;
    atomic_fetch_add(&fake->loads, 1);
    usleep(20000); /* long enough for the others to come and wait */
    if (atomic_load(&fake->broken))
        return err_set(err, ERR_SYSTEM, "broken");
    on_turn(context, &turn);
    *ret_head = (struct store_head){ .last_seq = 1 };
    return 0;
}

struct pinning {
    struct conversations *set;
    int rc;
    size_t turns;
};

static void *pin_once(void *context)
{
    struct pinning *pinning = context;
    struct conversation *conversation = NULL;

    pinning->rc = conversations_pin(pinning->set, "k", NULL, NULL, &conversation, NULL);
    if (pinning->rc == 0) {
        pinning->turns = memory_conversation_turns(conversation);
        conversations_unpin(pinning->set, conversation);
    }
    return NULL;
}

static void pin_at_once(struct conversations *set, int want_rc, const char *because)
{
    pthread_t threads[THREADS];
    struct pinning pinnings[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pinnings[i] = (struct pinning){ .set = set };
        assert_int_equal(pthread_create(&threads[i], NULL, pin_once, &pinnings[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(pinnings[i].rc, want_rc, because);
        CHECK_INT(pinnings[i].turns, want_rc == 0, because);
    }
}

static void loads_once_for_all_and_tries_again_after_a_failure(void **state)
{
    static const struct store_ops ops = { .name = "fake", .load = fake_load };
    struct fake_store fake = { .base = { .ops = &ops } };
    struct conversation_limits limits = { .max_bytes = 1 << 20,
                                          .cache_ttl_ms = 1000,
                                          .max_turns = 10 };
    struct metrics *metrics = metrics_new();
    struct conversations *set = conversations_new(&fake.base, &limits, metrics);
    struct conversation_figures figures;

    (void)state;
    atomic_store(&fake.broken, true);
    pin_at_once(set, -1, "each is told");
    conversations_get_figures(set, &figures);
    CHECK_INT(figures.conversations, 0, "nothing half-loaded stays");
    CHECK_INT(figures.bytes, 0, "nor is it counted");
    atomic_store(&fake.broken, false);
    atomic_store(&fake.loads, 0);
    pin_at_once(set, 0, "works again");
    CHECK_INT(atomic_load(&fake.loads), 1, "one loads, the others wait for it");
    conversations_free(set);
    metrics_free(metrics);
}

TEST_MAIN(TEST(remembers_after_a_restart), TEST(keeps_a_turn_and_its_ledger_rows_together),
          TEST(begins_anew_without_what_was_said), TEST(bounds_the_turns_it_keeps),
          TEST(begins_a_thread_with_what_its_parent_held),
          TEST(lends_nothing_to_a_conversation_begun_anew),
          TEST(lets_the_least_recently_used_go_but_never_a_pinned_one),
          TEST(lets_the_idle_go_after_their_time), TEST(keeps_turns_aside_until_the_snapshot),
          TEST(lets_go_what_another_process_saved),
          TEST(takes_what_is_readable_of_damaged_turns),
          TEST(never_loses_what_no_snapshot_holds_from_ram), TEST(serves_many_at_once),
          TEST(loads_once_for_all_and_tries_again_after_a_failure),
          TEST(says_when_another_process_continued_the_conversation))
