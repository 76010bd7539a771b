#include "tests/slack_lab/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/slack_lab/envelope.h"
#include "tests/slack_lab/events.h"
#include "tests/slack_lab/faults.h"
#include "tests/slack_lab/files.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/link.h"
#include "tests/slack_lab/load.h"
#include "tests/slack_lab/server.h"
#include "tests/slack_lab/world.h"

#define LOG_PAGE_MAX    2000
#define LOG_WAIT_MAX_MS 60000
#define FRAME_MAX_BYTES INT64_C(67108864)

struct control {
    struct lab *lab;
    struct request *request;
    json_t *in;  /* the body, or the query of a GET */
    json_t *out; /* joins {"ok":true} */
};

/* Each returns NULL or what is wrong. */
typedef const char *(*control_fn)(struct control *control);

static const char *text_of(const struct control *control, const char *name)
{
    const char *text = json_string_value(json_object_get(control->in, name));

    return text ? text : "";
}

static int64_t number_of(const struct control *control, const char *name, int64_t fallback)
{
    json_t *value = json_object_get(control->in, name);

    if (json_is_string(value)) /* from a query */
        return strtoll(json_string_value(value), NULL, 10);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static struct message *message_of(const struct control *control)
{
    return world_message(control->lab->world, text_of(control, "channel"),
                         text_of(control, "ts"));
}

/* People write @threadkeeper; Slack sends <@U0BOT>. Caller frees. */
static char *with_mentions(const char *text)
{
    static const char name[] = "@threadkeeper";
    struct buf out;

    buf_init(&out, LAB_BODY_MAX_BYTES);
    for (const char *at = text; *at;) {
        if (strncmp(at, name, sizeof(name) - 1) == 0) {
            buf_append_text(&out, "<@" LAB_BOT_USER ">");
            at += sizeof(name) - 1;
        } else {
            buf_append_char(&out, *at++);
        }
    }
    buf_append_char(&out, '\0');
    return buf_take(&out);
}

static const char *say(struct control *control)
{
    struct world *world = control->lab->world;
    const char *user = text_of(control, "user");
    struct channel *channel = world_channel(world, text_of(control, "channel"));
    const char *thread_ts = text_of(control, "thread_ts");
    AUTO_FREE char *text = with_mentions(text_of(control, "text"));

    if (!world_user(world, user))
        return "no such user";
    if (!channel)
        return "no such channel";
    if (*thread_ts && !world_message(world, channel->id, thread_ts))
        return "no such thread";

    struct message *message = world_add_message(world, channel, user, thread_ts);

    const char *wrong =
        files_attach(control->lab, message, json_object_get(control->in, "files"));

    if (wrong)
        return wrong;
    message_set_text(message, text);
    journal_add(control->lab->journal, "said",
                json_pack("{s:s, s:s, s:s, s:s, s:s}", "user", user, "channel", channel->id,
                          "ts", message->ts, "thread_ts", thread_ts, "text", text));
    json_object_set_new(control->out, "ts", json_string(message->ts));
    json_object_set_new(control->out, "event_ids",
                        json_is_false(json_object_get(control->in, "tell"))
                            ? json_array()
                            : events_say(control->lab, message,
                                         json_object_get(control->in, "extra"),
                                         (size_t)number_of(control, "fragments", 1)));
    return NULL;
}

static const char *raw_event(struct control *control)
{
    json_t *payload = json_object_get(control->in, "payload");
    json_t *inner = json_object_get(control->in, "event");
    const char *type = text_of(control, "type");

    if (inner) {
        json_object_set_new(control->out, "event_id",
                            events_tell(control->lab, json_incref(inner), "", 1));
        return NULL;
    }
    if (!payload)
        return "want {event} or {payload, type?, envelope?}";
    envelopes_send_once(control->lab->envelopes, *type ? type : "events_api",
                        json_incref(payload),
                        json_incref(json_object_get(control->in, "envelope")));
    return NULL;
}

static const char *raw_frame(struct control *control)
{
    struct link *link = links_newest(control->lab->links);
    int64_t size = number_of(control, "size", 0);
    const char *text = text_of(control, "text");
    AUTO_FREE char *bytes = NULL;
    size_t len;

    if (!link)
        return "no link";
    if (size < 0 || size > FRAME_MAX_BYTES)
        return "size is 0 to 64 MiB";
    len = size > 0 ? (size_t)size : strlen(text);
    bytes = xcalloc(len + 1, 1);
    size_t text_len = strlen(text);

    memset(bytes, 'x', len);
    for (size_t i = 0; i < len && *text; i++)
        bytes[i] = text[i % text_len];
    if (json_is_true(json_object_get(control->in, "random"))) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)((int)random_below(256) - 128);
    }
    link_send(link, bytes, len, json_is_true(json_object_get(control->in, "binary")),
              (size_t)number_of(control, "fragments", 1));
    return NULL;
}

