/* The harness's talk with the lab. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/scenario/harness_inside.h"

#define ANSWER_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define POLL_MS          500
#define SHOWN_MESSAGES   8000

static json_t *ask(struct harness *harness, const char *method, const char *path,
                   const char *body)
{
    struct http_response response;
    struct err err = { 0 };
    AUTO_FREE char *url = xasprintf("%slab/%s", harness->lab_url, path);
    struct http_request request = {
        .method = method,
        .url = url,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .max_response_bytes = ANSWER_MAX_BYTES,
        .connect_timeout_ms = 5000,
        .timeout_ms = 30000,
    };
    json_t *answer = NULL;

    http_response_init(&response);
    if (http_perform(harness->http, &request, &response, &err) == 0)
        answer = json_loadb(buf_text(&response.body), response.body.len, 0, NULL);
    http_response_deinit(&response);
    if (!answer)
        harness_fail(harness, "the lab does not answer %s: %s", path, err.message);
    if (json_is_false(json_object_get(answer, "ok")))
        harness_fail(harness, "the lab refuses %s: %s", path,
                     json_string_value(json_object_get(answer, "error")));
    return answer;
}

json_t *lab_command(struct harness *harness, const char *command, json_t *body)
{
    AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);
    return ask(harness, text ? "POST" : "GET", command, text);
}

static void post(struct harness *harness, const char *command, json_t *body)
{
    json_decref(lab_command(harness, command, body));
}

const char *lab_say(struct harness *harness, const char *user, const char *channel,
                    const char *thread_ts, const char *text)
{
    json_t *answer =
        lab_command(harness, "say",
                    json_pack("{s:s, s:s, s:s, s:s}", "user", user, "channel", channel, "text",
                              text, "thread_ts", thread_ts ? thread_ts : ""));
    const char *ts = harness_keep(harness, json_string_value(json_object_get(answer, "ts")));

    json_decref(answer);
    return ts;
}

void lab_press_stop(struct harness *harness, const char *channel, const char *thread_ts)
{
    post(harness, "press_stop",
         json_pack("{s:s, s:s}", "channel", channel, "thread_ts", thread_ts));
}

void lab_react(struct harness *harness, const char *user, const char *channel, const char *ts,
               const char *name)
{
    post(harness, "react",
         json_pack("{s:s, s:s, s:s, s:s}", "user", user, "channel", channel, "ts", ts, "name",
                   name));
}

void lab_click(struct harness *harness, const char *channel, const char *ts,
               const char *action_id)
{
    post(harness, "click",
         json_pack("{s:s, s:s, s:s}", "channel", channel, "ts", ts, "action_id", action_id));
}

void lab_fault(struct harness *harness, const char *method, const char *kind, int count)
{
    post(harness, "fault",
         json_pack("{s:s, s:s, s:i}", "method", method, "kind", kind, "count", count));
}

void lab_socket(struct harness *harness, const char *action, const char *which)
{
    post(harness, "socket", json_pack("{s:s, s:s}", "action", action, "which", which));
}

void lab_set(struct harness *harness, const char *setting, json_t *value)
{
    post(harness, "settings", json_pack("{s:o}", setting, value));
}

/* --- the journal -------------------------------------------------------------------------- */

int64_t lab_mark(struct harness *harness)
{
    json_auto_t *page = ask(harness, "GET", "log?after=999999999999", NULL);

    return json_integer_value(json_object_get(page, "last"));
}

/* One page after *mark, which moves on; waits a little for its first entry. */
static json_t *next_page(struct harness *harness, int64_t *mark, const char *kind, int wait_ms)
{
    char path[160];
    json_t *page;

    snprintf(path, sizeof(path), "log?after=%lld&wait_ms=%d&kind=%s", (long long)*mark, wait_ms,
             kind);
    page = ask(harness, "GET", path, NULL);
    *mark = json_integer_value(json_object_get(page, "last"));
    return page;
}

