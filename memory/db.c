#include "memory/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "memory/schema.h"
#include "memory/scrub.h"
#include "memory/vault.h"

#define BUSY_TIMEOUT_MS 5000
#define SCRUB_WAIT_MS   50      /* events to record wait meanwhile */
#define SCRUB_PAGES     "20000" /* what is left is zeroed all the same */
#define SUSPECT         ".suspect"
#define OPENED_MAX      8
#define SEALED_SETTING  "sealed"
#define SEALED_TEXT     "threadkeeper"

struct db {
    sqlite3 *handle;
    char *path;
    sqlite3_stmt *statements[DB_STATEMENT_COUNT];
    int wal_pages;
    enum db_role role;
    struct vault *vault;
    char *opened[OPENED_MAX]; /* a ring: what db_column_secret() lent */
    size_t opened_next;
};

/*
 * cache_size: a daemon that idles in a few MB. The writer's working set is the right edge of
 * five b-trees and the conversations in use; a reader walks one index path and some leaves. The
 * kernel's page cache stands behind both. No mmap: its pages would count as ours.
 */
static const char writer_pragmas[] =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA cache_size=-2048;"
    "PRAGMA wal_autocheckpoint=0;" /* the journal checkpoints, after its callbacks */
    "PRAGMA journal_size_limit=67108864;"
    "PRAGMA secure_delete=ON;"; /* what is erased leaves no bytes behind */

static const char reader_pragmas[] = "PRAGMA query_only=ON;"
                                     "PRAGMA cache_size=-256;";

/* ---- failures ---------------------------------------------------------------------------- */

/* That the mark cannot be made is no worse than the damage, which is told. */
void db_mark_suspect(const char *path)
{
    AUTO_FREE char *mark = xasprintf("%s" SUSPECT, path);
    AUTO_FD int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    (void)fd;
}

bool db_is_suspect(const char *path)
{
    AUTO_FREE char *mark = xasprintf("%s" SUSPECT, path);

    return access(mark, F_OK) == 0;
}

void db_clear_suspect(const char *path)
{
    AUTO_FREE char *mark = xasprintf("%s" SUSPECT, path);

    unlink(mark);
}

static int fail_damaged(struct db *db, const char *what, const char *text, struct err *err)
{
    if (db->role != DB_ROLE_PRIVATE)
        db_mark_suspect(db->path);
    return err_set(err, ERR_SYSTEM,
                   "%s: %s is damaged: %s (the next start of the bot moves it aside and keeps "
                   "what reads)",
                   what, db->path, text);
}

int db_fail(struct db *db, const char *what, struct err *err)
{
    int code = db->handle ? sqlite3_extended_errcode(db->handle) : SQLITE_NOMEM;
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : "out of memory";
    int primary = code & 0xff;

    if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
        return err_set(err, ERR_TEMP, "%s: %s is locked by another process (%d)", what,
                       db->path, code);
    if (primary == SQLITE_CONSTRAINT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH)
        return err_set(err, ERR_INPUT, "%s: %s (%d)", what, text, code);
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
        return fail_damaged(db, what, text, err);
    if (primary == SQLITE_INTERRUPT)
        return err_set(err, ERR_TEMP, "%s: interrupted", what);
    if (primary == SQLITE_FULL)
        return err_set(err, ERR_SYSTEM, "%s: no space left for %s (%d)", what, db->path, code);
    if (primary == SQLITE_READONLY || primary == SQLITE_CANTOPEN)
        return err_set(err, ERR_SYSTEM,
                       "%s: cannot write %s: %s (%d). Its directory and files must belong to "
                       "the user that runs this",
                       what, db->path, text, code);
    return err_set(err, ERR_SYSTEM, "%s: %s: %s (%d)", what, db->path, text, code);
}

static int execute(struct db *db, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : db_fail(db, what, err);
}

static int read_version(struct db *db, int *ret_version, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &statement, NULL);

    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *ret_version = sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        return 0;
    }
    db_fail(db, "cannot read the schema version", err);
    sqlite3_finalize(statement);
    return -1;
}

/* The version is read again inside: two processes may start at once on a new file. */
static int migrate_one(struct db *db, struct err *err)
{
    AUTO_FREE char *set_version = NULL;
    int version = 0;

    if (execute(db, "BEGIN IMMEDIATE", "cannot migrate", err) < 0)
        return -1;
    if (read_version(db, &version, err) < 0)
        goto undo;
    if (version < schema_version) {
        set_version = xasprintf("PRAGMA user_version=%d", version + 1);
        if (execute(db, schema_steps[version], "cannot migrate", err) < 0 ||
            execute(db, set_version, "cannot migrate", err) < 0)
            goto undo;
    }
    if (execute(db, "COMMIT", "cannot migrate", err) == 0)
        return 0;
undo:
    db_rollback(db);
    return -1;
}

