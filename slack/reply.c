#include "slack/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "slack/reply_parts.h"

#define LOG_MODULE "slack.reply"
#include "base/log.h"

#define ANSWER_MAX_BYTES    ((size_t)96 * 1024) /* a dozen messages: nobody reads more */
#define STREAM_BUDGET_BYTES 9000
#define EDIT_BUDGET_BYTES   11000
#define FIRST_TEXT_MS       400 /* a stream opens with more than one word */
#define FLUSH_MS            600
#define FLUSH_BYTES         256
#define APPEND_INTERVAL_MS  1000
#define UPDATE_INTERVAL_MS  3000
#define STREAM_SILENT_MS    230000
#define STATUS_INTERVAL_MS  1000
#define PLACEHOLDER_MS      1000  /* a message of status alone: most answers do not need it */
#define STATUS_REFRESH_MS   75000 /* Slack drops a status after two minutes */
#define RETRY_FIRST_MS      1000
#define RETRY_CAP_MS        15000
#define TICK_DEADLINE_MS    12000
#define END_DEADLINE_MS     60000
#define END_TRIES           6
#define NOTE_MAX_BYTES      1000
#define NEVER_MS            (INT64_MIN / 4)

struct slack_features *slack_features_new(void)
{
    struct slack_features *features = xcalloc(1, sizeof(*features));

    pthread_mutex_init(&features->lock, NULL);
    return features;
}

void slack_features_free(struct slack_features *features)
{
    if (!features)
        return;
    pthread_mutex_destroy(&features->lock);
    free(features);
}

/* ---- making one ---- */

static enum part_kind first_kind(const struct slack_reply *reply)
{
    const struct slack_features *features = reply->features;

    if (reply->mode == SLACK_REPLY_POST)
        return PART_NONE;
    if (reply->mode == SLACK_REPLY_EDIT || !*reply->thread_ts)
        return PART_EDIT;
    if (!reply->is_direct && (!*reply->recipient_user || !*reply->recipient_team))
        return PART_EDIT;
    if (reply->mode == SLACK_REPLY_AUTO && features &&
        atomic_load(reply->is_direct ? &features->no_stream_direct : &features->no_stream))
        return PART_EDIT;
    return PART_STREAM;
}

struct slack_reply *slack_reply_new(struct slack_web *web,
                                    const struct slack_reply_target *target,
                                    const struct slack_reply_options *options)
{
    struct slack_reply *reply = xcalloc(1, sizeof(*reply));

    reply->web = web;
    reply->features = options->features;
    reply->channel = xstrdup(target->channel);
    reply->thread_ts = xstrdup(target->thread_ts ? target->thread_ts : "");
    reply->recipient_user = xstrdup(target->recipient_user ? target->recipient_user : "");
    reply->recipient_team = xstrdup(target->recipient_team ? target->recipient_team : "");
    reply->key = xstrdup(target->key ? target->key : "");
    reply->is_direct = target->is_direct;
    reply->mode = options->mode;
    reply->on_state = options->on_state;
    reply->context = options->context;
    if (options->metrics) {
        reply->messages = metrics_counter(options->metrics, "reply_messages_total", "",
                                          "Messages that answers were written into.");
        reply->fallbacks = metrics_counter(options->metrics, "reply_fallbacks_total", "",
                                           "Streams that had to go on by posting and editing.");
    }
    buf_init(&reply->text, ANSWER_MAX_BYTES);
    buf_init(&reply->safe, ANSWER_MAX_BYTES * 3);
    reply->stream_budget = STREAM_BUDGET_BYTES;
    reply->edit_budget = EDIT_BUDGET_BYTES;
    reply->pending_since_ms = -1;
    reply->last_write_ms = NEVER_MS;
    reply->retry_at_ms = NEVER_MS;
    reply->status_at_ms = NEVER_MS;
    reply->status_since_ms = -1;
    reply->kind = first_kind(reply);
    return reply;
}