static json_t *find_entry(json_t *page, lab_entry_fn wanted, const void *context)
{
    size_t i;
    json_t *entry;

    json_array_foreach(json_object_get(page, "entries"), i, entry)
    {
        if (!wanted || wanted(entry, context))
            return json_incref(entry);
    }
    return NULL;
}

/* NULL when the limit is over. */
static json_t *wait_entry(struct harness *harness, int64_t mark, const char *kind,
                          lab_entry_fn wanted, const void *context)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    json_t *found = NULL;

    while (!found && clock_now_ms() <= until) {
        json_t *page = next_page(harness, &mark, kind, POLL_MS);

        found = find_entry(page, wanted, context);
        json_decref(page);
    }
    return found;
}

json_t *lab_wait_log(struct harness *harness, int64_t mark, const char *kind,
                     lab_entry_fn wanted, const void *context)
{
    json_t *found = wait_entry(harness, mark, kind, wanted, context);

    if (!found)
        harness_fail(harness, "waited for an entry \"%s\" in the lab's journal", kind);
    return found;
}

static bool is_good_call(const json_t *entry, const void *method)
{
    const char *name = json_string_value(json_object_get(entry, "method"));
    const char *error = json_string_value(json_object_get(entry, "error"));

    return name && error && !*error && strcmp(name, method) == 0;
}

json_t *lab_wait_call(struct harness *harness, int64_t mark, const char *method)
{
    json_t *found = wait_entry(harness, mark, "api", is_good_call, method);

    if (!found)
        harness_fail(harness, "waited for a successful %s", method);
    return found;
}

size_t lab_count_calls(struct harness *harness, int64_t mark, const char *method)
{
    size_t count = 0;
    int64_t before;

    do {
        size_t i;
        json_t *entry;

        before = mark;
        json_auto_t *page = next_page(harness, &mark, "api", 0);

        json_array_foreach(json_object_get(page, "entries"), i, entry)
        {
            const char *name = json_string_value(json_object_get(entry, "method"));

            count += name && strcmp(name, method) == 0;
        }
    } while (mark > before);
    return count;
}

/* --- what people see ---------------------------------------------------------------------- */

json_t *lab_messages(struct harness *harness, const char *channel, const char *thread_ts)
{
    char path[160];
    json_t *answer;
    json_t *messages;

    snprintf(path, sizeof(path), "messages?channel=%s&thread_ts=%s", channel,
             thread_ts ? thread_ts : "");
    answer = ask(harness, "GET", path, NULL);
    messages = json_incref(json_object_get(answer, "messages"));
    json_decref(answer);
    return messages;
}

static bool is_from_bot(const json_t *message)
{
    return json_is_true(json_object_get(message, "is_app"));
}

static bool is_finished(const json_t *message)
{
    const char *state = json_string_value(json_object_get(message, "streaming_state"));

    return strcmp(state, "in_progress") != 0 && strcmp(state, "stopped") != 0;
}

struct reply_wanted {
    const char *part; /* NULL: any text */
    bool finished;
};

static size_t count_matching(json_t *messages, const struct reply_wanted *wanted,
                             const char **ret_text)
{
    size_t i;
    size_t count = 0;
    json_t *message;

    json_array_foreach(messages, i, message)
    {
        const char *text = json_string_value(json_object_get(message, "text"));

        if (!is_from_bot(message) || (wanted->finished && !is_finished(message)) ||
            (wanted->part && !strstr(text, wanted->part)))
            continue;
        count++;
        *ret_text = text;
    }
    return count;
}

/* Until `count` of the bot's messages match; the last one's text. */
static const char *wait_matching(struct harness *harness, const char *channel,
                                 const char *thread_ts, const struct reply_wanted *wanted,
                                 size_t count)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    int64_t mark = lab_mark(harness);

    for (;;) {
        json_auto_t *messages = lab_messages(harness, channel, thread_ts);
        const char *text = "";

        if (count_matching(messages, wanted, &text) >= count)
            return harness_keep(harness, text);
        if (clock_now_ms() > until) {
            AUTO_FREE char *all = json_dumps(messages, JSON_INDENT(1));

            harness_fail(
                harness, "waited in %s %s for %zu %s message(s) with \"%s\"; there is:\n%.*s",
                channel, thread_ts ? thread_ts : "", count, wanted->finished ? "finished" : "",
                wanted->part ? wanted->part : "", SHOWN_MESSAGES, all);
        }
        json_decref(next_page(harness, &mark, "api", POLL_MS));
    }
}

