/*
 * buf.h - text or bytes that grow up to a maximum given at birth.
 *
 * Appends never fail aloud: a buffer that would pass its maximum takes nothing more and
 * remembers, and buf_finish() tells once. The bytes are always followed by a NUL that is not
 * counted.
 *
 * Owns:    its memory, until buf_take() or buf_deinit().
 * Threads: any, one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct buf {
    char *data; /* NULL until the first append; read it through buf_text() */
    size_t len;
    size_t capacity;
    size_t max_bytes;
    bool overflowed;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_deinit(struct buf *buf); /* safe on a zeroed struct, and twice */

#define AUTO_BUF __attribute__((cleanup(buf_deinit)))

void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Drops the first `len` bytes (at most all). */
void buf_consume(struct buf *buf, size_t len);

/* Cuts to `len` bytes (no effect when shorter) or to none; memory and maximum stay. */
void buf_truncate(struct buf *buf, size_t len);
void buf_clear(struct buf *buf); /* also forgets an overflow */

/* The bytes, "" when empty. Borrowed until the next call on the buffer. */
const char *buf_text(const struct buf *buf);

/* 0, or ERR_INPUT when anything was refused since the buffer was made or cleared. */
int buf_finish(const struct buf *buf, struct err *err);

/* The bytes as a heap string that the caller frees; the buffer is empty afterwards. */
char *buf_take(struct buf *buf);

#endif
