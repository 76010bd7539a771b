#include "memory/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "memory/archive.h"
#include "memory/cleaning.h"
#include "memory/commit.h"
#include "memory/conversation.h"
#include "memory/db.h"
#include "memory/health.h"
#include "memory/journal.h"
#include "memory/ledger.h"
#include "memory/person.h"
#include "memory/places.h"
#include "memory/readers.h"
#include "memory/rooms.h"
#include "memory/snapshot.h"
#include "memory/store.h"
#include "memory/upkeep.h"
#include "memory/vault.h"

#define LOG_MODULE "memory"
#include "base/log.h"

#define UPKEEP_FIRST_MS 1000

static int flush(void *context, struct err *err)
{
    struct memory *memory = context;

    return commit_flush(&memory->path, err);
}

/* ---- opening ----------------------------------------------------------------------------- */

static void set_limits(struct memory *memory, const struct memory_options *options)
{
    atomic_store(&memory->cache_ttl_ms, options->cache_ttl_ms);
    atomic_store(&memory->session_ttl_ms, options->session_ttl_ms);
    atomic_store(&memory->retention_ms, options->retention_ms);
    atomic_store(&memory->path.max_turns, options->max_turns < 1 ? 1 : options->max_turns);
    atomic_store(&memory->path.snapshot_interval_ms, options->snapshot_interval_ms);
    persons_set_learning(memory->persons, options->learns_profile);
}

/* Without a store on the disk both are in RAM: what is kept, and what is at hand. */
static int64_t share_of(const struct memory_options *options)
{
    return options->store == MEMORY_STORE_NONE ? options->max_bytes / 2 : options->max_bytes;
}

static struct conversation_limits limits_of(const struct memory_options *options)
{
    return (struct conversation_limits){ .max_bytes = share_of(options),
                                         .cache_ttl_ms = options->cache_ttl_ms,
                                         .max_turns = options->max_turns };
}

static char *files_dir_of(const struct memory_options *options)
{
    return options->files_dir && *options->files_dir
               ? xstrdup(options->files_dir)
               : xasprintf("%s/sessions", options->state_dir);
}

static struct store *files_new(struct memory *memory, const struct memory_options *options,
                               struct err *err)
{
    AUTO_FREE char *dir = files_dir_of(options);

    return store_files_new(dir, memory->vault, options->is_visitor, err);
}

static struct store *store_new(struct memory *memory, const struct memory_options *options,
                               struct err *err)
{
    switch (options->store) {
    case MEMORY_STORE_NONE:
        return store_none_new(share_of(options), err);
    case MEMORY_STORE_SQLITE:
        return store_sqlite_new(memory->readers, memory->vault);
    case MEMORY_STORE_FILES:
        return files_new(memory, options, err);
    }
    err_set(err, ERR_INPUT, "no such store");
    return NULL;
}

static int open_vault(struct memory *memory, const struct memory_options *options,
                      struct err *err)
{
    if (!options->encryption_key_file || !*options->encryption_key_file)
        return 0;
    return vault_open(options->encryption_key_file, &memory->vault, err);
}

static int open_store(struct memory *memory, const char *db_path,
                      const struct memory_options *options, struct err *err)
{
    struct conversation_limits limits = limits_of(options);

    memory->readers = readers_new(db_path);
    readers_set_vault(memory->readers, memory->vault);
    memory->store = store_new(memory, options, err);
    if (!memory->store)
        return -1;
    memory->conversations = conversations_new(memory->store, &limits, memory->metrics);
    memory->persons = persons_new(memory->store, memory->metrics);
    set_limits(memory, options);
    memory->path.store = memory->store;
    memory->path.conversations = memory->conversations;
    memory->path.vault = memory->vault;
    memory->path.persons = memory->persons;
    return 0;
}

/* What a crash left unsaved, and what waits for the daemon's next snapshot. A visitor that
 * cannot (the disk is full) shows and changes what there is. */
static int save_unsaved(struct memory *memory, bool is_visitor, struct err *err)
{
    struct err local = { 0 };

    if (memory->path.is_volatile || commit_snapshot(&memory->path, memory->db, &local) == 0)
        return 0;
    if (is_visitor) {
        log_warn("the newest turns are not in the store yet, and not seen here: %s",
                 local.message);
        return 0;
    }
    if (err)
        *err = local;
    return -1;
}

/* 1: there is one, 0: nobody has used it yet (an empty file is none), -1. */
static int look_for_database(const char *db_path, struct err *err)
{
    struct stat info;

    if (stat(db_path, &info) == 0)
        return info.st_size > 0;
    return errno == ENOENT ? 0 : err_set_errno(err, ERR_SYSTEM, "cannot read %s", db_path);
}

