/*
 * activity.h - what the agent is doing, told to a surface from the events of its run: a status
 * for right now ("is reading auth.c (1 min 20 s)"), and the steps of the work with how each
 * ended. A long silence is a step as well: nothing that works looks dead.
 *
 *   TOOL .. TOOL_DONE     a step; several may run at once
 *   nothing for 15 s      "is thinking (15 s)", a step "Thinking" that ends with the next event
 *   TEXT                  no status: the text itself is the sign of life
 *
 * From 15 s on the time is shown, and shown anew every 15 s, later every 20 s and every minute:
 * more often than Slack drops a status, and seldom enough for 200 runs within Slack's rate.
 *
 * Owns:    nothing; borrows the surface.
 * Threads: worker.
 */
#ifndef BOT_ACTIVITY_H
#define BOT_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/run.h"
#include "bot/surface.h"

#define ACTIVITY_TOOLS_MAX       16 /* at once; what else runs is not shown */
#define ACTIVITY_TITLE_BYTES     100
#define ACTIVITY_TOOL_ID_BYTES   132
#define ACTIVITY_STATUS_BYTES    128
#define ACTIVITY_SHOWS_TIME_FROM 15000 /* ms */

struct activity_tool {
    char id[ACTIVITY_TOOL_ID_BYTES];
    char title[ACTIVITY_TITLE_BYTES];
    unsigned number; /* of its step */
    int64_t since_ms;
    int64_t shown_ms; /* the time that its step shows */
};

struct activity {
    struct surface *surface;
    struct activity_tool tools[ACTIVITY_TOOLS_MAX]; /* in the order in which they began */
    size_t tools_count;
    unsigned last_number;
    unsigned thinking;                 /* the number of its step, 0 while there is none */
    int64_t silent_ms;                 /* since when nothing has come */
    bool is_writing;                   /* text came last */
    int64_t due_ms;                    /* when time alone changes something */
    char failed[ACTIVITY_TITLE_BYTES]; /* the tool that failed last, until something else comes
                                        */
    char said[ACTIVITY_STATUS_BYTES];  /* the status that the surface was told */
};

/* A run begins (the struct is zeroed before the first of a turn; steps are numbered on): shows
 * life, "is thinking...". */
void activity_begin(struct activity *activity, struct surface *surface, int64_t now_ms);

/* Each event of the run, in order. Text is given to the surface before. */
void activity_note(struct activity *activity, const struct agent_event *event, int64_t now_ms);

/* What time alone changes; true when the surface was told something. Costs a comparison while
 * nothing is due. */
bool activity_tick(struct activity *activity, int64_t now_ms);

/* The run is over: no step stays open. */
void activity_end(struct activity *activity, bool is_good, int64_t now_ms);

/* "45 s", "1 min 20 s", "1 h 5 min": a time as it is shown, rounded down to what changes next;
 * "" below ACTIVITY_SHOWS_TIME_FROM. Into `out` (32 bytes), which it returns. */
const char *activity_time(int64_t duration_ms, char *out);

#endif