static int migrate(struct db *db, struct err *err)
{
    int version = 0;

    for (;;) {
        if (read_version(db, &version, err) < 0)
            return -1;
        if (version > schema_version || version < 0)
            return err_set(err, ERR_SYSTEM,
                           "%s has schema %d, this program knows up to %d: it was written by a "
                           "newer threadkeeper; install that one again or move the file away",
                           db->path, version, schema_version);
        if (version == schema_version)
            return 0;
        if (migrate_one(db, err) < 0)
            return -1;
    }
}

static int remember_wal_pages(void *context, sqlite3 *handle, const char *name, int pages)
{
    struct db *db = context;

    (void)handle;
    (void)name;
    db->wal_pages = pages;
    return SQLITE_OK;
}

/* SQLite would create the file with the umask's mode; -wal and -shm take the file's. */
static int create_private(const char *path, struct err *err)
{
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    return fd < 0 ? err_set_errno(err, ERR_SYSTEM, "cannot open %s", path) : 0;
}

/* RAM only: no log, no file, nothing to sync. */
static int set_up_private(struct db *db, struct err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE;

    if (sqlite3_open_v2(":memory:", &db->handle, flags, NULL) != SQLITE_OK)
        return db_fail(db, "cannot open", err);
    if (migrate(db, err) < 0)
        return -1;
    return execute(db, "CREATE INDEX conversation_oldest ON conversation(kept_wall_s, id)",
                   "cannot set up", err);
}

/* Only works before anything is written; said to a file that has it, it would write. */
static int begin_file(struct db *db, struct err *err)
{
    int version = 0;

    if (read_version(db, &version, err) < 0)
        return -1;
    return version ? 0 : execute(db, "PRAGMA auto_vacuum=INCREMENTAL", "cannot set up", err);
}

static int set_up(struct db *db, enum db_role role, struct err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE;

    if (role == DB_ROLE_PRIVATE)
        return set_up_private(db, err);
    if (role == DB_ROLE_WRITER && create_private(db->path, err) < 0)
        return -1;
    if (sqlite3_open_v2(db->path, &db->handle, flags, NULL) != SQLITE_OK)
        return db_fail(db, "cannot open", err);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (role == DB_ROLE_READER)
        return execute(db, reader_pragmas, "cannot set up", err);
    if (begin_file(db, err) < 0 || execute(db, writer_pragmas, "cannot set up", err) < 0)
        return -1;
    sqlite3_wal_hook(db->handle, remember_wal_pages, db);
    return migrate(db, err);
}

int db_open(const char *path, enum db_role role, struct db **ret_db, struct err *err)
{
    struct db *db = xcalloc(1, sizeof(*db));

    db->path = xstrdup(path);
    db->role = role;
    if (set_up(db, role, err) < 0) {
        db_close(db);
        return -1;
    }
    *ret_db = db;
    return 0;
}

int db_check_schema(struct db *db, struct err *err)
{
    int version = 0;

    if (read_version(db, &version, err) < 0)
        return -1;
    return version == schema_version
               ? 0
               : err_set(err, ERR_INPUT,
                         "%s has schema %d, this program reads %d: the daemon brings it up to "
                         "date when it starts",
                         db->path, version, schema_version);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (int i = 0; i < DB_STATEMENT_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    for (size_t i = 0; i < OPENED_MAX; i++)
        free(db->opened[i]);
    free(db->path);
    free(db);
}

/* Most connections use few of them: each costs a few KB. */
sqlite3_stmt *db_statement(struct db *db, enum db_statement which)
{
    sqlite3_stmt **statement = &db->statements[which];

    if (*statement)
        sqlite3_reset(*statement);
    else
        sqlite3_prepare_v3(db->handle, schema_statement(which), -1, SQLITE_PREPARE_PERSISTENT,
                           statement, NULL);
    return *statement;
}

void db_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

const char *db_column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text ? (const char *)text : "";
}

/* Plain text must not look sealed: the mark's first byte, which nobody types, goes. */
static const char *without_mark(const char *text)
{
    while (vault_is_sealed(text))
        text++;
    return text;
}

size_t db_bind_secret(struct db *db, sqlite3_stmt *statement, int index, const char *text)
{
    char *sealed;
    size_t len;

    if (!db->vault || !*text) {
        text = without_mark(text);
        len = strlen(text);
        sqlite3_bind_text64(statement, index, text, len, SQLITE_TRANSIENT, SQLITE_UTF8);
        return len;
    }
    sealed = vault_seal(db->vault, text, strlen(text));
    len = strlen(sealed);
    sqlite3_bind_text64(statement, index, sealed, len, free, SQLITE_UTF8);
    return len;
}

const char *db_column_secret(struct db *db, sqlite3_stmt *statement, int column,
                             struct err *err)
{
    const char *stored = db_column_text(statement, column);
    char *text = NULL;

