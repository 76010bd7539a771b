#include "memory/store.h"

#include "memory/db.h"
#include "memory/readers.h"
#include "memory/vault.h"
#include "tests/unit/memory_lab.h"
#include "tests/unit/store_suite.h"

struct bench {
    struct lab lab;
    struct readers *readers;
    struct store_suite suite;
};

static void bench_open(struct bench *bench, enum memory_store_kind kind, struct vault *vault)
{
    AUTO_FREE char *path = NULL;
    struct err err = { 0 };

    lab_prepare(&bench->lab);
    path = xasprintf("%s/%s", bench->lab.directory, DB_FILE_NAME);
    if (db_open(path, DB_ROLE_WRITER, &bench->suite.journal_db, &err) < 0 ||
        db_set_vault(bench->suite.journal_db, vault, &err) < 0)
        fail_msg("%s", err.message);
    bench->readers = readers_new(path);
    bench->suite.store = kind == MEMORY_STORE_NONE ? store_none_new(64 << 20, NULL)
                                                   : store_sqlite_new(bench->readers, vault);
}

static void bench_close(struct bench *bench)
{
    bench->suite.store->ops->free(bench->suite.store);
    readers_free(bench->readers);
    db_close(bench->suite.journal_db);
    assert_int_equal(file_remove_tree(bench->lab.directory, NULL), 0);
}

static void every_backend_keeps_the_contract(void)
{
    static const enum memory_store_kind kinds[] = { MEMORY_STORE_NONE, MEMORY_STORE_SQLITE };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct bench bench = { 0 };

        bench_open(&bench, kinds[i], NULL);
        store_suite_run(&bench.suite);
        bench_close(&bench);
    }
}

static void works_without_a_store(void **state)
{
    struct lab lab;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *after = NULL;

    (void)state;
    lab_prepare(&lab);
    lab.options.store = MEMORY_STORE_NONE;
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    lab_record_new(&lab, "Ev1", "1.1");
    lab_say(&lab, "k", "q", "", "forty-two");
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "forty-two", "remembered in RAM");
    assert_int_equal(memory_conversation_reset(lab.memory, "k", NULL), 0);
    lab_restart(&lab);
    after = lab_context(&lab, "k");
    assert_null(strstr(after, "forty-two")); /* and only there */
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev1", "", ""), false, false, NULL),
              LEDGER_DUPLICATE, "the ledger is on the disk all the same");
    lab_remove(&lab);
}

TEST_MAIN(TEST(every_backend_keeps_the_contract), TEST(works_without_a_store))
