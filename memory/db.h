/*
 * db.h - one connection to threadkeeper.db: pragmas, schema, prepared statements.
 *
 * The writer creates the file (0600) and brings the schema up to date (numbered steps against
 * PRAGMA user_version, one transaction each). A statement is prepared when it is first asked
 * for. Writer and readers use WAL; the writer syncs at each commit (synchronous=FULL), so
 * what db_commit() reports is on the disk.
 *
 * Owns:    the connection and its statements.
 * Threads: one at a time for each connection; there is no mutex inside.
 * Errors:  ERR_TEMP when another process holds the lock longer than the busy timeout, ERR_INPUT
 *          when a value can never be stored (constraint, too big), ERR_SYSTEM for the rest
 *          (disk full, I/O, damaged file: the message names the file and the mend).
 */
#ifndef MEMORY_DB_H
#define MEMORY_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/err.h"

#define DB_FILE_NAME "threadkeeper.db"

enum db_role {
    DB_ROLE_WRITER,
    DB_ROLE_READER,
    DB_ROLE_PRIVATE, /* in RAM, for this connection alone; `path` is only its name */
};

enum db_statement {
    DB_BEGIN,
    DB_COMMIT,

    DB_ENTRY_INSERT,
    DB_ENTRY_STATE,
    DB_ENTRY_SET_RUNNING,
    DB_ENTRY_SET_REPLY,
    DB_ENTRY_COMPLETE,
    DB_ENTRY_SET_STATE,
    DB_ENTRY_FIND,
    DB_ENTRIES_PENDING,
    DB_ENTRIES_PENDING_COUNT,
    DB_ENTRIES_SCAN,
    DB_ENTRIES_TEXTS,
    DB_ENTRY_DELETE,
    DB_ENTRIES_MEANT,
    DB_ENTRIES_AT,
    DB_ENTRY_ERASE,
    DB_ENGAGED_FIND,
    DB_ENGAGED_SET,
    DB_ENGAGED_SCAN,
    DB_ENGAGED_DELETE,
    DB_PLACES_SCAN,
    DB_PLACES_LAST,

    DB_UNSAVED_INSERT,
    DB_UNSAVED_SCAN,
    DB_UNSAVED_DELETE,
    DB_UNSAVED_FORGET,

    DB_CONVERSATION_TOUCH,
    DB_CONVERSATION_SAID,
    DB_CONVERSATION_FIND,
    DB_CONVERSATION_WINDOW,
    DB_CONVERSATION_SUBTRACT,
    DB_CONVERSATION_ERASE,
    DB_CONVERSATIONS_SCAN,
    DB_CONVERSATION_OLDEST,
    DB_CONVERSATION_SIZE,
    DB_CONVERSATIONS_LIST,
    DB_CONVERSATIONS_LIST_USER,

    DB_TURN_INSERT,
    DB_TURN_FIND,
    DB_TURNS_LOAD,
    DB_TURNS_RANGE,
    DB_TURNS_RANGE_FIRST,
    DB_TURNS_ERASE,
    DB_TURNS_SWEEP,
    DB_SPEAKER_INSERT,
    DB_SPEAKERS_PRUNE,
    DB_SPEAKERS_ERASE,
    DB_HOUR_SET,
    DB_HOUR_FIRST_TURN,
    DB_HOURS_PRUNE,

    DB_SUMMARY_SET,
    DB_SUMMARIES_DROP,
    DB_SUMMARIES_CAP,
    DB_SUMMARIES_OUTLIVED,
    DB_SUMMARIES_LIST,

    DB_FIELD_SET,
    DB_FIELD_FIND,
    DB_FIELDS_LIST,
    DB_FIELDS_LIST_ONE,
    DB_FIELDS_EXPIRE,
    DB_FIELD_DELETE,
    DB_FIELDS_CLEAR,
    DB_FIELDS_ERASE,
    DB_FIELDS_SWEEP,

    DB_ITEM_SET,
    DB_ITEM_DELETE,
    DB_ITEMS_DELETE,
    DB_ITEMS_LIST,
    DB_ITEM_PEOPLE,

