/* What another process does to the store, and what RAM makes of it. */
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "memory/commit.h"
#include "memory/forget.h"
#include "memory/rooms.h"
#include "tests/unit/memory_lab.h"

static const struct {
    enum memory_store_kind store;
    enum memory_durability durability;
    const char *name;
} ways[] = {
    { MEMORY_STORE_SQLITE, MEMORY_DURABILITY_TURN, "sqlite, each turn" },
    { MEMORY_STORE_SQLITE, MEMORY_DURABILITY_INTERVAL, "sqlite, now and then" },
    { MEMORY_STORE_FILES, MEMORY_DURABILITY_TURN, "files, each turn" },
    { MEMORY_STORE_FILES, MEMORY_DURABILITY_INTERVAL, "files, now and then" },
};

/*
 * A command beside the daemon, in a process of its own that is made before there are threads:
 * each letter written to it is an order, each letter read from it the answer that it is done.
 */
struct beside {
    pid_t pid;
    int orders;
    int answers;
};

static void forget(struct lab *lab, const char *key)
{
    struct memory_forget what = { .key = key };
    struct memory_forgotten forgotten = { 0 };
    struct err err = { 0 };

    if (memory_forget(lab->memory, &what, &forgotten, &err) < 0)
        fail_msg("cannot forget: %s", err.message);
    memory_forgotten_deinit(&forgotten);
}

enum order {
    ORDER_OPEN = 'o',
    ORDER_CLOSE = 'c',
    ORDER_FORGET = 'f',
    ORDER_SAY = 's',
    ORDER_SAY_ELSEWHERE = 'e',
    ORDER_COUNT = 'n',
};

static char count_turns(struct lab *lab)
{
    struct store *store = lab->memory ? lab->memory->store : NULL;
    struct store_conversation size = { 0 };

    if (!store || store->ops->size(store, "k", &size, NULL) < 0 || size.turns > 9)
        return '!';
    return "0123456789"[size.turns];
}

/* What it answers with. */
static char obey(struct lab *visitor, enum order order)
{
    bool is_open = visitor->memory != NULL; /* and stays so */
    char answer = '!';

    if (!is_open)
        lab_open(visitor);
    switch (order) {
    case ORDER_OPEN:
        return answer;
    case ORDER_CLOSE:
        is_open = false;
        break;
    case ORDER_FORGET:
        forget(visitor, "k");
        break;
    case ORDER_SAY:
        lab_say(visitor, "k", "said beside", "9.1", "heard beside");
        break;
    case ORDER_SAY_ELSEWHERE:
        lab_say(visitor, "other", "said elsewhere", "9.1", "heard elsewhere");
        break;
    case ORDER_COUNT:
        answer = count_turns(visitor);
        break;
    }
    if (!is_open)
        lab_close(visitor);
    return answer;
}

static void serve_orders(const struct lab *lab, int orders, int answers)
{
    struct lab visitor = *lab;
    char order;
    char answer;

    visitor.options.is_visitor = true;
    visitor.options.durability = MEMORY_DURABILITY_TURN;
    while (read(orders, &order, 1) == 1) {
        answer = obey(&visitor, (enum order)order);
        if (write(answers, &answer, 1) != 1)
            break;
    }
    if (visitor.memory)
        lab_close(&visitor);
    _exit(0);
}

static struct beside start_beside(struct lab *lab)
{
    int orders[2];
    int answers[2];
    struct beside beside;

    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(answers), 0);
    beside.pid = fork();
    assert_true(beside.pid >= 0);
    if (beside.pid == 0) {
        close(orders[1]);
        close(answers[0]);
        serve_orders(lab, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    beside.orders = orders[1];
    beside.answers = answers[0];
    return beside;
}

static char order(const struct beside *beside, enum order order)
{
    char what = (char)order;
    char answer = 0;

    assert_int_equal(write(beside->orders, &what, 1), 1);
    assert_int_equal(read(beside->answers, &answer, 1), 1);
    return answer;
}

static void end_beside(struct beside *beside)
{
    int status = 0;

    close(beside->orders);
    close(beside->answers);
    assert_int_equal(waitpid(beside->pid, &status, 0), beside->pid);
    CHECK_INT(status, 0, "it ended well");
}

static struct beside prepare(struct lab *lab, size_t way)
{
    struct beside beside;

    lab_prepare(lab);
    lab->options.store = ways[way].store;
    lab->options.durability = ways[way].durability;
    beside = start_beside(lab);
    lab_open(lab);
    return beside;
}

static void check_context(struct lab *lab, const char *key, const char *has, const char *lacks,
                          const char *because)
{
    AUTO_FREE char *text = lab_context(lab, key);

    if (has)
        CHECK_HOLDS(text, has, because);
    if (lab_holds(text, lacks))
        fail_msg("%s: %s is still there", because, lacks);
}

static void what_another_process_forgot_is_forgotten_before_the_next_turn(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct beside beside = prepare(&lab, way);

        lab_say(&lab, "k", "secret", "1.1", "indeed");
        lab_say(&lab, "other", "harmless", "1.2", "fine");
        order(&beside, ORDER_FORGET);
        lab_record_new(&lab, "Ev1", "2.1"); /* as each turn begins */
        check_context(&lab, "k", NULL, "secret", ways[way].name);
        check_context(&lab, "other", "harmless", "secret", ways[way].name);
        lab_say(&lab, "k", "new", "2.1", "answer");
        lab_restart(&lab);
        check_context(&lab, "k", "new", "secret", ways[way].name);
        end_beside(&beside);
        lab_remove(&lab);
    }
}

