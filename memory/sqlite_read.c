#include "memory/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/rows.h"

/*
 * Everything is read in pages: the connection is given back before a row is shown, and the next
 * page begins behind the last key that was shown, whatever was erased meanwhile.
 */
#define PAGE_ROWS 128

static int64_t now_ms(void)
{
    return clock_wall_us() / 1000;
}

char *sqlite_glob(const char *pattern, char **ret_prefix)
{
    struct buf glob;

    buf_init(&glob, strlen(pattern) * 3 + 2);
    for (const char *c = *pattern ? pattern : "*"; *c; c++) {
        if (*c == '[')
            buf_append_text(&glob, "[[]");
        else
            buf_append_char(&glob, *c);
    }
    *ret_prefix = xstrndup(pattern, strcspn(pattern, "*?"));
    return buf_take(&glob);
}

/* The prefix with its last byte one higher: no text that begins with it is behind that. */
void sqlite_bind_end(sqlite3_stmt *statement, int index, const char *prefix)
{
    size_t len = strlen(prefix);
    AUTO_FREE char *end = xstrndup(prefix, len);

    while (len && (unsigned char)end[len - 1] == 0xff)
        len--;
    if (!len) {
        sqlite3_bind_zeroblob(statement, index, 0); /* any text is before a blob */
        return;
    }
    end[len - 1]++;
    sqlite3_bind_text(statement, index, end, (int)len, SQLITE_TRANSIENT);
}

/* ---- pages ------------------------------------------------------------------------------- */

struct pager {
    struct sqlite_store *store;
    struct rows rows;
    struct db *db; /* while a page is read */
    size_t asked;  /* rows of that page */
    size_t left;   /* rows still wanted */
};

static void pager_init(struct pager *pager, struct store *store, size_t limit)
{
    *pager = (struct pager){ .store = (struct sqlite_store *)store,
                             .left = limit ? limit : SIZE_MAX };
}

static void pager_deinit(struct pager *pager)
{
    rows_deinit(&pager->rows);
}

/* The statement of the next page, NULL when there is no connection. */
static sqlite3_stmt *pager_begin(struct pager *pager, enum db_statement which, struct err *err)
{
    pager->db = sqlite_borrow(pager->store, err);
    pager->asked = pager->left < PAGE_ROWS ? pager->left : PAGE_ROWS;
    return pager->db ? db_statement(pager->db, which) : NULL;
}

/* Reads what was bound. */
static int pager_read(struct pager *pager, sqlite3_stmt *statement, const char *columns,
                      const char *what, struct err *err)
{
    int rc;

    if (!pager->db)
        return -1;
    rc = rows_read(&pager->rows, pager->db, statement, columns, what, err);
    sqlite3_clear_bindings(statement);
    sqlite_return(pager->store, pager->db);
    pager->db = NULL;
    pager->left -= rc < 0 ? 0 : pager->rows.count;
    return rc;
}

static bool pager_has_more(const struct pager *pager)
{
    const struct rows *rows = &pager->rows;

    return pager->left && rows->count && (!rows->is_whole || rows->count == pager->asked);
}

/* The text of the last row in a column, which the next page begins behind. */
static const char *pager_last(const struct pager *pager, size_t column, const char *first)
{
    const struct rows *rows = &pager->rows;

    return rows->count ? rows_text(rows, rows->count - 1, column) : first;
}

static int64_t pager_last_number(const struct pager *pager, size_t column, int64_t first)
{
    const struct rows *rows = &pager->rows;

    return rows->count ? rows_number(rows, rows->count - 1, column) : first;
}