const char *lab_wait_reply(struct harness *harness, const char *channel, const char *thread_ts,
                           const char *part)
{
    struct reply_wanted wanted = { .part = part, .finished = true };

    return wait_matching(harness, channel, thread_ts, &wanted, 1);
}

const char *lab_wait_text(struct harness *harness, const char *channel, const char *thread_ts,
                          const char *part)
{
    struct reply_wanted wanted = { .part = part };

    return wait_matching(harness, channel, thread_ts, &wanted, 1);
}

void lab_wait_replies(struct harness *harness, const char *channel, const char *thread_ts,
                      size_t count)
{
    struct reply_wanted wanted = { .finished = true };

    wait_matching(harness, channel, thread_ts, &wanted, count);
}

size_t lab_count_replies(struct harness *harness, const char *channel, const char *thread_ts)
{
    struct reply_wanted wanted = { .finished = true };
    json_auto_t *messages = lab_messages(harness, channel, thread_ts);
    const char *text = NULL;

    return count_matching(messages, &wanted, &text);
}

static bool has_open_stream(json_t *messages)
{
    size_t i;
    json_t *message;

    json_array_foreach(messages, i, message)
    {
        if (!is_finished(message))
            return true;
    }
    return false;
}

static bool shows_status(json_t *statuses, const char *channel, const char *thread_ts)
{
    size_t i;
    json_t *status;

    json_array_foreach(statuses, i, status)
    {
        if (strcmp(json_string_value(json_object_get(status, "channel")), channel) == 0 &&
            strcmp(json_string_value(json_object_get(status, "thread_ts")), thread_ts) == 0 &&
            (*json_string_value(json_object_get(status, "status")) ||
             strcmp(json_string_value(json_object_get(status, "session")), "processing") == 0))
            return true;
    }
    return false;
}

void lab_wait_idle(struct harness *harness, const char *channel, const char *thread_ts)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    int64_t mark = lab_mark(harness);

    for (;;) {
        json_auto_t *answer = ask(harness, "GET", "statuses", NULL);
        json_auto_t *messages = lab_messages(harness, channel, thread_ts);

        if (!shows_status(json_object_get(answer, "statuses"), channel, thread_ts) &&
            !has_open_stream(messages))
            return;
        if (clock_now_ms() > until) {
            AUTO_FREE char *all = json_dumps(answer, JSON_INDENT(1));

            harness_fail(harness, "%s %s still shows work: %s", channel, thread_ts, all);
        }
        json_decref(next_page(harness, &mark, "api", POLL_MS));
    }
}

void lab_wait_acked(struct harness *harness)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    int64_t mark = lab_mark(harness);

    for (;;) {
        json_auto_t *links = ask(harness, "GET", "links", NULL);

        if (json_integer_value(json_object_get(links, "pending")) == 0)
            return;
        if (clock_now_ms() > until)
            harness_fail(harness, "%lld events are not acked",
                         (long long)json_integer_value(json_object_get(links, "pending")));
        json_decref(next_page(harness, &mark, "ack", POLL_MS));
    }
}

void check_no_violations(struct harness *harness)
{
    json_auto_t *answer = ask(harness, "GET", "violations", NULL);
    json_t *violations = json_object_get(answer, "violations");

    if (json_array_size(violations) > 0) {
        AUTO_FREE char *all = json_dumps(violations, JSON_INDENT(1));

        harness_fail(harness, "the daemon broke the protocol: %.*s", SHOWN_MESSAGES, all);
    }
}
