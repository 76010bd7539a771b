#include "memory/store_sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define HOUR_S 3600

struct touch {
    int64_t last_seq;
    int64_t used_wall_s;
    int64_t turns;
    int64_t bytes;
};

/* One batch on its way. */
struct write {
    struct db *db;
    int64_t now_wall_us;
    bool has_noted_hour;
    /* Turns of one conversation that follow each other are noted there once, behind the last.
     */
    const char *said_key; /* NULL: none */
    int64_t said_id;
    struct touch said;
};

static int64_t now_ms(const struct write *write)
{
    return write->now_wall_us / 1000;
}

/* Rows of a RETURNING statement whose first column is true; to its end. */
static int count_true(struct db *db, sqlite3_stmt *statement, const char *what,
                      int64_t *ret_count, struct err *err)
{
    int64_t count = 0;
    int rc;

    while ((rc = db_next(db, statement, what, err)) > 0)
        count += sqlite3_column_int(statement, 0) != 0;
    if (rc == 0)
        *ret_count = count;
    return rc;
}

/* ---- conversations ----------------------------------------------------------------------- */

/* The conversation's id; it is made when it is not there. Two statements: RETURNING collects in
 * a table of its own, whose making costs more than the turn. */
static int touch(struct write *write, const char *key, const struct touch *touch,
                 int64_t *ret_id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_CONVERSATION_TOUCH);

    db_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, touch->last_seq);
    sqlite3_bind_int64(statement, 3, touch->used_wall_s);
    sqlite3_bind_int64(statement, 4, write->now_wall_us / 1000000);
    sqlite3_bind_int64(statement, 5, touch->turns);
    sqlite3_bind_int64(statement, 6, touch->bytes);
    if (db_run(write->db, statement, "cannot keep a conversation", err) < 0)
        return -1;
    statement = db_statement(write->db, DB_CONVERSATION_FIND);
    db_bind_text(statement, 1, key);
    if (db_next(write->db, statement, "cannot keep a conversation", err) <= 0)
        return -1;
    *ret_id = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return 0;
}

static int use(struct write *write, const char *key, int64_t *ret_id, struct err *err)
{
    struct touch used = { .used_wall_s = write->now_wall_us / 1000000 };

    return touch(write, key, &used, ret_id, err);
}

static int subtract(struct db *db, int64_t id, int64_t turns, int64_t bytes, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_CONVERSATION_SUBTRACT);

    if (!turns)
        return 0;
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, turns);
    sqlite3_bind_int64(statement, 3, bytes);
    return db_run(db, statement, "cannot keep a conversation's figures", err);
}

/* The seq is taken: by this very turn (applied twice), or by another? */
static int check_same_turn(struct db *db, int64_t id, const struct memory_turn *turn,
                           const char *key, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_TURN_FIND);
    const char *text;
    bool same;

    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, turn->seq);
    if (db_next(db, statement, "cannot compare a turn", err) < 0)
        return -1;
    text = db_column_secret(db, statement, 1, err);
    if (!text) {
        sqlite3_reset(statement);
        return -1;
    }
    same = sqlite3_column_int(statement, 0) == (int)turn->role && strcmp(text, turn->text) == 0;
    sqlite3_reset(statement);
    return same ? 0
                : err_set(err, ERR_INPUT,
                          "conversation %s was continued elsewhere: turn %lld is another one",
                          key, (long long)turn->seq);
}

static int note_speaker(struct db *db, int64_t id, const struct memory_turn *turn,
                        struct err *err)
{
    sqlite3_stmt *statement;

    if (turn->role != MEMORY_ROLE_USER || !*turn->author)
        return 0;
    statement = db_statement(db, DB_SPEAKER_INSERT);
    sqlite3_bind_int64(statement, 1, id);
    db_bind_text(statement, 2, turn->author);
    return db_run(db, statement, "cannot note who spoke", err);
}

