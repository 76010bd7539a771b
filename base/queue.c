#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"

#define SLOTS_MIN 16

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    void **slots; /* a ring that doubles up to max_items */
    size_t capacity;
    size_t head;
    size_t count;
    size_t max_items;
    bool closed;
};

struct queue *queue_new(size_t max_items)
{
    struct queue *queue = xcalloc(1, sizeof(*queue));
    pthread_condattr_t attributes;

    queue->max_items = max_items;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    return queue;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue->slots);
    free(queue);
}

static void grow_locked(struct queue *queue)
{
    size_t capacity = queue->capacity ? queue->capacity * 2 : SLOTS_MIN;
    void **slots = xcalloc(capacity, sizeof(*slots));

    for (size_t i = 0; i < queue->count; i++)
        slots[i] = queue->slots[(queue->head + i) % queue->capacity];
    free(queue->slots);
    queue->slots = slots;
    queue->capacity = capacity;
    queue->head = 0;
}

bool queue_push(struct queue *queue, void *item)
{
    bool accepted;

    pthread_mutex_lock(&queue->lock);
    accepted = !queue->closed && queue->count < queue->max_items;
    if (accepted) {
        if (queue->count == queue->capacity)
            grow_locked(queue);
        queue->slots[(queue->head + queue->count) % queue->capacity] = item;
        queue->count++;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return accepted;
}

static struct timespec deadline_after(int64_t timeout_ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

size_t queue_pop_many(struct queue *queue, void **items, size_t max, int64_t timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms > 0 ? timeout_ms : 0);
    size_t taken = 0;

    pthread_mutex_lock(&queue->lock);
    while (!queue->count && !queue->closed && timeout_ms != 0) {
        if (timeout_ms < 0)
            pthread_cond_wait(&queue->filled, &queue->lock);
        else if (pthread_cond_timedwait(&queue->filled, &queue->lock, &deadline) == ETIMEDOUT)
            break;
    }
    while (taken < max && queue->count) {
        items[taken++] = queue->slots[queue->head];
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void *queue_pop(struct queue *queue, int64_t timeout_ms)
{
    void *item = NULL;

    return queue_pop_many(queue, &item, 1, timeout_ms) ? item : NULL;
}

size_t queue_length(struct queue *queue)
{
    size_t count;

    pthread_mutex_lock(&queue->lock);
    count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_is_closed(struct queue *queue)
{
    bool closed;

    pthread_mutex_lock(&queue->lock);
    closed = queue->closed;
    pthread_mutex_unlock(&queue->lock);
    return closed;
}
