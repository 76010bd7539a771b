#include "memory/store_sqlite.h"

#include <dirent.h>
#include <sys/stat.h>

#include "memory/vault.h"
#include "tests/unit/memory_lab.h"
#include "tests/unit/store_suite.h"

/* What is the SQLite store's own: files, bytes, hours, keys. */

static const char key_digits[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char other_digits[] =
    "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct bench {
    struct lab lab;
    char *path;
    struct readers *readers;
    struct store_suite suite;
};

static void bench_open(struct bench *bench, struct vault *vault)
{
    struct err err = { 0 };

    memset(bench, 0, sizeof(*bench));
    lab_prepare(&bench->lab);
    bench->path = xasprintf("%s/%s", bench->lab.directory, DB_FILE_NAME);
    if (db_open(bench->path, DB_ROLE_WRITER, &bench->suite.journal_db, &err) < 0 ||
        db_set_vault(bench->suite.journal_db, vault, &err) < 0)
        fail_msg("%s", err.message);
    bench->readers = readers_new(bench->path);
    bench->suite.store = store_sqlite_new(bench->readers, vault);
}

static void bench_close(struct bench *bench)
{
    bench->suite.store->ops->free(bench->suite.store);
    readers_free(bench->readers);
    db_close(bench->suite.journal_db);
    free(bench->path);
    assert_int_equal(file_remove_tree(bench->lab.directory, NULL), 0);
}

static struct vault *open_vault(const char *directory, const char *digits, char **ret_path)
{
    struct vault *vault = NULL;
    struct err err = { 0 };

    free(*ret_path);
    *ret_path = xasprintf("%s/key", directory);
    unlink(*ret_path);
    assert_int_equal(file_write(*ret_path, digits, strlen(digits), 0600, NULL), 0);
    if (vault_open(*ret_path, &vault, &err) < 0)
        fail_msg("%s", err.message);
    return vault;
}

/* How often a text stands in the files of a directory. */
static int count_in_files(const char *directory, const char *text)
{
    DIR *files = opendir(directory);
    struct dirent *entry;
    int count = 0;

    while ((entry = readdir(files))) {
        AUTO_FREE char *path = xasprintf("%s/%s", directory, entry->d_name);
        struct buf bytes;
        const char *at;

        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "key") == 0)
            continue;
        buf_init(&bytes, (size_t)256 << 20);
        assert_int_equal(file_read(path, &bytes, NULL), 0);
        at = bytes.data;
        while (at &&
               (at = memmem(at, (size_t)(bytes.data + bytes.len - at), text, strlen(text)))) {
            count++;
            at++;
        }
        buf_deinit(&bytes);
    }
    closedir(files);
    return count;
}

/* ---- erased bytes ------------------------------------------------------------------------ */

/* Long enough for overflow pages, each page of it with the word. */
static char *secret_text(int number, size_t words)
{
    struct buf text;

    buf_init(&text, (size_t)1 << 20);
    for (size_t i = 0; i < words; i++)
        buf_printf(&text, "secret-%d ", number % 3);
    return buf_take(&text);
}

static void scrub(struct bench *bench)
{
    struct err err = { 0 };

    if (bench->suite.store->ops->scrub(bench->suite.store, bench->suite.journal_db, &err) < 0)
        fail_msg("%s", err.message);
}

static void fill(struct bench *bench, int conversations, int turns)
{
    for (int seq = 1; seq <= turns; seq++) {
        for (int i = 0; i < conversations; i++) {
            AUTO_FREE char *key = xasprintf("%d", i);
            AUTO_FREE char *text = secret_text(i, (size_t)(1 + (seq * 37 + i * 11) % 900));

            suite_append(&bench->suite, key, seq, text);
        }
    }
}

static void erased_turns_leave_no_byte(void)
{
    struct bench bench;
    struct store_conversation size = { 0 };
    int64_t before;

    bench_open(&bench, NULL);
    fill(&bench, 30, 12);
    assert_true(count_in_files(bench.lab.directory, "secret-1") > 1000);
    for (int i = 0; i < 30; i++) {
        AUTO_FREE char *key = xasprintf("%d", i);

        if (i % 3 == 1)
            suite_change(&bench.suite, STORE_ERASE, key, 0);
        for (int seq = 1; i % 3 == 2 && seq <= 12; seq++)
            suite_change(&bench.suite, STORE_ERASE_TURN, key, seq);
    }
    before = db_bytes(bench.suite.journal_db);
    scrub(&bench);
    CHECK_INT(count_in_files(bench.lab.directory, "secret-1"), 0, "whole conversations");
    CHECK_INT(count_in_files(bench.lab.directory, "secret-2"), 0, "turn by turn");
    assert_true(count_in_files(bench.lab.directory, "secret-0") > 1000);
    assert_true(db_bytes(bench.suite.journal_db) < before / 2);
    assert_int_equal(bench.suite.store->ops->size(bench.suite.store, "3", &size, NULL), 0);
    CHECK_INT(size.turns, 12, "others are whole");
    bench_close(&bench);
}

