#include "agent/dialect_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/chat.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"

#define SEGMENT_MAX_BYTES AGENT_LINE_MAX_BYTES
#define TARGET_MAX_BYTES  48

/* --- lines ------------------------------------------------------------------------------ */

static json_t *parse(const char *line, size_t len)
{
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t why;
    json_t *root = json_loadb(line, len, flags, &why);
    AUTO_BUF struct buf clean = { 0 };

    if (root)
        return root;
    buf_init(&clean, len * 3 + 1);
    utf8_append_clean(&clean, line, len);
    if (clean.len == len && memcmp(buf_text(&clean), line, len) == 0)
        return NULL;
    return json_loadb(buf_text(&clean), clean.len, flags, &why);
}

json_t *kit_parse_line(struct agent_stream *stream, const char *line, size_t len)
{
    const char *brace = memchr(line, '{', len < 8 ? len : 8); /* after blanks or a stray NUL */
    json_t *root = brace ? parse(line, len) : NULL;

    if (json_is_object(root) && kit_text(root, "type")[0])
        return root;
    json_decref(root);
    agent_stream_summary(stream)->skipped_lines++;
    return NULL;
}

const char *kit_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

bool kit_says(const json_t *object, const char *key, const char *value)
{
    return strcmp(kit_text(object, key), value) == 0;
}

int64_t kit_count(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double count = json_is_number(value) ? json_number_value(value) : -1;

    return count >= 0 && count < 1e15 ? (int64_t)count : -1;
}

int64_t kit_add_counts(int64_t a, int64_t b)
{
    if (a < 0)
        return b;
    return b < 0 ? a : a + b;
}

/* --- what the run is -------------------------------------------------------------------- */

void kit_start(struct agent_stream *stream, const char *model)
{
    if (!agent_stream_summary(stream)->has_started)
        agent_stream_emit(stream, AGENT_EVENT_STARTED, model, strlen(model));
}

void kit_note_chat(struct agent_stream *stream, const char *chat_id)
{
    struct agent_summary *summary = agent_stream_summary(stream);

    if (!summary->chat_id[0] && agent_chat_is_id(chat_id))
        memcpy(summary->chat_id, chat_id, strlen(chat_id) + 1);
}

void kit_note_error(struct agent_stream *stream, const char *name, const char *text)
{
    struct agent_summary *summary = agent_stream_summary(stream);
    AUTO_FREE char *both = xasprintf("%s%s%s", name, name[0] && text[0] ? ": " : "", text);
    AUTO_FREE char *clean =
        utf8_clean_copy(both, strlen(both), sizeof(summary->error_text) - 1);

    if (clean[0])
        memcpy(summary->error_text, clean, strlen(clean) + 1);
}

/* --- text ------------------------------------------------------------------------------- */

void kit_answer_init(struct kit_answer *answer)
{
    *answer = (struct kit_answer){ 0 };
    buf_init(&answer->segment, SEGMENT_MAX_BYTES);
    buf_init(&answer->flushed, SEGMENT_MAX_BYTES);
}

void kit_answer_deinit(struct kit_answer *answer)
{
    buf_deinit(&answer->segment);
    buf_deinit(&answer->flushed);
}

void kit_answer_add(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                    size_t len)
{
    if (len == 0)
        return;
    if (answer->has_boundary && agent_stream_summary(stream)->has_text)
        agent_stream_emit(stream, AGENT_EVENT_SEGMENT, "", 0);
    answer->has_boundary = false;
    agent_stream_emit(stream, AGENT_EVENT_TEXT, text, len);
}

static void say(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                size_t len)
{
    kit_answer_add(answer, stream, text, len);
    buf_append(&answer->segment, text, len);
}

void kit_answer_retry(struct kit_answer *answer)
{
    answer->is_replaying = answer->segment.len > 0;
    answer->replayed = 0;
}

/*
 * After a retry. As long as the text repeats the segment it is swallowed; what goes beyond is
 * new. Text that begins otherwise goes on where the segment stopped. When it parts ways later,
 * it is another answer, and a paragraph of its own.
 */
static void replay(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                   size_t len)
{
    size_t at = answer->replayed;
    size_t common = answer->segment.len - at < len ? answer->segment.len - at : len;

    if (memcmp(buf_text(&answer->segment) + at, text, common) == 0) {
        answer->replayed += common;
        answer->is_replaying = answer->replayed < answer->segment.len;
        say(answer, stream, text + common, len - common);
        return;
    }
    answer->is_replaying = false;
    if (at > 0) {
        buf_truncate(&answer->segment, at);
        answer->has_boundary = true;
        kit_answer_add(answer, stream, buf_text(&answer->segment), at);
    }
    say(answer, stream, text, len);
}

