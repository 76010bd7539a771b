#include "memory/ledger.h"

#include "tests/unit/memory_lab.h"

static void knows_a_message_by_event_and_by_place(void **state)
{
    (void)state;
    static const struct {
        const char *event_id;
        const char *ts;
        int want;
        const char *because;
    } cases[] = {
        { "Ev1", "100.000001", LEDGER_NEW, "first sighting" },
        { "Ev1", "100.000001", LEDGER_DUPLICATE, "Slack's retry" },
        { "Ev1", "100.000002", LEDGER_DUPLICATE, "the event alone is enough" },
        { "Ev2", "100.000001", LEDGER_DUPLICATE, "app_mention copy of the same message" },
        { "Ev2", "100.000003", LEDGER_NEW, "a refused copy does not use up its event id" },
        { "", "100.000004", LEDGER_NEW, "without event id" },
        { "", "100.000004", LEDGER_DUPLICATE, "known by place" },
        { "Ev3", "", LEDGER_NEW, "a command has no ts" },
        { "Ev4", "", LEDGER_NEW, "two without ts are two" },
        { "", "", LEDGER_NEW, "nothing to know it by" },
        { "", "", LEDGER_NEW, "nothing to know it by, again" },
    };
    struct lab lab;

    lab_prepare(&lab);
    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(lab_record_as(&lab, lab_entry(cases[i].event_id, cases[i].ts, ""), false,
                                false, NULL),
                  cases[i].want, cases[i].because);
    lab_restart(&lab);
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev1", "", ""), false, false, NULL),
              LEDGER_DUPLICATE, "known after a restart");
    lab_remove(&lab);
}

static void answers_in_a_thread_only_when_it_is_in_it(void **state)
{
    (void)state;
    struct lab lab;

    lab_prepare(&lab);
    lab_open(&lab);
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev1", "5.1", "4.0"), true, false, NULL),
              LEDGER_NOT_ENGAGED, "nobody called the bot there");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev2", "5.1", "4.0"), false, true, NULL),
              LEDGER_NEW, "the mention copy of the very same message is not a duplicate");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev3", "5.2", "4.0"), true, false, NULL),
              LEDGER_NEW, "now it is in the thread");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev4", "5.2", "4.0"), false, true, NULL),
              LEDGER_DUPLICATE, "the mention copy came second");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev5", "6.2", "4.1"), true, false, NULL),
              LEDGER_NOT_ENGAGED, "another thread");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev6", "7.0", ""), false, true, NULL), LEDGER_NEW,
              "a mention at top level, answered in its thread");
    lab_restart(&lab);
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev7", "7.1", "7.0"), true, false, NULL),
              LEDGER_NEW, "it still is in the thread of its answer after a restart");
    lab_remove(&lab);
}

static void a_fuller_copy_completes_what_waits(void **state)
{
    (void)state;
    static const struct {
        const char *ts;
        enum ledger_state state;
        const char *want;
        const char *because;
    } cases[] = {
        { "5.1", LEDGER_RECEIVED, "{\"files\":[1]}", "its turn comes" },
        { "5.2", LEDGER_RUNNING, "{\"files\":[1]}", "its turn has begun" },
        { "5.3", LEDGER_DONE, "{}", "it is over" },
        { "5.4", LEDGER_CANCELLED, "{}", "nobody asks any more" },
    };
    struct lab lab;

    lab_prepare(&lab);
    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t id = lab_record_new(&lab, "", cases[i].ts);
        struct ledger_entry *entry = NULL;

        if (cases[i].state == LEDGER_RUNNING)
            assert_int_equal(memory_mark_running(lab.memory, &id, 1, "run", NULL), 0);
        else if (cases[i].state != LEDGER_RECEIVED)
            assert_int_equal(memory_mark_messages(lab.memory, &id, 1, cases[i].state, NULL), 0);
        CHECK_INT(lab_record_fuller(&lab, lab_entry("", cases[i].ts, ""), "{\"files\":[1]}"),
                  LEDGER_DUPLICATE, cases[i].because);
        assert_int_equal(memory_find_message(lab.memory, id, &entry, NULL), 0);
        CHECK_TEXT(entry->attributes, cases[i].want, cases[i].because);
        ledger_entry_free(entry);
    }
    CHECK_INT(lab_record_fuller(&lab, lab_entry("", "6.0", ""), "{\"files\":[2]}"), LEDGER_NEW,
              "the first copy, complete");
    lab_remove(&lab);
}

