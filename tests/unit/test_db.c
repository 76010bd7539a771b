#include "memory/db.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "memory/schema.h"
#include "tests/unit/memory_lab.h"

static void database_path(const struct lab *lab, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", lab->directory, DB_FILE_NAME);
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *handle = NULL;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
}

static int mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return (int)(info.st_mode & 07777);
}

static void creates_what_is_missing_for_itself_alone(void **state)
{
    struct lab lab;
    char state_dir[128];
    char path[192];
    char log[200];
    char *base;

    (void)state;
    lab_prepare(&lab);
    base = lab.directory;
    snprintf(state_dir, sizeof(state_dir), "%s/a/b", base);
    lab.options.state_dir = state_dir;
    lab_open(&lab);
    lab_record_new(&lab, "Ev1", "1.1");
    snprintf(path, sizeof(path), "%s/%s", state_dir, DB_FILE_NAME);
    snprintf(log, sizeof(log), "%s-wal", path);
    CHECK_INT(mode_of(state_dir), 0700, "directory");
    CHECK_INT(mode_of(path), 0600, "database");
    CHECK_INT(mode_of(log), 0600, "its log");
    lab_remove(&lab);
}

static void refuses_what_it_cannot_read(void **state)
{
    struct lab lab;
    struct err err = { 0 };
    char path[128];

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    lab_close(&lab);
    database_path(&lab, path, sizeof(path));
    lab.metrics = metrics_new();

    execute(path, "PRAGMA user_version=99");
    assert_int_equal(memory_open(&lab.options, lab.metrics, &lab.memory, &err), -1);
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    CHECK_HOLDS(err.message, "newer", "says what is the matter");
    CHECK_HOLDS(err.message, path, "names the file");

    lab.options.state_dir = "/proc/nowhere";
    assert_int_equal(memory_open(&lab.options, lab.metrics, &lab.memory, &err), -1);
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    lab.options.state_dir = lab.directory;
    metrics_free(lab.metrics);
    assert_int_equal(file_remove_tree(lab.directory, NULL), 0);
}

static void brings_an_empty_file_up_to_date(void **state)
{
    struct lab lab;
    char path[128];
    int fd;

    (void)state;
    lab_prepare(&lab);
    database_path(&lab, path, sizeof(path));
    fd = open(path, O_WRONLY | O_CREAT, 0600); /* killed right after creating it */
    close(fd);
    lab_open(&lab);
    lab_record_new(&lab, "Ev1", "1.1");
    lab_restart(&lab);
    lab_remove(&lab);
}

/* As the first version wrote it: an answered question, a message that waits, turns that were
 * not snapshotted. */
static const char old_rows[] =
    "INSERT INTO conversation VALUES(7, 'U1:C1:1', 3, 2, 1790003600);"
    "INSERT INTO conversation VALUES(8, 'D1', 1, 0, 1790000000);"
    "INSERT INTO turn VALUES(11, 7, 1, 0, 'U1', 'gone by', '1.1', 1789990000, 3);"
    "INSERT INTO turn VALUES(12, 7, 2, 0, 'U1', 'we use JWT', '1.2', 1790000000, 3);"
    "INSERT INTO turn VALUES(13, 8, 1, 0, 'U2', 'hello', '', 1790000000, 1);"
    "INSERT INTO turn VALUES(14, 7, 3, 1, '', 'noted', '', 1790003600, 1);"
    "INSERT INTO engaged VALUES('1.1', 'C1', 'T1', 1790000000);"
    "INSERT INTO ledger VALUES(1, 0, 0, 'Ev1', 'T1', 'C1', '1.3', '1.1', 'U1', 'U1:C1:1', "
    "'1.1',"
    " 'and now?', '{}', '', '', 0, 1790003700000000);";

static void make_old_file(const char *path, int version)
{
    AUTO_FREE char *set_version = xasprintf("PRAGMA user_version=%d", version);

    execute(path, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL");
    for (int i = 0; i < version; i++)
        execute(path, schema_steps[i]);
    execute(path, set_version);
    execute(path, old_rows);
}

static void check_number(const char *path, const char *sql, int64_t want)
{
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    CHECK_INT(sqlite3_column_int64(statement, 0), want, sql);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
}

static void a_file_of_the_first_version_keeps_everything(void **state)
{
    static const struct {
        const char *sql;
        int64_t want;
    } cases[] = {
        { "SELECT turns FROM conversation WHERE id = 7", 3 },
        { "SELECT bytes FROM conversation WHERE id = 7", 7 + 10 + 5 },
        { "SELECT kept_wall_s FROM conversation WHERE id = 8", 1790000000 },
        { "SELECT count(*) FROM speaker", 2 },
        { "SELECT count(*) FROM turn WHERE metadata = ''", 4 },
        { "SELECT first_turn FROM turn_hour WHERE hour = 1790000000 / 3600", 12 },
        { "SELECT first_turn FROM turn_hour WHERE hour = 1790003600 / 3600", 14 },
        { "SELECT count(*) FROM engaged", 1 },
        { "SELECT count(*) FROM summary", 0 },
    };
    struct lab lab;
    struct ledger_entry *entries[2];
    size_t count = 0;
    char path[128];
    AUTO_FREE char *text = NULL;

    (void)state;
    lab_prepare(&lab);
    database_path(&lab, path, sizeof(path));
    make_old_file(path, 1);
    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_number(path, cases[i].sql, cases[i].want);
    text = lab_context(&lab, "U1:C1:1");
    CHECK_HOLDS(text, "we use JWT", "what was said");
    assert_null(strstr(text, "gone by"));
    assert_int_equal(memory_pending_messages(lab.memory, 0, entries, 2, &count, NULL), 0);
    CHECK_INT(count, 1, "what waits");
    CHECK_TEXT(entries[0]->text, "and now?", "its text");
    ledger_entry_free(entries[0]);
    lab_say(&lab, "U1:C1:1", "q", "", "a");
    lab_restart(&lab);
    check_number(path, "SELECT turns FROM conversation WHERE id = 7", 5);
    lab_remove(&lab);
}

static void syncs_each_commit_and_logs_ahead(void **state)
{
    static const struct {
        const char *sql;
        const char *want;
        const char *because;
    } cases[] = {
        { "PRAGMA journal_mode", "wal", "readers do not wait for the writer" },
        { "PRAGMA auto_vacuum", "2", "space can be given back step by step" },
        { "PRAGMA user_version", "2", "the schema" },
        { "PRAGMA integrity_check", "ok", "sound" },
    };
    struct lab lab;
    char path[128];
    sqlite3 *handle = NULL;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    database_path(&lab, path, sizeof(path));
    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        sqlite3_stmt *statement = NULL;

        assert_int_equal(sqlite3_prepare_v2(handle, cases[i].sql, -1, &statement, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        CHECK_TEXT((const char *)sqlite3_column_text(statement, 0), cases[i].want,
                   cases[i].because);
        sqlite3_finalize(statement);
    }
    sqlite3_close(handle);
    lab_remove(&lab);
}

TEST_MAIN(TEST(creates_what_is_missing_for_itself_alone), TEST(refuses_what_it_cannot_read),
          TEST(brings_an_empty_file_up_to_date),
          TEST(a_file_of_the_first_version_keeps_everything),
          TEST(syncs_each_commit_and_logs_ahead))
