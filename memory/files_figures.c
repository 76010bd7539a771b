#include "memory/files_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"

#define BLOCK_BYTES 512 /* the unit of st_blocks, whatever the file system's */

/* Without a vault no text has to be opened. */
static int64_t text_bytes(const struct files_store *store, const json_t *turn)
{
    AUTO_FREE char *text = NULL;

    if (!vault_is_sealed(files_text(turn, "text")))
        return (int64_t)strlen(files_text(turn, "text"));
    return files_open_text(turn, "text", store->vault, &text, NULL) < 0 ? 0
                                                                        : (int64_t)strlen(text);
}

static struct store_conversation figures_of(const struct files_store *store, const json_t *root)
{
    const json_t *turns = json_object_get(root, "turns");
    int64_t now_ms = clock_wall_us() / 1000;
    struct store_conversation figures = {
        .key = files_text(root, "key"),
        .turns = (int64_t)json_array_size(turns),
        .used_wall_s = files_number(root, "used"),
        .last_seq = files_number(root, "last_seq"),
        .summaries = (int64_t)json_array_size(json_object_get(root, "summaries")),
    };
    const json_t *object;
    size_t i;

    json_array_foreach(turns, i, object)
    {
        figures.bytes += text_bytes(store, object);
        if (i == 0)
            figures.first_wall_s = files_number(object, "at");
    }
    json_array_foreach(json_object_get(root, "fields"), i, object) figures.fields +=
        !files_has_expired(object, now_ms);
    return figures;
}

static bool has_spoken(const json_t *root, const char *user)
{
    const json_t *person;
    size_t i;

    json_array_foreach(json_object_get(root, "people"), i, person)
    {
        const char *name = json_string_value(person);

        if (name && strcmp(name, user) == 0)
            return true;
    }
    return !*user;
}

int files_list(struct store *base, const struct store_list *list, store_conversation_fn visit,
               void *context, struct err *err)
{
    struct files_store *store = (struct files_store *)base;
    struct files_entries entries = { 0 };
    size_t shown = 0;
    bool goes_on = true;
    int rc = files_list_keys(store, FILES_CONVERSATIONS, list->pattern ? list->pattern : "",
                             list->after ? list->after : "", &entries, err);

    for (size_t i = 0;
         rc >= 0 && goes_on && i < entries.count && (!list->limit || shown < list->limit);
         i++) {
        json_t *root = NULL;

        rc = files_read(store->dir, FILES_CONVERSATIONS, entries.entries[i].name, &root, err);
        if (rc > 0 && has_spoken(root, list->user ? list->user : "")) {
            struct store_conversation figures = figures_of(store, root);

            goes_on = visit(context, &figures);
            shown++;
        }
        json_decref(root);
    }
    files_entries_deinit(&entries);
    return rc < 0 ? -1 : 0;
}

int files_size(struct store *base, const char *key, struct store_conversation *ret,
               struct err *err)
{
    json_t *root = NULL;
    int rc = files_find(base, FILES_CONVERSATIONS, key, &root, err);

    if (rc == 0)
        *ret = (struct store_conversation){ 0 };
    if (rc > 0) {
        *ret = figures_of((struct files_store *)base, root);
        ret->key = key;
    }
    json_decref(root);
    return rc < 0 ? -1 : 0;
}

/* `people` is a set: who spoke, and of whom something is known. */
static void count_document(const struct files_store *store, enum files_folder folder,
                           const json_t *root, json_t *people, struct store_stats *stats)
{
    struct store_conversation figures;
    const json_t *person;
    size_t i;

    switch (folder) {
    case FILES_CONVERSATIONS:
        figures = figures_of(store, root);
        stats->conversations++;
        stats->turns += figures.turns;
        stats->bytes += figures.bytes;
        stats->summaries += figures.summaries;
        stats->fields += figures.fields;
        json_array_foreach(json_object_get(root, "people"), i, person)
            json_object_set_new(people, json_string_value(person), json_true());
        break;
    case FILES_PEOPLE:
        json_object_set_new(people, files_text(root, "key"), json_true());
        stats->items += (int64_t)json_array_size(json_object_get(root, "items"));
        break;
    case FILES_VALUES:
        stats->values += !files_has_expired(root, clock_wall_us() / 1000);
        break;
    case FILES_FOLDERS:
        break;
    }
}

static int count_folder(struct files_store *store, enum files_folder folder, json_t *people,
                        struct store_stats *stats, struct err *err)
{
    struct files_names names = { 0 };
    int rc = files_names(store->dir, folder, &names, err);

    for (size_t i = 0; rc >= 0 && i < names.count; i++) {
        json_t *root = NULL;
        struct stat info;

        if (fstatat(files_dir_fd(store->dir, folder), names.names[i], &info, 0) == 0)
            stats->disk_bytes += (int64_t)info.st_blocks * BLOCK_BYTES;
        rc = files_read(store->dir, folder, names.names[i], &root, err);
        if (rc > 0)
            count_document(store, folder, root, people, stats);
        json_decref(root);
    }
    files_names_deinit(&names);
    return rc < 0 ? -1 : 0;
}

int files_stats(struct store *base, struct store_stats *ret_stats, struct err *err)
{
    struct store_stats counted = { 0 };
    json_auto_t *people = json_object();

    for (enum files_folder folder = FILES_CONVERSATIONS; folder < FILES_FOLDERS; folder++) {
        if (count_folder((struct files_store *)base, folder, people, &counted, err) < 0)
            return -1;
    }
    counted.people = (int64_t)json_object_size(people);
    *ret_stats = counted;
    return 0;
}
