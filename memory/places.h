/*
 * places.h - where people talked with the bot lately, read from the ledger.
 *
 * Owns:    nothing; borrows a reader for each call.
 * Threads: any but the loop.
 */
#ifndef MEMORY_PLACES_H
#define MEMORY_PLACES_H

#include "memory/memory.h"
#include "memory/readers.h"

/* See memory_active_places() and memory_last_message() in memory.h. */
int places_read(struct readers *readers, const struct memory_places_query *query,
                struct memory_place *ret_places, size_t max, size_t *ret_count,
                struct err *err);
int places_last_message(struct readers *readers, const char *except_channel,
                        int64_t before_wall_us, int64_t *ret_wall_us, struct err *err);

#endif