/* The first turn of this batch; most find their hour noted, which writes nothing. */
static int note_hour(struct write *write, int64_t turn_id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_HOUR_SET);

    sqlite3_bind_int64(statement, 1, write->now_wall_us / 1000000 / HOUR_S);
    sqlite3_bind_int64(statement, 2, turn_id);
    if (db_run(write->db, statement, "cannot note the hour", err) < 0)
        return -1;
    write->has_noted_hour = true;
    return 0;
}

/* What was said since say_in(): now the conversation learns of it. */
static int note_said(struct write *write, struct err *err)
{
    const struct touch *said = &write->said;
    sqlite3_stmt *statement = db_statement(write->db, DB_CONVERSATION_SAID);

    if (!write->said_key)
        return 0;
    write->said_key = NULL;
    sqlite3_bind_int64(statement, 1, write->said_id);
    sqlite3_bind_int64(statement, 2, said->last_seq);
    sqlite3_bind_int64(statement, 3, said->used_wall_s);
    sqlite3_bind_int64(statement, 4, write->now_wall_us / 1000000);
    sqlite3_bind_int64(statement, 5, said->turns);
    sqlite3_bind_int64(statement, 6, said->bytes);
    return db_run(write->db, statement, "cannot keep a conversation", err);
}

/* Turns of `key` follow: its id is write->said_id. */
static int say_in(struct write *write, const char *key, struct err *err)
{
    static const struct touch nothing;
    struct store_head head;
    int rc;

    if (write->said_key && strcmp(write->said_key, key) == 0)
        return 0;
    if (note_said(write, err) < 0)
        return -1;
    rc = sqlite_find(write->db, key, &write->said_id, &head, err);
    if (rc == 0)
        rc = touch(write, key, &nothing, &write->said_id, err);
    if (rc < 0)
        return -1;
    write->said = nothing;
    write->said_key = key;
    return 0;
}

static int append_turn(struct write *write, struct store_mutation *mutation, struct err *err)
{
    const struct memory_turn *turn = mutation->turn;
    struct db *db = write->db;
    sqlite3_stmt *statement = db_statement(db, DB_TURN_INSERT);
    struct touch *said = &write->said;
    int64_t bytes;

    if (say_in(write, mutation->key, err) < 0)
        return -1;
    bytes = (int64_t)db_bind_secret(db, statement, 5, turn->text);
    sqlite3_bind_int64(statement, 1, write->said_id);
    sqlite3_bind_int64(statement, 2, turn->seq);
    sqlite3_bind_int(statement, 3, (int)turn->role);
    db_bind_text(statement, 4, turn->author);
    db_bind_text(statement, 6, turn->slack_ts);
    sqlite3_bind_int64(statement, 7, turn->at_wall_s);
    sqlite3_bind_int64(statement, 8, turn->tokens);
    db_bind_secret(db, statement, 9, turn->metadata ? turn->metadata : "");
    if (db_run(db, statement, "cannot keep a turn", err) < 0)
        return -1;
    said->last_seq = turn->seq > said->last_seq ? turn->seq : said->last_seq;
    said->used_wall_s =
        turn->at_wall_s > said->used_wall_s ? turn->at_wall_s : said->used_wall_s;
    if (!db_changes(db))
        return check_same_turn(db, write->said_id, turn, mutation->key, err);
    said->turns++;
    said->bytes += bytes;
    if (!write->has_noted_hour && note_hour(write, db_last_id(db), err) < 0)
        return -1;
    return note_speaker(db, write->said_id, turn, err);
}

static int set_window(struct write *write, struct store_mutation *mutation, struct err *err)
{
    sqlite3_stmt *statement;
    int64_t id = 0;

    if (use(write, mutation->key, &id, err) < 0)
        return -1;
    statement = db_statement(write->db, DB_CONVERSATION_WINDOW);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, mutation->seq);
    return db_run(write->db, statement, "cannot begin a conversation anew", err);
}