/* The daemon beside a visitor may be of an older version: its schema is left alone. */
static int check_visit(const char *db_path, struct err *err)
{
    struct db *db = NULL;
    int rc = look_for_database(db_path, err);

    if (rc <= 0)
        return rc;
    if (db_open(db_path, DB_ROLE_READER, &db, err) < 0)
        return -1;
    rc = db_check_schema(db, err);
    db_close(db);
    return rc;
}

static int start(struct memory *memory, const char *db_path,
                 const struct memory_options *options, struct metrics *metrics, struct err *err)
{
    const struct journal_hooks hooks = { upkeep_run, upkeep_after_batch, memory };

    if (open_vault(memory, options, err) < 0)
        return -1;
    if (options->is_visitor && check_visit(db_path, err) < 0)
        return -1;
    if (health_open(db_path, options->is_visitor, &memory->db, &memory->health, err) < 0 ||
        db_set_vault(memory->db, memory->vault, err) < 0)
        return -1;
    if (open_store(memory, db_path, options, err) < 0)
        return -1;
    conversations_set_flush(memory->conversations, flush, memory);
    /* Without a store there is nothing to take a snapshot into. */
    memory->path.is_volatile = options->store == MEMORY_STORE_NONE;
    memory->path.durability =
        memory->path.is_volatile ? MEMORY_DURABILITY_TURN : options->durability;
    atomic_init(&memory->path.snapshot_due_ms, CLOCK_FOREVER_MS);
    upkeep_init(memory, options->is_visitor);
    cleaning_init(&memory->cleaning, db_path);
    memory->path.is_visitor = options->is_visitor;
    if (save_unsaved(memory, options->is_visitor, err) < 0)
        return -1;
    if (ledger_new(memory->db, memory->readers, metrics, &memory->ledger, err) < 0)
        return -1;
    memory->path.ledger = memory->ledger;
    if (memory->store->ops->foreign_version)
        memory->path.foreign_version =
            memory->store->ops->foreign_version(memory->store, memory->db);
    if (journal_new(memory->db, &hooks, metrics, &memory->journal, err) < 0)
        return -1;
    memory->path.journal = memory->journal;
    ledger_set_journal(memory->ledger, memory->journal);
    journal_call_at(memory->journal, clock_now_ms() + UPKEEP_FIRST_MS);
    return 0;
}

static struct memory *memory_new(struct metrics *metrics)
{
    struct memory *memory = xcalloc(1, sizeof(*memory));

    memory->metrics = metrics;
    pthread_mutex_init(&memory->learnt_lock, NULL);
    return memory;
}

int memory_open(const struct memory_options *options, struct metrics *metrics,
                struct memory **ret_memory, struct err *err)
{
    AUTO_FREE char *db_path = xasprintf("%s/%s", options->state_dir, DB_FILE_NAME);
    struct memory *memory;

    if (file_make_dirs(options->state_dir, 0700, err) < 0)
        return -1;
    memory = memory_new(metrics);
    if (start(memory, db_path, options, metrics, err) < 0) {
        memory_close(memory);
        return err_wrap(err, "memory");
    }
    *ret_memory = memory;
    return 0;
}

/* Opening a directory of files for reading must not make it. */
static bool is_store_missing(const struct memory_options *options, bool has_database)
{
    AUTO_FREE char *dir = files_dir_of(options);

    return options->store == MEMORY_STORE_FILES ? access(dir, F_OK) < 0 && errno == ENOENT
                                                : !has_database;
}

/* The schema is looked at once, by the first reader; a writer may not migrate beside us, for it
 * is the same program. */
static int start_reading(struct memory *memory, const char *db_path,
                         const struct memory_options *options, struct err *err)
{
    int rc = look_for_database(db_path, err);
    struct memory_options found = *options;
    struct db *db;

    if (rc < 0)
        return -1;
    if (is_store_missing(options, rc))
        found.store = MEMORY_STORE_NONE; /* reads as an empty one */
    if (open_vault(memory, options, err) < 0 || open_store(memory, db_path, &found, err) < 0)
        return -1;
    if (rc == 0)
        return 0;
    db = readers_borrow(memory->readers, err);
    if (!db)
        return -1;
    rc = db_check_schema(db, err);
    readers_return(memory->readers, db);
    return rc;
}

int memory_open_reader(const struct memory_options *options, struct metrics *metrics,
                       struct memory **ret_memory, struct err *err)
{
    AUTO_FREE char *db_path = xasprintf("%s/%s", options->state_dir, DB_FILE_NAME);
    struct memory *memory;

    memory = memory_new(metrics);
    if (start_reading(memory, db_path, options, err) < 0) {
        memory_close(memory);
        return err_wrap(err, "memory");
    }
    *ret_memory = memory;
    return 0;
}

