#include "memory/db.h"

#include <fcntl.h>
#include <sys/stat.h>

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
    int fd;

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

    fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "this is no database, whatever its name says", 43), 43);
    close(fd);
    assert_int_equal(memory_open(&lab.options, lab.metrics, &lab.memory, &err), -1);
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    CHECK_HOLDS(err.message, "damaged", "says what is the matter");
    CHECK_HOLDS(err.message, "backup", "says how to mend it");

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
          TEST(brings_an_empty_file_up_to_date), TEST(syncs_each_commit_and_logs_ahead))
