#include "memory/ledger.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "memory.ledger"
#include "base/log.h"

#define PRUNE_STEP_ROWS 200
#define TEXT_PARAMETER  11 /* of DB_ENTRY_INSERT */
#define TEXT_COLUMN     11 /* of ENTRY_COLUMNS */

struct ledger {
    struct journal *journal;
    struct readers *readers;
    _Atomic int64_t pending;
    int64_t pruned_id; /* journal thread: how far the present round of pruning came */
    char *pruned_thread[3];

    struct metric *recorded;
    struct metric *duplicates;
    struct metric *not_engaged;
    struct metric *not_durable;
    struct metric *pruned;
    struct metric *pending_gauge;
};

void ledger_entry_free(struct ledger_entry *entry)
{
    if (!entry)
        return;
    free(entry->event_id);
    free(entry->team);
    free(entry->channel);
    free(entry->ts);
    free(entry->thread_ts);
    free(entry->user);
    free(entry->conversation);
    free(entry->reply_thread);
    free(entry->text);
    free(entry->attributes);
    free(entry->run_id);
    free(entry->reply_state);
    free(entry);
}

int ledger_new(struct db *writer, struct readers *readers, struct metrics *metrics,
               struct ledger **ret_ledger, struct err *err)
{
    sqlite3_stmt *statement = db_statement(writer, DB_ENTRIES_PENDING_COUNT);
    struct ledger *ledger;

    if (db_next(writer, statement, "cannot count what is pending", err) < 0)
        return -1;
    ledger = xcalloc(1, sizeof(*ledger));
    ledger->readers = readers;
    atomic_init(&ledger->pending, sqlite3_column_int64(statement, 0));
    sqlite3_reset(statement);
    for (size_t i = 0; i < ARRAY_LEN(ledger->pruned_thread); i++)
        ledger->pruned_thread[i] = xstrdup("");
    ledger->recorded = metrics_counter(metrics, "ledger_messages_total", "outcome=\"new\"",
                                       "Messages offered to the ledger");
    ledger->duplicates =
        metrics_counter(metrics, "ledger_messages_total", "outcome=\"duplicate\"", "");
    ledger->not_engaged =
        metrics_counter(metrics, "ledger_messages_total", "outcome=\"not_engaged\"", "");
    ledger->not_durable =
        metrics_counter(metrics, "ledger_messages_total", "outcome=\"not_durable\"", "");
    ledger->pending_gauge =
        metrics_gauge(metrics, "ledger_pending", "", "Messages recorded and not finished");
    ledger_add_pending(ledger, 0);
    ledger->pruned =
        metrics_counter(metrics, "ledger_pruned_total", "", "Finished messages forgotten");
    *ret_ledger = ledger;
    return 0;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t i = 0; i < ARRAY_LEN(ledger->pruned_thread); i++)
        free(ledger->pruned_thread[i]);
    free(ledger);
}

void ledger_set_journal(struct ledger *ledger, struct journal *journal)
{
    ledger->journal = journal;
}

void ledger_add_pending(struct ledger *ledger, int64_t change)
{
    metric_set(ledger->pending_gauge, atomic_fetch_add(&ledger->pending, change) + change);
}

int64_t ledger_pending_count(const struct ledger *ledger)
{
    return atomic_load(&ledger->pending);
}

/* ---- recording --------------------------------------------------------------------------- */

struct record_job {
    struct journal_job base;
    struct ledger *ledger;
    struct ledger_request request;
    enum ledger_outcome outcome;
    int64_t id;
};

/* The thread that the message stands in or, when it opens one, the one it is answered in. */
static const char *thread_of(const struct ledger_entry *entry)
{
    return *entry->thread_ts ? entry->thread_ts : entry->reply_thread;
}

/* 1, 0 or -1. */
static int is_engaged(struct db *db, const struct ledger_entry *entry, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENGAGED_FIND);
    int rc;

    db_bind_text(statement, 1, thread_of(entry));
    db_bind_text(statement, 2, entry->channel);
    db_bind_text(statement, 3, entry->team);
    rc = db_next(db, statement, "cannot look up the thread", err);
    sqlite3_reset(statement);
    return rc;
}

static int engage(struct db *db, const struct ledger_entry *entry, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENGAGED_SET);

    db_bind_text(statement, 1, *entry->reply_thread ? entry->reply_thread : entry->thread_ts);
    db_bind_text(statement, 2, entry->channel);
    db_bind_text(statement, 3, entry->team);
    sqlite3_bind_int64(statement, 4, clock_wall_s());
    return db_run(db, statement, "cannot note the thread", err);
}