    DB_VALUE_SET,
    DB_VALUE_FIND,
    DB_VALUE_EXPIRE,
    DB_VALUE_DELETE,
    DB_VALUES_DELETE,
    DB_VALUES_LIST,
    DB_VALUES_SWEEP,

    DB_SETTING_GET,
    DB_SETTING_SET,
    DB_STATS,
    DB_DATA_VERSION,
    DB_PAGE_COUNT,
    DB_FREE_COUNT,
    DB_PAGE_SIZE,

    DB_STATEMENT_COUNT
};

struct db;
struct vault;

/* A reader expects a file that a writer has opened before. */
int db_open(const char *path, enum db_role role, struct db **ret_db, struct err *err);
void db_close(struct db *db); /* NULL is fine */

/*
 * For those who go over the whole file: the connection (borrowed), and what its last failure
 * means as an error. Wherever damage shows, here or in any other call, a mark is left beside
 * the file, which lasts until it is cleared: health.h.
 */
sqlite3 *db_handle(struct db *db);
int db_fail(struct db *db, const char *what, struct err *err); /* -1 */
bool db_is_suspect(const char *path);
void db_mark_suspect(const char *path);
void db_clear_suspect(const char *path);

/* The prepared statement, reset; parameters keep what they were bound to. Borrowed. NULL when
 * it cannot be prepared: binding does nothing then, and db_next() says why. */
sqlite3_stmt *db_statement(struct db *db, enum db_statement which);

/* Binds a string that stays valid until the statement is reset. */
void db_bind_text(sqlite3_stmt *statement, int index, const char *text);

/* A column's text, "" for NULL. Borrowed until the statement is stepped or reset. */
const char *db_column_text(sqlite3_stmt *statement, int column);

/*
 * Texts that are sealed at rest when a key is configured. Binding returns the number of bytes
 * that will stand in the file; `text` may go afterwards. What is read is borrowed until the
 * statement is stepped or reset or eight others were read; NULL and `err` when it is sealed and
 * does not open. What was stored before there was a key is read as it stands.
 */
size_t db_bind_secret(struct db *db, sqlite3_stmt *statement, int index, const char *text);
const char *db_column_secret(struct db *db, sqlite3_stmt *statement, int column,
                             struct err *err);

/*
 * `vault` (borrowed, may be NULL) for these. A writer also checks that it fits: a file
 * that was ever sealed is ERR_INPUT without its key or with another one.
 */
int db_set_vault(struct db *db, struct vault *vault, struct err *err);

/* Steps a statement that gives no row to its end and resets it. `what` opens the message. */
int db_run(struct db *db, sqlite3_stmt *statement, const char *what, struct err *err);

/* Steps to the next row: 1 a row, 0 the end (reset), -1 an error (reset). */
int db_next(struct db *db, sqlite3_stmt *statement, const char *what, struct err *err);

/* Rows changed by the last db_run(). */
int db_changes(struct db *db);
int64_t db_last_id(struct db *db);

int db_begin(struct db *db, struct err *err); /* IMMEDIATE */
int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db); /* also when SQLite has rolled back by itself */

/* ERR_INPUT unless the file has the schema that this program writes: for who may not migrate.
 */
int db_check_schema(struct db *db, struct err *err);

/* What it takes on the disk, its log included; in RAM: its pages. */
int64_t db_bytes(struct db *db);

/* Frames in the write-ahead log after the last commit of this connection. */
int db_wal_pages(const struct db *db);

/*
 * Copies the write-ahead log back into the database: without waiting for anybody, or, with
 * `truncate`, giving its disk space back as well. What a reader still needs is left for the
 * next time; that is no error, and a failure costs nothing but space.
 */
void db_checkpoint(struct db *db, bool truncate);

/*
 * After erasing, outside of a transaction: gives free pages back to the file system and empties
 * the log, so that erased bytes are in no file. ERR_TEMP when a reader is in the way: again
 * later.
 */
int db_scrub(struct db *db, struct err *err);

#endif
