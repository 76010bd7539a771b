#include "agent/run.h"

#include <poll.h>
#include <string.h>

#include "agent/run_parts.h"
#include "base/clock.h"

#define CHUNK_BYTES 65536
/* After its result an agent gets this long (at most kill_grace) to exit by itself. */
#define RESULT_GRACE_MS 3000
#define GATHER_MS       100
#define EXIT_POLL_MS    50 /* where the kernel gives us no pidfd */

/* Once we stop a run, what it still prints is nobody's answer. */
static bool is_reading(const struct agent_run *run)
{
    return run->state != ENDED && !run->has_verdict;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How much of max_output may be read at once. */
static size_t room_of(const struct agent_run *run)
{
    int64_t room = run->max_output_bytes - run->follow.offset;

    return room <= 0 ? 0 : (size_t)smaller(room, CHUNK_BYTES);
}

static bool read_more(struct agent_run *run, int64_t now_ms)
{
    char chunk[CHUNK_BYTES];
    size_t got = is_reading(run) ? agent_follow_read(&run->follow, chunk, room_of(run)) : 0;

    if (got == 0)
        return false;
    run->last_output_ms = now_ms;
    agent_stream_feed(run->stream, chunk, got);
    if (run->result_ms < 0 && agent_stream_summary(run->stream)->has_result)
        run->result_ms = now_ms;
    return true;
}

static bool is_cancelled(const struct agent_run *run)
{
    struct pollfd cancel = { .fd = run->cancel_fd, .events = POLLIN };

    return run->cancel_fd >= 0 && poll(&cancel, 1, 0) > 0;
}

static int64_t silence_deadline_ms(const struct agent_run *run)
{
    if (run->follow.offset == 0)
        return run->started_ms + run->first_output_timeout_ms;
    return run->last_output_ms + run->idle_timeout_ms;
}

static int64_t result_deadline_ms(const struct agent_run *run)
{
    return run->result_ms + smaller(RESULT_GRACE_MS, run->kill_grace_ms);
}

/* All that could be read has been read: what do the clock and the process say? */
static void check_limits(struct agent_run *run, int64_t now_ms)
{
    if (run->result_ms >= 0) {
        if (run->has_leader_ended || now_ms >= result_deadline_ms(run))
            run_begin_ending(run, now_ms,
                             run->has_leader_ended
                                 ? smaller(RUN_STRAGGLER_GRACE_MS, run->kill_grace_ms)
                                 : run->kill_grace_ms);
    } else if (run->has_noted) {
        run_end_with(run, run->noted, now_ms);
    } else if (run->follow.offset >= run->max_output_bytes) {
        run_end_with(run, AGENT_OUTPUT_LIMIT, now_ms);
    } else if (run->has_leader_ended) {
        run_begin_ending(run, now_ms, smaller(RUN_STRAGGLER_GRACE_MS, run->kill_grace_ms));
    } else if (now_ms >= run->started_ms + run->timeout_ms) {
        run_end_with(run, AGENT_TIMEOUT, now_ms);
    } else if (now_ms >= silence_deadline_ms(run)) {
        run_end_with(run, run->follow.offset == 0 ? AGENT_NO_FIRST_OUTPUT : AGENT_IDLE_TIMEOUT,
                     now_ms);
    }
}

/* One pass: reads a chunk, or else moves the state on. True when there may be more at once. */
bool run_step(struct agent_run *run)
{
    int64_t now_ms = clock_now_ms();

    agent_follow_look(&run->follow);
    if (run->state == RUNNING && is_cancelled(run)) {
        run_end_with(run, AGENT_CANCELLED, now_ms);
        return true;
    }
    run_note_exit(run); /* before reading: what an ended process wrote is all there */
    if (read_more(run, now_ms))
        return true;
    switch (run->state) {
    case RUNNING:
        check_limits(run, now_ms);
        return run->state != RUNNING;
    case ENDING:
        run_sweep(run, now_ms);
        return run->state != ENDING;
    case DRAINING:
        run_finish(run, now_ms);
        return true;
    case ENDED:
        break;
    }
    return false;
}

static int64_t next_look_ms(const struct agent_run *run, int64_t now_ms)
{
    int64_t at_ms = 0;

    if (run->state == ENDING)
        return run->sweep_at_ms;
    if (run->result_ms >= 0)
        at_ms = result_deadline_ms(run);
    else
        at_ms = smaller(silence_deadline_ms(run), run->started_ms + run->timeout_ms);
    if (run->follow.notice_fd < 0)
        at_ms = smaller(at_ms, now_ms + AGENT_FOLLOW_POLL_MS);
    if (run->pidfd < 0)
        at_ms = smaller(at_ms, now_ms + EXIT_POLL_MS);
    return at_ms;
}

/*
 * How long to let output gather after some was read: an agent that streams prints many lines a
 * second, and nobody is shown text that often. What comes after a silence is read at once, and
 * so is the rest when the agent exits.
 */
static int64_t gathers_until_ms(const struct agent_run *run)
{
    bool is_streaming = run->state == RUNNING && run->follow.offset > 0 && run->result_ms < 0;

    return is_streaming ? run->last_output_ms + GATHER_MS : 0;
}

void run_wait_for_news(const struct agent_run *run, int64_t deadline_ms)
{
    struct pollfd fds[3];
    nfds_t count = 0;
    int64_t now_ms = clock_now_ms();
    int64_t until_ms = smaller(deadline_ms, next_look_ms(run, now_ms));
    int64_t gathered_ms = gathers_until_ms(run);
    int64_t timeout_ms = 0;

    if (gathered_ms > now_ms)
        until_ms = smaller(until_ms, gathered_ms);
    else
        fds[count++] = (struct pollfd){ .fd = run->follow.notice_fd, .events = POLLIN };
    timeout_ms = until_ms - now_ms;
    if (timeout_ms <= 0)
        return;
    if (!run->has_leader_ended)
        fds[count++] = (struct pollfd){ .fd = run->pidfd, .events = POLLIN };
    if (run->state == RUNNING)
        fds[count++] = (struct pollfd){ .fd = run->cancel_fd, .events = POLLIN };
    poll(fds, count, (int)smaller(timeout_ms, 60000)); /* descriptors of -1 are skipped */
}

void agent_run_next(struct agent_run *run, int64_t deadline_ms, struct agent_event *ret_event)
{
    for (;;) {
        if (agent_stream_take(run->stream, ret_event))
            return;
        if (run->state == ENDED) {
            *ret_event = (struct agent_event){ .kind = AGENT_EVENT_ENDED, .text = "" };
            return;
        }
        if (run_step(run))
            continue;
        if (clock_now_ms() >= deadline_ms) {
            *ret_event = (struct agent_event){ .kind = AGENT_EVENT_NONE, .text = "" };
            return;
        }
        run_wait_for_news(run, deadline_ms);
    }
}

bool agent_run_has_result(const struct agent_run *run)
{
    return run->result_ms >= 0;
}

const char *agent_run_id(const struct agent_run *run)
{
    return run->id;
}

enum agent_mode agent_run_mode(const struct agent_run *run)
{
    return run->mode;
}

const char *agent_run_chat_id(const struct agent_run *run)
{
    return agent_stream_summary(run->stream)->chat_id;
}