/* At most `max` of the turns from..before-1; *ret_count says how many there were. */
static int erase_turns(struct db *db, int64_t id, int64_t from_seq, int64_t before_seq,
                       int64_t max, int64_t *ret_count, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_TURNS_ERASE);
    int64_t count = 0;
    int64_t bytes = 0;
    int rc;

    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, from_seq);
    sqlite3_bind_int64(statement, 3, before_seq);
    sqlite3_bind_int64(statement, 4, max);
    while ((rc = db_next(db, statement, "cannot erase turns", err)) > 0) {
        count++;
        bytes += sqlite3_column_int64(statement, 0);
    }
    if (rc < 0 || subtract(db, id, count, bytes, err) < 0)
        return -1;
    *ret_count = count;
    return 0;
}

static int run_for(struct db *db, enum db_statement which, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, which);

    sqlite3_bind_int64(statement, 1, id);
    return db_run(db, statement, "cannot erase a conversation", err);
}

int sqlite_erase(struct db *db, int64_t id, int64_t max_turns, struct store_swept *swept,
                 struct err *err)
{
    static const enum db_statement rest[] = { DB_SPEAKERS_ERASE, DB_SUMMARIES_DROP,
                                              DB_CONVERSATION_ERASE };
    sqlite3_stmt *statement;
    int64_t turns = 0;

    if (erase_turns(db, id, INT64_MIN, INT64_MAX, max_turns, &turns, err) < 0)
        return -1;
    swept->turns += turns;
    if (turns == max_turns)
        return 1;
    statement = db_statement(db, DB_FIELDS_ERASE);
    sqlite3_bind_int64(statement, 1, id);
    if (db_run(db, statement, "cannot erase fields", err) < 0)
        return -1;
    swept->fields += db_changes(db);
    for (size_t i = 0; i < ARRAY_LEN(rest); i++) {
        if (run_for(db, rest[i], id, err) < 0)
            return -1;
    }
    swept->conversations++;
    return 0;
}

static int trim(struct write *write, struct store_mutation *mutation, struct err *err)
{
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc <= 0)
        return rc;
    return erase_turns(write->db, id, INT64_MIN, mutation->seq, INT64_MAX, &mutation->count,
                       err);
}

static int erase_turn(struct write *write, struct store_mutation *mutation, struct err *err)
{
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc <= 0 || mutation->seq == INT64_MAX)
        return rc < 0 ? -1 : 0;
    if (erase_turns(write->db, id, mutation->seq, mutation->seq + 1, 1, &mutation->count, err) <
        0)
        return -1;
    return run_for(write->db, DB_SPEAKERS_PRUNE, id, err);
}

static int erase(struct write *write, struct store_mutation *mutation, struct err *err)
{
    struct store_swept swept = { 0 };
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc <= 0 || (mutation->seq > 0 && head.last_seq >= mutation->seq))
        return rc < 0 ? -1 : 0;
    if (sqlite_erase(write->db, id, INT64_MAX, &swept, err) < 0)
        return -1;
    mutation->count = swept.turns;
    return 0;
}

/* ---- summaries --------------------------------------------------------------------------- */

static int set_summary(struct write *write, struct store_mutation *mutation, struct err *err)
{
    const struct store_summary *summary = mutation->summary;
    struct db *db = write->db;
    struct touch none = { 0 };
    sqlite3_stmt *statement;
    int64_t id = 0;

    if (touch(write, mutation->key, &none, &id, err) < 0)
        return -1;
    statement = db_statement(db, DB_SUMMARY_SET);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, summary->version);
    sqlite3_bind_int64(statement, 3, summary->first_seq);
    sqlite3_bind_int64(statement, 4, summary->last_seq);
    sqlite3_bind_int64(statement, 5, summary->made_wall_s);
    sqlite3_bind_int64(statement, 6, summary->tokens);
    db_bind_text(statement, 7, summary->source ? summary->source : "");
    db_bind_secret(db, statement, 8, summary->text);
    db_bind_secret(db, statement, 9, summary->pinned ? summary->pinned : "");
    if (db_run(db, statement, "cannot keep a summary", err) < 0)
        return -1;
    statement = db_statement(db, DB_SUMMARIES_CAP);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, summary->version - STORE_SUMMARIES_MAX);
    return db_run(db, statement, "cannot forget old summaries", err);
}

