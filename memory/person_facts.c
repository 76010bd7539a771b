/* The part of person.h that is about facts: which are in force; corrected, forgotten. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "memory/commit.h"
#include "memory/person.h"
#include "memory/person_parts.h"
#include "memory/rooms.h"

#define CORRECTED      PERSON_CORRECTED
#define INTEREST       PERSON_INTEREST
#define FORGOTTEN      "forgotten:"
#define INTERESTS      "interests"
#define INTERESTS_MAX  PERSON_INTERESTS_MAX
#define TOMBSTONES_MAX 32 /* of single interests */

static void set_fact(struct lessons *lessons, const char *user, const char *name,
                     const char *text)
{
    int64_t now_s = clock_wall_s();
    struct store_item item = { .user = user,
                               .name = name,
                               .conversation = "",
                               .created_wall_s = now_s,
                               .updated_wall_s = now_s };

    lessons_add(lessons, &item, text);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool person_is_interest(const char *name)
{
    return starts_with(name, INTEREST);
}

/* ---- in force ---------------------------------------------------------------------------- */

/*
 * The item that remembers when a fact was forgotten. Of an interest it holds a hash: that
 * somebody wants to hear no more of a thing must not keep the word.
 */
static char *tombstone_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    if (!person_is_interest(name))
        return xasprintf(FORGOTTEN "%s", name);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return xasprintf(FORGOTTEN INTEREST "%016" PRIx64, hash);
}

int64_t person_forgotten_until(const struct person_items *facts, const char *name)
{
    AUTO_FREE char *own = tombstone_name(name);
    const struct store_item *item = person_items_find(facts, "", own);
    int64_t until = item ? item->updated_wall_s : 0;

    if (person_is_interest(name)) {
        item = person_items_find(facts, FORGOTTEN, INTERESTS);
        if (item && item->updated_wall_s > until)
            until = item->updated_wall_s;
    }
    return until;
}

static bool is_learnt_in_force(const struct person_items *facts, const struct store_item *item)
{
    return !person_items_find(facts, CORRECTED, item->name) &&
           item->updated_wall_s >= person_forgotten_until(facts, item->name);
}

size_t person_facts_in_force(const struct person_items *facts,
                             struct store_item ret[PERSON_ITEMS_MAX])
{
    static const char *const kinds[] = { "name", "role", INTEREST };
    size_t count = 0;

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < facts->count; i++) {
            const struct store_item *item = &facts->items[i];
            bool is_corrected = starts_with(item->name, CORRECTED);
            const char *name = item->name + (is_corrected ? strlen(CORRECTED) : 0);

            if (k == 2 ? !person_is_interest(name) : strcmp(name, kinds[k]) != 0)
                continue;
            if (!is_corrected && !is_learnt_in_force(facts, item))
                continue;
            ret[count] = *item;
            ret[count++].name = name;
        }
    }
    return count;
}

int memory_visit_facts(struct memory *memory, const char *user, store_item_fn visit,
                       void *context, struct err *err)
{
    struct person_items facts = { 0 };
    struct store_item in_force[PERSON_ITEMS_MAX];
    size_t count;

    if (person_items_read(memory->store, user, STORE_ITEM_FACT, &facts, err) < 0)
        return -1;
    count = person_facts_in_force(&facts, in_force);
    for (size_t i = 0; i < count; i++) {
        in_force[i].user = user;
        if (!visit(context, &in_force[i]))
            break;
    }
    person_items_deinit(&facts);
    return 0;
}

static bool keep_ts(void *context, const struct memory_turn *turn)
{
    char **ts = context;

    free(*ts);
    *ts = xstrdup(turn->slack_ts);
    return false;
}

int memory_find_fact_source(struct memory *memory, const struct store_item *fact, char **ret_ts,
                            struct err *err)
{
    const struct store_range range = { .from_seq = fact->seq, .before_seq = fact->seq + 1 };
    AUTO_FREE char *ts = xstrdup("");

