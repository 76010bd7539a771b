#include "slack/backoff.h"

#include "base/random.h"

#define BASE_MS      1000
#define CAP_MS       60000
#define CAP_SLOW_MS  300000
#define PATIENCE_MS  60000
#define FAILURES_MAX 20 /* beyond, doubling only meets the cap */

void slack_bucket_init(struct slack_bucket *bucket, int64_t now_ms)
{
    bucket->empty_since_ms = now_ms - (int64_t)SLACK_BUCKET_BURST * SLACK_BUCKET_REFILL_MS;
}

int64_t slack_bucket_take(struct slack_bucket *bucket, int64_t now_ms)
{
    int64_t full = now_ms - (int64_t)SLACK_BUCKET_BURST * SLACK_BUCKET_REFILL_MS;

    if (bucket->empty_since_ms < full)
        bucket->empty_since_ms = full;
    if (now_ms - bucket->empty_since_ms < SLACK_BUCKET_REFILL_MS)
        return bucket->empty_since_ms + SLACK_BUCKET_REFILL_MS - now_ms;
    bucket->empty_since_ms += SLACK_BUCKET_REFILL_MS;
    return 0;
}

int64_t slack_backoff_delay_ms(enum slack_retry retry, unsigned failures)
{
    if (failures > FAILURES_MAX)
        failures = FAILURES_MAX;
    switch (retry) {
    case SLACK_RETRY_SOON:
        return random_backoff_ms(BASE_MS, CAP_MS, failures);
    case SLACK_RETRY_SLOWLY:
        return random_backoff_ms(BASE_MS, CAP_SLOW_MS, failures);
    case SLACK_RETRY_PATIENTLY:
        break;
    }
    return PATIENCE_MS + random_backoff_ms(PATIENCE_MS, CAP_SLOW_MS - PATIENCE_MS, failures);
}
