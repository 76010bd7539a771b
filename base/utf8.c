#include "base/utf8.h"

#include <stdint.h>
#include <string.h>
#include <unistr.h>

bool utf8_is_valid(const char *bytes, size_t len)
{
    return u8_check((const uint8_t *)bytes, len) == NULL;
}

static bool is_dropped(ucs4_t character)
{
    return (character < 0x20 && character != '\n' && character != '\t') ||
           (character >= 0x7f && character < 0xa0);
}

void utf8_append_clean(struct buf *out, const char *bytes, size_t len)
{
    const uint8_t *at = (const uint8_t *)bytes;
    size_t plain = 0; /* bytes before `at` that go over as they are */

    while (len) {
        ucs4_t character;
        /* Yields U+FFFD for a bad sequence, and always moves on by at least one byte. */
        size_t width = (size_t)u8_mbtouc(&character, at, len);
        bool bad = character == 0xfffd && !(width == 3 && memcmp(at, "\xef\xbf\xbd", 3) == 0);

        if (bad || is_dropped(character)) {
            buf_append(out, at - plain, plain);
            plain = 0;
            if (bad)
                buf_append_text(out, "\xef\xbf\xbd");
        } else {
            plain += width;
        }
        at += width;
        len -= width;
    }
    buf_append(out, at - plain, plain);
}

char *utf8_clean_copy(const char *bytes, size_t len, size_t max_bytes)
{
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, len * 3 + 1); /* a bad byte grows to the three of U+FFFD */
    utf8_append_clean(&out, bytes, len);
    buf_truncate(&out, utf8_cut(buf_text(&out), out.len, max_bytes));
    return buf_take(&out);
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t utf8_cut(const char *text, size_t len, size_t limit)
{
    if (len <= limit)
        return len;
    while (limit && is_continuation(text[limit]))
        limit--;
    return limit;
}

size_t utf8_incomplete_tail(const char *bytes, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)bytes[len - back];
        size_t width = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

        if (is_continuation((char)c))
            continue;
        return width > back ? back : 0;
    }
    return 0;
}

size_t utf8_length(const char *text, size_t len)
{
    return u8_mbsnlen((const uint8_t *)text, len);
}
