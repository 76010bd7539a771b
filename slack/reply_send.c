#include "slack/reply_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "slack.reply"
#include "base/log.h"

#define STREAM_SOFT_AGE_MS 200000 /* from here on the stream ends at the next good seam, */
#define STREAM_HARD_AGE_MS 230000 /* and here at any: Slack lets it die after some 300 s */
#define ROOM_MIN_BYTES     200
#define BUDGET_MIN_BYTES   1000
#define LOOK_BACK_S        86400 /* an earlier process posted no longer ago */
#define MESSAGE_MAX_BYTES  16384

static bool is_error(const struct slack_reply *reply, const char *name)
{
    return strcmp(reply->web->error, name) == 0;
}

static void count(struct metric *metric)
{
    if (metric)
        metric_add(metric, 1);
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ' && text[i] != '\n' && text[i] != '\t')
            return false;
    }
    return true;
}

bool reply_has_pending(const struct slack_reply *reply)
{
    size_t from = reply->part.kind == PART_STREAM ? reply->part.sent : reply->done;

    if (reply->is_resuming || from >= reply->safe.len)
        return false;
    /* Blanks wait for what follows: alone they are no text to Slack (no_text). */
    return !is_blank(buf_text(&reply->safe) + from, reply->safe.len - from);
}

/* The open message is finished: the next one starts at `done`. */
static void finish_part(struct slack_reply *reply, size_t done)
{
    slack_split_advance(&reply->at_done, buf_text(&reply->safe) + reply->done,
                        done - reply->done);
    slack_split_break(&reply->at_done);
    reply->done = done;
    free(reply->part.shown);
    reply->part = (struct part){ .kind = PART_NONE };
    reply->index++;
    reply_leave_tasks(reply);
}

/* The message is gone from Slack: what it held goes into a new one. */
static void lose_part(struct slack_reply *reply)
{
    finish_part(reply, reply->done);
}

/* A new message does not begin with empty lines. */
static void skip_newlines(struct slack_reply *reply)
{
    const char *text = buf_text(&reply->safe);
    size_t from = reply->done;

    if (*reply->at_done.fence)
        return;
    while (from < reply->safe.len && text[from] == '\n')
        from++;
    slack_split_advance(&reply->at_done, text + reply->done, from - reply->done);
    reply->done = from;
}

/*
 * The open stream goes on as an ordinary message: rewriting it whole is the only way to be sure
 * of its text after an append that may or may not have been executed, or after Slack closed it.
 */
static void turn_into_edit(struct slack_reply *reply, const char *why)
{
    struct err err = { 0 };

    log_info("channel=%s ts=%s stream goes on by editing: %s", reply->channel, reply->part.ts,
             why);
    count(reply->fallbacks);
    if (slack_stop_stream(reply->web, reply->channel, reply->part.ts, NULL, &err) < 0)
        log_debug("%s", err.message);
    reply->part.kind = PART_EDIT;
    reply_leave_tasks(reply);
    reply_mark_processing(reply);
}

/* ---- streams ---- */

/* What one request carries. */
struct chunk {
    struct buf bytes;
    size_t piece; /* bytes of the answer in it */
    bool is_last; /* the message ends with it */
};

/* The end of the last paragraph outside a fence in the first `len` bytes, 0 for none. */
static size_t find_seam(const struct slack_split *state, const char *text, size_t len)
{
    struct slack_split now = *state;
    size_t seam = 0;

    for (size_t at = 0; at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t end = newline ? (size_t)(newline - text) + 1 : len;

        slack_split_advance(&now, text + at, end - at);
        if (newline && !*now.fence && is_blank(text + at, end - at) && at)
            seam = end;
        at = end;
    }
    return seam;
}

/* What goes next, of the first `limit` bytes that are not sent. */
static void cut_chunk(const struct slack_reply *reply, int64_t now_ms, size_t limit,
                      struct chunk *chunk)
{
    const struct part *part = &reply->part;
    bool is_open = part->kind == PART_STREAM;
    const struct slack_split *state = is_open ? &part->at_sent : &reply->at_done;
    size_t from = is_open ? part->sent : reply->done;
    const char *text = buf_text(&reply->safe) + from;
    size_t len = reply->safe.len - from < limit ? reply->safe.len - from : limit;
    size_t used = is_open ? part->used : 0;
    int64_t age = is_open ? now_ms - part->opened_at_ms : 0;
    AUTO_BUF struct buf close = { 0 };
    AUTO_BUF struct buf reopen = { 0 };