static int insert_entry(struct db *db, const struct ledger_entry *entry, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENTRY_INSERT);
    const char *const texts[] = { entry->event_id,     entry->team,         entry->channel,
                                  entry->ts,           entry->thread_ts,    entry->user,
                                  entry->conversation, entry->reply_thread, entry->text,
                                  entry->attributes };

    sqlite3_bind_int(statement, 1, (int)entry->kind);
    sqlite3_bind_int(statement, 2, (int)entry->state);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        db_bind_text(statement, (int)i + 3, texts[i]);
    db_bind_secret(db, statement, TEXT_PARAMETER, entry->text);
    sqlite3_bind_int64(statement, 13, entry->received_wall_us);
    return db_run(db, statement, "cannot record a message", err);
}

static int complete_entry(struct db *db, const struct ledger_entry *entry, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENTRY_COMPLETE);

    db_bind_text(statement, 1, entry->attributes);
    db_bind_text(statement, 2, entry->team);
    db_bind_text(statement, 3, entry->channel);
    db_bind_text(statement, 4, entry->ts);
    return db_run(db, statement, "cannot complete a message", err);
}

static int record_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct record_job *job = (struct record_job *)base;
    const struct ledger_entry *entry = job->request.entry;

    if (job->request.only_if_engaged) {
        int engaged = is_engaged(db, entry, err);

        if (engaged <= 0) {
            job->outcome = LEDGER_NOT_ENGAGED;
            return engaged;
        }
    }
    if (insert_entry(db, entry, err) < 0)
        return -1;
    if (db_changes(db) == 0) {
        job->outcome = LEDGER_DUPLICATE;
        return job->request.completes ? complete_entry(db, entry, err) : 0;
    }
    job->outcome = LEDGER_NEW;
    job->id = db_last_id(db);
    if (job->request.engages && (*entry->reply_thread || *entry->thread_ts))
        return engage(db, entry, err);
    return 0;
}

static void count_outcome(struct record_job *job)
{
    struct ledger *ledger = job->ledger;

    switch (job->outcome) {
    case LEDGER_NEW:
        job->request.entry->id = job->id;
        if (job->request.entry->state <= LEDGER_RUNNING)
            ledger_add_pending(ledger, 1);
        metric_add(ledger->recorded, 1);
        break;
    case LEDGER_DUPLICATE:
        metric_add(ledger->duplicates, 1);
        break;
    case LEDGER_NOT_ENGAGED:
        metric_add(ledger->not_engaged, 1);
        break;
    case LEDGER_NOT_DURABLE:
        metric_add(ledger->not_durable, 1);
        break;
    }
}

static void record_done(struct journal_job *base, const struct err *err)
{
    struct record_job *job = (struct record_job *)base;
    struct ledger_request request = job->request;
    enum ledger_outcome outcome;

    if (err)
        job->outcome = LEDGER_NOT_DURABLE;
    count_outcome(job);
    outcome = job->outcome;
    free(job);
    request.on_recorded(request.context, outcome, request.entry, request.user_data);
}

bool ledger_record(struct ledger *ledger, const struct ledger_request *request)
{
    struct record_job *job = xcalloc(1, sizeof(*job));

    job->base.apply = record_apply;
    job->base.done = record_done;
    job->ledger = ledger;
    job->request = *request;
    if (!request->entry->received_wall_us)
        request->entry->received_wall_us = clock_wall_us();
    if (journal_submit(ledger->journal, &job->base))
        return true;
    free(job);
    return false;
}

/* ---- reading ----------------------------------------------------------------------------- */

static char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return xstrdup(text ? (const char *)text : "");
}

/* NULL when its text is sealed and does not open. */
static struct ledger_entry *read_entry(struct db *db, sqlite3_stmt *statement, struct err *err)
{
    const char *text = db_column_secret(db, statement, TEXT_COLUMN, err);
    struct ledger_entry *entry = text ? xcalloc(1, sizeof(*entry)) : NULL;

    if (!entry)
        return NULL;
    entry->id = sqlite3_column_int64(statement, 0);
    entry->kind = (enum ledger_kind)sqlite3_column_int(statement, 1);
    entry->state = (enum ledger_state)sqlite3_column_int(statement, 2);
    entry->event_id = column_text(statement, 3);
    entry->team = column_text(statement, 4);
    entry->channel = column_text(statement, 5);
    entry->ts = column_text(statement, 6);
    entry->thread_ts = column_text(statement, 7);
    entry->user = column_text(statement, 8);
    entry->conversation = column_text(statement, 9);
    entry->reply_thread = column_text(statement, 10);
    entry->text = xstrdup(text);
    entry->attributes = column_text(statement, 12);
    entry->run_id = column_text(statement, 13);
    entry->reply_state = column_text(statement, 14);
    entry->attempts = (unsigned)sqlite3_column_int(statement, 15);
    entry->received_wall_us = sqlite3_column_int64(statement, 16);
    return entry;
}

