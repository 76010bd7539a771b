/*
 * memory_parts.h - the parts of bench_memory, each run in a process of its own, so that what
 * one leaves in the heap does not count for the next.
 *
 * Threads: one; a part starts its own.
 */
#ifndef BENCH_MEMORY_PARTS_H
#define BENCH_MEMORY_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"

#define PARTS_TURNS      10  /* of each conversation */
#define PARTS_TEXT_BYTES 100 /* of each turn */
#define PARTS_KEY_BYTES  48

struct bench_size {
    int conversations;      /* in RAM */
    int disk_conversations; /* in the store: a tenth as many turns fill it */
    const char *directory;  /* for databases, emptied between the parts */
};

/* Each returns 0, or 1 when what it measures does not work. */
int bench_ram_packed(const struct bench_size *size);
int bench_ram_plain(const struct bench_size *size);
int bench_ram_bound(const struct bench_size *size);
int bench_disk(const struct bench_size *size);
int bench_commit(const struct bench_size *size);
int bench_context(const struct bench_size *size);
int bench_users(const struct bench_size *size);
int bench_snapshot(const struct bench_size *size);
int bench_day(const struct bench_size *size);

/* ---- the same for all ----------------------------------------------------------------------
 */

/* "U0000000001:C0123456789:1790000000.000100" */
void parts_key(char key[PARTS_KEY_BYTES], int number);

/* The turn'th of a conversation: PARTS_TEXT_BYTES of text, a ts, an author when it asks. The
 * strings live until the next call on this thread. */
struct memory_turn parts_turn(int number, int turn);

struct memory_options parts_options(const char *directory);

/* A small generator with a seed: each run does the same. */
uint32_t parts_random(uint32_t *state, uint32_t below);

/* Opens, or says why not and returns NULL. */
struct metrics;
struct memory *parts_open(const struct memory_options *options, struct metrics *metrics);

/* A question and an answer in conversation `number`, as a worker does it, the commit timed;
 * -1 when it fails (said). */
int64_t parts_commit_us(struct memory *memory, int number);

#endif
