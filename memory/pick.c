#include "memory/pick.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- names ------------------------------------------------------------------------------- */

const char *names_add(struct names *names, const char *text)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 16;
        names->items = xrealloc(names->items, names->capacity, sizeof(names->items[0]));
    }
    names->items[names->count] = xstrdup(text);
    return names->items[names->count++];
}

bool names_hold(const struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], text) == 0)
            return true;
    }
    return false;
}

void names_add_once(struct names *names, const char *text)
{
    if (!names_hold(names, text))
        names_add(names, text);
}

void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){ 0 };
}

/* ---- reading ----------------------------------------------------------------------------- */

struct reading {
    const struct pick *pick;
    struct picked *picked;
};

/* What people and imports said; the agent's answers follow from it. */
static bool is_meant(const struct pick *pick, const struct memory_turn *turn)
{
    if (pick->is_all)
        return true;
    if (pick->user && (turn->role != MEMORY_ROLE_USER || strcmp(turn->author, pick->user) != 0))
        return false;
    if (pick->before_wall_s && turn->at_wall_s >= pick->before_wall_s)
        return false;
    if (pick->slack_ts && strcmp(turn->slack_ts, pick->slack_ts) != 0)
        return false;
    if (pick->any_ts && (!*turn->slack_ts || !names_hold(pick->any_ts, turn->slack_ts)))
        return false;
    return pick->user || pick->before_wall_s || pick->slack_ts || pick->any_ts;
}

static bool note_turn(void *context, const struct memory_turn *turn)
{
    struct reading *reading = context;
    struct picked *picked = reading->picked;
    struct picked_turn *noted;

    if (picked->count == picked->capacity) {
        picked->capacity = picked->capacity ? picked->capacity * 2 : 64;
        picked->turns = xrealloc(picked->turns, picked->capacity, sizeof(picked->turns[0]));
    }
    noted = &picked->turns[picked->count++];
    *noted = (struct picked_turn){ .seq = turn->seq,
                                   .at_wall_s = turn->at_wall_s,
                                   .role = turn->role,
                                   .is_picked = is_meant(reading->pick, turn),
                                   .slack_ts = xstrdup(turn->slack_ts) };
    if (noted->is_picked && turn->role == MEMORY_ROLE_USER)
        names_add_once(&picked->authors, turn->author);
    if (turn->role == MEMORY_ROLE_USER)
        names_add_once(&picked->all_authors, turn->author);
    return true;
}

/*
 * The answer at `at` and the questions right before it, which were answered together. Of a
 * person it goes with any of them, for it may repeat what was said; else when none is left.
 */
static bool goes_with_questions(const struct picked *picked, size_t at, bool with_any)
{
    size_t questions = 0;
    size_t gone = 0;

    for (size_t i = at; i > 0 && picked->turns[i - 1].role == MEMORY_ROLE_USER; i--) {
        questions++;
        gone += picked->turns[i - 1].is_picked;
    }
    return with_any ? gone > 0 : questions > 0 && gone == questions;
}

static void pick_answers(struct picked *picked, const struct pick *pick)
{
    for (size_t i = 0; i < picked->count; i++) {
        struct picked_turn *turn = &picked->turns[i];

        if (turn->role == MEMORY_ROLE_ASSISTANT && !turn->is_picked)
            turn->is_picked = goes_with_questions(picked, i, pick->user || pick->takes_answer);
    }
}

/* Where a person is alone, what is left (answers to nothing, notes) is about them. */
static bool is_everything(const struct picked *picked, const struct pick *pick)
{
    if (pick->user && !pick->before_wall_s && !pick->slack_ts && !pick->any_ts)
        return picked->authors.count == 1 && picked->all_authors.count == 1;
    return picked->picked_count == picked->count;
}

int picked_read(struct store *store, const char *key, const struct pick *pick,
                struct picked *ret_picked, struct err *err)
{
    struct reading reading = { .pick = pick, .picked = ret_picked };
    struct store_range range = { 0 };

    if (store->ops->history(store, key, &range, note_turn, &reading, err) < 0)
        return -1;
    pick_answers(ret_picked, pick);
    for (size_t i = 0; i < ret_picked->count; i++) {
        if (!ret_picked->turns[i].is_picked)
            continue;
        if (!ret_picked->picked_count++)
            ret_picked->first_seq = ret_picked->turns[i].seq;
    }
    ret_picked->is_everything = ret_picked->picked_count && is_everything(ret_picked, pick);
    return 0;
}

bool picked_holds(const struct picked *picked, int64_t seq)
{
    size_t low = 0;
    size_t high = picked->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (picked->turns[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < picked->count && picked->turns[low].seq == seq && picked->turns[low].is_picked;
}

void picked_deinit(struct picked *picked)
{
    for (size_t i = 0; i < picked->count; i++)
        free(picked->turns[i].slack_ts);
    free(picked->turns);
    names_clear(&picked->authors);
    names_clear(&picked->all_authors);
    *picked = (struct picked){ 0 };
}
