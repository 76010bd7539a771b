#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    char message[ERR_MESSAGE_MAX_BYTES];
    va_list args;

    if (!err)
        return -1;
    /* Formatted aside first: an argument may be err->message itself. */
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    err->kind = kind;
    memcpy(err->message, message, sizeof(message));
    return -1;
}

const char *err_errno_text(int errnum, char *buffer, unsigned long size)
{
    return strerror_r(errnum, buffer, size); /* the GNU one: returns the text */
}

int err_set_errno(struct err *err, enum err_kind kind, const char *format, ...)
{
    char message[ERR_MESSAGE_MAX_BYTES];
    char reason[128];
    int errnum = errno;
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return err_set(err, kind, "%s: %s", message,
                   err_errno_text(errnum, reason, sizeof(reason)));
}

int err_wrap(struct err *err, const char *format, ...)
{
    char context[ERR_MESSAGE_MAX_BYTES];
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    return err_set(err, err->kind, "%s: %s", context, err->message);
}

const char *err_kind_name(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE:
        return "none";
    case ERR_INPUT:
        return "input";
    case ERR_AUTH:
        return "auth";
    case ERR_TEMP:
        return "temp";
    case ERR_REMOTE:
        return "remote";
    case ERR_SYSTEM:
        return "system";
    }
    return "unknown";
}
