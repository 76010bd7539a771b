#include "bot/dispatch.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "bot/dispatch_parts.h"
#include "bot/pace.h"
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

#define NOW   clock_now_ms()
#define LATER (clock_now_ms() + DISPATCH_SETTLE_MS)

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

/* ---- busy modes ---------------------------------------------------------------------------
 */

static struct dispatch_batch run_in(struct fixture *fixture, enum dispatch_busy busy)
{
    set_up(fixture);
    dispatch_set_busy(fixture->dispatch, busy);
    submit(fixture, 1, "U1", "K", "1.1");
    return take(fixture);
}

static void a_newer_message_acts_by_mode_once_it_has_settled(void **state)
{
    static const enum dispatch_busy modes[] = { DISPATCH_QUEUE, DISPATCH_STEER,
                                                DISPATCH_INTERRUPT };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct fixture fixture;
        struct dispatch_batch batch = run_in(&fixture, modes[i]);

        CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, true), DISPATCH_QUEUE,
                  "nothing came");
        submit(&fixture, 2, "U1", "K", "1.2");
        CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, NOW - 1, false), DISPATCH_QUEUE,
                  "more may follow in a moment");
        CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, false), modes[i],
                  "it has settled");
        CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, NOW - 1, true), modes[i],
                  "a run that is over waits for nothing");
        CHECK_INT(is_readable(fixture.cancel_fd), 0, "asking ends nothing");
        dispatch_finish(fixture.dispatch, &batch);
        tear_down(&fixture);
    }
}

static void messages_that_keep_coming_do_not_put_it_off_for_ever(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch = run_in(&fixture, DISPATCH_STEER);
    struct waiting *first;

    (void)state;
    submit(&fixture, 2, "U1", "K", "1.2");
    first = TAILQ_FIRST(&lanes_find_locked(fixture.dispatch, "K")->waiting);
    submit(&fixture, 3, "U1", "K", "1.3");
    first->since_ms -= DISPATCH_SETTLE_MAX_MS - 1;
    CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, first->since_ms, false),
              DISPATCH_QUEUE, "another one came just now");
    CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch,
                                first->since_ms + DISPATCH_SETTLE_MAX_MS, false),
              DISPATCH_STEER, "but the first one has waited long enough");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void only_what_the_asker_says_anew_acts(void **state)
{
    static const struct {
        const char *user;
        enum dispatch_source source;
        enum dispatch_busy want;
        const char *because;
    } cases[] = {
        { "U2", DISPATCH_NEW, DISPATCH_QUEUE, "somebody else in a shared conversation" },
        { "U1", DISPATCH_AGAIN, DISPATCH_QUEUE, "a Retry" },
        { "U1", DISPATCH_REFILL, DISPATCH_INTERRUPT, "found in the ledger after a restart" },
        { "U1", DISPATCH_NEW, DISPATCH_INTERRUPT, "the asker" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fixture;
        struct dispatch_batch batch;

        set_up(&fixture);
        dispatch_set_busy(fixture.dispatch, DISPATCH_INTERRUPT);
        submit(&fixture, 5, "U1", "K", "1.1");
        batch = take(&fixture);
        dispatch_submit(
            fixture.dispatch,
            entry_of(cases[i].source == DISPATCH_AGAIN ? 2 : 6, cases[i].user, "K", "1.2"),
            cases[i].source);
        CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, false), cases[i].want,
                  cases[i].because);
        dispatch_finish(fixture.dispatch, &batch);
        tear_down(&fixture);
    }
}

