/* web.h: what was said in a thread or a channel. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/decimal.h"
#include "slack/call.h"
#include "slack/event_parts.h"

#define FORM_MAX_BYTES  2048
#define PAGE_SHRINKS_BY 10 /* 200, 20, 2 messages: Slack's longest fit even then */

static void append_field(struct buf *form, const char *name, const char *value)
{
    if (form->len)
        buf_append_char(form, '&');
    buf_printf(form, "%s=", name);
    http_append_escaped(form, value);
}

static int print_form(const struct slack_reading *reading, const char *cursor, unsigned limit,
                      struct buf *form, struct err *err)
{
    buf_clear(form);
    append_field(form, "channel", reading->channel);
    if (*reading->thread_ts)
        append_field(form, "ts", reading->thread_ts);
    append_field(form, "oldest", reading->oldest);
    if (*cursor)
        append_field(form, "cursor", cursor);
    buf_printf(form, "&limit=%u", limit);
    return buf_finish(form, err);
}

/* The cursor of the next page, "" for none; NULL when it cannot be one. */
static const char *next_cursor(const json_t *answer)
{
    const char *cursor = json_string_value(
        json_object_get(json_object_get(answer, "response_metadata"), "next_cursor"));

    if (!cursor)
        return "";
    return strlen(cursor) < SLACK_CURSOR_MAX_BYTES ? cursor : NULL;
}

static void hand_out(const json_t *answer, const struct slack_reading *reading,
                     slack_message_fn on_message, void *context)
{
    const json_t *messages = json_object_get(answer, "messages");
    const json_t *message;
    size_t i;

    json_array_foreach(messages, i, message)
    {
        struct slack_event event;

        slack_event_from_message(message, reading->team, reading->channel, &event);
        /* A thread's root is listed whatever `oldest` says. */
        if (decimal_compare(event.ts, reading->oldest) > 0)
            on_message(context, &event);
        else
            slack_event_deinit(&event);
    }
}

int slack_read_messages(struct slack_web *web, const struct slack_reading *reading,
                        char cursor[SLACK_CURSOR_MAX_BYTES], slack_message_fn on_message,
                        void *context, struct err *err)
{
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;
    const char *next;
    unsigned limit = SLACK_PAGE_MESSAGES;
    struct err why = { 0 };
    struct slack_call call = {
        .method = *reading->thread_ts ? "conversations.replies" : "conversations.history",
        .channel = reading->channel,
        .is_form = true,
        .is_idempotent = true,
    };

    buf_init(&form, FORM_MAX_BYTES);
    for (;;) {
        if (print_form(reading, cursor, limit, &form, err) < 0)
            return err_wrap(err, "%s", call.method);
        call.body = buf_text(&form);
        if (slack_call(web, &call, &answer, &why) == 0)
            break;
        if (why.kind != ERR_REMOTE || limit < PAGE_SHRINKS_BY) {
            if (err)
                *err = why;
            return -1;
        }
        limit /= PAGE_SHRINKS_BY;
    }
    next = next_cursor(answer);
    if (!next)
        return err_set(err, ERR_REMOTE, "%s: a cursor of more than %d bytes", call.method,
                       SLACK_CURSOR_MAX_BYTES - 1);
    hand_out(answer, reading, on_message, context);
    snprintf(cursor, SLACK_CURSOR_MAX_BYTES, "%s", next);
    return 0;
}
