#include "bot/turn_parts.h"

#include <stdio.h>

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

    switch (event->kind) {
    case AGENT_EVENT_TEXT:
        surface->ops->append(surface, event->text, event->text_len);
        break;
    case AGENT_EVENT_SEGMENT:
        if (*surface->ops->answer(surface))
            surface->ops->append(surface, "\n\n", 2);
        break;
    case AGENT_EVENT_DENIED:
        note_denied(progress, event);
        break;
    case AGENT_EVENT_STARTED:
        progress->has_started = true;
        snprintf(progress->model, sizeof(progress->model), "%s", event->text);
        break;
    case AGENT_EVENT_TOOL:
    case AGENT_EVENT_TOOL_DONE:
    case AGENT_EVENT_NONE:
        break;
    case AGENT_EVENT_ENDED:
        activity_end(&progress->activity, agent_run_result(progress->run)->outcome == AGENT_OK,
                     clock_now_ms());
        return;
    }
    activity_note(&progress->activity, event, clock_now_ms());
}
