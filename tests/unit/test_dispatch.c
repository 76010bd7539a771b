#include "bot/dispatch.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/test.h"

static struct ledger_entry *entry_of(int64_t id, const char *user, const char *conversation,
                                     const char *ts)
{
    struct ledger_entry *entry = xcalloc(1, sizeof(*entry));

    *entry = (struct ledger_entry){
        .id = id,
        .event_id = xstrdup(""),
        .team = xstrdup("T1"),
        .channel = xstrdup("C1"),
        .ts = xstrdup(ts),
        .thread_ts = xstrdup(""),
        .user = xstrdup(user),
        .conversation = xstrdup(conversation),
        .reply_thread = xstrdup("1.0"),
        .text = xstrdup("text"),
        .attributes = xstrdup("{}"),
        .run_id = xstrdup(""),
        .reply_state = xstrdup(""),
    };
    return entry;
}

struct fixture {
    struct metrics *metrics;
    struct dispatch *dispatch;
    int cancel_fd;
};

static void set_up(struct fixture *fixture)
{
    fixture->metrics = metrics_new();
    fixture->dispatch = dispatch_new(fixture->metrics);
    fixture->cancel_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void tear_down(struct fixture *fixture)
{
    dispatch_free(fixture->dispatch);
    metrics_free(fixture->metrics);
    close(fixture->cancel_fd);
}

static void submit(struct fixture *fixture, int64_t id, const char *user,
                   const char *conversation, const char *ts)
{
    dispatch_submit(fixture->dispatch, entry_of(id, user, conversation, ts), DISPATCH_NEW);
}

static struct dispatch_batch take(struct fixture *fixture)
{
    struct dispatch_batch batch = { 0 };

    CHECK_INT(dispatch_take(fixture->dispatch, fixture->cancel_fd, &batch), 1,
              "something waits, so a batch comes");
    return batch;
}

static size_t waiting(struct fixture *fixture)
{
    struct dispatch_figures figures;

    dispatch_get_figures(fixture->dispatch, NULL, &figures);
    return figures.waiting;
}

static void a_conversation_is_answered_in_slacks_order(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "999.000002");
    submit(&fixture, 2, "U1", "K", "1000.000001");
    submit(&fixture, 3, "U1", "K", "999.000001");
    batch = take(&fixture);
    CHECK_INT(batch.count, 3, "what waits together is answered together");
    CHECK_TEXT(batch.entries[0]->ts, "999.000001", "arrived last, said first");
    CHECK_TEXT(batch.entries[1]->ts, "999.000002", "second");
    CHECK_TEXT(batch.entries[2]->ts, "1000.000001",
               "more digits are later, whatever strcmp says");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void one_turn_at_a_time_and_the_rest_in_the_next(void **state)
{
    struct fixture fixture;
    struct dispatch_batch first;
    struct dispatch_batch other;
    struct dispatch_batch second;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    first = take(&fixture);
    submit(&fixture, 2, "U1", "K", "1.2");
    submit(&fixture, 3, "U1", "K", "1.3");
    submit(&fixture, 4, "U1", "OTHER", "1.4");
    other = take(&fixture);
    CHECK_TEXT(other.conversation, "OTHER", "K is running, so its messages wait");
    dispatch_finish(fixture.dispatch, &other);
    dispatch_finish(fixture.dispatch, &first);
    second = take(&fixture);
    CHECK_TEXT(second.conversation, "K", "now it is free");
    CHECK_INT(second.count, 2, "both that came meanwhile");
    dispatch_finish(fixture.dispatch, &second);
    tear_down(&fixture);
}

static void people_take_turns(void **state)
{
    static const char *const want[] = { "A1", "B1", "A2", "A3" };
    struct fixture fixture;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "UA", "A1", "1.1");
    submit(&fixture, 2, "UA", "A2", "1.2");
    submit(&fixture, 3, "UA", "A3", "1.3");
    submit(&fixture, 4, "UB", "B1", "1.4");
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct dispatch_batch batch = take(&fixture);

        CHECK_TEXT(batch.conversation, want[i], "one of each person in turn");
        dispatch_finish(fixture.dispatch, &batch);
    }
    tear_down(&fixture);
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    return poll(&poll_fd, 1, 0) == 1;
}

