#include "agent/fence_spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static char **copy_list(const char *const *list)
{
    size_t count = 0;
    char **copy = NULL;

    if (!list)
        return NULL;
    while (list[count])
        count++;
    copy = xcalloc(count + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = xstrdup(list[i]);
    return copy;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void fence_spec_set(struct fence_spec *spec, const struct agent_spec *from)
{
    *spec = (struct fence_spec){
        .fence = from->fence,
        .mode = from->mode,
        .read = copy_list(from->fence_read),
        .write = copy_list(from->fence_write),
        .hidden = copy_list(from->fence_hidden),
        .denied = copy_list(from->fence_denied),
        .slot_dir = from->slot_dir ? xstrdup(from->slot_dir) : NULL,
        .chats_dir = from->chats_dir ? xstrdup(from->chats_dir) : NULL,
        .max_memory_bytes = from->max_memory_bytes,
        .max_processes = from->max_processes,
    };
    while (from->command && from->command[spec->command_size])
        spec->command_size++;
}

void fence_spec_deinit(struct fence_spec *spec)
{
    free_list(spec->read);
    free_list(spec->write);
    free_list(spec->hidden);
    free_list(spec->denied);
    free(spec->slot_dir);
    free(spec->chats_dir);
    memset(spec, 0, sizeof(*spec));
}

static json_t *pack_list(char **list)
{
    json_t *array = json_array();

    for (size_t i = 0; list && list[i]; i++) {
        if (json_array_append_new(array, json_string(list[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

int fence_spec_pack(const struct fence_spec *spec, json_t *meta, struct err *err)
{
    json_t *fence = json_pack(
        "{s:i, s:i, s:o, s:o, s:o, s:o, s:s*, s:s*, s:I, s:I, s:I}", "fence", (int)spec->fence,
        "mode", (int)spec->mode, "read", pack_list(spec->read), "write", pack_list(spec->write),
        "hidden", pack_list(spec->hidden), "denied", pack_list(spec->denied), "slot_dir",
        spec->slot_dir, "chats_dir", spec->chats_dir, "command_size",
        (json_int_t)spec->command_size, "max_memory_bytes", (json_int_t)spec->max_memory_bytes,
        "max_processes", (json_int_t)spec->max_processes);

    if (json_object_set_new(meta, "fence", fence) != 0)
        return err_set(err, ERR_INPUT, "a path of the fence is not UTF-8");
    return 0;
}

static char **unpack_list(const json_t *array)
{
    size_t count = json_array_size(array);
    char **list = xcalloc(count + 1, sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(array, i));

        list[i] = xstrdup(text ? text : "");
    }
    return list;
}

int fence_spec_unpack(const json_t *meta, struct fence_spec *ret_spec, struct err *err)
{
    const json_t *fence = json_object_get(meta, "fence");
    json_t *read = NULL, *write = NULL, *hidden = NULL, *denied = NULL;
    json_int_t command_size = 0, max_memory = 0, max_processes = 0;
    const char *slot_dir = NULL, *chats_dir = NULL;
    int kind = 0, mode = 0;
    json_error_t why;

    if (!fence) {
        *ret_spec = (struct fence_spec){ .fence = AGENT_FENCE_OFF };
        return 0;
    }
    if (json_unpack_ex((json_t *)fence, &why, 0,
                       "{s:i, s:i, s:o, s:o, s:o, s?o, s?s, s?s, s:I, s:I, s:I}", "fence",
                       &kind, "mode", &mode, "read", &read, "write", &write, "hidden", &hidden,
                       "denied", &denied, "slot_dir", &slot_dir, "chats_dir", &chats_dir,
                       "command_size", &command_size, "max_memory_bytes", &max_memory,
                       "max_processes", &max_processes) != 0)
        return err_set(err, ERR_INPUT, "fence: %s", why.text);
    *ret_spec = (struct fence_spec){
        .fence = (enum agent_fence)kind,
        .mode = (enum agent_mode)mode,
        .read = unpack_list(read),
        .write = unpack_list(write),
        .hidden = unpack_list(hidden),
        .denied = unpack_list(denied),
        .slot_dir = slot_dir ? xstrdup(slot_dir) : NULL,
        .chats_dir = chats_dir ? xstrdup(chats_dir) : NULL,
        .command_size = (size_t)command_size,
        .max_memory_bytes = max_memory,
        .max_processes = max_processes,
    };
    return 0;
}
