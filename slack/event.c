#include "slack/event.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "slack/event_parts.h"
#include "slack/file_parts.h"

/* Longer strings are cut: identifiers are short, and no Slack message is near the text limit.
 */
#define ID_MAX_BYTES   512
#define TEXT_MAX_BYTES 262144

/* A copy of a string member, cut to `max_bytes`; "" for anything else, so that nothing is
 * NULL. A NUL inside (\u0000) becomes nothing: C strings end there. */
static char *copy_string(const json_t *object, const char *key, size_t max_bytes)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return xstrdup("");
    return utf8_clean_copy(json_string_value(value), json_string_length(value), max_bytes);
}

static void take_string(char **target, const json_t *object, const char *key)
{
    free(*target);
    *target = copy_string(object, key, ID_MAX_BYTES);
}

/* Fills only what is still empty: for values that may stand in several places. */
static void take_if_empty(char **target, const json_t *object, const char *key)
{
    if (!**target)
        take_string(target, object, key);
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static bool has_content(const json_t *value)
{
    return json_array_size(value) > 0 || json_object_size(value) > 0;
}

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

static enum slack_channel_type channel_type_of(const char *channel, const char *type)
{
    static const struct {
        const char *name;
        enum slack_channel_type type;
    } names[] = {
        { "channel", SLACK_CHANNEL_PUBLIC },  { "group", SLACK_CHANNEL_PRIVATE },
        { "im", SLACK_CHANNEL_DIRECT },       { "mpim", SLACK_CHANNEL_GROUP_DIRECT },
        { "app_home", SLACK_CHANNEL_DIRECT },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (is(type, names[i].name))
            return names[i].type;
    }
    switch (channel[0]) {
    case 'C':
        return SLACK_CHANNEL_PUBLIC;
    case 'G':
        return SLACK_CHANNEL_PRIVATE;
    case 'D':
        return SLACK_CHANNEL_DIRECT;
    default:
        return SLACK_CHANNEL_UNKNOWN;
    }
}

static enum slack_event_kind kind_of_subtype(const char *subtype)
{
    static const char *const accepted[] = { "", "file_share", "thread_broadcast",
                                            "me_message" };

    for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
        if (is(subtype, accepted[i]))
            return SLACK_EVENT_MESSAGE;
    }
    if (is(subtype, "message_changed"))
        return SLACK_EVENT_MESSAGE_CHANGED;
    if (is(subtype, "message_deleted"))
        return SLACK_EVENT_MESSAGE_DELETED;
    return SLACK_EVENT_OTHER;
}

/* What a message says about itself; `message` is the event or, for an edit, its inner message.
 */
static void take_message(struct slack_event *event, const json_t *message)
{
    take_if_empty(&event->user, message, "user");
    take_if_empty(&event->bot_id, message, "bot_id");
    take_if_empty(&event->app_id, message, "app_id");
    take_if_empty(&event->app_id, json_object_get(message, "bot_profile"), "app_id");
    take_if_empty(&event->thread_ts, message, "thread_ts");
    take_if_empty(&event->user_team, message, "user_team");
    free(event->text);
    event->text = copy_string(message, "text", TEXT_MAX_BYTES);
    slack_files_deinit(&event->files);
    slack_files_read(json_object_get(message, "files"), &event->files);
    event->has_files = event->files.total > 0;
    event->is_edited = has_content(json_object_get(message, "edited"));
    event->is_agent_surface = json_is_object(json_object_get(message, "assistant_thread")) ||
                              json_is_object(json_object_get(message, "app_context"));
}

static bool is_tombstone(const json_t *message)
{
    AUTO_FREE char *subtype = copy_string(message, "subtype", ID_MAX_BYTES);

    return is(subtype, "tombstone");
}

