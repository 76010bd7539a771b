#include "memory/store.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"

/* The next character of a text: its first byte and what continues it in UTF-8. */
static const char *next_character(const char *text)
{
    do {
        text++;
    } while (((unsigned char)*text & 0xc0) == 0x80);
    return text;
}

/* Goes back to the last star alone: what an earlier one could swallow, it can as well. */
bool store_pattern_matches(const char *pattern, const char *key)
{
    const char *star = NULL;
    const char *resume = NULL;

    if (!*pattern)
        return true;
    while (*key) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = key;
        } else if (*pattern == '?') {
            pattern++;
            key = next_character(key);
        } else if (*pattern && *pattern == *key) {
            pattern++;
            key++;
        } else if (star) {
            resume = next_character(resume);
            pattern = star;
            key = resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* ---- edits ------------------------------------------------------------------------------- */

static json_t *parse(const char *text)
{
    return json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static char *print(const json_t *value)
{
    return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* Each edits `field` in place and says whether it changed. */

static int extend(struct store_mutation *mutation, json_t *field, const json_t *value,
                  bool *ret_changed, struct err *err)
{
    if (!json_is_array(value))
        return err_set(err, ERR_INPUT, "%s can be extended by a list only", mutation->name);
    if (json_array_extend(field, (json_t *)value) < 0)
        return err_set(err, ERR_SYSTEM, "cannot extend %s", mutation->name);
    while (mutation->index > 0 && (uint64_t)mutation->index < json_array_size(field))
        json_array_remove(field, 0);
    mutation->count = (int64_t)json_array_size(field);
    *ret_changed = true;
    return 0;
}

static int insert(struct store_mutation *mutation, json_t *field, json_t *value,
                  bool *ret_changed, struct err *err)
{
    size_t size = json_array_size(field);
    size_t index = mutation->index < 0 || (uint64_t)mutation->index > size
                       ? size
                       : (size_t)mutation->index;

    if (json_array_insert(field, index, value) < 0)
        return err_set(err, ERR_SYSTEM, "cannot insert into %s", mutation->name);
    mutation->count = (int64_t)size + 1;
    *ret_changed = true;
    return 0;
}

static int pop(struct store_mutation *mutation, json_t *field, bool *ret_changed,
               struct err *err)
{
    size_t size = json_array_size(field);
    AUTO_FREE char *last = size ? print(json_array_get(field, size - 1)) : NULL;

    if (!last)
        return 0;
    if (mutation->result) {
        buf_append_text(mutation->result, last);
        if (buf_finish(mutation->result, err) < 0)
            return -1;
    }
    json_array_remove(field, size - 1);
    mutation->count = 1;
    *ret_changed = true;
    return 0;
}

static void remove_equal(struct store_mutation *mutation, json_t *field, const json_t *value,
                         bool *ret_changed)
{
    for (size_t i = 0; i < json_array_size(field); i++) {
        if (!json_equal(json_array_get(field, i), value))
            continue;
        json_array_remove(field, i);
        mutation->count = 1;
        *ret_changed = true;
        return;
    }
}

static int merge(struct store_mutation *mutation, json_t *field, json_t *value,
                 bool *ret_changed, struct err *err)
{
    if (!json_is_object(value))
        return err_set(err, ERR_INPUT, "%s can be merged with an object only", mutation->name);
    if (json_object_update(field, value) < 0)
        return err_set(err, ERR_SYSTEM, "cannot merge into %s", mutation->name);
    mutation->count = (int64_t)json_object_size(field);
    *ret_changed = true;
    return 0;
}

static int edit(struct store_mutation *mutation, json_t *field, json_t *value,
                bool *ret_changed, struct err *err)
{
    switch (mutation->edit) {
    case STORE_EDIT_EXTEND:
        return extend(mutation, field, value, ret_changed, err);
    case STORE_EDIT_INSERT:
        return insert(mutation, field, value, ret_changed, err);
    case STORE_EDIT_POP:
        return pop(mutation, field, ret_changed, err);
    case STORE_EDIT_REMOVE:
        remove_equal(mutation, field, value, ret_changed);
        return 0;
    case STORE_EDIT_MERGE:
        return merge(mutation, field, value, ret_changed, err);
    }
    return err_set(err, ERR_INPUT, "no such edit: %d", (int)mutation->edit);
}

int store_edit_json(struct store_mutation *mutation, const char *old, char **ret_new,
                    struct err *err)
{
    bool is_object = mutation->edit == STORE_EDIT_MERGE;
    bool has_value = mutation->edit != STORE_EDIT_POP;
    json_auto_t *field = old ? parse(old) : is_object ? json_object() : json_array();
    json_auto_t *value = has_value && mutation->value ? parse(mutation->value) : NULL;
    bool is_changed = false;
    char *text = NULL;

    mutation->count = 0;
    if (mutation->result)
        buf_clear(mutation->result);
    if (has_value && !value)
        return err_set(err, ERR_INPUT, "what %s is to be changed by is no JSON",
                       mutation->name);
    if (is_object ? !json_is_object(field) : !json_is_array(field))
        return err_set(err, ERR_INPUT, "%s is not %s", mutation->name,
                       is_object ? "an object" : "a list");
    if (edit(mutation, field, value, &is_changed, err) < 0)
        return -1;
    if (is_changed && !(text = print(field)))
        return err_set(err, ERR_SYSTEM, "cannot write %s as JSON", mutation->name);
    *ret_new = text;
    return 0;
}
