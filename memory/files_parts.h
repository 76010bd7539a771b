/*
 * files_parts.h - the files store's own parts, behind store.h; nobody else includes it.
 *
 * Owns:    see store.h.
 * Threads: see store.h.
 */
#ifndef MEMORY_FILES_PARTS_H
#define MEMORY_FILES_PARTS_H

#include <pthread.h>

#include "memory/files_dir.h"
#include "memory/files_doc.h"
#include "memory/store.h"

struct files_store {
    struct store base;
    struct files_dir *dir;
    struct vault *vault; /* borrowed, or NULL */
    /* A sweep's round: what it has not looked at yet. One piece at a time. */
    pthread_mutex_t sweep_lock;
    struct files_names left[FILES_FOLDERS];
    bool is_sweeping;
};

/* A key and the name of its file. */
struct files_entry {
    char *key;
    char *name;
};
struct files_entries {
    struct files_entry *entries;
    size_t count;
};
/* What there is of a kind whose keys fit `pattern` and come after `after`, in order of key. */
int files_list_keys(struct files_store *store, enum files_folder folder, const char *pattern,
                    const char *after, struct files_entries *ret_entries, struct err *err);
void files_entries_deinit(struct files_entries *entries); /* safe on a zeroed struct, twice */

/* The document of a key: 1 with a new reference, 0 when there is none, -1. */
int files_find(struct store *base, enum files_folder folder, const char *key, json_t **ret_root,
               struct err *err);

/* Erases the turns for which `is_meant` says so, and from `people` who said nothing else.
 * Returns how many. */
typedef bool (*files_turn_test_fn)(const void *context, const json_t *turn);
int64_t files_erase_turns(json_t *conversation, files_turn_test_fn is_meant,
                          const void *context);
/* Fields that have expired. Returns how many. */
int64_t files_drop_expired(json_t *conversation, int64_t now_ms);

int files_list(struct store *base, const struct store_list *list, store_conversation_fn visit,
               void *context, struct err *err);
int files_size(struct store *base, const char *key, struct store_conversation *ret,
               struct err *err);
int files_stats(struct store *base, struct store_stats *ret_stats, struct err *err);
int files_apply(struct store *store, struct db *journal_db, struct store_mutation *mutations,
                size_t count, struct err *err);
int files_sweep(struct store *base, struct db *journal_db, int64_t before_wall_s,
                struct store_swept *swept, struct err *err);
int files_backup(struct store *base, const char *path,
                 void (*progress)(void *context, int64_t done, int64_t total), void *context,
                 struct err *err);

#endif