void slack_reply_free(struct slack_reply *reply)
{
    if (!reply)
        return;
    free(reply->channel);
    free(reply->thread_ts);
    free(reply->recipient_user);
    free(reply->recipient_team);
    free(reply->key);
    buf_deinit(&reply->text);
    buf_deinit(&reply->safe);
    free(reply->part.shown);
    free(reply);
}

static bool has_threads(const struct slack_reply *reply)
{
    return *reply->thread_ts != '\0';
}

/* ---- the state that a later process needs ---- */

void reply_tell_state(struct slack_reply *reply)
{
    json_auto_t *state =
        json_pack("{s:i,s:b,s:s,s:I,s:I,s:s,s:s}", "version", 1, "stream",
                  reply->part.kind == PART_STREAM, "ts", reply->part.ts, "start",
                  (json_int_t)reply->done, "index", (json_int_t)reply->index, "fence",
                  reply->at_done.fence, "info", reply->at_done.info);
    char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;

    if (text && reply->on_state)
        reply->on_state(reply->context, text);
    free(text);
}

char *slack_reply_state_of(const char *ts)
{
    json_auto_t *state = json_pack("{s:i,s:b,s:s,s:i,s:i,s:s,s:s}", "version", 1, "stream", 0,
                                   "ts", ts, "start", 0, "index", 0, "fence", "", "info", "");
    char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;

    return text ? text : xstrdup("");
}

bool slack_reply_state_message(const char *state, char ret_ts[SLACK_TS_MAX_BYTES])
{
    json_auto_t *root = json_loads(state, 0, NULL);
    const char *ts = json_string_value(json_object_get(root, "ts"));

    if (!ts || !*ts || strlen(ts) >= SLACK_TS_MAX_BYTES)
        return false;
    snprintf(ret_ts, SLACK_TS_MAX_BYTES, "%s", ts);
    return true;
}

int slack_reply_resume(struct slack_reply *reply, const char *state, struct err *err)
{
    json_error_t why;
    json_auto_t *root = json_loads(state, 0, &why);
    const char *ts = NULL;
    const char *fence = "";
    const char *fence_info = "";
    int version = 0;
    int is_stream = 0;
    json_int_t start = 0;
    json_int_t index = 0;
    struct err ignored = { 0 };

    /* What the earlier process showed is undone at the end; what it wrote later than the state
     * says is looked for. */
    reply->is_session_busy = reply->is_status_busy = has_threads(reply);
    reply->looks_first = *reply->key != '\0';
    if (!*state)
        return 0;
    if (!root || json_unpack_ex(root, &why, 0, "{s:i,s:b,s:s,s:I,s:I,s:s,s:s}", "version",
                                &version, "stream", &is_stream, "ts", &ts, "start", &start,
                                "index", &index, "fence", &fence, "info", &fence_info) < 0)
        return err_set(err, ERR_INPUT, "state of a reply: %s", why.text);
    if (strlen(fence) >= sizeof(reply->at_done.fence) || strspn(fence, "`~") != strlen(fence) ||
        strlen(fence_info) >= sizeof(reply->at_done.info) || version != 1 || !*ts ||
        strlen(ts) >= SLACK_TS_MAX_BYTES || start < 0 ||
        start > (json_int_t)(ANSWER_MAX_BYTES * 3) || index < 0 || index > UINT32_MAX)
        return err_set(err, ERR_INPUT, "state of a reply: values out of range");
    reply->part = (struct part){ .kind = PART_EDIT, .sent = (size_t)start };
    snprintf(reply->part.ts, sizeof(reply->part.ts), "%s", ts);
    reply->done = (size_t)start;
    snprintf(reply->at_done.fence, sizeof(reply->at_done.fence), "%s", fence);
    snprintf(reply->at_done.info, sizeof(reply->at_done.info), "%s", fence_info);
    reply->index = (unsigned)index;
    reply->is_resuming = start > 0;
    if (is_stream) {
        int64_t deadline_ms = reply->web->deadline_ms;

        /* It may have been stopped already: whatever Slack says, the message is rewritten. */
        slack_web_set_deadline(reply->web, TICK_DEADLINE_MS);
        if (slack_stop_stream(reply->web, reply->channel, ts, NULL, &ignored) < 0)
            log_info("channel=%s ts=%s not stopped: %s", reply->channel, ts, ignored.message);
        slack_web_set_deadline(reply->web, deadline_ms);
        reply_mark_processing(reply); /* stopping made the session "active" */
    }
    return 0;
}