static void a_stop_reaches_the_running_turn_and_takes_what_waits(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch;
    struct ledger_entry *taken[4];
    struct dispatch_filter filter = { .conversation = "K" };
    size_t count = 0;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    batch = take(&fixture);
    submit(&fixture, 2, "U1", "K", "1.2");
    submit(&fixture, 3, "U2", "OTHER", "1.3");
    filter.user = "U2";
    CHECK_INT(dispatch_stop(fixture.dispatch, &filter, taken, 4, &count), 0, "not U2's turn");
    CHECK_INT(is_readable(fixture.cancel_fd), 0, "nothing stopped");
    filter.user = "U1";
    CHECK_INT(dispatch_stop(fixture.dispatch, &filter, taken, 4, &count), 1, "one was running");
    CHECK_INT(is_readable(fixture.cancel_fd), 1, "its worker is told");
    CHECK_INT(count, 1, "the waiting one of K, not the one of OTHER");
    CHECK_INT(taken[0]->id, 2, "handed to the caller");
    ledger_entry_free(taken[0]);
    dispatch_finish(fixture.dispatch, &batch);
    batch = take(&fixture);
    CHECK_TEXT(batch.conversation, "OTHER", "untouched");
    CHECK_INT(is_readable(fixture.cancel_fd), 0, "a stale stop does not hit the next turn");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void what_waits_can_be_taken_without_ending_what_runs(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch;
    struct dispatch_figures figures;
    struct ledger_entry *taken[4];
    struct dispatch_filter filter = { .user = "U1" };

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    batch = take(&fixture);
    submit(&fixture, 2, "U1", "K", "1.2");
    submit(&fixture, 3, "U2", "OTHER", "1.3");
    dispatch_get_figures(fixture.dispatch, "K", &figures);
    CHECK_INT(figures.is_running, true, "K runs");
    dispatch_get_figures(fixture.dispatch, "OTHER", &figures);
    CHECK_INT(figures.is_running, false, "OTHER waits");
    CHECK_INT(dispatch_take_waiting(fixture.dispatch, &filter, taken, 4), 1, "what waits");
    CHECK_INT(is_readable(fixture.cancel_fd), 0, "the turn goes on");
    CHECK_INT(taken[0]->id, 2, "handed to the caller");
    ledger_entry_free(taken[0]);
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void a_deleted_message_is_withdrawn_while_it_waits(void **state)
{
    struct fixture fixture;
    struct ledger_entry *entry;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    entry = dispatch_withdraw(fixture.dispatch, "C1", "9.9");
    CHECK_INT(entry != NULL, 0, "no such message");
    entry = dispatch_withdraw(fixture.dispatch, "C1", "1.1");
    CHECK_INT(entry != NULL, 1, "waiting, so it comes out");
    CHECK_INT(waiting(&fixture), 0, "nothing waits any more");
    ledger_entry_free(entry);
    tear_down(&fixture);
}

static void a_run_of_an_earlier_process_is_taken_up_alone_and_first(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch;
    struct ledger_entry *running = entry_of(1, "U1", "K", "5.0");

    (void)state;
    set_up(&fixture);
    free(running->run_id);
    running->run_id = xstrdup("run-1");
    dispatch_submit(fixture.dispatch, running, DISPATCH_REFILL);
    submit(&fixture, 2, "U1", "K", "4.0");
    batch = take(&fixture);
    CHECK_INT(batch.count, 1, "not mixed with new messages");
    CHECK_TEXT(batch.entries[0]->run_id, "run-1", "before them, whatever its ts");
    dispatch_finish(fixture.dispatch, &batch);
    batch = take(&fixture);
    CHECK_INT(batch.entries[0]->id, 2, "the new one afterwards");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void what_does_not_fit_stays_in_the_ledger_and_nothing_overtakes_it(void **state)
{
    struct fixture fixture;
    int64_t after_id = 0;

    (void)state;
    set_up(&fixture);
    for (int64_t id = 1; id <= DISPATCH_QUEUE_MAX + 2; id++)
        submit(&fixture, id, "U1", "K", "1.1");
    CHECK_INT(waiting(&fixture), DISPATCH_QUEUE_MAX, "bounded");
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 0, "no room yet");
    while (waiting(&fixture) >= DISPATCH_QUEUE_MAX / 2) {
        struct dispatch_batch batch = take(&fixture);

        dispatch_finish(fixture.dispatch, &batch);
    }
    submit(&fixture, DISPATCH_QUEUE_MAX + 3, "U1", "K", "1.1");
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 1, "half empty");
    CHECK_INT(after_id, DISPATCH_QUEUE_MAX, "the last one that was let in");
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 0, "one refill at a time");
    dispatch_submit(fixture.dispatch, entry_of(DISPATCH_QUEUE_MAX + 1, "U1", "K", "1.1"),
                    DISPATCH_REFILL);
    submit(&fixture, DISPATCH_QUEUE_MAX + 4, "U1", "K", "1.1");
    dispatch_refilled(fixture.dispatch, false);
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 1,
              "one more came while the ledger was read");
    dispatch_refilled(fixture.dispatch, false);
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 0, "all of it is in");
    tear_down(&fixture);
}