    if (*fact->conversation && memory->store->ops->history(memory->store, fact->conversation,
                                                           &range, keep_ts, &ts, err) < 0)
        return -1;
    *ret_ts = take_ptr(&ts);
    return 0;
}

/* ---- corrected and forgotten by the person ----------------------------------------------- */

static int apply_lessons(struct memory *memory, const char *user, struct lessons *lessons,
                         struct err *err)
{
    int rc;

    lessons_finish(lessons);
    rc = commit_mutations(&memory->path, lessons->mutations, lessons->count, err);
    /* What they were counted goes as well, or what was forgotten would be back at once. */
    persons_drop(memory->persons, user);
    lessons_free(lessons);
    return rc;
}

/* Both, whether they are there or not: one may be on its way. */
static void add_deletion(struct lessons *lessons, const char *user, const char *name)
{
    AUTO_FREE char *corrected = xasprintf(CORRECTED "%s", name);

    lessons_delete(lessons, user, name);
    lessons_delete(lessons, user, corrected);
}

static void add_tombstone(struct lessons *lessons, const char *user, const char *name)
{
    AUTO_FREE char *tombstone = tombstone_name(name);

    set_fact(lessons, user, tombstone, "");
}

static void delete_interests(struct lessons *lessons, const char *user,
                             const struct person_items *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        const char *name = facts->items[i].name;

        if (person_is_interest(name) || starts_with(name, CORRECTED INTEREST) ||
            starts_with(name, FORGOTTEN INTEREST))
            lessons_delete(lessons, user, name);
    }
    add_tombstone(lessons, user, INTERESTS);
}

/* One line without blanks around it; ERR_INPUT when nothing is left or it is too long. */
static int check_value(const char *name, const char *value, size_t len, char **ret_value,
                       struct err *err)
{
    AUTO_BUF struct buf clean = { 0 };
    AUTO_FREE char *copy = NULL;

    if (len > PERSON_VALUE_MAX_BYTES)
        return err_set(err, ERR_INPUT, "%s is too long: at most %d bytes", name,
                       PROFILE_VALUE_MAX_BYTES);
    copy = xstrndup(value, len);
    buf_init(&clean, 3 * len + 1);
    person_append_value(&clean, copy, 3 * len);
    if (!clean.len)
        return err_set(err, ERR_INPUT, "%s needs a value", name);
    if (clean.len > PROFILE_VALUE_MAX_BYTES)
        return err_set(err, ERR_INPUT, "%s is too long: at most %d bytes", name,
                       PROFILE_VALUE_MAX_BYTES);
    *ret_value = buf_take(&clean);
    return 0;
}

static int add_correction(struct lessons *lessons, const char *user, const char *name,
                          const char *value, size_t len, struct err *err)
{
    AUTO_FREE char *corrected = NULL;
    AUTO_FREE char *clean = NULL;

    if (check_value(name, value, len, &clean, err) < 0)
        return -1;
    corrected = xasprintf(CORRECTED "%s", name);
    lessons_delete(lessons, user, name); /* what was learnt is not kept behind it */
    set_fact(lessons, user, corrected, clean);
    return 0;
}

static int add_interest(struct lessons *lessons, const char *user, const char *value,
                        size_t len, struct err *err)
{
    AUTO_FREE char *clean = NULL;
    AUTO_FREE char *name = NULL;

    if (check_value("an interest", value, len, &clean, err) < 0 || !clean)
        return -1;
    name = xasprintf(INTEREST "%s", clean);
    profile_fold(name);
    return add_correction(lessons, user, name, clean, strlen(clean), err);
}

/* "C, SQLite, chess": in place of all there are. */
static int add_interest_list(struct lessons *lessons, const char *user,
                             const struct person_items *facts, const char *value,
                             struct err *err)
{
    size_t count = 0;

