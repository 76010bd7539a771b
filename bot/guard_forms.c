#include "bot/guard_forms.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

#define SHORT_MAX_BYTES   1024 /* longer ones are looked for in base64 as `base64` prints it */
#define HEX_MAX_BYTES     64
#define BASE64_LINE_BYTES 76
#define BASE64_PART_MIN   12 /* shorter parts of an encoding would be found by chance */

/* What is built here is overwritten: it is as secret as the value. */
static void add(struct patterns *patterns, struct buf *form, const char *value, size_t len)
{
    if (form->len != len || memcmp(form->data, value, len) != 0)
        patterns_add(patterns, form->data, form->len);
    if (form->data)
        explicit_bzero(form->data, form->len);
    buf_clear(form);
}

static void append_json(struct buf *out, unsigned char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;

    if (at)
        buf_printf(out, "\\%c", names[at - plain]);
    else if (c < ' ')
        buf_printf(out, "\\u%04x", c);
    else
        buf_append_char(out, (char)c);
}

static void append_html(struct buf *out, unsigned char c)
{
    if (c == '&')
        buf_append_text(out, "&amp;");
    else if (c == '<')
        buf_append_text(out, "&lt;");
    else if (c == '>')
        buf_append_text(out, "&gt;");
    else
        buf_append_char(out, (char)c);
}

static void append_url(struct buf *out, unsigned char c, const char *format)
{
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
        (c && strchr("-_.~", c)))
        buf_append_char(out, (char)c);
    else
        buf_printf(out, format[0] == 'X' ? "%%%02X" : "%%%02x", c);
}

static void add_escaped(struct patterns *patterns, struct buf *form, const char *value,
                        size_t len)
{
    for (size_t i = 0; i < len; i++)
        append_json(form, (unsigned char)value[i]);
    add(patterns, form, value, len);
    if (len > SHORT_MAX_BYTES)
        return;
    for (size_t i = 0; i < len; i++)
        append_html(form, (unsigned char)value[i]);
    add(patterns, form, value, len);
    for (size_t i = 0; i < len; i++)
        append_url(form, (unsigned char)value[i], "X");
    add(patterns, form, value, len);
    for (size_t i = 0; i < len; i++)
        append_url(form, (unsigned char)value[i], "x");
    add(patterns, form, value, len);
}

static void add_hex(struct patterns *patterns, struct buf *form, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_printf(form, "%02x", (unsigned char)value[i]);
    add(patterns, form, value, len);
    for (size_t i = 0; i < len; i++)
        buf_printf(form, "%02X", (unsigned char)value[i]);
    add(patterns, form, value, len);
}

/*
 * The characters of base64 that `value` alone decides when it begins `before` bytes (0 to 2)
 * into a group of three. Without the first, and a last, that neighbours share.
 */
static void append_base64(struct buf *out, const char *value, size_t len, size_t before,
                          const char *alphabet)
{
    size_t bits = len * 8;
    size_t bit = before == 0 ? 0 : before == 1 ? 4 : 2;

    for (; bit + 6 <= bits; bit += 6) {
        unsigned pair = (unsigned)(unsigned char)value[bit / 8] << 8;

        if (bit / 8 + 1 < len)
            pair |= (unsigned char)value[bit / 8 + 1];
        buf_append_char(out, alphabet[pair >> (10 - bit % 8) & 63]);
    }
}

/* The lines of `base64 FILE`, each of which is told apart by itself. */
static void add_base64_lines(struct patterns *patterns, struct buf *form)
{
    for (size_t at = 0; at < form->len; at += BASE64_LINE_BYTES) {
        size_t rest = form->len - at;

        if (rest >= BASE64_PART_MIN)
            patterns_add(patterns, form->data + at,
                         rest < BASE64_LINE_BYTES ? rest : BASE64_LINE_BYTES);
    }
}

static void add_base64(struct patterns *patterns, struct buf *form, const char *value,
                       size_t len, const char *alphabet)
{
    for (size_t before = 0; before < 3; before++) {
        if (len > SHORT_MAX_BYTES && before > 0)
            break;
        append_base64(form, value, len, before, alphabet);
        if (before == 0 && form->len > BASE64_LINE_BYTES)
            add_base64_lines(patterns, form);
        if (len <= SHORT_MAX_BYTES)
            add(patterns, form, value, len);
    }
    if (form->data)
        explicit_bzero(form->data, form->len);
    buf_clear(form);
}

void guard_forms_add(struct patterns *patterns, const char *value, size_t len)
{
    static const char standard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char for_urls[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    AUTO_BUF struct buf form = { 0 };

    buf_init(&form, len * 6 + 16);
    patterns_add(patterns, value, len);
    add_escaped(patterns, &form, value, len);
    if (len <= HEX_MAX_BYTES)
        add_hex(patterns, &form, value, len);
    add_base64(patterns, &form, value, len, standard);
    add_base64(patterns, &form, value, len, for_urls);
}
