#include "agent/dialect.h"

#include <string.h>

#include "base/alloc.h"

static const struct dialect *const dialects[] = {
    [AGENT_DIALECT_CURSOR] = &dialect_cursor,
    [AGENT_DIALECT_TEXT] = &dialect_text,
};

const struct dialect *dialect_get(enum agent_dialect which)
{
    return dialects[which];
}

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        if (dialects[i] && strcmp(dialects[i]->name, name) == 0)
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
