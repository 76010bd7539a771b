#include "memory/erasure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/cleaning.h"
#include "memory/commit.h"
#include "memory/conversation.h"
#include "memory/person.h"
#include "memory/rooms.h"

#define LOG_MODULE "memory.forget"
#include "base/log.h"

#define BATCH_MUTATIONS 512 /* a commit each */
#define LESSON_TURNS    1000

/* ---- the batch --------------------------------------------------------------------------- */

void erasure_add(struct erasure *erasure, const struct store_mutation *mutation)
{
    if (erasure->count == erasure->capacity) {
        erasure->capacity = erasure->capacity ? erasure->capacity * 2 : 64;
        erasure->mutations =
            xrealloc(erasure->mutations, erasure->capacity, sizeof(erasure->mutations[0]));
    }
    erasure->mutations[erasure->count++] = *mutation;
}

static void add_counts(struct memory_forgotten *to, const struct memory_forgotten *from)
{
    to->conversations += from->conversations;
    to->turns += from->turns;
    to->summaries += from->summaries;
    to->fields += from->fields;
    to->items += from->items;
    to->values += from->values;
}

static void clear_batch(struct erasure *erasure)
{
    erasure->count = 0;
    names_clear(&erasure->texts);
    names_clear(&erasure->keys);
    names_clear(&erasure->people);
    names_clear(&erasure->untaught);
    erasure->counted = (struct memory_forgotten){ 0 };
}

void erasure_deinit(struct erasure *erasure)
{
    clear_batch(erasure);
    free(take_ptr(&erasure->mutations));
    erasure->capacity = 0;
}

/* ---- facts that older words teach ---------------------------------------------------------
 */

struct lesson_turns {
    const struct names *people;
    struct names texts;
    struct memory_turn *turns;
    size_t count;
};

static bool note_lesson(void *context, const struct memory_turn *turn)
{
    struct lesson_turns *lesson = context;

    if (turn->role != MEMORY_ROLE_USER || !names_hold(lesson->people, turn->author))
        return true;
    lesson->turns = xrealloc(lesson->turns, lesson->count + 1, sizeof(lesson->turns[0]));
    lesson->turns[lesson->count++] = (struct memory_turn){
        .seq = turn->seq,
        .role = turn->role,
        .author = names_add(&lesson->texts, turn->author),
        .text = names_add(&lesson->texts, turn->text),
        .slack_ts = "",
        .at_wall_s = turn->at_wall_s,
    };
    return true;
}

/* A fact is what was said last; with the turn that said so gone, an older one may say it. */
static void teach_again(struct erasure *erasure, const char *key)
{
    struct memory *memory = erasure->memory;
    struct store_range range = { .limit = LESSON_TURNS };
    struct lesson_turns lesson = { .people = &erasure->people };
    struct lessons lessons = { 0 };
    struct err err = { 0 };
    int rc =
        memory->store->ops->history(memory->store, key, &range, note_lesson, &lesson, &err);

    if (rc == 0)
        persons_learn(memory->persons, key, lesson.turns, lesson.count, &lessons);
    if (rc == 0 && lessons.count)
        rc = commit_mutations(&memory->path, lessons.mutations, lessons.count, &err);
    if (rc < 0)
        log_warn("facts that older turns teach are not learnt again: conversation=%s: %s", key,
                 err.message);
    persons_learned(memory->persons, &lessons);
    names_clear(&lesson.texts);
    free(lesson.turns);
}

static void add_key(struct memory_forgotten *receipt, const char *key)
{
    receipt->keys = xrealloc(receipt->keys, receipt->keys_count + 1, sizeof(receipt->keys[0]));
    receipt->keys[receipt->keys_count++] = xstrdup(key);
}

