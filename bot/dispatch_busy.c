/* dispatch.h: what newer messages do to a turn that runs (agent.busy). */
#include "bot/dispatch_parts.h"

#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"

void dispatch_set_busy(struct dispatch *dispatch, enum dispatch_busy busy)
{
    pthread_mutex_lock(&dispatch->lock);
    dispatch->busy = busy;
    pthread_mutex_unlock(&dispatch->lock);
}

/* A Retry is a click, not a newer message; a run of an earlier process is older than all. */
static bool may_act(const struct running *running, const struct waiting *item)
{
    if (item->source == DISPATCH_AGAIN || *item->entry->run_id)
        return false;
    for (size_t i = 0; i < running->asked_count; i++) {
        if (strcmp(running->asked[i].user, item->entry->user) == 0)
            return true;
    }
    return false;
}

static struct lane_fit fit_of(const struct running *running)
{
    return (struct lane_fit){ .run_id = "",
                              .channel = running->channel,
                              .thread = running->thread,
                              .count = running->asked_count,
                              .bytes = running->asked_bytes };
}

/*
 * When the messages that act came: false when there is none. For a steer only those at the head
 * of the lane that one turn can answer together with the running one, because nothing overtakes
 * within a conversation.
 */
static bool find_acting(const struct dispatch *dispatch, const struct lane *lane,
                        int64_t *ret_first_ms, int64_t *ret_last_ms)
{
    const struct running *running = lane->running;
    struct lane_fit fit = fit_of(running);
    const struct waiting *item;
    bool found = false;

    TAILQ_FOREACH(item, &lane->waiting, in_lane)
    {
        if (dispatch->busy == DISPATCH_STEER && !lanes_fits(&fit, item->entry))
            break;
        fit.count++;
        fit.bytes += strlen(item->entry->text);
        if (!may_act(running, item))
            continue;
        if (!found || item->since_ms < *ret_first_ms)
            *ret_first_ms = item->since_ms;
        if (!found || item->since_ms > *ret_last_ms)
            *ret_last_ms = item->since_ms;
        found = true;
    }
    return found;
}

enum dispatch_busy dispatch_ask_busy(struct dispatch *dispatch,
                                     const struct dispatch_batch *batch, int64_t now_ms,
                                     bool is_over)
{
    enum dispatch_busy busy = DISPATCH_QUEUE;
    const struct lane *lane;
    int64_t first_ms = 0;
    int64_t last_ms = 0;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, batch->conversation);
    if (dispatch->busy != DISPATCH_QUEUE && lane && lane->running &&
        !lane->running->is_stopped && find_acting(dispatch, lane, &first_ms, &last_ms) &&
        (is_over || now_ms - last_ms >= DISPATCH_SETTLE_MS ||
         now_ms - first_ms >= DISPATCH_SETTLE_MAX_MS))
        busy = dispatch->busy;
    pthread_mutex_unlock(&dispatch->lock);
    return busy;
}

bool dispatch_is_stopped(struct dispatch *dispatch, const struct dispatch_batch *batch)
{
    const struct lane *lane;
    bool is_stopped;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, batch->conversation);
    is_stopped = lane && lane->running && lane->running->is_stopped;
    pthread_mutex_unlock(&dispatch->lock);
    return is_stopped;
}

size_t dispatch_take_more(struct dispatch *dispatch, struct dispatch_batch *batch)
{
    struct lane *lane;
    struct waiting *item;
    struct lane_fit fit;
    eventfd_t stale;
    size_t taken = 0;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, batch->conversation);
    if (lane && lane->running && !lane->running->is_stopped) {
        fit = fit_of(lane->running);
        while ((item = TAILQ_FIRST(&lane->waiting)) != NULL && lanes_fits(&fit, item->entry)) {
            fit.count++;
            fit.bytes += strlen(item->entry->text);
            batch->entries[batch->count++] = lanes_remove_locked(dispatch, lane, item);
            taken++;
        }
        lanes_note_asked_locked(lane->running, batch);
        /* It ended the run before; a stop from here on is meant for the one that follows. */
        (void)eventfd_read(lane->running->cancel_fd, &stale);
    }
    pthread_mutex_unlock(&dispatch->lock);
    return taken;
}
