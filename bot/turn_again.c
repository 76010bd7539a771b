#include "bot/turn_parts.h"

#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "bot.turn"
#include "base/log.h"

/* Whether to go on at once: the person stops it, and the next attempt notices. */
static bool is_cancelled(const struct turn *turn, int64_t wait_ms)
{
    struct pollfd cancel = { .fd = turn->cancel_fd, .events = POLLIN };

    return poll(&cancel, 1, (int)wait_ms) > 0;
}

/* The surface is served meanwhile: the person sees that it goes on, and can stop it. */
static void wait_for_better_times(struct turn *turn, struct turn_progress *progress,
                                  int64_t wait_ms)
{
    int64_t until_ms = clock_now_ms() + wait_ms;
    int64_t now_ms;

    while ((now_ms = clock_now_ms()) < until_ms && !turn_is_stopping(turn)) {
        int64_t left_ms = until_ms - now_ms;

        activity_tick(&progress->activity, now_ms);
        turn_tick(turn, now_ms);
        if (is_cancelled(turn, left_ms < TURN_STOP_CHECK_MS ? left_ms : TURN_STOP_CHECK_MS))
            return;
    }
}

/* Beyond what earlier runs of the turn had said. What the guard holds back does not stand in
 * the answer, but was told by the run, which is not repeated then. */
static bool has_shown(const struct turn *turn, const struct turn_progress *progress)
{
    return strlen(turn->surface->ops->answer(turn->surface)) > progress->shown.len;
}

/* What it had begun has ended with it, and what it was refused may be allowed now. */
static void forget_attempt(struct turn_progress *progress)
{
    activity_end(&progress->activity, false, clock_now_ms());
    buf_truncate(&progress->denied, progress->denied_before);
    buf_truncate(&progress->done, progress->done_before);
}

bool turn_try_again(struct turn *turn, struct turn_progress *progress)
{
    const struct agent_result *result = agent_run_result(progress->run);
    struct err err = { 0 };
    int64_t wait_ms = 0;

    if (has_shown(turn, progress) || !agent_run_may_repeat(progress->run, &wait_ms))
        return false;
    log_warn("run=%s ended: %s, trying again in %lld ms: %s", progress->run_id,
             agent_outcome_name(result->outcome), (long long)wait_ms, result->cause);
    forget_attempt(progress);
    wait_for_better_times(turn, progress, wait_ms);
    if (turn_is_stopping(turn))
        return true; /* the next daemon tells it */
    /* The first attempt may have rewritten its permissions. */
    if ((progress->slot && agent_slot_fill(progress->slot, &err) < 0) ||
        agent_run_again(progress->run, &err) < 0) {
        log_warn("run=%s not tried again: %s", progress->run_id, err.message);
        return false;
    }
    activity_begin(&progress->activity, turn->surface, clock_now_ms());
    metric_add(turn->metrics->repeated, 1);
    return true;
}