    buf_init(&close, 256);
    buf_init(&reopen, 256);
    buf_init(&chunk->bytes, MESSAGE_MAX_BYTES);
    if (!is_open) {
        slack_split_close(state, &close, &reopen);
        buf_append_text(&chunk->bytes, buf_text(&reopen));
        used = reopen.len;
        buf_clear(&close);
        buf_clear(&reopen);
    }
    chunk->piece = 0;
    if (used + ROOM_MIN_BYTES < reply->stream_budget && !part->is_full) {
        chunk->piece =
            slack_text_split(state, text, len, reply->stream_budget - used, &close, &reopen);
        chunk->is_last = chunk->piece < len || age >= STREAM_HARD_AGE_MS;
    } else {
        slack_split_close(state, &close, &reopen);
        chunk->is_last = true;
    }
    /* In the last sixth of the budget, or of its life, the stream ends at a good seam. */
    if (used + chunk->piece > reply->stream_budget / 6 * 5 || age >= STREAM_SOFT_AGE_MS) {
        size_t seam = find_seam(state, text, chunk->piece);

        if (seam && !(chunk->is_last && chunk->piece == len)) {
            chunk->piece = seam;
            chunk->is_last = true;
            buf_clear(&close);
        }
    }
    buf_append(&chunk->bytes, text, chunk->piece);
    if (chunk->is_last)
        buf_append_text(&chunk->bytes, buf_text(&close));
}

static void note_sent(struct slack_reply *reply, const struct chunk *chunk)
{
    struct part *part = &reply->part;

    slack_split_advance(&part->at_sent, buf_text(&reply->safe) + part->sent, chunk->piece);
    part->sent += chunk->piece;
    part->used += chunk->bytes.len;
}

/* Errors of chat.startStream that mean "not here", for every later reply as well. */
static bool is_stream_unsupported(const struct slack_reply *reply)
{
    static const char *const names[] = {
        "unknown_method",
        "method_deprecated",
        "feature_not_enabled",
        "feature_disabled",
        "channel_type_not_supported",
        "not_allowed_token_type",
        "missing_recipient_user_id",
        "missing_recipient_team_id",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (is_error(reply, names[i]))
            return true;
    }
    return false;
}

/* `context` is the struct slack_features of all replies. */
static bool is_known_stream(void *context, const char *ts)
{
    struct slack_features *features = context;
    bool is_known = false;

    if (!features)
        return false;
    pthread_mutex_lock(&features->lock);
    for (size_t i = 0; i < STREAMS_KNOWN && !is_known; i++)
        is_known = strcmp(features->started[i], ts) == 0;
    pthread_mutex_unlock(&features->lock);
    return is_known;
}

static void open_part(struct slack_reply *reply, const char *ts, int64_t now_ms)
{
    struct slack_features *features = reply->features;

    reply->part = (struct part){ .kind = PART_STREAM,
                                 .sent = reply->done,
                                 .at_sent = reply->at_done,
                                 .opened_at_ms = now_ms };
    snprintf(reply->part.ts, sizeof(reply->part.ts), "%s", ts);
    reply->shown_status[0] = '\0'; /* the stream takes the place of the status line */
    count(reply->messages);
    if (!features)
        return;
    pthread_mutex_lock(&features->lock);
    memcpy(features->started[features->next_started], reply->part.ts, SLACK_TS_MAX_BYTES);
    features->next_started = (features->next_started + 1) % STREAMS_KNOWN;
    pthread_mutex_unlock(&features->lock);
}

/* The start was executed, only its answer was lost: the message is there and is ours. */
static bool found_stream(struct slack_reply *reply, const struct chunk *chunk, int64_t now_ms)
{
    char ts[SLACK_TS_MAX_BYTES];
    struct err ignored = { 0 };

    if (slack_find_stream(reply->web, reply->channel, reply->thread_ts, buf_text(&chunk->bytes),
                          is_known_stream, reply->features, ts, &ignored) <= 0)
        return false;
    open_part(reply, ts, now_ms);
    turn_into_edit(reply, "the answer to its start was lost");
    reply_tell_state(reply);
    return true;
}

