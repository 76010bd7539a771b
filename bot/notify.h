/*
 * notify.h - what systemd is told: READY=1, STATUS=..., WATCHDOG=1, STOPPING=1, RELOADING=1.
 *
 * The protocol is one datagram to $NOTIFY_SOCKET (sd_notify(3)); libsystemd would add four
 * libraries to the process for it.
 *
 * Threads: any after notify_init(); startup for that.
 */
#ifndef BOT_NOTIFY_H
#define BOT_NOTIFY_H

#include <stdint.h>

/* Takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment, so that no child inherits them.
 */
void notify_init(void);

/* Sends the lines ("READY=1\nSTATUS=..."); without systemd nothing happens. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often WATCHDOG=1 is due, in ms; 0 when nobody watches. */
int64_t notify_watchdog_ms(void);

#endif
