#include "memory/upkeep.h"

#include "memory/archive.h"
#include "memory/db.h"
#include "memory/forget.h"
#include "memory/journal.h"
#include "memory/rooms.h"
#include "tests/unit/memory_lab.h"

#define LATER_MS (INT64_C(2) * 3600 * 1000)

static const enum memory_store_kind stores[] = { MEMORY_STORE_SQLITE, MEMORY_STORE_FILES,
                                                 MEMORY_STORE_NONE };

/* Time is moved by hand: as upkeep would find it two hours after the last time. */
static int run_later(void *context, struct db *db, struct err *err)
{
    static int64_t later_ms;

    (void)err;
    upkeep_run(context, db, clock_now_ms() + (later_ms += LATER_MS));
    return 0;
}

static void upkeep_later(struct lab *lab)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): lab_open() fails before that */
    assert_int_equal(journal_call(lab->memory->journal, run_later, lab->memory, NULL), 0);
}

static int64_t count_turns(struct lab *lab)
{
    struct store_stats stats = { 0 };

    assert_int_equal(memory_store_stats(lab->memory, &stats, NULL), 0);
    return stats.turns;
}

static void erases_by_hand_what_is_too_old(void)
{
    for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
        struct lab lab;
        struct store_swept swept = { 0 };
        int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;
        AUTO_FREE char *text = NULL;

        lab_prepare(&lab);
        lab.options.store = stores[i];
        lab_open(&lab);
        lab_say(&lab, "k", "question", "1.1", "answer");
        assert_int_equal(upkeep_sweep(lab.memory, 3600000, &swept, NULL), 0);
        CHECK_INT(swept.turns, 0, "not old enough");
        assert_int_equal(upkeep_sweep(lab.memory, 0, &swept, NULL), 0);
        CHECK_INT(swept.turns, 0, "expired things only");
        /* Seconds are what is counted: the next one makes it old. */
        while (!swept.turns && clock_now_ms() < give_up_ms)
            assert_int_equal(upkeep_sweep(lab.memory, 1, &swept, NULL), 0);
        CHECK_INT(swept.turns, 2, "question and answer");
        CHECK_INT(swept.conversations, 1, "whole");
        text = lab_context(&lab, "k");
        CHECK_TEXT(text, "", "and from RAM");
        lab_say(&lab, "k", "again", "1.2", "yes");
        CHECK_INT(count_turns(&lab), 2, "it goes on");
        lab_remove(&lab);
    }
}

static void erases_what_is_past_retention_by_itself(void)
{
    for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
        struct lab lab;
        struct ledger_entry *entry = NULL;
        int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;
        int64_t ids[2];

        lab_prepare(&lab);
        lab.options.store = stores[i];
        lab.options.retention_ms = 1;
        lab_open(&lab);
        ids[0] = lab_record_new(&lab, "Ev1", "1.1");
        ids[1] = lab_record_new(&lab, "Ev2", "1.2");
        assert_int_equal(memory_mark_messages(lab.memory, ids, 1, LEDGER_DONE, NULL), 0);
        lab_say(&lab, "k", "question", "1.1", "answer");
        while (count_turns(&lab) && clock_now_ms() < give_up_ms)
            upkeep_later(&lab);
        CHECK_INT(count_turns(&lab), 0, "the store");
        for (int pieces = 0; pieces < 3; pieces++)
            upkeep_later(&lab);
        assert_int_equal(memory_find_message(lab.memory, ids[0], &entry, NULL), 0);
        CHECK_TEXT(entry->text, "", "the ledger's text");
        CHECK_TEXT(entry->event_id, "Ev1", "but a repeated delivery is still known");
        ledger_entry_free(entry);
        assert_int_equal(memory_find_message(lab.memory, ids[1], &entry, NULL), 0);
        CHECK_TEXT(entry->text, "we use JWT", "what waits is still to be answered");
        ledger_entry_free(entry);
        lab_remove(&lab);
    }
}

static void keeps_everything_without_a_retention(void)
{
    struct lab lab;

    lab_prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "k", "question", "1.1", "answer");
    for (int pieces = 0; pieces < 5; pieces++)
        upkeep_later(&lab);
    CHECK_INT(count_turns(&lab), 2, "nothing goes");
    lab_remove(&lab);
}

static void a_visitor_sweeps_only_when_asked(void)
{
    struct lab lab;
    int64_t give_up_ms = clock_now_ms() + 1200;

    lab_prepare(&lab);
    lab.options.retention_ms = 1;
    lab.options.is_visitor = true;
    lab_open(&lab);
    lab_say(&lab, "k", "question", "1.1", "answer");
    while (clock_now_ms() < give_up_ms)
        upkeep_later(&lab);
    CHECK_INT(count_turns(&lab), 2, "left to the daemon");
    lab_remove(&lab);
}

/* ---- bytes of what is erased --------------------------------------------------------------
 */