/* Rows that grow and shrink move between pages and leave copies behind: those go as well. */
static void rows_that_moved_leave_no_byte(void)
{
    struct bench bench;
    char name[32];

    bench_open(&bench, NULL);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 150; i++) {
            AUTO_FREE char *text = secret_text(1, (size_t)(1 + (i * 7 + round * 13) % 40));
            AUTO_FREE char *value = xasprintf("\"%s\"", text);

            snprintf(name, sizeof(name), "f%d", i * 7919 % 150);
            suite_do(&bench.suite,
                     (struct store_mutation){
                         .kind = STORE_SET_FIELD, .key = "k", .name = name, .value = value });
        }
    }
    suite_do(&bench.suite,
             (struct store_mutation){
                 .kind = STORE_SET_FIELD, .key = "k", .name = "f75", .value = "\"kept\"" });
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        if (i != 75)
            suite_do(&bench.suite, (struct store_mutation){
                                       .kind = STORE_DELETE_FIELD, .key = "k", .name = name });
    }
    scrub(&bench);
    CHECK_INT(count_in_files(bench.lab.directory, "secret-1"), 0, "gone");
    /* The pages are written again: from what is in the cache. */
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "g%d", i);
        suite_do(&bench.suite,
                 (struct store_mutation){
                     .kind = STORE_SET_FIELD, .key = "k", .name = name, .value = "\"new\"" });
    }
    CHECK_INT(count_in_files(bench.lab.directory, "secret-1"), 0, "and does not come back");
    suite_fields_are(&bench.suite, "k", "f75", "f75=\"kept\" ", "what stays is whole");
    bench_close(&bench);
}

static bool sees_nothing(void *context, const struct memory_turn *turn)
{
    (void)turn;
    *(int *)context += 1;
    return true;
}

/* With a reader at work the log cannot be emptied: said, and done the next time. */
static void scrubbing_waits_for_readers(void)
{
    struct bench bench;
    struct db *reader;
    struct err err = { 0 };

    bench_open(&bench, NULL);
    suite_append(&bench.suite, "k", 1, "secret");
    reader = readers_borrow(bench.readers, NULL);
    assert_int_equal(
        sqlite3_exec(db_handle(reader), "BEGIN; SELECT * FROM turn", NULL, NULL, NULL),
        SQLITE_OK);
    suite_change(&bench.suite, STORE_ERASE, "k", 0);
    CHECK_INT(bench.suite.store->ops->scrub(bench.suite.store, bench.suite.journal_db, &err),
              -1, "it is still read");
    CHECK_INT(err.kind, ERR_TEMP, err.message);
    db_rollback(reader);
    readers_return(bench.readers, reader);
    scrub(&bench);
    CHECK_INT(count_in_files(bench.lab.directory, "secret"), 0, "now it is gone");
    bench_close(&bench);
}

/* ---- retention --------------------------------------------------------------------------- */

static void execute(struct bench *bench, const char *sql)
{
    if (sqlite3_exec(db_handle(bench->suite.journal_db), sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db_handle(bench->suite.journal_db)));
}

/* A conversation that goes on loses what was stored long ago, to the hour. */
static void set_summary_from(struct store_suite *suite, int64_t version, int64_t first_seq)
{
    struct store_summary summary = { .version = version,
                                     .first_seq = first_seq,
                                     .last_seq = first_seq,
                                     .source = "extract",
                                     .text = "told shorter" };

    suite_do(suite, (struct store_mutation){
                        .kind = STORE_SET_SUMMARY, .key = "k", .summary = &summary });
}

