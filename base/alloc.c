#include "base/alloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void die_out_of_memory(size_t size)
{
    /* The log needs memory of its own, so this line goes straight to stderr. */
    dprintf(STDERR_FILENO, "<2>base.alloc: out of memory asking for %zu bytes\n", size);
    abort();
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);

    if (!memory)
        die_out_of_memory(count * size);
    return memory;
}

void *xrealloc(void *old, size_t count, size_t size)
{
    void *memory;

    if (size && count > SIZE_MAX / size)
        die_out_of_memory(SIZE_MAX);
    memory = realloc(old, count && size ? count * size : 1);
    if (!memory)
        die_out_of_memory(count * size);
    return memory;
}

char *xstrndup(const char *text, size_t len)
{
    size_t used = strnlen(text, len);
    char *copy = xcalloc(used + 1, 1);

    memcpy(copy, text, used);
    return copy;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrdup_or_null(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

char *xvasprintf(const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0)
        die_out_of_memory(0);
    return text;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    return text;
}

void alloc_free_cleanup(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

void alloc_close_cleanup(const int *fd)
{
    int saved_errno = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved_errno;
}

int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}