int erasure_flush(struct erasure *erasure, struct err *err)
{
    struct memory *memory = erasure->memory;
    int rc = 0;

    if (erasure->count) {
        cleaning_owe(memory); /* a crash may come between the commit and the scrub */
        rc = commit_mutations(&memory->path, erasure->mutations, erasure->count, err);
    }
    if (rc == 0) {
        add_counts(erasure->receipt, &erasure->counted);
        for (size_t i = 0; i < erasure->keys.count; i++) {
            conversations_drop(memory->conversations, erasure->keys.items[i]);
            add_key(erasure->receipt, erasure->keys.items[i]);
        }
        for (size_t i = 0; memory->persons && i < erasure->people.count; i++)
            persons_drop(memory->persons, erasure->people.items[i]);
        for (size_t i = 0; memory->persons && i < erasure->untaught.count; i++)
            teach_again(erasure, erasure->untaught.items[i]);
    }
    clear_batch(erasure);
    return rc;
}

/* ---- one conversation -------------------------------------------------------------------- */

struct summaries_found {
    int64_t count;
    int64_t first_seq;
    int64_t last_seq;
};

static bool note_summary(void *context, const struct store_summary *summary)
{
    struct summaries_found *found = context;

    if (!found->count++ || summary->first_seq < found->first_seq)
        found->first_seq = summary->first_seq;
    if (summary->last_seq > found->last_seq)
        found->last_seq = summary->last_seq;
    return true;
}

struct facts_search {
    struct erasure *erasure;
    const char *key;
    const struct picked *picked;
    bool is_whole;
};

static bool forget_fact(void *context, const struct store_item *item)
{
    struct facts_search *search = context;
    struct erasure *erasure = search->erasure;

    if (strcmp(item->conversation, search->key) != 0 ||
        (!search->is_whole && !picked_holds(search->picked, item->seq)))
        return true;
    erasure_add(erasure, &(struct store_mutation){
                             .kind = STORE_DELETE_ITEM,
                             .user = names_add(&erasure->texts, item->user),
                             .item_kind = STORE_ITEM_FACT,
                             .name = names_add(&erasure->texts, item->name),
                         });
    erasure->counted.items++;
    if (!search->is_whole)
        names_add_once(&erasure->untaught, search->key);
    return true;
}

/* What the erased turns have taught of their authors. */
static int forget_facts(struct erasure *erasure, const char *key, const struct picked *picked,
                        bool is_whole, struct err *err)
{
    struct store *store = erasure->memory->store;
    struct facts_search search = {
        .erasure = erasure, .key = key, .picked = picked, .is_whole = is_whole
    };

    for (size_t i = 0; i < picked->authors.count; i++) {
        if (store->ops->items(store, picked->authors.items[i], STORE_ITEM_FACT, forget_fact,
                              &search, err) < 0)
            return -1;
        names_add_once(&erasure->people, picked->authors.items[i]);
    }
    return 0;
}

/* `before_seq` 0: all of it. Else only what has been looked at: a turn that is committed while
 * we look belongs to somebody who has not asked for its end. */
static void erase_whole(struct erasure *erasure, const char *key,
                        const struct store_conversation *size, int64_t before_seq)
{
    const char *kept_key = names_add(&erasure->texts, key);

    if (before_seq > 0) {
        erasure_add(erasure, &(struct store_mutation){ .kind = STORE_TRIM_TURNS,
                                                       .key = kept_key,
                                                       .seq = before_seq });
        erasure_add(erasure,
                    &(struct store_mutation){ .kind = STORE_DROP_SUMMARIES, .key = kept_key });
    }
    erasure_add(erasure, &(struct store_mutation){
                             .kind = STORE_ERASE, .key = kept_key, .seq = before_seq });
    erasure->counted.conversations++;
    erasure->counted.turns += size->turns;
    erasure->counted.summaries += size->summaries;
    erasure->counted.fields += size->fields;
    log_debug("conversation=%s ends: erased, turns=%" PRId64, key, size->turns);
}

/* It tells turns that max_turns has trimmed, so nobody can say whose words stand in it. */
static bool has_outlived(const struct summaries_found *summaries, const struct picked *picked)
{
    return summaries->count && (!picked->count || summaries->first_seq < picked->turns[0].seq);
}

/* A summary that covers an erased turn goes, and with it all: each was made from the one before
 * it. The next one is made from the turns that are left. */
