#include "memory/forget.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/answers.h"
#include "memory/cleaning.h"
#include "memory/conversation.h"
#include "memory/erasure.h"
#include "memory/journal.h"
#include "memory/ledger_erase.h"
#include "memory/rooms.h"

#define LOG_MODULE "memory.forget"
#include "base/log.h"

#define LIST_PAGE      256
#define RECEIPT_BYTES  512
#define SCRUB_TRIES    20
#define SCRUB_PAUSE_MS 100

/* ---- many -------------------------------------------------------------------------------- */

struct page {
    struct names keys;
    int64_t since_wall_s; /* only those in use since */
    char *after;
    size_t count;
};

static bool note_conversation(void *context, const struct store_conversation *conversation)
{
    struct page *page = context;

    page->count++;
    free(page->after);
    page->after = xstrdup(conversation->key);
    if (conversation->used_wall_s >= page->since_wall_s)
        names_add(&page->keys, conversation->key);
    return true;
}

static int forget_answers(struct erasure *erasure, const char *user, const char *key,
                          int64_t before_wall_s, struct err *err)
{
    int64_t count = memory_answers_forget(erasure->memory, user, key, before_wall_s, err);

    if (count < 0)
        return -1;
    erasure->receipt->values += count;
    return 0;
}

/* One of a list. Answers that others got where a person's words go may repeat them. */
static int forget_listed(struct erasure *erasure, const char *key, const struct pick *pick,
                         struct err *err)
{
    enum erased erased;

    if (erasure_conversation(erasure, key, pick, NULL, &erased, err) < 0)
        return -1;
    if (erased != ERASED_TURNS || pick->before_wall_s)
        return 0;
    return forget_answers(erasure, NULL, key, 0, err);
}

static int forget_in_list(struct erasure *erasure, struct store_list list,
                          const struct pick *pick, int64_t since_wall_s, struct err *err)
{
    struct store *store = erasure->memory->store;
    struct page page = { .since_wall_s = since_wall_s, .after = xstrdup("") };
    int rc;

    list.limit = LIST_PAGE;
    do {
        AUTO_FREE char *after = xstrdup(page.after);

        page.count = 0;
        names_clear(&page.keys);
        list.after = after;
        rc = store->ops->list(store, &list, note_conversation, &page, err);
        for (size_t i = 0; rc == 0 && i < page.keys.count; i++)
            rc = forget_listed(erasure, page.keys.items[i], pick, err);
    } while (rc == 0 && page.count == LIST_PAGE);
    names_clear(&page.keys);
    free(page.after);
    return rc;
}

/* Before copies are looked for: what was lent is stored no more, and what is stored already is
 * found. */
static int stop_lending(struct erasure *erasure, struct err *err)
{
    if (!erasure->is_lent)
        return 0;
    if (erasure_flush(erasure, err) < 0)
        return -1;
    conversations_mark_all_stale(erasure->memory->conversations);
    return 0;
}

/* Threads under a direct message begin with a copy of what was said in it. */
static int forget_copies(struct erasure *erasure, const char *key, const struct names *ts,
                         struct err *err)
{
    AUTO_FREE char *pattern = xasprintf("*:%s:*", key);
    struct pick pick = { .any_ts = ts };

    if (!erasure_lends(key) || !ts->count)
        return 0;
    return forget_in_list(erasure,
                          (struct store_list){ .user = "", .pattern = pattern, .after = "" },
                          &pick, 0, err);
}

static int forget_key(struct erasure *erasure, const struct memory_forget *what,
                      struct err *err)
{
    struct pick pick = { .user = what->user,
                         .before_wall_s = what->before_wall_s,
                         .is_all = !what->user && !what->before_wall_s };
    struct names ts = { 0 };
    enum erased erased;
    int rc = erasure_conversation(erasure, what->key, &pick, &ts, &erased, err);

    if (rc == 0)
        rc = stop_lending(erasure, err);
    if (rc == 0)
        rc = forget_copies(erasure, what->key, &ts, err);
    names_clear(&ts);
    return rc < 0 ? -1 : forget_answers(erasure, NULL, what->key, what->before_wall_s, err);
}

struct items_count {
    int64_t count;
};

static bool count_item(void *context, const struct store_item *item)
{
    (void)item;
    ((struct items_count *)context)->count++;
    return true;
}

