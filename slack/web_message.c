/* web.h: messages posted, edited, deleted, and reactions on them. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "slack/call.h"
#include "slack/text.h"

#define EVENT_TYPE         "threadkeeper_reply" /* of the metadata that makes posts findable */
#define FALLBACK_MAX_BYTES 3000                 /* `text` beside blocks */
#define LOOK_BACK_S        300 /* how far our clock and Slack's may differ, and then some */

/* ---- looking for a post that may have been executed ---- */

struct wanted {
    const char *channel;
    const char *thread_ts;
    const char *key;
    int64_t since_s;
};

static bool carries_key(const json_t *message, const char *key)
{
    const json_t *metadata = json_object_get(message, "metadata");
    const char *type = json_string_value(json_object_get(metadata, "event_type"));
    const char *found =
        json_string_value(json_object_get(json_object_get(metadata, "event_payload"), "key"));

    return type && found && strcmp(type, EVENT_TYPE) == 0 && strcmp(found, key) == 0;
}

/* conversations.replies in a thread, conversations.history outside; one page. */
static int find_post(struct slack_web *web, const void *context, int64_t deadline_at_ms,
                     json_t **ret_answer, struct err *err)
{
    const struct wanted *wanted = context;
    bool is_thread = *wanted->thread_ts != '\0';
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;
    const json_t *message;
    size_t i;
    struct slack_call call = {
        .method = is_thread ? "conversations.replies" : "conversations.history",
        .channel = wanted->channel,
        .is_form = true,
        .is_idempotent = true,
        .deadline_at_ms = deadline_at_ms,
    };

    buf_init(&form, 1024);
    buf_append_text(&form, "channel=");
    http_append_escaped(&form, wanted->channel);
    if (is_thread) {
        buf_append_text(&form, "&ts=");
        http_append_escaped(&form, wanted->thread_ts);
    }
    buf_printf(&form, "&oldest=%lld.000000&limit=100&include_all_metadata=true",
               (long long)(wanted->since_s - LOOK_BACK_S));
    if (buf_finish(&form, err) < 0)
        return -1;
    call.body = buf_text(&form);
    if (slack_call(web, &call, &answer, err) < 0)
        return -1;
    json_array_foreach(json_object_get(answer, "messages"), i, message)
    {
        if (carries_key(message, wanted->key)) {
            *ret_answer =
                json_pack("{s:b,s:O*}", "ok", 1, "ts", json_object_get(message, "ts"));
            return 1;
        }
    }
    return 0;
}

/* ---- content ---- */

/* `text` for notifications and screen readers, where blocks carry the message. */
static json_t *fallback_text(const char *markdown)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_FREE char *cut = utf8_clean_copy(markdown, strlen(markdown), FALLBACK_MAX_BYTES);

    buf_init(&text, FALLBACK_MAX_BYTES * 5 + 1); /* "&" becomes "&amp;" */
    slack_text_append_escaped(&text, cut);
    return json_string(buf_text(&text));
}

static json_t *markdown_block(const char *markdown)
{
    return json_pack("{s:s,s:s}", "type", "markdown", "text", markdown);
}

/*
 * Adds the Markdown: as `markdown_text`, or, in a workspace that refuses it, as a markdown
 * block with its fallback text. Never both: Slack answers markdown_text_conflict.
 */
static void set_content(json_t *body, const char *markdown, bool as_block)
{
    if (as_block) {
        json_object_set_new(body, "text", fallback_text(markdown));
        json_object_set_new(body, "blocks", json_pack("[o]", markdown_block(markdown)));
    } else {
        json_object_set_new(body, "markdown_text", json_string(markdown));
    }
}

static bool is_markdown_refused(const struct slack_web *web)
{
    static const char *const names[] = { "invalid_arguments", "invalid_arg_name", "no_text" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(web->error, names[i]) == 0)
            return true;
    }
    return false;
}

static char *filtered(const struct slack_web *web, const char *markdown)
{
    return web->filter ? web->filter(web->filter_context, markdown) : xstrdup(markdown);
}

/* Sends `body` (borrowed) with the Markdown in the form that this workspace takes. */
static int send_content(struct slack_web *web, struct slack_call *call, json_t *body,
                        const char *markdown, json_t **ret_answer, struct err *err)
{
    AUTO_FREE char *content = filtered(web, markdown);
    bool as_block = web->wants_blocks;
    int rc;

    for (;;) {
        json_t *whole = json_deep_copy(body);

        set_content(whole, content, as_block);
        rc = slack_call_json(web, call, whole, ret_answer, err);
        if (rc == 0 && as_block)
            web->wants_blocks = true;
        if (rc == 0 || as_block || web->fate != SLACK_FATE_PERMANENT ||
            !is_markdown_refused(web))
            return rc;
        as_block = true;
    }
}

static int take_ts(const struct slack_call *call, const json_t *answer,
                   char ret_ts[SLACK_TS_MAX_BYTES], struct err *err)
{
    const char *ts = json_string_value(json_object_get(answer, "ts"));

    if (!ts || !*ts || strlen(ts) >= SLACK_TS_MAX_BYTES)
        return err_set(err, ERR_REMOTE, "%s: the answer holds no ts", call->method);
    snprintf(ret_ts, SLACK_TS_MAX_BYTES, "%s", ts);
    return 0;
}