static void what_another_process_said_is_known_at_the_next_turn(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct beside beside = prepare(&lab, way);

        lab_say(&lab, "k", "first", "1.1", "answer");
        order(&beside, ORDER_SAY);
        lab_record_new(&lab, "Ev1", "2.1");
        check_context(&lab, "k", "said beside", "nothing", ways[way].name);
        lab_say(&lab, "k", "third", "3.1", "answer");
        lab_restart(&lab);
        check_context(&lab, "k", "first", "nothing", ways[way].name);
        check_context(&lab, "k", "third", "nothing", ways[way].name);
        end_beside(&beside);
        lab_remove(&lab);
    }
}

static void a_refresh_looks_at_once(void)
{
    struct lab lab;
    struct beside beside = prepare(&lab, 0);
    struct memory_stats stats;
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;

    lab_say(&lab, "k", "secret", "1.1", "indeed");
    order(&beside, ORDER_FORGET);
    memory_refresh(lab.memory);
    do {
        usleep(1000);
        memory_get_stats(lab.memory, &stats);
    } while (stats.conversations && clock_now_ms() < give_up_ms);
    CHECK_INT(stats.conversations, 0, "RAM let go of it, although nobody asked");
    end_beside(&beside);
    lab_remove(&lab);
}

static void a_refresh_saves_what_is_unsaved(void)
{
    struct lab lab;
    struct beside beside = prepare(&lab, 1);
    struct store_conversation size = { 0 };
    struct err err = { 0 };
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;

    lab_say(&lab, "k", "q", "1.1", "a");
    memory_refresh(lab.memory);
    do {
        usleep(1000);
        assert_int_equal(lab.memory->store->ops->size(lab.memory->store, "k", &size, &err), 0);
    } while (!size.turns && clock_now_ms() < give_up_ms);
    CHECK_INT(size.turns, 2, "in the store");
    end_beside(&beside);
    lab_remove(&lab);
}

static void a_pinned_conversation_is_read_anew_at_its_next_pin(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct beside beside = prepare(&lab, way);
        struct conversation *pinned;
        struct err err = { 0 };

        lab_say(&lab, "k", "secret", "1.1", "indeed");
        pinned = lab_begin(&lab, "k");
        order(&beside, ORDER_FORGET);
        lab_record_new(&lab, "Ev1", "2.1");
        CHECK_INT(memory_conversation_turns(pinned), 2, "its turn is running");
        assert_int_equal(lab_commit(&lab, pinned, "later", "2.1", "answer", NULL, 0, &err), 0);
        memory_conversation_end(lab.memory, pinned);
        check_context(&lab, "k", "later", "secret", ways[way].name);
        end_beside(&beside);
        lab_remove(&lab);
    }
}

/* ---- both at once ------------------------------------------------------------------------ */

#define ROUNDS 40

static void two_processes_may_save_at_the_same_time(void)
{
    struct lab lab;
    struct beside beside = prepare(&lab, 1);
    struct err err = { 0 };

    lab.options.snapshot_interval_ms = 1; /* all the time */
    memory_reconfigure(lab.memory, &lab.options);
    for (int i = 0; i < ROUNDS; i++) {
        char text[32];

        snprintf(text, sizeof(text), "question %d.", i);
        lab_say(&lab, "k", text, "", "answer");
        if (i % 8 == 0)
            order(&beside, ORDER_SAY_ELSEWHERE); /* opens, saves, says, closes */
    }
    assert_int_equal(commit_flush(&lab.memory->path, &err), 0);
    lab_restart(&lab);
    for (int i = 0; i < ROUNDS; i++) {
        char text[32];

        snprintf(text, sizeof(text), "question %d.", i);
        check_context(&lab, "k", text, "nothing", "every turn");
    }
    {
        struct conversation *conversation = lab_begin(&lab, "k");

        CHECK_INT(memory_conversation_turns(conversation), 2 * ROUNDS, "none twice");
        memory_conversation_end(lab.memory, conversation);
    }
    end_beside(&beside);
    lab_remove(&lab);
}

