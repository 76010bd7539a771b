#include "bot/activity.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#define SHARED_TITLE_BYTES 44 /* where two titles stand in one status */
#define MINUTE_MS          INT64_C(60000)

/* ---- times ------------------------------------------------------------------------------- */

static int64_t step_of(int64_t duration_ms)
{
    if (duration_ms < MINUTE_MS)
        return ACTIVITY_SHOWS_TIME_FROM;
    return duration_ms < 5 * MINUTE_MS ? 20000 : MINUTE_MS;
}

static int64_t rounded(int64_t duration_ms)
{
    return duration_ms < 0 ? 0 : duration_ms - duration_ms % step_of(duration_ms);
}

const char *activity_time(int64_t duration_ms, char *out)
{
    int64_t s = rounded(duration_ms) / 1000;

    out[0] = '\0';
    if (s >= 3600)
        snprintf(out, 32, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    else if (s >= 60 && s % 60)
        snprintf(out, 32, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else if (s >= 60)
        snprintf(out, 32, "%" PRId64 " min", s / 60);
    else if (s > 0)
        snprintf(out, 32, "%" PRId64 " s", s);
    return out;
}

static void append_time(struct buf *out, int64_t duration_ms)
{
    char time[32];

    if (*activity_time(duration_ms, time))
        buf_printf(out, " (%s)", time);
}

/* When what is shown of something that began at `since_ms` changes next. */
static int64_t next_change(int64_t since_ms, int64_t now_ms)
{
    int64_t shown = rounded(now_ms - since_ms);

    return since_ms + shown + step_of(shown);
}

static void plan_next(struct activity *activity, int64_t now_ms)
{
    int64_t due = CLOCK_FOREVER_MS;

    if (!activity->tools_count)
        due = next_change(activity->silent_ms, now_ms);
    for (size_t i = 0; i < activity->tools_count; i++) {
        int64_t change = next_change(activity->tools[i].since_ms, now_ms);

        due = change < due ? change : due;
    }
    activity->due_ms = due;
}

/* ---- the status -------------------------------------------------------------------------- */

/* As a part of a sentence: "Reading a.txt" reads "reading a.txt" behind our name. */
static void append_title(struct buf *out, const char *title, size_t max_bytes)
{
    size_t len = utf8_cut(title, strlen(title), max_bytes);

    if (len)
        buf_append_char(out, (char)tolower((unsigned char)title[0]));
    if (len > 1)
        buf_append(out, title + 1, len - 1);
}

static void print_tools(const struct activity *activity, int64_t now_ms, struct buf *out)
{
    const struct activity_tool *tools = activity->tools;
    size_t count = activity->tools_count;

    buf_append_text(out, "is ");
    append_title(out, tools[0].title,
                 count == 1 ? ACTIVITY_TITLE_BYTES : (size_t)SHARED_TITLE_BYTES);
    if (count > 1) {
        buf_append_text(out, count == 2 ? " and " : ", ");
        append_title(out, tools[1].title, SHARED_TITLE_BYTES);
    }
    if (count > 2)
        buf_printf(out, " and %zu more", count - 2);
    append_time(out, now_ms - tools[0].since_ms);
}

static void print_thinking(const struct activity *activity, int64_t now_ms, struct buf *out)
{
    char time[32];

    activity_time(now_ms - activity->silent_ms, time);
    if (activity->is_writing && !*time)
        return;
    buf_append_text(out, "is thinking");
    if (*activity->failed) {
        buf_append_text(out, ", ");
        append_title(out, activity->failed, ACTIVITY_TITLE_BYTES);
        buf_append_text(out, " failed");
    }
    if (*time)
        buf_printf(out, " (%s)", time);
    else if (!*activity->failed)
        buf_append_text(out, "...");
}

static bool tell_status(struct activity *activity, int64_t now_ms)
{
    AUTO_BUF struct buf status = { 0 };

    buf_init(&status, sizeof(activity->said) * 2);
    if (activity->tools_count)
        print_tools(activity, now_ms, &status);
    else
        print_thinking(activity, now_ms, &status);
    buf_truncate(&status, utf8_cut(buf_text(&status), status.len, sizeof(activity->said) - 1));
    if (!status.len || strcmp(buf_text(&status), activity->said) == 0)
        return false;
    memcpy(activity->said, buf_text(&status), status.len + 1);
    activity->surface->ops->set_status(activity->surface, activity->said, now_ms);
    return true;
}

/* ---- steps ------------------------------------------------------------------------------- */

static void show_step(struct activity *activity, unsigned number, const char *title,
                      int64_t duration_ms, enum surface_step_state state)
{
    AUTO_BUF struct buf text = { 0 };
    struct surface_step step = { .number = number, .state = state };

    buf_init(&text, 256);
    buf_append_text(&text, title);
    append_time(&text, duration_ms);
    step.title = buf_text(&text);
    activity->surface->ops->show_step(activity->surface, &step);
}

static void end_thinking(struct activity *activity, int64_t now_ms)
{
    if (!activity->thinking)
        return;
    show_step(activity, activity->thinking, "Thought", now_ms - activity->silent_ms,
              SURFACE_STEP_DONE);
    activity->thinking = 0;
}

/* By its id; where the agent gives none the one that has the same title, else the oldest. */
static struct activity_tool *find_tool(struct activity *activity,
                                       const struct agent_event *event)
{
    struct activity_tool *found = activity->tools_count ? &activity->tools[0] : NULL;
    bool has_id = event->tool_id && *event->tool_id;

    for (size_t i = 0; i < activity->tools_count; i++) {
        struct activity_tool *tool = &activity->tools[i];

        if (has_id ? strcmp(tool->id, event->tool_id) == 0
                   : strncmp(tool->title, event->text, event->text_len) == 0)
            return tool;
    }
    return has_id ? NULL : found;
}

/* Some agents tell a tool again when it has ended. */
static bool is_running(struct activity *activity, const struct agent_event *event)
{
    return event->tool_id && *event->tool_id && find_tool(activity, event);
}

static void begin_tool(struct activity *activity, const struct agent_event *event,
                       int64_t now_ms)
{
    struct activity_tool *tool = &activity->tools[activity->tools_count];

    if (activity->tools_count == ACTIVITY_TOOLS_MAX || is_running(activity, event))
        return;
    activity->tools_count++;
    *tool = (struct activity_tool){ .number = ++activity->last_number, .since_ms = now_ms };
    snprintf(tool->id, sizeof(tool->id), "%s", event->tool_id ? event->tool_id : "");
    memcpy(tool->title, event->text,
           utf8_cut(event->text, event->text_len, sizeof(tool->title) - 1));
    show_step(activity, tool->number, tool->title, 0, SURFACE_STEP_RUNNING);
}

static void end_tool(struct activity *activity, const struct agent_event *event, int64_t now_ms)
{
    struct activity_tool *tool = find_tool(activity, event);
    struct activity_tool ended;
    AUTO_FREE char *title = NULL;

    if (!tool)
        return;
    ended = *tool;
    activity->tools_count--;
    memmove(tool, tool + 1,
            (size_t)(&activity->tools[activity->tools_count] - tool) * sizeof(*tool));
    if (event->tool_end == AGENT_TOOL_REJECTED)
        title = xasprintf("%s: not allowed", ended.title);
    show_step(activity, ended.number, title ? title : ended.title, now_ms - ended.since_ms,
              event->tool_end == AGENT_TOOL_OK ? SURFACE_STEP_DONE : SURFACE_STEP_FAILED);
    if (event->tool_end == AGENT_TOOL_FAILED)
        memcpy(activity->failed, ended.title, sizeof(activity->failed));
}

/* ---- what the turn calls ----------------------------------------------------------------- */

void activity_begin(struct activity *activity, struct surface *surface, int64_t now_ms)
{
    *activity = (struct activity){ .surface = surface,
                                   .last_number = activity->last_number,
                                   .silent_ms = now_ms };
    tell_status(activity, now_ms);
    plan_next(activity, now_ms);
}

void activity_note(struct activity *activity, const struct agent_event *event, int64_t now_ms)
{
    if (event->kind == AGENT_EVENT_NONE || event->kind == AGENT_EVENT_ENDED)
        return;
    end_thinking(activity, now_ms);
    if (event->kind == AGENT_EVENT_TEXT || event->kind == AGENT_EVENT_SEGMENT) {
        /* Many a second: nothing is printed for them. */
        activity->is_writing = true;
        activity->said[0] = activity->failed[0] = '\0'; /* text takes a status away */
    } else if (event->kind == AGENT_EVENT_TOOL) {
        activity->is_writing = false;
        activity->failed[0] = '\0';
        begin_tool(activity, event, now_ms);
    } else if (event->kind == AGENT_EVENT_TOOL_DONE) {
        end_tool(activity, event, now_ms);
    }
    activity->silent_ms = now_ms;
    if (event->kind != AGENT_EVENT_TEXT || activity->tools_count)
        tell_status(activity, now_ms);
    plan_next(activity, now_ms);
}

bool activity_tick(struct activity *activity, int64_t now_ms)
{
    if (now_ms < activity->due_ms)
        return false;
    for (size_t i = 0; i < activity->tools_count; i++) {
        struct activity_tool *tool = &activity->tools[i];
        int64_t shown_ms = rounded(now_ms - tool->since_ms);

        if (shown_ms == tool->shown_ms)
            continue;
        tool->shown_ms = shown_ms;
        show_step(activity, tool->number, tool->title, shown_ms, SURFACE_STEP_RUNNING);
    }
    if (!activity->tools_count) {
        if (!activity->thinking)
            activity->thinking = ++activity->last_number;
        show_step(activity, activity->thinking, "Thinking", now_ms - activity->silent_ms,
                  SURFACE_STEP_RUNNING);
    }
    tell_status(activity, now_ms);
    plan_next(activity, now_ms);
    return true;
}

void activity_end(struct activity *activity, bool is_good, int64_t now_ms)
{
    end_thinking(activity, now_ms);
    for (size_t i = 0; i < activity->tools_count; i++) {
        const struct activity_tool *tool = &activity->tools[i];

        show_step(activity, tool->number, tool->title, now_ms - tool->since_ms,
                  is_good ? SURFACE_STEP_DONE : SURFACE_STEP_FAILED);
    }
    activity->tools_count = 0;
    activity->due_ms = CLOCK_FOREVER_MS;
}
