#include "memory/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

#define BUSY_TIMEOUT_MS 5000

struct db {
    sqlite3 *handle;
    char *path;
    sqlite3_stmt *statements[DB_STATEMENT_COUNT];
    int wal_pages;
};

/*
 * The schema, oldest step first; step i brings user_version from i to i + 1. A released step is
 * never edited.
 *
 * ledger: few b-trees, for each costs every insert. The dedupe indexes begin with what grows
 * (ts), so that inserts meet at their right edge. Ids stay ascending without AUTOINCREMENT
 * because pruning never deletes the newest row.
 * turn: in order of arrival with an index beside it; clustering by conversation would dirty a
 * page of its own for each row and group commit would no longer help.
 */
static const char *const migrations[] = {
    "CREATE TABLE ledger("
    " id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, state INTEGER NOT NULL,"
    " event_id TEXT NOT NULL, team TEXT NOT NULL, channel TEXT NOT NULL, ts TEXT NOT NULL,"
    " thread_ts TEXT NOT NULL, user TEXT NOT NULL, conversation TEXT NOT NULL,"
    " reply_thread TEXT NOT NULL, text TEXT NOT NULL, attributes TEXT NOT NULL,"
    " run_id TEXT NOT NULL, reply_state TEXT NOT NULL, attempts INTEGER NOT NULL,"
    " received_wall_us INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX ledger_event ON ledger(event_id) WHERE event_id <> '';"
    "CREATE UNIQUE INDEX ledger_message ON ledger(ts, channel, team) WHERE ts <> '';"
    "CREATE INDEX ledger_pending ON ledger(id) WHERE state <= 1;"
    "CREATE TABLE engaged("
    " thread_ts TEXT NOT NULL, channel TEXT NOT NULL, team TEXT NOT NULL,"
    " last_wall_s INTEGER NOT NULL,"
    " PRIMARY KEY(thread_ts, channel, team)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE unsaved("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL,"
    " first_seq INTEGER NOT NULL,"
    " base_wall_s INTEGER NOT NULL, count INTEGER NOT NULL, turns BLOB NOT NULL) STRICT;"
    "CREATE TABLE conversation("
    " id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, last_seq INTEGER NOT NULL,"
    " window_seq INTEGER NOT NULL, used_wall_s INTEGER NOT NULL) STRICT;"
    "CREATE TABLE turn("
    " id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " role INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL,"
    " slack_ts TEXT NOT NULL, at_wall_s INTEGER NOT NULL, tokens INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX turn_seq ON turn(conversation, seq);",
};

#define SCHEMA_VERSION ((int)ARRAY_LEN(migrations))

#define ENTRY_COLUMNS                                                               \
    "id, kind, state, event_id, team, channel, ts, thread_ts, user, conversation, " \
    "reply_thread, text, attributes, run_id, reply_state, attempts, received_wall_us "

