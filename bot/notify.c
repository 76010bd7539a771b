#include "bot/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"

#define LINES_MAX_BYTES 512

static struct sockaddr_un address;
static socklen_t address_len; /* 0: nobody listens */
static int64_t watchdog_ms;

void notify_init(void)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is no other thread yet */
    const char *path = getenv("NOTIFY_SOCKET");
    const char *watchdog_us = getenv("WATCHDOG_USEC");

    if (path && (*path == '/' || *path == '@') && strlen(path) < sizeof(address.sun_path)) {
        address.sun_family = AF_UNIX;
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (*path == '@')
            address.sun_path[0] = '\0';
        address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    }
    if (watchdog_us)
        watchdog_ms = strtoll(watchdog_us, NULL, 10) / 1000;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    /* NOLINTEND(concurrency-mt-unsafe) */
}

void notify_send(const char *format, ...)
{
    char lines[LINES_MAX_BYTES];
    AUTO_FD int fd = -1;
    va_list args;

    if (!address_len)
        return;
    va_start(args, format);
    vsnprintf(lines, sizeof(lines), format, args);
    va_end(args);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&address,
               address_len);
}

int64_t notify_watchdog_ms(void)
{
    return watchdog_ms / 2;
}
