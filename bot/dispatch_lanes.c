/* dispatch_parts.h: lanes, people and the ring. */
#include "bot/dispatch_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/decimal.h"

/* ---- lanes and what waits in them ---------------------------------------------------------
 */

struct lane *lanes_find_locked(struct dispatch *dispatch, const char *key)
{
    struct lane *lane;

    HASH_FIND(hh, dispatch->lanes, key, strlen(key), lane);
    return lane;
}

struct lane *lanes_of_locked(struct dispatch *dispatch, const char *key)
{
    struct lane *lane = lanes_find_locked(dispatch, key);
    size_t len = strlen(key);

    if (lane)
        return lane;
    lane = xcalloc(1, sizeof(*lane) + len + 1);
    memcpy(lane->key, key, len);
    TAILQ_INIT(&lane->waiting);
    HASH_ADD(hh, dispatch->lanes, key[0], len, lane);
    return lane;
}

static void insert_by_ts(struct lane *lane, struct waiting *item)
{
    struct waiting *after;

    /* Runs of an earlier process come first, whatever their ts. */
    TAILQ_FOREACH_REVERSE(after, &lane->waiting, waiting_list, in_lane)
    {
        if (*after->entry->run_id || decimal_compare(after->entry->ts, item->entry->ts) <= 0)
            break;
    }
    if (after)
        TAILQ_INSERT_AFTER(&lane->waiting, after, item, in_lane);
    else
        TAILQ_INSERT_HEAD(&lane->waiting, item, in_lane);
}

void lanes_add_locked(struct dispatch *dispatch, struct lane *lane, struct ledger_entry *entry,
                      enum dispatch_source source)
{
    struct waiting *item = xcalloc(1, sizeof(*item));

    item->entry = entry;
    item->since_ms = clock_now_ms();
    item->source = source;
    insert_by_ts(lane, item);
    metric_set(dispatch->waiting_gauge, (int64_t)++dispatch->waiting);
}

struct ledger_entry *lanes_remove_locked(struct dispatch *dispatch, struct lane *lane,
                                         struct waiting *item)
{
    struct ledger_entry *entry = item->entry;

    TAILQ_REMOVE(&lane->waiting, item, in_lane);
    free(item);
    metric_set(dispatch->waiting_gauge, (int64_t)--dispatch->waiting);
    return entry;
}

static void free_running(struct running *running)
{
    if (!running)
        return;
    for (size_t i = 0; i < running->asked_count; i++) {
        free(running->asked[i].user);
        free(running->asked[i].ts);
    }
    free(running->asked);
    free(running->channel);
    free(running->thread);
    free(running);
}

static void free_lane(struct lane *lane)
{
    struct waiting *item;

    while ((item = TAILQ_FIRST(&lane->waiting)) != NULL) {
        TAILQ_REMOVE(&lane->waiting, item, in_lane);
        ledger_entry_free(item->entry);
        free(item);
    }
    free_running(lane->running);
    free(lane);
}

void lanes_free_all(struct dispatch *dispatch)
{
    struct lane *lane;
    struct lane *next_lane;
    struct person *person;
    struct person *next_person;

    HASH_ITER(hh, dispatch->lanes, lane, next_lane)
    {
        HASH_DEL(dispatch->lanes, lane); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        free_lane(lane);
    }
    HASH_ITER(hh, dispatch->people, person, next_person)
    {
        HASH_DEL(dispatch->people, person); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        free(person);
    }
}

/* ---- people -------------------------------------------------------------------------------
 */

static struct person *person_of_locked(struct dispatch *dispatch, const char *user)
{
    struct person *person;
    size_t len = strlen(user);

    HASH_FIND(hh, dispatch->people, user, len, person);
    if (person)
        return person;
    person = xcalloc(1, sizeof(*person) + len + 1);
    memcpy(person->user, user, len);
    TAILQ_INIT(&person->lanes);
    HASH_ADD(hh, dispatch->people, user[0], len, person);
    TAILQ_INSERT_TAIL(&dispatch->ring, person, in_ring);
    return person;
}

void lanes_make_ready_locked(struct dispatch *dispatch, struct lane *lane)
{
    const struct waiting *first = TAILQ_FIRST(&lane->waiting);

    if (!first || lane->running || lane->person)
        return;
    lane->person = person_of_locked(dispatch, first->entry->user);
    TAILQ_INSERT_TAIL(&lane->person->lanes, lane, in_person);
    pthread_cond_signal(&dispatch->ready);
}

