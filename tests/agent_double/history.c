#include "tests/agent_double/history.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

#define QUOTE_MAX_BYTES ((size_t)400)

/* Where in the context it is. */
struct reading {
    bool is_in_context;
    bool is_in_turns; /* behind what is known of the person and the summary */
    bool is_told;     /* the turn above is the user's */
};

static void add_told(struct history *history, const char *text)
{
    size_t slot = history->told_count % HISTORY_MAX_TURNS;

    free(history->told[slot]);
    history->told[slot] = utf8_clean_copy(text, strlen(text), QUOTE_MAX_BYTES);
    history->told_count++;
}

/* The last thing told goes on in an indented line. */
static void extend_told(struct history *history, const char *text, size_t len)
{
    char **last = &history->told[(history->told_count - 1) % HISTORY_MAX_TURNS];
    AUTO_FREE char *longer = xasprintf("%s\n%.*s", *last, (int)len, text);

    free(*last);
    *last = utf8_clean_copy(longer, strlen(longer), QUOTE_MAX_BYTES);
}

static bool begins(const char *line, size_t len, const char *with)
{
    return len >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

/* A line of a context: a heading, a turn "NAME: text", or a turn's further line. */
static void read_line(struct history *history, struct reading *reading, const char *line,
                      size_t len)
{
    const char *text;

    if (begins(line, len, "# ")) {
        if (begins(line, len, "# Recalled") || begins(line, len, "# Latest"))
            reading->is_in_turns = true;
        reading->is_told = false;
        return;
    }
    if (!reading->is_in_turns)
        return;
    if (begins(line, len, "  ")) {
        if (reading->is_told)
            extend_told(history, line + 2, len - 2);
        return;
    }
    text = memmem(line, len, ": ", 2);
    reading->is_told = text && !begins(line, len, "You: ") && !begins(line, len, "System: ");
    if (reading->is_told) {
        AUTO_FREE char *copy = xstrndup(text + 2, len - (size_t)(text + 2 - line));

        add_told(history, copy);
    }
}

static void add_question(struct buf *question, const char *text, size_t len)
{
    while (len > 0 && text[len - 1] == '\n')
        len--;
    if (question->len > 0)
        buf_append_char(question, '\n');
    buf_append(question, text, len);
}

/* The key that the prompt's own first line announces: a marker without it is somebody's text.
 */
static char *find_key(const char *prompt)
{
    static const char announced[] = "\"BEGIN MESSAGE ";
    const char *at = strstr(prompt, announced);

    return at ? xstrndup(at + strlen(announced), strcspn(at + strlen(announced), "\""))
              : xstrdup("");
}

void history_read(const char *prompt, struct history *ret_history)
{
    AUTO_FREE char *key = find_key(prompt);
    AUTO_FREE char *begin_turns = xasprintf("--- BEGIN CONVERSATION %s", key);
    AUTO_FREE char *end_turns = xasprintf("--- END CONVERSATION %s", key);
    AUTO_FREE char *begin_message = xasprintf("--- BEGIN MESSAGE %s", key);
    AUTO_FREE char *end_message = xasprintf("--- END MESSAGE %s", key);
    AUTO_BUF struct buf question = { 0 };
    const char *message = NULL;
    struct reading reading = { 0 };

    memset(ret_history, 0, sizeof(*ret_history));
    buf_init(&question, strlen(prompt) + 1);
    for (const char *at = prompt; *at;) {
        size_t len = strcspn(at, "\n");
        const char *next = at + len + (at[len] == '\n');

        if (strncmp(at, begin_turns, strlen(begin_turns)) == 0) {
            reading.is_in_context = true;
        } else if (strncmp(at, end_turns, strlen(end_turns)) == 0) {
            reading.is_in_context = false;
        } else if (strncmp(at, begin_message, strlen(begin_message)) == 0) {
            message = next;
        } else if (message && strncmp(at, end_message, strlen(end_message)) == 0) {
            add_question(&question, message, (size_t)(at - message));
            message = NULL;
        } else if (reading.is_in_context) {
            read_line(ret_history, &reading, at, len);
        }
        at = next;
    }
    ret_history->question = xstrdup(question.len > 0 ? buf_text(&question) : prompt);
}

void history_deinit(struct history *history)
{
    for (size_t i = 0; i < HISTORY_MAX_TURNS; i++)
        free(history->told[i]);
    free(history->question);
    memset(history, 0, sizeof(*history));
}

char *history_answer(const struct history *history)
{
    AUTO_BUF struct buf answer = { 0 };
    size_t first = 0;

    buf_init(&answer, (size_t)1024 * 1024);
    if (history->told_count == 0)
        buf_append_text(&answer, "You have not told me anything before.");
    else
        buf_printf(&answer, "You have told me %zu thing%s before:", history->told_count,
                   history->told_count == 1 ? "" : "s");
    if (history->told_count > HISTORY_MAX_TURNS)
        first = history->told_count - HISTORY_MAX_TURNS;
    for (size_t i = first; i < history->told_count; i++)
        buf_printf(&answer, " (%zu) \"%s\"", i + 1, history->told[i % HISTORY_MAX_TURNS]);
    if (history->told_count > 0)
        buf_append_char(&answer, '.');
    buf_printf(&answer, " Now you ask: \"%s\"", history->question);
    return buf_take(&answer);
}
