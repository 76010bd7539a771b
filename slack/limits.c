#include "slack/limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/*
 * A bucket is one number, the time at which it is full again: it may be ahead of now by at most
 * (burst - 1) intervals (the "generic cell rate algorithm").
 */
struct bucket {
    int64_t full_at_ms;
    int64_t frozen_until_ms;
};

struct rate {
    const char *method;
    int64_t interval_ms;
    int64_t burst;
};

/*
 * agents.sessions.setStatus is needed twice for each turn, more often than any other method of
 * its tier, and the second time must not fail: so its tier is kept to the letter.
 */
#define SESSIONS         "agents.sessions.setStatus"
#define MINUTE_MS        60000
#define MINUTE_MAX       50
#define MINUTE_SPARE_MAX 33 /* the rest is for calls that cannot be left out */

struct minute {
    uint64_t count; /* of all calls */
    int64_t at_ms[MINUTE_MAX];
};

/* Tiers: T2 20 a minute, T3 50, T4 100; the last row is for every other method. */
static const struct rate rates[] = {
    { "chat.postMessage", 200, 50 }, /* several hundred a minute per workspace */
    { "chat.update", 1200, 30 },
    { "chat.delete", 1200, 20 },
    { "chat.postEphemeral", 600, 30 },
    { "chat.startStream", 3000, 12 },
    { "chat.appendStream", 600, 60 },
    { "chat.stopStream", 3000, 12 },
    { "reactions.add", 1200, 20 },
    { "reactions.remove", 3000, 12 },
    { "users.info", 600, 50 },
    { "assistant.threads.setStatus", 100, 50 },
    { SESSIONS, 200, 50 }, /* its minute is what counts, see struct minute */
    { "auth.test", 300, 50 },
    { "conversations.history", 1200, 20 },
    { "conversations.replies", 1200, 20 },
    { "files.getUploadURLExternal", 600, 50 },
    { "files.completeUploadExternal", 600, 50 },
    { "files.info", 600, 50 },
    { "", 1200, 20 },
};

static const struct rate channel_rate = { "chat.postMessage", 1000, 5 };

#define CHANNELS_MAX 256

struct channel_bucket {
    char channel[SLACK_ID_MAX_BYTES]; /* "" while unused */
    struct bucket bucket;
};

struct slack_limits {
    pthread_mutex_t lock; /* guards the buckets */
    struct bucket methods[ARRAY_LEN(rates)];
    struct channel_bucket channels[CHANNELS_MAX];
    struct minute sessions;
    struct metric *counts[SLACK_COUNT_PACED + 1];
};

struct slack_limits *slack_limits_new(struct metrics *metrics)
{
    static const struct {
        const char *name;
        const char *help;
    } counts[] = {
        [SLACK_COUNT_CALLS] = { "slack_calls_total", "Web API calls." },
        [SLACK_COUNT_FAILED] = { "slack_calls_failed_total", "Web API calls that failed." },
        [SLACK_COUNT_RETRIES] = { "slack_retries_total", "Web API requests sent again." },
        [SLACK_COUNT_LIMITED] = { "slack_rate_limited_total", "Web API answers 429." },
        [SLACK_COUNT_PACED] = { "slack_paced_total", "Waits that kept within Slack's rates." },
    };
    struct slack_limits *limits = xcalloc(1, sizeof(*limits));

    pthread_mutex_init(&limits->lock, NULL);
    for (size_t i = 0; metrics && i < ARRAY_LEN(counts); i++)
        limits->counts[i] = metrics_counter(metrics, counts[i].name, "", counts[i].help);
    return limits;
}

