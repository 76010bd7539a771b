/*
 * files_batch.h - a batch of mutations on the files store: each document that it touches is
 * read once, changed in RAM, and written at the end, all together.
 *
 * Owns:    its drafts.
 * Threads: one, with the directory's lock held.
 */
#ifndef MEMORY_FILES_BATCH_H
#define MEMORY_FILES_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/files_parts.h"

/* A document that the batch reads or changes. */
struct files_draft {
    enum files_folder folder;
    char *key;
    char *name;
    json_t *root; /* NULL: there is none (any more) */
    bool is_changed;
};

struct files_batch {
    struct files_store *store;
    int64_t now_wall_us;
    struct files_draft *drafts;
    size_t count;
    size_t capacity;
};

/* The draft of a key, with a NULL root when there is no such document; NULL on failure.
 * Borrowed until the next call. */
struct files_draft *files_take_up(struct files_batch *batch, enum files_folder folder,
                                  const char *key, struct err *err);

/* For a change: makes the document when there is none. Borrowed; NULL on failure. */
json_t *files_edit(struct files_batch *batch, enum files_folder folder, const char *key,
                   struct err *err);

/* For a change of what is there: 1, 0 when there is none, -1. */
int files_edit_if_there(struct files_batch *batch, enum files_folder folder, const char *key,
                        json_t **ret_root, struct err *err);

void files_erase_draft(struct files_draft *draft);

/* The mutations of conversations. */
int files_change_conversation(struct files_batch *batch, struct store_mutation *mutation,
                              struct err *err);

#endif