/* ---- taking text ---- */

static void defuse(struct slack_reply *reply, size_t hold_back)
{
    size_t len = reply->text.len - reply->defused - hold_back;

    slack_text_append_safe(&reply->safe, buf_text(&reply->text) + reply->defused, len);
    reply->defused += len;
    if (reply->safe.len >= reply->done)
        reply->is_resuming = false;
}

static void take_clean(struct slack_reply *reply, const char *text, size_t len)
{
    AUTO_BUF struct buf clean = { 0 };
    size_t room = reply->text.max_bytes - reply->text.len;

    buf_init(&clean, len * 3 + 1);
    utf8_append_clean(&clean, text, len);
    if (clean.len > room) {
        reply->is_truncated = true;
        buf_truncate(&clean, utf8_cut(buf_text(&clean), clean.len, room));
    }
    buf_append(&reply->text, buf_text(&clean), clean.len);
}

void slack_reply_append(struct slack_reply *reply, const char *text, size_t len)
{
    AUTO_BUF struct buf whole = { 0 };
    size_t tail;

    if (!len)
        return;
    buf_init(&whole, len + sizeof(reply->cut));
    buf_append(&whole, reply->cut, reply->cut_len);
    buf_append(&whole, text, len);
    tail = utf8_incomplete_tail(buf_text(&whole), whole.len);
    take_clean(reply, buf_text(&whole), whole.len - tail);
    reply->cut_len = tail;
    memcpy(reply->cut, buf_text(&whole) + whole.len - tail, tail);
    defuse(reply, slack_text_unsafe_tail(buf_text(&reply->text) + reply->defused,
                                         reply->text.len - reply->defused));
    reply->status[0] = '\0'; /* what was being done has led to this text */
    reply->status_since_ms = -1;
}

/* Nothing more will come: what was held back goes out. */
static void take_tail(struct slack_reply *reply)
{
    take_clean(reply, reply->cut, reply->cut_len);
    reply->cut_len = 0;
    defuse(reply, 0);
    if (reply->is_resuming) { /* less text than before the restart: nothing to rewrite */
        reply->done = reply->safe.len;
        reply->part = (struct part){ .kind = PART_NONE };
        reply->at_done = (struct slack_split){ 0 };
        reply->is_resuming = false;
    }
}

const char *slack_reply_text(const struct slack_reply *reply)
{
    return buf_text(&reply->text);
}

/* ---- status ---- */

bool reply_is_status_in_message(const struct slack_reply *reply)
{
    return !has_threads(reply) || reply->part.kind == PART_EDIT ||
           (reply->features && atomic_load(&reply->features->no_status));
}

void slack_reply_begin(struct slack_reply *reply, int64_t now_ms)
{
    (void)now_ms;
    if (!has_threads(reply))
        return;
    reply_begin_session(reply);
}

void slack_reply_set_status(struct slack_reply *reply, const char *status, int64_t now_ms)
{
    AUTO_FREE char *clean = utf8_clean_copy(status, strlen(status), sizeof(reply->status) / 2);
    AUTO_BUF struct buf safe = { 0 };

    buf_init(&safe, sizeof(reply->status) - 1);
    for (char *c = clean; *c; c++) {
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    }
    slack_text_append_safe(&safe, clean, strlen(clean));
    snprintf(reply->status, sizeof(reply->status), "%s", buf_text(&safe));
    if (reply->status_since_ms < 0)
        reply->status_since_ms = now_ms;
}

