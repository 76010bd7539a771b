/*
 * db.h - one connection to threadkeeper.db: pragmas, schema, prepared statements.
 *
 * The writer creates the file (0600), brings the schema up to date (numbered steps against
 * PRAGMA user_version, one transaction each) and prepares every statement; a reader prepares
 * only those that read. Both use WAL; the writer syncs at each commit (synchronous=FULL), so
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

enum db_role { DB_ROLE_WRITER, DB_ROLE_READER };

enum db_statement {
    DB_BEGIN,
    DB_COMMIT,

    DB_ENTRY_INSERT,
    DB_ENTRY_STATE,
    DB_ENTRY_SET_RUNNING,
    DB_ENTRY_SET_REPLY,
    DB_ENTRY_SET_STATE,
    DB_ENTRY_FIND,
    DB_ENTRIES_PENDING,
    DB_ENTRIES_PENDING_COUNT,
    DB_ENTRIES_SCAN,
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

    DB_CONVERSATION_TOUCH,
    DB_CONVERSATION_FIND,
    DB_CONVERSATION_WINDOW,
    DB_CONVERSATION_ERASE,
    DB_TURN_INSERT,
    DB_TURN_FIND,
    DB_TURNS_LOAD,
    DB_TURNS_TRIM,

    DB_STATEMENT_COUNT
};

struct db;

/* A reader expects a file that a writer has opened before. */
int db_open(const char *path, enum db_role role, struct db **ret_db, struct err *err);
void db_close(struct db *db); /* NULL is fine */

/* The prepared statement, reset and without bindings of its last use. Borrowed. */
sqlite3_stmt *db_statement(struct db *db, enum db_statement which);

/* Binds a string that stays valid until the statement is reset. */
void db_bind_text(sqlite3_stmt *statement, int index, const char *text);

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

/* Frames in the write-ahead log after the last commit of this connection. */
int db_wal_pages(const struct db *db);

/*
 * Copies the write-ahead log back into the database: without waiting for anybody, or, with
 * `truncate`, giving its disk space back as well. What a reader still needs is left for the
 * next time; that is no error, and a failure costs nothing but space.
 */
void db_checkpoint(struct db *db, bool truncate);

#endif