static void a_message_that_a_refill_has_brought_is_not_taken_twice(void **state)
{
    struct fixture fixture;
    int64_t after_id = -1;

    (void)state;
    set_up(&fixture);
    dispatch_hold_for_refill(fixture.dispatch);
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 1, "the start");
    CHECK_INT(after_id, 0, "everything");
    dispatch_submit(fixture.dispatch, entry_of(7, "U1", "K", "7.0"), DISPATCH_REFILL);
    dispatch_refilled(fixture.dispatch, false);
    submit(&fixture, 7, "U1", "K", "7.0");
    CHECK_INT(waiting(&fixture), 1, "committed before the ledger was read, told after it");
    submit(&fixture, 8, "U1", "K", "8.0");
    CHECK_INT(waiting(&fixture), 2, "a newer one is let in");
    tear_down(&fixture);
}

static void a_retry_does_not_hide_what_lies_in_the_ledger(void **state)
{
    struct fixture fixture;
    int64_t after_id = -1;

    (void)state;
    set_up(&fixture);
    dispatch_hold_for_refill(fixture.dispatch);
    dispatch_submit(fixture.dispatch, entry_of(100, "U1", "K", "9.0"), DISPATCH_AGAIN);
    CHECK_INT(waiting(&fixture), 0, "51 to 99 may lie in the ledger: it comes behind them");
    CHECK_INT(dispatch_wants_refill(fixture.dispatch, &after_id), 1, "a refill brings it");
    CHECK_INT(after_id, 0, "with all the others");
    dispatch_submit(fixture.dispatch, entry_of(100, "U1", "K", "9.0"), DISPATCH_REFILL);
    dispatch_refilled(fixture.dispatch, false);
    dispatch_submit(fixture.dispatch, entry_of(60, "U1", "K", "6.0"), DISPATCH_AGAIN);
    CHECK_INT(waiting(&fixture), 2, "one from before is let in at once");
    tear_down(&fixture);
}

struct held_taker {
    struct fixture *fixture;
    struct dispatch_batch batch;
};

static void *take_held(void *context)
{
    struct held_taker *taker = context;

    dispatch_take(taker->fixture->dispatch, taker->fixture->cancel_fd, &taker->batch);
    return NULL;
}

static void the_messages_of_one_run_are_not_torn_apart_at_the_start(void **state)
{
    struct fixture fixture;
    struct held_taker taker = { .fixture = &fixture };
    pthread_t thread;
    int64_t after_id;

    (void)state;
    set_up(&fixture);
    dispatch_hold_for_refill(fixture.dispatch);
    dispatch_wants_refill(fixture.dispatch, &after_id);
    pthread_create(&thread, NULL, take_held, &taker);
    for (int64_t id = 1; id <= 3; id++) {
        struct ledger_entry *entry = entry_of(id, "U1", "K", "1.0");

        free(entry->run_id);
        entry->run_id = xstrdup("run-1");
        dispatch_submit(fixture.dispatch, entry, DISPATCH_REFILL);
        sched_yield();
    }
    dispatch_refilled(fixture.dispatch, false);
    pthread_join(thread, NULL);
    CHECK_INT(taker.batch.count, 3, "a taker waits until all of them are there");
    dispatch_finish(fixture.dispatch, &taker.batch);
    tear_down(&fixture);
}

static void *take_in_thread(void *context)
{
    struct fixture *fixture = context;
    struct dispatch_batch batch;

    return dispatch_take(fixture->dispatch, fixture->cancel_fd, &batch) ? fixture : NULL;
}

static void closing_wakes_who_waits(void **state)
{
    struct fixture fixture;
    pthread_t thread;
    void *result = &fixture;

    (void)state;
    set_up(&fixture);
    pthread_create(&thread, NULL, take_in_thread, &fixture);
    dispatch_close(fixture.dispatch);
    pthread_join(thread, &result);
    CHECK_INT(result == NULL, 1, "no batch after the end");
    tear_down(&fixture);
}

TEST_MAIN(TEST(a_conversation_is_answered_in_slacks_order),
          TEST(one_turn_at_a_time_and_the_rest_in_the_next), TEST(people_take_turns),
          TEST(a_stop_reaches_the_running_turn_and_takes_what_waits),
          TEST(what_waits_can_be_taken_without_ending_what_runs),
          TEST(a_deleted_message_is_withdrawn_while_it_waits),
          TEST(a_run_of_an_earlier_process_is_taken_up_alone_and_first),
          TEST(what_does_not_fit_stays_in_the_ledger_and_nothing_overtakes_it),
          TEST(a_message_that_a_refill_has_brought_is_not_taken_twice),
          TEST(a_retry_does_not_hide_what_lies_in_the_ledger),
          TEST(the_messages_of_one_run_are_not_torn_apart_at_the_start),
          TEST(closing_wakes_who_waits))
