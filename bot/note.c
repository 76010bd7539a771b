#include "bot/note.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/alloc.h"

void note_deinit(struct note *note)
{
    free(note->parent);
    free(note->parent_until);
    free(note->team);
    *note = (struct note){ 0 };
}

char *note_print(const struct note *note)
{
    json_auto_t *root = json_pack("{s:s, s:s, s:s, s:b, s:b}", "parent", note->parent,
                                  "parent_until", note->parent_until, "team", note->team,
                                  "direct", note->is_direct, "files", note->has_files);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    return text ? text : xstrdup("{}");
}

void note_parse(const char *json, struct note *ret_note)
{
    json_auto_t *root = json_loads(json, 0, NULL);
    const char *parent = "";
    const char *parent_until = "";
    const char *team = "";
    int is_direct = 0;
    int has_files = 0;

    if (root)
        json_unpack(root, "{s?s, s?s, s?s, s?b, s?b}", "parent", &parent, "parent_until",
                    &parent_until, "team", &team, "direct", &is_direct, "files", &has_files);
    *ret_note = (struct note){
        .parent = xstrdup(parent),
        .parent_until = xstrdup(parent_until),
        .team = xstrdup(team),
        .is_direct = is_direct,
        .has_files = has_files,
    };
}
