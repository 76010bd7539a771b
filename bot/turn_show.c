#include "bot/turn_parts.h"

#include <ctype.h>

#include "base/alloc.h"
#include "base/clock.h"

static void note_denied(struct turn_progress *progress, const struct agent_event *event)
{
    if (progress->denied.len)
        buf_append_text(&progress->denied, ", ");
    buf_append(&progress->denied, event->text, event->text_len);
}

void turn_show_event(struct turn *turn, struct turn_progress *progress,
                     const struct agent_event *event)
{
    struct surface *surface = turn->surface;
    AUTO_FREE char *status = NULL;

    switch (event->kind) {
    case AGENT_EVENT_TEXT:
        surface->ops->append(surface, event->text, event->text_len);
        break;
    case AGENT_EVENT_SEGMENT:
        if (*surface->ops->answer(surface))
            surface->ops->append(surface, "\n\n", 2);
        break;
    case AGENT_EVENT_TOOL:
        /* Slack shows it behind our name: "threadkeeper is reading auth.c". */
        status = xasprintf("is %.*s", (int)event->text_len, event->text);
        status[3] = (char)tolower((unsigned char)status[3]);
        surface->ops->set_status(surface, status, clock_now_ms());
        break;
    case AGENT_EVENT_TOOL_DONE:
    case AGENT_EVENT_STARTED:
        surface->ops->set_status(surface, "is thinking...", clock_now_ms());
        break;
    case AGENT_EVENT_DENIED:
        note_denied(progress, event);
        break;
    case AGENT_EVENT_NONE:
    case AGENT_EVENT_ENDED:
        break;
    }
}