/* Which message it was and whose; what is left of it belongs to Slackbot. */
static void take_deleted(struct slack_event *event, const json_t *holder, const char *key,
                         const json_t *previous)
{
    take_string(&event->ts, holder, key);
    take_if_empty(&event->ts, previous, "ts");
    take_if_empty(&event->user, previous, "user");
    take_if_empty(&event->thread_ts, previous, "thread_ts");
}

static void parse_message(struct slack_event *event, const json_t *inner)
{
    const json_t *changed = json_object_get(inner, "message");
    const json_t *previous = json_object_get(inner, "previous_message");

    event->is_mention_event = is(event->event_type, "app_mention");
    event->kind = kind_of_subtype(event->subtype);
    switch (event->kind) {
    case SLACK_EVENT_MESSAGE_CHANGED:
        /* A deleted message under which others stand stays as its thread's root. */
        if (is_tombstone(changed)) {
            event->kind = SLACK_EVENT_MESSAGE_DELETED;
            take_deleted(event, changed, "ts", previous);
            break;
        }
        /* The event's own ts is that of the edit; the message keeps its own. */
        take_string(&event->ts, changed, "ts");
        take_message(event, changed);
        break;
    case SLACK_EVENT_MESSAGE_DELETED:
        take_deleted(event, inner, "deleted_ts", previous);
        break;
    default:
        take_message(event, inner);
        break;
    }
}

static void parse_tokens_revoked(struct slack_event *event, const json_t *inner)
{
    const json_t *tokens = json_object_get(inner, "tokens");

    if (json_array_size(json_object_get(tokens, "bot")) > 0)
        event->kind = SLACK_EVENT_TOKENS_REVOKED;
}

/* What was reacted to may also be a file, which is nobody's question. */
static void parse_reaction(struct slack_event *event, const json_t *inner)
{
    const json_t *item = json_object_get(inner, "item");
    AUTO_FREE char *type = copy_string(item, "type", ID_MAX_BYTES);

    if (!is(type, "message"))
        return;
    event->kind = SLACK_EVENT_REACTION;
    take_string(&event->channel, item, "channel");
    take_string(&event->ts, item, "ts");
    take_string(&event->reaction, inner, "reaction");
    event->channel_type = channel_type_of(event->channel, "");
}

/* The workspace of an author who belongs to another one (Slack Connect), else "". */
static void settle_user_team(struct slack_event *event, const json_t *inner)
{
    take_if_empty(&event->user_team, inner, "user_team");
    take_if_empty(&event->user_team, inner, "team");
    if (is(event->user_team, event->team))
        event->user_team[0] = '\0';
}

static void parse_inner(struct slack_event *event, const json_t *inner)
{
    AUTO_FREE char *channel_type = copy_string(inner, "channel_type", ID_MAX_BYTES);

    take_string(&event->event_type, inner, "type");
    take_string(&event->subtype, inner, "subtype");
    take_string(&event->channel, inner, "channel");
    take_string(&event->user, inner, "user");
    take_string(&event->ts, inner, "ts");
    take_string(&event->thread_ts, inner, "thread_ts");
    event->channel_type = channel_type_of(event->channel, channel_type);
    if (is(event->event_type, "message") || is(event->event_type, "app_mention"))
        parse_message(event, inner);
    else if (is(event->event_type, "agent_session_stopped") ||
             is(event->event_type, "message_stream_stopped"))
        event->kind = SLACK_EVENT_SESSION_STOPPED;
    else if (is(event->event_type, "reaction_added"))
        parse_reaction(event, inner);
    else if (is(event->event_type, "app_uninstalled"))
        event->kind = SLACK_EVENT_APP_UNINSTALLED;
    else if (is(event->event_type, "tokens_revoked"))
        parse_tokens_revoked(event, inner);
    settle_user_team(event, inner);
}