void kit_answer_delta(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                      size_t len)
{
    AUTO_BUF struct buf clean = { 0 };

    buf_init(&clean, SEGMENT_MAX_BYTES);
    utf8_append_clean(&clean, text, len);
    answer->is_flush_repeated = false;
    if (answer->is_replaying)
        replay(answer, stream, buf_text(&clean), clean.len);
    else
        say(answer, stream, buf_text(&clean), clean.len);
}

void kit_answer_end_segment(struct kit_answer *answer)
{
    buf_clear(&answer->segment);
    answer->is_replaying = false;
    answer->has_boundary = true;
}

static bool starts_with(const struct buf *text, const char *prefix, size_t len)
{
    return len <= text->len && memcmp(buf_text(text), prefix, len) == 0;
}

static bool ends_with(const struct buf *text, const char *suffix, size_t len)
{
    return len <= text->len && memcmp(buf_text(text) + text->len - len, suffix, len) == 0;
}

/*
 * The whole segment once more. What was shown cannot be taken back, so only what is missing is
 * added: the rest when it goes further, all of it as a paragraph of its own when it differs.
 */
void kit_answer_whole(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                      size_t len)
{
    const struct buf *seen = &answer->segment;
    AUTO_BUF struct buf whole = { 0 };
    const char *clean = NULL;

    buf_init(&whole, SEGMENT_MAX_BYTES);
    utf8_append_clean(&whole, text, len);
    clean = buf_text(&whole);
    if (whole.len == 0 || (answer->is_flush_repeated && whole.len == answer->flushed.len &&
                           starts_with(&answer->flushed, clean, whole.len)))
        return;
    if (!seen->overflowed && !starts_with(seen, clean, whole.len) &&
        !ends_with(seen, clean, whole.len)) {
        bool goes_further =
            whole.len > seen->len && memcmp(clean, buf_text(seen), seen->len) == 0;

        if (!goes_further)
            answer->has_boundary = true;
        kit_answer_add(answer, stream, goes_further ? clean + seen->len : clean,
                       goes_further ? whole.len - seen->len : whole.len);
    }
    buf_clear(&answer->flushed);
    buf_append(&answer->flushed, clean, whole.len);
    buf_clear(&answer->segment);
    answer->is_replaying = false;
    answer->is_flush_repeated = true;
    answer->has_boundary = true;
}

/* --- tools ------------------------------------------------------------------------------ */

/*
 * The last component, without anything that could be markup where it is shown. Secrets go
 * before anything is cut: half of one would not be known as one.
 */
static void append_target(struct buf *out, const char *argument)
{
    AUTO_FREE char *masked = xstrdup(argument);
    const char *value = masked;
    const char *slash = NULL;
    AUTO_FREE char *clean = NULL;
    size_t len;

    log_mask_secrets(masked);
    len = strlen(value);
    while (len > 1 && value[len - 1] == '/')
        len--;
    slash = memrchr(value, '/', len);
    if (slash && len > 1) {
        len -= (size_t)(slash + 1 - value);
        value = slash + 1;
    }
    clean = utf8_clean_copy(value, len, TARGET_MAX_BYTES);
    for (char *at = clean; *at; at++) {
        if (*at == '\n' || *at == '\t')
            *at = ' ';
        else if (strchr("<>&`*~|", *at))
            *at = '?';
    }
    buf_append_text(out, clean);
}

void kit_append_title(struct buf *out, const struct kit_tool *rows, const char *name,
                      const json_t *arguments)
{
    const struct kit_tool *row = rows;
    const char *target = "";

    while (row->name && strcmp(row->name, name) != 0)
        row++;
    if (!row->name)
        target = name;
    else if (row->target)
        target = kit_text(arguments, row->target);
    buf_append_text(out, row->name ? row->title : "Using");
    if (target[0]) {
        buf_append_char(out, ' ');
        append_target(out, target);
    } else if (!row->name || strcmp(row->title, "Using") == 0) {
        buf_append_text(out, " a tool");
    } else if (row->target) {
        buf_append_text(out, " a file");
    }
}

void kit_calls_note(struct kit_calls *calls, const char *id, const char *title)
{
    size_t at = calls->next++ % KIT_CALLS_KEPT;

    snprintf(calls->kept[at].id, sizeof(calls->kept[at].id), "%s", id);
    snprintf(calls->kept[at].title, sizeof(calls->kept[at].title), "%s", title);
}

const char *kit_calls_find(const struct kit_calls *calls, const char *id)
{
    for (size_t i = 0; id[0] && i < KIT_CALLS_KEPT; i++) {
        if (strcmp(calls->kept[i].id, id) == 0)
            return calls->kept[i].title;
    }
    return "Using a tool";
}
