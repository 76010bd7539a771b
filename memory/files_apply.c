#include "memory/files_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

/* ---- drafts ------------------------------------------------------------------------------ */

static struct files_draft *find_draft(const struct files_batch *batch, enum files_folder folder,
                                      const char *key)
{
    /* Backwards: what a batch does to one key mostly stands together. */
    for (size_t i = batch->count; i-- > 0;) {
        struct files_draft *draft = &batch->drafts[i];

        if (draft->folder == folder && strcmp(draft->key, key) == 0)
            return draft;
    }
    return NULL;
}

/* Borrowed until the next call. */
struct files_draft *files_take_up(struct files_batch *batch, enum files_folder folder,
                                  const char *key, struct err *err)
{
    struct files_draft *draft = find_draft(batch, folder, key);
    AUTO_FREE char *name = NULL;
    json_t *root = NULL;
    int rc;

    if (draft)
        return draft;
    name = files_name(key);
    rc = files_read_locked(batch->store->dir, folder, name, &root, err);
    if (rc < 0)
        return NULL;
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 4;
        batch->drafts = xrealloc(batch->drafts, batch->capacity, sizeof(batch->drafts[0]));
    }
    draft = &batch->drafts[batch->count++];
    *draft = (struct files_draft){
        .folder = folder, .key = xstrdup(key), .name = take_ptr(&name), .root = root
    };
    return draft;
}

static void batch_deinit(struct files_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        free(batch->drafts[i].key);
        free(batch->drafts[i].name);
        json_decref(batch->drafts[i].root);
    }
    free(batch->drafts);
}

/* For a change: makes it when there is none. NULL on failure. */
json_t *files_edit(struct files_batch *batch, enum files_folder folder, const char *key,
                   struct err *err)
{
    struct files_draft *draft = files_take_up(batch, folder, key, err);

    if (!draft || (!draft->root && files_doc_new(folder, key, &draft->root, err) < 0))
        return NULL;
    draft->is_changed = true;
    if (folder == FILES_CONVERSATIONS) {
        files_set_number(draft->root, "touched", batch->now_wall_us / 1000000);
        files_drop_expired(draft->root, batch->now_wall_us / 1000);
    }
    return draft->root;
}

/* For a change of what is there: 1, 0 when there is none, -1. */
int files_edit_if_there(struct files_batch *batch, enum files_folder folder, const char *key,
                        json_t **ret_root, struct err *err)
{
    struct files_draft *draft = files_take_up(batch, folder, key, err);

    if (!draft)
        return -1;
    if (!draft->root)
        return 0;
    draft->is_changed = true;
    *ret_root = draft->root;
    return 1;
}

void files_erase_draft(struct files_draft *draft)
{
    json_decref(draft->root);
    draft->root = NULL;
    draft->is_changed = true;
}

/* ---- people ------------------------------------------------------------------------------ */

static bool is_item(const json_t *object, enum store_item_kind kind, const char *name)
{
    return strcmp(files_text(object, "kind"), files_item_kind_name(kind)) == 0 &&
           (!*name || strcmp(files_text(object, "name"), name) == 0);
}

static json_t *item_new(const struct files_batch *batch, const struct store_item *item,
                        int64_t created_wall_s)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I}", "kind", files_item_kind_name(item->kind), "name",
        item->name, "conversation", item->conversation ? item->conversation : "", "seq",
        (json_int_t)item->seq, "created", (json_int_t)created_wall_s, "updated",
        (json_int_t)item->updated_wall_s);

    if (object)
        files_seal_json(object, "value", batch->store->vault, item->value);
    return object;
}

static int set_item(struct files_batch *batch, struct store_mutation *mutation, struct err *err)
{
    const struct store_item *item = mutation->item;
    json_t *root = files_edit(batch, FILES_PEOPLE, item->user, err);
    json_t *items = json_object_get(root, "items");
    int64_t created_wall_s = item->created_wall_s;
    json_t *object;
    size_t i;

    if (!root)
        return -1;
    for (i = 0; i < json_array_size(items); i++) {
        if (is_item(json_array_get(items, i), item->kind, item->name)) {
            created_wall_s = files_number(json_array_get(items, i), "created");
            break;
        }
    }
    object = item_new(batch, item, created_wall_s);
    if (!object)
        return err_set(err, ERR_INPUT, "the name of what is known of a person must be UTF-8");
    if (i < json_array_size(items))
        json_array_set_new(items, i, object);
    else
        json_array_append_new(items, object);
    return 0;
}

static int delete_item(struct files_batch *batch, struct store_mutation *mutation,
                       struct err *err)
{
    struct files_draft *draft = files_take_up(batch, FILES_PEOPLE, mutation->user, err);
    json_t *items;

    if (!draft)
        return -1;
    items = json_object_get(draft->root, "items");
    for (size_t i = json_array_size(items); i-- > 0;) {
        if (!is_item(json_array_get(items, i), mutation->item_kind, mutation->name))
            continue;
        json_array_remove(items, i);
        mutation->count++;
        draft->is_changed = true;
    }
    if (draft->root && !json_array_size(items))
        files_erase_draft(draft);
    return 0;
}

/* ---- values ------------------------------------------------------------------------------ */

static int put_value(struct files_batch *batch, const char *key, const char *value,
                     int64_t expires_wall_ms, struct err *err)
{
    json_t *root = files_edit(batch, FILES_VALUES, key, err);

    if (!root)
        return -1;
    files_seal_text(root, "value", batch->store->vault, value);
    files_set_number(root, "expires_ms", expires_wall_ms);
    return 0;
}

/* One that has expired is as good as none. */
static bool is_live(const struct files_batch *batch, const struct files_draft *draft)
{
    return draft->root && !files_has_expired(draft->root, batch->now_wall_us / 1000);
}

