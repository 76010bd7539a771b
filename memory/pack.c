#include "memory/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/context.h"

#define GROW_BYTES       16
#define MALLOC_BYTES     8 /* what glibc keeps of each 16 */
#define PACK_MAX         ((size_t)UINT32_MAX - 4096)
#define NUMBER_MAX_BYTES 10
#define HEAD_MAX_BYTES   (1 + 6 * NUMBER_MAX_BYTES)
#define US_PER_S         INT64_C(1000000)
#define TS_DIGITS        6
#define TS_MAX_S         INT64_C(100000000000) /* more digits are kept as text */

/* Names that nobody says any more are swept out when they take this much, and a quarter. */
#define AUTHORS_MANY_BYTES 256
#define AUTHORS_SHARE      4

#define HEAD_ROLE       0x03
#define HEAD_HAS_AUTHOR 0x04
#define HEAD_TS_PACKED  0x08
#define HEAD_TS_TEXT    0x10

void pack_deinit(struct pack *pack)
{
    free(pack->bytes);
    *pack = (struct pack){ 0 };
}

/* ---- numbers ----------------------------------------------------------------------------- */

static char *put_number(char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

static uint64_t take_number(const char **at)
{
    uint64_t value = 0;
    unsigned char byte;
    unsigned shift = 0;

    do {
        byte = (unsigned char)*(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return value;
}

/* Small numbers of either sign become small ones. */
static uint64_t fold(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unfold(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Differences wrap, and so come back whole from any numbers. */
static int64_t minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t times_million(int64_t value)
{
    return (int64_t)((uint64_t)value * (uint64_t)US_PER_S);
}

/* ---- Slack's ts -------------------------------------------------------------------------- */

/* "1790000000.000100" in microseconds; false when it would not read the same again. */
static bool parse_ts(const char *ts, int64_t *ret_us)
{
    int64_t seconds = 0;
    int64_t fraction = 0;
    const char *at = ts;

    if (*at < '1' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9' && seconds < TS_MAX_S; at++)
        seconds = seconds * 10 + (*at - '0');
    if (*at++ != '.')
        return false;
    for (int i = 0; i < TS_DIGITS; i++, at++) {
        if (*at < '0' || *at > '9')
            return false;
        fraction = fraction * 10 + (*at - '0');
    }
    *ret_us = seconds * US_PER_S + fraction;
    return *at == '\0';
}

static const char *print_ts(int64_t us, char ts[PACK_TS_BYTES])
{
    char *at = &ts[PACK_TS_BYTES - 1];
    uint64_t left = (uint64_t)us;

    *at = '\0';
    for (int digits = 0; left; digits++) {
        if (digits == TS_DIGITS)
            *--at = '.';
        *--at = (char)('0' + left % 10);
        left /= 10;
    }
    return at;
}

/* ---- authors ----------------------------------------------------------------------------- */

/* Where the name stands among the authors; authors_len when it does not. */
static uint32_t find_author(const struct pack *pack, const char *author, size_t len)
{
    uint32_t at = 0;

    while (at < pack->authors_len) {
        size_t known_len = strlen(pack->bytes + at);

        if (known_len == len && memcmp(pack->bytes + at, author, len) == 0)
            return at;
        at += (uint32_t)known_len + 1;
    }
    return pack->authors_len;
}

/* There is room for it. */
static void insert_author(struct pack *pack, const char *author, size_t len)
{
    char *place = pack->bytes + pack->authors_len;

    memmove(place + len + 1, place, pack->len - pack->authors_len);
    memcpy(place, author, len + 1);
    pack->authors_len += (uint32_t)len + 1;
    pack->len += (uint32_t)len + 1;
}

/* ---- appending --------------------------------------------------------------------------- */

static void set_capacity(struct pack *pack, size_t bytes)
{
    size_t capacity = (bytes + MALLOC_BYTES + GROW_BYTES - 1) / GROW_BYTES * GROW_BYTES;

    pack->capacity = (uint32_t)(capacity - MALLOC_BYTES);
    pack->bytes = xrealloc(pack->bytes, pack->capacity, 1);
}

void pack_reserve(struct pack *pack, size_t bytes)
{
    bytes = bytes < PACK_MAX - pack->len ? bytes : PACK_MAX - pack->len;
    if (!pack->bytes || pack->len + bytes > pack->capacity)
        set_capacity(pack, pack->len + bytes);
}

/* Copied rather than shrunk in place: what is left over of a large block is of no use to
 * anybody, the whole of it is. */
void pack_fit(struct pack *pack)
{
    struct pack fitting = *pack;

    if (!pack->bytes || pack->capacity - pack->len < GROW_BYTES)
        return;
    fitting.bytes = NULL;
    set_capacity(&fitting, pack->len);
    memcpy(fitting.bytes, pack->bytes, pack->len);
    free(pack->bytes);
    *pack = fitting;
}

/* Everything of a turn but its strings, at `head`; returns its length. */
static size_t make_head(const struct pack *pack, const struct memory_turn *turn,
                        size_t text_len, char head[HEAD_MAX_BYTES])
{
    char *end = head + 1;
    int64_t ts_us;

    head[0] = (char)(turn->role & HEAD_ROLE);
    end = put_number(end, text_len);
    end = put_number(end, (uint64_t)minus(turn->seq, pack->base_seq));
    end = put_number(end, fold(minus(turn->at_wall_s, pack->base_wall_s)));
    end = put_number(end, (uint64_t)memory_estimate_tokens(turn->text, text_len));
    if (*turn->author) {
        head[0] |= HEAD_HAS_AUTHOR;
        end = put_number(end, find_author(pack, turn->author, strlen(turn->author)));
    }
    if (parse_ts(turn->slack_ts, &ts_us)) {
        head[0] |= HEAD_TS_PACKED;
        end = put_number(end, fold(minus(ts_us, times_million(turn->at_wall_s))));
    } else if (*turn->slack_ts) {
        head[0] |= HEAD_TS_TEXT;
    }
    return (size_t)(end - head);
}

static void put(struct pack *pack, const char *bytes, size_t len)
{
    memcpy(pack->bytes + pack->len, bytes, len);
    pack->len += (uint32_t)len;
}

int pack_append(struct pack *pack, const struct memory_turn *turn, struct err *err)
{
    size_t text_len = strlen(turn->text);
    size_t author_len = strlen(turn->author);
    size_t ts_len = strlen(turn->slack_ts);
    char head[HEAD_MAX_BYTES];
    size_t head_len;
    bool is_new_author;

    if (text_len > PACK_TEXT_MAX_BYTES || author_len + ts_len > PACK_TEXT_MAX_BYTES ||
        HEAD_MAX_BYTES + text_len + author_len + ts_len + 3 > PACK_MAX - pack->len)
        return err_set(err, ERR_INPUT, "a turn of %zu bytes is too long to keep", text_len);
    if (!pack->count) {
        pack->base_wall_s = turn->at_wall_s;
        pack->base_seq = turn->seq;
    }
    if (turn->seq < pack->base_seq)
        return err_set(err, ERR_INPUT, "turn %lld comes after turn %lld", (long long)turn->seq,
                       (long long)pack->base_seq);
    head_len = make_head(pack, turn, text_len, head);
    is_new_author =
        author_len && find_author(pack, turn->author, author_len) == pack->authors_len;
    pack_reserve(pack, head_len + text_len + 1 + (is_new_author ? author_len + 1 : 0) +
                           (head[0] & HEAD_TS_TEXT ? ts_len + 1 : 0));
    if (is_new_author)
        insert_author(pack, turn->author, author_len);
    put(pack, head, head_len);
    if (head[0] & HEAD_TS_TEXT)
        put(pack, turn->slack_ts, ts_len + 1);
    put(pack, turn->text, text_len + 1);
    pack->count++;
    return 0;
}

/* ---- reading ----------------------------------------------------------------------------- */

bool pack_next_with_ts(const struct pack *pack, size_t *offset, struct memory_turn *ret_turn,
                       char ts[PACK_TS_BYTES])
{
    const char *turns;
    const char *at;
    size_t text_len;
    unsigned head;

    if (pack->authors_len + *offset >= pack->len)
        return false;
    turns = pack->bytes + pack->authors_len;
    at = turns + *offset;
    head = (unsigned char)*at++;
    text_len = take_number(&at);
    *ret_turn = (struct memory_turn){ .role = (enum memory_role)(head & HEAD_ROLE) };
    ret_turn->seq = plus(pack->base_seq, (int64_t)take_number(&at));
    ret_turn->at_wall_s = plus(pack->base_wall_s, unfold(take_number(&at)));
    ret_turn->tokens = (int64_t)take_number(&at);
    ret_turn->author = head & HEAD_HAS_AUTHOR ? pack->bytes + take_number(&at) : "";
    if (head & HEAD_TS_PACKED) {
        int64_t ts_us = plus(times_million(ret_turn->at_wall_s), unfold(take_number(&at)));

        ret_turn->slack_ts = ts ? print_ts(ts_us, ts) : NULL;
    } else if (head & HEAD_TS_TEXT) {
        ret_turn->slack_ts = ts ? at : NULL;
        at += strlen(at) + 1;
    } else {
        ret_turn->slack_ts = ts ? "" : NULL;
    }
    ret_turn->text = at;
    *offset = (size_t)(at + text_len + 1 - turns);
    return true;
}

bool pack_next(const struct pack *pack, size_t *offset, struct memory_turn *ret_turn)
{
    return pack_next_with_ts(pack, offset, ret_turn, NULL);
}

/* ---- forgetting -------------------------------------------------------------------------- */

/* What is left is packed again, with the names that are still said. */
static void repack(struct pack *pack)
{
    struct pack fresh = { 0 };
    struct memory_turn turn;
    char ts[PACK_TS_BYTES];
    size_t offset = 0;

    pack_reserve(&fresh, pack->len);
    while (pack_next_with_ts(pack, &offset, &turn, ts))
        pack_append(&fresh, &turn, NULL); /* it had room before */
    pack_deinit(pack);
    *pack = fresh;
}

void pack_drop(struct pack *pack, size_t count)
{
    struct memory_turn turn;
    size_t offset = 0;
    size_t dropped = 0;
    char *turns;

    while (dropped < count && pack_next(pack, &offset, &turn))
        dropped++;
    if (dropped == pack->count) {
        pack_deinit(pack);
        return;
    }
    turns = pack->bytes + pack->authors_len;
    memmove(turns, turns + offset, pack->len - pack->authors_len - offset);
    pack->len -= (uint32_t)offset;
    pack->count -= (uint32_t)dropped;
    if (pack->authors_len > AUTHORS_MANY_BYTES && pack->authors_len > pack->len / AUTHORS_SHARE)
        repack(pack);
    pack_fit(pack);
}
