/*
 * archive.h - memory from the outside: listing, searching, copying, counting. What
 * `threadkeeper memory` stands on; works beside a running daemon.
 *
 * Owns:    nothing.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_ARCHIVE_H
#define MEMORY_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"
#include "memory/store.h"

#define ARCHIVE_KEY_MAX 1024 /* bytes of a key that is imported */

/*
 * For commands that only look: opens what is there without making, migrating or writing
 * anything, beside a running daemon or without one. Where there is nothing yet it reads as an
 * empty store. Close with memory_close(); calls that write fail. Startup.
 */
int memory_open_reader(const struct memory_options *options, struct metrics *metrics,
                       struct memory **ret_memory, struct err *err);

/* In order of key, page by page (see store_list in store.h; NULL counts as ""). Nothing is held
 * while `visit` runs: it may read, write and take its time. */
int memory_list(struct memory *memory, const struct store_list *list,
                store_conversation_fn visit, void *context, struct err *err);
int memory_history(struct memory *memory, const char *key, const struct store_range *range,
                   store_visit_turn_fn visit, void *context, struct err *err);
int memory_summaries(struct memory *memory, const char *key, store_summary_fn visit,
                     void *context, struct err *err);

/* A turn that matches, best first. */
struct archive_hit {
    char *key;
    int64_t seq;
    double score;
    int64_t at_wall_s;
    enum memory_role role;
    char *author;
    char *text;
};
void archive_hit_deinit(struct archive_hit *hit); /* safe on a zeroed struct, and twice */

/* Searches every conversation that `list` names (limit and after do not count); `progress` may
 * be NULL. Fills at most `max` hits, each deinited by the caller. */
int memory_search(struct memory *memory, const struct store_list *list, const char *query,
                  struct archive_hit *ret_hits, size_t max, size_t *ret_count,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err);

/*
 * Adds turns to conversations in the order given, many in one commit. A turn that was there
 * before the import came to its conversation is passed over - the same slack_ts or, without
 * one, time and author; and the same role and text - so that an import that was cut short is
 * begun again. Lines alike in one import are turns of their own. Not trimmed to max_turns until
 * the conversation goes on. Metadata must be NULL, "" or a JSON object. ERR_INPUT: this turn
 * cannot be kept (a key over ARCHIVE_KEY_MAX, too long a text), the import may go on; after any
 * other failure it may only be ended.
 */
struct archive_import;
struct archive_import *memory_import_begin(struct memory *memory);
int memory_import_turn(struct archive_import *import, const char *key,
                       const struct memory_turn *turn, struct err *err);
/* Commits what is left and frees; ret_turns: added, set on failure too. */
int memory_import_end(struct archive_import *import, int64_t *ret_turns, int64_t *ret_skipped,
                      struct err *err);

int memory_store_stats(struct memory *memory, struct store_stats *ret_stats, struct err *err);
int memory_backup(struct memory *memory, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err);
/* Erases now what is past retention or has expired; ret_swept is set on failure too. */
int memory_sweep(struct memory *memory, struct store_swept *ret_swept, struct err *err);

/* Everything of one store into another (conversations with turns, summaries, fields; people;
 * values); what is there already (a turn by its seq, a summary by its version, the rest by
 * name) is passed over. What was copied is in ret_copied, without people and disk_bytes, on
 * failure too. */
int memory_copy(struct memory *from, struct memory *to, bool is_dry_run,
                void (*progress)(void *context, int64_t done, int64_t total), void *context,
                struct store_stats *ret_copied, struct err *err);

#endif