static json_t *post_body(const char *channel, const char *thread_ts, const char *key)
{
    json_t *body =
        json_pack("{s:s,s:b,s:b}", "channel", channel, "unfurl_links", 0, "unfurl_media", 0);

    if (*thread_ts)
        json_object_set_new(body, "thread_ts", json_string(thread_ts));
    if (*key)
        json_object_set_new(
            body, "metadata",
            json_pack("{s:s,s:{s:s}}", "event_type", EVENT_TYPE, "event_payload", "key", key));
    return body;
}

/* ---- the calls ---- */

int slack_find_markdown(struct slack_web *web, const char *channel, const char *thread_ts,
                        const char *key, int64_t since_s, char ret_ts[SLACK_TS_MAX_BYTES],
                        struct err *err)
{
    struct wanted wanted = { channel, thread_ts, key, since_s };
    struct slack_call call = { .method = "chat.postMessage" };
    json_auto_t *answer = NULL;
    int found = find_post(web, &wanted, clock_now_ms() + web->deadline_ms, &answer, err);

    if (found <= 0)
        return found;
    return take_ts(&call, answer, ret_ts, err) < 0 ? -1 : 1;
}

int slack_post_markdown(struct slack_web *web, const char *channel, const char *thread_ts,
                        const char *markdown, const char *key, char ret_ts[SLACK_TS_MAX_BYTES],
                        struct err *err)
{
    struct wanted wanted = { channel, thread_ts, key, clock_wall_s() };
    struct slack_call call = { .method = "chat.postMessage",
                               .channel = channel,
                               .find = *key ? find_post : NULL,
                               .find_context = &wanted };
    json_auto_t *body = post_body(channel, thread_ts, key);
    json_auto_t *answer = NULL;

    if (send_content(web, &call, body, markdown, &answer, err) < 0)
        return -1;
    return take_ts(&call, answer, ret_ts, err);
}

int slack_post_button(struct slack_web *web, const char *channel, const char *thread_ts,
                      const char *markdown, const char *button_text, const char *action_id,
                      const char *action_value, const char *key,
                      char ret_ts[SLACK_TS_MAX_BYTES], struct err *err)
{
    struct wanted wanted = { channel, thread_ts, key, clock_wall_s() };
    struct slack_call call = { .method = "chat.postMessage",
                               .channel = channel,
                               .find = *key ? find_post : NULL,
                               .find_context = &wanted };
    json_t *body = post_body(channel, thread_ts, key);
    json_t *button =
        json_pack("{s:s,s:{s:s,s:s},s:s,s:s}", "type", "button", "text", "type", "plain_text",
                  "text", button_text, "action_id", action_id, "value", action_value);
    AUTO_FREE char *content = filtered(web, markdown);
    json_auto_t *answer = NULL;

    if (!button) {
        json_decref(body);
        return err_set(err, ERR_INPUT, "%s: the button's text is not valid UTF-8", call.method);
    }
    json_object_set_new(body, "text", fallback_text(content));
    json_object_set_new(body, "blocks",
                        json_pack("[o,{s:s,s:[o]}]", markdown_block(content), "type", "actions",
                                  "elements", button));
    if (slack_call_json(web, &call, body, &answer, err) < 0)
        return -1;
    return take_ts(&call, answer, ret_ts, err);
}

int slack_post_ephemeral(struct slack_web *web, const char *channel, const char *thread_ts,
                         const char *user, const char *markdown, struct err *err)
{
    /* Not findable, but only one person sees it, and only once: sending it twice is harmless.
     */
    struct slack_call call = { .method = "chat.postEphemeral",
                               .channel = channel,
                               .is_idempotent = true };
    json_auto_t *body = json_pack("{s:s,s:s}", "channel", channel, "user", user);

    if (*thread_ts)
        json_object_set_new(body, "thread_ts", json_string(thread_ts));
    return send_content(web, &call, body, markdown, NULL, err);
}

int slack_update_markdown(struct slack_web *web, const char *channel, const char *ts,
                          const char *markdown, struct err *err)
{
    struct slack_call call = { .method = "chat.update",
                               .channel = channel,
                               .is_idempotent = true };
    json_auto_t *body = json_pack("{s:s,s:s}", "channel", channel, "ts", ts);

    return send_content(web, &call, body, markdown, NULL, err);
}

int slack_delete_message(struct slack_web *web, const char *channel, const char *ts,
                         struct err *err)
{
    struct slack_call call = { .method = "chat.delete",
                               .channel = channel,
                               .is_idempotent = true };

    return slack_call_json(web, &call, json_pack("{s:s,s:s}", "channel", channel, "ts", ts),
                           NULL, err);
}

static int react(struct slack_web *web, const char *method, const char *channel, const char *ts,
                 const char *name, struct err *err)
{
    struct slack_call call = { .method = method, .channel = channel, .is_idempotent = true };

    return slack_call_json(
        web, &call,
        json_pack("{s:s,s:s,s:s}", "channel", channel, "timestamp", ts, "name", name), NULL,
        err);
}

int slack_add_reaction(struct slack_web *web, const char *channel, const char *ts,
                       const char *name, struct err *err)
{
    return react(web, "reactions.add", channel, ts, name, err);
}

int slack_remove_reaction(struct slack_web *web, const char *channel, const char *ts,
                          const char *name, struct err *err)
{
    return react(web, "reactions.remove", channel, ts, name, err);
}
