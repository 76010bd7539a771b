/*
 * worker.h - the pool: agent.max_running threads, each with its own Slack client, each carrying
 * one turn at a time.
 *
 * Owns:    its threads.
 * Threads: startup for workers_start(), loop for workers_join().
 */
#ifndef BOT_WORKER_H
#define BOT_WORKER_H

#include <stdint.h>

struct app;
struct workers;

struct workers *workers_start(struct app *app);

/*
 * Waits for the threads. Call dispatch_close() and set app->is_stopping first: running turns
 * are left to the next process and idle workers return.
 */
void workers_join(struct workers *workers); /* NULL is fine; frees */

/*
 * Brings what the ledger holds and the dispatcher does not into the dispatcher: all of it at
 * the start, the overflow later. Startup, worker.
 */
void workers_refill(struct app *app, int64_t after_id);

#endif
