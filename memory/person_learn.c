/* The part of person.h that learns facts from turns. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/person.h"
#include "memory/person_parts.h"

#define LOG_MODULE "memory.person"
#include "base/log.h"

#define LESSONS_MAX 64 /* of one batch of turns; nobody says more of themselves in one go */

struct lesson {
    struct store_item item; /* its strings are ours */
    bool is_deletion;
};

static struct lesson *add(struct lessons *lessons)
{
    lessons->parts = xrealloc(lessons->parts, lessons->count + 1, sizeof(lessons->parts[0]));
    return &lessons->parts[lessons->count++];
}

void lessons_add(struct lessons *lessons, const struct store_item *item, const char *text)
{
    struct lesson *lesson = add(lessons);
    json_auto_t *value = json_string(text);

    *lesson = (struct lesson){ .item = *item };
    lesson->item.kind = STORE_ITEM_FACT;
    lesson->item.user = xstrdup(item->user);
    lesson->item.name = xstrdup(item->name);
    lesson->item.value = value ? json_dumps(value, JSON_ENCODE_ANY) : xstrdup("\"\"");
    lesson->item.conversation = xstrdup(item->conversation);
}

void lessons_delete(struct lessons *lessons, const char *user, const char *name)
{
    struct lesson *lesson = add(lessons);

    *lesson = (struct lesson){ .is_deletion = true };
    lesson->item.kind = STORE_ITEM_FACT;
    lesson->item.user = xstrdup(user);
    lesson->item.name = xstrdup(name);
}

/* The parts no longer move: the mutations may point to them. */
void lessons_finish(struct lessons *lessons)
{
    if (!lessons->count)
        return;
    lessons->mutations = xcalloc(lessons->count, sizeof(lessons->mutations[0]));
    for (size_t i = 0; i < lessons->count; i++) {
        const struct store_item *item = &lessons->parts[i].item;

        if (lessons->parts[i].is_deletion)
            lessons->mutations[i] = (struct store_mutation){ .kind = STORE_DELETE_ITEM,
                                                             .user = item->user,
                                                             .item_kind = item->kind,
                                                             .name = item->name };
        else
            lessons->mutations[i] =
                (struct store_mutation){ .kind = STORE_SET_ITEM, .item = item };
    }
}

void lessons_free(struct lessons *lessons)
{
    for (size_t i = 0; i < lessons->count; i++) {
        free((char *)lessons->parts[i].item.user);
        free((char *)lessons->parts[i].item.name);
        free((char *)lessons->parts[i].item.value);
        free((char *)lessons->parts[i].item.conversation);
    }
    free(lessons->parts);
    free(lessons->mutations);
    *lessons = (struct lessons){ 0 };
}

/* ---- terms ------------------------------------------------------------------------------- */

bool person_terms_count(struct person_terms *terms, size_t term)
{
    size_t slot = 0;
    uint8_t count = 0;

    while (slot < PERSON_TERMS_MAX && terms->counts[slot] && terms->terms[slot] != term)
        slot++;
    if (slot < PERSON_TERMS_MAX && terms->counts[slot])
        count = terms->counts[slot];
    else if (slot == PERSON_TERMS_MAX)
        slot--; /* the one that was not used for longest makes room */
    memmove(terms->terms + 1, terms->terms, slot * sizeof(terms->terms[0]));
    memmove(terms->counts + 1, terms->counts, slot * sizeof(terms->counts[0]));
    terms->terms[0] = (uint16_t)term;
    terms->counts[0] = count < PERSON_TERMS_WANTS ? (uint8_t)(count + 1) : count;
    return count < PERSON_TERMS_WANTS && terms->counts[0] == PERSON_TERMS_WANTS;
}

/* ---- learning ---------------------------------------------------------------------------- */

struct learning {
    struct persons *persons;
    struct lessons *lessons;
    const char *key;
    const struct memory_turn *turn;
    const char *author;        /* whose facts these are, NULL: none were read */
    struct person_items facts; /* as they are in the store; read when a turn teaches */
    size_t interests;          /* of them, and learnt here */
    bool is_replaced[PERSON_ITEMS_MAX];
    bool cannot_read;
};

