/* Packed turns as a damaged database may hold them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack pack = { .len = (uint32_t)size, .capacity = (uint32_t)size };
    struct memory_turn turn;
    size_t offset = 0;
    size_t read = 0;

    if (size > (1 << 16))
        return 0;
    pack.bytes = xcalloc(1, size + 1);
    if (size)
        memcpy(pack.bytes, data, size);
    while (pack_next(&pack, &offset, &turn)) {
        if (offset > size ||
            strlen(turn.text) + strlen(turn.author) + strlen(turn.slack_ts) > size)
            abort();
        read++;
    }
    pack.count = (uint32_t)read;
    pack_drop(&pack, read / 2);
    if (pack.count != read - read / 2)
        abort();
    pack_deinit(&pack);
    return 0;
}
