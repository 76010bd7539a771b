/*
 * surface.h - where one turn's answer appears: a Slack thread, or a terminal. The turn knows
 * only this table.
 *
 * Owns:    a surface owns what it shows; free it after end() or failed().
 * Threads: the worker whose turn it is.
 */
#ifndef BOT_SURFACE_H
#define BOT_SURFACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct surface;

enum surface_step_state { SURFACE_STEP_RUNNING, SURFACE_STEP_DONE, SURFACE_STEP_FAILED };

/* A step of the agent's work: a tool at work, a long thought. */
struct surface_step {
    unsigned number;   /* 1, 2, ... within the turn; the same again changes it */
    const char *title; /* one short line, clean UTF-8: "Reading auth.c (20 s)" */
    enum surface_step_state state;
};

struct surface_ops {
    /* The turn starts: show life. */
    void (*begin)(struct surface *surface, int64_t now_ms);
    /* The turn of an earlier process goes on: `state` is what on_state told last, "" for
     * nothing shown. */
    int (*resume)(struct surface *surface, const char *state, struct err *err);
    /* What the agent is doing right now. */
    void (*set_status)(struct surface *surface, const char *status, int64_t now_ms);
    /* The same in more detail, for surfaces that keep a list of what was done. */
    void (*show_step)(struct surface *surface, const struct surface_step *step);
    /* More of the answer. */
    void (*append)(struct surface *surface, const char *text, size_t len);
    /* Sends what is due; returns when to call again. *ret_stopped: the person pressed Stop. */
    int64_t (*tick)(struct surface *surface, int64_t now_ms, bool *ret_stopped);
    /* The answer so far. Borrowed. */
    const char *(*answer)(const struct surface *surface);
    /* Closes the answer; `note` ("" for none) is a last line. */
    int (*end)(struct surface *surface, const char *note, struct err *err);
    /*
     * One plain sentence instead of, or after, the answer, with a way to try again: `retry`
     * names the messages for whoever handles that, "" for none.
     */
    int (*failed)(struct surface *surface, const char *sentence, const char *retry,
                  struct err *err);
    void (*free)(struct surface *surface);
};

struct surface {
    const struct surface_ops *ops;
};

#endif
