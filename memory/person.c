#include "memory/person.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "memory/commit.h"
#include "memory/person_parts.h"
#include "memory/preference.h"
#include "memory/rooms.h"

#define PERSONS_MAX           4096
#define CONTEXT_INTERESTS_MAX 12
#define CONTEXT_WISHES_MAX    12

/* ---- the people in RAM ------------------------------------------------------------------- */

struct person {
    UT_hash_handle hh; /* in order of use: the first is the one to go */
    char *context;     /* NULL: not known, read the store */
    struct person_terms terms;
    char user[];
};

struct persons {
    struct store *store;
    pthread_mutex_t lock;
    struct person *by_user; /* under the lock */
    uint64_t changes;       /* under the lock: what was read before a change is not kept */
    atomic_bool learns;
    struct metric *hits;
    struct metric *misses;
};

struct persons *persons_new(struct store *store, struct metrics *metrics)
{
    struct persons *persons = xcalloc(1, sizeof(*persons));

    persons->store = store;
    pthread_mutex_init(&persons->lock, NULL);
    atomic_init(&persons->learns, true);
    persons->hits = metrics_counter(metrics, "person_hits_total", "",
                                    "Profiles and preferences that were at hand in RAM.");
    persons->misses = metrics_counter(metrics, "person_misses_total", "",
                                      "Profiles and preferences read from the store.");
    return persons;
}

static void remove_person(struct persons *persons, struct person *person)
{
    HASH_DEL(persons->by_user, person);
    free(person->context);
    free(person);
}

static void drop_all(struct persons *persons)
{
    struct person *person;
    struct person *next;

    HASH_ITER(hh, persons->by_user, person, next)
    {
        remove_person(persons, person);
    }
}

void persons_free(struct persons *persons)
{
    if (!persons)
        return;
    drop_all(persons);
    pthread_mutex_destroy(&persons->lock);
    free(persons);
}

void persons_drop(struct persons *persons, const char *user)
{
    struct person *person = NULL;

    pthread_mutex_lock(&persons->lock);
    persons->changes++;
    if (user)
        HASH_FIND_STR(persons->by_user, user, person);
    if (person)
        remove_person(persons, person);
    else if (!user)
        drop_all(persons);
    pthread_mutex_unlock(&persons->lock);
}

void persons_set_learning(struct persons *persons, bool learns)
{
    atomic_store(&persons->learns, learns);
}

bool persons_are_learning(struct persons *persons)
{
    return atomic_load(&persons->learns);
}

struct store *persons_store(struct persons *persons)
{
    return persons->store;
}

/* Made when there is none, and the last to go now. */
static struct person *use_person_locked(struct persons *persons, const char *user)
{
    struct person *person;
    size_t len = strlen(user);

    HASH_FIND_STR(persons->by_user, user, person);
    if (person) {
        HASH_DEL(persons->by_user, person);
    } else {
        person = xcalloc(1, sizeof(*person) + len + 1);
        memcpy(person->user, user, len + 1);
    }
    HASH_ADD_STR(persons->by_user, user, person);
    if (HASH_COUNT(persons->by_user) > PERSONS_MAX)
        remove_person(persons, persons->by_user);
    return person;
}

void persons_forget_context(struct persons *persons, const char *user)
{
    struct person *person;

    pthread_mutex_lock(&persons->lock);
    persons->changes++;
    HASH_FIND_STR(persons->by_user, user, person);
    if (person) {
        free(person->context);
        person->context = NULL;
    }
    pthread_mutex_unlock(&persons->lock);
}

bool persons_count_term(struct persons *persons, const char *user, size_t term)
{
    bool is_interest;

    pthread_mutex_lock(&persons->lock);
    is_interest = person_terms_count(&use_person_locked(persons, user)->terms, term);
    pthread_mutex_unlock(&persons->lock);
    return is_interest;
}

/* ---- items ------------------------------------------------------------------------------- */

static bool keep_item(void *context, const struct store_item *item)
{
    struct person_items *items = context;

    if (items->count == PERSON_ITEMS_MAX)
        return false;
    items->items = xrealloc(items->items, items->count + 1, sizeof(items->items[0]));
    items->items[items->count++] = (struct store_item){
        .kind = item->kind,
        .name = xstrdup(item->name),
        .value = xstrdup(item->value),
        .conversation = xstrdup(item->conversation ? item->conversation : ""),
        .seq = item->seq,
        .created_wall_s = item->created_wall_s,
        .updated_wall_s = item->updated_wall_s,
    };
    return true;
}

void person_items_deinit(struct person_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free((char *)items->items[i].name);
        free((char *)items->items[i].value);
        free((char *)items->items[i].conversation);
    }
    free(items->items);
    *items = (struct person_items){ 0 };
}

int person_items_read(struct store *store, const char *user, enum store_item_kind kind,
                      struct person_items *ret_items, struct err *err)
{
    struct person_items items = { 0 };

