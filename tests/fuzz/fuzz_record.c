/* Unsaved turns as a damaged database may hold them, and what a pack makes of them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/pack.h"
#include "memory/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pack(const struct pack *pack, size_t size)
{
    struct memory_turn turn;
    char ts[PACK_TS_BYTES];
    size_t offset = 0;
    uint32_t count = 0;

    while (pack_next_with_ts(pack, &offset, &turn, ts)) {
        if (strlen(turn.text) + strlen(turn.author) + strlen(turn.slack_ts) > size)
            abort();
        count++;
    }
    if (count != pack->count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *bytes = xcalloc(1, size + 1);
    struct pack pack = { 0 };
    struct memory_turn turn;
    size_t offset = 0;

    if (size > (1 << 16))
        return 0;
    if (size)
        memcpy(bytes, data, size);
    while (record_next(bytes, size, 1790000000, &offset, &turn)) {
        struct memory_turn kept;
        char ts[PACK_TS_BYTES];
        size_t at = pack.len - pack.authors_len;

        turn.seq = (int64_t)pack.count + 1;
        if (offset > size || pack_append(&pack, &turn, NULL) < 0 ||
            !pack_next_with_ts(&pack, &at, &kept, ts) || strcmp(kept.text, turn.text) != 0 ||
            strcmp(kept.author, turn.author) != 0 ||
            strcmp(kept.slack_ts, turn.slack_ts) != 0 || kept.seq != turn.seq ||
            kept.at_wall_s != turn.at_wall_s || kept.role != turn.role)
            abort();
    }
    check_pack(&pack, size);
    pack_drop(&pack, pack.count / 2);
    check_pack(&pack, size);
    pack_deinit(&pack);
    return 0;
}
