#include "memory/slab.h"

#include <stdlib.h>

#include "tests/test.h"

#define ITEMS 1000

static const size_t sizes[] = { 1, 16, 17, 118, 160, 512, 513, 4000 };

static void items_do_not_touch_each_other(void)
{
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct slab_pool pool = { 0 };
        unsigned char *items[ITEMS];
        uint8_t places[ITEMS];

        for (size_t i = 0; i < ITEMS; i++) {
            items[i] = slab_take(&pool, sizes[s], &places[i]);
            for (size_t at = 0; at < sizes[s]; at++)
                CHECK_INT(items[i][at], 0, "zeroed");
            memset(items[i], (int)(i % 255) + 1, sizes[s]);
        }
        for (size_t i = 0; i < ITEMS; i++) {
            CHECK_INT(items[i][0], i % 255 + 1, "its own");
            CHECK_INT(items[i][sizes[s] - 1], i % 255 + 1, "to the end");
            slab_give(&pool, items[i], sizes[s], places[i]);
        }
        for (size_t i = 0; i < SLAB_SIZES; i++)
            assert_null(pool.roomy[i]); /* all given back */
    }
}

static void places_are_used_again(void)
{
    struct slab_pool pool = { 0 };
    void *items[ITEMS];
    uint8_t places[ITEMS];
    unsigned random = 7;

    for (size_t i = 0; i < ITEMS; i++)
        items[i] = slab_take(&pool, 100, &places[i]);
    for (int i = 0; i < 100000; i++) {
        size_t at;

        random = random * 1664525 + 1013904223;
        at = random / 65536 % ITEMS;
        slab_give(&pool, items[at], 100, places[at]);
        items[at] = slab_take(&pool, 100, &places[at]);
        memset(items[at], 0xff, 100);
    }
    for (size_t i = 0; i < ITEMS; i++)
        slab_give(&pool, items[i], 100, places[i]);
    for (size_t i = 0; i < SLAB_SIZES; i++)
        assert_null(pool.roomy[i]);
}

static void an_item_takes_its_size_in_steps(void)
{
    CHECK_INT(slab_item_bytes(1), 16, "one step");
    CHECK_INT(slab_item_bytes(160), 160, "just so");
    CHECK_INT(slab_item_bytes(161), 176, "one more");
    CHECK_INT(slab_item_bytes(4000), 4016, "as malloc takes it");
}

TEST_MAIN(TEST(items_do_not_touch_each_other), TEST(places_are_used_again),
          TEST(an_item_takes_its_size_in_steps))
