#include "bot/dispatch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "bot/dispatch_parts.h"

struct dispatch *dispatch_new(struct metrics *metrics)
{
    struct dispatch *dispatch = xcalloc(1, sizeof(*dispatch));

    pthread_mutex_init(&dispatch->lock, NULL);
    pthread_cond_init(&dispatch->ready, NULL);
    TAILQ_INIT(&dispatch->ring);
    TAILQ_INIT(&dispatch->running_turns);
    dispatch->takers = 1;
    dispatch->waiting_gauge =
        metrics_gauge(metrics, "queue_messages", "", "Messages waiting for their turn.");
    dispatch->running_gauge =
        metrics_gauge(metrics, "turns_running", "", "Turns that are running.");
    dispatch->overflows = metrics_counter(metrics, "queue_overflows_total", "",
                                          "Messages left in the ledger until there is room.");
    return dispatch;
}

void dispatch_free(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    lanes_free_all(dispatch);
    pthread_cond_destroy(&dispatch->ready);
    pthread_mutex_destroy(&dispatch->lock);
    free(dispatch);
}

void dispatch_set_takers(struct dispatch *dispatch, size_t takers)
{
    pthread_mutex_lock(&dispatch->lock);
    dispatch->takers = takers;
    pthread_mutex_unlock(&dispatch->lock);
}

/* ---- in -----------------------------------------------------------------------------------
 */

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

    pthread_mutex_lock(&dispatch->lock);
    if (is_left_to_refill_locked(dispatch, entry, source)) {
        pthread_mutex_unlock(&dispatch->lock);
        ledger_entry_free(entry);
        return;
    }
    lane = lanes_of_locked(dispatch, entry->conversation);
    if (entry->id > dispatch->last_id)
        dispatch->last_id = entry->id;
    lanes_add_locked(dispatch, lane, entry, source);
    lanes_make_ready_locked(dispatch, lane);
    pthread_mutex_unlock(&dispatch->lock);
}

/* ---- out ----------------------------------------------------------------------------------
 */

/* What waits together is answered together; a run of an earlier process is taken up by itself.
 */
static void fill_batch_locked(struct dispatch *dispatch, struct lane *lane,
                              struct dispatch_batch *batch)
{
    struct waiting *next;
    struct lane_fit fit = { 0 };

    batch->conversation = xstrdup(lane->key);
    batch->entries = xcalloc(DISPATCH_BATCH_MAX, sizeof(struct ledger_entry *));
    while ((next = TAILQ_FIRST(&lane->waiting)) != NULL) {
        const struct ledger_entry *entry = next->entry;

        if (batch->count && !lanes_fits(&fit, entry))
            break;
        if (!batch->count) {
            batch->is_found = next->source == DISPATCH_REFILL;
            fit = (struct lane_fit){ .run_id = entry->run_id,
                                     .channel = entry->channel,
                                     .thread = entry->reply_thread };
        }
        fit.count++;
        fit.bytes += strlen(entry->text);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed was unlinked first */
        batch->entries[batch->count++] = lanes_remove_locked(dispatch, lane, next);
    }
}

bool dispatch_take(struct dispatch *dispatch, int cancel_fd, struct dispatch_batch *ret_batch)
{
    struct dispatch_batch batch = { 0 };
    struct lane *lane;
    eventfd_t stale;

    pthread_mutex_lock(&dispatch->lock);
    while (!dispatch->is_closed && (dispatch->is_held || TAILQ_EMPTY(&dispatch->ring)))
        pthread_cond_wait(&dispatch->ready, &dispatch->lock);
    if (dispatch->is_closed) {
        pthread_mutex_unlock(&dispatch->lock);
        return false;
    }
    lane = lanes_next_locked(dispatch);
    (void)eventfd_read(cancel_fd, &stale); /* a stop that came after its turn had ended */
    fill_batch_locked(dispatch, lane, &batch);
    lanes_begin_locked(dispatch, lane, cancel_fd, &batch);
    pthread_mutex_unlock(&dispatch->lock);
    *ret_batch = batch;
    return true;
}

void dispatch_note_batch(struct dispatch *dispatch, const struct dispatch_batch *batch)
{
    struct lane *lane;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, batch->conversation);
    if (lane && lane->running)
        lanes_note_asked_locked(lane->running, batch);
    pthread_mutex_unlock(&dispatch->lock);
}

void dispatch_finish(struct dispatch *dispatch, struct dispatch_batch *batch)
{
    struct lane *lane;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, batch->conversation);
    if (lane && lane->running)
        lanes_end_locked(dispatch, lane);
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
