#include "tests/agent_double/history.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

#define QUOTE_MAX_BYTES ((size_t)400)

static void add_told(struct history *history, const char *text)
{
    size_t slot = history->told_count % HISTORY_MAX_TURNS;

    free(history->told[slot]);
    history->told[slot] = utf8_clean_copy(text, strlen(text), QUOTE_MAX_BYTES);
    history->told_count++;
}

static void read_turn(struct history *history, const char *line, size_t len)
{
    json_error_t why;
    json_auto_t *turn = json_loadb(line, len, 0, &why);
    const char *role = json_string_value(json_object_get(turn, "role"));
    const char *text = json_string_value(json_object_get(turn, "text"));

    if (role && text && strcmp(role, "user") == 0)
        add_told(history, text);
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
    bool is_in_turns = false;

    memset(ret_history, 0, sizeof(*ret_history));
    buf_init(&question, strlen(prompt) + 1);
    for (const char *at = prompt; *at;) {
        size_t len = strcspn(at, "\n");
        const char *next = at + len + (at[len] == '\n');

        if (strncmp(at, begin_turns, strlen(begin_turns)) == 0) {
            is_in_turns = true;
        } else if (strncmp(at, end_turns, strlen(end_turns)) == 0) {
            is_in_turns = false;
        } else if (strncmp(at, begin_message, strlen(begin_message)) == 0) {
            message = next;
        } else if (message && strncmp(at, end_message, strlen(end_message)) == 0) {
            add_question(&question, message, (size_t)(at - message));
            message = NULL;
        } else if (is_in_turns) {
            read_turn(ret_history, at, len);
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
