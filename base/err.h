/*
 * err.h - what went wrong, and what the caller can do about it.
 *
 * A function that can fail returns 0 or -1 and takes `struct err *err` last. The kind says what
 * the caller can do; the message gains context on its way up. On -1 every `ret_` parameter is
 * untouched. "Not found" is NULL, not an error. A function that fails does not log: the place
 * that decides what happens next logs, once.
 *
 * Owns:    nothing; a struct err lives on the caller's stack, `struct err err = { 0 };`.
 * Threads: any, each its own struct.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#define ERR_MESSAGE_MAX_BYTES 512

enum err_kind {
    ERR_NONE,
    ERR_INPUT,  /* what was asked is wrong: asking again the same way cannot help */
    ERR_AUTH,   /* a credential is missing, refused or lacks a right: a human must act */
    ERR_TEMP,   /* may work later: network, rate limit, busy */
    ERR_REMOTE, /* the peer answered with something it should not have */
    ERR_SYSTEM, /* this host: disk, memory, descriptors, permissions */
};

struct err {
    enum err_kind kind;
    char message[ERR_MESSAGE_MAX_BYTES];
};

/* Sets kind and message (cut to fit). Returns -1, so that `return err_set(...)` is one line.
 * NULL is fine. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": <text of errno>" behind the message; errno is read first. */
int err_set_errno(struct err *err, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " before the message that is there. Returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "input", "auth", ... for logs and metrics. */
const char *err_kind_name(enum err_kind kind);

/* strerror for any thread: writes into `buffer` and returns it or a constant text. */
const char *err_errno_text(int errnum, char *buffer, unsigned long size);

#endif