static void gives_back_what_it_was_given(void **state)
{
    (void)state;
    struct lab lab;
    struct ledger_entry *entry = lab_entry("Ev1", "5.1", "4.0");
    int64_t id = 0;

    lab_prepare(&lab);
    lab_open(&lab);
    entry->kind = LEDGER_KIND_COMMAND;
    free(entry->text);
    entry->text = xstrdup("it's \"quoted\" \xc3\xa4\n");
    assert_int_equal(lab_record_as(&lab, entry, false, false, &id), LEDGER_NEW);
    assert_int_equal(memory_find_message(lab.memory, id, &entry, NULL), 0);
    CHECK_INT(entry->kind, LEDGER_KIND_COMMAND, "kind");
    CHECK_INT(entry->state, LEDGER_RECEIVED, "state");
    CHECK_TEXT(entry->event_id, "Ev1", "event");
    CHECK_TEXT(entry->team, "T1", "team");
    CHECK_TEXT(entry->channel, "C1", "channel");
    CHECK_TEXT(entry->ts, "5.1", "ts");
    CHECK_TEXT(entry->thread_ts, "4.0", "thread");
    CHECK_TEXT(entry->user, "U1", "user");
    CHECK_TEXT(entry->conversation, "U1:C1:1", "conversation");
    CHECK_TEXT(entry->reply_thread, "4.0", "reply thread");
    CHECK_TEXT(entry->text, "it's \"quoted\" \xc3\xa4\n", "text");
    CHECK_TEXT(entry->attributes, "{}", "attributes");
    assert_true(entry->received_wall_us > 0);
    ledger_entry_free(entry);
    assert_int_equal(memory_find_message(lab.memory, id + 1, &entry, NULL), 0);
    assert_null(entry);
    lab_remove(&lab);
}

static size_t pending_after(struct lab *lab, int64_t after_id, struct ledger_entry **entries,
                            size_t max)
{
    struct memory_stats stats;
    size_t count = 0;

    assert_int_equal(memory_pending_messages(lab->memory, after_id, entries, max, &count, NULL),
                     0);
    memory_get_stats(lab->memory, &stats);
    if (!after_id && count < max)
        CHECK_INT(stats.pending, count, "the figure agrees with the rows");
    return count;
}

static void follows_a_message_through_its_states(void **state)
{
    (void)state;
    struct lab lab;
    struct ledger_entry *entries[8];
    struct err err = { 0 };
    int64_t ids[3];

    lab_prepare(&lab);
    lab_open(&lab);
    ids[0] = lab_record_new(&lab, "Ev1", "1.1");
    ids[1] = lab_record_new(&lab, "Ev2", "1.2");
    ids[2] = lab_record_new(&lab, "Ev3", "1.3");
    assert_true(ids[0] < ids[1] && ids[1] < ids[2]);
    assert_int_equal(memory_mark_running(lab.memory, ids, 2, "run-1", &err), 0);
    memory_note_reply(lab.memory, ids, 2, "ts=9");
    assert_int_equal(memory_mark_messages(lab.memory, &ids[2], 1, LEDGER_CANCELLED, &err), 0);
    lab_restart(&lab);

    CHECK_INT(pending_after(&lab, 0, entries, 8), 2, "two are running");
    CHECK_INT(entries[0]->id, ids[0], "oldest first");
    CHECK_INT(entries[1]->state, LEDGER_RUNNING, "running");
    CHECK_TEXT(entries[1]->run_id, "run-1", "which run");
    CHECK_TEXT(entries[1]->reply_state, "ts=9", "noted without waiting");
    CHECK_INT(entries[1]->attempts, 1, "one run so far");
    ledger_entry_free(entries[0]);
    ledger_entry_free(entries[1]);
    CHECK_INT(pending_after(&lab, ids[0], entries, 8), 1, "after the first");
    ledger_entry_free(entries[0]);
    CHECK_INT(pending_after(&lab, 0, entries, 1), 1, "at most one");
    ledger_entry_free(entries[0]);

    assert_int_equal(memory_mark_messages(lab.memory, ids, 2, LEDGER_FAILED, &err), 0);
    CHECK_INT(pending_after(&lab, 0, entries, 8), 0, "finished");
    assert_int_equal(memory_mark_messages(lab.memory, ids, 1, LEDGER_RECEIVED, &err), 0);
    CHECK_INT(pending_after(&lab, 0, entries, 8), 1, "Retry puts it back");
    CHECK_TEXT(entries[0]->run_id, "", "a new run will be another one");
    CHECK_INT(entries[0]->attempts, 1, "runs so far are remembered");
    ledger_entry_free(entries[0]);
    lab_remove(&lab);
}