static int add_value(struct files_batch *batch, struct store_mutation *mutation,
                     struct err *err)
{
    struct files_draft *draft = files_take_up(batch, FILES_VALUES, mutation->key, err);
    int64_t expires_wall_ms = mutation->expires_wall_ms;
    AUTO_FREE char *text = NULL;
    int64_t sum = 0;
    char *end;

    if (!draft)
        return -1;
    if (is_live(batch, draft)) {
        if (files_open_text(draft->root, "value", batch->store->vault, &text, err) < 0)
            return -1;
        errno = 0;
        sum = strtoll(text, &end, 10);
        if (!*text || *end || errno)
            return err_set(err, ERR_INPUT, "%s is not a number", mutation->key);
        expires_wall_ms = files_number(draft->root, "expires_ms");
    }
    if (__builtin_add_overflow(sum, mutation->number, &sum))
        return err_set(err, ERR_INPUT, "%s would overflow", mutation->key);
    free(text);
    text = xasprintf("%lld", (long long)sum);
    mutation->count = sum;
    return put_value(batch, mutation->key, text, expires_wall_ms, err);
}

static int expire_value(struct files_batch *batch, struct store_mutation *mutation,
                        struct err *err)
{
    struct files_draft *draft = files_take_up(batch, FILES_VALUES, mutation->key, err);

    if (!draft)
        return -1;
    if (!is_live(batch, draft))
        return 0;
    files_set_number(draft->root, "expires_ms", mutation->expires_wall_ms);
    draft->is_changed = true;
    mutation->count = 1;
    return 0;
}

static int delete_value(struct files_batch *batch, const char *key, int64_t *count,
                        struct err *err)
{
    struct files_draft *draft = files_take_up(batch, FILES_VALUES, key, err);

    if (!draft)
        return -1;
    *count += is_live(batch, draft);
    if (draft->root)
        files_erase_draft(draft);
    return 0;
}

/* Those on the disk and those that this batch has made. */
static int delete_values(struct files_batch *batch, struct store_mutation *mutation,
                         struct err *err)
{
    struct files_entries entries = { 0 };
    int rc = files_list_keys(batch->store, FILES_VALUES, mutation->key, "", &entries, err);

    for (size_t i = 0; rc == 0 && i < entries.count; i++)
        rc = delete_value(batch, entries.entries[i].key, &mutation->count, err);
    files_entries_deinit(&entries);
    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        struct files_draft *draft = &batch->drafts[i];

        if (draft->folder == FILES_VALUES && draft->root &&
            store_pattern_matches(mutation->key, draft->key))
            rc = delete_value(batch, draft->key, &mutation->count, err);
    }
    return rc;
}

/* ---- all of them ------------------------------------------------------------------------- */

static int apply_one(struct files_batch *batch, struct store_mutation *mutation,
                     struct err *err)
{
    switch (mutation->kind) {
    case STORE_APPEND_TURN:
    case STORE_SET_WINDOW:
    case STORE_TRIM_TURNS:
    case STORE_ERASE_TURN:
    case STORE_ERASE:
    case STORE_SET_SUMMARY:
    case STORE_DROP_SUMMARIES:
    case STORE_SET_FIELD:
    case STORE_DELETE_FIELD:
    case STORE_CLEAR_FIELDS:
    case STORE_EXPIRE_FIELDS:
    case STORE_EDIT_FIELD:
        return files_change_conversation(batch, mutation, err);
    case STORE_SET_ITEM:
        return set_item(batch, mutation, err);
    case STORE_DELETE_ITEM:
        return delete_item(batch, mutation, err);
    case STORE_SET_VALUE:
        return put_value(batch, mutation->key, mutation->value, mutation->expires_wall_ms, err);
    case STORE_DELETE_VALUE:
        return delete_value(batch, mutation->key, &mutation->count, err);
    case STORE_EXPIRE_VALUE:
        return expire_value(batch, mutation, err);
    case STORE_ADD_VALUE:
        return add_value(batch, mutation, err);
    case STORE_DELETE_VALUES:
        return delete_values(batch, mutation, err);
    }
    return err_set(err, ERR_INPUT, "no such mutation: %d", (int)mutation->kind);
}

static int commit(struct files_batch *batch, struct err *err)
{
    struct files_change *changes = xcalloc(batch->count + 1, sizeof(changes[0]));
    size_t count = 0;
    bool goes = false;
    int rc;

    for (size_t i = 0; i < batch->count; i++) {
        const struct files_draft *draft = &batch->drafts[i];

        if (!draft->is_changed)
            continue;
        changes[count++] = (struct files_change){ .folder = draft->folder,
                                                  .name = draft->name,
                                                  .root = draft->root };
        goes = goes || !draft->root;
    }
    /* What was put aside as damaged may hold what is erased, too. Every folder is read for it:
     * not in a commit by which nothing goes. */
    if (goes)
        files_remove_damaged(batch->store->dir, changes, count, 0);
    rc = files_commit(batch->store->dir, changes, count, err);
    free(changes);
    return rc;
}

int files_apply(struct store *store, struct db *journal_db, struct store_mutation *mutations,
                size_t count, struct err *err)
{
    struct files_batch batch = { .store = (struct files_store *)store,
                                 .now_wall_us = clock_wall_us() };
    int rc = 0;

    (void)journal_db;
    if (files_lock(batch.store->dir, err) < 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        mutations[i].count = 0;
        rc = apply_one(&batch, &mutations[i], err);
    }
    if (rc == 0)
        rc = commit(&batch, err);
    files_unlock(batch.store->dir);
    batch_deinit(&batch);
    return rc;
}