static void old_turns_go_by_the_hour_they_were_stored_in(void)
{
    struct bench bench;
    struct store_swept swept;
    int64_t hour = clock_wall_s() / 3600;
    AUTO_FREE char *aged = NULL;
    int64_t turns = 1300; /* more than one piece */

    bench_open(&bench, NULL);
    for (int64_t seq = 1; seq <= turns; seq++)
        suite_append(&bench.suite, "k", seq, "old");
    suite_append_as(&bench.suite, "k", turns + 1, "U9");
    suite_append_as(&bench.suite, "k", turns + 2, "U1");
    set_summary_from(&bench.suite, 1, 1);
    set_summary_from(&bench.suite, 2, turns + 1);
    /* As if the first turns had been stored ten hours ago, the last two just now. */
    aged =
        xasprintf("DELETE FROM turn_hour; INSERT INTO turn_hour VALUES(%lld, 1), (%lld, %lld)",
                  (long long)hour - 10, (long long)hour, (long long)turns + 1);
    execute(&bench, aged);
    swept = suite_sweep(&bench.suite, (hour - 10) * 3600);
    CHECK_INT(swept.turns, 0, "not yet old");
    swept = suite_sweep(&bench.suite, (hour - 9) * 3600);
    CHECK_INT(swept.turns, turns, "those of that hour");
    CHECK_INT(swept.conversations, 0, "it is in use");
    suite_size_is(&bench.suite, "k", 2, 18, turns + 1, "figures");
    suite_list_is(&bench.suite, (struct store_list){ .user = "U9" }, "k ",
                  "still speaks in it");
    CHECK_INT(suite_change(&bench.suite, STORE_DROP_SUMMARIES, "k", 0), 1,
              "what told the old turns went with them");
    suite_append(&bench.suite, "k", turns + 3, "on");
    bench_close(&bench);
}

/* ---- beside others ----------------------------------------------------------------------- */

struct progress {
    int64_t done;
    int64_t total;
    int calls;
    struct bench *bench;
};

/* Writes in between: the copy must neither hold it nor begin anew. */
static void note_progress(void *context, int64_t done, int64_t total)
{
    struct progress *progress = context;

    assert_true(done >= progress->done && done <= total);
    progress->done = done;
    progress->total = total;
    suite_append(&progress->bench->suite, "during", ++progress->calls, "x");
}

