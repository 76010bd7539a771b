#include "bot/dispatch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/decimal.h"

struct waiting {
    TAILQ_ENTRY(waiting) in_lane;
    struct ledger_entry *entry;
};

struct person;

struct lane {
    UT_hash_handle hh;
    TAILQ_ENTRY(lane) in_person; /* while it waits for a worker */
    TAILQ_HEAD(waiting_list, waiting) waiting;
    struct person *person; /* in whose queue it is; NULL when in none */
    bool is_running;
    bool wants_reset; /* once the running turn is over */
    int cancel_fd;    /* of the worker that runs it */
    char *running_user;
    char *running_channel;
    char *running_thread;
    char key[];
};

struct person {
    UT_hash_handle hh;
    TAILQ_ENTRY(person) in_ring;
    TAILQ_HEAD(lane_list, lane) lanes; /* ready ones, in order of arrival */
    char user[];
};

struct dispatch {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t ready;
    struct lane *lanes;
    struct person *people;
    TAILQ_HEAD(ring, person)
    ring; /* people with a ready lane; taken from the head, back to the tail */
    size_t waiting;
    size_t running;
    int64_t last_id;     /* the highest id let in */
    bool is_overflowing; /* newer messages stay in the ledger, so that none overtakes */
    bool is_held;        /* until the refill of the start is over */
    bool is_refilling;
    bool dropped_since_refill;
    bool is_closed;
    struct metric *waiting_gauge;
    struct metric *running_gauge;
    struct metric *overflows;
};

struct dispatch *dispatch_new(struct metrics *metrics)
{
    struct dispatch *dispatch = xcalloc(1, sizeof(*dispatch));

    pthread_mutex_init(&dispatch->lock, NULL);
    pthread_cond_init(&dispatch->ready, NULL);
    TAILQ_INIT(&dispatch->ring);
    dispatch->waiting_gauge =
        metrics_gauge(metrics, "queue_messages", "", "Messages waiting for their turn.");
    dispatch->running_gauge =
        metrics_gauge(metrics, "turns_running", "", "Turns that are running.");
    dispatch->overflows = metrics_counter(metrics, "queue_overflows_total", "",
                                          "Messages left in the ledger until there is room.");
    return dispatch;
}

static void free_waiting(struct lane *lane)
{
    struct waiting *item;

    while ((item = TAILQ_FIRST(&lane->waiting)) != NULL) {
        TAILQ_REMOVE(&lane->waiting, item, in_lane);
        ledger_entry_free(item->entry);
        free(item);
    }
}

static void free_lane(struct lane *lane)
{
    free(lane->running_user);
    free(lane->running_channel);
    free(lane->running_thread);
    free(lane);
}

void dispatch_free(struct dispatch *dispatch)
{
    struct lane *lane;
    struct lane *next_lane;
    struct person *person;
    struct person *next_person;

    if (!dispatch)
        return;
    HASH_ITER(hh, dispatch->lanes, lane, next_lane)
    {
        HASH_DEL(dispatch->lanes, lane); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        free_waiting(lane);
        free_lane(lane);
    }
    HASH_ITER(hh, dispatch->people, person, next_person)
    {
        HASH_DEL(dispatch->people, person); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        free(person);
    }
    pthread_cond_destroy(&dispatch->ready);
    pthread_mutex_destroy(&dispatch->lock);
    free(dispatch);
}

/* ---- lanes and people ---------------------------------------------------------------------
 */

static struct lane *lane_of_locked(struct dispatch *dispatch, const char *key)
{
    struct lane *lane;
    size_t len = strlen(key);

    HASH_FIND(hh, dispatch->lanes, key, len, lane);
    if (lane)
        return lane;
    lane = xcalloc(1, sizeof(*lane) + len + 1);
    memcpy(lane->key, key, len);
    TAILQ_INIT(&lane->waiting);
    lane->cancel_fd = -1;
    HASH_ADD(hh, dispatch->lanes, key[0], len, lane);
    return lane;
}

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

