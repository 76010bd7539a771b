/*
 * slab.h - room for small things of a few sizes that live long, apart from malloc's heap: heads
 * of conversations between packs that grow would leave a hole behind each of them.
 *
 * A slab holds some ninety things of one size (in steps of 16 bytes), and is given back when
 * the last one goes. What is larger than SLAB_ITEM_MAX_BYTES comes from malloc.
 *
 * Owns:    the slabs; what is in them is the caller's until slab_give().
 * Threads: one at a time for each pool.
 */
#ifndef MEMORY_SLAB_H
#define MEMORY_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_STEP_BYTES     16
#define SLAB_ITEM_MAX_BYTES 512
#define SLAB_SIZES          (SLAB_ITEM_MAX_BYTES / SLAB_STEP_BYTES + 1)

struct slab;

/* Zeroed is empty. */
struct slab_pool {
    struct slab *roomy[SLAB_SIZES]; /* with a free place, by size */
};

/* `size` zeroed bytes; never NULL. *ret_place is to be given back with them. */
void *slab_take(struct slab_pool *pool, size_t size, uint8_t *ret_place);
void slab_give(struct slab_pool *pool, void *item, size_t size, uint8_t place);

/* What an item of this size takes. */
size_t slab_item_bytes(size_t size);

#endif