static void a_steer_takes_what_waits_in_order_whoever_wrote_it(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch = run_in(&fixture, DISPATCH_STEER);

    (void)state;
    eventfd_write(fixture.cancel_fd, 1); /* which ended the run */
    submit(&fixture, 2, "U2", "K", "1.2");
    submit(&fixture, 3, "U1", "K", "1.3");
    CHECK_INT(dispatch_take_more(fixture.dispatch, &batch), 2, "both");
    CHECK_INT(batch.count, 3, "in one batch");
    CHECK_INT(batch.entries[1]->id, 2, "nobody is overtaken");
    CHECK_INT(batch.entries[2]->id, 3, "nobody is overtaken");
    CHECK_INT(is_readable(fixture.cancel_fd), 0, "the next run is not ended by that");
    CHECK_INT(waiting(&fixture), 0, "nothing waits");
    submit(&fixture, 4, "U2", "K", "1.4");
    CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, false), DISPATCH_STEER,
              "U2 is one of the askers now");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void what_is_answered_elsewhere_is_not_steered_nor_overtaken(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch = run_in(&fixture, DISPATCH_STEER);
    struct ledger_entry *elsewhere = entry_of(2, "U1", "K", "1.2");

    (void)state;
    free(elsewhere->reply_thread);
    elsewhere->reply_thread = xstrdup("9.9");
    dispatch_submit(fixture.dispatch, elsewhere, DISPATCH_NEW);
    submit(&fixture, 3, "U1", "K", "1.3");
    CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, false), DISPATCH_QUEUE,
              "the first that waits belongs into another thread");
    CHECK_INT(dispatch_take_more(fixture.dispatch, &batch), 0, "so nothing joins");
    dispatch_finish(fixture.dispatch, &batch);
    batch = take(&fixture);
    CHECK_INT(batch.entries[0]->id, 2, "in its order");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void a_stop_is_never_turned_into_a_steer(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch = run_in(&fixture, DISPATCH_STEER);
    struct dispatch_filter filter = { .conversation = "K" };
    struct ledger_entry *taken[4];
    size_t count = 0;

    (void)state;
    CHECK_INT(dispatch_is_stopped(fixture.dispatch, &batch), 0, "not yet");
    CHECK_INT(dispatch_stop(fixture.dispatch, &filter, taken, 4, &count), 1, "stopped");
    submit(&fixture, 2, "U1", "K", "1.2");
    CHECK_INT(dispatch_is_stopped(fixture.dispatch, &batch), 1, "noted");
    CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, true), DISPATCH_QUEUE,
              "the newer message has a turn of its own");
    CHECK_INT(dispatch_take_more(fixture.dispatch, &batch), 0, "and stays in its lane");
    CHECK_INT(is_readable(fixture.cancel_fd), 1, "the stop is not lost");
    dispatch_finish(fixture.dispatch, &batch);
    batch = take(&fixture);
    CHECK_INT(dispatch_is_stopped(fixture.dispatch, &batch), 0, "the next one is not stopped");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void a_batch_grows_no_further_than_a_batch_may(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch = run_in(&fixture, DISPATCH_STEER);

    (void)state;
    for (int64_t id = 2; id <= DISPATCH_BATCH_MAX + 5; id++)
        submit(&fixture, id, "U1", "K", "1.2");
    CHECK_INT(dispatch_take_more(fixture.dispatch, &batch), DISPATCH_BATCH_MAX - 1, "full");
    CHECK_INT(batch.count, DISPATCH_BATCH_MAX, "full");
    CHECK_INT(dispatch_ask_busy(fixture.dispatch, &batch, LATER, false), DISPATCH_QUEUE,
              "what does not fit waits");
    CHECK_INT(waiting(&fixture), 5, "the rest");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void a_turn_belongs_to_all_whose_messages_it_answers(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch;
    struct dispatch_filter filter = { .conversation = "K", .user = "U2" };
    struct ledger_entry *taken[4];
    size_t count = 0;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    submit(&fixture, 2, "U2", "K", "1.2");
    batch = take(&fixture);
    CHECK_INT(dispatch_stop(fixture.dispatch, &filter, taken, 4, &count), 1, "U2 asked, too");
    ledger_entry_free(batch.entries[1]);
    batch.count = 1;
    dispatch_note_batch(fixture.dispatch, &batch);
    CHECK_INT(dispatch_stop(fixture.dispatch, &filter, taken, 4, &count), 0, "left out");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void a_conversation_is_found_by_its_messages(void **state)
{
    struct fixture fixture;
    struct dispatch_batch batch;
    static const struct {
        struct dispatch_message message;
        const char *want;
        const char *because;
    } cases[] = {
        { { "C1", "1.1", "U1" }, "K", "the question under way" },
        { { "C1", "1.1", "U2" }, "none", "not U2's question, though U2 asked in that turn" },
        { { "C1", "1.1", NULL }, "K", "whoever asked it" },
        { { "C1", "5.5", "U2" }, "K", "the answer, which is U2's as well" },
        { { "C1", "5.5", "U3" }, "none", "but not U3's" },
        { { "C1", "1.3", "U1" }, "OTHER", "the one that waits" },
        { { "C1", "1.3", "U2" }, "none", "of somebody else" },
        { { "C1", "6.6", "U1" }, "OTHER", "the one that tells its place" },
        { { "C2", "1.1", "U1" }, "none", "another channel" },
        { { "C1", "7.7", "U1" }, "none", "no message of ours" },
        { { "C1", "", "U1" }, "none", "no message at all" },
    };

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    submit(&fixture, 2, "U2", "K", "1.2");
    batch = take(&fixture);
    submit(&fixture, 3, "U1", "OTHER", "1.3");
    dispatch_note_answer(fixture.dispatch, "K", "5.5");
    dispatch_note_notice(fixture.dispatch, "OTHER", 3, "6.6");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *thread = NULL;
        AUTO_FREE char *found =
            dispatch_find_conversation(fixture.dispatch, &cases[i].message, &thread);

        CHECK_TEXT(found ? found : "none", cases[i].want, cases[i].because);
        CHECK_INT(thread != NULL, found != NULL, cases[i].because);
    }
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

/* ---- places -------------------------------------------------------------------------------
 */

static void those_who_wait_are_listed_in_the_order_of_their_turns(void **state)
{
    static const char *const want[] = { "A1", "B1", "A2" };
    struct dispatch_place places[DISPATCH_PLACES_MAX];
    struct dispatch_figures figures;
    struct dispatch_batch batch;
    struct fixture fixture;

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "UX", "X", "1.1");
    batch = take(&fixture);
    submit(&fixture, 2, "UA", "A1", "1.2");
    submit(&fixture, 3, "UA", "A2", "1.3");
    submit(&fixture, 4, "UB", "B1", "1.4");
    submit(&fixture, 5, "UX", "X", "1.5");
    CHECK_INT(dispatch_list_waiting(fixture.dispatch, NOW, places, DISPATCH_PLACES_MAX), 3,
              "not X, which can see its answer");
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CHECK_TEXT(places[i].conversation, want[i], "people take turns");
        CHECK_INT(places[i].ahead, (int64_t)i, "as many as before it");
        CHECK_INT(places[i].wait_ms, PACE_UNKNOWN, "nothing was measured");
        CHECK_INT(places[i].has_company, 1, "all of them in the thread that X is answered in");
        dispatch_place_deinit(&places[i]);
    }
    dispatch_note_duration(fixture.dispatch, 60000);
    CHECK_INT(dispatch_list_waiting(fixture.dispatch, NOW + 10000, places, 2), 2, "at most");
    CHECK_INT(places[0].wait_ms > 40000 && places[0].wait_ms <= 50000, 1, "the rest of X's");
    CHECK_INT(places[1].wait_ms - places[0].wait_ms, 60000, "a whole one more");
    CHECK_INT(places[0].waited_ms >= 10000, 1, "so long");
    for (size_t i = 0; i < 2; i++)
        dispatch_place_deinit(&places[i]);
    dispatch_get_figures(fixture.dispatch, "A2", &figures);
    CHECK_INT(figures.ahead, 2, "the same figures");
    CHECK_INT(figures.is_waiting, 1, "one of them");
    CHECK_INT(figures.wait_ms > 160000, 1, "X's rest and two more");
    dispatch_get_figures(fixture.dispatch, "X", &figures);
    CHECK_INT(figures.is_running && figures.is_waiting, 1, "both");
    CHECK_INT(figures.ahead, 1, "its own turn");
    CHECK_INT(dispatch_is_waiting(fixture.dispatch, "A1", 2), 1, "waits");
    CHECK_INT(dispatch_is_waiting(fixture.dispatch, "X", 1), 0, "runs");
    CHECK_INT(dispatch_is_waiting(fixture.dispatch, "NONE", 1), 0, "unknown");
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

static void a_message_in_another_thread_of_its_conversation_is_listed(void **state)
{
    struct dispatch_place places[4];
    struct dispatch_batch batch;
    struct fixture fixture;
    struct ledger_entry *elsewhere = entry_of(2, "U1", "K", "1.2");

    (void)state;
    set_up(&fixture);
    submit(&fixture, 1, "U1", "K", "1.1");
    batch = take(&fixture);
    free(elsewhere->reply_thread);
    elsewhere->reply_thread = xstrdup("9.9");
    dispatch_submit(fixture.dispatch, elsewhere, DISPATCH_NEW);
    CHECK_INT(dispatch_list_waiting(fixture.dispatch, NOW, places, 4), 1, "it sees no answer");
    CHECK_INT(places[0].ahead, 1, "behind the turn of its own conversation");
    CHECK_INT(places[0].has_company, 0, "alone there");
    dispatch_place_deinit(&places[0]);
    dispatch_finish(fixture.dispatch, &batch);
    tear_down(&fixture);
}

/* ---- at random ----------------------------------------------------------------------------
 *
 * Three workers, some ten people, eight conversations (three shared), every mode, stops in
 * between: whatever the order, each message is answered once or handed back once, a
 * conversation never runs twice at a time nor out of order, and whoever is listed first is
 * taken first.
 */

#define RANDOM_STEPS    4000
#define RANDOM_MESSAGES 2000
#define RANDOM_LANES    8
#define RANDOM_WORKERS  3

struct random_world {
    struct fixture fixture;
    struct dispatch_batch batches[RANDOM_WORKERS];
    int fds[RANDOM_WORKERS];
    uint64_t seed;
    int64_t last_id;
    char seen[RANDOM_MESSAGES + 1];
    int64_t newest[RANDOM_LANES]; /* id in the last batch of a lane */
    size_t answered;
    size_t stopped;
};

static unsigned draw(struct random_world *world, unsigned bound)
{
    world->seed = world->seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(world->seed >> 33) % bound;
}

static void draw_message(struct random_world *world)
{
    char user[8];
    char key[8];
    char ts[32];
    unsigned lane = draw(world, RANDOM_LANES);

    if (world->last_id == RANDOM_MESSAGES)
        return;
    snprintf(user, sizeof(user), "U%u", lane < 3 ? draw(world, 5) : lane);
    snprintf(key, sizeof(key), "%u", lane);
    snprintf(ts, sizeof(ts), "%lld.0", (long long)++world->last_id);
    submit(&world->fixture, world->last_id, user, key, ts);
}

static void note_batch(struct random_world *world, const struct dispatch_batch *batch,
                       size_t from)
{
    int64_t *newest = &world->newest[batch->conversation[0] - '0'];

    for (size_t i = from; i < batch->count; i++) {
        const struct ledger_entry *entry = batch->entries[i];

        CHECK_INT(world->seen[entry->id], 0, "answered once");
        world->seen[entry->id] = 1;
        CHECK_INT(entry->id > *newest, 1, "in order within its conversation");
        *newest = entry->id;
        world->answered++;
    }
}

static void draw_take(struct random_world *world)
{
    struct dispatch_figures figures;
    size_t ready = 0;
    unsigned worker = draw(world, RANDOM_WORKERS);
    struct dispatch_place places[DISPATCH_PLACES_MAX];
    AUTO_FREE char *first = NULL;
    size_t count;

    if (world->batches[worker].count)
        return;
    count = dispatch_list_waiting(world->fixture.dispatch, NOW, places, DISPATCH_PLACES_MAX);
    for (size_t i = 0; i < count; i++) {
        dispatch_get_figures(world->fixture.dispatch, places[i].conversation, &figures);
        if (!figures.is_running && !ready++)
            first = xstrdup(places[i].conversation);
        dispatch_place_deinit(&places[i]);
    }
    if (!ready)
        return;
    dispatch_take(world->fixture.dispatch, world->fds[worker], &world->batches[worker]);
    CHECK_TEXT(world->batches[worker].conversation, first, "whom the list named first");
    for (size_t i = 0; i < RANDOM_WORKERS; i++)
        CHECK_INT(i == worker || !world->batches[i].count ||
                      strcmp(world->batches[i].conversation,
                             world->batches[worker].conversation) != 0,
                  1, "one turn at a time");
    note_batch(world, &world->batches[worker], 0);
}

static void draw_end(struct random_world *world)
{
    struct dispatch_batch *batch = &world->batches[draw(world, RANDOM_WORKERS)];
    size_t before = batch->count;

    if (!before)
        return;
    dispatch_set_busy(world->fixture.dispatch, (enum dispatch_busy)draw(world, 3));
    if (dispatch_ask_busy(world->fixture.dispatch, batch, LATER, false) == DISPATCH_STEER) {
        CHECK_INT(dispatch_take_more(world->fixture.dispatch, batch) > 0, 1,
                  "who steers finds what to take");
        note_batch(world, batch, before);
        return;
    }
    dispatch_finish(world->fixture.dispatch, batch);
}

static void draw_stop(struct random_world *world)
{
    struct ledger_entry *taken[RANDOM_MESSAGES];
    char key[8];
    struct dispatch_filter filter = { .conversation = key };
    size_t count = 0;

    snprintf(key, sizeof(key), "%u", draw(world, RANDOM_LANES));
    dispatch_stop(world->fixture.dispatch, &filter, taken, RANDOM_MESSAGES, &count);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(world->seen[taken[i]->id], 0, "handed back once");
        world->seen[taken[i]->id] = 1;
        world->stopped++;
        ledger_entry_free(taken[i]);
    }
}

