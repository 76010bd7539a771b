/*
 * surface_terminal.h - the surface that is a terminal: text as it comes, status while it works.
 *
 * Threads: the one that runs `threadkeeper chat`.
 */
#ifndef BOT_SURFACE_TERMINAL_H
#define BOT_SURFACE_TERMINAL_H

#include "bot/surface.h"

/* The channel under which the ledger keeps what was said on a terminal; no Slack id looks like
 * it. */
#define TERMINAL_CHANNEL "terminal"

/* Writes answers to stdout and, on a terminal, the status to stderr. */
struct surface *surface_terminal_new(void);

#endif
