#include "slack/text.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define ZERO_WIDTH_SPACE "\xe2\x80\x8b"
#define TOKEN_REMOVED    "[token removed]"
#define SAFE_FORM_MAX    16 /* longer than "<!everyone" and "<!subteam" with what follows */

static const char *const broadcast_words[] = { "channel", "here", "everyone", "subteam" };

/* ---- inbound: Slack's escaped text to plain text ---- */

/* One left-to-right pass, so that "&amp;lt;" becomes "&lt;" and not "<". */
static void append_unescaped(struct buf *out, const char *text, size_t len)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = { { "&lt;", '<' }, { "&gt;", '>' }, { "&amp;", '&' } };

    for (size_t i = 0; i < len;) {
        size_t width = 1;
        char c = text[i];

        for (size_t e = 0; c == '&' && e < ARRAY_LEN(entities); e++) {
            size_t name_len = strlen(entities[e].name);

            if (len - i >= name_len && memcmp(text + i, entities[e].name, name_len) == 0) {
                buf_append_char(out, entities[e].c);
                width = name_len;
                break;
            }
        }
        if (width == 1)
            buf_append_char(out, c);
        i += width;
    }
}

struct span {
    const char *at;
    size_t len;
};

static bool starts_with(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.at, prefix, len) == 0;
}

static struct span drop(struct span text, size_t len)
{
    return (struct span){ text.at + len, text.len - len };
}

static void append_span(struct buf *out, struct span text)
{
    append_unescaped(out, text.at, text.len);
}

/* "<@U1|ann>" is "@ann (U1)", "<@U1>" is "@U1". */
static void append_person(struct buf *out, struct span id, struct span label)
{
    if (label.len && *label.at == '@')
        label = drop(label, 1);
    buf_append_char(out, '@');
    append_span(out, label.len ? label : id);
    if (label.len) {
        buf_append_text(out, " (");
        append_span(out, id);
        buf_append_char(out, ')');
    }
}

static void append_special(struct buf *out, struct span target, struct span label)
{
    if (starts_with(target, "date^") && label.len) {
        append_span(out, label);
    } else if (starts_with(target, "subteam^")) {
        append_person(out, drop(target, strlen("subteam^")), label);
    } else {
        if (label.len && *label.at == '@')
            label = drop(label, 1);
        buf_append_char(out, '@');
        append_span(out, label.len ? label : target);
    }
}

/* Slack makes a link of "example.com" and of addresses: the label is what was typed. */
static bool is_made_by_slack(struct span target, struct span label)
{
    static const char *const schemes[] = { "", "http://", "https://", "mailto:", "tel:" };

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);

        if (starts_with(target, schemes[i]) && target.len - len == label.len &&
            memcmp(target.at + len, label.at, label.len) == 0)
            return true;
    }
    return false;
}

static void append_link(struct buf *out, struct span target, struct span label)
{
    struct span bare = starts_with(target, "mailto:") ? drop(target, 7) : target;

    if (label.len && is_made_by_slack(target, label)) {
        append_span(out, label);
    } else if (label.len) {
        append_span(out, label);
        buf_append_text(out, " (");
        append_span(out, bare);
        buf_append_char(out, ')');
    } else {
        append_span(out, bare);
    }
}

/* `inside` is what stands between < and >. */
static void append_entity(struct buf *out, struct span inside)
{
    const char *bar = memchr(inside.at, '|', inside.len);
    struct span target = { inside.at, bar ? (size_t)(bar - inside.at) : inside.len };
    struct span label = { bar ? bar + 1 : "", bar ? inside.len - target.len - 1 : 0 };

    switch (target.len ? *target.at : '\0') {
    case '@':
        append_person(out, drop(target, 1), label);
        break;
    case '#':
        buf_append_char(out, '#');
        append_span(out, label.len ? label : drop(target, 1));
        break;
    case '!':
        append_special(out, drop(target, 1), label);
        break;
    default:
        append_link(out, target, label);
        break;
    }
}

/* The length of "<@id>" or "<@id|name>" at `text`, 0 when it is something else. */
static size_t mention_length(const char *text, const char *id)
{
    size_t id_len = strlen(id);
    const char *end;

    if (!id_len || strncmp(text, "<@", 2) != 0 || strncmp(text + 2, id, id_len) != 0)
        return 0;
    if (text[2 + id_len] != '>' && text[2 + id_len] != '|')
        return 0;
    end = strchr(text, '>');
    return end ? (size_t)(end - text) + 1 : 0;
}

