/* dispatch.h: what is ended or taken back. */
#include "bot/dispatch_parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"

static bool matches(const char *want, const char *have)
{
    return !want || !*want || (have && strcmp(want, have) == 0);
}

/* A turn belongs to everybody whose message it answers. */
static bool is_asked_by(const struct running *running, const char *user)
{
    if (!user || !*user)
        return true;
    for (size_t i = 0; i < running->asked_count; i++) {
        if (strcmp(running->asked[i].user, user) == 0)
            return true;
    }
    return false;
}

static bool stops_running(const struct dispatch_filter *filter, const struct lane *lane)
{
    const struct running *running = lane->running;

    return running && matches(filter->conversation, lane->key) &&
           is_asked_by(running, filter->user) && matches(filter->channel, running->channel) &&
           matches(filter->thread, running->thread);
}

static bool stops_waiting(const struct dispatch_filter *filter,
                          const struct ledger_entry *entry)
{
    return matches(filter->conversation, entry->conversation) &&
           matches(filter->user, entry->user) && matches(filter->channel, entry->channel) &&
           matches(filter->thread, entry->reply_thread);
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

        if (ret_stopped && stops_running(filter, lane)) {
            lane->running->is_stopped = true;
            eventfd_write(lane->running->cancel_fd, 1);
            (*ret_stopped)++;
        }
        while (item && count < max) {
            struct waiting *next = TAILQ_NEXT(item, in_lane);

            if (stops_waiting(filter, item->entry))
                ret_entries[count++] = lanes_remove_locked(dispatch, lane, item);
            item = next;
        }
        lanes_tidy_locked(dispatch, lane);
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

static struct waiting *find_waiting(struct lane *lane, const char *channel, const char *ts)
{
    struct waiting *item;

    TAILQ_FOREACH(item, &lane->waiting, in_lane)
    {
        if (strcmp(item->entry->channel, channel) == 0 &&
            (strcmp(item->entry->ts, ts) == 0 || strcmp(item->notice_ts, ts) == 0))
            return item;
    }
    return NULL;
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
        struct waiting *item = find_waiting(lane, channel, ts);

        if (!item || *item->entry->run_id || strcmp(item->entry->ts, ts) != 0)
            continue;
        found = lanes_remove_locked(dispatch, lane, item);
        lanes_tidy_locked(dispatch, lane);
        break;
    }
    pthread_mutex_unlock(&dispatch->lock);
    return found;
}

/* ---- which conversation a message stands in -----------------------------------------------
 */

/* One of those questions, asked by `user`, or a message of the answer to them. */
static bool is_of_turn(const struct running *running, const char *channel, const char *ts,
                       const char *user)
{
    if (!running || strcmp(running->channel, channel) != 0)
        return false;
    for (size_t i = 0; i < running->asked_count; i++) {
        if (strcmp(running->asked[i].ts, ts) == 0)
            return matches(user, running->asked[i].user);
    }
    for (size_t i = 0; i < DISPATCH_ANSWERS_MAX; i++) {
        if (strcmp(running->answers[i], ts) == 0)
            return is_asked_by(running, user);
    }
    return false;
}

char *dispatch_find_conversation(struct dispatch *dispatch,
                                 const struct dispatch_message *message, char **ret_thread)
{
    struct lane *lane;
    struct lane *next_lane;
    char *found = NULL;

    if (!*message->ts)
        return NULL;
    pthread_mutex_lock(&dispatch->lock);
    HASH_ITER(hh, dispatch->lanes, lane, next_lane)
    {
        const struct waiting *item = find_waiting(lane, message->channel, message->ts);

        if (item ? !matches(message->user, item->entry->user)
                 : !is_of_turn(lane->running, message->channel, message->ts, message->user))
            continue;
        found = xstrdup(lane->key);
        *ret_thread = xstrdup(item ? item->entry->reply_thread : lane->running->thread);
        break;
    }
    pthread_mutex_unlock(&dispatch->lock);
    return found;
}

void dispatch_note_answer(struct dispatch *dispatch, const char *conversation, const char *ts)
{
    struct lane *lane;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, conversation);
    if (lane && lane->running && *ts) {
        struct running *running = lane->running;
        char *slot = running->answers[running->answers_count++ % DISPATCH_ANSWERS_MAX];

        snprintf(slot, DISPATCH_TS_BYTES, "%s", ts);
    }
    pthread_mutex_unlock(&dispatch->lock);
}

void dispatch_note_notice(struct dispatch *dispatch, const char *conversation, int64_t id,
                          const char *ts)
{
    struct lane *lane;
    struct waiting *item = NULL;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, conversation);
    if (lane) {
        TAILQ_FOREACH(item, &lane->waiting, in_lane)
        {
            if (item->entry->id == id)
                snprintf(item->notice_ts, DISPATCH_TS_BYTES, "%s", ts);
        }
    }
    pthread_mutex_unlock(&dispatch->lock);
}

/* ---- beginning afresh ---------------------------------------------------------------------
 */

bool dispatch_mark_reset(struct dispatch *dispatch, const char *conversation)
{
    struct lane *lane;
    bool is_running;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, conversation);
    is_running = lane && lane->running;
    if (is_running)
        lane->running->wants_reset = true;
    pthread_mutex_unlock(&dispatch->lock);
    return is_running;
}

bool dispatch_wants_reset(struct dispatch *dispatch, const struct dispatch_batch *batch)
{
    const struct lane *lane;
    bool wants;

    pthread_mutex_lock(&dispatch->lock);
    lane = lanes_find_locked(dispatch, batch->conversation);
    wants = lane && lane->running && lane->running->wants_reset;
    pthread_mutex_unlock(&dispatch->lock);
    return wants;
}
