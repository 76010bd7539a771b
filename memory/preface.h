/*
 * preface.h - what stands before the turns in a context: what is known of the person, the
 * summary of older turns. Both change rarely, so that contexts begin alike.
 *
 * Owns:    nothing.
 * Threads: worker; holder of the pin.
 * Errors:  what the store does not give is left out, noted in the receipt and logged.
 */
#ifndef MEMORY_PREFACE_H
#define MEMORY_PREFACE_H

#include <stdint.h>

#include "base/buf.h"
#include "memory/memory.h"
#include "memory/receipt.h"

/* Each appends at most `max_quarters` (see tokens.h) and loses whole lines or sentences that
 * are too much. */
void preface_take_person(struct memory *memory, const char *user, int64_t max_quarters,
                         struct buf *out, struct memory_receipt *receipt);
void preface_take_summary(const struct conversation *conversation, int64_t max_quarters,
                          struct buf *out, struct memory_receipt *receipt);

#endif