/* Skips blanks and any mentions of the bot that lead the text, with the comma or colon after.
 */
static const char *skip_leading_mentions(const char *text, const char *id)
{
    size_t len;

    text += strspn(text, " \t\n");
    while ((len = mention_length(text, id)) > 0) {
        text += len;
        text += strspn(text, " \t");
        if (*text == ':' || *text == ',')
            text++;
        text += strspn(text, " \t\n");
    }
    return text;
}

/* The length to skip when a mention of `id` is all that the line at `at` holds. */
static size_t lone_mention_line(const char *start, const char *at, const char *id)
{
    size_t len = mention_length(at, id);
    const char *before = at;
    const char *after = at + len;

    while (before > start && (before[-1] == ' ' || before[-1] == '\t'))
        before--;
    after += strspn(after, " \t");
    if (!len || (before > start && before[-1] != '\n') || (*after && *after != '\n'))
        return 0;
    return (size_t)(after - at) + (*after == '\n');
}

static void append_plain(struct buf *out, const char *start, const char *bot_user_id)
{
    for (const char *at = start; *at;) {
        size_t run = strcspn(at, "<");
        const char *end;
        size_t lone;

        append_unescaped(out, at, run);
        at += run;
        if (!*at)
            break;
        lone = lone_mention_line(start, at, bot_user_id);
        end = at + 1 + strcspn(at + 1, "<>\n");
        if (lone) {
            at += lone;
        } else if (*end == '>' && end > at + 1) {
            append_entity(out, (struct span){ at + 1, (size_t)(end - at) - 1 });
            at = end + 1;
        } else { /* Slack escapes a real "<": this one is no entity, so it stays */
            buf_append_char(out, '<');
            at++;
        }
    }
}

char *slack_text_to_plain(const char *text, const char *bot_user_id)
{
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, strlen(text) * 2 + 16); /* " ()" around a label is the worst growth */
    append_plain(&out, skip_leading_mentions(text, bot_user_id), bot_user_id);
    while (out.len && isspace((unsigned char)buf_text(&out)[out.len - 1]))
        buf_truncate(&out, out.len - 1);
    return utf8_clean_copy(buf_text(&out), out.len, SIZE_MAX);
}

bool slack_text_mentions(const char *text, const char *user_id)
{
    for (const char *at = text; (at = strstr(at, "<@")); at += 2) {
        if (mention_length(at, user_id))
            return true;
    }
    return false;
}

bool slack_text_addresses_other(const char *text, const char *bot_user_id)
{
    const char *at = strstr(text, "<@");

    while (at && !isalnum((unsigned char)at[2]))
        at = strstr(at + 2, "<@");
    return at && strchr(at, '>') && !mention_length(at, bot_user_id);
}

/* ---- outbound: the agent's Markdown made harmless ---- */

enum match {
    MATCH_NO,
    MATCH_PARTIAL, /* may become a form */
    MATCH_AT_END,  /* is one unless it goes on as a longer word */
    MATCH_FULL,
};

/*
 * Bytes that utf8_append_clean() will drop must not hide a form: "@chan\x01nel" loses the
 * control character later and would be whole.
 */