/* The page that is read takes the place of the one that `text` may stand in. */
static void bind_cursor(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

/* ---- turns ------------------------------------------------------------------------------- */

/* Seqs of turns; times stay as they are. */
struct span {
    int64_t id;
    int64_t from_seq;
    int64_t before_seq;
    int64_t since_wall_s;
    int64_t until_wall_s;
};

static void bind_span(sqlite3_stmt *statement, const struct span *span, int64_t limit)
{
    sqlite3_bind_int64(statement, 1, span->id);
    sqlite3_bind_int64(statement, 2, span->from_seq);
    sqlite3_bind_int64(statement, 3, span->before_seq);
    sqlite3_bind_int64(statement, 4, span->since_wall_s);
    sqlite3_bind_int64(statement, 5, span->until_wall_s);
    sqlite3_bind_int64(statement, 6, limit);
}

/* Where the newest `limit` of the span begin. */
static int find_first(struct db *db, struct span *span, size_t limit, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_TURNS_RANGE_FIRST);
    int rc;

    bind_span(statement, span, (int64_t)limit);
    rc = db_next(db, statement, "cannot find turns", err);
    if (rc > 0 && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        span->from_seq = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return rc;
}

/* 1 there is such a conversation, 0 there is none, -1. */
static int find_span(struct sqlite_store *store, const char *key,
                     const struct store_range *range, struct span *ret_span, struct err *err)
{
    struct db *db = sqlite_borrow(store, err);
    struct store_head head;
    int rc;

    if (!db)
        return -1;
    *ret_span =
        (struct span){ .from_seq = range->from_seq,
                       .before_seq = range->before_seq ? range->before_seq : INT64_MAX,
                       .since_wall_s = range->since_wall_s ? range->since_wall_s : INT64_MIN,
                       .until_wall_s = range->until_wall_s ? range->until_wall_s : INT64_MAX };
    rc = sqlite_find(db, key, &ret_span->id, &head, err);
    if (rc > 0 && range->limit)
        rc = find_first(db, ret_span, range->limit, err);
    sqlite_return(store, db);
    return rc;
}

static bool show_turns(const struct rows *rows, store_visit_turn_fn visit, void *context)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct memory_turn turn = {
            .seq = rows_number(rows, i, 0),
            .role = (enum memory_role)rows_number(rows, i, 1),
            .author = rows_text(rows, i, 2),
            .text = rows_text(rows, i, 3),
            .slack_ts = rows_text(rows, i, 4),
            .at_wall_s = rows_number(rows, i, 5),
            .tokens = rows_number(rows, i, 6),
            .metadata = rows_text(rows, i, 7),
        };

        if (!visit(context, &turn))
            return false;
    }
    return true;
}

int sqlite_history(struct store *store, const char *key, const struct store_range *range,
                   store_visit_turn_fn visit, void *context, struct err *err)
{
    struct pager pager;
    struct span span;
    int rc = find_span((struct sqlite_store *)store, key, range, &span, err);

    if (rc <= 0)
        return rc;
    pager_init(&pager, store, range->limit);
    do {
        sqlite3_stmt *statement = pager_begin(&pager, DB_TURNS_RANGE, err);

        bind_span(statement, &span, (int64_t)pager.asked);
        rc = pager_read(&pager, statement, "iitstiis", "cannot read turns", err);
        span.from_seq = pager_last_number(&pager, 0, span.from_seq) + 1;
    } while (rc == 0 && show_turns(&pager.rows, visit, context) && pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

/* ---- summaries, fields, items ------------------------------------------------------------ */

static bool show_summaries(const struct rows *rows, store_summary_fn visit, void *context)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct store_summary summary = {
            .version = rows_number(rows, i, 0),
            .first_seq = rows_number(rows, i, 1),
            .last_seq = rows_number(rows, i, 2),
            .made_wall_s = rows_number(rows, i, 3),
            .tokens = rows_number(rows, i, 4),
            .source = rows_text(rows, i, 5),
            .text = rows_text(rows, i, 6),
            .pinned = rows_text(rows, i, 7),
        };

        if (!visit(context, &summary))
            return false;
    }
    return true;
}

int sqlite_summaries(struct store *store, const char *key, store_summary_fn visit,
                     void *context, struct err *err)
{
    struct pager pager;
    int64_t before = INT64_MAX;
    int rc;

    pager_init(&pager, store, 0);
    do {
        sqlite3_stmt *statement = pager_begin(&pager, DB_SUMMARIES_LIST, err);

        /* Most want the newest and stop. */
        pager.asked = before == INT64_MAX ? 1 : PAGE_ROWS;
        db_bind_text(statement, 1, key);
        sqlite3_bind_int64(statement, 2, before);
        sqlite3_bind_int64(statement, 3, (int64_t)pager.asked);
        rc = pager_read(&pager, statement, "iiiiitss", "cannot read summaries", err);
        before = pager_last_number(&pager, 0, before);
    } while (rc == 0 && show_summaries(&pager.rows, visit, context) && pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

/* Name or key, value, expiry. */
static bool show_values(const struct rows *rows, store_value_fn visit, void *context)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (!visit(context, rows_text(rows, i, 0), rows_text(rows, i, 1),
                   rows_number(rows, i, 2)))
            return false;
    }
    return true;
}