/* Decides what a failed start means: try again later, or edit from now on. Returns -1. */
static int fail_start(struct slack_reply *reply, const struct chunk *chunk, int64_t now_ms,
                      const struct err *err)
{
    if (reply->web->fate == SLACK_FATE_NOT_EXECUTED)
        return -1;
    if (reply->web->fate == SLACK_FATE_MAYBE && found_stream(reply, chunk, now_ms))
        return -1;
    if (is_error(reply, "msg_too_long") && reply->stream_budget > BUDGET_MIN_BYTES) {
        reply->stream_budget /= 2;
        return -1;
    }
    log_info("channel=%s no stream, posting and editing instead: %s", reply->channel,
             err->message);
    count(reply->fallbacks);
    reply->kind = PART_EDIT;
    if (reply->mode == SLACK_REPLY_AUTO && reply->features && is_stream_unsupported(reply))
        atomic_store(reply->is_direct ? &reply->features->no_stream_direct
                                      : &reply->features->no_stream,
                     true);
    return -1;
}

static int open_stream(struct slack_reply *reply, const struct chunk *chunk, int64_t now_ms,
                       struct err *err)
{
    char ts[SLACK_TS_MAX_BYTES];

    if (slack_start_stream(reply->web, reply->channel, reply->thread_ts,
                           reply->is_direct ? NULL : reply->recipient_user,
                           reply->is_direct ? NULL : reply->recipient_team,
                           buf_text(&chunk->bytes), ts, err) < 0)
        return fail_start(reply, chunk, now_ms, err);
    open_part(reply, ts, now_ms);
    note_sent(reply, chunk);
    reply_tell_state(reply);
    return 0;
}

/* Slack takes no more into this message: it ends as it is, and later ones end sooner. */
static void fill_up(struct slack_reply *reply)
{
    size_t used = reply->part.used;

    reply->part.is_full = true;
    reply->stream_budget = used > BUDGET_MIN_BYTES ? used : BUDGET_MIN_BYTES;
}

/* An append or stop was refused; decides how the message goes on. Returns -1. */
static int fail_write(struct slack_reply *reply, const struct err *err)
{
    switch (reply->web->fate) {
    case SLACK_FATE_DONE:
    case SLACK_FATE_RATE:
    case SLACK_FATE_NOT_EXECUTED:
    case SLACK_FATE_TOKEN:
        return -1;
    case SLACK_FATE_MAYBE:
    case SLACK_FATE_PERMANENT:
        break;
    }
    if (is_error(reply, "stopped_by_user") && !reply->is_stopped)
        reply->is_stopped = true;
    else if (is_error(reply, "message_not_found"))
        lose_part(reply);
    else if ((is_error(reply, "msg_too_long") || is_error(reply, "msg_blocks_too_long")) &&
             !reply->part.is_full)
        fill_up(reply);
    else
        turn_into_edit(reply, err->message);
    return -1;
}

/* Ends the stream with `chunk`; Slack having ended it already is noticed and repaired. */
static int close_stream(struct slack_reply *reply, const struct chunk *chunk, bool is_end,
                        struct err *err)
{
    const char *text = buf_text(&chunk->bytes);
    bool has_text = !is_blank(text, chunk->bytes.len);
    struct reply_task_batch batch;
    int rc;

    reply_pick_last_tasks(reply, is_end, &batch);
    rc = slack_stop_chunks(reply->web, reply->channel, reply->part.ts, has_text ? text : NULL,
                           batch.items, batch.count, err);
    if (rc < 0 && reply_tasks_are_refused(reply, &batch))
        rc = slack_stop_stream(reply->web, reply->channel, reply->part.ts,
                               has_text ? text : NULL, err);
    if (rc < 0)
        return fail_write(reply, err);
    if (is_error(reply, "message_not_in_streaming_state") && has_text) {
        turn_into_edit(reply, "Slack had closed it");
        return err_set(err, ERR_TEMP, "chat.stopStream: the stream was closed already");
    }
    note_sent(reply, chunk);
    finish_part(reply, reply->part.sent);
    return 0;
}