static int drop_summaries(struct write *write, struct store_mutation *mutation, struct err *err)
{
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc <= 0)
        return rc;
    if (run_for(write->db, DB_SUMMARIES_DROP, id, err) < 0)
        return -1;
    mutation->count = db_changes(write->db);
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------ */

static int put_field(struct write *write, int64_t id, const char *name, const char *value,
                     int64_t expires_wall_ms, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_FIELD_SET);

    sqlite3_bind_int64(statement, 1, id);
    db_bind_text(statement, 2, name);
    db_bind_secret(write->db, statement, 3, value);
    sqlite3_bind_int64(statement, 4, expires_wall_ms);
    return db_run(write->db, statement, "cannot keep a field", err);
}

static int set_field(struct write *write, struct store_mutation *mutation, struct err *err)
{
    int64_t id = 0;

    if (use(write, mutation->key, &id, err) < 0)
        return -1;
    return put_field(write, id, mutation->name, mutation->value, mutation->expires_wall_ms,
                     err);
}

/* 1 with a copy of the value, 0 when there is none (expires is left alone), -1. */
static int get_field(struct write *write, int64_t id, const char *name, char **ret_value,
                     int64_t *ret_expires_wall_ms, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_FIELD_FIND);
    const char *value;
    int rc;

    sqlite3_bind_int64(statement, 1, id);
    db_bind_text(statement, 2, name);
    sqlite3_bind_int64(statement, 3, now_ms(write));
    rc = db_next(write->db, statement, "cannot read a field", err);
    if (rc > 0) {
        value = db_column_secret(write->db, statement, 0, err);
        if (value) {
            *ret_value = xstrdup(value);
            *ret_expires_wall_ms = sqlite3_column_int64(statement, 1);
        } else {
            rc = -1;
        }
    }
    sqlite3_reset(statement);
    return rc;
}

static int edit_field(struct write *write, struct store_mutation *mutation, struct err *err)
{
    AUTO_FREE char *old = NULL;
    AUTO_FREE char *new = NULL;
    int64_t expires_wall_ms = mutation->expires_wall_ms;
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc > 0)
        rc = get_field(write, id, mutation->name, &old, &expires_wall_ms, err);
    if (rc < 0 || store_edit_json(mutation, old, &new, err) < 0)
        return -1;
    if (!new)
        return 0;
    if (use(write, mutation->key, &id, err) < 0)
        return -1;
    return put_field(write, id, mutation->name, new, expires_wall_ms, err);
}

static int delete_fields(struct write *write, struct store_mutation *mutation, struct err *err)
{
    bool is_one = mutation->kind == STORE_DELETE_FIELD;
    sqlite3_stmt *statement;
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc <= 0)
        return rc;
    statement = db_statement(write->db, is_one ? DB_FIELD_DELETE : DB_FIELDS_CLEAR);
    sqlite3_bind_int64(statement, 1, id);
    if (is_one)
        db_bind_text(statement, 2, mutation->name);
    sqlite3_bind_int64(statement, is_one ? 3 : 2, now_ms(write));
    return count_true(write->db, statement, "cannot delete fields", &mutation->count, err);
}