    if (store->ops->items(store, user, kind, keep_item, &items, err) < 0) {
        person_items_deinit(&items);
        return -1;
    }
    *ret_items = items;
    return 0;
}

const struct store_item *person_items_find(const struct person_items *items, const char *prefix,
                                           const char *name)
{
    size_t len = strlen(prefix);

    for (size_t i = 0; i < items->count; i++) {
        if (strncmp(items->items[i].name, prefix, len) == 0 &&
            strcmp(items->items[i].name + len, name) == 0)
            return &items->items[i];
    }
    return NULL;
}

/* ---- preferences ------------------------------------------------------------------------- */

static int apply(struct memory *memory, const char *user, struct store_mutation *mutations,
                 size_t count, struct err *err)
{
    int rc = commit_mutations(&memory->path, mutations, count, err);

    persons_forget_context(memory->persons, user);
    return rc;
}

int memory_set_preference(struct memory *memory, const char *user, const char *name,
                          const char *value, struct err *err)
{
    struct store_item item = { .user = user,
                               .kind = STORE_ITEM_PREFERENCE,
                               .conversation = "",
                               .created_wall_s = clock_wall_s(),
                               .updated_wall_s = clock_wall_s() };
    struct store_mutation mutation = { .kind = STORE_SET_ITEM, .item = &item };
    AUTO_FREE char *checked = NULL;
    AUTO_FREE char *json = NULL;
    struct person_items items = { 0 };
    const struct store_item *old;
    size_t count;

    if (preference_check_name(name, &checked, err) < 0 ||
        preference_check_value(checked, value, &json, err) < 0 ||
        person_items_read(memory->store, user, item.kind, &items, err) < 0)
        return -1;
    old = person_items_find(&items, "", checked);
    count = items.count;
    if (old)
        item.created_wall_s = old->created_wall_s;
    person_items_deinit(&items);
    if (!old && count >= PERSON_PREFERENCES_MAX)
        return err_set(err, ERR_INPUT, "%d preferences are kept, forget one first",
                       PERSON_PREFERENCES_MAX);
    item.name = checked;
    item.value = json;
    return apply(memory, user, &mutation, 1, err);
}

int memory_delete_preference(struct memory *memory, const char *user, const char *name,
                             struct err *err)
{
    AUTO_FREE char *checked = NULL;
    struct store_mutation mutation = {
        .kind = STORE_DELETE_ITEM, .user = user, .item_kind = STORE_ITEM_PREFERENCE, .name = ""
    };

    if (*name && preference_check_name(name, &checked, err) < 0)
        return -1;
    if (checked)
        mutation.name = checked;
    return apply(memory, user, &mutation, 1, err) < 0 ? -1 : (int)mutation.count;
}

/* Two lists, each by name, as one. */
int memory_visit_preferences(struct memory *memory, const char *user, store_item_fn visit,
                             void *context, struct err *err)
{
    struct person_items items = { 0 };
    size_t defaults_count;
    const struct preference_default *defaults = preference_defaults(&defaults_count);
    size_t at = 0;
    bool goes_on = true;

    if (person_items_read(memory->store, user, STORE_ITEM_PREFERENCE, &items, err) < 0)
        return -1;
    for (size_t i = 0; goes_on && (i < items.count || at < defaults_count);) {
        int order = i == items.count       ? 1
                    : at == defaults_count ? -1
                                           : strcmp(items.items[i].name, defaults[at].name);
        struct store_item item = { .user = user,
                                   .kind = STORE_ITEM_PREFERENCE,
                                   .conversation = "" };

        if (order <= 0) {
            item = items.items[i++];
            item.user = user;
        } else {
            item.name = defaults[at].name;
            item.value = defaults[at].value;
        }
        at += order >= 0;
        goes_on = visit(context, &item);
    }
    person_items_deinit(&items);
    return 0;
}

/* ---- for the context --------------------------------------------------------------------- */

void person_append_value(struct buf *out, const char *text, size_t max_bytes)
{
    size_t len = strlen(text);
    AUTO_FREE char *clean = utf8_clean_copy(text, len, max_bytes);
    bool is_blank = true; /* no blank at the start, nor two in a row */

    for (const char *c = clean; *c; c++) {
        /* U+2028 and U+2029 end a line for some. */
        bool ends_line =
            strncmp(c, "\xe2\x80\xa8", 3) == 0 || strncmp(c, "\xe2\x80\xa9", 3) == 0;

        if (ends_line || *c == '\n' || *c == '\t' || *c == ' ') {
            if (!is_blank)
                buf_append_char(out, ' ');
            is_blank = true;
            c += ends_line ? 2 : 0;
            continue;
        }
        is_blank = false;
        buf_append(out, *c == ';' ? "," : c, 1);
    }
    if (is_blank && out->len && buf_text(out)[out->len - 1] == ' ')
        buf_truncate(out, out->len - 1);
}

