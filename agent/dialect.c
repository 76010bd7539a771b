#include "agent/dialect.h"

#include <string.h>

#include "base/alloc.h"

static const struct dialect *const dialects[] = {
    [AGENT_DIALECT_CURSOR] = &dialect_cursor,     [AGENT_DIALECT_CLAUDE] = &dialect_claude,
    [AGENT_DIALECT_CODEX] = &dialect_codex,       [AGENT_DIALECT_GEMINI] = &dialect_gemini,
    [AGENT_DIALECT_OPENCODE] = &dialect_opencode, [AGENT_DIALECT_TEXT] = &dialect_text,
};

const struct dialect *dialect_get(enum agent_dialect which)
{
    return dialects[which];
}

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    }
    return NULL;
}

void dialect_argv_add(struct dialect_argv *argv, const char *argument)
{
    argv->items = xrealloc(argv->items, argv->count + 2, sizeof(*argv->items));
    argv->items[argv->count++] = xstrdup(argument);
    argv->items[argv->count] = NULL;
}

void dialect_argv_add_all(struct dialect_argv *argv, const char *const *arguments)
{
    for (size_t i = 0; arguments[i]; i++)
        dialect_argv_add(argv, arguments[i]);
}

void dialect_argv_add_option(struct dialect_argv *argv, const char *option, const char *value)
{
    if (!value || !value[0])
        return;
    dialect_argv_add(argv, option);
    dialect_argv_add(argv, value);
}
