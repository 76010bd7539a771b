#include "bot/twins.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "slack/web.h"

#define SEEN_MAX   1024 /* within a second or so */
#define MISSES_MAX 3
#define SLICE_MS   50 /* how soon a wait notices that the daemon stops */

struct seen {
    char channel[SLACK_ID_MAX_BYTES];
    char ts[SLACK_TS_MAX_BYTES];
};

struct twins {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t news;
    struct seen seen[SEEN_MAX]; /* a ring */
    size_t next;
    unsigned misses; /* in a row */
};

struct twins *twins_new(void)
{
    struct twins *twins = xcalloc(1, sizeof(*twins));
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&twins->news, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&twins->lock, NULL);
    return twins;
}

void twins_free(struct twins *twins)
{
    if (!twins)
        return;
    pthread_cond_destroy(&twins->news);
    pthread_mutex_destroy(&twins->lock);
    free(twins);
}

void twins_note(struct twins *twins, const char *channel, const char *ts)
{
    struct seen *seen;

    pthread_mutex_lock(&twins->lock);
    seen = &twins->seen[twins->next];
    twins->next = (twins->next + 1) % SEEN_MAX;
    snprintf(seen->channel, sizeof(seen->channel), "%s", channel);
    snprintf(seen->ts, sizeof(seen->ts), "%s", ts);
    twins->misses = 0;
    pthread_cond_broadcast(&twins->news);
    pthread_mutex_unlock(&twins->lock);
}

static bool holds_locked(const struct twins *twins, const char *channel, const char *ts)
{
    for (size_t i = 0; i < SEEN_MAX; i++) {
        if (strcmp(twins->seen[i].ts, ts) == 0 && strcmp(twins->seen[i].channel, channel) == 0)
            return true;
    }
    return false;
}

static void wait_locked(struct twins *twins, int64_t until_ms)
{
    struct timespec until = { .tv_sec = until_ms / 1000,
                              .tv_nsec = (until_ms % 1000) * 1000000 };

    pthread_cond_timedwait(&twins->news, &twins->lock, &until);
}

bool twins_wait(struct twins *twins, const char *channel, const char *ts, int64_t limit_ms,
                const atomic_bool *is_stopping)
{
    int64_t give_up_ms = clock_now_ms() + limit_ms;
    bool is_seen;

    pthread_mutex_lock(&twins->lock);
    while (!(is_seen = holds_locked(twins, channel, ts)) && twins->misses < MISSES_MAX &&
           !atomic_load(is_stopping)) {
        int64_t now_ms = clock_now_ms();

        if (now_ms >= give_up_ms) {
            twins->misses++;
            break;
        }
        wait_locked(twins, now_ms + SLICE_MS < give_up_ms ? now_ms + SLICE_MS : give_up_ms);
    }
    pthread_mutex_unlock(&twins->lock);
    return is_seen;
}
