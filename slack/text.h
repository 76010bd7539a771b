/*
 * text.h - text between people, Slack and the agent: unescaping, mentions, splitting.
 *
 * Threads: any; pure functions.
 */
#ifndef SLACK_TEXT_H
#define SLACK_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Slack's inbound text as the agent should read it: entities resolved to plain forms
 * (<@U1|ann> -> @ann (U1), <#C1|dev> -> #dev, <https://x|label> -> label (https://x),
 * <!here> -> @here, dates to their fallback), then &lt; &gt; &amp; unescaped, clean UTF-8. The
 * bot's own mention is dropped where it leads or stands alone. Caller frees.
 */
char *slack_text_to_plain(const char *text, const char *bot_user_id);

/* True when `text` mentions `user_id`. */
bool slack_text_mentions(const char *text, const char *user_id);

/* True when the first mention in `text` is of somebody other than `bot_user_id`. */
bool slack_text_addresses_other(const char *text, const char *bot_user_id);

/*
 * The agent's Markdown made safe to post: <!channel> <!here> <!everyone> <!subteam^..> <@U..>
 * and @channel @here @everyone can no longer notify anybody (a zero-width space goes in),
 * what looks like a token of Slack's is replaced, invalid UTF-8 and control characters go.
 * Appends to `out`. A chunk may end inside such a form only if the caller holds back
 * slack_text_unsafe_tail() bytes of it for the next chunk.
 */
void slack_text_append_safe(struct buf *out, const char *markdown, size_t len);
size_t slack_text_unsafe_tail(const char *markdown, size_t len);

/* &, < and > for mrkdwn `text`. */
void slack_text_append_escaped(struct buf *out, const char *text);

/*
 * Where in its lines and code fences an answer is. Zeroed at the start of the answer; only
 * slack_split_advance() changes it.
 */
struct slack_split {
    char fence[16]; /* the open fence's marker such as "```", "" for none */
    char info[64];  /* its info string */
    char line[96];  /* internal: the start of a line whose end has not come yet */
    size_t line_len;
};

/*
 * Splits long Markdown. Given the state and the rest of the answer, returns how many bytes of
 * it belong to this part: all of it when that fits, else up to the last blank line, else
 * newline outside a fence, else newline inside, else space, never inside a UTF-8 sequence, a
 * <...> entity or a link. `ret_close` gets what must follow the part (the closing fence, or
 * nothing) - part and closing together are at most `limit` bytes - and `ret_reopen` what must
 * precede the next part, if there is one; slack_split_advance() over the part and
 * slack_split_break() bring the state there. Not 0 unless `len` is 0 or `limit` is under 64.
 */
size_t slack_text_split(const struct slack_split *state, const char *markdown, size_t len,
                        size_t limit, struct buf *ret_close, struct buf *ret_reopen);

/* Advances *state over `len` bytes of Markdown that were sent. */
void slack_split_advance(struct slack_split *state, const char *markdown, size_t len);

/* A message ends here: what follows is the start of a line in the next one. */
void slack_split_break(struct slack_split *state);

/* What closes, and what reopens, the fence that is open at `state`. Nothing when none is. */
void slack_split_close(const struct slack_split *state, struct buf *ret_close,
                       struct buf *ret_reopen);

#endif
