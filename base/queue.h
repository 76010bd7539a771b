/*
 * queue.h - a bounded first-in first-out of pointers between threads.
 *
 * Owns:    nothing that it carries: an item belongs to whoever popped it.
 * Threads: any; its lock is never held while a caller's code runs.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t max_items);
void queue_free(struct queue *queue); /* NULL is fine; must be empty of what needs freeing */

/* False when the queue is full or closed: the item stays the caller's. `item` is not NULL. */
bool queue_push(struct queue *queue, void *item);

/* The oldest item, or NULL: nothing came within `timeout_ms` (0 polls, -1 waits for ever), or
 * closed and empty. */
void *queue_pop(struct queue *queue, int64_t timeout_ms);

/* Fills `items` with up to `max`; waits for the first like queue_pop. Returns how many. */
size_t queue_pop_many(struct queue *queue, void **items, size_t max, int64_t timeout_ms);

size_t queue_length(struct queue *queue);

/* No more pushes; waiting poppers wake. What is inside can still be popped. */
void queue_close(struct queue *queue);
bool queue_is_closed(struct queue *queue);

#endif
