#include "memory/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/context.h"

#define HEAD_BYTES 8
#define GROW_BYTES 64
#define ROLE_SHIFT 24
#define PACK_MAX   ((size_t)UINT32_MAX - GROW_BYTES)

void pack_deinit(struct pack *pack)
{
    free(pack->bytes);
    *pack = (struct pack){ 0 };
}

static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len + 1);
    return at + len + 1;
}

int pack_append(struct pack *pack, const struct memory_turn *turn, struct err *err)
{
    size_t text_len = strlen(turn->text);
    size_t author_len = strlen(turn->author);
    size_t ts_len = strlen(turn->slack_ts);
    size_t size = HEAD_BYTES + text_len + author_len + ts_len + 3;
    int64_t delta_s;
    uint32_t head[2];
    char *at;

    if (text_len > PACK_TEXT_MAX_BYTES || size > PACK_MAX - pack->len)
        return err_set(err, ERR_INPUT, "a turn of %zu bytes is too long to keep", text_len);
    if (pack->len + size > pack->capacity) {
        size_t capacity = (pack->len + size + GROW_BYTES - 1) / GROW_BYTES * GROW_BYTES;

        pack->bytes = xrealloc(pack->bytes, capacity, 1);
        pack->capacity = (uint32_t)capacity;
    }
    if (!pack->count)
        pack->base_wall_s = turn->at_wall_s;
    /* A clock that was set back between two turns: the later one is not shown as earlier. */
    delta_s = turn->at_wall_s - pack->base_wall_s;
    delta_s = delta_s < 0 ? 0 : delta_s;
    head[0] = (uint32_t)text_len | (uint32_t)turn->role << ROLE_SHIFT;
    head[1] = delta_s > UINT32_MAX ? UINT32_MAX : (uint32_t)delta_s;
    at = pack->bytes + pack->len;
    memcpy(at, head, HEAD_BYTES);
    at = put_text(at + HEAD_BYTES, turn->text, text_len);
    at = put_text(at, turn->author, author_len);
    put_text(at, turn->slack_ts, ts_len);
    pack->len += (uint32_t)size;
    pack->count++;
    return 0;
}

bool pack_next(const struct pack *pack, size_t *offset, struct memory_turn *ret_turn)
{
    const char *at = pack->bytes + *offset;
    const char *end = pack->bytes + pack->len;
    const char *author;
    const char *slack_ts;
    const char *stop;
    uint32_t head[2];
    size_t text_len;

    if (pack->len - *offset < PACK_TURN_MIN_BYTES)
        return false;
    memcpy(head, at, HEAD_BYTES);
    text_len = head[0] & PACK_TEXT_MAX_BYTES;
    /* What RAM holds is right; what an old file holds is checked. */
    if ((size_t)(end - at) < PACK_TURN_MIN_BYTES + text_len)
        return false;
    author = at + HEAD_BYTES + text_len + 1;
    slack_ts = memchr(author, '\0', (size_t)(end - author));
    stop = slack_ts ? memchr(slack_ts + 1, '\0', (size_t)(end - slack_ts - 1)) : NULL;
    if (!stop || author[-1] != '\0')
        return false;
    *ret_turn = (struct memory_turn){
        .role = (enum memory_role)(head[0] >> ROLE_SHIFT),
        .author = author,
        .text = at + HEAD_BYTES,
        .slack_ts = slack_ts + 1,
        .at_wall_s = pack->base_wall_s + head[1],
        .tokens = memory_estimate_tokens(at + HEAD_BYTES, text_len),
    };
    *offset = (size_t)(stop + 1 - pack->bytes);
    return true;
}

void pack_drop(struct pack *pack, size_t count)
{
    struct memory_turn turn;
    size_t offset = 0;
    size_t dropped = 0;

    while (dropped < count && pack_next(pack, &offset, &turn))
        dropped++;
    if (dropped == pack->count) {
        pack_deinit(pack);
        return;
    }
    memmove(pack->bytes, pack->bytes + offset, pack->len - offset);
    pack->len -= (uint32_t)offset;
    pack->count -= (uint32_t)dropped;
}
