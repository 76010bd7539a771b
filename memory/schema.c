#include "memory/schema.h"

#include "base/alloc.h"

/*
 * Step 1.
 *
 * ledger: few b-trees, for each costs every insert. The dedupe indexes begin with what grows
 * (ts), so that inserts meet at their right edge. Ids stay ascending without AUTOINCREMENT
 * because pruning never deletes the newest row.
 * turn: in order of arrival with an index beside it; clustering by conversation would dirty a
 * page of its own for each row and group commit would no longer help.
 */
const char *const schema_steps[] = {
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

    /*
     * Step 2. turns and bytes: kept so that a list costs a row and not a scan. kept_wall_s:
     * when something was last stored, which for imported turns is not when it was said.
     * turn_hour: the first turn that was stored in an hour, so that retention erases by id.
     */
    "ALTER TABLE turn ADD COLUMN metadata TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE conversation ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE conversation ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE conversation ADD COLUMN kept_wall_s INTEGER NOT NULL DEFAULT 0;"
    "UPDATE conversation SET kept_wall_s = used_wall_s, (turns, bytes) ="
    " (SELECT count(*), coalesce(sum(length(CAST(text AS BLOB))), 0) FROM turn"
    "  WHERE turn.conversation = conversation.id);"
    "CREATE TABLE speaker("
    " conversation INTEGER NOT NULL, user TEXT NOT NULL,"
    " PRIMARY KEY(conversation, user)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX speaker_user ON speaker(user, conversation);"
    "INSERT INTO speaker(conversation, user)"
    " SELECT DISTINCT conversation, author FROM turn WHERE role = 0 AND author <> '';"
    "CREATE TABLE turn_hour("
    " hour INTEGER PRIMARY KEY, first_turn INTEGER NOT NULL) STRICT;"
    "INSERT INTO turn_hour(hour, first_turn)"
    " SELECT at_wall_s / 3600, min(id) FROM turn GROUP BY 1;"
    "CREATE TABLE summary("
    " id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, version INTEGER NOT NULL,"
    " first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, made_wall_s INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL, source TEXT NOT NULL, text TEXT NOT NULL,"
    " pinned TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX summary_version ON summary(conversation, version);"
    "CREATE TABLE field("
    " id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, name TEXT NOT NULL,"
    " value TEXT NOT NULL, expires_wall_ms INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX field_name ON field(conversation, name);"
    "CREATE INDEX field_expiry ON field(expires_wall_ms) WHERE expires_wall_ms > 0;"
    "CREATE TABLE item("
    " id INTEGER PRIMARY KEY, user TEXT NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL,"
    " value TEXT NOT NULL, conversation TEXT NOT NULL, seq INTEGER NOT NULL,"
    " created_wall_s INTEGER NOT NULL, updated_wall_s INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX item_name ON item(user, kind, name);"
    "CREATE TABLE value("
    " id INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL,"
    " expires_wall_ms INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX value_key ON value(key);"
    "CREATE INDEX value_expiry ON value(expires_wall_ms) WHERE expires_wall_ms > 0;"
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
};

const int schema_version = (int)ARRAY_LEN(schema_steps);

const char *const schema_tables[] = { "ledger", "engaged", "unsaved",   "conversation",
                                      "turn",   "speaker", "turn_hour", "summary",
                                      "field",  "item",    "value",     "setting" };

const size_t schema_tables_count = ARRAY_LEN(schema_tables);

#define ENTRY_COLUMNS                                                               \
    "id, kind, state, event_id, team, channel, ts, thread_ts, user, conversation, " \
    "reply_thread, text, attributes, run_id, reply_state, attempts, received_wall_us "

/* A field or a value that has not expired at `now`, a parameter. */
#define LIVE(now) "(expires_wall_ms = 0 OR expires_wall_ms > " now ")"