/* Text, and behind it the cards that are due there. */
static int append_to_stream(struct slack_reply *reply, struct chunk *chunk, struct err *err)
{
    const char *text = buf_text(&chunk->bytes);
    struct slack_split split = reply->part.at_sent;
    /* A card begins behind blanks that wait, as behind text that is sent. */
    size_t until = reply->part.sent + chunk->piece;
    struct reply_task_batch batch;
    int rc = 0;

    if (is_blank(text, chunk->bytes.len)) { /* waits for what follows, as ever */
        buf_clear(&chunk->bytes);
        chunk->piece = 0;
        text = "";
    }
    slack_split_advance(&split, text, chunk->piece);
    reply_pick_tasks(reply, until, &split, &batch);
    if (*text || batch.count)
        rc = slack_append_chunks(reply->web, reply->channel, reply->part.ts, text, batch.items,
                                 batch.count, err);
    if (rc < 0 && reply_tasks_are_refused(reply, &batch)) {
        batch.count = batch.bytes = 0;
        rc = *text ? slack_append_stream(reply->web, reply->channel, reply->part.ts, text, err)
                   : 0;
    }
    if (rc < 0)
        return fail_write(reply, err);
    note_sent(reply, chunk);
    reply_note_tasks(reply, &batch);
    return 0;
}

int reply_stream_step(struct slack_reply *reply, int64_t now_ms, struct err *err)
{
    struct chunk chunk = { 0 };
    int rc = 0;

    if (reply->part.kind == PART_NONE)
        skip_newlines(reply);
    cut_chunk(reply, now_ms, reply_text_before_task(reply), &chunk);
    if (reply->part.kind == PART_NONE) {
        rc = open_stream(reply, &chunk, now_ms, err);
        if (rc == 0 && chunk.is_last) {
            buf_clear(&chunk.bytes);
            chunk.piece = 0;
            rc = close_stream(reply, &chunk, false, err);
            reply_mark_processing(reply);
        }
    } else if (chunk.is_last) {
        rc = close_stream(reply, &chunk, false, err);
        reply_mark_processing(reply); /* stopping made the session "active" */
    } else {
        rc = append_to_stream(reply, &chunk, err);
    }
    buf_deinit(&chunk.bytes);
    return rc;
}

int reply_stream_finish(struct slack_reply *reply, const char **note, struct err *err)
{
    struct chunk chunk = { 0 };
    bool takes_note;
    int rc;

    cut_chunk(reply, reply->part.opened_at_ms, SIZE_MAX, &chunk);
    takes_note = !chunk.is_last;
    if (takes_note) {
        AUTO_BUF struct buf close = { 0 };
        AUTO_BUF struct buf reopen = { 0 };
        struct slack_split end = reply->part.at_sent;

        buf_init(&close, 256);
        buf_init(&reopen, 256);
        slack_split_advance(&end, buf_text(&reply->safe) + reply->part.sent, chunk.piece);
        slack_split_close(&end, &close, &reopen); /* the agent may have left a fence open */
        buf_append_text(&chunk.bytes, buf_text(&close));
        if (**note)
            buf_printf(&chunk.bytes, "\n\n%s", *note);
    }
    rc = close_stream(reply, &chunk, takes_note, err);
    if (rc == 0 && takes_note)
        *note = "";
    buf_deinit(&chunk.bytes);
    return rc;
}

/* ---- messages that are posted and edited ---- */

static void build_content(const struct slack_reply *reply, bool is_last, const char *note,
                          struct buf *content, size_t *ret_piece)
{
    const char *text = buf_text(&reply->safe) + reply->done;
    size_t len = reply->safe.len - reply->done;
    const char *tail = is_last ? note : "";
    AUTO_BUF struct buf close = { 0 };
    AUTO_BUF struct buf reopen = { 0 };
    size_t piece;

    buf_init(&close, 256);
    buf_init(&reopen, 256);
    slack_split_close(&reply->at_done, &close, &reopen);
    buf_append_text(content, buf_text(&reopen));
    buf_clear(&close);
    piece = slack_text_split(&reply->at_done, text, len, reply->edit_budget - reopen.len,
                             &close, &reopen);
    if (is_blank(text, piece)) {
        buf_clear(content);
    } else {
        buf_append(content, text, piece);
        buf_append_text(content, buf_text(&close));
    }
    if (piece == len && *tail)
        buf_printf(content, "%s%s", content->len ? "\n\n" : "", tail);
    if (piece == len && !is_last && *reply->status && reply_is_status_in_message(reply))
        buf_printf(content, "%s_%s_", content->len ? "\n\n" : "", reply->status);
    *ret_piece = piece;
}

