/*
 * thread.h - a thread that starts, or the program ends: like memory, one that is refused is
 * logged and aborts, so that nothing waits for a thread that never was.
 *
 * Owns:    nothing; the caller joins.
 * Threads: any.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* `name` (15 bytes at most) is what the system shows of it. */
void thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *context);

#endif
