/*
 * memory_lab.h - a memory in a directory of its own, and short ways to fill it.
 */
#ifndef TESTS_UNIT_MEMORY_LAB_H
#define TESTS_UNIT_MEMORY_LAB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "memory/context.h"
#include "memory/memory.h"
#include "memory/rooms.h"
#include "tests/test.h"

#define LAB_WAIT_MS 20000

struct lab {
    char directory[64];
    struct memory_options options;
    struct metrics *metrics;
    struct memory *memory;
};

static inline bool lab_holds(const char *text, const char *part)
{
    return text && strstr(text, part);
}

static inline void lab_open(struct lab *lab)
{
    struct err err = { 0 };

    lab->metrics = metrics_new();
    if (memory_open(&lab->options, lab->metrics, &lab->memory, &err) < 0)
        fail_msg("cannot open: %s", err.message);
}

static inline void lab_close(struct lab *lab)
{
    memory_close(lab->memory);
    metrics_free(lab->metrics);
    lab->memory = NULL;
    lab->metrics = NULL;
}

static inline void lab_prepare(struct lab *lab)
{
    memset(lab, 0, sizeof(*lab));
    snprintf(lab->directory, sizeof(lab->directory), "/tmp/memory-test-XXXXXX");
    assert_non_null(mkdtemp(lab->directory));
    lab->options = (struct memory_options){ .state_dir = lab->directory,
                                            .store = MEMORY_STORE_SQLITE,
                                            .durability = MEMORY_DURABILITY_TURN,
                                            .snapshot_interval_ms = 3600000,
                                            .max_bytes = 64 << 20,
                                            .cache_ttl_ms = 3600000,
                                            .max_turns = 500 };
}

static inline void lab_restart(struct lab *lab)
{
    lab_close(lab);
    lab_open(lab);
}

static inline void lab_remove(struct lab *lab)
{
    lab_close(lab);
    assert_int_equal(file_remove_tree(lab->directory, NULL), 0);
}

static inline struct ledger_entry *lab_entry(const char *event_id, const char *ts,
                                             const char *thread_ts)
{
    struct ledger_entry *entry = xcalloc(1, sizeof(*entry));

    entry->event_id = xstrdup(event_id);
    entry->team = xstrdup("T1");
    entry->channel = xstrdup("C1");
    entry->ts = xstrdup(ts);
    entry->thread_ts = xstrdup(thread_ts);
    entry->user = xstrdup("U1");
    entry->conversation = xstrdup("U1:C1:1");
    entry->reply_thread = xstrdup(*thread_ts ? thread_ts : ts);
    entry->text = xstrdup("we use JWT");
    entry->attributes = xstrdup("{}");
    entry->run_id = xstrdup("");
    entry->reply_state = xstrdup("");
    return entry;
}

/* One recording, waited for. */
struct lab_record {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int finished;
    enum ledger_outcome outcome;
    int64_t id;
};

static inline void lab_recorded(void *context, enum ledger_outcome outcome,
                                struct ledger_entry *entry, void *user_data)
{
    struct lab_record *record = context;

    (void)user_data;
    pthread_mutex_lock(&record->lock);
    record->outcome = outcome;
    record->id = entry->id;
    record->finished++;
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
    ledger_entry_free(entry);
}

/* Adopts the entry. */
static inline enum ledger_outcome lab_record_as(struct lab *lab, struct ledger_entry *entry,
                                                bool only_if_engaged, bool engages,
                                                int64_t *ret_id)
{
    struct lab_record record = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER };
    struct ledger_request request = { .entry = entry,
                                      .only_if_engaged = only_if_engaged,
                                      .engages = engages,
                                      .on_recorded = lab_recorded,
                                      .context = &record };

    assert_true(memory_record_message(lab->memory, &request));
    pthread_mutex_lock(&record.lock);
    while (!record.finished)
        pthread_cond_wait(&record.changed, &record.lock);
    pthread_mutex_unlock(&record.lock);
    if (ret_id)
        *ret_id = record.id;
    return record.outcome;
}

