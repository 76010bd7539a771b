#include "bot/limit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/clock.h"

struct window {
    UT_hash_handle hh;
    TAILQ_ENTRY(window) in_order;
    int64_t ends_ms;
    int64_t count;
    int64_t told;
    char user[];
};

struct limit {
    pthread_mutex_t lock; /* guards everything below */
    struct window *windows;
    TAILQ_HEAD(window_list, window) order; /* the one that began first leads */
    struct metric *refusals;
};

struct limit *limit_new(struct metrics *metrics)
{
    struct limit *limit = xcalloc(1, sizeof(*limit));

    pthread_mutex_init(&limit->lock, NULL);
    TAILQ_INIT(&limit->order);
    limit->refusals =
        metrics_counter(metrics, "rate_limited_total", "",
                        "Messages refused because their author had sent more than "
                        "access.rate_limit allows.");
    return limit;
}

static void drop_locked(struct limit *limit, struct window *window)
{
    TAILQ_REMOVE(&limit->order, window, in_order);
    HASH_DEL(limit->windows, window); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
    free(window);
}

void limit_free(struct limit *limit)
{
    struct window *window;

    if (!limit)
        return;
    while ((window = TAILQ_FIRST(&limit->order)) != NULL)
        drop_locked(limit, window);
    pthread_mutex_destroy(&limit->lock);
    free(limit);
}

/* Windows are of one length, so those that have ended lead the list; where a reload has changed
 * the length, some stay a little longer, and are not counted with. */
static void drop_ended_locked(struct limit *limit, int64_t now_ms)
{
    struct window *window;

    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed was unlinked first */
    while ((window = TAILQ_FIRST(&limit->order)) != NULL && window->ends_ms <= now_ms)
        drop_locked(limit, window);
}

static struct window *begin_locked(struct limit *limit, const char *user, int64_t ends_ms)
{
    size_t len = strlen(user);
    struct window *window = xcalloc(1, sizeof(*window) + len + 1);

    if (HASH_COUNT(limit->windows) >= LIMIT_PEOPLE_MAX)
        drop_locked(limit, TAILQ_FIRST(&limit->order));
    memcpy(window->user, user, len);
    window->ends_ms = ends_ms;
    HASH_ADD(hh, limit->windows, user[0], len, window);
    TAILQ_INSERT_TAIL(&limit->order, window, in_order);
    return window;
}

struct limit_answer limit_count(struct limit *limit, const char *user, int64_t requests,
                                int64_t window_ms, int64_t now_ms)
{
    struct limit_answer answer = { .requests = requests, .window_ms = window_ms };
    struct window *window = NULL;

    if (requests <= 0)
        return answer;
    pthread_mutex_lock(&limit->lock);
    drop_ended_locked(limit, now_ms);
    HASH_FIND(hh, limit->windows, user, strlen(user), window);
    if (window && window->ends_ms <= now_ms) {
        drop_locked(limit, window);
        window = NULL;
    }
    if (!window)
        window = begin_locked(limit, user, now_ms + window_ms);
    answer.count = ++window->count;
    answer.wait_ms = window->ends_ms - now_ms;
    answer.is_refused = answer.count > requests;
    if (answer.is_refused) {
        answer.is_told = window->told < LIMIT_TOLD_MAX;
        answer.is_last_told = ++window->told == LIMIT_TOLD_MAX;
    }
    pthread_mutex_unlock(&limit->lock);
    if (answer.is_refused)
        metric_add(limit->refusals, 1);
    return answer;
}

/* "60 s" rather than "1 min 0 s"; rounded up, so that who waits that long has waited enough. */
static void print_time(int64_t duration_ms, struct buf *out)
{
    int64_t seconds = (duration_ms + 999) / 1000;
    char text[32];

    if (seconds <= 120)
        buf_printf(out, "%" PRId64 " s", seconds);
    else
        buf_append_text(out, clock_human(seconds * 1000, text));
}

void limit_print(const struct limit_answer *answer, struct buf *out)
{
    buf_printf(out, "Sorry, this is your message number %" PRId64 " within ", answer->count);
    print_time(answer->window_ms, out);
    buf_printf(out,
               ", and I take %" PRId64 " from one person in that time, so I leave it "
               "unanswered. Please send it again in ",
               answer->requests);
    print_time(answer->wait_ms, out);
    buf_append_char(out, '.');
    if (answer->is_last_told)
        buf_append_text(out, " Until then I leave more of them unanswered without saying so.");
}

int64_t limit_refusals(const struct limit *limit)
{
    return metric_value(limit->refusals);
}
