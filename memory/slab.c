#include "memory/slab.h"

#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "base/alloc.h"

#define SLAB_BYTES      16368 /* a block of malloc's, with its head 16 KB */
#define PLACES_MAX      UINT8_MAX
#define MALLOC_ROUND(n) (((n) + 8 + 15) / 16 * 16)

struct slab {
    struct slab *next; /* of those with room for the same size */
    struct slab *previous;
    void *free;     /* places given back, each holding the next */
    uint16_t fresh; /* places from here on were never used: their pages are not touched */
    uint16_t places;
    uint16_t used;
    uint16_t padding;
    _Alignas(SLAB_STEP_BYTES) char items[];
};

static size_t step_of(size_t size)
{
    return (size + SLAB_STEP_BYTES - 1) / SLAB_STEP_BYTES;
}

size_t slab_item_bytes(size_t size)
{
    return size > SLAB_ITEM_MAX_BYTES ? MALLOC_ROUND(size) : step_of(size) * SLAB_STEP_BYTES;
}

static void join(struct slab_pool *pool, size_t step, struct slab *slab)
{
    slab->previous = NULL;
    slab->next = pool->roomy[step];
    if (slab->next)
        slab->next->previous = slab;
    pool->roomy[step] = slab;
}

static void leave(struct slab_pool *pool, size_t step, struct slab *slab)
{
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        pool->roomy[step] = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

static struct slab *slab_new(size_t step)
{
    size_t places = (SLAB_BYTES - sizeof(struct slab)) / (step * SLAB_STEP_BYTES);
    struct slab *slab = xrealloc(NULL, SLAB_BYTES, 1);

    *slab = (struct slab){ .places = (uint16_t)(places > PLACES_MAX ? PLACES_MAX : places) };
    return slab;
}

void *slab_take(struct slab_pool *pool, size_t size, uint8_t *ret_place)
{
    size_t step = step_of(size);
    struct slab *slab;
    char *item;

    *ret_place = 0;
    if (size > SLAB_ITEM_MAX_BYTES)
        return xcalloc(1, size);
    if (!pool->roomy[step])
        join(pool, step, slab_new(step));
    slab = pool->roomy[step];
    if (slab->free) {
        item = slab->free;
        ASAN_UNPOISON_MEMORY_REGION(item, sizeof(slab->free));
        memcpy(&slab->free, item, sizeof(slab->free));
    } else {
        item = slab->items + slab->fresh++ * step * SLAB_STEP_BYTES;
    }
    if (++slab->used == slab->places)
        leave(pool, step, slab);
    *ret_place = (uint8_t)((size_t)(item - slab->items) / (step * SLAB_STEP_BYTES));
    ASAN_UNPOISON_MEMORY_REGION(item, step * SLAB_STEP_BYTES);
    return memset(item, 0, size);
}

void slab_give(struct slab_pool *pool, void *item, size_t size, uint8_t place)
{
    size_t step = step_of(size);
    struct slab *slab;

    if (size > SLAB_ITEM_MAX_BYTES) {
        free(item);
        return;
    }
    slab = (struct slab *)((char *)item - place * step * SLAB_STEP_BYTES -
                           offsetof(struct slab, items));
    if (slab->used == slab->places)
        join(pool, step, slab);
    memcpy(item, &slab->free, sizeof(slab->free));
    slab->free = item;
    ASAN_POISON_MEMORY_REGION(item, step * SLAB_STEP_BYTES); /* nobody may look any more */
    if (--slab->used)
        return;
    leave(pool, step, slab);
    ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_BYTES);
    free(slab);
}
