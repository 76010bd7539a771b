#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define CAPACITY_MIN_BYTES 64

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){ .max_bytes = max_bytes };
}

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = 0;
    buf->capacity = 0;
}

/* Makes room for `more` bytes and the NUL; false when that would pass the maximum. */
static bool reserve(struct buf *buf, size_t more)
{
    size_t need;

    if (buf->overflowed || more > buf->max_bytes - buf->len) {
        buf->overflowed = true;
        return false;
    }
    need = buf->len + more + 1;
    if (need > buf->capacity) {
        size_t grown = buf->capacity + buf->capacity / 2;

        buf->capacity = need > grown ? need : grown;
        if (buf->capacity < CAPACITY_MIN_BYTES)
            buf->capacity = CAPACITY_MIN_BYTES;
        buf->data = xrealloc(buf->data, buf->capacity, 1);
    }
    return true;
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    if (!reserve(buf, len))
        return;
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    AUTO_FREE char *text = xvasprintf(format, args);

    buf_append_text(buf, text);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_consume(struct buf *buf, size_t len)
{
    if (!buf->data || !len)
        return;
    if (len > buf->len)
        len = buf->len;
    memmove(buf->data, buf->data + len, buf->len - len + 1);
    buf->len -= len;
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}

void buf_clear(struct buf *buf)
{
    buf_truncate(buf, 0);
    buf->overflowed = false;
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

int buf_finish(const struct buf *buf, struct err *err)
{
    if (buf->overflowed)
        return err_set(err, ERR_INPUT, "text is longer than the limit of %zu bytes",
                       buf->max_bytes);
    return 0;
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data ? buf->data : xstrdup("");

    buf->data = NULL;
    buf->len = 0;
    buf->capacity = 0;
    return data;
}