/* When the status line is due, INT64_MAX when it is not. */
static int64_t status_due(const struct slack_reply *reply)
{
    if (reply_is_status_in_message(reply))
        return CLOCK_FOREVER_MS;
    if (reply_takes_tasks(reply) && (reply->tasks_count || reply->part.task_bytes))
        return CLOCK_FOREVER_MS; /* cards say it */
    if (!*reply->status && reply_has_pending(reply))
        return CLOCK_FOREVER_MS; /* the text that ended it comes first, and may replace it */
    if (strcmp(reply->status, reply->shown_status) != 0)
        return reply->status_at_ms + STATUS_INTERVAL_MS;
    return *reply->status ? reply->status_at_ms + STATUS_REFRESH_MS : CLOCK_FOREVER_MS;
}

static void tick_status(struct slack_reply *reply, int64_t now_ms)
{
    bool clears = !*reply->status;

    if (now_ms < status_due(reply))
        return;
    reply_show_status(reply, reply->status, now_ms);
    if (clears) /* both share one slot, and the work goes on */
        reply_mark_processing(reply);
}

/* ---- ticking ---- */

static size_t unsent(const struct slack_reply *reply)
{
    size_t from = reply->part.kind == PART_STREAM ? reply->part.sent : reply->done;

    return reply->safe.len > from ? reply->safe.len - from : 0;
}

/* Text, or a card, that Slack does not have. */
static bool has_news(const struct slack_reply *reply)
{
    return reply_has_pending(reply) || reply_has_due_task(reply);
}

static int64_t stream_due(const struct slack_reply *reply)
{
    const struct part *part = &reply->part;
    bool is_open = part->kind == PART_STREAM;
    int64_t silent = is_open ? part->opened_at_ms + STREAM_SILENT_MS : CLOCK_FOREVER_MS;
    int64_t due;

    if (reply->is_stopped)
        return CLOCK_FOREVER_MS;
    if (!has_news(reply))
        return silent;
    due = reply->pending_since_ms + (is_open ? FLUSH_MS : FIRST_TEXT_MS);
    if (unsent(reply) >= FLUSH_BYTES || reply_has_due_task(reply))
        due = reply->pending_since_ms;
    if (due < reply->last_write_ms + APPEND_INTERVAL_MS)
        due = reply->last_write_ms + APPEND_INTERVAL_MS;
    return due < silent ? due : silent;
}

static int64_t edit_due(const struct slack_reply *reply)
{
    bool is_behind =
        reply_is_status_in_message(reply) && strcmp(reply->status, reply->shown_status) != 0;
    bool is_open = reply->part.kind == PART_EDIT;

    if (reply->is_resuming || reply->is_stopped)
        return CLOCK_FOREVER_MS;
    if (is_open && (!reply->part.shown || reply->part.sent < reply->safe.len))
        is_behind = true;
    if (!is_behind && !reply_has_pending(reply))
        return CLOCK_FOREVER_MS;
    if (!is_open && !reply_has_pending(reply) &&
        reply->last_write_ms + UPDATE_INTERVAL_MS < reply->status_since_ms + PLACEHOLDER_MS)
        return reply->status_since_ms + PLACEHOLDER_MS;
    return reply->last_write_ms + UPDATE_INTERVAL_MS;
}

/* When the text is due to move, and by which means. */
static int64_t text_due(const struct slack_reply *reply)
{
    int64_t due = CLOCK_FOREVER_MS;

    if (reply->part.kind == PART_EDIT || reply->kind == PART_EDIT)
        due = edit_due(reply);
    else if (reply->kind == PART_STREAM)
        due = stream_due(reply);
    return due < reply->retry_at_ms ? reply->retry_at_ms : due;
}

