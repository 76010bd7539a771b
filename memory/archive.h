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

/* Pages by store_list.after; see store.h. */
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
 * Adds turns to conversations in the order given, many in one commit; each (key, slack_ts or
 * at + text) that is there already is passed over, so that an import that was cut short is
 * begun again. Not trimmed to max_turns until the conversation goes on.
 */
struct archive_import;
struct archive_import *memory_import_begin(struct memory *memory);
int memory_import_turn(struct archive_import *import, const char *key,
                       const struct memory_turn *turn, struct err *err);
/* Commits what is left and frees; ret_turns: added. */
int memory_import_end(struct archive_import *import, int64_t *ret_turns, int64_t *ret_skipped,
                      struct err *err);

int memory_store_stats(struct memory *memory, struct store_stats *ret_stats, struct err *err);
int memory_backup(struct memory *memory, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err);
/* Everything of one store into another (conversations with turns, summaries, fields; people;
 * values); what is there already with the same seq is passed over. */
int memory_copy(struct memory *from, struct memory *to, bool is_dry_run,
                void (*progress)(void *context, int64_t done, int64_t total), void *context,
                struct store_stats *ret_copied, struct err *err);

#endif