static void a_visitor_sees_what_is_unsaved(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct beside beside = prepare(&lab, way);

        lab_say(&lab, "k", "q", "1.1", "a");
        CHECK_INT(order(&beside, ORDER_COUNT), '2', ways[way].name);
        end_beside(&beside);
        lab_remove(&lab);
    }
}

static void what_is_put_aside_beside_a_visitor_is_forgotten_as_well(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct beside beside = prepare(&lab, way);

        lab_say(&lab, "k", "secret", "1.1", "indeed");
        order(&beside, ORDER_OPEN);
        lab_say(&lab, "k", "another secret", "1.2", "indeed");
        /* The daemon has noticed the visitor, and saves; what comes now waits an hour. */
        while (order(&beside, ORDER_COUNT) != '4')
            usleep(1000);
        lab_say(&lab, "k", "the last secret", "1.3", "indeed");
        order(&beside, ORDER_FORGET);
        order(&beside, ORDER_CLOSE);
        lab_restart(&lab);
        check_context(&lab, "k", NULL, "secret", ways[way].name);
        end_beside(&beside);
        lab_remove(&lab);
    }
}

static void set_schema(struct lab *lab, const char *pragma)
{
    AUTO_FREE char *path = xasprintf("%s/threadkeeper.db", lab->directory);
    sqlite3 *handle = NULL;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, pragma, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
}

static void a_visitor_leaves_an_older_schema_alone(void)
{
    struct lab lab;
    struct memory *memory = NULL;
    struct err err = { 0 };

    lab_prepare(&lab);
    lab_open(&lab);
    lab_close(&lab);
    set_schema(&lab, "PRAGMA user_version=1");
    lab.options.is_visitor = true;
    lab.metrics = metrics_new();
    assert_int_equal(memory_open(&lab.options, lab.metrics, &memory, &err), -1);
    CHECK_HOLDS(err.message, "schema 1", "it says why");
    CHECK_HOLDS(err.message, "the daemon", "and who brings it up to date");
    lab_remove(&lab);
}

static void a_visitor_may_be_the_first(void)
{
    struct lab lab;
    struct conversation *conversation;

    lab_prepare(&lab);
    lab.options.is_visitor = true;
    lab_open(&lab);
    lab_say(&lab, "k", "imported", "", "before there was a daemon");
    lab.options.is_visitor = false;
    lab_restart(&lab);
    conversation = lab_begin(&lab, "k");
    CHECK_INT(memory_conversation_turns(conversation), 2, "the daemon finds it");
    memory_conversation_end(lab.memory, conversation);
    lab_remove(&lab);
}

/* ---- within this process ----------------------------------------------------------------- */

static void dropped_text_leaves_ram_even_under_a_pin(void)
{
    struct lab lab;
    struct conversation *pinned;

    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "q", "1.1", "a");
    pinned = lab_begin(&lab, "k");
    conversations_reload(lab.memory->conversations, "k");
    CHECK_INT(memory_conversation_turns(pinned), 2, "only to be read anew");
    conversations_drop(lab.memory->conversations, "k");
    CHECK_INT(memory_conversation_turns(pinned), 0, "erased");
    memory_conversation_end(lab.memory, pinned);
    pinned = lab_begin(&lab, "k");
    CHECK_INT(memory_conversation_turns(pinned), 2, "the store still had it");
    memory_conversation_end(lab.memory, pinned);
    conversations_drop(lab.memory->conversations, "nobody knows it");
    lab_remove(&lab);
}

static void an_unsaved_conversation_is_saved_before_it_is_read_anew(void)
{
    struct lab lab;

    lab_prepare(&lab);
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    lab_say(&lab, "k", "unsaved question", "1.1", "a");
    conversations_mark_all_stale(lab.memory->conversations);
    check_context(&lab, "k", "unsaved question", "nothing", "nothing is lost");
    lab_say(&lab, "k", "the next", "1.2", "b");
    conversations_drop(lab.memory->conversations, "k");
    check_context(&lab, "k", "the next", "nothing", "nor what came after");
    lab_remove(&lab);
}

#define TALKERS 3
#define TURNS   60

struct talker {
    struct lab *lab;
    int number;
};

static void *talk(void *context)
{
    struct talker *talker = context;
    char key[16];

    for (int i = 0; i < TURNS; i++) {
        snprintf(key, sizeof(key), "k%d-%d", talker->number, i % 3);
        lab_say(talker->lab, key, "question", "1.1", "answer");
    }
    return NULL;
}