void slack_limits_free(struct slack_limits *limits)
{
    if (!limits)
        return;
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

void slack_limits_count(struct slack_limits *limits, enum slack_count count)
{
    if (limits->counts[count])
        metric_add(limits->counts[count], 1);
}

static size_t find_rate(const char *method)
{
    size_t i = 0;

    while (*rates[i].method && strcmp(rates[i].method, method) != 0)
        i++;
    return i;
}

/* The channel's bucket; a new one replaces the one that has been full for longest. */
static struct bucket *find_channel(struct slack_limits *limits, const char *channel)
{
    struct channel_bucket *oldest = &limits->channels[0];

    for (size_t i = 0; i < CHANNELS_MAX; i++) {
        struct channel_bucket *entry = &limits->channels[i];

        if (strcmp(entry->channel, channel) == 0)
            return &entry->bucket;
        if (entry->bucket.full_at_ms < oldest->bucket.full_at_ms)
            oldest = entry;
    }
    *oldest = (struct channel_bucket){ 0 };
    snprintf(oldest->channel, sizeof(oldest->channel), "%s", channel);
    return &oldest->bucket;
}

static int64_t wait_for(const struct bucket *bucket, const struct rate *rate, int64_t now_ms)
{
    int64_t wait = bucket->full_at_ms - now_ms - (rate->burst - 1) * rate->interval_ms;
    int64_t thaw = bucket->frozen_until_ms - now_ms;

    wait = wait > thaw ? wait : thaw;
    return wait > 0 ? wait : 0;
}

/* How long until fewer than `max` of the calls are a minute old or younger, 0 when they are. */
static int64_t wait_for_minute(const struct minute *minute, unsigned max, int64_t now_ms)
{
    int64_t wait;

    if (minute->count < max)
        return 0;
    wait = minute->at_ms[(minute->count - max) % MINUTE_MAX] + MINUTE_MS - now_ms;
    return wait > 0 ? wait : 0;
}

bool slack_limits_have_spare_session(struct slack_limits *limits, int64_t now_ms)
{
    bool has_spare;

    pthread_mutex_lock(&limits->lock);
    has_spare = limits->methods[find_rate(SESSIONS)].frozen_until_ms <= now_ms &&
                wait_for_minute(&limits->sessions, MINUTE_SPARE_MAX, now_ms) == 0;
    pthread_mutex_unlock(&limits->lock);
    return has_spare;
}

static void spend(struct bucket *bucket, const struct rate *rate, int64_t now_ms)
{
    if (bucket->full_at_ms < now_ms)
        bucket->full_at_ms = now_ms;
    bucket->full_at_ms += rate->interval_ms;
}

static bool is_per_channel(const char *method, const char *channel)
{
    return *channel && strcmp(method, channel_rate.method) == 0;
}

int64_t slack_limits_take(struct slack_limits *limits, const char *method, const char *channel,
                          int64_t now_ms)
{
    size_t i = find_rate(method);
    struct bucket *by_channel = NULL;
    int64_t wait;

    pthread_mutex_lock(&limits->lock);
    wait = wait_for(&limits->methods[i], &rates[i], now_ms);
    if (strcmp(method, SESSIONS) == 0) {
        int64_t minute_wait = wait_for_minute(&limits->sessions, MINUTE_MAX, now_ms);

        wait = minute_wait > wait ? minute_wait : wait;
    }
    if (is_per_channel(method, channel)) {
        int64_t channel_wait;

        by_channel = find_channel(limits, channel);
        channel_wait = wait_for(by_channel, &channel_rate, now_ms);
        wait = channel_wait > wait ? channel_wait : wait;
    }
    if (!wait) {
        spend(&limits->methods[i], &rates[i], now_ms);
        if (strcmp(method, SESSIONS) == 0)
            limits->sessions.at_ms[limits->sessions.count++ % MINUTE_MAX] = now_ms;
        if (by_channel)
            spend(by_channel, &channel_rate, now_ms);
    }
    pthread_mutex_unlock(&limits->lock);
    return wait;
}

static void freeze_locked(struct bucket *bucket, int64_t until_ms)
{
    if (bucket->frozen_until_ms < until_ms)
        bucket->frozen_until_ms = until_ms;
    if (bucket->full_at_ms < until_ms) /* keeps a frozen channel from being replaced */
        bucket->full_at_ms = until_ms;
}

static bool is_other_frozen_locked(const struct slack_limits *limits, const char *channel,
                                   int64_t now_ms)
{
    for (size_t i = 0; i < CHANNELS_MAX; i++) {
        const struct channel_bucket *entry = &limits->channels[i];

        if (entry->bucket.frozen_until_ms > now_ms && strcmp(entry->channel, channel) != 0)
            return true;
    }
    return false;
}

void slack_limits_freeze(struct slack_limits *limits, const char *method, const char *channel,
                         int64_t now_ms, int64_t until_ms)
{
    bool is_method_frozen = true;

    pthread_mutex_lock(&limits->lock);
    if (is_per_channel(method, channel)) {
        freeze_locked(find_channel(limits, channel), until_ms);
        is_method_frozen = is_other_frozen_locked(limits, channel, now_ms);
    }
    if (is_method_frozen)
        freeze_locked(&limits->methods[find_rate(method)], until_ms);
    pthread_mutex_unlock(&limits->lock);
}