    if (!vault_is_sealed(stored))
        return stored;
    if (vault_open_text(db->vault, stored, &text, err) < 0)
        return NULL;
    free(db->opened[db->opened_next]);
    db->opened[db->opened_next] = text;
    db->opened_next = (db->opened_next + 1) % OPENED_MAX;
    return text;
}

/* 1 there is a sealed text and it opens, 0 there is none, -1. */
static int check_seal(struct db *db, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_SETTING_GET);
    int rc;

    db_bind_text(statement, 1, SEALED_SETTING);
    rc = db_next(db, statement, "cannot read the settings", err);
    if (rc > 0 && !db_column_secret(db, statement, 0, err))
        rc = -1;
    sqlite3_reset(statement);
    return rc < 0 ? err_wrap(err, "%s", db->path) : rc;
}

int db_set_vault(struct db *db, struct vault *vault, struct err *err)
{
    sqlite3_stmt *statement;
    int rc;

    db->vault = vault;
    if (db->role == DB_ROLE_READER)
        return 0;
    rc = check_seal(db, err);
    if (rc != 0 || !vault)
        return rc < 0 ? -1 : 0;
    statement = db_statement(db, DB_SETTING_SET);
    db_bind_text(statement, 1, SEALED_SETTING);
    db_bind_secret(db, statement, 2, SEALED_TEXT);
    return db_run(db, statement, "cannot keep a setting", err);
}

int db_next(struct db *db, sqlite3_stmt *statement, const char *what, struct err *err)
{
    int rc;

    if (!statement) /* the connection remembers why it was not prepared */
        return db_fail(db, what, err);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(statement);
        return 0;
    }
    db_fail(db, what, err);
    sqlite3_reset(statement);
    return -1;
}

int db_run(struct db *db, sqlite3_stmt *statement, const char *what, struct err *err)
{
    int rc;

    while ((rc = db_next(db, statement, what, err)) > 0)
        ;
    return rc;
}

int db_changes(struct db *db)
{
    return sqlite3_changes(db->handle);
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int db_begin(struct db *db, struct err *err)
{
    return db_run(db, db_statement(db, DB_BEGIN), "cannot begin a transaction", err);
}

int db_commit(struct db *db, struct err *err)
{
    return db_run(db, db_statement(db, DB_COMMIT), "cannot commit", err);
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static int64_t file_bytes(const char *path, const char *suffix)
{
    AUTO_FREE char *name = xasprintf("%s%s", path, suffix);
    struct stat info;

    return stat(name, &info) == 0 ? (int64_t)info.st_blocks * 512 : 0;
}

int64_t db_bytes(struct db *db)
{
    int64_t figures[3] = { 0 };
    static const enum db_statement which[] = { DB_PAGE_COUNT, DB_FREE_COUNT, DB_PAGE_SIZE };

    if (db->role != DB_ROLE_PRIVATE)
        return file_bytes(db->path, "") + file_bytes(db->path, "-wal");
    for (size_t i = 0; i < ARRAY_LEN(which); i++) {
        sqlite3_stmt *statement = db_statement(db, which[i]);

        if (db_next(db, statement, "cannot count pages", NULL) > 0)
            figures[i] = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return (figures[0] - figures[1]) * figures[2];
}

int db_wal_pages(const struct db *db)
{
    return db->wal_pages;
}

void db_checkpoint(struct db *db, bool truncate)
{
    int in_log = 0;
    int copied = 0;
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;

    /* A TRUNCATE would wait for readers with the busy timeout: not with events to record. */
    sqlite3_busy_timeout(db->handle, 0);
    if (sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, &in_log, &copied) == SQLITE_OK &&
        copied >= in_log)
        db->wal_pages = 0;
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
}

static int empty_log(struct db *db, struct err *err)
{
    int rc;

    sqlite3_busy_timeout(db->handle, SCRUB_WAIT_MS);
    rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (rc != SQLITE_OK)
        return db_fail(db, "cannot empty the log", err);
    db->wal_pages = 0;
    return 0;
}

/* Between emptying the log and beginning, another process may have written. */
int db_scrub(struct db *db, struct err *err)
{
    int rc;

    if (execute(db, "PRAGMA incremental_vacuum(" SCRUB_PAGES ")", "cannot give space back",
                err) < 0 ||
        empty_log(db, err) < 0 || db_begin(db, err) < 0)
        return -1;
    rc = file_bytes(db->path, "-wal") > 0
             ? err_set(err, ERR_TEMP, "another process writes to %s", db->path)
             : scrub_gaps(db->handle, err);
    db_rollback(db);
    /* Pages in the cache still have what was in the gaps, and would write it again. */
    sqlite3_db_release_memory(db->handle);
    return rc;
}

sqlite3 *db_handle(struct db *db)
{
    return db->handle;
}