/* A lane with something waiting and nothing running joins its person's queue. */
static void make_ready_locked(struct dispatch *dispatch, struct lane *lane)
{
    const struct waiting *first = TAILQ_FIRST(&lane->waiting);

    if (!first || lane->is_running || lane->person)
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

static void drop_if_idle_locked(struct dispatch *dispatch, struct lane *lane)
{
    if (lane->is_running || !TAILQ_EMPTY(&lane->waiting))
        return;
    leave_person_locked(dispatch, lane);
    HASH_DEL(dispatch->lanes, lane);
    free_lane(lane);
}

static void insert_by_ts_locked(struct lane *lane, struct waiting *item)
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

/* Whether a refill has brought the entry already, or will. */
static bool is_left_to_refill_locked(struct dispatch *dispatch,
                                     const struct ledger_entry *entry,
                                     enum dispatch_source source)
{
    bool is_ahead = entry->id > dispatch->last_id;

    if (dispatch->waiting >= DISPATCH_QUEUE_MAX)
        dispatch->is_overflowing = true;
    if (source == DISPATCH_REFILL || (source == DISPATCH_AGAIN && !is_ahead))
        return false;
    if (is_ahead && dispatch->is_overflowing) {
        dispatch->dropped_since_refill = true;
        metric_add(dispatch->overflows, 1);
        return true;
    }
    return !is_ahead;
}

void dispatch_submit(struct dispatch *dispatch, struct ledger_entry *entry,
                     enum dispatch_source source)
{
    struct lane *lane;
    struct waiting *item;

    pthread_mutex_lock(&dispatch->lock);
    if (is_left_to_refill_locked(dispatch, entry, source)) {
        pthread_mutex_unlock(&dispatch->lock);
        ledger_entry_free(entry);
        return;
    }
    lane = lane_of_locked(dispatch, entry->conversation);
    item = xcalloc(1, sizeof(*item));
    item->entry = entry;
    if (entry->id > dispatch->last_id)
        dispatch->last_id = entry->id;
    insert_by_ts_locked(lane, item);
    metric_set(dispatch->waiting_gauge, (int64_t)++dispatch->waiting);
    make_ready_locked(dispatch, lane);
    pthread_mutex_unlock(&dispatch->lock);
}

/* ---- batches ------------------------------------------------------------------------------
 */

static struct ledger_entry *take_first_locked(struct dispatch *dispatch, struct lane *lane)
{
    struct waiting *item = TAILQ_FIRST(&lane->waiting);
    struct ledger_entry *entry = item->entry;

    TAILQ_REMOVE(&lane->waiting, item, in_lane);
    free(item);
    metric_set(dispatch->waiting_gauge, (int64_t)--dispatch->waiting);
    return entry;
}

/* What waits together is answered together; a run of an earlier process is taken up by itself.
 */
static void fill_batch_locked(struct dispatch *dispatch, struct lane *lane,
                              struct dispatch_batch *batch)
{
    const struct waiting *next;
    size_t bytes = 0;

    batch->conversation = xstrdup(lane->key);
    batch->entries = xcalloc(DISPATCH_BATCH_MAX, sizeof(struct ledger_entry *));
    while (batch->count < DISPATCH_BATCH_MAX && (next = TAILQ_FIRST(&lane->waiting)) != NULL) {
        const struct ledger_entry *first = batch->count ? batch->entries[0] : next->entry;

        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed was unlinked first */
        bytes += strlen(next->entry->text);
        if (batch->count && (strcmp(first->run_id, next->entry->run_id) != 0 ||
                             strcmp(first->reply_thread, next->entry->reply_thread) != 0 ||
                             strcmp(first->channel, next->entry->channel) != 0 ||
                             bytes > DISPATCH_BATCH_MAX_BYTES))
            break;
        batch->entries[batch->count++] = take_first_locked(dispatch, lane);
    }
}

static void start_lane_locked(struct dispatch *dispatch, struct lane *lane, int cancel_fd,
                              struct dispatch_batch *batch)
{
    fill_batch_locked(dispatch, lane, batch);
    lane->is_running = true;
    lane->wants_reset = false;
    lane->cancel_fd = cancel_fd;
    lane->running_user = xstrdup(batch->entries[0]->user);
    lane->running_channel = xstrdup(batch->entries[0]->channel);
    lane->running_thread = xstrdup(batch->entries[0]->reply_thread);
    metric_set(dispatch->running_gauge, (int64_t)++dispatch->running);
}

bool dispatch_take(struct dispatch *dispatch, int cancel_fd, struct dispatch_batch *ret_batch)
{
    struct dispatch_batch batch = { 0 };
    struct person *person;
    struct lane *lane;
    eventfd_t stale;

    pthread_mutex_lock(&dispatch->lock);
    while (!dispatch->is_closed && (dispatch->is_held || TAILQ_EMPTY(&dispatch->ring)))
        pthread_cond_wait(&dispatch->ready, &dispatch->lock);
    if (dispatch->is_closed) {
        pthread_mutex_unlock(&dispatch->lock);
        return false;
    }
    person = TAILQ_FIRST(&dispatch->ring);
    TAILQ_REMOVE(&dispatch->ring, person, in_ring);
    TAILQ_INSERT_TAIL(&dispatch->ring, person, in_ring);
    lane = TAILQ_FIRST(&person->lanes);
    leave_person_locked(dispatch, lane);
    (void)eventfd_read(cancel_fd, &stale); /* a stop that came after its turn had ended */
    start_lane_locked(dispatch, lane, cancel_fd, &batch);
    pthread_mutex_unlock(&dispatch->lock);
    *ret_batch = batch;
    return true;
}

void dispatch_finish(struct dispatch *dispatch, struct dispatch_batch *batch)
{
    struct lane *lane;

    pthread_mutex_lock(&dispatch->lock);
    lane = lane_of_locked(dispatch, batch->conversation);
    lane->is_running = false;
    lane->cancel_fd = -1;
    free(take_ptr(&lane->running_user));
    free(take_ptr(&lane->running_channel));
    free(take_ptr(&lane->running_thread));
    metric_set(dispatch->running_gauge, (int64_t)--dispatch->running);
    make_ready_locked(dispatch, lane);
    drop_if_idle_locked(dispatch, lane);
    pthread_mutex_unlock(&dispatch->lock);
    for (size_t i = 0; i < batch->count; i++)
        ledger_entry_free(batch->entries[i]);
    free(batch->entries);
    free(batch->conversation);
    *batch = (struct dispatch_batch){ 0 };
}

void dispatch_close(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->lock);
    dispatch->is_closed = true;
    pthread_cond_broadcast(&dispatch->ready);
    pthread_mutex_unlock(&dispatch->lock);
}

