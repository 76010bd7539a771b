#include "memory/health.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "memory/rooms.h"
#include "memory/store.h"
#include "tests/unit/memory_lab.h"

#define PAGE_BYTES 4096

static char *database_path(const struct lab *lab)
{
    return xasprintf("%s/%s", lab->directory, DB_FILE_NAME);
}

/* The one damaged file beside the database, freed by the caller; NULL when there is none. */
static char *find_damaged(const struct lab *lab, const char *suffix)
{
    DIR *directory = opendir(lab->directory);
    struct dirent *entry;
    char *found = NULL;

    while ((entry = readdir(directory))) {
        size_t len = strlen(entry->d_name);

        if (!strstr(entry->d_name, ".damaged-"))
            continue;
        if ((strcmp(entry->d_name + len - 4, "-wal") == 0) != (*suffix != '\0'))
            continue;
        assert_null(found);
        found = xasprintf("%s/%s", lab->directory, entry->d_name);
    }
    closedir(directory);
    return found;
}

static int64_t size_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

static void overwrite(const char *path, int64_t offset, const char *bytes, size_t len)
{
    AUTO_FD int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, len, offset), len);
}

static void spoil_page(const char *path, int64_t page)
{
    char garbage[PAGE_BYTES];

    memset(garbage, 0xa5, sizeof(garbage));
    overwrite(path, page * PAGE_BYTES, garbage, sizeof(garbage));
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *handle = NULL;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
}

static int64_t ask(const char *path, const char *sql)
{
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t number;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return number;
}

static void fill(struct lab *lab, int conversations, int each)
{
    char key[32];
    char text[600];

    for (int i = 0; i < conversations; i++) {
        snprintf(key, sizeof(key), "U%d:C1:1", i);
        for (int j = 0; j < each; j++) {
            snprintf(text, sizeof(text), "%d-%d %0500d", i, j, j);
            lab_say(lab, key, text, "", "answer");
        }
    }
}

static void mark_suspect(const struct lab *lab)
{
    AUTO_FREE char *path = database_path(lab);

    db_mark_suspect(path);
}

static void check_quarantined(struct lab *lab, int64_t want, const char *because)
{
    struct memory_stats stats = { 0 };

    memory_get_stats(lab->memory, &stats);
    CHECK_INT(stats.quarantined, want, because);
    CHECK_INT(stats.is_damaged, 0, because);
}

static void a_file_that_is_no_database_is_moved_aside(void)
{
    static const char garbage[] = "this is no database, whatever its name says";
    struct lab lab;
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *damaged = NULL;
    AUTO_FREE char *fresh = NULL;
    AUTO_BUF struct buf bytes = { 0 };

    lab_prepare(&lab);
    path = database_path(&lab);
    assert_int_equal(file_write(path, garbage, sizeof(garbage) - 1, 0600, NULL), 0);
    lab_open(&lab);
    check_quarantined(&lab, 1, "counted");
    damaged = find_damaged(&lab, "");
    assert_non_null(damaged);
    buf_init(&bytes, 1024);
    assert_int_equal(file_read(damaged, &bytes, NULL), 0);
    CHECK_TEXT(buf_text(&bytes), garbage, "as it was");
    lab_record_new(&lab, "Ev1", "1.1");
    lab_say(&lab, "k", "q", "", "a");
    lab_restart(&lab);
    check_quarantined(&lab, 1, "until somebody takes it away");
    assert_int_equal(unlink(damaged), 0);
    lab_restart(&lab);
    check_quarantined(&lab, 0, "taken away");
    fresh = xasprintf("%s.salvaging", path);
    CHECK_INT(access(fresh, F_OK), -1, "nothing else is left");
    lab_remove(&lab);
}

