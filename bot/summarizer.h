/*
 * summarizer.h - makes summaries while nobody waits: one thread, one summary at a time.
 *
 *   note(key) -> queue, each key once -> (agent: when a worker is free and nobody waits) ->
 * made ^                                                                        |
 *                  +---- more turns than one summary takes, or a failure: later ------------+
 *
 * memory.context.summarizer decides at each: `extract` at once, `agent` at most one run at a
 * time, begun only while fewer turns run than agent.max_running and no message waits. Such a
 * run is let finish when turns come meanwhile: they have workers of their own and do not wait
 * for it.
 *
 * An agent that fails for a conversation is tried again with growing pauses; after
 * SUMMARIZER_TRIES failures in a row the sentences are chosen instead, and the next summary is
 * the agent's again. A key that finds no room in the queue, or is in it when the daemon stops,
 * comes again with the conversation's next turn.
 *
 * Owns:    its thread, the run under way and its directory (state_dir/summaries).
 * Threads: any for note and interrupt, which never block; loop for start and join.
 */
#ifndef BOT_SUMMARIZER_H
#define BOT_SUMMARIZER_H

#define SUMMARIZER_QUEUE_MAX 1024
#define SUMMARIZER_TRIES     3

struct app;
struct summarizer;

struct summarizer *summarizer_start(struct app *app);

/* A turn of this conversation has ended: it may have become long. NULL is fine. */
void summarizer_note(struct summarizer *summarizer, const char *key);

/*
 * What is being summarized may have been erased: ends the run under way and removes what it
 * wrote, soon; its conversation is looked at again. NULL is fine.
 */
void summarizer_interrupt(struct summarizer *summarizer);

/* Waits for the thread, which ends its run first. Set app->is_stopping before. NULL is fine;
 * frees. */
void summarizer_join(struct summarizer *summarizer);

#endif