static int expire_fields(struct write *write, struct store_mutation *mutation, struct err *err)
{
    sqlite3_stmt *statement;
    struct store_head head;
    int64_t id = 0;
    int rc = sqlite_find(write->db, mutation->key, &id, &head, err);

    if (rc <= 0)
        return rc;
    statement = db_statement(write->db, DB_FIELDS_EXPIRE);
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, mutation->expires_wall_ms);
    sqlite3_bind_int64(statement, 3, now_ms(write));
    if (db_run(write->db, statement, "cannot set an expiry", err) < 0)
        return -1;
    mutation->count = db_changes(write->db);
    return 0;
}

/* ---- people ------------------------------------------------------------------------------ */

static int set_item(struct write *write, struct store_mutation *mutation, struct err *err)
{
    const struct store_item *item = mutation->item;
    sqlite3_stmt *statement = db_statement(write->db, DB_ITEM_SET);

    db_bind_text(statement, 1, item->user);
    sqlite3_bind_int(statement, 2, (int)item->kind);
    db_bind_text(statement, 3, item->name);
    db_bind_secret(write->db, statement, 4, item->value);
    db_bind_text(statement, 5, item->conversation ? item->conversation : "");
    sqlite3_bind_int64(statement, 6, item->seq);
    sqlite3_bind_int64(statement, 7, item->created_wall_s);
    sqlite3_bind_int64(statement, 8, item->updated_wall_s);
    return db_run(write->db, statement, "cannot keep what is known of a person", err);
}

static int delete_item(struct write *write, struct store_mutation *mutation, struct err *err)
{
    bool is_one = *mutation->name != '\0';
    sqlite3_stmt *statement =
        db_statement(write->db, is_one ? DB_ITEM_DELETE : DB_ITEMS_DELETE);

    db_bind_text(statement, 1, mutation->user);
    sqlite3_bind_int(statement, 2, (int)mutation->item_kind);
    if (is_one)
        db_bind_text(statement, 3, mutation->name);
    if (db_run(write->db, statement, "cannot delete what is known of a person", err) < 0)
        return -1;
    mutation->count = db_changes(write->db);
    return 0;
}

/* ---- values ------------------------------------------------------------------------------ */

static int put_value(struct write *write, const char *key, const char *value,
                     int64_t expires_wall_ms, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_VALUE_SET);

    db_bind_text(statement, 1, key);
    db_bind_secret(write->db, statement, 2, value);
    sqlite3_bind_int64(statement, 3, expires_wall_ms);
    return db_run(write->db, statement, "cannot keep a value", err);
}

/* 1 with the number that stands there, 0 when there is none (expires is left alone), -1. */
static int get_number(struct write *write, const char *key, int64_t *ret_number,
                      int64_t *ret_expires_wall_ms, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_VALUE_FIND);
    const char *value;
    char *end;
    int rc;

    db_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, now_ms(write));
    rc = db_next(write->db, statement, "cannot read a value", err);
    if (rc > 0) {
        value = db_column_secret(write->db, statement, 1, err);
        errno = 0;
        if (value)
            *ret_number = strtoll(value, &end, 10);
        if (!value)
            rc = -1;
        else if (!*value || *end || errno)
            rc = err_set(err, ERR_INPUT, "%s is not a number", key);
        else
            *ret_expires_wall_ms = sqlite3_column_int64(statement, 2);
    }
    sqlite3_reset(statement);
    return rc;
}

static int add_value(struct write *write, struct store_mutation *mutation, struct err *err)
{
    int64_t expires_wall_ms = mutation->expires_wall_ms;
    AUTO_FREE char *text = NULL;
    int64_t sum = 0;

    if (get_number(write, mutation->key, &sum, &expires_wall_ms, err) < 0)
        return -1;
    if (__builtin_add_overflow(sum, mutation->number, &sum))
        return err_set(err, ERR_INPUT, "%s would overflow", mutation->key);
    text = xasprintf("%lld", (long long)sum);
    if (put_value(write, mutation->key, text, expires_wall_ms, err) < 0)
        return -1;
    mutation->count = sum;
    return 0;
}

