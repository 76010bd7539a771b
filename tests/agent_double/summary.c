#include "tests/agent_double/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "tests/agent_double/context.h"

#define FIRST_LINE      "You shorten the earlier part of a conversation."
#define QUOTE_MAX_BYTES ((size_t)60)
#define TURNS_QUOTED    20

bool summary_is_wanted(const char *prompt)
{
    return strncmp(prompt, FIRST_LINE, strlen(FIRST_LINE)) == 0;
}

/* What stands between "--- BEGIN NAME KEY ---" and its end, to be freed; NULL when not there.
 */
static char *read_part(const char *prompt, const char *name)
{
    AUTO_FREE char *begin = xasprintf("\n--- BEGIN %s ", name);
    AUTO_FREE char *end = xasprintf("\n--- END %s ", name);
    const char *at = strstr(prompt, begin);
    const char *stop;

    at = at ? strchr(at + 1, '\n') : NULL;
    stop = at ? strstr(at, end) : NULL;
    return stop && stop > at ? xstrndup(at + 1, (size_t)(stop - at - 1)) : NULL;
}

/* "NAME: text" becomes `NAME said "text"`, cut short. */
static void quote_turn(struct buf *out, const char *line, size_t len)
{
    const char *text = memmem(line, len, ": ", 2);
    AUTO_FREE char *said = NULL;

    if (!text)
        return;
    said = utf8_clean_copy(text + 2, len - (size_t)(text + 2 - line), QUOTE_MAX_BYTES);
    buf_printf(out, "%.*s said \"%s\"; ", (int)(text - line), line, said);
}

char *summary_answer(const char *prompt)
{
    AUTO_FREE char *turns = read_part(prompt, "TURNS");
    AUTO_FREE char *previous = read_part(prompt, "SUMMARY SO FAR");
    AUTO_BUF struct buf quotes = { 0 };
    size_t count = 0;

    buf_init(&quotes, (size_t)64 * 1024);
    for (const char *at = turns ? turns : ""; *at;) {
        size_t len = strcspn(at, "\n");

        if (*at != ' ' && *at != '[' && *at != '#' && count++ < TURNS_QUOTED)
            quote_turn(&quotes, at, len);
        at += len + (at[len] == '\n');
    }
    return xasprintf("%s%sSummary of %zu turns: %send.", previous ? previous : "",
                     previous ? " Then: " : "", count, buf_text(&quotes));
}

char *summary_given(const char *prompt)
{
    struct context context;
    const char *text;
    char *given;

    context_read(prompt, &context);
    text = context.fault ? NULL : context_text(&context, "summary");
    given = xstrdup_or_null(text);
    context_deinit(&context);
    for (char *c = given ? strchr(given, '\n') : NULL; c; c = strchr(c, '\n'))
        *c = ' ';
    return given;
}
