/*
 * placard.h - tells those who wait what is ahead of them: "2 ahead of you, about 4 min", where
 * their answer will come.
 *
 *   dispatcher --list, twice a second--> placard --slack/notice--> status line or message
 *   worker     --placard_take() at the start of a turn--> the answer goes on in that message
 *
 * Shown to whoever has waited for PLACARD_AFTER_MS, at most DISPATCH_PLACES_MAX of them, those
 * who are next first; changed at once when the place changes, else every PLACARD_CHANGE_MS at
 * most; in all PLACARD_BURST calls and then one every PLACARD_CALL_MS, so that Slack's limits
 * are left to the answers. What does not fit comes later. Gone when the message is stopped,
 * withdrawn or refused.
 *
 * After a crash the ledger knows the message (memory_note_reply()), or else it is found by its
 * key; a status line ends by itself within two minutes.
 *
 * Owns:    one thread, one slack_web.
 * Threads: loop for start and join; worker for placard_take().
 */
#ifndef BOT_PLACARD_H
#define BOT_PLACARD_H

#include <stdbool.h>

#include "memory/memory.h"
#include "slack/web.h"

#define PLACARD_AFTER_MS   2000
#define PLACARD_CHANGE_MS  10000
#define PLACARD_REFRESH_MS 60000 /* of a status line, which Slack drops after two minutes */
#define PLACARD_CALL_MS    2000
#define PLACARD_BURST      8

struct app;
struct placard;

struct placard *placard_start(struct app *app);

/* Ends the thread; what is shown stays for the next process. NULL is fine; free after the
 * workers. */
void placard_join(struct placard *placard);
void placard_free(struct placard *placard);

/*
 * The turn of this message begins: nothing more is shown for it. What surface->resume() needs
 * to take the line's place, NULL when there is none; the caller frees it. `is_found`: the
 * message comes from the ledger, so an earlier process may have shown it (asks Slack then).
 * Waits for a call that is just being made, some seconds at most.
 */
char *placard_take(struct placard *placard, struct slack_web *web,
                   const struct ledger_entry *entry, bool is_found);

/* What placard_take() gave, when there will be no turn after all: the line goes. */
void placard_discard(struct slack_web *web, const char *channel, const char *thread_ts,
                     const char *state);

/* The key of the answer to a message, the same before and after a restart. Caller frees. */
char *placard_answer_key(int64_t id, unsigned attempts, bool is_run);

#endif