/* ---- overflow -----------------------------------------------------------------------------
 */

void dispatch_hold_for_refill(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->lock);
    dispatch->is_held = true;
    dispatch->is_overflowing = true;
    pthread_mutex_unlock(&dispatch->lock);
}

bool dispatch_wants_refill(struct dispatch *dispatch, int64_t *ret_after_id)
{
    bool wants;

    pthread_mutex_lock(&dispatch->lock);
    wants = dispatch->is_overflowing && !dispatch->is_refilling && !dispatch->is_closed &&
            dispatch->waiting < DISPATCH_QUEUE_MAX / 2;
    if (wants) {
        dispatch->is_refilling = true;
        dispatch->dropped_since_refill = false;
        *ret_after_id = dispatch->last_id;
    }
    pthread_mutex_unlock(&dispatch->lock);
    return wants;
}

void dispatch_refilled(struct dispatch *dispatch, bool has_more)
{
    pthread_mutex_lock(&dispatch->lock);
    dispatch->is_refilling = false;
    dispatch->is_overflowing = has_more || dispatch->dropped_since_refill;
    dispatch->is_held = false;
    pthread_cond_broadcast(&dispatch->ready);
    pthread_mutex_unlock(&dispatch->lock);
}

/* ---- stopping -----------------------------------------------------------------------------
 */

static bool matches(const char *want, const char *have)
{
    return !want || !*want || (have && strcmp(want, have) == 0);
}

static bool stops_running_locked(const struct dispatch_filter *filter, const struct lane *lane)
{
    return lane->is_running && matches(filter->conversation, lane->key) &&
           matches(filter->user, lane->running_user) &&
           matches(filter->channel, lane->running_channel) &&
           matches(filter->thread, lane->running_thread);
}

static bool stops_waiting(const struct dispatch_filter *filter,
                          const struct ledger_entry *entry)
{
    return matches(filter->conversation, entry->conversation) &&
           matches(filter->user, entry->user) && matches(filter->channel, entry->channel) &&
           matches(filter->thread, entry->reply_thread);
}

static struct ledger_entry *take_out_locked(struct dispatch *dispatch, struct lane *lane,
                                            struct waiting *item)
{
    struct ledger_entry *entry = item->entry;

    TAILQ_REMOVE(&lane->waiting, item, in_lane);
    free(item);
    metric_set(dispatch->waiting_gauge, (int64_t)--dispatch->waiting);
    return entry;
}

static size_t stop_locked(struct dispatch *dispatch, const struct dispatch_filter *filter,
                          struct ledger_entry **ret_entries, size_t max, unsigned *ret_stopped)
{
    struct lane *lane;
    struct lane *next_lane;
    size_t count = 0;

    HASH_ITER(hh, dispatch->lanes, lane, next_lane)
    {
        struct waiting *item = TAILQ_FIRST(&lane->waiting);

        if (ret_stopped && stops_running_locked(filter, lane)) {
            eventfd_write(lane->cancel_fd, 1);
            (*ret_stopped)++;
        }
        while (item && count < max) {
            struct waiting *next = TAILQ_NEXT(item, in_lane);

            if (stops_waiting(filter, item->entry))
                ret_entries[count++] = take_out_locked(dispatch, lane, item);
            item = next;
        }
        if (TAILQ_EMPTY(&lane->waiting))
            leave_person_locked(dispatch, lane);
        drop_if_idle_locked(dispatch, lane);
    }
    return count;
}

