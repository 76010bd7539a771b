/* What goes to the store beside turns, and what passes through the "unsaved" table. */
#include "memory/commit.h"

#include <fcntl.h>

#include "memory/person.h"
#include "memory/rooms.h"
#include "tests/unit/memory_lab.h"

static void set_value(struct store_mutation *mutation, enum store_mutation_kind kind,
                      const char *key)
{
    *mutation = (struct store_mutation){ .kind = kind, .key = key, .value = "1", .number = 4 };
}

static void applies_a_batch_whole_or_not_at_all(void)
{
    struct lab lab;
    struct store_mutation mutations[2];
    struct err err = { 0 };

    lab_prepare(&lab);
    lab_open(&lab);
    set_value(&mutations[0], STORE_ADD_VALUE, "counter");
    set_value(&mutations[1], STORE_ADD_VALUE, "counter");
    assert_int_equal(commit_mutations(&lab.memory->path, mutations, 2, &err), 0);
    CHECK_INT(mutations[1].count, 8, "the sum, after the commit");
    set_value(&mutations[1], STORE_EDIT_FIELD, "k");
    mutations[1].name = "f";
    mutations[1].value = "no JSON";
    assert_int_equal(commit_mutations(&lab.memory->path, mutations, 2, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    set_value(&mutations[0], STORE_ADD_VALUE, "counter");
    assert_int_equal(commit_mutations(&lab.memory->path, mutations, 1, &err), 0);
    CHECK_INT(mutations[0].count, 12, "nothing of the refused batch");
    lab_remove(&lab);
}

static int mutate_on_the_journal(void *context, struct db *db, struct err *err)
{
    struct lab *lab = context;
    struct store_mutation mutation;

    (void)db;
    set_value(&mutation, STORE_SET_VALUE, "k");
    return commit_mutations(&lab->memory->path, &mutation, 1, err);
}

static void refuses_to_wait_for_itself(void)
{
    struct lab lab;
    struct err err = { 0 };

    lab_prepare(&lab);
    lab_open(&lab);
    assert_int_equal(journal_call(lab.memory->journal, mutate_on_the_journal, &lab, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    lab_remove(&lab);
}

/* ---- through the unsaved table ----------------------------------------------------------- */

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

static void prepare_way(struct lab *lab, size_t way)
{
    lab_prepare(lab);
    lab->options.store = ways[way].store;
    lab->options.durability = ways[way].durability;
}

struct seen {
    int turns;
    char texts[512];
};

static bool see_turn(void *context, const struct memory_turn *turn)
{
    struct seen *seen = context;
    size_t len = strlen(seen->texts);

    seen->turns++;
    snprintf(seen->texts + len, sizeof(seen->texts) - len, "%lld:%s:%s:%s\n",
             (long long)turn->seq, turn->text, turn->slack_ts,
             turn->metadata ? turn->metadata : "");
    return true;
}

static struct seen history(struct lab *lab, const char *key)
{
    struct store *store = lab->memory ? lab->memory->store : NULL;
    struct store_range range = { 0 };
    struct seen seen = { 0 };
    struct err err = { 0 };

    if (!store || store->ops->history(store, key, &range, see_turn, &seen, &err) < 0)
        fail_msg("%s", err.message);
    return seen;
}

static void keeps_metadata_and_ts_whichever_way_a_turn_goes(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct conversation *conversation;
        struct memory_turn turns[2] = {
            { .role = MEMORY_ROLE_USER,
              .author = "U1",
              .text = "q",
              .slack_ts = "1790000000.000100",
              .at_wall_s = 1790000000,
              .metadata = "{\"a\":1}" },
            { .role = MEMORY_ROLE_ASSISTANT,
              .author = "",
              .text = "a",
              .slack_ts = "",
              .at_wall_s = 1789999999 },
        };
        struct err err = { 0 };
        struct seen seen;

        prepare_way(&lab, way);
        lab_open(&lab);
        conversation = lab_begin(&lab, "k");
        assert_int_equal(memory_conversation_commit(lab.memory, conversation, turns, 2, NULL, 0,
                                                    LEDGER_DONE, &err),
                         0);
        memory_conversation_end(lab.memory, conversation);
        assert_int_equal(commit_flush(&lab.memory->path, &err), 0);
        seen = history(&lab, "k");
        CHECK_INT(seen.turns, 2, ways[way].name);
        CHECK_HOLDS(seen.texts, "1:q:1790000000.000100:{\"a\":1}\n", ways[way].name);
        CHECK_HOLDS(seen.texts, "2:a::\n", ways[way].name);
        lab_remove(&lab);
    }
}

static void erased_turns_do_not_come_back_with_the_snapshot(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        struct store_mutation mutation = { .kind = STORE_ERASE, .key = "k" };
        struct err err = { 0 };

        prepare_way(&lab, way);
        lab_open(&lab);
        lab_say(&lab, "k", "secret", "1.1", "indeed");
        lab_say(&lab, "other", "harmless", "1.2", "fine");
        assert_int_equal(commit_mutations(&lab.memory->path, &mutation, 1, &err), 0);
        conversations_drop(lab.memory->conversations, "k");
        assert_int_equal(commit_flush(&lab.memory->path, &err), 0);
        CHECK_INT(history(&lab, "k").turns, 0, ways[way].name);
        CHECK_INT(history(&lab, "other").turns, 2, ways[way].name);
        lab_restart(&lab);
        CHECK_INT(history(&lab, "k").turns, 0, ways[way].name);
        lab_remove(&lab);
    }
}

static bool file_holds(const char *path, const char *part)
{
    size_t len = strlen(part);
    AUTO_FREE char *bytes = xcalloc(1, 8 << 20);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, bytes, 8 << 20);

    return got > 0 && memmem(bytes, (size_t)got, part, len) != NULL;
}

static void what_is_put_aside_is_sealed(void)
{
    struct lab lab;
    AUTO_FREE char *key_path = NULL;
    AUTO_FREE char *db_path = NULL;
    AUTO_FREE char *wal_path = NULL;
    AUTO_FREE char *text = NULL;
    AUTO_FD int fd = -1;

    lab_prepare(&lab);
    key_path = xasprintf("%s/key", lab.directory);
    db_path = xasprintf("%s/threadkeeper.db", lab.directory);
    wal_path = xasprintf("%s-wal", db_path);
    fd = open(key_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 32), 32);
    lab.options.encryption_key_file = key_path;
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    lab_say(&lab, "k", "a secret question", "1.1", "a secret answer");
    assert_false(file_holds(db_path, "secret"));
    assert_false(file_holds(wal_path, "secret"));
    lab_restart(&lab);
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "a secret question", "saved at close, opened again");
    CHECK_HOLDS(text, "a secret answer", "both");
    lab_remove(&lab);
}