static void leave_person_locked(struct dispatch *dispatch, struct lane *lane)
{
    struct person *person = lane->person;

    if (!person)
        return;
    TAILQ_REMOVE(&person->lanes, lane, in_person);
    lane->person = NULL;
    if (!TAILQ_EMPTY(&person->lanes))
        return;
    TAILQ_REMOVE(&dispatch->ring, person, in_ring);
    HASH_DEL(dispatch->people, person);
    free(person);
}

struct lane *lanes_next_locked(struct dispatch *dispatch)
{
    struct person *person = TAILQ_FIRST(&dispatch->ring);
    struct lane *lane;

    if (!person)
        return NULL;
    TAILQ_REMOVE(&dispatch->ring, person, in_ring);
    TAILQ_INSERT_TAIL(&dispatch->ring, person, in_ring);
    lane = TAILQ_FIRST(&person->lanes);
    leave_person_locked(dispatch, lane);
    return lane;
}

void lanes_tidy_locked(struct dispatch *dispatch, struct lane *lane)
{
    if (!TAILQ_EMPTY(&lane->waiting))
        return;
    leave_person_locked(dispatch, lane);
    if (lane->running)
        return;
    HASH_DEL(dispatch->lanes, lane);
    free_lane(lane);
}

/* ---- the running turn ---------------------------------------------------------------------
 */

void lanes_note_asked_locked(struct running *running, const struct dispatch_batch *batch)
{
    for (size_t i = 0; i < running->asked_count; i++) {
        free(running->asked[i].user);
        free(running->asked[i].ts);
    }
    running->asked_count = batch->count;
    running->asked_bytes = 0;
    for (size_t i = 0; i < batch->count; i++) {
        running->asked[i] = (struct asked){ .user = xstrdup(batch->entries[i]->user),
                                            .ts = xstrdup(batch->entries[i]->ts) };
        running->asked_bytes += strlen(batch->entries[i]->text);
    }
}

void lanes_begin_locked(struct dispatch *dispatch, struct lane *lane, int cancel_fd,
                        const struct dispatch_batch *batch)
{
    struct running *running = xcalloc(1, sizeof(*running));

    running->lane = lane;
    running->cancel_fd = cancel_fd;
    running->since_ms = clock_now_ms();
    running->channel = xstrdup(batch->entries[0]->channel);
    running->thread = xstrdup(batch->entries[0]->reply_thread);
    running->asked = xcalloc(DISPATCH_BATCH_MAX, sizeof(running->asked[0]));
    lanes_note_asked_locked(running, batch);
    lane->running = running;
    TAILQ_INSERT_TAIL(&dispatch->running_turns, running, in_list);
    metric_set(dispatch->running_gauge, (int64_t)++dispatch->running);
}

void lanes_end_locked(struct dispatch *dispatch, struct lane *lane)
{
    TAILQ_REMOVE(&dispatch->running_turns, lane->running, in_list);
    free_running(lane->running);
    lane->running = NULL;
    metric_set(dispatch->running_gauge, (int64_t)--dispatch->running);
    lanes_make_ready_locked(dispatch, lane);
    lanes_tidy_locked(dispatch, lane);
}

bool lanes_fits(const struct lane_fit *fit, const struct ledger_entry *entry)
{
    return fit->count < DISPATCH_BATCH_MAX && strcmp(fit->run_id, entry->run_id) == 0 &&
           strcmp(fit->thread, entry->reply_thread) == 0 &&
           strcmp(fit->channel, entry->channel) == 0 &&
           fit->bytes + strlen(entry->text) <= DISPATCH_BATCH_MAX_BYTES;
}

/* ---- the order ----------------------------------------------------------------------------
 */

/* People take turns, so the walk goes round the ring: the first lane of each, the second ... */
void lanes_walk_locked(struct dispatch *dispatch, lane_visit_fn visit, void *context)
{
    struct person *person;
    size_t ahead = 0;
    bool has_more = true;

    TAILQ_FOREACH(person, &dispatch->ring, in_ring)
    person->at = TAILQ_FIRST(&person->lanes);
    while (has_more) {
        has_more = false;
        TAILQ_FOREACH(person, &dispatch->ring, in_ring)
        {
            struct lane *lane = person->at;

            if (!lane)
                continue;
            if (!visit(context, lane, ahead++))
                return;
            person->at = TAILQ_NEXT(lane, in_person);
            has_more = has_more || person->at;
        }
    }
}