static void what_reads_is_kept(void)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *damaged = NULL;
    int64_t pages;
    int64_t turns;

    lab_prepare(&lab);
    lab_open(&lab);
    path = database_path(&lab);
    fill(&lab, 10, 60);
    lab_record_new(&lab, "Ev1", "1.1");
    lab_close(&lab);
    pages = size_of(path) / PAGE_BYTES;
    for (int64_t page = 50; page < pages - 10; page += 20)
        spoil_page(path, page);
    mark_suspect(&lab);

    lab_open(&lab);
    check_quarantined(&lab, 1, "moved aside");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev1", "1.1", ""), false, false, NULL),
              LEDGER_DUPLICATE, "the ledger is known");
    lab_say(&lab, "U3:C1:1", "and on", "", "it goes");
    lab_close(&lab);
    damaged = find_damaged(&lab, "");
    assert_non_null(damaged);
    CHECK_INT(size_of(damaged), pages * PAGE_BYTES, "the whole of the damaged one");
    turns = ask(path, "SELECT count(*) FROM turn");
    if (turns < 800 || turns >= 1202)
        fail_msg("%lld turns of 1202 are there", (long long)turns);
    CHECK_INT(ask(path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check"
                        " <> 'ok'"),
              0, "the new one is sound");
    CHECK_INT(ask(path, "SELECT sum(turns) FROM conversation"), turns, "figures are right");
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

/* The page without which SQLite opens nothing. */
static void a_spoilt_head_is_lent_a_new_one(void)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;

    lab_prepare(&lab);
    lab_open(&lab);
    path = database_path(&lab);
    fill(&lab, 10, 30);
    lab_record_new(&lab, "Ev1", "1.1");
    lab_close(&lab);
    spoil_page(path, 0);
    lab_open(&lab);
    check_quarantined(&lab, 1, "moved aside");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev1", "1.1", ""), false, false, NULL),
              LEDGER_DUPLICATE, "the ledger is known");
    lab_close(&lab);
    CHECK_INT(ask(path, "SELECT count(*) FROM turn"), 600, "all of them");
    CHECK_INT(ask(path, "SELECT count(*) FROM conversation"), 10, "theirs");
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

