/*
 * schema.h - what stands in threadkeeper.db, and every statement that is said to it.
 *
 * Owns:    nothing.
 * Threads: any; constants.
 */
#ifndef MEMORY_SCHEMA_H
#define MEMORY_SCHEMA_H

#include <stddef.h>

#include "memory/db.h"

/* Step i brings PRAGMA user_version from i to i + 1. A released step is never edited. */
extern const char *const schema_steps[];
extern const int schema_version; /* the number of steps */

/* The tables, for those who go over everything. */
extern const char *const schema_tables[];
extern const size_t schema_tables_count;

const char *schema_statement(enum db_statement which);

#endif