int sqlite_fields(struct store *store, const char *key, const char *name, store_value_fn visit,
                  void *context, struct err *err)
{
    struct pager pager;
    int rc;

    pager_init(&pager, store, name ? 1 : 0);
    do {
        sqlite3_stmt *statement =
            pager_begin(&pager, name ? DB_FIELDS_LIST_ONE : DB_FIELDS_LIST, err);

        db_bind_text(statement, 1, key);
        bind_cursor(statement, 2, name ? name : pager_last(&pager, 0, ""));
        sqlite3_bind_int64(statement, 3, now_ms());
        if (!name)
            sqlite3_bind_int64(statement, 4, (int64_t)pager.asked);
        rc = pager_read(&pager, statement, "tsi", "cannot read fields", err);
    } while (rc == 0 && show_values(&pager.rows, visit, context) && pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

static bool show_items(const struct rows *rows, const char *user, enum store_item_kind kind,
                       store_item_fn visit, void *context)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct store_item item = {
            .user = user,
            .kind = kind,
            .name = rows_text(rows, i, 0),
            .value = rows_text(rows, i, 1),
            .conversation = rows_text(rows, i, 2),
            .seq = rows_number(rows, i, 3),
            .created_wall_s = rows_number(rows, i, 4),
            .updated_wall_s = rows_number(rows, i, 5),
        };

        if (!visit(context, &item))
            return false;
    }
    return true;
}