static const char *fault(struct control *control)
{
    if (json_is_true(json_object_get(control->in, "clear"))) {
        faults_clear(control->lab->faults);
        return NULL;
    }
    return faults_add(control->lab->faults, control->in);
}

static const char *socket_fault(struct control *control)
{
    const char *which = text_of(control, "which");
    int hit = links_misbehave(control->lab->links, text_of(control, "action"),
                              *which ? which : "all", (int)number_of(control, "code", 1006));

    if (hit < 0)
        return "no such action";
    json_object_set_new(control->out, "links", json_integer(hit));
    return NULL;
}

static const char *redeliver(struct control *control)
{
    int count = envelopes_redeliver(control->lab->envelopes, text_of(control, "event_id"),
                                    text_of(control, "ts"));

    json_object_set_new(control->out, "count", json_integer(count));
    return count > 0 ? NULL : "no such event";
}

/* The streams that run in the thread are stopped; their timestamps. */
static json_t *stop_streams(struct channel *channel, const char *thread_ts)
{
    json_t *stopped = json_array();

    for (size_t i = 0; i < channel->message_count; i++) {
        struct message *message = channel->messages[i];

        if (message->stream == STREAM_IN_PROGRESS &&
            strcmp(message->thread_ts, thread_ts) == 0) {
            message->stream = STREAM_STOPPED;
            json_array_append_new(stopped, json_string(message->ts));
        }
    }
    return stopped;
}

static const char *press_stop(struct control *control)
{
    struct channel *channel = world_channel(control->lab->world, text_of(control, "channel"));
    const char *thread_ts = text_of(control, "thread_ts");
    const char *user = text_of(control, "user");

    if (!channel)
        return "no such channel";

    struct message *root = world_message(control->lab->world, channel->id, thread_ts);
    struct status *status = world_status(control->lab->world, channel->id, thread_ts, false);

    if ((!status || strcmp(status->session, "processing") != 0) &&
        !json_is_true(json_object_get(control->in, "force")))
        return "there is no Stop button: the session is not processing";
    json_object_set_new(control->out, "event_id",
                        events_stop_pressed(control->lab, channel->id, thread_ts,
                                            *user || !root ? user : root->user,
                                            stop_streams(channel, thread_ts)));
    return NULL;
}

static const char *react(struct control *control)
{
    struct message *message = message_of(control);
    const char *name = text_of(control, "name");
    const char *user = text_of(control, "user");
    bool is_added = !json_is_true(json_object_get(control->in, "remove"));

    if (!message || message->is_deleted)
        return "no such message";
    if (!world_user(control->lab->world, user) || !*name)
        return "want {user channel ts name}";
    if (!(is_added ? message_react(message, name, user) : message_unreact(message, name, user)))
        return is_added ? "already_reacted" : "no_reaction";
    json_decref(events_reacted(control->lab, message, name, user, is_added));
    return NULL;
}

static const char *click(struct control *control)
{
    struct message *message = message_of(control);
    const char *user = text_of(control, "user");
    json_t *done = NULL;

    if (message)
        done = events_click(control->lab, message, text_of(control, "action_id"),
                            *user ? user : "U0ALICE");
    if (!done)
        return message ? "no such button" : "no such message";
    json_object_update(control->out, done);
    json_decref(done);
    return NULL;
}

static const char *edit_message(struct control *control)
{
    struct message *message = message_of(control);

    if (!message || message->is_app)
        return "no such message of a person";

    AUTO_FREE char *old_text = xstrdup(buf_text(&message->text));
    AUTO_FREE char *text = with_mentions(text_of(control, "text"));

    message_set_text(message, text);
    message->edits++;
    json_object_set_new(control->out, "event_id",
                        events_edited(control->lab, message, old_text));
    return NULL;
}

static const char *delete_message(struct control *control)
{
    struct message *message = message_of(control);

    if (!message)
        return "no such message";
    json_object_set_new(control->out, "event_id", events_deleted(control->lab, message));
    if (message->replies > 0)
        message_set_text(message, "This message was deleted."); /* its thread hangs on it */
    else
        message->is_deleted = true;
    return NULL;
}

static const char *change_settings(struct control *control)
{
    const char *wrong = settings_apply(&control->lab->settings, control->in);

    if (wrong)
        return "no such setting, or not of its type";
    json_object_set_new(control->out, "settings", settings_json(&control->lab->settings));
    return NULL;
}