static void erase_turns(struct erasure *erasure, const char *key, const struct picked *picked,
                        const struct summaries_found *summaries, bool drops_outlived)
{
    const char *kept_key = names_add(&erasure->texts, key);

    for (size_t i = 0; i < picked->count; i++) {
        if (!picked->turns[i].is_picked)
            continue;
        erasure_add(erasure, &(struct store_mutation){ .kind = STORE_ERASE_TURN,
                                                       .key = kept_key,
                                                       .seq = picked->turns[i].seq });
        erasure->counted.turns++;
    }
    erasure_add(erasure, &(struct store_mutation){ .kind = STORE_DELETE_FIELD,
                                                   .key = kept_key,
                                                   .name = MEMORY_FIELD_CHAT });
    if (!summaries->count ||
        (!drops_outlived && (!picked->picked_count || summaries->last_seq < picked->first_seq)))
        return;
    erasure_add(erasure,
                &(struct store_mutation){ .kind = STORE_DROP_SUMMARIES, .key = kept_key });
    erasure->counted.summaries += summaries->count;
}

bool erasure_lends(const char *key)
{
    return !strchr(key, ':');
}

static void note_erased(struct erasure *erasure, const char *key, const struct picked *picked,
                        struct names *erased_ts)
{
    names_add(&erasure->keys, key);
    erasure->is_lent = erasure->is_lent || erasure_lends(key);
    for (size_t i = 0; erased_ts && i < picked->count; i++) {
        if (picked->turns[i].is_picked && *picked->turns[i].slack_ts)
            names_add(erased_ts, picked->turns[i].slack_ts);
    }
}

static enum erased what_goes(const struct pick *pick, const struct picked *picked,
                             const struct store_conversation *size, bool drops_outlived)
{
    bool is_message = pick->slack_ts || pick->any_ts;

    if (!size->key)
        return ERASED_NOTHING;
    if (!pick->is_all && !picked->picked_count)
        return drops_outlived ? ERASED_TURNS : ERASED_NOTHING;
    if (pick->is_all || (picked->is_everything && !(is_message && size->fields)))
        return ERASED_WHOLE;
    return ERASED_TURNS;
}

/* Behind every turn that was there when we looked. */
static int64_t end_of(const struct store_conversation *size, const struct picked *picked)
{
    int64_t last = picked->count ? picked->turns[picked->count - 1].seq : 0;

    return (last > size->last_seq ? last : size->last_seq) + 1;
}

int erasure_conversation(struct erasure *erasure, const char *key, const struct pick *pick,
                         struct names *erased_ts, enum erased *ret_erased, struct err *err)
{
    struct store *store = erasure->memory->store;
    struct store_conversation size = { 0 };
    struct picked picked = { 0 };
    struct summaries_found summaries = { 0 };
    enum erased goes = ERASED_NOTHING;
    bool drops_outlived;
    int rc = store->ops->size(store, key, &size, err);

    if (rc == 0)
        rc = picked_read(store, key, pick, &picked, err);
    if (rc == 0 && size.summaries)
        rc = store->ops->summaries(store, key, note_summary, &summaries, err);
    drops_outlived = (pick->user || pick->before_wall_s) && has_outlived(&summaries, &picked);
    if (rc == 0)
        goes = what_goes(pick, &picked, &size, drops_outlived);
    if (goes == ERASED_WHOLE)
        erase_whole(erasure, key, &size, pick->is_all ? 0 : end_of(&size, &picked));
    else if (goes == ERASED_TURNS)
        erase_turns(erasure, key, &picked, &summaries, drops_outlived);
    if (rc == 0 && goes != ERASED_NOTHING) {
        rc = forget_facts(erasure, key, &picked, goes == ERASED_WHOLE, err);
        note_erased(erasure, key, &picked, erased_ts);
    }
    picked_deinit(&picked);
    *ret_erased = goes;
    if (rc == 0 && erasure->count >= BATCH_MUTATIONS)
        rc = erasure_flush(erasure, err);
    return rc;
}
