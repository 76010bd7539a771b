#include "bot/notify.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/test.h"

/* Once in a process, as in the daemon: without systemd first, then with it. */
static void systemd_is_told_where_it_said_it_listens(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = 10 };
    char got[64] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    notify_init();
    notify_send("READY=1");
    CHECK_INT(notify_watchdog_ms(), 0, "nobody watches");

    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/notify-test-%d", (int)getpid());
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0, address.sun_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    notify_init();
    notify_send("READY=1\nSTATUS=%d links", 2);
    CHECK_INT(recv(fd, got, sizeof(got) - 1, 0) > 0, true, "one datagram");
    CHECK_TEXT(got, "READY=1\nSTATUS=2 links", "both lines in it");
    CHECK_INT(notify_watchdog_ms(), 15000, "twice as often as it must be");
    CHECK_INT(getenv("NOTIFY_SOCKET") == NULL && getenv("WATCHDOG_USEC") == NULL, true,
              "no child inherits it");
    close(fd);
    unlink(address.sun_path);
    notify_send("STOPPING=1"); /* systemd is gone: nothing happens */
}

TEST_MAIN(TEST(systemd_is_told_where_it_said_it_listens))