static bool is_in_file(const struct lab *lab, const char *suffix, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/threadkeeper.db%s", lab->directory, suffix);
    AUTO_BUF struct buf bytes = { 0 };

    buf_init(&bytes, (size_t)64 << 20);
    return file_read(path, &bytes, NULL) == 0 &&
           memmem(buf_text(&bytes), bytes.len, text, strlen(text));
}

static bool is_in_files(const struct lab *lab, const char *text)
{
    return is_in_file(lab, "", text) || is_in_file(lab, "-wal", text);
}

static void erased_bytes_go_when_no_reader_is_in_the_way(void)
{
    static const bool visits[] = { false, true };

    for (size_t i = 0; i < ARRAY_LEN(visits); i++) {
        AUTO_FREE char *path = NULL;
        struct memory_forget what = { .key = "k" };
        struct memory_forgotten forgotten = { 0 };
        struct db *reader = NULL;
        struct lab lab;

        lab_prepare(&lab);
        path = xasprintf("%s/%s", lab.directory, "threadkeeper.db");
        lab.options.is_visitor = visits[i];
        lab_open(&lab);
        lab_say(&lab, "k", "xylophone-4711", "1.1", "answer");
        assert_int_equal(db_open(path, DB_ROLE_READER, &reader, NULL), 0);
        assert_int_equal(
            sqlite3_exec(db_handle(reader), "BEGIN; SELECT * FROM turn", NULL, NULL, NULL),
            SQLITE_OK);
        assert_int_equal(memory_forget(lab.memory, &what, &forgotten, NULL), 0);
        memory_forgotten_deinit(&forgotten);
        CHECK_INT(is_in_files(&lab, "xylophone-4711"), true, "it is still read");
        lab.options.is_visitor = false;
        if (visits[i])
            lab_restart(&lab); /* the daemon that comes after a command */
        db_rollback(reader);
        upkeep_later(&lab);
        CHECK_INT(is_in_files(&lab, "xylophone-4711"), false,
                  visits[i] ? "the daemon did it" : "done later");
        db_close(reader);
        lab_remove(&lab);
    }
}

/* ---- durability interval, with files ----------------------------------------------------- */

static void files_are_written_by_the_snapshot(void)
{
    struct lab lab;
    int64_t give_up_ms = clock_now_ms() + LAB_WAIT_MS;
    AUTO_FREE char *text = NULL;

    lab_prepare(&lab);
    lab.options.store = MEMORY_STORE_FILES;
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    for (int i = 0; i < 10; i++)
        lab_say(&lab, i % 2 ? "k" : "other", "question", "1.1", "answer");
    CHECK_INT(count_turns(&lab), 0, "in RAM and in the ledger's keeping");
    while (count_turns(&lab) < 20 && clock_now_ms() < give_up_ms)
        upkeep_later(&lab);
    CHECK_INT(count_turns(&lab), 20, "written when it is due");
    lab_say(&lab, "k", "last", "1.2", "words");
    CHECK_INT(count_turns(&lab), 20, "and again later");
    lab_restart(&lab);
    CHECK_INT(count_turns(&lab), 22, "or at the shutdown");
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "words", "and read again");
    lab_remove(&lab);
}

/* A turn is committed with the ledger; a store that fails gets it later. */
static void a_turn_survives_a_store_that_fails(void)
{
    struct lab lab;
    AUTO_FREE char *sessions = NULL;
    const char *answer;
    AUTO_FREE char *text = NULL;
    int64_t id;
    struct conversation *conversation;
    struct ledger_entry *entry = NULL;

    lab_prepare(&lab);
    lab.options.store = MEMORY_STORE_FILES;
    lab_open(&lab);
    id = lab_record_new(&lab, "Ev1", "1.1");
    lab_say(&lab, "k", "first", "1.0", "yes");
    /* The process keeps its descriptors; nothing can be made in a directory that is gone. */
    sessions = xasprintf("%s/sessions", lab.directory);
    assert_int_equal(file_remove_tree(sessions, NULL), 0);
    conversation = lab_begin(&lab, "new");
    assert_int_equal(lab_commit(&lab, conversation, "second", "1.1", "sure", &id, 1, NULL), 0);
    memory_conversation_end(lab.memory, conversation);
    assert_int_equal(memory_find_message(lab.memory, id, &entry, NULL), 0);
    CHECK_INT(entry->state, LEDGER_DONE, "answered all the same");
    ledger_entry_free(entry);
    lab_say(&lab, "new", "third", "1.2", "indeed");
    lab_restart(&lab);
    CHECK_INT(count_turns(&lab), 4, "the store has them as soon as it can");
    text = lab_context(&lab, "new");
    answer = strstr(text, "sure");
    assert_non_null(answer);
    CHECK_HOLDS(answer, "indeed", "in order");
    lab_remove(&lab);
}

TEST_MAIN(TEST(erases_by_hand_what_is_too_old), TEST(erases_what_is_past_retention_by_itself),
          TEST(keeps_everything_without_a_retention), TEST(a_visitor_sweeps_only_when_asked),
          TEST(erased_bytes_go_when_no_reader_is_in_the_way),
          TEST(files_are_written_by_the_snapshot), TEST(a_turn_survives_a_store_that_fails))
