#include "memory/line.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/dates.h"

#define NAME_MAX_BYTES ((size_t)64)
#define KEY_MAX_BYTES  ((size_t)128)
#define DAY_S          86400
#define INDENT         "\n  "

/* Line ends that a reader may take for one; newlines are the only ones that are written. */
static const char *next_break(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n' || text[i] == '\r')
            return text + i;
    }
    return NULL;
}

static void append_clean(struct buf *out, const char *text, size_t len)
{
    if (utf8_is_valid(text, len)) {
        /* Control characters are rare: whole runs without one are copied. */
        size_t plain = 0;

        for (size_t i = 0; i < len; i++) {
            unsigned char c = (unsigned char)text[i];

            if ((c >= 0x20 && c != 0x7f) || c == '\t')
                continue;
            buf_append(out, text + plain, i - plain);
            plain = i + 1;
        }
        buf_append(out, text + plain, len - plain);
        return;
    }
    utf8_append_clean(out, text, len);
}

void line_append_text(struct buf *out, const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    for (;;) {
        const char *stop = next_break(text, len);
        size_t size = stop ? (size_t)(stop - text) : len;

        append_clean(out, text, size);
        if (!stop)
            break;
        size += stop[0] == '\r' && size + 1 < len && stop[1] == '\n' ? 2 : 1;
        text += size;
        len -= size;
        buf_append_text(out, INDENT);
    }
    buf_append_char(out, '\n');
}

/* With a blank for each of these characters. */
static void append_without(struct buf *out, const char *clean, const char *characters)
{
    for (; *clean; clean++) {
        if (strchr(characters, *clean))
            buf_append_char(out, ' ');
        else
            buf_append_char(out, *clean);
    }
}

/* A name of one line without what would end it or make it a heading. */
static void append_name(struct buf *out, const char *name)
{
    AUTO_FREE char *clean = utf8_clean_copy(name, strlen(name), NAME_MAX_BYTES);

    /* Somebody who is called like one of ours. */
    if (strcmp(clean, LINE_USER) == 0 || strcmp(clean, LINE_ASSISTANT) == 0 ||
        strcmp(clean, LINE_SYSTEM) == 0 || !*clean || strchr("# \n\r\t:", *clean))
        buf_append_char(out, '@');
    append_without(out, clean, "\n\r\t:");
}

static void append_speaker(struct buf *out, const struct memory_turn *turn,
                           const struct line_names *names)
{
    switch (turn->role) {
    case MEMORY_ROLE_USER:
        if (*turn->author && (names->name_asker || strcmp(turn->author, names->asker) != 0))
            append_name(out, turn->author);
        else
            buf_append_text(out, LINE_USER);
        return;
    case MEMORY_ROLE_ASSISTANT:
        if (*turn->author)
            append_name(out, turn->author);
        else
            buf_append_text(out, LINE_ASSISTANT);
        return;
    case MEMORY_ROLE_SYSTEM:
        break;
    }
    buf_append_text(out, LINE_SYSTEM);
}

void line_append_part(struct buf *out, const struct memory_turn *turn,
                      const struct line_names *names, size_t from, size_t len)
{
    append_speaker(out, turn, names);
    buf_append_text(out, ": ");
    if (from > 0)
        buf_append_text(out, LINE_SKIP_MARK);
    line_append_text(out, turn->text + from, len);
    if (turn->text[from + len] != '\0') {
        buf_truncate(out, out->len - 1);
        buf_append_text(out, LINE_CUT_MARK "\n");
    }
}

void line_append_turn(struct buf *out, const struct memory_turn *turn,
                      const struct line_names *names, size_t text_len)
{
    line_append_part(out, turn, names, 0, text_len);
}

void line_append_heading(struct buf *out, const char *title)
{
    buf_append_text(out, "# ");
    buf_append_text(out, title);
    buf_append_char(out, '\n');
}

void line_append_day(struct buf *out, int64_t at_wall_s, const char *conversation)
{
    int64_t year;
    int month;
    int day;

    dates_split_day(at_wall_s / DAY_S, &year, &month, &day);
    buf_printf(out, "# %04" PRId64 "-%02d-%02d", year, month, day);
    if (conversation) {
        AUTO_FREE char *clean =
            utf8_clean_copy(conversation, strlen(conversation), KEY_MAX_BYTES);

        buf_append_text(out, ", in ");
        append_without(out, clean, "\n\r\t");
    }
    buf_append_char(out, '\n');
}
