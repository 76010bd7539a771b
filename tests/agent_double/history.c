#include "tests/agent_double/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "tests/agent_double/context.h"

#define QUOTE_MAX_BYTES ((size_t)400)

static void add_told(struct history *history, const char *text)
{
    size_t slot = history->told_count % HISTORY_MAX_TURNS;

    free(history->told[slot]);
    history->told[slot] = utf8_clean_copy(text, strlen(text), QUOTE_MAX_BYTES);
    history->told_count++;
}

static void note_turn(void *opaque, const char *from, const char *text)
{
    if (strcmp(from, "You") != 0 && strcmp(from, "System") != 0)
        add_told(opaque, text);
}

static void add_question(struct buf *question, const char *text, size_t len)
{
    while (len > 0 && text[len - 1] == '\n')
        len--;
    if (question->len > 0)
        buf_append_char(question, '\n');
    buf_append(question, text, len);
}

/* The texts between markers that carry the prompt's own key. */
static void read_messages(const char *prompt, struct buf *question)
{
    AUTO_FREE char *key = context_key(prompt);
    AUTO_FREE char *begin = xasprintf("--- BEGIN MESSAGE %s", key);
    AUTO_FREE char *end = xasprintf("--- END MESSAGE %s", key);
    const char *message = NULL;

    for (const char *at = prompt; *at;) {
        size_t len = strcspn(at, "\n");
        const char *next = at + len + (at[len] == '\n');

        if (strncmp(at, begin, strlen(begin)) == 0) {
            message = next;
        } else if (message && strncmp(at, end, strlen(end)) == 0) {
            add_question(question, message, (size_t)(at - message));
            message = NULL;
        }
        at = next;
    }
}

void history_read(const char *prompt, struct history *ret_history)
{
    AUTO_BUF struct buf question = { 0 };
    struct context context;

    memset(ret_history, 0, sizeof(*ret_history));
    buf_init(&question, strlen(prompt) + 1);
    read_messages(prompt, &question);
    context_read(prompt, &context);
    ret_history->fault = context.fault;
    if (!context.fault)
        context_visit_turns(&context, note_turn, ret_history);
    context_deinit(&context);
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
    if (history->fault)
        buf_printf(&answer, "What I was told before is broken (%s).", history->fault);
    else if (history->told_count == 0)
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