/* Another copy of a message, which tells more. */
static inline enum ledger_outcome lab_record_fuller(struct lab *lab, struct ledger_entry *entry,
                                                    const char *attributes)
{
    struct lab_record record = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER };
    struct ledger_request request = {
        .entry = entry, .completes = true, .on_recorded = lab_recorded, .context = &record
    };

    free(entry->attributes);
    entry->attributes = xstrdup(attributes);
    assert_true(memory_record_message(lab->memory, &request));
    pthread_mutex_lock(&record.lock);
    while (!record.finished)
        pthread_cond_wait(&record.changed, &record.lock);
    pthread_mutex_unlock(&record.lock);
    return record.outcome;
}

static inline int64_t lab_record_new(struct lab *lab, const char *event_id, const char *ts)
{
    int64_t id = 0;

    assert_int_equal(lab_record_as(lab, lab_entry(event_id, ts, ""), false, false, &id),
                     LEDGER_NEW);
    return id;
}

static inline struct conversation *lab_begin(struct lab *lab, const char *key)
{
    struct conversation *conversation = NULL;
    struct err err = { 0 };

    if (memory_conversation_begin(lab->memory, key, NULL, NULL, &conversation, &err) < 0)
        fail_msg("cannot begin %s: %s", key, err.message);
    return conversation;
}

/* Commits a question and its answer to a conversation that is pinned. */
static inline int lab_commit(struct lab *lab, struct conversation *conversation,
                             const char *question, const char *slack_ts, const char *answer,
                             const int64_t *ids, size_t count, struct err *err)
{
    struct memory_turn turns[2] = {
        { .role = MEMORY_ROLE_USER,
          .author = "U1",
          .text = question,
          .slack_ts = slack_ts,
          .at_wall_s = 1790000000 },
        { .role = MEMORY_ROLE_ASSISTANT,
          .author = "",
          .text = answer,
          .slack_ts = "",
          .at_wall_s = 1790000005 },
    };

    return memory_conversation_commit(lab->memory, conversation, turns, 2, ids, count,
                                      LEDGER_DONE, err);
}

static inline void lab_say(struct lab *lab, const char *key, const char *question,
                           const char *slack_ts, const char *answer)
{
    struct conversation *conversation = lab_begin(lab, key);
    struct err err = { 0 };

    if (lab_commit(lab, conversation, question, slack_ts, answer, NULL, 0, &err) < 0)
        fail_msg("cannot commit: %s", err.message);
    memory_conversation_end(lab->memory, conversation);
}

struct lab_swap {
    struct store *store;
    const struct store_ops *ops;
};

static inline int lab_swap_ops_now(void *context, struct db *db, struct err *err)
{
    struct lab_swap *swap = context;

    (void)db;
    (void)err;
    swap->store->ops = swap->ops;
    return 0;
}

/* Puts another table in the store's place, on the journal's thread, which reads it too. */
static inline void lab_swap_ops(struct lab *lab, const struct store_ops *ops)
{
    struct lab_swap swap = { lab->memory->store, ops };

    assert_int_equal(journal_call(lab->memory->journal, lab_swap_ops_now, &swap, NULL), 0);
}

/* The whole window as context; freed by the caller. */
static inline char *lab_context_of(struct memory *memory, struct conversation *conversation)
{
    struct memory_context_options options = { .budget_tokens = 1000000,
                                              .max_messages = 100000,
                                              .user = "U1" };
    struct buf out;
    struct memory_receipt receipt = { 0 };

    buf_init(&out, 64 << 20);
    memory_build_context(memory, conversation, &options, &out, NULL, &receipt);
    memory_receipt_deinit(&receipt);
    return out.len ? buf_take(&out) : (buf_deinit(&out), xstrdup(""));
}

static inline char *lab_context(struct lab *lab, const char *key)
{
    struct conversation *conversation = lab_begin(lab, key);
    char *text = lab_context_of(lab->memory, conversation);

    memory_conversation_end(lab->memory, conversation);
    return text;
}

#endif
