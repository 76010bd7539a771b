/* dispatch.h: who waits where, and for how long. */
#include "bot/dispatch_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

void dispatch_note_duration(struct dispatch *dispatch, int64_t duration_ms)
{
    pthread_mutex_lock(&dispatch->lock);
    pace_note(&dispatch->pace, duration_ms);
    pthread_mutex_unlock(&dispatch->lock);
}

static void begin_line_locked(const struct dispatch *dispatch, struct pace_line *line,
                              int64_t now_ms)
{
    AUTO_FREE int64_t *elapsed_ms = xcalloc(dispatch->running + 1, sizeof(int64_t));
    const struct running *running;
    size_t count = 0;

    TAILQ_FOREACH(running, &dispatch->running_turns, in_list)
    elapsed_ms[count++] = now_ms - running->since_ms;
    pace_line_begin(line, &dispatch->pace, dispatch->takers, elapsed_ms, count);
}

static bool stands_elsewhere(const struct running *running, const struct ledger_entry *entry)
{
    return strcmp(running->channel, entry->channel) != 0 ||
           strcmp(running->thread, entry->reply_thread) != 0;
}

/* ---- the list -----------------------------------------------------------------------------
 */

struct listing {
    struct dispatch *dispatch;
    struct pace_line line;
    struct dispatch_place *places;
    size_t max;
    size_t count;
    int64_t now_ms;
};

static bool has_company(const struct listing *listing, const struct ledger_entry *entry)
{
    const struct running *running;

    TAILQ_FOREACH(running, &listing->dispatch->running_turns, in_list)
    {
        if (!stands_elsewhere(running, entry))
            return true;
    }
    for (size_t i = 0; i < listing->count; i++) {
        if (strcmp(listing->places[i].channel, entry->channel) == 0 &&
            strcmp(listing->places[i].reply_thread, entry->reply_thread) == 0)
            return true;
    }
    return false;
}

static void add_place(struct listing *listing, const struct lane *lane, size_t ahead,
                      int64_t wait_ms)
{
    const struct waiting *item = TAILQ_FIRST(&lane->waiting);
    const struct ledger_entry *entry = item->entry;
    bool is_shared = has_company(listing, entry);

    listing->places[listing->count++] = (struct dispatch_place){
        .id = entry->id,
        .conversation = xstrdup(lane->key),
        .channel = xstrdup(entry->channel),
        .reply_thread = xstrdup(entry->reply_thread),
        .reply_state = xstrdup(entry->reply_state),
        .attempts = entry->attempts,
        .received_wall_us = entry->received_wall_us,
        .is_found = item->source == DISPATCH_REFILL,
        .is_run = *entry->run_id != '\0',
        .has_company = is_shared,
        .waited_ms = listing->now_ms - item->since_ms,
        .ahead = ahead,
        .wait_ms = wait_ms,
    };
}

static bool list_lane(void *context, struct lane *lane, size_t ahead)
{
    struct listing *listing = context;

    add_place(listing, lane, ahead, pace_line_next(&listing->line));
    return listing->count < listing->max;
}

/* A conversation that is answered in one thread while a message of it waits in another. */
static void list_behind_own_locked(struct listing *listing)
{
    const struct dispatch *dispatch = listing->dispatch;
    const struct running *running;

    TAILQ_FOREACH(running, &dispatch->running_turns, in_list)
    {
        const struct waiting *item = TAILQ_FIRST(&running->lane->waiting);

        if (item && listing->count < listing->max && stands_elsewhere(running, item->entry))
            add_place(listing, running->lane, 1,
                      pace_left_ms(&dispatch->pace, listing->now_ms - running->since_ms));
    }
}

size_t dispatch_list_waiting(struct dispatch *dispatch, int64_t now_ms,
                             struct dispatch_place *ret_places, size_t max)
{
    struct listing listing = {
        .dispatch = dispatch, .places = ret_places, .max = max, .now_ms = now_ms
    };

    pthread_mutex_lock(&dispatch->lock);
    if (!dispatch->is_held && dispatch->waiting) {
        begin_line_locked(dispatch, &listing.line, now_ms);
        list_behind_own_locked(&listing);
        if (listing.count < max)
            lanes_walk_locked(dispatch, list_lane, &listing);
        pace_line_end(&listing.line);
    }
    pthread_mutex_unlock(&dispatch->lock);
    return listing.count;
}

bool dispatch_is_waiting(struct dispatch *dispatch, const char *conversation, int64_t id)
{
    const struct waiting *item = NULL;
    struct lane *lane;
    bool is_waiting = false;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, conversation);
    if (lane) {
        TAILQ_FOREACH(item, &lane->waiting, in_lane)
        is_waiting = is_waiting || item->entry->id == id;
    }
    pthread_mutex_unlock(&dispatch->lock);
    return is_waiting;
}

void dispatch_place_deinit(struct dispatch_place *place)
{
    free(place->conversation);
    free(place->channel);
    free(place->reply_thread);
    free(place->reply_state);
    *place = (struct dispatch_place){ 0 };
}

/* ---- figures ------------------------------------------------------------------------------
 */

struct search {
    const struct lane *lane;
    struct pace_line line;
    size_t ahead;
    int64_t wait_ms;
};

static bool look_for_lane(void *context, struct lane *lane, size_t ahead)
{
    struct search *search = context;

    search->ahead = ahead;
    search->wait_ms = pace_line_next(&search->line);
    return lane != search->lane;
}

static void find_place_locked(struct dispatch *dispatch, const struct lane *lane,
                              struct dispatch_figures *figures)
{
    struct search search = { .lane = lane, .wait_ms = PACE_UNKNOWN };
    int64_t now_ms = clock_now_ms();

    figures->is_waiting = true;
    if (!lane->person) { /* behind its own turn */
        figures->ahead = 1;
        figures->wait_ms = pace_left_ms(&dispatch->pace, now_ms - lane->running->since_ms);
        return;
    }
    begin_line_locked(dispatch, &search.line, now_ms);
    lanes_walk_locked(dispatch, look_for_lane, &search);
    pace_line_end(&search.line);
    figures->ahead = search.ahead;
    figures->wait_ms = search.wait_ms;
}

void dispatch_get_figures(struct dispatch *dispatch, const char *conversation,
                          struct dispatch_figures *ret_figures)
{
    const struct lane *lane = NULL;

    pthread_mutex_lock(&dispatch->lock);
    *ret_figures = (struct dispatch_figures){
        .waiting = dispatch->waiting,
        .running = dispatch->running,
        .people = HASH_COUNT(dispatch->people),
        .is_overflowing = dispatch->is_overflowing,
        .typical_ms = pace_typical_ms(&dispatch->pace),
        .wait_ms = PACE_UNKNOWN,
    };
    if (conversation)
        lane = lanes_find_locked(dispatch, conversation);
    ret_figures->is_running = lane && lane->running;
    if (lane && !TAILQ_EMPTY(&lane->waiting))
        find_place_locked(dispatch, lane, ret_figures);
    pthread_mutex_unlock(&dispatch->lock);
}