static void whatever_comes_each_message_is_answered_once_and_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct random_world world = { .seed = seed };

        set_up(&world.fixture);
        for (size_t i = 0; i < RANDOM_WORKERS; i++)
            world.fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        for (int i = 0; i < RANDOM_STEPS; i++) {
            unsigned what = draw(&world, 100);

            if (what < 45)
                draw_message(&world);
            else if (what < 70)
                draw_take(&world);
            else if (what < 99)
                draw_end(&world);
            else
                draw_stop(&world);
        }
        while (waiting(&world.fixture) ||
               world.answered + world.stopped < (size_t)world.last_id) {
            draw_take(&world);
            draw_end(&world);
        }
        for (size_t i = 0; i < RANDOM_WORKERS; i++) {
            if (world.batches[i].count)
                dispatch_finish(world.fixture.dispatch, &world.batches[i]);
            close(world.fds[i]);
        }
        CHECK_INT(world.answered + world.stopped, world.last_id, "none is lost");
        tear_down(&world.fixture);
    }
}

TEST_MAIN(TEST(a_newer_message_acts_by_mode_once_it_has_settled),
          TEST(messages_that_keep_coming_do_not_put_it_off_for_ever),
          TEST(only_what_the_asker_says_anew_acts),
          TEST(a_steer_takes_what_waits_in_order_whoever_wrote_it),
          TEST(what_is_answered_elsewhere_is_not_steered_nor_overtaken),
          TEST(a_stop_is_never_turned_into_a_steer),
          TEST(a_batch_grows_no_further_than_a_batch_may),
          TEST(a_turn_belongs_to_all_whose_messages_it_answers),
          TEST(a_conversation_is_found_by_its_messages),
          TEST(those_who_wait_are_listed_in_the_order_of_their_turns),
          TEST(a_message_in_another_thread_of_its_conversation_is_listed),
          TEST(whatever_comes_each_message_is_answered_once_and_in_order),
          TEST(a_conversation_is_answered_in_slacks_order),
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
