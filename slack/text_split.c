/* The half of text.h that cuts long answers into messages. */
#include "slack/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define ENTITY_MAX_BYTES 300 /* a "<" or "](" further back than this is no entity or link */

/* How good a place to cut is; a higher one wins, then the later one. */
enum cut { CUT_NONE, CUT_HARD, CUT_SPACE, CUT_NEWLINE_INSIDE, CUT_NEWLINE, CUT_BLANK, CUTS };

static size_t count_run(const char *text, size_t len, char c)
{
    size_t run = 0;

    while (run < len && text[run] == c)
        run++;
    return run;
}

static size_t skip_blanks(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && (text[i] == ' ' || text[i] == '\t'))
        i++;
    return i;
}

/* Opens or closes a fence when `line` (without its newline) is a fence line. */
static void take_line(struct slack_split *state, const char *line, size_t len)
{
    /* Any indentation counts: agents indent fences inside list items. */
    size_t indent = skip_blanks(line, len);
    size_t run;
    const char *info;
    size_t info_len;
    char c;

    if (indent == len || (line[indent] != '`' && line[indent] != '~'))
        return;
    c = line[indent];
    run = count_run(line + indent, len - indent, c);
    info = line + indent + run;
    info_len = len - indent - run;
    if (*state->fence) {
        if (c == *state->fence && run >= strlen(state->fence) &&
            skip_blanks(info, info_len) == info_len)
            state->fence[0] = state->info[0] = '\0';
        return;
    }
    if (run < 3 || run >= sizeof(state->fence) || (c == '`' && memchr(info, c, info_len)))
        return;
    memset(state->fence, c, run);
    state->fence[run] = '\0';
    info_len = utf8_cut(info, info_len, sizeof(state->info) - 1);
    memcpy(state->info, info, info_len);
    state->info[info_len] = '\0';
}

void slack_split_advance(struct slack_split *state, const char *markdown, size_t len)
{
    while (len) {
        const char *newline = memchr(markdown, '\n', len);
        size_t piece = newline ? (size_t)(newline - markdown) : len;
        size_t room = sizeof(state->line) - state->line_len;
        size_t kept = piece < room ? piece : room;

        memcpy(state->line + state->line_len, markdown, kept);
        state->line_len += kept;
        if (!newline)
            return;
        take_line(state, state->line, state->line_len);
        state->line_len = 0;
        markdown += piece + 1;
        len -= piece + 1;
    }
}

void slack_split_close(const struct slack_split *state, struct buf *ret_close,
                       struct buf *ret_reopen)
{
    struct slack_split now = *state;

    take_line(&now, now.line, now.line_len); /* a last line without its newline counts */
    if (!*now.fence)
        return;
    if (now.line_len)
        buf_append_char(ret_close, '\n');
    buf_append_text(ret_close, now.fence);
    buf_printf(ret_reopen, "%s%s\n", now.fence, now.info);
}

static size_t close_length(const struct slack_split *state)
{
    struct slack_split now = *state;

    take_line(&now, now.line, now.line_len);
    return *now.fence ? strlen(now.fence) + (now.line_len > 0) : 0;
}

void slack_split_break(struct slack_split *state)
{
    take_line(state, state->line, state->line_len);
    state->line_len = 0;
}

/* Would `text` be a fence line if it stood at the start of a line? */
static bool looks_like_fence(const char *text, size_t len)
{
    size_t indent = skip_blanks(text, len);

    return indent < len && (text[indent] == '`' || text[indent] == '~') &&
           count_run(text + indent, len - indent, text[indent]) >= 3;
}

static bool is_table_row(const char *line, size_t len)
{
    size_t indent = skip_blanks(line, len);

    return indent < len && line[indent] == '|';
}

/* Judges the cut behind the newline that ends `line`; `rest` follows it. */
static enum cut judge_newline(const struct slack_split *state, const char *line, size_t len,
                              const char *rest, size_t rest_len)
{
    if (*state->fence)
        return CUT_NEWLINE_INSIDE;
    if (is_table_row(line, len) && is_table_row(rest, rest_len))
        return CUT_NEWLINE_INSIDE;
    return skip_blanks(line, len) == len ? CUT_BLANK : CUT_NEWLINE;
}