static const struct {
    const char *sql;
    bool reads; /* prepared for readers too */
} statement_table[DB_STATEMENT_COUNT] = {
    [DB_BEGIN] = { "BEGIN IMMEDIATE", false },
    [DB_COMMIT] = { "COMMIT", false },

    /* RECEIVED and RUNNING are 0 and 1: "state <= 1" is spelt as in ledger_pending. */
    [DB_ENTRY_INSERT] = { "INSERT INTO ledger(kind, state, event_id, team, channel, ts,"
                          " thread_ts, user, conversation, reply_thread, text, attributes,"
                          " run_id, reply_state, attempts, received_wall_us)"
                          " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,'','',0,?) ON CONFLICT DO NOTHING",
                          false },
    [DB_ENTRY_STATE] = { "SELECT state FROM ledger WHERE id = ?", false },
    [DB_ENTRY_SET_RUNNING] = { "UPDATE ledger SET state = 1, run_id = ?2, reply_state = '',"
                               " attempts = attempts + 1 WHERE id = ?1",
                               false },
    [DB_ENTRY_SET_REPLY] = { "UPDATE ledger SET reply_state = ?2 WHERE id = ?1", false },
    [DB_ENTRY_SET_STATE] = { "UPDATE ledger SET state = ?2, run_id = '', reply_state = ''"
                             " WHERE id = ?1",
                             false },
    [DB_ENTRY_FIND] = { "SELECT " ENTRY_COLUMNS "FROM ledger WHERE id = ?", true },
    [DB_ENTRIES_PENDING] = { "SELECT " ENTRY_COLUMNS "FROM ledger INDEXED BY ledger_pending"
                             " WHERE state <= 1 AND id > ? ORDER BY id LIMIT ?",
                             true },
    [DB_ENTRIES_PENDING_COUNT] = { "SELECT count(*) FROM ledger INDEXED BY ledger_pending"
                                   " WHERE state <= 1",
                                   false },
    [DB_ENTRIES_SCAN] = { "SELECT id, state, received_wall_us FROM ledger"
                          " WHERE id > ?1 AND id < (SELECT max(id) FROM ledger)"
                          " ORDER BY id LIMIT ?2",
                          false },
    [DB_ENTRY_DELETE] = { "DELETE FROM ledger WHERE id = ?", false },
    /* Erasure. Commands that wait (kind 1) are still to be carried out. The first walks through
     * the ledger: it holds 48 hours, and this is asked for by people. */
    [DB_ENTRIES_MEANT] = { "SELECT id, state, run_id, conversation FROM ledger"
                           " WHERE id > ?1 AND text <> '' AND (kind = 0 OR state > 1)"
                           " AND (?3 = '' OR conversation = ?3) AND (?4 = '' OR user = ?4)"
                           " AND (?5 = 0 OR received_wall_us < ?5) ORDER BY id LIMIT ?2",
                           true },
    [DB_ENTRIES_AT] = { "SELECT id, state, run_id, conversation FROM ledger"
                        " WHERE ts = ?3 AND ts <> '' AND channel = ?4"
                        " AND (?5 = '' OR team = ?5) AND id > ?1 AND text <> ''"
                        " AND (kind = 0 OR state > 1) ORDER BY id LIMIT ?2",
                        true },
    /* ?2: nobody is at work on what is RUNNING (1). What waits (0) or FAILED (3) becomes
     * CANCELLED (4). */
    [DB_ENTRY_ERASE] = { "UPDATE ledger SET text = '',"
                         " attributes = iif(state = 1 AND NOT ?2, attributes, '{}'),"
                         " reply_state = iif(state = 1 AND NOT ?2, reply_state, ''),"
                         " run_id = iif(state = 1 AND NOT ?2, run_id, ''),"
                         " state = iif(state = 1 AND NOT ?2, 1, iif(state IN (0, 1, 3), 4,"
                         " state))"
                         " WHERE id = ?1 AND (kind = 0 OR state > 1)",
                         false },
    [DB_ENGAGED_FIND] = { "SELECT 1 FROM engaged WHERE thread_ts = ? AND channel = ?"
                          " AND team = ?",
                          false },
    /* A thread in use is rewritten once an hour, not at every message. */
    [DB_ENGAGED_SET] = { "INSERT INTO engaged(thread_ts, channel, team, last_wall_s)"
                         " VALUES(?,?,?,?) ON CONFLICT DO UPDATE"
                         " SET last_wall_s = excluded.last_wall_s"
                         " WHERE excluded.last_wall_s > last_wall_s + 3600",
                         false },
    [DB_ENGAGED_SCAN] = { "SELECT thread_ts, channel, team, last_wall_s FROM engaged"
                          " WHERE (thread_ts, channel, team) > (?1, ?2, ?3)"
                          " ORDER BY thread_ts, channel, team LIMIT 1",
                          false },
    [DB_ENGAGED_DELETE] = { "DELETE FROM engaged WHERE thread_ts = ? AND channel = ?"
                            " AND team = ?",
                            false },

    /* Backwards along the dedupe index, whose first column is the ts. The thread is the one
     * that a message stands in or, when it opens one, the one it is answered in. */
    [DB_PLACES_SCAN] = { "SELECT team, channel,"
                         " CASE thread_ts WHEN '' THEN reply_thread ELSE thread_ts END, ts"
                         " FROM ledger INDEXED BY ledger_message"
                         " WHERE ts >= ?1 AND ts <> '' AND received_wall_us < ?2"
                         " AND channel <> ?3 ORDER BY ts DESC LIMIT ?4",
                         true },
    [DB_PLACES_LAST] = { "SELECT received_wall_us FROM ledger INDEXED BY ledger_message"
                         " WHERE ts <> '' AND received_wall_us < ?1 AND channel <> ?2"
                         " ORDER BY ts DESC LIMIT 1",
                         true },

    [DB_UNSAVED_INSERT] = { "INSERT INTO unsaved(conversation, first_seq, base_wall_s, count,"
                            " turns) VALUES(?,?,?,?,?)",
                            false },
    [DB_UNSAVED_SCAN] = { "SELECT id, conversation, first_seq, base_wall_s, count, turns"
                          " FROM unsaved ORDER BY id LIMIT ?",
                          false },
    [DB_UNSAVED_DELETE] = { "DELETE FROM unsaved WHERE id <= ?", false },

    [DB_CONVERSATION_TOUCH] = { "INSERT INTO conversation(key, last_seq, window_seq,"
                                " used_wall_s) VALUES(?1, ?2, 0, ?3)"
                                " ON CONFLICT(key) DO UPDATE SET"
                                " last_seq = max(last_seq, excluded.last_seq),"
                                " used_wall_s = max(used_wall_s, excluded.used_wall_s)"
                                " RETURNING id",
                                false },
    [DB_CONVERSATION_FIND] = { "SELECT id, last_seq, window_seq FROM conversation"
                               " WHERE key = ?",
                               true },
    [DB_CONVERSATION_WINDOW] = { "INSERT INTO conversation(key, last_seq, window_seq,"
                                 " used_wall_s) VALUES(?1, 0, ?2, ?3)"
                                 " ON CONFLICT(key) DO UPDATE SET"
                                 " window_seq = max(window_seq, excluded.window_seq)",
                                 false },
    [DB_CONVERSATION_ERASE] = { "DELETE FROM conversation WHERE id = ?", false },
    [DB_TURN_INSERT] = { "INSERT INTO turn(conversation, seq, role, author, text, slack_ts,"
                         " at_wall_s, tokens) VALUES(?,?,?,?,?,?,?,?)"
                         " ON CONFLICT DO NOTHING",
                         false },
    [DB_TURN_FIND] = { "SELECT role, text FROM turn WHERE conversation = ? AND seq = ?",
                       false },
    /* Backwards along the index, so that only what is wanted is read. */
    [DB_TURNS_LOAD] = { "SELECT seq, role, author, text, slack_ts, at_wall_s, tokens FROM"
                        " (SELECT * FROM turn WHERE conversation = ? AND seq >= ?"
                        "  ORDER BY seq DESC LIMIT ?) ORDER BY seq",
                        true },
    [DB_TURNS_TRIM] = { "DELETE FROM turn WHERE conversation = ? AND seq < ?", false },
};