static void save_at_close(struct memory *memory)
{
    struct err err = { 0 };

    if (commit_puts_aside(&memory->path) &&
        commit_snapshot(&memory->path, memory->db, &err) < 0)
        log_warn("the last snapshot failed, the next start takes it up: %s", err.message);
    db_checkpoint(memory->db, true);
}

void memory_close(struct memory *memory)
{
    if (!memory)
        return;
    if (memory->journal) {
        journal_free(memory->journal);
        save_at_close(memory);
    }
    ledger_free(memory->ledger);
    conversations_free(memory->conversations);
    persons_free(memory->persons);
    if (memory->store)
        memory->store->ops->free(memory->store);
    readers_free(memory->readers);
    health_free(memory->health);
    db_close(memory->db);
    vault_free(memory->vault);
    cleaning_deinit(&memory->cleaning);
    pthread_mutex_destroy(&memory->learnt_lock);
    free(memory);
}

void memory_reconfigure(struct memory *memory, const struct memory_options *options)
{
    struct conversation_limits limits = limits_of(options);

    set_limits(memory, options);
    conversations_set_limits(memory->conversations, &limits);
    if (options->store == MEMORY_STORE_NONE)
        store_none_set_limit(memory->store, share_of(options));
    journal_call_at(memory->journal, clock_now_ms());
}

void memory_refresh(struct memory *memory)
{
    commit_snapshot_soon(&memory->path);
}

/* ---- the rooms behind the door ----------------------------------------------------------- */

bool memory_record_message(struct memory *memory, const struct ledger_request *request)
{
    return ledger_record(memory->ledger, request);
}

int memory_pending_messages(struct memory *memory, int64_t after_id,
                            struct ledger_entry **ret_entries, size_t max, size_t *ret_count,
                            struct err *err)
{
    return ledger_pending(memory->ledger, after_id, ret_entries, max, ret_count, err);
}

int memory_find_message(struct memory *memory, int64_t id, struct ledger_entry **ret_entry,
                        struct err *err)
{
    return ledger_find(memory->ledger, id, ret_entry, err);
}

int memory_active_places(struct memory *memory, const struct memory_places_query *query,
                         struct memory_place *ret_places, size_t max, size_t *ret_count,
                         struct err *err)
{
    return places_read(memory->readers, query, ret_places, max, ret_count, err);
}

int memory_last_message(struct memory *memory, const char *except_channel,
                        int64_t before_wall_us, int64_t *ret_wall_us, struct err *err)
{
    return places_last_message(memory->readers, except_channel, before_wall_us, ret_wall_us,
                               err);
}

int memory_mark_running(struct memory *memory, const int64_t *ids, size_t count,
                        const char *run_id, struct err *err)
{
    return ledger_mark_running(memory->ledger, ids, count, run_id, err);
}

void memory_note_reply(struct memory *memory, const int64_t *ids, size_t count,
                       const char *reply_state)
{
    ledger_note_reply(memory->ledger, ids, count, reply_state);
}

int memory_mark_messages(struct memory *memory, const int64_t *ids, size_t count,
                         enum ledger_state state, struct err *err)
{
    return ledger_mark(memory->ledger, ids, count, state, err);
}

bool memory_cancel_message(struct memory *memory, int64_t id)
{
    return ledger_cancel(memory->ledger, id);
}

int memory_conversation_begin(struct memory *memory, const char *key, const char *parent_key,
                              const char *parent_until_ts,
                              struct conversation **ret_conversation, struct err *err)
{
    return conversations_pin(memory->conversations, key, parent_key, parent_until_ts,
                             ret_conversation, err);
}

void memory_conversation_end(struct memory *memory, struct conversation *conversation)
{
    conversations_unpin(memory->conversations, conversation);
}

int memory_conversation_commit(struct memory *memory, struct conversation *conversation,
                               const struct memory_turn *turns, size_t turns_count,
                               const int64_t *ledger_ids, size_t ledger_count,
                               enum ledger_state state, struct err *err)
{
    return commit_turns(&memory->path, conversation, turns, turns_count, ledger_ids,
                        ledger_count, state, err);
}

int memory_conversation_reset(struct memory *memory, const char *key, struct err *err)
{
    return commit_reset(&memory->path, key, err);
}

void memory_get_stats(struct memory *memory, struct memory_stats *ret_stats)
{
    struct conversation_figures figures;

    conversations_get_figures(memory->conversations, &figures);
    *ret_stats = (struct memory_stats){
        .conversations = figures.conversations,
        .bytes = figures.bytes,
        .hits = figures.hits,
        .misses = figures.misses,
        .evictions = figures.evictions,
        .pending = ledger_pending_count(memory->ledger),
        .quarantined = health_quarantined(memory->health),
        .is_damaged = health_is_suspect(memory->health),
    };
}