static void tick_text(struct slack_reply *reply, int64_t now_ms)
{
    struct err err = { 0 };
    bool by_edit = reply->part.kind == PART_EDIT || reply->kind == PART_EDIT;
    enum part_kind kind = reply->kind;
    int64_t started_ms = clock_now_ms();
    int rc = by_edit ? reply_edit_step(reply, false, "", &err)
                     : reply_stream_step(reply, now_ms, &err);

    /* Intervals count from when Slack took it: before that it may have kept us waiting. */
    if (rc == 0 || reply->part.kind != PART_NONE)
        reply->last_write_ms = now_ms + (clock_now_ms() - started_ms);
    if (rc < 0 && reply->kind != kind) /* not by stream: the other way at once */
        return;
    if (rc == 0) {
        reply->retry_delay_ms = 0;
        reply->pending_since_ms = -1;
        return;
    }
    reply->retry_delay_ms = reply->retry_delay_ms ? reply->retry_delay_ms * 2 : RETRY_FIRST_MS;
    if (reply->retry_delay_ms > RETRY_CAP_MS)
        reply->retry_delay_ms = RETRY_CAP_MS;
    reply->retry_at_ms = now_ms + reply->retry_delay_ms;
    log_info("channel=%s answer delayed ms=%lld: %s", reply->channel,
             (long long)reply->retry_delay_ms, err.message);
}

int64_t slack_reply_tick(struct slack_reply *reply, int64_t now_ms, bool *ret_stopped)
{
    int64_t deadline_ms = reply->web->deadline_ms;
    int64_t text;
    int64_t status;

    slack_web_set_deadline(reply->web, TICK_DEADLINE_MS);
    if (has_news(reply) && reply->pending_since_ms < 0)
        reply->pending_since_ms = now_ms;
    if (now_ms >= text_due(reply))
        tick_text(reply, now_ms);
    tick_status(reply, now_ms);
    slack_web_set_deadline(reply->web, deadline_ms);
    if (has_news(reply) && reply->pending_since_ms < 0)
        reply->pending_since_ms = now_ms;
    *ret_stopped = reply->is_stopped;
    text = text_due(reply);
    status = status_due(reply);
    return text < status ? text : status;
}

/* ---- the end ---- */

static bool is_delivered(const struct slack_reply *reply, const char *note)
{
    return reply->part.kind == PART_NONE && !reply_has_pending(reply) && !*note;
}

static int deliver_rest(struct slack_reply *reply, const char *note, struct err *err)
{
    int64_t deadline_at_ms = clock_now_ms() + END_DEADLINE_MS;

    for (unsigned failures = 0; !is_delivered(reply, note);) {
        int64_t left = deadline_at_ms - clock_now_ms();
        int rc;

        if (failures == END_TRIES || left <= 0)
            return err_wrap(err, "the end of the answer is not delivered");
        slack_web_set_deadline(reply->web, left);
        if (reply->part.kind == PART_STREAM) {
            rc = reply_stream_finish(reply, &note, err);
        } else {
            rc = reply_edit_step(reply, true, note, err);
            if (rc == 0 && reply->done == reply->safe.len)
                note = "";
        }
        failures += rc < 0;
    }
    return 0;
}

/* Always, whatever became of the text. */
static void clear_status(struct slack_reply *reply)
{
    reply_end_session(reply);
    if (reply->is_status_busy)
        reply_show_status(reply, "", reply->status_at_ms);
    reply->is_status_busy = false;
}

int slack_reply_end(struct slack_reply *reply, const char *note, struct err *err)
{
    static const char too_long[] = "_The answer is longer than what fits here; it is cut._";
    int64_t deadline_ms = reply->web->deadline_ms;
    AUTO_FREE char *notes = NULL;
    int rc;

    if (!note)
        note = "";
    notes = xasprintf("%s%s%.*s", reply->is_truncated ? too_long : "",
                      reply->is_truncated && *note ? "\n" : "",
                      (int)utf8_cut(note, strlen(note), NOTE_MAX_BYTES), note);
    reply->status[0] = '\0';
    take_tail(reply);
    rc = deliver_rest(reply, notes, err);
    clear_status(reply);
    slack_web_set_deadline(reply->web, deadline_ms);
    return rc;
}