unsigned dispatch_stop(struct dispatch *dispatch, const struct dispatch_filter *filter,
                       struct ledger_entry **ret_entries, size_t max, size_t *ret_count)
{
    unsigned stopped = 0;

    pthread_mutex_lock(&dispatch->lock);
    *ret_count = stop_locked(dispatch, filter, ret_entries, max, &stopped);
    pthread_mutex_unlock(&dispatch->lock);
    return stopped;
}

size_t dispatch_take_waiting(struct dispatch *dispatch, const struct dispatch_filter *filter,
                             struct ledger_entry **ret_entries, size_t max)
{
    size_t count;

    pthread_mutex_lock(&dispatch->lock);
    count = stop_locked(dispatch, filter, ret_entries, max, NULL);
    pthread_mutex_unlock(&dispatch->lock);
    return count;
}

struct ledger_entry *dispatch_withdraw(struct dispatch *dispatch, const char *channel,
                                       const char *ts)
{
    struct ledger_entry *found = NULL;
    struct lane *lane;
    struct lane *next_lane;

    pthread_mutex_lock(&dispatch->lock);
    HASH_ITER(hh, dispatch->lanes, lane, next_lane)
    {
        struct waiting *item = NULL;

        TAILQ_FOREACH(item, &lane->waiting, in_lane)
        {
            if (strcmp(item->entry->ts, ts) == 0 &&
                strcmp(item->entry->channel, channel) == 0 && !*item->entry->run_id)
                break;
        }
        if (!item)
            continue;
        found = take_out_locked(dispatch, lane, item);
        if (TAILQ_EMPTY(&lane->waiting))
            leave_person_locked(dispatch, lane);
        drop_if_idle_locked(dispatch, lane);
        break;
    }
    pthread_mutex_unlock(&dispatch->lock);
    return found;
}

bool dispatch_mark_reset(struct dispatch *dispatch, const char *conversation)
{
    struct lane *lane;
    bool is_running;

    pthread_mutex_lock(&dispatch->lock);
    HASH_FIND(hh, dispatch->lanes, conversation, strlen(conversation), lane);
    is_running = lane && lane->is_running;
    if (is_running)
        lane->wants_reset = true;
    pthread_mutex_unlock(&dispatch->lock);
    return is_running;
}

bool dispatch_wants_reset(struct dispatch *dispatch, const struct dispatch_batch *batch)
{
    const struct lane *lane;
    bool wants;

    pthread_mutex_lock(&dispatch->lock);
    HASH_FIND(hh, dispatch->lanes, batch->conversation, strlen(batch->conversation), lane);
    wants = lane && lane->wants_reset;
    pthread_mutex_unlock(&dispatch->lock);
    return wants;
}

/* ---- figures ------------------------------------------------------------------------------
 */

/* People take turns: before a lane go as many batches of each person as its place in its own
 * queue. */
static size_t batches_ahead_locked(const struct dispatch *dispatch, const struct lane *lane)
{
    const struct person *person;
    const struct lane *other;
    size_t place = 0;
    size_t ahead = 0;

    TAILQ_FOREACH(other, &lane->person->lanes, in_person)
    {
        if (other == lane)
            break;
        place++;
    }
    TAILQ_FOREACH(person, &dispatch->ring, in_ring)
    {
        size_t theirs = 0;

        TAILQ_FOREACH(other, &person->lanes, in_person)
        {
            theirs++;
        }
        ahead += person == lane->person ? place : theirs < place + 1 ? theirs : place + 1;
    }
    return ahead;
}

void dispatch_get_figures(struct dispatch *dispatch, const char *conversation,
                          struct dispatch_figures *ret_figures)
{
    struct lane *lane = NULL;

    pthread_mutex_lock(&dispatch->lock);
    *ret_figures = (struct dispatch_figures){
        .waiting = dispatch->waiting,
        .running = dispatch->running,
        .people = HASH_COUNT(dispatch->people),
        .is_overflowing = dispatch->is_overflowing,
    };
    if (conversation)
        HASH_FIND(hh, dispatch->lanes, conversation, strlen(conversation), lane);
    ret_figures->is_running = lane && lane->is_running;
    if (lane && lane->person)
        ret_figures->ahead = batches_ahead_locked(dispatch, lane);
    pthread_mutex_unlock(&dispatch->lock);
}
