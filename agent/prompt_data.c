#include "agent/prompt_data.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define NAME_MAX_BYTES ((size_t)256)
#define PATH_MAX_BYTES ((size_t)4096)

static const char *const part_names[] = { "person", "summary", "recalled", "latest" };

static bool is_turn(const struct agent_prompt_item *item)
{
    return item->part == AGENT_PROMPT_RECALLED || item->part == AGENT_PROMPT_LATEST;
}

/* Clean UTF-8, which is what jansson takes. */
static json_t *text_json(const char *text, size_t max_bytes)
{
    AUTO_FREE char *clean = utf8_clean_copy(text, strlen(text), max_bytes);

    return json_string(clean);
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Where and when stand in the first turn that they hold for. */
static json_t *turn_json(const struct agent_prompt_item *item,
                         const struct agent_prompt_item *above)
{
    json_t *turn = json_object();
    bool is_there = above && is_same(item->day, above->day) &&
                    is_same(item->conversation, above->conversation);

    if (item->day && !is_there)
        json_object_set_new(turn, "day", text_json(item->day, NAME_MAX_BYTES));
    if (item->conversation && !is_there)
        json_object_set_new(turn, "in", text_json(item->conversation, NAME_MAX_BYTES));
    json_object_set_new(turn, "from", text_json(item->from ? item->from : "", NAME_MAX_BYTES));
    json_object_set_new(turn, "text", text_json(item->text, PROMPT_TURN_MAX_BYTES));
    return turn;
}

/* One part: the items from `*at` on that belong to it. */
static json_t *part_json(const struct agent_prompt *prompt, size_t *at)
{
    const struct agent_prompt_item *first = &prompt->items[*at];
    json_t *part = json_pack("{s:s}", "part", part_names[first->part]);
    json_t *turns;

    if (!is_turn(first)) {
        json_object_set_new(part, "text", text_json(first->text, PROMPT_TURN_MAX_BYTES));
        (*at)++;
        return part;
    }
    turns = json_array();
    json_object_set_new(part, "turns", turns);
    for (const struct agent_prompt_item *above = NULL;
         *at < prompt->items_count && prompt->items[*at].part == first->part; (*at)++) {
        json_array_append_new(turns, turn_json(&prompt->items[*at], above));
        above = &prompt->items[*at];
    }
    return part;
}

static json_t *files_json(const struct agent_prompt *prompt)
{
    json_t *files = json_array();

    for (size_t i = 0; i < prompt->files_count && i < PROMPT_FILES_MAX; i++) {
        const struct agent_prompt_file *file = &prompt->files[i];
        json_t *object = json_object();

        json_object_set_new(object, "name", text_json(file->name, NAME_MAX_BYTES));
        if (file->type && file->type[0])
            json_object_set_new(object, "type", text_json(file->type, NAME_MAX_BYTES));
        json_object_set_new(object, "size", json_integer(file->size));
        json_object_set_new(object, "path", text_json(file->path, PATH_MAX_BYTES));
        json_array_append_new(files, object);
    }
    return json_pack("{s:s, s:o}", "part", "files", "files", files);
}

static size_t size_of(const struct agent_prompt_item *item)
{
    size_t len = strlen(item->text);

    return len < PROMPT_TURN_MAX_BYTES ? len : PROMPT_TURN_MAX_BYTES;
}

/* The oldest turns go first; what stands in for turns stays as long as it can. */
static size_t first_that_fits(const struct agent_prompt *prompt, size_t first)
{
    size_t total = 0;

    for (size_t i = first; i < prompt->items_count; i++)
        total += size_of(&prompt->items[i]);
    for (; first < prompt->items_count && total > PROMPT_DATA_MAX_BYTES; first++)
        total -= size_of(&prompt->items[first]);
    return first;
}

void prompt_data_print(const struct agent_prompt *prompt, struct buf *out)
{
    json_auto_t *root = NULL;
    json_t *parts = json_array();
    AUTO_FREE char *text = NULL;
    size_t turns = 0; /* where they begin */

    while (turns < prompt->items_count && !is_turn(&prompt->items[turns]))
        json_array_append_new(parts, part_json(prompt, &turns));
    turns = first_that_fits(prompt, turns);
    while (turns < prompt->items_count)
        json_array_append_new(parts, part_json(prompt, &turns));
    if (prompt->files_count)
        json_array_append_new(parts, files_json(prompt));
    root = json_pack("{s:b, s:o}", "untrusted", 1, "parts", parts);
    if (json_array_size(parts) == 0)
        return;
    text = json_dumps(root, JSON_COMPACT);
    buf_append_text(out, text);
    buf_append_char(out, '\n');
}