    delete_interests(lessons, user, facts);
    for (const char *at = value; *at;) {
        size_t len = strcspn(at, ",;\n");

        if (len > strspn(at, " ") && add_interest(lessons, user, at, len, err) < 0)
            return -1;
        count += len > strspn(at, " ");
        at += len + (at[len] != '\0');
    }
    if (!count)
        return err_set(err, ERR_INPUT, "interests need a value: a list with commas");
    if (count > INTERESTS_MAX)
        return err_set(err, ERR_INPUT, "%d interests are kept at most", INTERESTS_MAX);
    return 0;
}

static bool is_fact_name(const char *name)
{
    return strcmp(name, "name") == 0 || strcmp(name, "role") == 0;
}

static int refuse_name(const char *name, struct err *err)
{
    return err_set(err, ERR_INPUT, "there is no %s in a profile: it has name, role, interests",
                   name);
}

int memory_set_fact(struct memory *memory, const char *user, const char *name,
                    const char *value, struct err *err)
{
    struct person_items facts = { 0 };
    struct store_item in_force[PERSON_ITEMS_MAX];
    struct lessons lessons = { 0 };
    int rc;

    if (person_items_read(memory->store, user, STORE_ITEM_FACT, &facts, err) < 0)
        return -1;
    if (strcmp(name, INTERESTS) == 0)
        rc = add_interest_list(&lessons, user, &facts, value, err);
    else if (person_is_interest(name) &&
             person_facts_in_force(&facts, in_force) >= INTERESTS_MAX + 2)
        rc = err_set(err, ERR_INPUT, "%d interests are kept, forget one first", INTERESTS_MAX);
    else if (person_is_interest(name))
        rc = add_interest(&lessons, user, value, strlen(value), err);
    else if (is_fact_name(name))
        rc = add_correction(&lessons, user, name, value, strlen(value), err);
    else
        rc = refuse_name(name, err);
    person_items_deinit(&facts);
    if (rc == 0)
        return apply_lessons(memory, user, &lessons, err);
    lessons_free(&lessons);
    return -1;
}

static void add_forgotten_interest(struct lessons *lessons, const char *user,
                                   const struct person_items *facts, const char *name)
{
    AUTO_FREE char *plain = xstrdup(name);
    size_t tombstones = 0;

    for (size_t i = 0; i < facts->count; i++)
        tombstones += starts_with(facts->items[i].name, FORGOTTEN INTEREST);
    profile_fold(plain);
    add_deletion(lessons, user, plain);
    if (tombstones < TOMBSTONES_MAX)
        add_tombstone(lessons, user, plain);
}

static bool is_meant(const char *fact, const char *name)
{
    if (!*name || (strcmp(name, INTERESTS) == 0 && person_is_interest(fact)))
        return true;
    return person_is_interest(name) ? strcasecmp(fact, name) == 0 : strcmp(fact, name) == 0;
}

int memory_delete_fact(struct memory *memory, const char *user, const char *name,
                       struct err *err)
{
    struct person_items facts = { 0 };
    struct store_item in_force[PERSON_ITEMS_MAX];
    struct lessons lessons = { 0 };
    size_t all;
    int count = 0;

    if (*name && !is_fact_name(name) && !person_is_interest(name) &&
        strcmp(name, INTERESTS) != 0)
        return refuse_name(name, err);
    if (person_items_read(memory->store, user, STORE_ITEM_FACT, &facts, err) < 0)
        return -1;
    all = person_facts_in_force(&facts, in_force);
    for (size_t i = 0; i < all; i++)
        count += is_meant(in_force[i].name, name);
    if (!*name)
        lessons_delete(&lessons, user, "");
    if (!*name || strcmp(name, INTERESTS) == 0)
        delete_interests(&lessons, user, &facts);
    else if (person_is_interest(name))
        add_forgotten_interest(&lessons, user, &facts, name);
    for (size_t i = 0; i < 2; i++) {
        const char *fact = i ? "role" : "name";

        if (*name && strcmp(name, fact) != 0)
            continue;
        add_deletion(&lessons, user, fact);
        add_tombstone(&lessons, user, fact);
    }
    person_items_deinit(&facts);
    return apply_lessons(memory, user, &lessons, err) < 0 ? -1 : count;
}