static int fail_post(struct slack_reply *reply)
{
    if (is_error(reply, "msg_too_long") && reply->edit_budget > BUDGET_MIN_BYTES)
        reply->edit_budget /= 2;
    return -1;
}

static void open_edit(struct slack_reply *reply, const char *ts)
{
    reply->part = (struct part){ .kind = PART_EDIT, .sent = reply->done };
    snprintf(reply->part.ts, sizeof(reply->part.ts), "%s", ts);
    reply->shown_status[0] = '\0'; /* Slack drops the status line when the app posts */
    reply->looks_first = false;
    count(reply->messages);
    reply_tell_state(reply);
}

/* 1 when an earlier process's message was found and is now the open one. */
static int adopt_part(struct slack_reply *reply, struct err *err)
{
    AUTO_FREE char *key = xasprintf("%s/%u", reply->key, reply->index);
    char ts[SLACK_TS_MAX_BYTES];
    int found = slack_find_markdown(reply->web, reply->channel, reply->thread_ts, key,
                                    clock_wall_s() - LOOK_BACK_S, ts, err);

    if (found > 0)
        open_edit(reply, ts);
    if (found < 0 && reply->web->fate != SLACK_FATE_PERMANENT &&
        reply->web->fate != SLACK_FATE_TOKEN)
        return -1;
    reply->looks_first = false;
    return found > 0;
}

static int post_part(struct slack_reply *reply, const char *content, struct err *err)
{
    AUTO_FREE char *key =
        *reply->key ? xasprintf("%s/%u", reply->key, reply->index) : xstrdup("");
    char ts[SLACK_TS_MAX_BYTES];

    if (slack_post_markdown(reply->web, reply->channel, reply->thread_ts, content, key, ts,
                            err) < 0)
        return fail_post(reply);
    open_edit(reply, ts);
    return 0;
}

/* An update was refused; decides where the answer goes on. Returns -1. */
static int fail_update(struct slack_reply *reply)
{
    struct err ignored = { 0 };

    if (reply->web->fate != SLACK_FATE_PERMANENT)
        return -1;
    if (is_error(reply, "msg_too_long"))
        return fail_post(reply);
    if (is_error(reply, "streaming_state_conflict")) {
        slack_stop_stream(reply->web, reply->channel, reply->part.ts, NULL, &ignored);
        return -1;
    }
    if (is_error(reply, "message_not_found"))
        lose_part(reply);
    else /* cannot be edited any more: it keeps what it shows */
        finish_part(reply, reply->part.sent);
    return -1;
}

static int write_content(struct slack_reply *reply, const char *content, struct err *err)
{
    if (reply->part.kind == PART_NONE && reply->looks_first && adopt_part(reply, err) < 0)
        return -1;
    if (reply->part.kind == PART_NONE) {
        if (post_part(reply, content, err) < 0)
            return -1;
    } else if (!reply->part.shown || strcmp(reply->part.shown, content) != 0) {
        if (slack_update_markdown(reply->web, reply->channel, reply->part.ts, content, err) < 0)
            return fail_update(reply);
    }
    free(reply->part.shown);
    reply->part.shown = xstrdup(content);
    return 0;
}

int reply_edit_step(struct slack_reply *reply, bool is_last, const char *note, struct err *err)
{
    AUTO_BUF struct buf content = { 0 };
    size_t piece;

    buf_init(&content, MESSAGE_MAX_BYTES);
    if (reply->part.kind == PART_NONE)
        skip_newlines(reply);
    build_content(reply, is_last, note, &content, &piece);
    if (!content.len) { /* a placeholder whose status is over, and nothing was said */
        if (!is_last)
            return 0;
        if (reply->part.kind == PART_EDIT &&
            slack_delete_message(reply->web, reply->channel, reply->part.ts, err) < 0)
            return -1;
        finish_part(reply, reply->safe.len);
        return 0;
    }
    if (write_content(reply, buf_text(&content), err) < 0)
        return -1;
    reply->part.sent = reply->done + piece;
    if (reply_is_status_in_message(reply))
        memcpy(reply->shown_status, reply->status, sizeof(reply->shown_status));
    if (is_last || reply->part.sent < reply->safe.len)
        finish_part(reply, reply->part.sent);
    return 0;
}