#define FIGURES                                                                      \
    "c.key, c.turns, c.bytes, (SELECT at_wall_s FROM turn WHERE conversation = c.id" \
    " ORDER BY seq LIMIT 1), c.used_wall_s, c.last_seq,"                             \
    " (SELECT count(*) FROM summary WHERE conversation = c.id),"                     \
    " (SELECT count(*) FROM field WHERE conversation = c.id AND " LIVE("?6") ")"

#define IN_RANGE                                                       \
    "conversation = ?1 AND seq >= ?2 AND seq < ?3 AND at_wall_s >= ?4" \
    " AND at_wall_s < ?5"

static const char *const statements[DB_STATEMENT_COUNT] = {
    [DB_BEGIN] = "BEGIN IMMEDIATE",
    [DB_COMMIT] = "COMMIT",

    /* RECEIVED and RUNNING are 0 and 1: "state <= 1" is spelt as in ledger_pending. */
    [DB_ENTRY_INSERT] = "INSERT INTO ledger(kind, state, event_id, team, channel, ts,"
                        " thread_ts, user, conversation, reply_thread, text, attributes,"
                        " run_id, reply_state, attempts, received_wall_us)"
                        " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,'','',0,?) ON CONFLICT DO NOTHING",
    [DB_ENTRY_STATE] = "SELECT state FROM ledger WHERE id = ?",
    /* A run that follows another one under way goes on in the same answer. */
    [DB_ENTRY_SET_RUNNING] = "UPDATE ledger SET attempts = attempts + (state <> 1), state = 1,"
                             " run_id = ?2 WHERE id = ?1",
    [DB_ENTRY_COMPLETE] = "UPDATE ledger SET attributes = ?1 WHERE team = ?2 AND channel = ?3"
                          " AND ts = ?4 AND state <= 1 AND text <> ''",
    [DB_ENTRY_SET_REPLY] = "UPDATE ledger SET reply_state = ?2 WHERE id = ?1",
    [DB_ENTRY_SET_STATE] = "UPDATE ledger SET state = ?2, run_id = '', reply_state = ''"
                           " WHERE id = ?1",
    [DB_ENTRY_FIND] = "SELECT " ENTRY_COLUMNS "FROM ledger WHERE id = ?",
    [DB_ENTRIES_PENDING] = "SELECT " ENTRY_COLUMNS "FROM ledger INDEXED BY ledger_pending"
                           " WHERE state <= 1 AND id > ? ORDER BY id LIMIT ?",
    [DB_ENTRIES_PENDING_COUNT] = "SELECT count(*) FROM ledger INDEXED BY ledger_pending"
                                 " WHERE state <= 1",
    [DB_ENTRIES_SCAN] = "SELECT id, state, received_wall_us FROM ledger"
                        " WHERE id > ?1 AND id < (SELECT max(id) FROM ledger)"
                        " ORDER BY id LIMIT ?2",
    [DB_ENTRIES_TEXTS] = "SELECT id, received_wall_us, state > 1 AND text <> '' FROM ledger"
                         " WHERE id > ? ORDER BY id LIMIT ?",
    [DB_ENTRY_DELETE] = "DELETE FROM ledger WHERE id = ?",
    /* Erasure. Commands that wait (kind 1) are still to be carried out. The first walks through
     * the ledger: it holds 48 hours, and this is asked for by people. */
    [DB_ENTRIES_MEANT] = "SELECT id, state, run_id, conversation FROM ledger"
                         " WHERE id > ?1 AND text <> '' AND (kind = 0 OR state > 1)"
                         " AND (?3 = '' OR conversation = ?3) AND (?4 = '' OR user = ?4)"
                         " AND (?5 = 0 OR received_wall_us < ?5) ORDER BY id LIMIT ?2",
    [DB_ENTRIES_AT] = "SELECT id, state, run_id, conversation FROM ledger"
                      " WHERE ts = ?3 AND ts <> '' AND channel = ?4"
                      " AND (?5 = '' OR team = ?5) AND id > ?1 AND text <> ''"
                      " AND (kind = 0 OR state > 1) ORDER BY id LIMIT ?2",
    /* ?2: nobody is at work on what is RUNNING (1). What waits (0) or FAILED (3) becomes
     * CANCELLED (4). */
    [DB_ENTRY_ERASE] = "UPDATE ledger SET text = '',"
                       " attributes = iif(state = 1 AND NOT ?2, attributes, '{}'),"
                       " reply_state = iif(state = 1 AND NOT ?2, reply_state, ''),"
                       " run_id = iif(state = 1 AND NOT ?2, run_id, ''),"
                       " state = iif(state = 1 AND NOT ?2, 1, iif(state IN (0, 1, 3), 4,"
                       " state))"
                       " WHERE id = ?1 AND (kind = 0 OR state > 1)",
    [DB_ENGAGED_FIND] = "SELECT 1 FROM engaged WHERE thread_ts = ? AND channel = ?"
                        " AND team = ?",
    /* A thread in use is rewritten once an hour, not at every message. */
    [DB_ENGAGED_SET] = "INSERT INTO engaged(thread_ts, channel, team, last_wall_s)"
                       " VALUES(?,?,?,?) ON CONFLICT DO UPDATE"
                       " SET last_wall_s = excluded.last_wall_s"
                       " WHERE excluded.last_wall_s > last_wall_s + 3600",
    [DB_ENGAGED_SCAN] = "SELECT thread_ts, channel, team, last_wall_s FROM engaged"
                        " WHERE (thread_ts, channel, team) > (?1, ?2, ?3)"
                        " ORDER BY thread_ts, channel, team LIMIT 1",
    [DB_ENGAGED_DELETE] = "DELETE FROM engaged WHERE thread_ts = ? AND channel = ?"
                          " AND team = ?",

    /* Backwards along the dedupe index, whose first column is the ts. The thread is the one
     * that a message stands in or, when it opens one, the one it is answered in. */
    [DB_PLACES_SCAN] = "SELECT team, channel,"
                       " CASE thread_ts WHEN '' THEN reply_thread ELSE thread_ts END, ts"
                       " FROM ledger INDEXED BY ledger_message"
                       " WHERE ts >= ?1 AND ts <> '' AND received_wall_us < ?2"
                       " AND channel <> ?3 ORDER BY ts DESC LIMIT ?4",
    [DB_PLACES_LAST] = "SELECT received_wall_us FROM ledger INDEXED BY ledger_message"
                       " WHERE ts <> '' AND received_wall_us < ?1 AND channel <> ?2"
                       " ORDER BY ts DESC LIMIT 1",

    [DB_UNSAVED_INSERT] = "INSERT INTO unsaved(conversation, first_seq, base_wall_s, count,"
                          " turns) VALUES(?,?,?,?,?)",
    [DB_UNSAVED_SCAN] = "SELECT id, conversation, first_seq, base_wall_s, count, turns"
                        " FROM unsaved ORDER BY id LIMIT ?",
    [DB_UNSAVED_DELETE] = "DELETE FROM unsaved WHERE id <= ?",
    [DB_UNSAVED_FORGET] = "DELETE FROM unsaved WHERE id = ?",

    [DB_CONVERSATION_TOUCH] = "INSERT INTO conversation(key, last_seq, window_seq, used_wall_s,"
                              " kept_wall_s, turns, bytes) VALUES(?1, ?2, 0, ?3, ?4, ?5, ?6)"
                              " ON CONFLICT(key) DO UPDATE SET"
                              " last_seq = max(last_seq, excluded.last_seq),"
                              " used_wall_s = max(used_wall_s, excluded.used_wall_s),"
                              " kept_wall_s = max(kept_wall_s, excluded.kept_wall_s),"
                              " turns = turns + excluded.turns, bytes = bytes + excluded.bytes",
    [DB_CONVERSATION_SAID] = "UPDATE conversation SET last_seq = max(last_seq, ?2),"
                             " used_wall_s = max(used_wall_s, ?3),"
                             " kept_wall_s = max(kept_wall_s, ?4),"
                             " turns = turns + ?5, bytes = bytes + ?6 WHERE id = ?1",
    [DB_CONVERSATION_FIND] = "SELECT id, last_seq, window_seq FROM conversation WHERE key = ?",
    [DB_CONVERSATION_WINDOW] = "UPDATE conversation SET window_seq = max(window_seq, ?2)"
                               " WHERE id = ?1",
    [DB_CONVERSATION_SUBTRACT] = "UPDATE conversation SET turns = turns - ?2,"
                                 " bytes = bytes - ?3 WHERE id = ?1",
    [DB_CONVERSATION_ERASE] = "DELETE FROM conversation WHERE id = ?",
    [DB_CONVERSATIONS_SCAN] = "SELECT id, kept_wall_s FROM conversation"
                              " WHERE id > ? ORDER BY id LIMIT ?",
    [DB_CONVERSATION_OLDEST] = "SELECT id FROM conversation ORDER BY kept_wall_s, id LIMIT 2",
    [DB_CONVERSATION_SIZE] = "SELECT " FIGURES " FROM conversation AS c WHERE key = ?1",
    /* ?2: before it, or a blob, which every text is before. */
    [DB_CONVERSATIONS_LIST] =
        "SELECT " FIGURES " FROM conversation AS c"
        " WHERE key >= ?1 AND (key > ?1 OR ?7) AND key < ?2 AND key GLOB ?3"
        " ORDER BY key LIMIT ?4",
    [DB_CONVERSATIONS_LIST_USER] =
        "SELECT " FIGURES " FROM speaker CROSS JOIN conversation AS c"
        " ON c.id = speaker.conversation"
        " WHERE user = ?5 AND key >= ?1 AND (key > ?1 OR ?7) AND key < ?2 AND key GLOB ?3"
        " ORDER BY key LIMIT ?4",

    [DB_TURN_INSERT] = "INSERT INTO turn(conversation, seq, role, author, text, slack_ts,"
                       " at_wall_s, tokens, metadata) VALUES(?,?,?,?,?,?,?,?,?)"
                       " ON CONFLICT DO NOTHING",
    [DB_TURN_FIND] = "SELECT role, text FROM turn WHERE conversation = ? AND seq = ?",
    /* Backwards along the index, so that only what is wanted is read. */
    [DB_TURNS_LOAD] = "SELECT seq, role, author, text, slack_ts, at_wall_s, tokens FROM"
                      " (SELECT * FROM turn WHERE conversation = ? AND seq >= ?"
                      "  ORDER BY seq DESC LIMIT ?) ORDER BY seq",
    [DB_TURNS_RANGE] = "SELECT seq, role, author, text, slack_ts, at_wall_s, tokens, metadata"
                       " FROM turn WHERE " IN_RANGE " ORDER BY seq LIMIT ?6",
    [DB_TURNS_RANGE_FIRST] = "SELECT min(seq) FROM (SELECT seq FROM turn WHERE " IN_RANGE
                             " ORDER BY seq DESC LIMIT ?6)",
    [DB_TURNS_ERASE] = "DELETE FROM turn WHERE id IN (SELECT id FROM turn"
                       " WHERE conversation = ?1 AND seq >= ?2 AND seq < ?3"
                       " ORDER BY seq LIMIT ?4) RETURNING length(CAST(text AS BLOB))",
    [DB_TURNS_SWEEP] = "DELETE FROM turn WHERE id IN (SELECT id FROM turn WHERE id < ?1"
                       " ORDER BY id LIMIT ?2)"
                       " RETURNING conversation, length(CAST(text AS BLOB))",
    [DB_SPEAKER_INSERT] = "INSERT INTO speaker(conversation, user) VALUES(?,?)"
                          " ON CONFLICT DO NOTHING",
    /* Who has no word left in a conversation is no longer one of its people. */
    [DB_SPEAKERS_PRUNE] = "DELETE FROM speaker WHERE conversation = ?1 AND NOT EXISTS"
                          " (SELECT 1 FROM turn WHERE turn.conversation = ?1"
                          "  AND turn.author = speaker.user)",
    [DB_SPEAKERS_ERASE] = "DELETE FROM speaker WHERE conversation = ?",
    [DB_HOUR_SET] = "INSERT INTO turn_hour(hour, first_turn) VALUES(?1, ?2)"
                    " ON CONFLICT DO UPDATE SET first_turn = excluded.first_turn"
                    " WHERE excluded.first_turn < first_turn",
    [DB_HOUR_FIRST_TURN] = "SELECT coalesce(min(first_turn),"
                           " (SELECT max(id) + 1 FROM turn), 0) FROM turn_hour WHERE hour >= ?",
    /* The future: the clock was wrong, those turns count for the hour before. */
    [DB_HOURS_PRUNE] = "DELETE FROM turn_hour WHERE hour < ?1 OR hour > ?2",

    [DB_SUMMARY_SET] = "INSERT INTO summary(conversation, version, first_seq, last_seq,"
                       " made_wall_s, tokens, source, text, pinned) VALUES(?,?,?,?,?,?,?,?,?)"
                       " ON CONFLICT(conversation, version) DO UPDATE SET"
                       " first_seq = excluded.first_seq, last_seq = excluded.last_seq,"
                       " made_wall_s = excluded.made_wall_s, tokens = excluded.tokens,"
                       " source = excluded.source, text = excluded.text,"
                       " pinned = excluded.pinned",
    [DB_SUMMARIES_DROP] = "DELETE FROM summary WHERE conversation = ?",
    [DB_SUMMARIES_CAP] = "DELETE FROM summary WHERE conversation = ? AND version <= ?",
    /* Those that tell turns which are no longer there. */
    [DB_SUMMARIES_OUTLIVED] = "DELETE FROM summary WHERE conversation = ?1 AND first_seq <"
                              " coalesce((SELECT min(seq) FROM turn WHERE conversation = ?1),"
                              " 9223372036854775807)",
    [DB_SUMMARIES_LIST] = "SELECT version, first_seq, last_seq, made_wall_s, tokens, source,"
                          " text, pinned FROM summary WHERE conversation ="
                          " (SELECT id FROM conversation WHERE key = ?1) AND version < ?2"
                          " ORDER BY version DESC LIMIT ?3",

    [DB_FIELD_SET] = "INSERT INTO field(conversation, name, value, expires_wall_ms)"
                     " VALUES(?,?,?,?) ON CONFLICT(conversation, name) DO UPDATE SET"
                     " value = excluded.value, expires_wall_ms = excluded.expires_wall_ms",
    [DB_FIELD_FIND] = "SELECT value, expires_wall_ms FROM field"
                      " WHERE conversation = ?1 AND name = ?2 AND " LIVE("?3"),
    [DB_FIELDS_LIST] = "SELECT name, value, expires_wall_ms FROM field WHERE conversation ="
                       " (SELECT id FROM conversation WHERE key = ?1)"
                       " AND name > ?2 AND " LIVE("?3") " ORDER BY name LIMIT ?4",
    [DB_FIELDS_LIST_ONE] = "SELECT name, value, expires_wall_ms FROM field WHERE conversation ="
                           " (SELECT id FROM conversation WHERE key = ?1)"
                           " AND name = ?2 AND " LIVE("?3"),
    [DB_FIELDS_EXPIRE] = "UPDATE field SET expires_wall_ms = ?2"
                         " WHERE conversation = ?1 AND " LIVE("?3"),
    [DB_FIELD_DELETE] = "DELETE FROM field WHERE conversation = ?1 AND name = ?2"
                        " RETURNING " LIVE("?3"),
    [DB_FIELDS_CLEAR] = "DELETE FROM field WHERE conversation = ?1 RETURNING " LIVE("?2"),
    [DB_FIELDS_ERASE] = "DELETE FROM field WHERE conversation = ?",
    [DB_FIELDS_SWEEP] = "DELETE FROM field WHERE id IN (SELECT id FROM field"
                        " WHERE expires_wall_ms > 0 AND expires_wall_ms <= ? LIMIT ?)",

    [DB_ITEM_SET] = "INSERT INTO item(user, kind, name, value, conversation, seq,"
                    " created_wall_s, updated_wall_s) VALUES(?,?,?,?,?,?,?,?)"
                    " ON CONFLICT(user, kind, name) DO UPDATE SET value = excluded.value,"
                    " conversation = excluded.conversation, seq = excluded.seq,"
                    " updated_wall_s = excluded.updated_wall_s",
    [DB_ITEM_DELETE] = "DELETE FROM item WHERE user = ?1 AND kind = ?2 AND name = ?3",
    [DB_ITEMS_DELETE] = "DELETE FROM item WHERE user = ?1 AND kind = ?2",
    [DB_ITEMS_LIST] = "SELECT name, value, conversation, seq, created_wall_s, updated_wall_s"
                      " FROM item WHERE user = ?1 AND kind = ?2 AND name > ?3"
                      " ORDER BY name LIMIT ?4",
    [DB_ITEM_PEOPLE] = "SELECT DISTINCT user FROM item WHERE kind = ?1 AND user > ?2"
                       " ORDER BY user LIMIT ?3",

    [DB_VALUE_SET] = "INSERT INTO value(key, value, expires_wall_ms) VALUES(?,?,?)"
                     " ON CONFLICT(key) DO UPDATE SET value = excluded.value,"
                     " expires_wall_ms = excluded.expires_wall_ms",
    [DB_VALUE_FIND] = "SELECT key, value, expires_wall_ms FROM value"
                      " WHERE key = ?1 AND " LIVE("?2"),
    [DB_VALUE_EXPIRE] = "UPDATE value SET expires_wall_ms = ?3 WHERE key = ?1 AND " LIVE("?2"),
    [DB_VALUE_DELETE] = "DELETE FROM value WHERE key = ?1 RETURNING " LIVE("?2"),
    [DB_VALUES_DELETE] = "DELETE FROM value WHERE key >= ?1 AND key < ?2 AND key GLOB ?3"
                         " RETURNING " LIVE("?4"),
    [DB_VALUES_LIST] =
        "SELECT key, value, expires_wall_ms FROM value"
        " WHERE key >= ?1 AND (key > ?1 OR ?7) AND key < ?2 AND key GLOB ?3 AND " LIVE(
            "?5") " ORDER BY key LIMIT ?4",
    [DB_VALUES_SWEEP] = "DELETE FROM value WHERE id IN (SELECT id FROM value"
                        " WHERE expires_wall_ms > 0 AND expires_wall_ms <= ? LIMIT ?)",

    [DB_SETTING_GET] = "SELECT value FROM setting WHERE name = ?",
    [DB_SETTING_SET] = "INSERT INTO setting(name, value) VALUES(?,?)"
                       " ON CONFLICT DO UPDATE SET value = excluded.value",
    [DB_STATS] =
        "SELECT count(*), coalesce(sum(turns), 0), coalesce(sum(bytes), 0),"
        " (SELECT count(*) FROM summary),"
        " (SELECT count(*) FROM field WHERE " LIVE(
            "?1") "),"
                  " (SELECT count(*) FROM (SELECT user FROM speaker UNION SELECT user FROM "
                  "item)),"
                  " (SELECT count(*) FROM item),"
                  " (SELECT count(*) FROM value WHERE " LIVE("?1") ")"
                                                                   " FROM conversation",
    [DB_DATA_VERSION] = "PRAGMA data_version",
    [DB_PAGE_COUNT] = "PRAGMA page_count",
    [DB_FREE_COUNT] = "PRAGMA freelist_count",
    [DB_PAGE_SIZE] = "PRAGMA page_size",
};

const char *schema_statement(enum db_statement which)
{
    return statements[which];
}