static size_t dropped_width(const unsigned char *at, size_t len)
{
    if ((*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f)
        return 1;
    if (len >= 2 && at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
        return 2;
    return 0;
}

static enum match match_word(const char *text, size_t len, const char *word)
{
    size_t i = 0;

    while (*word) {
        size_t width = i < len ? dropped_width((const unsigned char *)text + i, len - i) : 0;

        if (i + width >= len)
            return MATCH_PARTIAL;
        i += width;
        if (width)
            continue;
        if (tolower((unsigned char)text[i]) != *word)
            return MATCH_NO;
        i++;
        word++;
    }
    return i < len ? MATCH_FULL : MATCH_AT_END;
}

/* Is `text`, which begins with '@' or '<', a form that notifies? */
static enum match match_form(const char *text, size_t len)
{
    enum match best = MATCH_NO;

    if (*text == '<') {
        static const char *const people[] = { "<@u", "<@w" };

        for (size_t i = 0; i < ARRAY_LEN(people); i++) {
            enum match found = match_word(text, len, people[i]);

            best = found > best ? found : best;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(broadcast_words); i++) {
        char form[SAFE_FORM_MAX];
        enum match found;

        snprintf(form, sizeof(form), "%s%s", *text == '<' ? "<!" : "@", broadcast_words[i]);
        found = match_word(text, len, form);
        if (found == MATCH_FULL && *text == '@' && isalnum((unsigned char)text[strlen(form)]))
            found = MATCH_NO; /* @channels */
        best = found > best ? found : best;
    }
    return best;
}

/*
 * Slack's tokens, and what looks like one: xoxb- xoxp- xoxe. xapp- xwfp- and the like, up to
 * the first character that none holds. Returns the length of the token that `text` begins with,
 * 0 for none; `*ret_is_open` when more text could make it one, or longer.
 */
static size_t token_length(const char *text, size_t len, bool *ret_is_open)
{
    static const char *const prefixes[] = { "xox?-", "xox?.", "xapp-", "xwfp-" };
    size_t prefix_len = strlen(prefixes[0]);
    bool is_token = false;
    size_t at;

    *ret_is_open = false;
    for (size_t i = 0; i < ARRAY_LEN(prefixes) && !is_token; i++) {
        for (at = 0; at < prefix_len && at < len; at++) {
            if (prefixes[i][at] != text[at] &&
                (prefixes[i][at] != '?' || !islower((unsigned char)text[at])))
                break;
        }
        is_token = at == prefix_len;
        *ret_is_open |= at == len;
    }
    if (!is_token)
        return 0;
    for (at = prefix_len; at < len; at++) {
        if (!isalnum((unsigned char)text[at]) && !strchr("-._", text[at]))
            break;
    }
    *ret_is_open = at == len;
    return at > prefix_len ? at : 0;
}

static void append_defused(struct buf *out, const char *text, size_t len)
{
    size_t plain = 0;

    for (size_t i = 0; i < len; i++) {
        bool is_open;
        size_t token = text[i] == 'x' ? token_length(text + i, len - i, &is_open) : 0;

        if (token) {
            buf_append(out, text + plain, i - plain);
            buf_append_text(out, TOKEN_REMOVED);
            plain = i + token;
            i = plain - 1;
            continue;
        }
        if ((text[i] != '@' && text[i] != '<') || match_form(text + i, len - i) < MATCH_AT_END)
            continue;
        if (text[i] == '@') { /* an address such as ann@here.example stays as it is */
            /* What was written, not what was given: a chunk may begin right here. */
            const char *before = i > plain  ? text + i - 1
                                 : out->len ? out->data + out->len - 1
                                            : " ";

            if (isalnum((unsigned char)*before))
                continue;
        }
        buf_append(out, text + plain, i + 1 - plain);
        buf_append_text(out, ZERO_WIDTH_SPACE);
        plain = i + 1;
    }
    buf_append(out, text + plain, len - plain);
}

void slack_text_append_safe(struct buf *out, const char *markdown, size_t len)
{
    AUTO_BUF struct buf clean = { 0 };

    buf_init(&clean, len * 3 + 1);
    utf8_append_clean(&clean, markdown, len);
    append_defused(out, buf_text(&clean), clean.len);
}

#define UNSAFE_TAIL_MAX 512 /* no token of Slack's is that long, nor any other form */

static bool is_open_form(const char *text, size_t len)
{
    enum match match = MATCH_NO;
    bool is_open = false;

    if (*text == 'x')
        token_length(text, len, &is_open);
    else if (*text == '@' || *text == '<')
        match = match_form(text, len);
    return is_open || match == MATCH_PARTIAL || match == MATCH_AT_END;
}

size_t slack_text_unsafe_tail(const char *markdown, size_t len)
{
    size_t cut = utf8_incomplete_tail(markdown, len);
    size_t whole = len - cut; /* a form that ends where a cut character begins counts too */
    size_t from = whole > UNSAFE_TAIL_MAX ? whole - UNSAFE_TAIL_MAX : 0;
    size_t at = from;

    while (at < whole && !is_open_form(markdown + at, whole - at))
        at++;
    if (at == whole)
        return cut;
    /* What may begin a token may as well end a longer word: "@channelx" must not be cut to
     * "@channel". */
    for (size_t i = from; i < at; i++) {
        if (markdown[i] != 'x' && is_open_form(markdown + i, at - i))
            return len - i;
    }
    return len - at;
}

void slack_text_append_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buf_append_text(out, "&amp;");
            break;
        case '<':
            buf_append_text(out, "&lt;");
            break;
        case '>':
            buf_append_text(out, "&gt;");
            break;
        default:
            buf_append_char(out, *text);
        }
    }
}