static void a_backup_is_whole_and_private(void)
{
    struct bench bench;
    struct progress progress = { .bench = &bench };
    struct store_ops const *ops;
    AUTO_FREE char *path = NULL;
    struct db *copy = NULL;
    struct readers *readers;
    struct store *store;
    struct stat info;
    struct err err = { 0 };
    struct store_stats stats = { 0 };

    bench_open(&bench, NULL);
    ops = bench.suite.store->ops;
    fill(&bench, 20, 30);
    path = xasprintf("%s/copy.db", bench.lab.directory);
    if (ops->backup(bench.suite.store, path, note_progress, &progress, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(progress.done, progress.total, "to the end");
    assert_true(progress.calls > 2);
    assert_int_equal(stat(path, &info), 0);
    CHECK_INT(info.st_mode & 07777, 0600, "mode");
    CHECK_INT(ops->backup(bench.suite.store, path, NULL, NULL, &err), -1, "not over a file");
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    CHECK_INT(ops->backup(bench.suite.store, "/proc/nowhere/x", NULL, NULL, &err), -1,
              "nowhere");

    assert_int_equal(db_open(path, DB_ROLE_WRITER, &copy, NULL), 0);
    readers = readers_new(path);
    store = store_sqlite_new(readers, NULL);
    assert_int_equal(store->ops->stats(store, &stats, NULL), 0);
    CHECK_INT(stats.turns, 600, "as it stood when it began");
    assert_int_equal(sqlite3_exec(db_handle(copy), "PRAGMA integrity_check", NULL, NULL, NULL),
                     SQLITE_OK);
    store->ops->free(store);
    readers_free(readers);
    db_close(copy);
    bench_close(&bench);
}

static void tells_when_another_process_wrote(void)
{
    struct bench bench;
    struct db *other = NULL;
    const struct store_ops *ops;
    int64_t before;

    bench_open(&bench, NULL);
    ops = bench.suite.store->ops;
    before = ops->foreign_version(bench.suite.store, bench.suite.journal_db);
    suite_append(&bench.suite, "k", 1, "own");
    CHECK_INT(ops->foreign_version(bench.suite.store, bench.suite.journal_db), before, "own");
    assert_int_equal(db_open(bench.path, DB_ROLE_WRITER, &other, NULL), 0);
    CHECK_INT(ops->foreign_version(bench.suite.store, bench.suite.journal_db), before,
              "opening writes nothing");
    assert_int_equal(sqlite3_exec(db_handle(other), "DELETE FROM turn", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_true(ops->foreign_version(bench.suite.store, bench.suite.journal_db) != before);
    db_close(other);
    bench_close(&bench);
}

/* ---- sealed ------------------------------------------------------------------------------ */

static void a_sealed_store_keeps_the_contract(void)
{
    struct bench bench;
    struct vault *vault;
    AUTO_FREE char *key = NULL;
    struct lab lab;

    lab_prepare(&lab);
    vault = open_vault(lab.directory, key_digits, &key);
    bench_open(&bench, vault);
    bench.suite.is_sealed = true;
    store_suite_run(&bench.suite);
    bench_close(&bench);
    vault_free(vault);
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

static void refuses(struct lab *lab, const char *because)
{
    struct err err = { 0 };

    lab->metrics = metrics_new();
    CHECK_INT(memory_open(&lab->options, lab->metrics, &lab->memory, &err), -1, because);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    CHECK_HOLDS(err.message, "memory.encryption_key_file", because);
    metrics_free(lab->metrics);
}

static void say_everything(struct lab *lab, enum memory_durability durability)
{
    struct ledger_entry *entry = lab_entry("Ev1", "1.1", "");

    lab->options.durability = durability;
    lab_open(lab);
    free(entry->text);
    entry->text = xstrdup("hush-ledger");
    assert_int_equal(lab_record_as(lab, entry, false, false, NULL), LEDGER_NEW);
    lab_say(lab, "k", "hush-question", "", "hush-answer");
}

static void check_said(struct lab *lab)
{
    struct ledger_entry *entries[2];
    size_t count = 0;
    AUTO_FREE char *text = lab_context(lab, "k");

    CHECK_HOLDS(text, "hush-question", "read again");
    assert_int_equal(memory_pending_messages(lab->memory, 0, entries, 2, &count, NULL), 0);
    CHECK_INT(count, 1, "what waits");
    CHECK_TEXT(entries[0]->text, "hush-ledger", "its text");
    ledger_entry_free(entries[0]);
}

static void what_people_say_stands_nowhere_on_the_disk(void)
{
    static const enum memory_durability kinds[] = { MEMORY_DURABILITY_TURN,
                                                    MEMORY_DURABILITY_INTERVAL };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct lab lab;
        AUTO_FREE char *key = NULL;

        lab_prepare(&lab);
        vault_free(open_vault(lab.directory, key_digits, &key));
        lab.options.encryption_key_file = key;
        say_everything(&lab, kinds[i]);
        CHECK_INT(count_in_files(lab.directory, "hush"), 0, "while it runs");
        lab_close(&lab);
        CHECK_INT(count_in_files(lab.directory, "hush"), 0, "afterwards");
        lab_open(&lab);
        check_said(&lab);
        lab_close(&lab);

        lab.options.encryption_key_file = "";
        refuses(&lab, "without its key");
        vault_free(open_vault(lab.directory, other_digits, &key));
        lab.options.encryption_key_file = key;
        refuses(&lab, "with another key");
        assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
    }
}

static void what_was_plain_stays_readable(void)
{
    struct lab lab;
    AUTO_FREE char *key = NULL;
    AUTO_FREE char *text = NULL;

    lab_prepare(&lab);
    say_everything(&lab, MEMORY_DURABILITY_TURN);
    lab_close(&lab);
    assert_true(count_in_files(lab.directory, "hush-question") > 0);
    vault_free(open_vault(lab.directory, key_digits, &key));
    lab.options.encryption_key_file = key;
    lab_open(&lab);
    check_said(&lab);
    lab_say(&lab, "k", "mum-question", "", "a");
    lab_restart(&lab);
    check_said(&lab);
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "mum-question", "side by side");
    CHECK_INT(count_in_files(lab.directory, "mum-question"), 0, "sealed from then on");
    lab_remove(&lab);
}

/* ---- in RAM ------------------------------------------------------------------------------ */

static void a_store_in_ram_keeps_within_its_bytes(void)
{
    struct store_suite suite = { .store = store_none_new(2 << 20, NULL) };
    struct store_range all = { 0 };
    int turns = 0;

    for (int i = 0; i < 300; i++) {
        AUTO_FREE char *key = xasprintf("%03d", i);
        AUTO_FREE char *text = secret_text(i, 2000);

        suite_append(&suite, key, 1, text);
    }
    suite.store->ops->history(suite.store, "299", &all, sees_nothing, &turns, NULL);
    CHECK_INT(turns, 1, "the newest is there");
    suite.store->ops->history(suite.store, "000", &all, sees_nothing, &turns, NULL);
    CHECK_INT(turns, 1, "the oldest is not");
    store_none_set_limit(suite.store, 1 << 17);
    suite_append(&suite, "299", 2, "x");
    suite.store->ops->history(suite.store, "290", &all, sees_nothing, &turns, NULL);
    CHECK_INT(turns, 1, "nor is that one, within less");
    suite.store->ops->free(suite.store);
}

TEST_MAIN(TEST(erased_turns_leave_no_byte), TEST(rows_that_moved_leave_no_byte),
          TEST(scrubbing_waits_for_readers), TEST(old_turns_go_by_the_hour_they_were_stored_in),
          TEST(a_backup_is_whole_and_private), TEST(tells_when_another_process_wrote),
          TEST(a_sealed_store_keeps_the_contract),
          TEST(what_people_say_stands_nowhere_on_the_disk), TEST(what_was_plain_stays_readable),
          TEST(a_store_in_ram_keeps_within_its_bytes))
