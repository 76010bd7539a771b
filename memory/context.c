#include "memory/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "memory/conversation.h"
#include "memory/memory.h"

#define LINE_MAX_BYTES (6 * (PACK_TEXT_MAX_BYTES + 4096)) /* every byte escaped */
#define CUT_MARK       " [... cut]"
#define CUT_TRIES      16
#define QUARTERS       4

/*
 * Without a tokenizer: four ASCII characters a token, two of the two-byte scripts (Cyrillic,
 * Greek, accents), one ideograph, half an emoji. Counted in quarters; on the high side for
 * prose, near for code.
 */
int64_t memory_estimate_tokens(const char *text, size_t len)
{
    int64_t quarters = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x80)
            quarters += 1;
        else if (c >= 0xf0)
            quarters += 8;
        else if (c >= 0xe0)
            quarters += 4;
        else if (c >= 0xc0)
            quarters += 2;
    }
    return (quarters + QUARTERS - 1) / QUARTERS;
}

static void append_json_text(struct buf *out, const char *text, size_t len)
{
    size_t plain = 0;

    buf_append_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_append(out, text + plain, i - plain);
        plain = i + 1;
        if (c == '\n')
            buf_append_text(out, "\\n");
        else if (c == '\t')
            buf_append_text(out, "\\t");
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else
            buf_printf(out, "\\u%04x", c);
    }
    buf_append(out, text + plain, len - plain);
    buf_append_char(out, '"');
}

/* Text enters clean; a database that was edited by hand must not make bad JSON either. */
static void append_text(struct buf *out, const char *text, size_t len)
{
    struct buf clean;

    if (utf8_is_valid(text, len)) {
        append_json_text(out, text, len);
        return;
    }
    buf_init(&clean, LINE_MAX_BYTES);
    utf8_append_clean(&clean, text, len);
    append_json_text(out, buf_text(&clean), clean.len);
    buf_deinit(&clean);
}

static const char *role_name(enum memory_role role)
{
    switch (role) {
    case MEMORY_ROLE_USER:
        return "user";
    case MEMORY_ROLE_ASSISTANT:
        return "assistant";
    case MEMORY_ROLE_SYSTEM:
        return "system";
    }
    return "system";
}

static void append_line(struct buf *out, const struct memory_turn *turn, bool name_author,
                        size_t text_len, const char *mark)
{
    char at[CLOCK_ISO_BYTES];

    buf_printf(out, "{\"role\":\"%s\"", role_name(turn->role));
    if (name_author && *turn->author) {
        buf_append_text(out, ",\"author\":");
        append_text(out, turn->author, strlen(turn->author));
    }
    buf_printf(out, ",\"at\":\"%s\",\"text\":", clock_iso_utc(turn->at_wall_s, at));
    append_text(out, turn->text, text_len);
    if (*mark) {
        out->len--; /* the mark goes inside the quotes */
        buf_printf(out, "%s\"", mark);
    }
    buf_append_text(out, "}\n");
}

struct building {
    const struct memory_context_options *options;
    struct buf *out;
    size_t turns;
};

static int64_t measure(struct buf *scratch, const struct memory_turn *turn, bool name_author,
                       size_t text_len, const char *mark)
{
    buf_clear(scratch);
    append_line(scratch, turn, name_author, text_len, mark);
    return memory_estimate_tokens(buf_text(scratch), scratch->len);
}

/*
 * The newest turn alone is over the budget: its beginning is better than silence, for the next
 * question is most likely about it. The cut is found by halving the excess.
 */
static void build_cut(struct building *building, struct buf *scratch,
                      const struct memory_turn *turn)
{
    bool name_author = building->options->name_authors;
    size_t len = strlen(turn->text);
    size_t low = 0;
    size_t high = len;

    for (int i = 0; i < CUT_TRIES && high - low > 1; i++) {
        size_t middle = utf8_cut(turn->text, len, low + (high - low) / 2);

        if (middle <= low)
            break;
        if (measure(scratch, turn, name_author, middle, CUT_MARK) <=
            building->options->budget_tokens)
            low = middle;
        else
            high = middle;
    }
    if (!low)
        return;
    append_line(building->out, turn, name_author, low, CUT_MARK);
    building->turns = 1;
}

/* Remembers where the last `max` turns begin; returns how many there are. */
static size_t find_last(const struct pack *pack, size_t *offsets, size_t max)
{
    struct memory_turn turn;
    size_t offset = 0;
    size_t skip = pack->count > max ? pack->count - max : 0;
    size_t count = 0;

    while (count < max) {
        size_t begin = offset;

        if (!pack_next(pack, &offset, &turn))
            break;
        if (skip)
            skip--;
        else
            offsets[count++] = begin;
    }
    return count;
}

static void build(void *context, const struct pack *pack)
{
    struct building *building = context;
    bool name_author = building->options->name_authors;
    int64_t left = building->options->budget_tokens;
    size_t max =
        building->options->max_messages < 0 ? 0 : (size_t)building->options->max_messages;
    AUTO_FREE size_t *offsets = NULL;
    AUTO_BUF struct buf scratch = { 0 };
    struct memory_turn turn;
    size_t count;
    size_t first;

    max = max < pack->count ? max : pack->count;
    if (!max)
        return;
    buf_init(&scratch, LINE_MAX_BYTES);
    offsets = xcalloc(max, sizeof(*offsets));
    count = find_last(pack, offsets, max);
    for (first = count; first > 0; first--) {
        size_t offset = offsets[first - 1];

        pack_next(pack, &offset, &turn);
        left -= measure(&scratch, &turn, name_author, strlen(turn.text), "");
        if (left < 0)
            break;
    }
    if (first == count && count) {
        build_cut(building, &scratch, &turn);
        return;
    }
    for (size_t i = first; i < count; i++) {
        size_t offset = offsets[i];

        pack_next(pack, &offset, &turn);
        append_line(building->out, &turn, name_author, strlen(turn.text), "");
    }
    building->turns = count - first;
}

void memory_build_context(struct memory *memory, const struct conversation *conversation,
                          const struct memory_context_options *options, struct buf *out,
                          struct memory_receipt *ret_receipt)
{
    struct building building = { .options = options, .out = out };

    conversation_visit(conversation, build, &building);
    (void)memory;
    ret_receipt->verbatim_turns = (int64_t)building.turns;
}

void memory_receipt_deinit(struct memory_receipt *receipt)
{
    for (size_t i = 0; i < receipt->recalled_count; i++)
        free(receipt->recalled[i].conversation);
    receipt->recalled_count = 0;
}