/* Committed, but not yet copied from the log into the file. */
static void the_log_goes_along(void)
{
    struct lab lab;
    struct lab copy;
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *command = NULL;
    AUTO_FREE char *copied = NULL;
    AUTO_FREE char *log = NULL;

    lab_prepare(&lab);
    lab_prepare(&copy);
    lab_open(&lab);
    fill(&lab, 3, 10);
    path = database_path(&lab);
    copied = database_path(&copy);
    command = xasprintf("cp %s %s-wal %s/", path, path, copy.directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own paths */
    lab_remove(&lab);

    /* Sound, as after a kill: it is checked beside the work. */
    lab_open(&copy);
    health_wait(copy.memory->health);
    check_quarantined(&copy, 0, "sound");
    lab_close(&copy);
    CHECK_INT(ask(copied, "SELECT count(*) FROM turn"), 60, "all there");
    log = find_damaged(&copy, "-wal");
    assert_null(log);
    assert_int_equal(file_remove_tree(copy.directory, NULL), 0);
}

static void damage_that_shows_while_running_is_seen_to_at_the_next_start(void)
{
    struct lab lab;
    struct memory_stats stats = { 0 };
    struct conversation *conversation = NULL;
    struct err err = { 0 };
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *damaged = NULL;

    lab_prepare(&lab);
    lab_open(&lab);
    path = database_path(&lab);
    fill(&lab, 5, 60);
    lab_close(&lab);
    for (int64_t page = 40; page < size_of(path) / PAGE_BYTES; page++)
        spoil_page(path, page);
    lab_open(&lab);
    check_quarantined(&lab, 0, "nobody has looked there yet");
    for (int i = 0; i < 5; i++) {
        AUTO_FREE char *key = xasprintf("U%d:C1:1", i);

        if (memory_conversation_begin(lab.memory, key, NULL, NULL, &conversation, &err) == 0)
            memory_conversation_end(lab.memory, conversation);
    }
    CHECK_INT(err.kind, ERR_SYSTEM, "one of them does not read");
    CHECK_HOLDS(err.message, "damaged", "and says why");
    memory_get_stats(lab.memory, &stats);
    CHECK_INT(stats.is_damaged, 1, "it shows");
    lab_restart(&lab);
    check_quarantined(&lab, 1, "moved aside");
    damaged = find_damaged(&lab, "");
    assert_non_null(damaged);
    lab_remove(&lab);
}

static void a_missing_table_is_damage(void)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;

    lab_prepare(&lab);
    lab_open(&lab);
    path = database_path(&lab);
    fill(&lab, 2, 2);
    lab_close(&lab);
    execute(path, "DROP TABLE item");
    lab_open(&lab);
    check_quarantined(&lab, 1, "moved aside");
    lab_close(&lab);
    CHECK_INT(ask(path, "SELECT count(*) FROM turn"), 8, "all the rest is kept");
    CHECK_INT(ask(path, "SELECT count(*) FROM speaker"), 2, "people as well");
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

static void a_suspicion_that_is_wrong_changes_nothing(void)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;
    struct err err = { 0 };

    lab_prepare(&lab);
    lab_open(&lab);
    fill(&lab, 2, 2);
    lab_close(&lab);
    path = database_path(&lab);
    mark_suspect(&lab);
    lab_open(&lab);
    check_quarantined(&lab, 0, "checked and sound");
    lab_close(&lab);
    assert_false(db_is_suspect(path));

    mark_suspect(&lab);
    execute(path, "PRAGMA user_version=99");
    lab.metrics = metrics_new();
    assert_int_equal(memory_open(&lab.options, lab.metrics, &lab.memory, &err), -1);
    CHECK_HOLDS(err.message, "newer", "of a newer version, not damaged");
    assert_true(db_is_suspect(path));
    assert_null(find_damaged(&lab, ""));
    metrics_free(lab.metrics);
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

static void a_visitor_leaves_a_damaged_file_alone(void)
{
    struct lab lab;
    AUTO_FREE char *path = NULL;
    struct err err = { 0 };

    lab_prepare(&lab);
    path = database_path(&lab);
    assert_int_equal(file_write(path, "not a database at all", 21, 0600, NULL), 0);
    lab.options.is_visitor = true;
    lab.metrics = metrics_new();
    assert_int_equal(memory_open(&lab.options, lab.metrics, &lab.memory, &err), -1);
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    CHECK_HOLDS(err.message, "damaged", "says what is the matter");
    CHECK_HOLDS(err.message, path, "names the file");
    CHECK_HOLDS(err.message, "next start", "says how it is mended");
    assert_null(find_damaged(&lab, ""));
    metrics_free(lab.metrics);
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

/* Whatever happens to the file: the bot starts, and what it starts with is sound. */
static void starts_whatever_is_spoilt(void)
{
    struct lab lab;
    struct buf sound;
    AUTO_FREE char *path = NULL;
    unsigned state = 20261121;

    lab_prepare(&lab);
    lab_open(&lab);
    path = database_path(&lab);
    fill(&lab, 6, 10);
    lab_record_new(&lab, "Ev1", "1.1");
    lab_close(&lab);
    buf_init(&sound, 16 << 20);
    assert_int_equal(file_read(path, &sound, NULL), 0);

    for (int round = 0; round < 40; round++) {
        AUTO_FREE char *damaged = NULL;

        unlink(path);
        assert_int_equal(file_write(path, sound.data, sound.len, 0600, NULL), 0);
        for (int i = 0; i <= round; i++) {
            char bytes[64];

            for (size_t j = 0; j < sizeof(bytes); j++)
                bytes[j] = (char)((state = state * 1664525 + 1013904223) >> 24);
            state = state * 1664525 + 1013904223;
            /* Heads of pages hurt most: every other one. */
            overwrite(path,
                      i % 2 ? (int64_t)(state % (sound.len / PAGE_BYTES)) * PAGE_BYTES
                            : (int64_t)(state % (sound.len - sizeof(bytes))),
                      bytes, sizeof(bytes));
        }
        mark_suspect(&lab);
        lab_open(&lab);
        lab_say(&lab, "new", "q", "", "a");
        lab_close(&lab);
        CHECK_INT(ask(path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check"
                            " <> 'ok'"),
                  0, "sound");
        damaged = find_damaged(&lab, "");
        if (damaged)
            unlink(damaged);
    }
    buf_deinit(&sound);
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

TEST_MAIN(TEST(a_file_that_is_no_database_is_moved_aside), TEST(what_reads_is_kept),
          TEST(a_spoilt_head_is_lent_a_new_one), TEST(the_log_goes_along),
          TEST(damage_that_shows_while_running_is_seen_to_at_the_next_start),
          TEST(a_missing_table_is_damage), TEST(a_suspicion_that_is_wrong_changes_nothing),
          TEST(a_visitor_leaves_a_damaged_file_alone), TEST(starts_whatever_is_spoilt))
