/*
 * worker.h - the pool: agent.max_running threads, each with its own Slack client, each carrying
 * one turn at a time.
 *
 * Owns:    its threads.
 * Threads: startup for workers_start(), loop for workers_join().
 */
#ifndef BOT_WORKER_H
#define BOT_WORKER_H

struct app;
struct workers;

/*
 * The threads also bring what the ledger holds and the dispatcher does not into the dispatcher:
 * all of it at the start, for which it is held, and an overflow later.
 */
struct workers *workers_start(struct app *app);

/*
 * Waits for the threads. Call dispatch_close() and set app->is_stopping first: running turns
 * are left to the next process and idle workers return.
 */
void workers_join(struct workers *workers); /* NULL is fine; frees */

#endif