static int forget_person(struct erasure *erasure, const char *user, struct err *err)
{
    static const enum store_item_kind kinds[] = { STORE_ITEM_PREFERENCE, STORE_ITEM_FACT };
    struct store *store = erasure->memory->store;

    /* What the turns taught is counted with the rest: first those commits, then this one. */
    if (erasure_flush(erasure, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct items_count items = { 0 };

        if (store->ops->items(store, user, kinds[i], count_item, &items, err) < 0)
            return -1;
        erasure->counted.items += items.count;
        erasure_add(erasure, &(struct store_mutation){ .kind = STORE_DELETE_ITEM,
                                                       .user = user,
                                                       .item_kind = kinds[i],
                                                       .name = "" });
    }
    names_add_once(&erasure->people, user);
    return 0;
}

/* A person, a time, or both. */
static int forget_everywhere(struct erasure *erasure, const struct memory_forget *what,
                             struct err *err)
{
    struct pick pick = { .user = what->user, .before_wall_s = what->before_wall_s };
    struct store_list list = { .user = what->user ? what->user : "", .pattern = "" };

    if (forget_in_list(erasure, list, &pick, 0, err) < 0 || stop_lending(erasure, err) < 0)
        return -1;
    /* Once more for the copies that were stored meanwhile. */
    if (erasure->is_lent && forget_in_list(erasure, list, &pick, 0, err) < 0)
        return -1;
    if (what->user && !what->before_wall_s && forget_person(erasure, what->user, err) < 0)
        return -1;
    return forget_answers(erasure, what->user, NULL, what->before_wall_s, err);
}

/* ---- one message of Slack's -------------------------------------------------------------- */

/* The conversations in which it may stand: the ledger's, and those that its place names. */
static void candidates(const struct memory_forget *what, const struct ledger_erased *rows,
                       struct names *ret_keys)
{
    const char *thread = what->thread_ts && *what->thread_ts ? what->thread_ts : what->slack_ts;
    AUTO_FREE char *shared = xasprintf("*:%s:%s", what->channel, thread);
    AUTO_FREE char *wide = xasprintf("*:%s:*", what->channel);

    for (size_t i = 0; i < rows->conversations_count; i++)
        names_add_once(ret_keys, rows->conversations[i]);
    names_add_once(ret_keys, what->channel);
    names_add_once(ret_keys, shared);
    names_add_once(ret_keys, wide);
    if (what->user && *what->user) {
        AUTO_FREE char *own = xasprintf("%s:%s:%s", what->user, what->channel, thread);
        AUTO_FREE char *everywhere = xasprintf("%s:*:*", what->user);

        names_add_once(ret_keys, own);
        names_add_once(ret_keys, everywhere);
    }
}

static int forget_message(struct erasure *erasure, const struct memory_forget *what,
                          const struct ledger_erased *rows, struct err *err)
{
    struct pick pick = { .slack_ts = what->slack_ts, .takes_answer = what->takes_answer };
    AUTO_FREE char *copies = xasprintf("*:%s:*", what->channel);
    struct names keys = { 0 };
    int rc = 0;

    candidates(what, rows, &keys);
    for (size_t i = 0; rc == 0 && i < keys.count; i++) {
        enum erased erased;

        rc = erasure_conversation(erasure, keys.items[i], &pick, NULL, &erased, err);
        if (rc == 0 && erased != ERASED_NOTHING)
            rc = forget_answers(erasure, NULL, keys.items[i], 0, err);
    }
    names_clear(&keys);
    if (rc == 0)
        rc = stop_lending(erasure, err);
    /* Copies stand under direct messages only; those left alone since hold none. */
    if (rc == 0 && what->channel[0] == 'D')
        rc = forget_in_list(erasure,
                            (struct store_list){ .user = "", .pattern = copies, .after = "" },
                            &pick, strtoll(what->slack_ts, NULL, 10), err);
    return rc;
}

/* ---- the end ----------------------------------------------------------------------------- */

static int scrub_call(void *context, struct db *db, struct err *err)
{
    return cleaning_run(context, db, err);
}

/* Readers hold the log for moments; a backup may hold it longer. */
static void scrub(struct memory *memory)
{
    struct err err = { 0 };

    cleaning_owe(memory);
    for (int i = 0; i < SCRUB_TRIES; i++) {
        if (journal_call(memory->journal, scrub_call, memory, &err) == 0)
            return;
        poll(NULL, 0, SCRUB_PAUSE_MS);
    }
    journal_call_at(memory->journal, clock_now_ms()); /* upkeep finds it owed */
    log_warn("what was erased may lie in the files for a while yet: %s", err.message);
}

static int erase_from_ledger(struct erasure *erasure, const struct memory_forget *what,
                             struct ledger_erased *rows, struct err *err)
{
    struct memory *memory = erasure->memory;
    struct ledger_erase erase = {
        .conversation = what->key,
        .user = what->slack_ts ? NULL : what->user,
        .before_wall_us = what->before_wall_s * 1000000,
        .team = what->team,
        .channel = what->channel,
        .ts = what->slack_ts,
        .is_alone = what->is_alone,
    };
    int rc = ledger_erase(memory->ledger, memory->readers, memory->journal, &erase, rows, err);

    erasure->receipt->messages = rows->messages;
    erasure->receipt->run_ids = take_ptr(&rows->run_ids);
    erasure->receipt->run_ids_count = rows->run_ids_count;
    rows->run_ids_count = 0;
    return rc;
}

/* The ledger first: who remembers a turn from now on finds its row without text. */
static int forget(struct erasure *erasure, const struct memory_forget *what, struct err *err)
{
    struct ledger_erased rows = { 0 };
    int rc = erase_from_ledger(erasure, what, &rows, err);

    if (rc == 0)
        rc = commit_flush(&erasure->memory->path, err);
    if (rc == 0)
        rc = what->slack_ts ? forget_message(erasure, what, &rows, err)
             : what->key    ? forget_key(erasure, what, err)
                            : forget_everywhere(erasure, what, err);
    if (rc == 0)
        rc = erasure_flush(erasure, err);
    ledger_erased_deinit(&rows);
    return rc;
}

static bool is_empty(const struct memory_forgotten *forgotten)
{
    return !(forgotten->conversations | forgotten->turns | forgotten->summaries |
             forgotten->fields | forgotten->items | forgotten->messages | forgotten->values);
}

static void log_receipt(const struct memory_forget *what,
                        const struct memory_forgotten *forgotten)
{
    AUTO_BUF struct buf receipt = { 0 };

    buf_init(&receipt, RECEIPT_BYTES);
    memory_forgotten_print(forgotten, &receipt);
    log_info("forgotten conversation=%s user=%s before=%" PRId64 " ts=%s: %s",
             what->key ? what->key : "", what->user ? what->user : "", what->before_wall_s,
             what->slack_ts ? what->slack_ts : "", buf_text(&receipt));
}

static bool is_blank(const char *given)
{
    return given && !*given;
}

/* What is given and empty would mean whatever has no author or no ts. */
static int check(const struct memory_forget *what, struct err *err)
{
    if (!what->key && !what->user && !what->before_wall_s && !what->slack_ts)
        return err_set(err, ERR_INPUT, "nothing says what to forget");
    if (is_blank(what->key) || is_blank(what->slack_ts) ||
        (is_blank(what->user) && !what->slack_ts))
        return err_set(err, ERR_INPUT, "what to forget is empty");
    if (what->slack_ts && (!what->channel || !*what->channel))
        return err_set(err, ERR_INPUT, "a message is known by its channel and ts");
    return 0;
}

int memory_forget(struct memory *memory, const struct memory_forget *what,
                  struct memory_forgotten *ret_forgotten, struct err *err)
{
    struct erasure erasure = { .memory = memory, .receipt = ret_forgotten };
    int rc;

    if (check(what, err) < 0)
        return -1;
    rc = forget(&erasure, what, err);
    erasure_deinit(&erasure);
    if (erasure.is_lent || (rc == 0 && what->user && !what->slack_ts))
        conversations_mark_all_stale(memory->conversations);
    if (!is_empty(ret_forgotten)) {
        scrub(memory);
        log_receipt(what, ret_forgotten);
    }
    return rc < 0 ? err_wrap(err, "forget") : 0;
}

bool memory_is_forgotten(struct memory *memory, int64_t ledger_id)
{
    struct ledger_entry *entry = NULL;
    struct err err = { 0 };
    bool is_forgotten;

    if (ledger_find(memory->ledger, ledger_id, &entry, &err) < 0) {
        log_warn("whether message=%lld was erased is not known, it stays: %s",
                 (long long)ledger_id, err.message);
        return false;
    }
    is_forgotten = entry && !*entry->text;
    ledger_entry_free(entry);
    return is_forgotten;
}

/* ---- the receipt ------------------------------------------------------------------------- */

void memory_forgotten_deinit(struct memory_forgotten *forgotten)
{
    for (size_t i = 0; i < forgotten->run_ids_count; i++)
        free(forgotten->run_ids[i]);
    free(forgotten->run_ids);
    for (size_t i = 0; i < forgotten->keys_count; i++)
        free(forgotten->keys[i]);
    free(forgotten->keys);
    *forgotten = (struct memory_forgotten){ 0 };
}

void memory_forgotten_print(const struct memory_forgotten *forgotten, struct buf *out)
{
    const struct {
        int64_t count;
        const char *one;
        const char *many;
    } parts[] = {
        { forgotten->conversations, "conversation", "conversations" },
        { forgotten->turns, "turn", "turns" },
        { forgotten->summaries, "summary", "summaries" },
        { forgotten->fields, "field", "fields" },
        { forgotten->items, "preference or fact", "preferences and facts" },
        { forgotten->values, "kept answer", "kept answers" },
        { forgotten->messages, "message in the ledger", "messages in the ledger" },
    };
    bool is_first = true;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!parts[i].count)
            continue;
        buf_printf(out, "%s%" PRId64 " %s", is_first ? "" : ", ", parts[i].count,
                   parts[i].count == 1 ? parts[i].one : parts[i].many);
        is_first = false;
    }
    if (is_first)
        buf_append_text(out, "nothing");
}
