#include "base/queue.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "tests/test.h"

static int items[1000];

static void items_come_out_in_the_order_they_went_in(void)
{
    struct queue *queue = queue_new(1000);

    /* Pops in between make the ring wrap while it grows. */
    for (size_t i = 0, next = 0; i < 1000; i++) {
        CHECK_INT(queue_push(queue, &items[i]), 1, "there is room");
        if (i % 3 == 0)
            CHECK_INT(queue_pop(queue, 0) == &items[next++], 1, "the oldest");
    }
    for (size_t i = 334; i < 1000; i++)
        CHECK_INT(queue_pop(queue, 0) == &items[i], 1, "the oldest");
    CHECK_INT(queue_pop(queue, 0) == NULL, 1, "empty");
    queue_free(queue);
    queue_free(NULL);
}

static void a_full_queue_refuses(void)
{
    struct queue *queue = queue_new(2);

    CHECK_INT(queue_push(queue, &items[0]), 1, "room");
    CHECK_INT(queue_push(queue, &items[1]), 1, "room");
    CHECK_INT(queue_push(queue, &items[2]), 0, "full");
    CHECK_INT(queue_length(queue), 2, "untouched");
    queue_pop(queue, 0);
    CHECK_INT(queue_push(queue, &items[2]), 1, "room again");
    queue_free(queue);
}

static void a_closed_queue_refuses_but_gives_what_it_holds(void)
{
    struct queue *queue = queue_new(9);

    queue_push(queue, &items[0]);
    CHECK_INT(queue_is_closed(queue), 0, "open");
    queue_close(queue);
    CHECK_INT(queue_is_closed(queue), 1, "closed");
    CHECK_INT(queue_push(queue, &items[1]), 0, "closed");
    CHECK_INT(queue_pop(queue, -1) == &items[0], 1, "still inside");
    CHECK_INT(queue_pop(queue, -1) == NULL, 1, "closed and empty: does not wait");
    queue_free(queue);
}

static void many_are_taken_at_once(void)
{
    struct queue *queue = queue_new(9);
    void *taken[4];

    for (size_t i = 0; i < 5; i++)
        queue_push(queue, &items[i]);
    CHECK_INT(queue_pop_many(queue, taken, 4, -1), 4, "as many as asked for");
    CHECK_INT(taken[3] == &items[3], 1, "in order");
    CHECK_INT(queue_pop_many(queue, taken, 4, -1), 1, "as many as there are, without waiting");
    CHECK_INT(queue_pop_many(queue, taken, 4, 0), 0, "none");
    queue_free(queue);
}

static void waiting_ends_at_its_deadline(void)
{
    struct queue *queue = queue_new(1);
    int64_t began_ms = clock_now_ms();

    CHECK_INT(queue_pop(queue, 30) == NULL, 1, "nothing came");
    CHECK_INT(clock_now_ms() - began_ms >= 29, 1, "it waited that long");
    queue_free(queue);
}

static void *pop_one(void *context)
{
    return queue_pop(context, -1);
}

static void a_push_or_a_close_wakes_who_waits(void)
{
    struct queue *queue = queue_new(1);
    pthread_t thread;
    void *got = NULL;

    pthread_create(&thread, NULL, pop_one, queue);
    queue_push(queue, &items[5]);
    pthread_join(thread, &got);
    CHECK_INT(got == &items[5], 1, "handed over");
    pthread_create(&thread, NULL, pop_one, queue);
    queue_close(queue);
    pthread_join(thread, &got);
    CHECK_INT(got == NULL, 1, "woken empty-handed");
    queue_free(queue);
}

#define PRODUCERS 4
#define EACH      2000

static struct queue *shared;
static atomic_int seen[PRODUCERS * EACH];

static void *produce(void *context)
{
    atomic_int *first = context;

    for (size_t i = 0; i < EACH; i++) {
        while (!queue_push(shared, (void *)&first[i]))
            sched_yield();
    }
    return NULL;
}

static void *consume(void *context)
{
    atomic_int *item;

    (void)context;
    while ((item = queue_pop(shared, -1)) != NULL)
        atomic_fetch_add(item, 1);
    return NULL;
}

static void between_threads_nothing_is_lost_or_doubled(void)
{
    pthread_t producers[PRODUCERS];
    pthread_t consumers[2];

    shared = queue_new(64); /* small, so that both sides meet its ends */
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        pthread_create(&consumers[i], NULL, consume, NULL);
    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_create(&producers[i], NULL, produce, (void *)&seen[i * EACH]);
    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i], NULL);
    queue_close(shared);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        pthread_join(consumers[i], NULL);
    for (size_t i = 0; i < (size_t)PRODUCERS * EACH; i++)
        CHECK_INT(atomic_load(&seen[i]), 1, "exactly once");
    queue_free(shared);
}

TEST_MAIN(TEST(items_come_out_in_the_order_they_went_in), TEST(a_full_queue_refuses),
          TEST(a_closed_queue_refuses_but_gives_what_it_holds), TEST(many_are_taken_at_once),
          TEST(waiting_ends_at_its_deadline), TEST(a_push_or_a_close_wakes_who_waits),
          TEST(between_threads_nothing_is_lost_or_doubled))
