/*
 * salvage_head.h - a database whose first page is spoilt does not open at all, though the rest
 * of it may be whole. Where the tables begin is the same in every file of ours (with
 * auto_vacuum the roots stand in front, in the order in which the steps of schema.h make them),
 * so a new file can lend its head.
 *
 * Owns:    nothing.
 * Threads: startup.
 */
#ifndef MEMORY_SALVAGE_HEAD_H
#define MEMORY_SALVAGE_HEAD_H

#include "base/err.h"

/* Makes `copy_path` of the damaged file with the head, and what describes the tables, of the
 * fresh one, whose log is empty. */
int salvage_lend_head(const char *damaged_path, const char *fresh_path, const char *copy_path,
                      struct err *err);

#endif
