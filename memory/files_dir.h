/*
 * files_dir.h - the directory of the files store: names, the lock, reading a file, and changing
 * several files together or not at all.
 *
 *   DIR/<name>.json          a conversation
 *   DIR/people/<name>.json   a person           DIR/values/<name>.json   a value
 *   DIR/.lock                locked (flock) by whoever changes something
 *   DIR/.batch               a change of several files, under way
 *   DIR/.visited             counts the changes made by visitors
 *   .XXXXXXXX.tmp            a file being written; leftovers go at the next open
 *   <name>.json.damaged-T    could not be read, and was put aside at time T
 *
 * A file is never changed in place: it is written anew beside itself, fsynced, and renamed
 * over. So a reader takes no lock and finds it as it was before a change or after it, whole. A
 * change of several files fsyncs all of the new ones and then writes .batch, which names the
 * renames: from there on the change is durable. The renames follow, then .batch goes. Whoever
 * locks next and finds the .batch of a process that died carries it out first.
 *
 * One lock for the directory, not one for each conversation: changes that span conversations
 * need no order of locking, and what takes the time, fsync, a file system does one by one
 * anyway. It is held for one change, which is bounded, never for a whole sweep or backup. A
 * lock cannot be left behind: it goes with the process.
 *
 * Owns:    its descriptors.
 * Threads: any; what needs the lock says so.
 * Errors:  ERR_TEMP when another process keeps the lock for 5 seconds; ERR_INPUT for what is
 * too large; ERR_SYSTEM for the rest. When files_commit() fails while it renames (an I/O
 *          error), the change may appear later, whole.
 */
#ifndef MEMORY_FILES_DIR_H
#define MEMORY_FILES_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"

enum files_folder { FILES_CONVERSATIONS, FILES_PEOPLE, FILES_VALUES, FILES_FOLDERS };

struct files_dir;

/* Makes what is missing (0700), carries out what a dead process left, removes what it left
 * half written. `announces`: this process is a visitor. */
int files_dir_open(const char *path, bool announces, struct files_dir **ret_dir,
                   struct err *err);
void files_dir_close(struct files_dir *dir); /* NULL is fine */
const char *files_dir_path(const struct files_dir *dir);
const char *files_folder_name(enum files_folder folder); /* "", "people/", "values/" */
int files_dir_fd(const struct files_dir *dir, enum files_folder folder);

/* ---- names ------------------------------------------------------------------------------- */

/* The file's name for a key, different for every key, below 200 bytes: what is no letter, digit
 * or one of _.- is written %XX; a long one is cut and ends in ~ and a hash. Freed by caller. */
char *files_name(const char *key);

/* The key that `name` was made from; NULL when it was cut: the key stands in the file. Freed by
 * the caller. */
char *files_key(const char *name);

struct files_names {
    char **names;
    size_t count;
};
/* The names of a folder's files, in no order. */
int files_names(const struct files_dir *dir, enum files_folder folder,
                struct files_names *ret_names, struct err *err);
void files_names_deinit(struct files_names *names); /* safe on a zeroed struct, and twice */

/* ---- reading ----------------------------------------------------------------------------- */

/*
 * 1 with the file's JSON (a new reference), 0 when there is none, -1. A file that is damaged -
 * no JSON, or not of the form that files_doc.h wants - is renamed to NAME.damaged-TIME, which
 * is logged, and counts as none. The second is for who holds the lock.
 */
int files_read(struct files_dir *dir, enum files_folder folder, const char *name,
               json_t **ret_root, struct err *err);
int files_read_locked(struct files_dir *dir, enum files_folder folder, const char *name,
                      json_t **ret_root, struct err *err);

/* ---- changing ---------------------------------------------------------------------------- */

int files_lock(struct files_dir *dir, struct err *err);
void files_unlock(struct files_dir *dir);

struct files_change {
    enum files_folder folder;
    const char *name;
    const json_t *root; /* NULL: the file goes */
};

/* All or nothing, durable when it returns 0. With the lock held. */
int files_commit(struct files_dir *dir, const struct files_change *changes, size_t count,
                 struct err *err);

/*
 * Removes what was put aside as damaged: of the files that go by these changes, and all that
 * was put aside before `before_wall_s` (0: none). Returns how many went. With the lock held.
 */
int64_t files_remove_damaged(struct files_dir *dir, const struct files_change *changes,
                             size_t count, int64_t before_wall_s);

/* Grows when a visitor has changed something, and then waits until that change is complete. One
 * thread. */
int64_t files_visits(struct files_dir *dir);

#endif