int ledger_pending(struct ledger *ledger, int64_t after_id, struct ledger_entry **ret_entries,
                   size_t max, size_t *ret_count, struct err *err)
{
    struct db *db = readers_borrow(ledger->readers, err);
    sqlite3_stmt *statement;
    size_t count = 0;
    int rc = 0;

    if (!db)
        return -1;
    statement = db_statement(db, DB_ENTRIES_PENDING);
    sqlite3_bind_int64(statement, 1, after_id);
    sqlite3_bind_int64(statement, 2, (int64_t)max);
    while (count < max &&
           (rc = db_next(db, statement, "cannot read what is pending", err)) > 0) {
        ret_entries[count] = read_entry(db, statement, err);
        if (!ret_entries[count]) {
            rc = -1;
            break;
        }
        count++;
    }
    sqlite3_reset(statement);
    readers_return(ledger->readers, db);
    if (rc < 0) {
        while (count)
            ledger_entry_free(ret_entries[--count]);
        return -1;
    }
    *ret_count = count;
    return 0;
}

int ledger_find(struct ledger *ledger, int64_t id, struct ledger_entry **ret_entry,
                struct err *err)
{
    struct db *db = readers_borrow(ledger->readers, err);
    sqlite3_stmt *statement;
    int rc;

    if (!db)
        return -1;
    statement = db_statement(db, DB_ENTRY_FIND);
    sqlite3_bind_int64(statement, 1, id);
    rc = db_next(db, statement, "cannot read a message", err);
    if (rc == 0) {
        *ret_entry = NULL;
    } else if (rc > 0) {
        struct ledger_entry *entry = read_entry(db, statement, err);

        if (entry)
            *ret_entry = entry;
        else
            rc = -1;
    }
    sqlite3_reset(statement);
    readers_return(ledger->readers, db);
    return rc < 0 ? -1 : 0;
}

/* ---- states ------------------------------------------------------------------------------ */

/* Whether the row was pending: 1, 0, or -1. */
static int was_pending(struct db *db, int64_t id, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENTRY_STATE);
    int rc;

    sqlite3_bind_int64(statement, 1, id);
    rc = db_next(db, statement, "cannot read a message's state", err);
    if (rc == 0)
        return err_set(err, ERR_INPUT, "the ledger has no message %lld", (long long)id);
    if (rc > 0)
        rc = sqlite3_column_int(statement, 0) <= LEDGER_RUNNING;
    sqlite3_reset(statement);
    return rc;
}

static int apply_change(struct db *db, enum db_statement which, const int64_t *ids,
                        size_t count, const char *text, enum ledger_state state,
                        int64_t *ret_pending_change, struct err *err)
{
    int64_t change = 0;

    for (size_t i = 0; i < count; i++) {
        int pending = was_pending(db, ids[i], err);
        sqlite3_stmt *statement = db_statement(db, which);

        if (pending < 0)
            return -1;
        sqlite3_bind_int64(statement, 1, ids[i]);
        if (text)
            db_bind_text(statement, 2, text);
        else
            sqlite3_bind_int(statement, 2, (int)state);
        if (db_run(db, statement, "cannot change a message's state", err) < 0)
            return -1;
        change += (state <= LEDGER_RUNNING) - pending;
    }
    *ret_pending_change = change;
    return 0;
}

int ledger_apply_state(struct db *db, const int64_t *ids, size_t count, enum ledger_state state,
                       int64_t *ret_pending_change, struct err *err)
{
    return apply_change(db, DB_ENTRY_SET_STATE, ids, count, NULL, state, ret_pending_change,
                        err);
}

struct mark_job {
    struct journal_job base;
    const int64_t *ids;
    size_t count;
    enum ledger_state state;
    const char *run_id; /* NULL: only the state */
    int64_t pending_change;
};

static int mark_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct mark_job *job = (struct mark_job *)base;

    return apply_change(db, job->run_id ? DB_ENTRY_SET_RUNNING : DB_ENTRY_SET_STATE, job->ids,
                        job->count, job->run_id, job->state, &job->pending_change, err);
}

