/*
 * sweeper.h - the thread that looks after what dead processes left, and after what nobody has
 * used for as long as memory.retention says - git worktrees, whose work stays on their
 * branches, and the agents' own chats: at the start of the daemon, then every so often.
 *
 * Owns:    its thread.
 * Threads: startup for sweeper_start(), loop for sweeper_join().
 */
#ifndef BOT_SWEEPER_H
#define BOT_SWEEPER_H

struct app;
struct sweeper;

struct sweeper *sweeper_start(struct app *app);

/* Set app->is_stopping first. A sweep under way is finished. NULL is fine; frees. */
void sweeper_join(struct sweeper *sweeper);

#endif