/* Pulls a cut that falls inside <...> or [...](...) back to where that begins; 0: nowhere. */
static size_t leave_entity(const char *line, size_t at)
{
    size_t from = at > ENTITY_MAX_BYTES ? at - ENTITY_MAX_BYTES : 0;
    size_t square = SIZE_MAX;

    for (size_t i = from; i < at; i++) {
        if (line[i] == '<' && !memchr(line + i, '>', at - i))
            return i;
        if (line[i] == '[')
            square = i;
        if (line[i] == ']' && (i + 1 >= at || line[i + 1] != '('))
            square = SIZE_MAX;
        if (line[i] == ')')
            square = SIZE_MAX;
    }
    return square == SIZE_MAX ? at : square;
}

/* The best cut within one line that is too long for what is left. */
static size_t cut_line(const char *line, size_t len, size_t room, enum cut *ret_kind)
{
    size_t hard = utf8_cut(line, len, room);
    size_t cut = hard;

    *ret_kind = CUT_SPACE;
    while (cut && (line[cut - 1] != ' ' || looks_like_fence(line + cut, len - cut)))
        cut--;
    cut = leave_entity(line, cut);
    if (cut)
        return cut;
    *ret_kind = CUT_HARD;
    cut = leave_entity(line, hard);
    return cut ? cut : hard;
}

struct best {
    size_t at[CUTS];
};

/* The best kind wins unless it would leave a part less than a quarter full. */
static size_t choose(const struct best *best, size_t limit)
{
    for (int kind = CUT_BLANK; kind > CUT_NONE; kind--) {
        if (best->at[kind] >= limit / 4 && best->at[kind])
            return best->at[kind];
    }
    for (int kind = CUT_BLANK; kind > CUT_NONE; kind--) {
        if (best->at[kind])
            return best->at[kind];
    }
    return 0;
}

/* Notes the cuts inside the line at `at`, which does not fit whole. */
static void note_inner_cut(struct best *best, const struct slack_split *state,
                           const char *markdown, size_t at, size_t line_len, size_t limit)
{
    struct slack_split inside = *state;
    size_t room;
    size_t cut;
    enum cut kind;

    /* A fence line is never cut: its halves would be fences of their own. */
    slack_split_advance(&inside, markdown + at, line_len);
    slack_split_advance(&inside, "\n", 1);
    if (at && strcmp(inside.fence, state->fence) != 0)
        return;
    /* Unless it is longer than a whole part: then its first half opens a fence. */
    room =
        *state->fence || looks_like_fence(markdown + at, line_len) ? sizeof(state->fence) : 0;
    room = limit > at + room ? limit - at - room : 0;
    cut = cut_line(markdown + at, line_len, room, &kind);
    if (cut)
        best->at[kind] = at + cut;
}

size_t slack_text_split(const struct slack_split *state, const char *markdown, size_t len,
                        size_t limit, struct buf *ret_close, struct buf *ret_reopen)
{
    struct slack_split now = *state;
    struct best best = { { 0 } };
    size_t at = 0;
    size_t cut = len;

    slack_split_advance(&now, markdown, len);
    if (len + close_length(&now) > limit) {
        now = *state;
        while (at < len) {
            const char *newline = memchr(markdown + at, '\n', len - at);
            size_t line = newline ? (size_t)(newline - markdown) - at : len - at;
            size_t end = at + line + (newline != NULL);
            struct slack_split next = now;

            slack_split_advance(&next, markdown + at, end - at);
            if (!newline || end + close_length(&next) > limit) {
                note_inner_cut(&best, &now, markdown, at, line, limit);
                break;
            }
            best.at[judge_newline(&next, markdown + at, line, markdown + end, len - end)] = end;
            now = next;
            at = end;
        }
        cut = choose(&best, limit);
    }
    now = *state;
    slack_split_advance(&now, markdown, cut);
    slack_split_close(&now, ret_close, ret_reopen);
    return cut;
}
