#include "bot/note.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/alloc.h"

void note_deinit(struct note *note)
{
    free(note->parent);
    free(note->parent_until);
    free(note->team);
    slack_files_deinit(&note->files);
    *note = (struct note){ 0 };
}

static json_t *print_files(const struct slack_files *files)
{
    json_t *array = json_array();

    for (size_t i = 0; i < files->count; i++) {
        const struct slack_file *file = &files->items[i];

        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:I, s:i}", "id", file->id,
                                               "name", file->name, "type", file->mimetype,
                                               "url", file->url, "size", (json_int_t)file->size,
                                               "state", file->state));
    }
    return array;
}

char *note_print(const struct note *note)
{
    json_auto_t *root = json_pack("{s:s, s:s, s:s, s:b, s:b}", "parent", note->parent,
                                  "parent_until", note->parent_until, "team", note->team,
                                  "direct", note->is_direct, "mention", note->is_mention);
    char *text;

    if (root && note->files.total) {
        json_object_set_new(root, "files", print_files(&note->files));
        json_object_set_new(root, "files_total", json_integer((json_int_t)note->files.total));
    }
    text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    return text ? text : xstrdup("{}");
}

static void parse_file(const json_t *object, struct slack_file *ret_file)
{
    const char *id = "";
    const char *name = "file";
    const char *type = "";
    const char *url = "";
    json_int_t size = -1;
    int state = SLACK_FILE_UNKNOWN;

    json_unpack((json_t *)object, "{s?s, s?s, s?s, s?s, s?I, s?i}", "id", &id, "name", &name,
                "type", &type, "url", &url, "size", &size, "state", &state);
    *ret_file = (struct slack_file){
        .id = xstrdup(id),
        .name = xstrdup(name),
        .mimetype = xstrdup(type),
        .url = xstrdup(url),
        .size = size,
        .state = state >= SLACK_FILE_HERE && state <= SLACK_FILE_HIDDEN
                     ? (enum slack_file_state)state
                     : SLACK_FILE_UNKNOWN,
    };
}

static void parse_files(const json_t *root, struct slack_files *ret_files)
{
    const json_t *array = json_object_get(root, "files");
    size_t count = json_array_size(array);
    json_int_t total = json_integer_value(json_object_get(root, "files_total"));

    *ret_files = (struct slack_files){ 0 };
    if (!count)
        return;
    count = count < SLACK_FILES_MAX ? count : SLACK_FILES_MAX;
    ret_files->items = xcalloc(count, sizeof(*ret_files->items));
    for (size_t i = 0; i < count; i++)
        parse_file(json_array_get(array, i), &ret_files->items[ret_files->count++]);
    ret_files->total = total > (json_int_t)count ? (size_t)total : count;
}

void note_parse(const char *json, struct note *ret_note)
{
    json_auto_t *root = json_loads(json, 0, NULL);
    const char *parent = "";
    const char *parent_until = "";
    const char *team = "";
    int is_direct = 0;
    int is_mention = 0;

    if (root)
        json_unpack(root, "{s?s, s?s, s?s, s?b, s?b}", "parent", &parent, "parent_until",
                    &parent_until, "team", &team, "direct", &is_direct, "mention", &is_mention);
    *ret_note = (struct note){
        .parent = xstrdup(parent),
        .parent_until = xstrdup(parent_until),
        .team = xstrdup(team),
        .is_direct = is_direct,
        .is_mention = is_mention,
    };
    parse_files(root, &ret_note->files);
}