static int mark(struct ledger *ledger, struct mark_job *job, struct err *err)
{
    job->base.apply = mark_apply;
    if (journal_run(ledger->journal, &job->base, err) < 0)
        return -1;
    ledger_add_pending(ledger, job->pending_change);
    return 0;
}

int ledger_mark_running(struct ledger *ledger, const int64_t *ids, size_t count,
                        const char *run_id, struct err *err)
{
    struct mark_job job = {
        .ids = ids, .count = count, .state = LEDGER_RUNNING, .run_id = run_id
    };

    return mark(ledger, &job, err);
}

int ledger_mark(struct ledger *ledger, const int64_t *ids, size_t count,
                enum ledger_state state, struct err *err)
{
    struct mark_job job = { .ids = ids, .count = count, .state = state };

    return mark(ledger, &job, err);
}

/* A mark that nobody waits for. */
struct cancel_job {
    struct journal_job base;
    struct ledger *ledger;
    int64_t id;
    int64_t pending_change;
};

static int cancel_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct cancel_job *job = (struct cancel_job *)base;

    return ledger_apply_state(db, &job->id, 1, LEDGER_CANCELLED, &job->pending_change, err);
}

static void cancel_done(struct journal_job *base, const struct err *err)
{
    struct cancel_job *job = (struct cancel_job *)base;

    if (err)
        log_warn("message=%lld was refused but is not marked so, the next start takes it up: "
                 "%s",
                 (long long)job->id, err->message);
    else
        ledger_add_pending(job->ledger, job->pending_change);
    free(job);
}

bool ledger_cancel(struct ledger *ledger, int64_t id)
{
    struct cancel_job *job = xcalloc(1, sizeof(*job));

    *job = (struct cancel_job){ .base = { .apply = cancel_apply, .done = cancel_done },
                                .ledger = ledger,
                                .id = id };
    if (journal_submit(ledger->journal, &job->base))
        return true;
    free(job);
    return false;
}

struct note_job {
    struct journal_job base;
    char *reply_state;
    size_t count;
    int64_t ids[];
};

static int note_apply(struct journal_job *base, struct db *db, struct err *err)
{
    struct note_job *job = (struct note_job *)base;

    for (size_t i = 0; i < job->count; i++) {
        sqlite3_stmt *statement = db_statement(db, DB_ENTRY_SET_REPLY);

        sqlite3_bind_int64(statement, 1, job->ids[i]);
        db_bind_text(statement, 2, job->reply_state);
        if (db_run(db, statement, "cannot note a reply", err) < 0)
            return -1;
    }
    return 0;
}

static void note_done(struct journal_job *base, const struct err *err)
{
    struct note_job *job = (struct note_job *)base;

    if (err)
        log_warn("the state of a reply was not noted, a restart now would post it anew: "
                 "message=%lld %s",
                 job->count ? (long long)job->ids[0] : 0LL, err->message);
    else if (job->count)
        log_debug("reply noted message=%lld", (long long)job->ids[0]);
    free(job->reply_state);
    free(job);
}

void ledger_note_reply(struct ledger *ledger, const int64_t *ids, size_t count,
                       const char *reply_state)
{
    struct note_job *job = xcalloc(1, sizeof(*job) + count * sizeof(ids[0]));
    struct err err = { 0 };

    job->base.apply = note_apply;
    job->base.done = note_done;
    job->reply_state = xstrdup(reply_state);
    job->count = count;
    if (count)
        memcpy(job->ids, ids, count * sizeof(ids[0]));
    if (journal_submit(ledger->journal, &job->base))
        return;
    err_set(&err, ERR_TEMP, "the journal's queue is full or closed");
    note_done(&job->base, &err);
}

/* ---- pruning ----------------------------------------------------------------------------- */

/* Fills `ids` with the finished and old among the next rows; false in *ret_more at the end. */
static int scan_entries(struct ledger *ledger, struct db *db, int64_t now_wall_us, int64_t *ids,
                        size_t *ret_count, bool *ret_more, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENTRIES_SCAN);
    bool young = false;
    size_t seen = 0;
    size_t count = 0;
    int rc = 0;

    sqlite3_bind_int64(statement, 1, ledger->pruned_id);
    sqlite3_bind_int64(statement, 2, PRUNE_STEP_ROWS);
    while (!young && (rc = db_next(db, statement, "cannot read old messages", err)) > 0) {
        /* Rows are in order of arrival: behind the first young one there is nothing. */
        young = sqlite3_column_int64(statement, 2) > now_wall_us - LEDGER_KEPT_US;
        if (young)
            break;
        seen++;
        ledger->pruned_id = sqlite3_column_int64(statement, 0);
        if (sqlite3_column_int(statement, 1) > LEDGER_RUNNING)
            ids[count++] = ledger->pruned_id;
    }
    sqlite3_reset(statement);
    if (rc < 0)
        return -1;
    *ret_count = count;
    *ret_more = seen == PRUNE_STEP_ROWS;
    if (!*ret_more)
        ledger->pruned_id = 0;
    return 0;
}