/* ---- learning ---------------------------------------------------------------------------- */

static bool note_fact(void *context, const struct store_item *item)
{
    struct buf *out = context;

    buf_printf(out, "%s=%s (%s %lld) ", item->name, item->value, item->conversation,
               (long long)item->seq);
    return true;
}

static void learns_from_turns_whichever_way_they_go(void)
{
    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        struct lab lab;
        AUTO_BUF struct buf facts = { 0 };
        struct err err = { 0 };

        prepare_way(&lab, way);
        lab.options.learns_profile = true;
        lab_open(&lab);
        lab_say(&lab, "U1:C1:1", "hello", "1.1", "hi");
        lab_say(&lab, "U1:C1:1", "My name is Ann.", "1.2", "my name is Bot");
        buf_init(&facts, 4096);
        if (memory_visit_facts(lab.memory, "U1", note_fact, &facts, &err) < 0)
            fail_msg("%s: %s", ways[way].name, err.message);
        CHECK_HOLDS(buf_text(&facts), "Ann", ways[way].name);
        CHECK_HOLDS(buf_text(&facts), "(U1:C1:1 3)", ways[way].name);
        CHECK_INT(strstr(buf_text(&facts), "Bot") != NULL, 0, ways[way].name);
        assert_int_equal(commit_flush(&lab.memory->path, &err), 0);
        CHECK_INT(history(&lab, "U1:C1:1").turns, 4, ways[way].name);
        lab_remove(&lab);
    }
}

TEST_MAIN(TEST(applies_a_batch_whole_or_not_at_all), TEST(refuses_to_wait_for_itself),
          TEST(keeps_metadata_and_ts_whichever_way_a_turn_goes),
          TEST(erased_turns_do_not_come_back_with_the_snapshot),
          TEST(what_is_put_aside_is_sealed), TEST(learns_from_turns_whichever_way_they_go))