/* *ret_goes_on is false once the visitor has had enough. */
static int read_items(struct store *store, const char *user, enum store_item_kind kind,
                      store_item_fn visit, void *context, bool *ret_goes_on, struct err *err)
{
    struct pager pager;
    int rc;

    pager_init(&pager, store, 0);
    do {
        sqlite3_stmt *statement = pager_begin(&pager, DB_ITEMS_LIST, err);

        db_bind_text(statement, 1, user);
        sqlite3_bind_int(statement, 2, (int)kind);
        bind_cursor(statement, 3, pager_last(&pager, 0, ""));
        sqlite3_bind_int64(statement, 4, (int64_t)pager.asked);
        rc = pager_read(&pager, statement, "tstiii", "cannot read what is known of a person",
                        err);
        *ret_goes_on = rc == 0 && show_items(&pager.rows, user, kind, visit, context);
    } while (*ret_goes_on && pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

static int read_everybodys_items(struct store *store, enum store_item_kind kind,
                                 store_item_fn visit, void *context, struct err *err)
{
    struct pager pager;
    bool goes_on = true;
    int rc;

    pager_init(&pager, store, 0);
    do {
        sqlite3_stmt *statement = pager_begin(&pager, DB_ITEM_PEOPLE, err);

        sqlite3_bind_int(statement, 1, (int)kind);
        bind_cursor(statement, 2, pager_last(&pager, 0, ""));
        sqlite3_bind_int64(statement, 3, (int64_t)pager.asked);
        rc = pager_read(&pager, statement, "t", "cannot read of whom something is known", err);
        for (size_t i = 0; rc == 0 && goes_on && i < pager.rows.count; i++)
            rc = read_items(store, rows_text(&pager.rows, i, 0), kind, visit, context, &goes_on,
                            err);
    } while (rc == 0 && goes_on && pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

int sqlite_items(struct store *store, const char *user, enum store_item_kind kind,
                 store_item_fn visit, void *context, struct err *err)
{
    bool goes_on;

    return user ? read_items(store, user, kind, visit, context, &goes_on, err)
                : read_everybodys_items(store, kind, visit, context, err);
}

/* ---- values ------------------------------------------------------------------------------ */

static int one_value(struct store *store, const char *key, store_value_fn visit, void *context,
                     struct err *err)
{
    struct pager pager;
    sqlite3_stmt *statement;
    int rc;

    pager_init(&pager, store, 1);
    statement = pager_begin(&pager, DB_VALUE_FIND, err);
    db_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, now_ms());
    rc = pager_read(&pager, statement, "tsi", "cannot read a value", err);
    if (rc == 0)
        show_values(&pager.rows, visit, context);
    pager_deinit(&pager);
    return rc;
}

/* Where a list begins: at its prefix, which may itself be a key, or behind the cursor. */
static void bind_keys(sqlite3_stmt *statement, const struct pager *pager, const char *glob,
                      const char *prefix, const char *after)
{
    const char *from = pager_last(pager, 0, after);

    bind_cursor(statement, 1, strcmp(from, prefix) < 0 ? prefix : from);
    sqlite3_bind_int(statement, 7, strcmp(from, prefix) < 0);
    sqlite_bind_end(statement, 2, prefix);
    db_bind_text(statement, 3, glob);
    sqlite3_bind_int64(statement, 4, (int64_t)pager->asked);
}

int sqlite_values(struct store *store, const char *key, bool is_pattern, const char *after,
                  size_t limit, store_value_fn visit, void *context, struct err *err)
{
    AUTO_FREE char *prefix = NULL;
    AUTO_FREE char *glob = sqlite_glob(key, &prefix);
    struct pager pager;
    int rc;

    if (!is_pattern)
        return one_value(store, key, visit, context, err);
    pager_init(&pager, store, limit);
    do {
        sqlite3_stmt *statement = pager_begin(&pager, DB_VALUES_LIST, err);

        bind_keys(statement, &pager, glob, prefix, after);
        sqlite3_bind_int64(statement, 5, now_ms());
        rc = pager_read(&pager, statement, "tsi", "cannot read values", err);
    } while (rc == 0 && show_values(&pager.rows, visit, context) && pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

/* ---- conversations ----------------------------------------------------------------------- */

#define FIGURES "tiiiiiii"

static struct store_conversation conversation_of(const struct rows *rows, size_t row)
{
    return (struct store_conversation){
        .key = rows_text(rows, row, 0),
        .turns = rows_number(rows, row, 1),
        .bytes = rows_number(rows, row, 2),
        .first_wall_s = rows_number(rows, row, 3),
        .used_wall_s = rows_number(rows, row, 4),
        .last_seq = rows_number(rows, row, 5),
        .summaries = rows_number(rows, row, 6),
        .fields = rows_number(rows, row, 7),
    };
}

static bool show_conversations(const struct rows *rows, store_conversation_fn visit,
                               void *context)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct store_conversation conversation = conversation_of(rows, i);

        if (!visit(context, &conversation))
            return false;
    }
    return true;
}

int sqlite_list(struct store *store, const struct store_list *list, store_conversation_fn visit,
                void *context, struct err *err)
{
    AUTO_FREE char *prefix = NULL;
    AUTO_FREE char *glob = sqlite_glob(list->pattern ? list->pattern : "", &prefix);
    bool is_of_user = list->user && *list->user;
    struct pager pager;
    int rc;

    pager_init(&pager, store, list->limit);
    do {
        sqlite3_stmt *statement = pager_begin(
            &pager, is_of_user ? DB_CONVERSATIONS_LIST_USER : DB_CONVERSATIONS_LIST, err);

        bind_keys(statement, &pager, glob, prefix, list->after ? list->after : "");
        if (is_of_user)
            db_bind_text(statement, 5, list->user);
        sqlite3_bind_int64(statement, 6, now_ms());
        rc = pager_read(&pager, statement, FIGURES, "cannot list conversations", err);
    } while (rc == 0 && show_conversations(&pager.rows, visit, context) &&
             pager_has_more(&pager));
    pager_deinit(&pager);
    return rc;
}

int sqlite_size(struct store *store, const char *key, struct store_conversation *ret,
                struct err *err)
{
    struct pager pager;
    sqlite3_stmt *statement;
    int rc;

    pager_init(&pager, store, 1);
    statement = pager_begin(&pager, DB_CONVERSATION_SIZE, err);
    db_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 6, now_ms());
    rc = pager_read(&pager, statement, FIGURES, "cannot read a conversation's figures", err);
    if (rc == 0) {
        *ret = pager.rows.count ? conversation_of(&pager.rows, 0)
                                : (struct store_conversation){ 0 };
        ret->key = pager.rows.count ? key : NULL;
    }
    pager_deinit(&pager);
    return rc;
}

int sqlite_stats(struct store *base, struct store_stats *ret_stats, struct err *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    struct db *db = sqlite_borrow(store, err);
    sqlite3_stmt *statement;
    int64_t figures[8] = { 0 };
    int rc;

    if (!db)
        return -1;
    statement = db_statement(db, DB_STATS);
    sqlite3_bind_int64(statement, 1, now_ms());
    rc = db_next(db, statement, "cannot count what is stored", err);
    for (int i = 0; rc > 0 && i < (int)ARRAY_LEN(figures); i++)
        figures[i] = sqlite3_column_int64(statement, i);
    sqlite3_reset(statement);
    if (rc > 0)
        *ret_stats = (struct store_stats){ .conversations = figures[0],
                                           .turns = figures[1],
                                           .bytes = figures[2],
                                           .summaries = figures[3],
                                           .fields = figures[4],
                                           .people = figures[5],
                                           .items = figures[6],
                                           .values = figures[7],
                                           .disk_bytes = store->readers ? db_bytes(db) : 0 };
    sqlite_return(store, db);
    return rc < 0 ? -1 : 0;
}
