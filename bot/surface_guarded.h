/*
 * surface_guarded.h - a surface behind the leak guard: whatever the turn shows passes it before
 * the surface that it wraps, so neither Slack nor what is remembered holds a secret.
 *
 * Text whose end may still become part of a secret waits, at the longest until the end. So that
 * an answer which has only such text is not taken for an empty one, answer() is "..." then.
 *
 * Owns:    the surface that it wraps.
 * Threads: worker.
 */
#ifndef BOT_SURFACE_GUARDED_H
#define BOT_SURFACE_GUARDED_H

#include "bot/guard.h"
#include "bot/surface.h"

/* Adopts `inner`; borrows `guard`. `what` names the answer in the log ("channel=C1 ts=1.2"). */
struct surface *surface_guarded_new(struct surface *inner, struct guard *guard,
                                    const char *what);

#endif