static int expire_value(struct write *write, struct store_mutation *mutation, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_VALUE_EXPIRE);

    db_bind_text(statement, 1, mutation->key);
    sqlite3_bind_int64(statement, 2, now_ms(write));
    sqlite3_bind_int64(statement, 3, mutation->expires_wall_ms);
    if (db_run(write->db, statement, "cannot set an expiry", err) < 0)
        return -1;
    mutation->count = db_changes(write->db);
    return 0;
}

static int delete_value(struct write *write, struct store_mutation *mutation, struct err *err)
{
    sqlite3_stmt *statement = db_statement(write->db, DB_VALUE_DELETE);

    db_bind_text(statement, 1, mutation->key);
    sqlite3_bind_int64(statement, 2, now_ms(write));
    return count_true(write->db, statement, "cannot delete a value", &mutation->count, err);
}

static int delete_values(struct write *write, struct store_mutation *mutation, struct err *err)
{
    AUTO_FREE char *prefix = NULL;
    AUTO_FREE char *glob = sqlite_glob(mutation->key, &prefix);
    sqlite3_stmt *statement = db_statement(write->db, DB_VALUES_DELETE);
    int rc;

    db_bind_text(statement, 1, prefix);
    sqlite_bind_end(statement, 2, prefix);
    db_bind_text(statement, 3, glob);
    sqlite3_bind_int64(statement, 4, now_ms(write));
    rc = count_true(write->db, statement, "cannot delete values", &mutation->count, err);
    sqlite3_clear_bindings(statement);
    return rc;
}

/* ---- all of them ------------------------------------------------------------------------- */

static int write_one(struct write *write, struct store_mutation *mutation, struct err *err)
{
    if (mutation->kind != STORE_APPEND_TURN && note_said(write, err) < 0)
        return -1;
    switch (mutation->kind) {
    case STORE_APPEND_TURN:
        return append_turn(write, mutation, err);
    case STORE_SET_WINDOW:
        return set_window(write, mutation, err);
    case STORE_TRIM_TURNS:
        return trim(write, mutation, err);
    case STORE_ERASE_TURN:
        return erase_turn(write, mutation, err);
    case STORE_ERASE:
        return erase(write, mutation, err);
    case STORE_SET_SUMMARY:
        return set_summary(write, mutation, err);
    case STORE_DROP_SUMMARIES:
        return drop_summaries(write, mutation, err);
    case STORE_SET_FIELD:
        return set_field(write, mutation, err);
    case STORE_DELETE_FIELD:
    case STORE_CLEAR_FIELDS:
        return delete_fields(write, mutation, err);
    case STORE_EXPIRE_FIELDS:
        return expire_fields(write, mutation, err);
    case STORE_EDIT_FIELD:
        return edit_field(write, mutation, err);
    case STORE_SET_ITEM:
        return set_item(write, mutation, err);
    case STORE_DELETE_ITEM:
        return delete_item(write, mutation, err);
    case STORE_SET_VALUE:
        return put_value(write, mutation->key, mutation->value, mutation->expires_wall_ms, err);
    case STORE_DELETE_VALUE:
        return delete_value(write, mutation, err);
    case STORE_EXPIRE_VALUE:
        return expire_value(write, mutation, err);
    case STORE_ADD_VALUE:
        return add_value(write, mutation, err);
    case STORE_DELETE_VALUES:
        return delete_values(write, mutation, err);
    }
    return err_set(err, ERR_INPUT, "no such mutation: %d", (int)mutation->kind);
}

int sqlite_write(struct db *db, struct store_mutation *mutations, size_t count, struct err *err)
{
    struct write write = { .db = db, .now_wall_us = clock_wall_us() };

    for (size_t i = 0; i < count; i++) {
        mutations[i].count = 0;
        if (write_one(&write, &mutations[i], err) < 0)
            return -1;
    }
    return note_said(&write, err);
}
