#include "tests/agent_double/personality.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static const struct personality *const personalities[] = {
    &personality_cursor, &personality_claude,   &personality_codex,
    &personality_gemini, &personality_opencode,
};

static const struct personality *chosen = &personality_cursor;

const struct personality *personality_choose(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    size_t len = strcspn(name, "@");

    for (size_t i = 0; i < ARRAY_LEN(personalities); i++) {
        if (strlen(personalities[i]->name) == len &&
            strncmp(personalities[i]->name, name, len) == 0)
            chosen = personalities[i];
    }
    return chosen;
}

const struct personality *personality(void)
{
    return chosen;
}

bool personality_has_key(const char *const *variables)
{
    for (size_t i = 0; variables[i]; i++) {
        const char *key = getenv(variables[i]); /* NOLINT(concurrency-mt-unsafe): one thread */

        if (key && key[0])
            return strcmp(key, "bad") != 0;
    }
    return false;
}

bool personality_is_uuid(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (strlen(text) != strlen(shape))
        return false;
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
    }
    return true;
}

bool personality_is_one_of(const char *value, const char *const *list)
{
    for (size_t i = 0; list[i]; i++) {
        if (strcmp(list[i], value) == 0)
            return true;
    }
    return false;
}

const char *personality_name_tool(const struct tool_name *names, const char *kind)
{
    while (names->kind && strcmp(names->kind, kind) != 0)
        names++;
    return names->kind ? names->name : kind;
}
