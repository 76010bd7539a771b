#include "memory/record.h"

#include <string.h>

#include "memory/context.h"

#define HEAD_BYTES   8
#define ROLE_SHIFT   24
#define HAS_METADATA 0x80U

static void append_string(struct buf *bytes, const char *text)
{
    buf_append(bytes, text, strlen(text) + 1);
}

int record_append(struct buf *bytes, int64_t base_wall_s, const struct memory_turn *turn,
                  struct err *err)
{
    size_t text_len = strlen(turn->text);
    int64_t delta_s = turn->at_wall_s - base_wall_s;
    bool has_metadata = turn->metadata && *turn->metadata;
    unsigned role = (unsigned)turn->role | (has_metadata ? HAS_METADATA : 0);
    uint32_t head[2];

    if (text_len > RECORD_TEXT_MAX_BYTES)
        return err_set(err, ERR_INPUT, "a turn of %zu bytes is too long to keep", text_len);
    delta_s = delta_s < 0 ? 0 : delta_s;
    head[0] = (uint32_t)text_len | role << ROLE_SHIFT;
    head[1] = delta_s > UINT32_MAX ? UINT32_MAX : (uint32_t)delta_s;
    buf_append(bytes, (const char *)head, HEAD_BYTES);
    append_string(bytes, turn->text);
    append_string(bytes, turn->author);
    append_string(bytes, turn->slack_ts);
    if (has_metadata)
        append_string(bytes, turn->metadata);
    return 0;
}

/* The string at *at, which moves behind it; NULL when it has no end. */
static const char *next_string(const char **at, const char *end)
{
    const char *text = *at;
    const char *stop = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;

    if (!stop)
        return NULL;
    *at = stop + 1;
    return text;
}

bool record_next(const char *bytes, size_t len, int64_t base_wall_s, size_t *offset,
                 struct memory_turn *ret_turn)
{
    const char *at = bytes + *offset;
    const char *end = bytes + len;
    struct memory_turn turn = { .metadata = "" };
    uint32_t head[2];
    size_t text_len;
    unsigned role;

    if (len - *offset < RECORD_TURN_MIN_BYTES)
        return false;
    memcpy(head, at, HEAD_BYTES);
    role = head[0] >> ROLE_SHIFT;
    text_len = head[0] & RECORD_TEXT_MAX_BYTES;
    if ((size_t)(end - at) < RECORD_TURN_MIN_BYTES + text_len)
        return false;
    at += HEAD_BYTES;
    turn.text = next_string(&at, end);
    if (!turn.text || (size_t)(at - turn.text) != text_len + 1)
        return false;
    turn.author = next_string(&at, end);
    turn.slack_ts = turn.author ? next_string(&at, end) : NULL;
    if (turn.slack_ts && role & HAS_METADATA)
        turn.metadata = next_string(&at, end);
    role &= ~HAS_METADATA;
    if (!turn.slack_ts || !turn.metadata || role > MEMORY_ROLE_SYSTEM)
        return false;
    turn.role = (enum memory_role)role;
    turn.at_wall_s = base_wall_s + head[1];
    turn.tokens = memory_estimate_tokens(turn.text, text_len);
    *ret_turn = turn;
    *offset = (size_t)(at - bytes);
    return true;
}
