/*
 * file.h - small files and directories, whole or not at all.
 *
 * Threads: any. Blocks on the disk, so never from the loop.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the file's bytes to `ret_bytes`; a file longer than its maximum is ERR_INPUT. What is
 * no plain file (a FIFO, a device) is refused, and never waited for. */
int file_read(const char *path, struct buf *ret_bytes, struct err *err);

/* The same where an agent may have written: a link in the file's place is refused, too. */
int file_read_no_link(const char *path, struct buf *ret_bytes, struct err *err);

/* Writes a temporary file beside `path`, fsyncs, renames over it and fsyncs the directory. */
int file_write(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err);

/* All of the bytes, whatever interrupts; -1 with errno. */
int file_write_all(int fd, const char *bytes, size_t len);

/* Makes `path` and its missing parents, each with `mode`; an existing directory is fine. */
int file_make_dirs(const char *path, mode_t mode, struct err *err);

/*
 * Removes a file or a directory with all it holds, never following links. Absent is fine. What
 * its owner, who is our user, locked is unlocked; how deep it is does not matter. Somebody may
 * still be at work inside: then some of it may stay (ERR_SYSTEM), but nothing outside goes.
 */
int file_remove_tree(const char *path, struct err *err);

#endif
