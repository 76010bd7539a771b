#include "tests/agent_double/context.h"

#include <string.h>

#include "base/alloc.h"

char *context_key(const char *prompt)
{
    static const char announced[] = "\"BEGIN MESSAGE ";
    const char *at = strstr(prompt, announced);

    return at ? xstrndup(at + strlen(announced), strcspn(at + strlen(announced), "\""))
              : xstrdup("");
}

/* What stands between the markers, without them; NULL when they are not there. */
static char *cut_out(const char *prompt)
{
    AUTO_FREE char *key = context_key(prompt);
    AUTO_FREE char *begin = xasprintf("\n--- BEGIN CONVERSATION %s ", key);
    AUTO_FREE char *end = xasprintf("\n--- END CONVERSATION %s ---\n", key);
    const char *at = *key ? strstr(prompt, begin) : NULL;
    const char *stop = at ? strstr(at, end) : NULL;

    at = at ? strchr(at + 1, '\n') : NULL;
    return at && stop && stop > at ? xstrndup(at + 1, (size_t)(stop - at - 1)) : NULL;
}

static bool has_only(const json_t *object, const char *const *keys)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;

        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (!keys[i])
            return false;
    }
    return true;
}

static bool are_turns(const json_t *turns)
{
    static const char *const keys[] = { "day", "in", "from", "text", NULL };
    size_t i;
    const json_t *turn;

    json_array_foreach(turns, i, turn)
    {
        if (!has_only(turn, keys) || !json_is_string(json_object_get(turn, "from")) ||
            !json_is_string(json_object_get(turn, "text")) ||
            (i == 0 && !json_is_string(json_object_get(turn, "day"))))
            return false;
    }
    return json_array_size(turns) > 0;
}

static bool are_files(const json_t *files)
{
    static const char *const keys[] = { "name", "type", "size", "path", NULL };
    size_t i;
    const json_t *file;

    json_array_foreach(files, i, file)
    {
        if (!has_only(file, keys) || !json_is_string(json_object_get(file, "name")) ||
            !json_is_integer(json_object_get(file, "size")) ||
            !json_is_string(json_object_get(file, "path")))
            return false;
    }
    return json_array_size(files) > 0;
}

/* Each part once, in this order. */
static const char *fault_of_part(const json_t *part, size_t *place)
{
    static const char *const names[] = { "person", "summary", "recalled", "latest", "files" };
    static const char *const keys[] = { "part", "text", "turns", "files", NULL };
    const char *name = json_string_value(json_object_get(part, "part"));
    size_t i = *place;

    while (name && i < ARRAY_LEN(names) && strcmp(names[i], name) != 0)
        i++;
    if (!name || i == ARRAY_LEN(names))
        return "an unknown or misplaced part";
    *place = i + 1;
    if (!has_only(part, keys) || json_object_size(part) != 2)
        return "a part with more or less than its content";
    if (i < 2 && !json_is_string(json_object_get(part, "text")))
        return "a text that is none";
    if ((i == 2 || i == 3) && !are_turns(json_object_get(part, "turns")))
        return "turns that are none";
    if (i == 4 && !are_files(json_object_get(part, "files")))
        return "files that are none";
    return NULL;
}

static const char *fault_of(const json_t *root)
{
    const json_t *parts = json_object_get(root, "parts");
    size_t place = 0;
    size_t i;
    const json_t *part;

    if (!root)
        return "no JSON";
    if (!json_is_true(json_object_get(root, "untrusted")) || !json_is_array(parts) ||
        json_object_size(root) != 2 || json_array_size(parts) == 0)
        return "not marked untrusted, or no parts";
    json_array_foreach(parts, i, part)
    {
        const char *fault = fault_of_part(part, &place);

        if (fault)
            return fault;
    }
    return NULL;
}

void context_read(const char *prompt, struct context *ret_context)
{
    AUTO_FREE char *text = cut_out(prompt);

    *ret_context = (struct context){ 0 };
    if (!text)
        return;
    ret_context->root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ret_context->fault = strchr(text, '\n') ? "more than a line" : fault_of(ret_context->root);
}

void context_deinit(struct context *context)
{
    json_decref(context->root);
    *context = (struct context){ 0 };
}

const char *context_text(const struct context *context, const char *part)
{
    size_t i;
    const json_t *item;

    json_array_foreach(json_object_get(context->root, "parts"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "part")), part) == 0)
            return json_string_value(json_object_get(item, "text"));
    }
    return NULL;
}

void context_visit_turns(const struct context *context, context_turn_fn visit, void *opaque)
{
    size_t i;
    const json_t *part;

    json_array_foreach(json_object_get(context->root, "parts"), i, part)
    {
        size_t k;
        const json_t *turn;

        json_array_foreach(json_object_get(part, "turns"), k, turn)
            visit(opaque, json_string_value(json_object_get(turn, "from")),
                  json_string_value(json_object_get(turn, "text")));
    }
}