static void turns_survive_being_read_anew_all_the_time(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct beside beside = prepare(&lab, way);
        struct talker talkers[TALKERS];
        pthread_t threads[TALKERS];
        char key[16];

        lab.options.snapshot_interval_ms = 5;
        memory_reconfigure(lab.memory, &lab.options);
        for (int i = 0; i < TALKERS; i++) {
            talkers[i] = (struct talker){ .lab = &lab, .number = i };
            assert_int_equal(pthread_create(&threads[i], NULL, talk, &talkers[i]), 0);
        }
        for (int i = 0; i < TURNS; i++) {
            snprintf(key, sizeof(key), "k%d-%d", i % TALKERS, i % 3);
            conversations_reload(lab.memory->conversations, key);
            conversations_drop(lab.memory->conversations, key);
            conversations_mark_all_stale(lab.memory->conversations);
            usleep(300);
        }
        for (int i = 0; i < TALKERS; i++)
            pthread_join(threads[i], NULL);
        lab_restart(&lab);
        for (int i = 0; i < TALKERS * 3; i++) {
            struct conversation *conversation;

            snprintf(key, sizeof(key), "k%d-%d", i / 3, i % 3);
            conversation = lab_begin(&lab, key);
            CHECK_INT(memory_conversation_turns(conversation), 2 * TURNS / 3, ways[way].name);
            CHECK_INT(conversation_last_seq(conversation), 2 * TURNS / 3, ways[way].name);
            memory_conversation_end(lab.memory, conversation);
        }
        end_beside(&beside);
        lab_remove(&lab);
    }
}

/* ---- summaries --------------------------------------------------------------------------- */

static bool copy_text(void *context, const struct store_summary *summary)
{
    snprintf(context, 64, "%lld %s|%s", (long long)summary->version, summary->text,
             summary->pinned);
    return false;
}

static void check_summary(struct lab *lab, const char *want, const char *because)
{
    struct conversation *conversation = lab_begin(lab, "k");
    char text[64] = "none";

    conversation_visit_summary(conversation, copy_text, text);
    CHECK_TEXT(text, want, because);
    memory_conversation_end(lab->memory, conversation);
}

static void the_newest_summary_stays_with_its_conversation(void)
{
    struct lab lab;
    struct store_summary summaries[2] = {
        { .version = 1,
          .first_seq = 1,
          .last_seq = 2,
          .source = "extract",
          .text = "old",
          .pinned = "" },
        { .version = 2,
          .first_seq = 1,
          .last_seq = 2,
          .source = "agent",
          .text = "new",
          .pinned = "/etc/x" },
    };
    struct store_mutation mutations[2];
    struct memory_stats before;
    struct memory_stats after;
    struct err err = { 0 };

    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "q", "1.1", "a");
    check_summary(&lab, "none", "not yet");
    for (int i = 0; i < 2; i++)
        mutations[i] = (struct store_mutation){ .kind = STORE_SET_SUMMARY,
                                                .key = "k",
                                                .summary = &summaries[i] };
    assert_int_equal(commit_mutations(&lab.memory->path, mutations, 2, &err), 0);
    memory_get_stats(lab.memory, &before);
    {
        struct conversation *conversation = lab_begin(&lab, "k");

        conversation_set_summary(lab.memory->conversations, conversation, &summaries[0]);
        memory_conversation_end(lab.memory, conversation);
    }
    memory_get_stats(lab.memory, &after);
    assert_true(after.bytes > before.bytes);
    check_summary(&lab, "1 old|", "as it was given");
    lab_restart(&lab);
    check_summary(&lab, "2 new|/etc/x", "the newest of the store");
    assert_int_equal(memory_conversation_reset(lab.memory, "k", &err), 0);
    check_summary(&lab, "none", "begun anew");
    lab_restart(&lab);
    check_summary(&lab, "none", "also after a restart");
    lab_remove(&lab);
}

TEST_MAIN(TEST(what_another_process_forgot_is_forgotten_before_the_next_turn),
          TEST(what_another_process_said_is_known_at_the_next_turn),
          TEST(a_refresh_looks_at_once), TEST(a_refresh_saves_what_is_unsaved),
          TEST(a_pinned_conversation_is_read_anew_at_its_next_pin),
          TEST(two_processes_may_save_at_the_same_time), TEST(a_visitor_sees_what_is_unsaved),
          TEST(what_is_put_aside_beside_a_visitor_is_forgotten_as_well),
          TEST(a_visitor_leaves_an_older_schema_alone), TEST(a_visitor_may_be_the_first),
          TEST(dropped_text_leaves_ram_even_under_a_pin),
          TEST(an_unsaved_conversation_is_saved_before_it_is_read_anew),
          TEST(turns_survive_being_read_anew_all_the_time),
          TEST(the_newest_summary_stays_with_its_conversation))