static void another_run_goes_on_with_the_same_answer(void **state)
{
    (void)state;
    struct lab lab;
    struct ledger_entry *entries[8];
    struct err err = { 0 };
    int64_t ids[2];

    lab_prepare(&lab);
    lab_open(&lab);
    ids[0] = lab_record_new(&lab, "Ev1", "1.1");
    ids[1] = lab_record_new(&lab, "Ev2", "1.2");
    assert_int_equal(memory_mark_running(lab.memory, ids, 1, "run-1", &err), 0);
    memory_note_reply(lab.memory, ids, 1, "ts=9");
    assert_int_equal(memory_mark_running(lab.memory, ids, 2, "run-2", &err), 0);
    lab_restart(&lab);

    CHECK_INT(pending_after(&lab, 0, entries, 8), 2, "both are running");
    CHECK_TEXT(entries[0]->run_id, "run-2", "by the new run");
    CHECK_TEXT(entries[1]->run_id, "run-2", "by the new run");
    CHECK_TEXT(entries[0]->reply_state, "ts=9", "in the message that is there");
    CHECK_INT(entries[0]->attempts, 1, "one answer");
    CHECK_INT(entries[1]->attempts, 1, "one answer");
    ledger_entry_free(entries[0]);
    ledger_entry_free(entries[1]);
    lab_remove(&lab);
}

static void refuses_an_unknown_id_alone(void **state)
{
    (void)state;
    struct lab lab;
    struct err err = { 0 };
    struct memory_stats stats;
    int64_t ids[2];

    lab_prepare(&lab);
    lab_open(&lab);
    ids[0] = lab_record_new(&lab, "Ev1", "1.1");
    ids[1] = 999;
    assert_int_equal(memory_mark_messages(lab.memory, ids, 2, LEDGER_DONE, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    CHECK_HOLDS(err.message, "999", "names it");
    memory_get_stats(lab.memory, &stats);
    CHECK_INT(stats.pending, 1, "neither was changed");
    assert_int_equal(memory_mark_messages(lab.memory, ids, 1, LEDGER_DONE, &err), 0);
    lab_remove(&lab);
}

static void forgets_finished_messages_after_two_days(void **state)
{
    (void)state;
    struct lab lab;
    struct db *db = NULL;
    struct err err = { 0 };
    struct ledger *ledger = NULL;
    AUTO_FREE char *path = NULL;
    int64_t ids[601];
    int64_t now_us = clock_wall_us() + LEDGER_KEPT_US + 60000000;
    struct ledger_entry *entry = NULL;
    bool more = true;
    int steps = 0;

    lab_prepare(&lab);
    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char ts[32];

        snprintf(ts, sizeof(ts), "%zu.1", i + 1);
        ids[i] = lab_record_new(&lab, "", ts);
    }
    /* All but the second are finished. */
    assert_int_equal(memory_mark_messages(lab.memory, ids, 1, LEDGER_DONE, &err), 0);
    assert_int_equal(
        memory_mark_messages(lab.memory, ids + 2, ARRAY_LEN(ids) - 2, LEDGER_FAILED, &err), 0);
    lab_close(&lab);

    path = xasprintf("%s/%s", lab.directory, DB_FILE_NAME);
    lab.metrics = metrics_new();
    assert_int_equal(db_open(path, DB_ROLE_WRITER, &db, &err), 0);
    assert_int_equal(ledger_new(db, NULL, lab.metrics, &ledger, &err), 0);
    CHECK_INT(ledger_pending_count(ledger), 1, "counted at the start");
    assert_int_equal(ledger_prune(ledger, db, clock_wall_us(), &more, &err), 0);
    assert_false(more);
    for (more = true; more; steps++)
        assert_int_equal(ledger_prune(ledger, db, now_us, &more, &err), 0);
    CHECK_INT(steps, 4, "in small steps");
    ledger_free(ledger);
    db_close(db);
    metrics_free(lab.metrics);

    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        bool kept = i == 1 || i + 1 == ARRAY_LEN(ids);

        assert_int_equal(memory_find_message(lab.memory, ids[i], &entry, NULL), 0);
        CHECK_INT(entry != NULL, kept,
                  "kept are what is pending and the newest, whose id must not be used twice");
        ledger_entry_free(entry);
    }
    lab_remove(&lab);
}

TEST_MAIN(TEST(knows_a_message_by_event_and_by_place),
          TEST(answers_in_a_thread_only_when_it_is_in_it), TEST(gives_back_what_it_was_given),
          TEST(a_fuller_copy_completes_what_waits), TEST(follows_a_message_through_its_states),
          TEST(another_run_goes_on_with_the_same_answer), TEST(refuses_an_unknown_id_alone),
          TEST(forgets_finished_messages_after_two_days))