struct line {
    struct buf *out;
    const char *heading;
    size_t items;
};

/* Between items "; ", before the first one the heading. */
static void begin_item(struct line *line)
{
    buf_append_text(line->out, line->items++ ? "; " : line->heading);
}

static void end_line(const struct line *line)
{
    if (line->items)
        buf_append_text(line->out, ".\n");
}

static void append_text_of(struct buf *out, const char *json)
{
    json_auto_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

    person_append_value(out, json_is_string(value) ? json_string_value(value) : json,
                        PROFILE_VALUE_MAX_BYTES);
}

static bool add_fact(void *context, const struct store_item *item)
{
    struct line *line = context;

    begin_item(line);
    buf_printf(line->out, "%s ", item->name);
    append_text_of(line->out, item->value);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct store_item *left = a;
    const struct store_item *right = b;

    return (left->updated_wall_s < right->updated_wall_s) -
           (left->updated_wall_s > right->updated_wall_s);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_item *)a)->name, ((const struct store_item *)b)->name);
}

/* The newest few, by name, so that the line stays as it is when one is said again. */
static void add_interests(struct line *line, struct store_item *interests, size_t count)
{
    if (!count)
        return;
    qsort(interests, count, sizeof(*interests), newest_first);
    count = count < CONTEXT_INTERESTS_MAX ? count : CONTEXT_INTERESTS_MAX;
    qsort(interests, count, sizeof(*interests), by_name);
    begin_item(line);
    buf_append_text(line->out, "interests ");
    for (size_t i = 0; i < count; i++) {
        buf_append_text(line->out, i ? ", " : "");
        append_text_of(line->out, interests[i].value);
    }
}

static void append_facts(struct buf *out, const struct person_items *facts)
{
    struct line line = { .out = out, .heading = "About the person asking: " };
    struct store_item interests[PERSON_ITEMS_MAX];
    size_t count = 0;
    struct store_item in_force[PERSON_ITEMS_MAX];
    size_t all = person_facts_in_force(facts, in_force);

    for (size_t i = 0; i < all; i++) {
        if (person_is_interest(in_force[i].name))
            interests[count++] = in_force[i];
        else
            add_fact(&line, &in_force[i]);
    }
    add_interests(&line, interests, count);
    end_line(&line);
}

static void append_wishes(struct buf *out, const struct person_items *preferences)
{
    struct line line = { .out = out, .heading = "Their wishes: " };
    AUTO_BUF struct buf wish = { 0 };

    buf_init(&wish, PERSON_CONTEXT_MAX_BYTES);
    for (size_t i = 0; i < preferences->count && line.items < CONTEXT_WISHES_MAX; i++) {
        buf_clear(&wish);
        preference_append_wish(&wish, preferences->items[i].name, preferences->items[i].value);
        /* A line is whole or not there. */
        if (!wish.len ||
            out->len + strlen(line.heading) + wish.len + 8 > PERSON_CONTEXT_MAX_BYTES)
            continue;
        begin_item(&line);
        buf_append_text(out, buf_text(&wish));
    }
    end_line(&line);
}

static char *read_context(struct persons *persons, const char *user, struct err *err)
{
    struct person_items facts = { 0 };
    struct person_items preferences = { 0 };
    AUTO_BUF struct buf text = { 0 };
    char *context = NULL;

    buf_init(&text, (size_t)4 * PERSON_CONTEXT_MAX_BYTES);
    if (person_items_read(persons->store, user, STORE_ITEM_FACT, &facts, err) == 0 &&
        person_items_read(persons->store, user, STORE_ITEM_PREFERENCE, &preferences, err) ==
            0) {
        append_facts(&text, &facts);
        append_wishes(&text, &preferences);
        context = xstrdup(buf_text(&text));
    }
    person_items_deinit(&facts);
    person_items_deinit(&preferences);
    return context;
}

int person_append_context(struct memory *memory, const char *user, struct buf *out,
                          struct err *err)
{
    struct persons *persons = memory->persons;
    struct person *person;
    AUTO_FREE char *context = NULL;
    uint64_t changes;

    pthread_mutex_lock(&persons->lock);
    person = use_person_locked(persons, user);
    if (person->context)
        buf_append_text(out, person->context);
    changes = persons->changes;
    metric_add(person->context ? persons->hits : persons->misses, 1);
    if (person->context) {
        pthread_mutex_unlock(&persons->lock);
        return 0;
    }
    pthread_mutex_unlock(&persons->lock);
    context = read_context(persons, user, err);
    if (!context)
        return -1;
    buf_append_text(out, context);
    pthread_mutex_lock(&persons->lock);
    person = use_person_locked(persons, user);
    if (changes == persons->changes && !person->context)
        person->context = take_ptr(&context);
    pthread_mutex_unlock(&persons->lock);
    return 0;
}