/* payload of an `events_api` envelope. app_rate_limited has no inner event. */
static void parse_events_api(struct slack_event *event, const json_t *payload)
{
    const json_t *inner = json_object_get(payload, "event");

    take_string(&event->event_id, payload, "event_id");
    take_string(&event->team, payload, "team_id");
    take_string(&event->api_app_id, payload, "api_app_id");
    event->is_ext_shared = is_true(payload, "is_ext_shared_channel");
    if (json_is_object(inner)) {
        parse_inner(event, inner);
        return;
    }
    take_string(&event->event_type, payload, "type");
    if (is(event->event_type, "app_rate_limited"))
        event->kind = SLACK_EVENT_RATE_LIMITED;
}

static void parse_first_action(struct slack_event *event, const json_t *payload)
{
    const json_t *action = json_array_get(json_object_get(payload, "actions"), 0);

    if (!json_is_object(action))
        return;
    event->kind = SLACK_EVENT_ACTION;
    take_string(&event->action_id, action, "action_id");
    take_string(&event->action_value, action, "value");
    take_if_empty(&event->action_value, json_object_get(action, "selected_option"), "value");
    take_string(&event->action_ts, action, "action_ts");
}

/* payload of an `interactive` envelope. */
static void parse_interactive(struct slack_event *event, const json_t *payload)
{
    const json_t *user = json_object_get(payload, "user");
    const json_t *container = json_object_get(payload, "container");
    const json_t *message = json_object_get(payload, "message");

    take_string(&event->event_type, payload, "type");
    take_string(&event->api_app_id, payload, "api_app_id");
    take_string(&event->user, user, "id");
    take_string(&event->team, json_object_get(payload, "team"), "id");
    take_if_empty(&event->team, user, "team_id"); /* `team` is null for org-wide installs */
    take_string(&event->user_team, user, "team_id");
    if (is(event->user_team, event->team))
        event->user_team[0] = '\0';
    take_string(&event->channel, json_object_get(payload, "channel"), "id");
    take_if_empty(&event->channel, container, "channel_id");
    event->channel_type = channel_type_of(event->channel, "");
    take_string(&event->ts, message, "ts");
    take_if_empty(&event->ts, container, "message_ts");
    take_string(&event->thread_ts, message, "thread_ts");
    take_if_empty(&event->thread_ts, container, "thread_ts");
    take_if_empty(&event->thread_ts, message, "ts");
    take_string(&event->trigger_id, payload, "trigger_id");
    take_string(&event->response_url, payload, "response_url");
    if (is(event->event_type, "block_actions"))
        parse_first_action(event, payload);
}

static int retry_attempt_of(const json_t *root)
{
    double attempt = json_number_value(json_object_get(root, "retry_attempt"));

    return attempt > 0 && attempt < 1000 ? (int)attempt : 0;
}

static int parse_root(const json_t *root, struct slack_event *event, struct err *err)
{
    const json_t *payload = json_object_get(root, "payload");

    take_string(&event->envelope_id, root, "envelope_id");
    take_string(&event->envelope_type, root, "type");
    event->accepts_payload = is_true(root, "accepts_response_payload");
    event->retry_attempt = retry_attempt_of(root);
    if (!*event->envelope_id)
        return err_set(err, ERR_INPUT, "a message of type \"%.64s\" without envelope_id",
                       event->envelope_type);
    if (is(event->envelope_type, "events_api") || is(event->envelope_type, "interactive")) {
        if (!json_is_object(payload))
            return err_set(err, ERR_INPUT, "envelope without payload object");
    }
    if (is(event->envelope_type, "events_api"))
        parse_events_api(event, payload);
    else if (is(event->envelope_type, "interactive"))
        parse_interactive(event, payload);
    return 0;
}