static int run_for_each(struct db *db, enum db_statement which, const int64_t *ids,
                        size_t count, struct err *err)
{
    if (db_begin(db, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *statement = db_statement(db, which);

        sqlite3_bind_int64(statement, 1, ids[i]);
        if (db_run(db, statement, "cannot forget old messages", err) < 0) {
            db_rollback(db);
            return -1;
        }
    }
    if (db_commit(db, err) < 0) {
        db_rollback(db);
        return -1;
    }
    return 0;
}

static void bind_thread(const struct ledger *ledger, sqlite3_stmt *statement)
{
    for (size_t i = 0; i < ARRAY_LEN(ledger->pruned_thread); i++)
        db_bind_text(statement, (int)i + 1, ledger->pruned_thread[i]);
}

/* Looks at one thread a step: there are few, and no round of them is urgent. */
static int prune_thread(struct ledger *ledger, struct db *db, int64_t now_wall_s,
                        struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENGAGED_SCAN);
    int64_t last_wall_s = now_wall_s;
    int rc;

    bind_thread(ledger, statement);
    rc = db_next(db, statement, "cannot read old threads", err);
    for (int i = 0; rc >= 0 && i < (int)ARRAY_LEN(ledger->pruned_thread); i++) {
        char *text = rc ? column_text(statement, i) : xstrdup("");

        free(ledger->pruned_thread[i]);
        ledger->pruned_thread[i] = text;
    }
    if (rc > 0)
        last_wall_s = sqlite3_column_int64(statement, 3);
    sqlite3_reset(statement);
    if (rc <= 0 || last_wall_s > now_wall_s - LEDGER_ENGAGED_S)
        return rc < 0 ? -1 : 0;
    statement = db_statement(db, DB_ENGAGED_DELETE);
    bind_thread(ledger, statement);
    return db_run(db, statement, "cannot forget a thread", err);
}

int ledger_prune(struct ledger *ledger, struct db *db, int64_t now_wall_us, bool *ret_more,
                 struct err *err)
{
    int64_t ids[PRUNE_STEP_ROWS];
    size_t count = 0;
    bool more = false;

    if (scan_entries(ledger, db, now_wall_us, ids, &count, &more, err) < 0)
        return -1;
    if (count && run_for_each(db, DB_ENTRY_DELETE, ids, count, err) < 0)
        return -1;
    metric_add(ledger->pruned, (int64_t)count);
    if (prune_thread(ledger, db, now_wall_us / 1000000, err) < 0)
        return -1;
    *ret_more = more;
    return 0;
}

/* Fills `ids` with those among the next rows whose text is to go; false in *ret_more at the
 * end. */
static int scan_texts(struct db *db, int64_t before_wall_us, int64_t *after_id, int64_t *ids,
                      size_t *ret_count, bool *ret_more, struct err *err)
{
    sqlite3_stmt *statement = db_statement(db, DB_ENTRIES_TEXTS);
    size_t seen = 0;
    size_t count = 0;
    int rc;

    sqlite3_bind_int64(statement, 1, *after_id);
    sqlite3_bind_int64(statement, 2, PRUNE_STEP_ROWS);
    while ((rc = db_next(db, statement, "cannot read old messages", err)) > 0) {
        /* In order of arrival: behind the first young one there is nothing. */
        if (sqlite3_column_int64(statement, 1) >= before_wall_us)
            break;
        seen++;
        *after_id = sqlite3_column_int64(statement, 0);
        if (sqlite3_column_int(statement, 2))
            ids[count++] = *after_id;
    }
    sqlite3_reset(statement);
    *ret_count = count;
    *ret_more = seen == PRUNE_STEP_ROWS;
    return rc < 0 ? -1 : 0;
}

int ledger_expire(struct db *db, int64_t before_wall_us, int64_t *after_id, int64_t *count,
                  struct err *err)
{
    int64_t ids[PRUNE_STEP_ROWS];
    size_t found = 0;
    bool more = false;

    if (scan_texts(db, before_wall_us, after_id, ids, &found, &more, err) < 0)
        return -1;
    if (found && run_for_each(db, DB_ENTRY_ERASE, ids, found, err) < 0)
        return -1;
    *count += (int64_t)found;
    return more;
}
