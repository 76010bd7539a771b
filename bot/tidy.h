/*
 * tidy.h - the thread that takes away what is old on the disk: git worktrees that no turn has
 * used within memory.retention (their work stays on its branch), the agents' own chats of
 * conversations that old, and slots that a killed daemon left full. At the start and hourly
 * (oftener where retention is shorter).
 *
 * Owns:    its thread.
 * Threads: tidy_start() at startup or on the loop, tidy_join() on the loop.
 * Errors:  logged; tried again the next time.
 */
#ifndef BOT_TIDY_H
#define BOT_TIDY_H

struct app;
struct tidy;

struct tidy *tidy_start(struct app *app);

/* Ends what is under way, once app->is_stopping is set, and frees. NULL is fine. */
void tidy_join(struct tidy *tidy);

#endif