static const char *add_user(struct control *control)
{
    const char *id = text_of(control, "id");

    if (!*id || strlen(id) >= WORLD_ID_BYTES || world_user(control->lab->world, id))
        return "want a new {id, name}";

    struct user *user = world_add_user(control->lab->world, id, text_of(control, "name"));

    user->is_guest = json_is_true(json_object_get(control->in, "guest"));
    user->is_bot = json_is_true(json_object_get(control->in, "bot"));
    return NULL;
}

static const char *add_channel(struct control *control)
{
    static const struct {
        const char *name;
        enum channel_kind kind;
    } kinds[] = { { "channel", CHANNEL_PUBLIC },
                  { "group", CHANNEL_PRIVATE },
                  { "im", CHANNEL_DIRECT },
                  { "mpim", CHANNEL_GROUP_DIRECT } };
    const char *id = text_of(control, "id");
    const char *type = text_of(control, "type");

    if (!*id || strlen(id) >= WORLD_ID_BYTES || world_channel(control->lab->world, id))
        return "want a new {id, name, type}";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(type, kinds[i].name) != 0)
            continue;

        struct channel *channel =
            world_add_channel(control->lab->world, id, text_of(control, "name"), kinds[i].kind,
                              text_of(control, "user"));

        channel->bot_is_member = !json_is_false(json_object_get(control->in, "member"));
        return NULL;
    }
    return "type is channel, group, im or mpim";
}

/* What a reader sees of a message, and how its stream stands. */
static json_t *full_message(const struct message *message)
{
    json_t *json = message_json(message, true);

    json_object_set_new(json, "channel", json_string(message->channel->id));
    json_object_set_new(json, "streaming_state",
                        json_string(stream_state_name(message->stream)));
    json_object_set_new(json, "edits", json_integer(message->edits));
    json_object_set_new(json, "is_app", json_boolean(message->is_app));
    json_object_set_new(json, "is_markdown", json_boolean(message->is_markdown));
    json_object_set_new(json, "ephemeral_user", json_string(message->ephemeral_user));
    if (message->chunks)
        json_object_set(json, "chunks", message->chunks);
    return json;
}

static void add_messages(const struct channel *channel, const char *thread_ts, json_t *all)
{
    for (size_t i = 0; i < channel->message_count; i++) {
        const struct message *message = channel->messages[i];

        if (message->is_deleted || (*thread_ts && strcmp(message->ts, thread_ts) != 0 &&
                                    strcmp(message->thread_ts, thread_ts) != 0))
            continue;
        json_array_append_new(all, full_message(message));
    }
}

static const char *messages(struct control *control)
{
    struct channel *channel = world_channel(control->lab->world, text_of(control, "channel"));
    json_t *all = json_array();

    json_object_set_new(control->out, "messages", all);
    if (!channel)
        return "no such channel";
    add_messages(channel, text_of(control, "thread_ts"), all);
    return NULL;
}

static json_t *statuses_json(struct lab *lab)
{
    json_t *all = json_array();
    struct status *status, *next;
    int64_t now = clock_now_us();

    HASH_ITER(hh, lab->world->statuses, status, next)
    {
        if (now - status->set_us > lab->settings.status_life_ms * 1000)
            status_clear(status); /* Slack shows it for two minutes */
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "channel", status->channel,
                                        "thread_ts", status->thread_ts, "status", status->text,
                                        "session", status->session, "title", status->title));
    }
    return all;
}

static const char *statuses(struct control *control)
{
    json_object_set_new(control->out, "statuses", statuses_json(control->lab));
    return NULL;
}

/* All at once, for the page. */
static const char *state(struct control *control)
{
    struct lab *lab = control->lab;
    json_t *users = json_array();
    json_t *channels = json_array();
    json_t *all = json_array();
    struct user *user, *next_user;
    struct channel *channel, *next_channel;

    HASH_ITER(hh, lab->world->users, user, next_user)
    json_array_append_new(users, user_json(user));
    HASH_ITER(hh, lab->world->channels, channel, next_channel)
    {
        json_array_append_new(channels, channel_json(channel));
        add_messages(channel, "", all);
    }
    json_object_set_new(control->out, "users", users);
    json_object_set_new(control->out, "channels", channels);
    json_object_set_new(control->out, "messages", all);
    json_object_set_new(control->out, "statuses", statuses_json(lab));
    json_object_set_new(control->out, "links", links_json(lab->links));
    json_object_set_new(control->out, "last", json_integer(journal_last(lab->journal)));
    return NULL;
}

