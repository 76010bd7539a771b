/*
 * files_dir_parts.h - the inside of struct files_dir, for files_dir.c and files_change.c.
 *
 * Owns:    see files_dir.h.
 * Threads: see files_dir.h.
 */
#ifndef MEMORY_FILES_DIR_PARTS_H
#define MEMORY_FILES_DIR_PARTS_H

#include <pthread.h>

#include "base/buf.h"
#include "memory/files_dir.h"

#define FILES_BATCH     ".batch"
#define FILES_VISITED   ".visited"
#define FILES_TEMPORARY ".tmp"
#define FILES_MAX_BYTES ((size_t)256 << 20)
#define FILES_COUNTER   20 /* digits in .visited, always as many */

struct files_dir {
    char *path;
    int fds[FILES_FOLDERS];
    int lock_fd;
    int visited_fd;
    bool announces;
    int64_t seen_visits;
    pthread_mutex_t mutex; /* between threads, as the file lock is between processes */
};

/* err_set_errno() "cannot <what> <path of name>". */
int files_fail(const struct files_dir *dir, enum files_folder folder, const char *what,
               const char *name, struct err *err);

/* 1 with the file's bytes in `out`, 0 absent, -1. */
int files_read_bytes(const struct files_dir *dir, enum files_folder folder, const char *name,
                     struct buf *out, struct err *err);

/* Renames what is damaged, and logs it. */
int files_put_aside(struct files_dir *dir, enum files_folder folder, const char *name,
                    const struct err *why, struct err *err);

int64_t files_read_visits(const struct files_dir *dir);

/* Does what .batch says, if there is one. With the lock held. */
int files_carry_out_leftover(struct files_dir *dir, struct err *err);

#endif