static bool read_facts(struct learning *learning)
{
    const char *author = learning->turn->author;
    struct err err = { 0 };

    if (learning->cannot_read)
        return false;
    if (learning->author && strcmp(learning->author, author) == 0)
        return true;
    person_items_deinit(&learning->facts);
    learning->author = NULL;
    if (person_items_read(persons_store(learning->persons), author, STORE_ITEM_FACT,
                          &learning->facts, &err) < 0) {
        log_warn("nothing was learnt of user=%s: %s", author, err.message);
        learning->cannot_read = true;
        return false;
    }
    learning->author = author;
    learning->interests = 0;
    memset(learning->is_replaced, 0, sizeof(learning->is_replaced));
    for (size_t i = 0; i < learning->facts.count; i++)
        learning->interests += person_is_interest(learning->facts.items[i].name);
    return true;
}

/* The interest that was learnt longest ago makes room. False: they are all corrected ones. */
static bool make_room(struct learning *learning)
{
    const struct person_items *facts = &learning->facts;
    size_t oldest = facts->count;

    if (learning->interests < PERSON_INTERESTS_MAX) {
        learning->interests++;
        return true;
    }
    for (size_t i = 0; i < facts->count; i++) {
        if (!person_is_interest(facts->items[i].name) || learning->is_replaced[i])
            continue;
        if (oldest == facts->count ||
            facts->items[i].updated_wall_s < facts->items[oldest].updated_wall_s)
            oldest = i;
    }
    if (oldest == facts->count)
        return false;
    learning->is_replaced[oldest] = true;
    lessons_delete(learning->lessons, learning->turn->author, facts->items[oldest].name);
    return true;
}

static bool says_same(const struct store_item *item, const char *text)
{
    json_auto_t *value = json_loads(item->value, JSON_DECODE_ANY, NULL);

    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static void teach(void *context, const char *name, const char *text)
{
    struct learning *learning = context;
    const struct memory_turn *turn = learning->turn;
    const struct store_item *old;
    struct store_item item = { .user = turn->author,
                               .name = name,
                               .conversation = learning->key,
                               .seq = turn->seq,
                               .created_wall_s = turn->at_wall_s,
                               .updated_wall_s = turn->at_wall_s };

    if (learning->lessons->count >= LESSONS_MAX || !read_facts(learning))
        return;
    if (person_items_find(&learning->facts, PERSON_CORRECTED, name) ||
        turn->at_wall_s < person_forgotten_until(&learning->facts, name))
        return;
    old = person_items_find(&learning->facts, "", name);
    /* Said again: the message that first taught it stays its source. Said before: an import. */
    if (old && (says_same(old, text) || old->updated_wall_s > turn->at_wall_s))
        return;
    if (!old && person_is_interest(name) && !make_room(learning))
        return;
    if (old)
        item.created_wall_s = old->created_wall_s;
    lessons_add(learning->lessons, &item, text);
}

static void count_term(void *context, size_t term)
{
    struct learning *learning = context;
    const char *spelling = profile_term_name(term);
    AUTO_FREE char *name = NULL;

    if (!persons_count_term(learning->persons, learning->turn->author, term))
        return;
    name = xasprintf(PERSON_INTEREST "%s", spelling);
    profile_fold(name);
    teach(learning, name, spelling);
}

void persons_learn(struct persons *persons, const char *key, const struct memory_turn *turns,
                   size_t turns_count, struct lessons *ret_lessons)
{
    struct learning learning = { .persons = persons, .lessons = ret_lessons, .key = key };

    *ret_lessons = (struct lessons){ 0 };
    if (!persons_are_learning(persons))
        return;
    for (size_t i = 0; i < turns_count; i++) {
        if (turns[i].role != MEMORY_ROLE_USER || !*turns[i].author)
            continue;
        learning.turn = &turns[i];
        profile_extract(turns[i].text, teach, &learning);
        profile_visit_terms(turns[i].text, count_term, &learning);
    }
    person_items_deinit(&learning.facts);
    lessons_finish(ret_lessons);
}

void persons_learned(struct persons *persons, struct lessons *lessons)
{
    for (size_t i = 0; i < lessons->count; i++) {
        const char *user = lessons->parts[i].item.user;

        if (i == 0 || strcmp(user, lessons->parts[i - 1].item.user) != 0)
            persons_forget_context(persons, user);
    }
    lessons_free(lessons);
}