static const char *links(struct control *control)
{
    json_object_set_new(control->out, "links", links_json(control->lab->links));
    json_object_set_new(control->out, "pending",
                        json_integer((json_int_t)envelopes_pending(control->lab->envelopes)));
    return NULL;
}

static const char *violations(struct control *control)
{
    json_object_set_new(control->out, "violations",
                        json_deep_copy(journal_violations(control->lab->journal)));
    if (control->request->is_post)
        journal_forget_violations(control->lab->journal);
    return NULL;
}

static const char *files(struct control *control)
{
    json_object_set_new(control->out, "files", files_json(control->lab));
    return NULL;
}

static const char *load(struct control *control)
{
    const char *wrong =
        control->request->is_post ? load_start(control->lab->load, control->in) : NULL;

    json_object_set_new(control->out, "load", load_json(control->lab->load));
    return wrong;
}

static void print_log(struct request *request)
{
    struct buf out;

    buf_init(&out, 4 * LAB_BODY_MAX_BYTES);
    journal_print_after(request->lab->journal, request->poll_after,
                        request_query(request, "kind"), LOG_PAGE_MAX, &out);
    request_answer(request, 200, "application/json; charset=utf-8", "", buf_text(&out),
                   out.len);
    buf_deinit(&out);
}

static bool poll_log(struct request *request, int64_t now_us)
{
    if (now_us < request->poll_until_us &&
        !journal_has_after(request->lab->journal, request->poll_after,
                           request_query(request, "kind")))
        return false;
    print_log(request);
    return true;
}

/* The long poll: answers when there is an entry, or when its time is over. */
static void show_log(struct request *request)
{
    int64_t wait_ms = strtoll(request_query(request, "wait_ms"), NULL, 10);

    if (wait_ms > LOG_WAIT_MAX_MS)
        wait_ms = LOG_WAIT_MAX_MS;
    request->poll_after = strtoll(request_query(request, "after"), NULL, 10);
    request->poll_until_us = clock_now_us() + wait_ms * 1000;
    if (!poll_log(request, clock_now_us()))
        request->poll = poll_log;
}

static const struct {
    const char *name;
    bool is_post;
    control_fn run;
} COMMANDS[] = {
    { "say", true, say },
    { "raw_event", true, raw_event },
    { "raw_frame", true, raw_frame },
    { "fault", true, fault },
    { "socket", true, socket_fault },
    { "redeliver", true, redeliver },
    { "press_stop", true, press_stop },
    { "react", true, react },
    { "click", true, click },
    { "edit_message", true, edit_message },
    { "delete_message", true, delete_message },
    { "settings", true, change_settings },
    { "settings", false, change_settings },
    { "user", true, add_user },
    { "channel", true, add_channel },
    { "messages", false, messages },
    { "statuses", false, statuses },
    { "files", false, files },
    { "state", false, state },
    { "links", false, links },
    { "violations", false, violations },
    { "violations", true, violations },
    { "load", true, load },
    { "load", false, load },
};

static void run_command(struct control *control, control_fn run)
{
    const char *wrong = run(control);

    json_object_set_new(control->out, "ok", json_boolean(!wrong));
    if (wrong)
        json_object_set_new(control->out, "error", json_string(wrong));
    request_answer_json(control->request, json_incref(control->out));
}

void control_handle(struct request *request, const char *command)
{
    struct control control = { .lab = request->lab, .request = request };

    if (strcmp(command, "log") == 0) {
        show_log(request);
        return;
    }
    control.in = request->is_post && request->body.len > 0
                     ? json_loadb(request->body.data, request->body.len, 0, NULL)
                     : json_incref(request->query);
    control.out = json_object();
    if (!json_is_object(control.in)) {
        request_answer_json(request, json_pack("{s:b, s:s}", "ok", 0, "error",
                                               "the body is not a JSON object"));
    } else {
        for (size_t i = 0; i < ARRAY_LEN(COMMANDS) && !request->answered; i++) {
            if (strcmp(command, COMMANDS[i].name) == 0 &&
                COMMANDS[i].is_post == request->is_post)
                run_command(&control, COMMANDS[i].run);
        }
        if (!request->answered)
            request_answer_json(request,
                                json_pack("{s:b, s:s}", "ok", 0, "error", "no such command"));
    }
    json_decref(control.in);
    json_decref(control.out);
}

void control_take_response(struct request *request)
{
    json_t *body = json_loadb(buf_text(&request->body), request->body.len, 0, NULL);

    journal_add(request->lab->journal, "response_url",
                json_pack("{s:s, s:o?}", "path", request->path, "body", body));
    request_answer(request, 200, "text/plain", "", "ok", 2);
}