/*
 * cache_size: a daemon that idles in a few MB. The writer's working set is the right edge of
 * five b-trees and the conversations in use; a reader walks one index path and some leaves. The
 * kernel's page cache stands behind both. No mmap: its pages would count as ours.
 */
static const char writer_pragmas[] =
    "PRAGMA auto_vacuum=INCREMENTAL;" /* only works before the first table */
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA cache_size=-2048;"
    "PRAGMA wal_autocheckpoint=0;" /* the journal checkpoints, after its callbacks */
    "PRAGMA journal_size_limit=67108864;"
    "PRAGMA secure_delete=ON;"; /* what is erased leaves no bytes behind */

static const char reader_pragmas[] = "PRAGMA query_only=ON;"
                                     "PRAGMA cache_size=-256;";

static int fail(struct db *db, const char *what, struct err *err)
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
        return err_set(err, ERR_SYSTEM,
                       "%s: %s is damaged: %s (%d). Stop the program, move the file and its "
                       "-wal and -shm away, put a backup in its place or start without one",
                       what, db->path, text, code);
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
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                        : fail(db, what, err);
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
    fail(db, "cannot read the schema version", err);
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
    if (version < SCHEMA_VERSION) {
        set_version = xasprintf("PRAGMA user_version=%d", version + 1);
        if (execute(db, migrations[version], "cannot migrate", err) < 0 ||
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
        if (version > SCHEMA_VERSION || version < 0)
            return err_set(err, ERR_SYSTEM,
                           "%s has schema %d, this program knows up to %d: it was written by a "
                           "newer threadkeeper; install that one again or move the file away",
                           db->path, version, SCHEMA_VERSION);
        if (version == SCHEMA_VERSION)
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

static int prepare(struct db *db, enum db_role role, struct err *err)
{
    for (int i = 0; i < DB_STATEMENT_COUNT; i++) {
        if (role == DB_ROLE_READER && !statement_table[i].reads)
            continue;
        if (sqlite3_prepare_v3(db->handle, statement_table[i].sql, -1,
                               SQLITE_PREPARE_PERSISTENT, &db->statements[i],
                               NULL) != SQLITE_OK)
            return fail(db, "cannot prepare a statement", err);
    }
    return 0;
}

/* SQLite would create the file with the umask's mode; -wal and -shm take the file's. */
static int create_private(const char *path, struct err *err)
{
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    return fd < 0 ? err_set_errno(err, ERR_SYSTEM, "cannot open %s", path) : 0;
}

static int set_up(struct db *db, enum db_role role, struct err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE;

    if (role == DB_ROLE_WRITER && create_private(db->path, err) < 0)
        return -1;
    if (sqlite3_open_v2(db->path, &db->handle, flags, NULL) != SQLITE_OK)
        return fail(db, "cannot open", err);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    if (role == DB_ROLE_READER)
        return execute(db, reader_pragmas, "cannot set up", err) < 0 ? -1
                                                                     : prepare(db, role, err);
    if (execute(db, writer_pragmas, "cannot set up", err) < 0 || migrate(db, err) < 0)
        return -1;
    sqlite3_wal_hook(db->handle, remember_wal_pages, db);
    return prepare(db, role, err);
}

int db_open(const char *path, enum db_role role, struct db **ret_db, struct err *err)
{
    struct db *db = xcalloc(1, sizeof(*db));

    db->path = xstrdup(path);
    if (set_up(db, role, err) < 0) {
        db_close(db);
        return -1;
    }
    *ret_db = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (int i = 0; i < DB_STATEMENT_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

sqlite3_stmt *db_statement(struct db *db, enum db_statement which)
{
    sqlite3_reset(db->statements[which]);
    return db->statements[which];
}

void db_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

int db_next(struct db *db, sqlite3_stmt *statement, const char *what, struct err *err)
{
    int rc = sqlite3_step(statement);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(statement);
        return 0;
    }
    fail(db, what, err);
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