/* Every string is there from the start, so that callers and the code above never see NULL. */
static void make_empty(struct slack_event *event)
{
    char **const strings[] = {
        &event->envelope_id,  &event->envelope_type, &event->event_id,   &event->team,
        &event->api_app_id,   &event->event_type,    &event->subtype,    &event->channel,
        &event->user,         &event->user_team,     &event->bot_id,     &event->app_id,
        &event->ts,           &event->thread_ts,     &event->text,       &event->action_id,
        &event->action_value, &event->action_ts,     &event->trigger_id, &event->response_url,
        &event->reaction,
    };

    *event = (struct slack_event){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        *strings[i] = xstrdup("");
}

static void set_string(char **target, const char *text)
{
    free(*target);
    *target = xstrdup(text);
}

void slack_event_from_message(const json_t *message, const char *team, const char *channel,
                              struct slack_event *ret_event)
{
    struct slack_event *event = ret_event;

    make_empty(event);
    set_string(&event->team, team);
    parse_inner(event, message);
    set_string(&event->channel, channel);
    event->channel_type = channel_type_of(channel, "");
    /* Listed, the root of a thread names itself; when it was said there was no thread yet. */
    if (is(event->thread_ts, event->ts))
        event->thread_ts[0] = '\0';
}

static bool is_id_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '-' || c == '_' || c == '.' || c == ':';
}

/* Looks for "envelope_id" : "..." in text that is no JSON, so that at least the ack goes out.
 * Takes only plain identifier characters: anything else could not be trusted in an ack. */
static void find_envelope_id(const char *text, size_t len, struct slack_event *event)
{
    static const char key[] = "\"envelope_id\"";
    const char *end = text + len;
    const char *at = len ? memmem(text, len, key, sizeof(key) - 1) : NULL;
    const char *id;

    if (!at)
        return;
    at += sizeof(key) - 1;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ':'))
        at++;
    if (at == end || *at != '"')
        return;
    id = ++at;
    while (at < end && is_id_char(*at))
        at++;
    if (at == end || *at != '"' || at == id || (size_t)(at - id) > ID_MAX_BYTES)
        return;
    free(event->envelope_id);
    event->envelope_id = xstrndup(id, (size_t)(at - id));
}

/* An integer beyond 64 bits somewhere in a message's metadata must not cost the message: the
 * second try reads whole numbers as floating point. (jansson stops at a nesting of 2048.) */
static json_t *load_text(const char *json, size_t len, json_error_t *ret_why)
{
    json_t *root = json_loadb(json, len, JSON_ALLOW_NUL, ret_why);

    if (!root && json_error_code(ret_why) == json_error_numeric_overflow)
        root = json_loadb(json, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, ret_why);
    return root;
}

/* jansson refuses bad UTF-8: such a frame is scrubbed first. Valid ones are not copied. */
static json_t *load(const char *json, size_t len, json_error_t *ret_why)
{
    AUTO_BUF struct buf clean = { 0 };

    if (utf8_is_valid(json, len))
        return load_text(json, len, ret_why);
    buf_init(&clean, 3 * len + 1); /* one bad byte becomes the three of U+FFFD */
    utf8_append_clean(&clean, json, len);
    return load_text(buf_text(&clean), clean.len, ret_why);
}

int slack_event_parse(const char *json, size_t len, struct slack_event *ret_event,
                      struct err *err)
{
    json_error_t why = { 0 };
    json_t *root = NULL;
    int rc;

    make_empty(ret_event);
    root = load(json, len, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        find_envelope_id(json, len, ret_event);
        return err_set(err, ERR_INPUT, "no JSON object: %s",
                       *why.text ? why.text : "another kind of value");
    }
    rc = parse_root(root, ret_event, err);
    json_decref(root);
    return rc;
}

void slack_event_deinit(struct slack_event *event)
{
    char *const strings[] = {
        event->envelope_id,  event->envelope_type, event->event_id,   event->team,
        event->api_app_id,   event->event_type,    event->subtype,    event->channel,
        event->user,         event->user_team,     event->bot_id,     event->app_id,
        event->ts,           event->thread_ts,     event->text,       event->action_id,
        event->action_value, event->action_ts,     event->trigger_id, event->response_url,
        event->reaction,
    };

    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        free(strings[i]);
    slack_files_deinit(&event->files);
    *event = (struct slack_event){ 0 };
}
