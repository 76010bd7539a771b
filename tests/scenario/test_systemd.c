#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/scenario/scenario.h"

#define WATCHDOG_MS     400
#define SILENCE_MS      800
#define LINES_MAX_BYTES 1024

/* What systemd is for a service: the socket at the other end of NOTIFY_SOCKET. */
struct systemd {
    struct harness *harness;
    int fd;
    char lines[LINES_MAX_BYTES]; /* the newest datagram */
};

static struct systemd systemd_begin(struct harness *h, const char *watchdog_us)
{
    struct systemd systemd = { .harness = h,
                               .fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", harness_dir(h));
    if (bind(systemd.fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        harness_fail(h, "cannot listen at %s", address.sun_path);
    setenv("NOTIFY_SOCKET", address.sun_path, 1); /* NOLINT(concurrency-mt-unsafe) */
    setenv("WATCHDOG_USEC", watchdog_us, 1);      /* NOLINT(concurrency-mt-unsafe) */
    daemon_launch(h);
    unsetenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe) */
    unsetenv("WATCHDOG_USEC"); /* NOLINT(concurrency-mt-unsafe) */
    return systemd;
}

/* The next datagram; false when none comes within `limit_ms`. */
static bool hears(struct systemd *systemd, int64_t limit_ms)
{
    struct pollfd readable = { .fd = systemd->fd, .events = POLLIN };
    ssize_t got;

    if (poll(&readable, 1, (int)limit_ms) <= 0)
        return false;
    got = recv(systemd->fd, systemd->lines, sizeof(systemd->lines) - 1, 0);
    systemd->lines[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* Listens until a datagram holds `part`. */
static void wait_told(struct systemd *systemd, const char *part)
{
    int64_t give_up_ms = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (clock_now_ms() < give_up_ms) {
        if (hears(systemd, give_up_ms - clock_now_ms()) && strstr(systemd->lines, part))
            return;
    }
    harness_fail(systemd->harness, "systemd is never told %s", part);
}

static void systemd_is_told_what_the_daemon_does(void **state)
{
    struct harness *h = *state;
    struct systemd systemd = systemd_begin(h, "0");

    wait_told(&systemd, "READY=1");
    wait_told(&systemd, "STATUS=2 of 2 links");
    daemon_signal(h, SIGHUP);
    wait_told(&systemd, "RELOADING=1\nMONOTONIC_USEC=");
    wait_told(&systemd, "READY=1");
    daemon_signal(h, SIGTERM);
    wait_told(&systemd, "STOPPING=1");
    CHECK_INT(daemon_wait_exit(h), 0, "a clean end");
    close(systemd.fd);
}

/* Twice in its time, so that one late beat does not cost the service a restart. */
static void the_watchdog_is_fed_in_time(void **state)
{
    struct harness *h = *state;
    struct systemd systemd = systemd_begin(h, "400000");
    int64_t first_ms = 0;

    wait_told(&systemd, "WATCHDOG=1");
    first_ms = clock_now_ms();
    for (int beats = 0; beats < 6; beats++) {
        int64_t last_ms = clock_now_ms();

        do {
            if (!hears(&systemd, harness_limit_ms(WATCHDOG_MS)))
                harness_fail(h, "no WATCHDOG=1 within %d ms", WATCHDOG_MS);
        } while (strcmp(systemd.lines, "WATCHDOG=1") != 0);
        CHECK_INT(clock_now_ms() - last_ms < harness_limit_ms(WATCHDOG_MS), true, "in time");
    }
    CHECK_INT(clock_now_ms() - first_ms > WATCHDOG_MS, true, "and not all the time");
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    close(systemd.fd);
}

/* A loop that hangs feeds nobody: that is what the watchdog is for. */
static void a_daemon_that_hangs_is_silent(void **state)
{
    struct harness *h = *state;
    struct systemd systemd = systemd_begin(h, "400000");

    wait_told(&systemd, "WATCHDOG=1");
    daemon_signal(h, SIGSTOP);
    while (hears(&systemd, 0))
        continue;
    /* One may have been under way. */
    CHECK_INT(hears(&systemd, SILENCE_MS) && hears(&systemd, SILENCE_MS), false, "not fed");
    daemon_signal(h, SIGCONT);
    wait_told(&systemd, "WATCHDOG=1");
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    close(systemd.fd);
}

SCENARIO_MAIN(SCENARIO(systemd_is_told_what_the_daemon_does),
              SCENARIO(the_watchdog_is_fed_in_time), SCENARIO(a_daemon_that_hangs_is_silent))
