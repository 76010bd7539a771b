/*
 * alloc.h - allocation that cannot fail, and locals that free themselves.
 *
 * Small allocations of our own go through these: out of memory is logged and aborts, systemd
 * restarts us and the ledger has the state. Whatever a peer sizes is bounded before it gets
 * here.
 *
 * Threads: any.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Each returns memory that the caller frees with free(); never NULL. */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));
void *xrealloc(void *old, size_t count, size_t size)
    __attribute__((returns_nonnull, warn_unused_result));
char *xstrdup(const char *text) __attribute__((malloc, warn_unused_result));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, warn_unused_result));
char *xasprintf(const char *format, ...)
    __attribute__((malloc, warn_unused_result, format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list args)
    __attribute__((malloc, warn_unused_result, format(printf, 1, 0)));

/* xstrdup for an optional string: NULL stays NULL. */
char *xstrdup_or_null(const char *text) __attribute__((warn_unused_result));

void alloc_free_cleanup(void *pointer_to_pointer);
void alloc_close_cleanup(const int *fd);

/* A local that owns heap memory, or a descriptor (-1 for none), until the end of its scope. */
#define AUTO_FREE __attribute__((cleanup(alloc_free_cleanup)))
#define AUTO_FD   __attribute__((cleanup(alloc_close_cleanup)))

/* Hands a cleaned-up local out: take_ptr(&p) is p's value, and p becomes NULL. */
#define take_ptr(pointer)                             \
    __extension__({                                   \
        __typeof__(pointer) take_from_ = (pointer);   \
        __typeof__(*take_from_) taken_ = *take_from_; \
        *take_from_ = NULL;                           \
        taken_;                                       \
    })

/* The same for a descriptor: the local becomes -1. */
int take_fd(int *fd);

#endif
