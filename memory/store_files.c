#include "memory/store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/files_parts.h"

/* ---- finding ----------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct files_entry *)a)->key, ((const struct files_entry *)b)->key);
}

/* A name that was cut does not tell its key: 1 with the key, 0 when the file has gone, -1. */
static int key_of(struct files_store *store, enum files_folder folder, const char *name,
                  char **ret_key, struct err *err)
{
    json_t *root = NULL;
    int rc = 1;

    *ret_key = files_key(name);
    if (*ret_key)
        return 1;
    rc = files_read(store->dir, folder, name, &root, err);
    if (rc > 0)
        *ret_key = xstrdup(files_text(root, "key"));
    json_decref(root);
    return rc;
}

static int take_keys(struct files_store *store, enum files_folder folder, const char *pattern,
                     const char *after, const struct files_names *names,
                     struct files_entries *entries, struct err *err)
{
    for (size_t i = 0; i < names->count; i++) {
        char *key = NULL;
        int rc = key_of(store, folder, names->names[i], &key, err);

        if (rc < 0)
            return -1;
        if (rc == 0 || !store_pattern_matches(pattern, key) ||
            (*after && strcmp(key, after) <= 0)) {
            free(key);
            continue;
        }
        entries->entries[entries->count++] =
            (struct files_entry){ .key = key, .name = xstrdup(names->names[i]) };
    }
    return 0;
}

int files_list_keys(struct files_store *store, enum files_folder folder, const char *pattern,
                    const char *after, struct files_entries *ret_entries, struct err *err)
{
    struct files_names names = { 0 };
    int rc = files_names(store->dir, folder, &names, err);

    if (rc == 0) {
        ret_entries->entries = xcalloc(names.count + 1, sizeof(ret_entries->entries[0]));
        rc = take_keys(store, folder, pattern, after, &names, ret_entries, err);
        qsort(ret_entries->entries, ret_entries->count, sizeof(ret_entries->entries[0]),
              compare_entries);
    }
    files_names_deinit(&names);
    return rc;
}

void files_entries_deinit(struct files_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        free(entries->entries[i].key);
        free(entries->entries[i].name);
    }
    free(entries->entries);
    *entries = (struct files_entries){ 0 };
}

int files_find(struct store *base, enum files_folder folder, const char *key, json_t **ret_root,
               struct err *err)
{
    struct files_store *store = (struct files_store *)base;
    AUTO_FREE char *name = files_name(key);

    return files_read(store->dir, folder, name, ret_root, err);
}

/* ---- turns ------------------------------------------------------------------------------- */

static bool is_in_range(const json_t *turn, const struct store_range *range)
{
    int64_t at_wall_s = files_number(turn, "at");
    int64_t seq = files_number(turn, "seq");

    return (!range->since_wall_s || at_wall_s >= range->since_wall_s) &&
           (!range->until_wall_s || at_wall_s < range->until_wall_s) &&
           seq >= range->from_seq && (!range->before_seq || seq < range->before_seq);
}

/* Where the newest `limit` turns of the range begin. */
static size_t first_in_range(const json_t *turns, const struct store_range *range, size_t limit)
{
    size_t first = json_array_size(turns);

    for (size_t i = first; i > 0 && limit > 0; i--) {
        if (is_in_range(json_array_get(turns, i - 1), range)) {
            first = i - 1;
            limit--;
        }
    }
    return first;
}

static int show_turns(struct files_store *store, const json_t *root,
                      const struct store_range *range, size_t limit, store_visit_turn_fn visit,
                      void *context, struct err *err)
{
    const json_t *turns = json_object_get(root, "turns");
    bool goes_on = true;

    for (size_t i = first_in_range(turns, range, limit); goes_on && i < json_array_size(turns);
         i++) {
        const json_t *object = json_array_get(turns, i);
        struct files_turn turn;

        if (!is_in_range(object, range))
            continue;
        if (files_turn_open(object, store->vault, &turn, err) < 0)
            return err_wrap(err, "turn %lld of %s", (long long)files_number(object, "seq"),
                            files_text(root, "key"));
        if (!turn.turn.metadata)
            turn.turn.metadata = "";
        goes_on = visit(context, &turn.turn);
        files_turn_deinit(&turn);
    }
    return 0;
}

struct loading {
    store_turn_fn on_turn;
    void *context;
};

static bool load_turn(void *context, const struct memory_turn *turn)
{
    const struct loading *loading = context;

    loading->on_turn(loading->context, turn);
    return true;
}

static int load(struct store *base, const char *key, size_t max_turns, store_turn_fn on_turn,
                void *context, struct store_head *ret_head, struct err *err)
{
    struct loading loading = { on_turn, context };
    struct store_range range = { 0 };
    struct store_head head = { 0 };
    json_t *root = NULL;
    int rc = files_find(base, FILES_CONVERSATIONS, key, &root, err);

    if (rc > 0) {
        head.last_seq = files_number(root, "last_seq");
        head.window_seq = range.from_seq = files_number(root, "window_seq");
        rc = show_turns((struct files_store *)base, root, &range, max_turns, load_turn,
                        &loading, err);
    }
    json_decref(root);
    if (rc == 0)
        *ret_head = head;
    return rc;
}

static int history(struct store *base, const char *key, const struct store_range *range,
                   store_visit_turn_fn visit, void *context, struct err *err)
{
    json_t *root = NULL;
    int rc = files_find(base, FILES_CONVERSATIONS, key, &root, err);

    if (rc > 0)
        rc = show_turns((struct files_store *)base, root, range,
                        range->limit ? range->limit : SIZE_MAX, visit, context, err);
    json_decref(root);
    return rc;
}

/* ---- summaries, fields, items, values ---------------------------------------------------- */

/* 1: go on, 0: stop, -1. */
static int show_summary(const struct files_store *store, const json_t *object,
                        store_summary_fn visit, void *context, struct err *err)
{
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *pinned = NULL;
    struct store_summary summary = { .version = files_number(object, "version"),
                                     .first_seq = files_number(object, "first_seq"),
                                     .last_seq = files_number(object, "last_seq"),
                                     .made_wall_s = files_number(object, "made"),
                                     .tokens = files_number(object, "tokens"),
                                     .source = files_text(object, "source") };

    if (files_open_text(object, "text", store->vault, &text, err) < 0 ||
        files_open_text(object, "pinned", store->vault, &pinned, err) < 0)
        return -1;
    summary.text = text;
    summary.pinned = pinned;
    return visit(context, &summary);
}

static int summaries(struct store *base, const char *key, store_summary_fn visit, void *context,
                     struct err *err)
{
    json_t *root = NULL;
    int rc = files_find(base, FILES_CONVERSATIONS, key, &root, err);
    const json_t *list = json_object_get(root, "summaries");

    for (size_t i = json_array_size(list); rc > 0 && i-- > 0;)
        rc = show_summary((struct files_store *)base, json_array_get(list, i), visit, context,
                          err);
    json_decref(root);
    return rc < 0 ? -1 : 0;
}

static int show_field(const struct files_store *store, const json_t *object, int64_t now_ms,
                      store_value_fn visit, void *context, struct err *err)
{
    AUTO_FREE char *value = NULL;

    if (files_has_expired(object, now_ms))
        return 1;
    if (files_open_json(object, "value", store->vault, &value, err) < 0)
        return -1;
    return visit(context, files_text(object, "name"), value ? value : "null",
                 files_number(object, "expires_ms"));
}

static int fields(struct store *base, const char *key, const char *name, store_value_fn visit,
                  void *context, struct err *err)
{
    int64_t now_ms = clock_wall_us() / 1000;
    json_t *root = NULL;
    int rc = files_find(base, FILES_CONVERSATIONS, key, &root, err);
    const json_t *list = json_object_get(root, "fields");

    for (size_t i = 0; rc > 0 && i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);

        if (!name || strcmp(files_text(object, "name"), name) == 0)
            rc = show_field((struct files_store *)base, object, now_ms, visit, context, err);
    }
    json_decref(root);
    return rc < 0 ? -1 : 0;
}

/* A list element to be shown in order of name. */
struct named {
    const json_t *object;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(files_text(((const struct named *)a)->object, "name"),
                  files_text(((const struct named *)b)->object, "name"));
}

static int show_item(const struct files_store *store, const json_t *object, const char *user,
                     enum store_item_kind kind, store_item_fn visit, void *context,
                     struct err *err)
{
    AUTO_FREE char *value = NULL;
    struct store_item item = { .user = user,
                               .kind = kind,
                               .name = files_text(object, "name"),
                               .conversation = files_text(object, "conversation"),
                               .seq = files_number(object, "seq"),
                               .created_wall_s = files_number(object, "created"),
                               .updated_wall_s = files_number(object, "updated") };

    if (files_open_json(object, "value", store->vault, &value, err) < 0)
        return -1;
    item.value = value ? value : "null";
    return visit(context, &item);
}

/* 1: shown, go on; 0: stop, or nothing is known of them; -1. */
static int items_of(struct store *base, const char *user, enum store_item_kind kind,
                    store_item_fn visit, void *context, struct err *err)
{
    AUTO_FREE struct named *sorted = NULL;
    json_t *root = NULL;
    const json_t *object;
    size_t count = 0;
    size_t i;
    int rc = files_find(base, FILES_PEOPLE, user, &root, err);

    sorted = xcalloc(json_array_size(json_object_get(root, "items")) + 1, sizeof(sorted[0]));
    json_array_foreach(json_object_get(root, "items"), i, object)
    {
        if (strcmp(files_text(object, "kind"), files_item_kind_name(kind)) == 0)
            sorted[count++].object = object;
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_names);
    for (i = 0; rc > 0 && i < count; i++)
        rc = show_item((struct files_store *)base, sorted[i].object, user, kind, visit, context,
                       err);
    json_decref(root);
    return rc;
}

static int items(struct store *base, const char *user, enum store_item_kind kind,
                 store_item_fn visit, void *context, struct err *err)
{
    struct files_entries people = { 0 };
    int rc = 1;

    if (user)
        return items_of(base, user, kind, visit, context, err) < 0 ? -1 : 0;
    if (files_list_keys((struct files_store *)base, FILES_PEOPLE, "", "", &people, err) < 0)
        return -1;
    for (size_t i = 0; rc > 0 && i < people.count; i++)
        rc = items_of(base, people.entries[i].key, kind, visit, context, err);
    files_entries_deinit(&people);
    return rc < 0 ? -1 : 0;
}

/* 1: shown, go on; 2: it is not there; 0: stop; -1. */
static int show_value(struct files_store *store, const char *name, int64_t now_ms,
                      store_value_fn visit, void *context, struct err *err)
{
    AUTO_FREE char *value = NULL;
    json_t *root = NULL;
    int rc = files_read(store->dir, FILES_VALUES, name, &root, err);

    if (rc > 0 && files_has_expired(root, now_ms))
        rc = 0;
    if (rc > 0)
        rc = files_open_text(root, "value", store->vault, &value, err) < 0
                 ? -1
                 : visit(context, files_text(root, "key"), value,
                         files_number(root, "expires_ms"));
    else if (rc == 0)
        rc = 2;
    json_decref(root);
    return rc;
}

static int values(struct store *base, const char *key, bool is_pattern, const char *after,
                  size_t limit, store_value_fn visit, void *context, struct err *err)
{
    struct files_store *store = (struct files_store *)base;
    struct files_entries entries = { 0 };
    int64_t now_ms = clock_wall_us() / 1000;
    size_t shown = 0;
    int rc;

    if (!is_pattern) {
        AUTO_FREE char *name = files_name(key);

        return show_value(store, name, now_ms, visit, context, err) < 0 ? -1 : 0;
    }
    rc = files_list_keys(store, FILES_VALUES, key, after, &entries, err) < 0 ? -1 : 1;
    for (size_t i = 0; rc > 0 && i < entries.count && (!limit || shown < limit); i++) {
        rc = show_value(store, entries.entries[i].name, now_ms, visit, context, err);
        shown += rc == 1;
    }
    files_entries_deinit(&entries);
    return rc < 0 ? -1 : 0;
}

/* ---- the rest ---------------------------------------------------------------------------- */

/* What is erased has left its file, and the file system its name: only durability is missing.
 */
static int scrub(struct store *base, struct db *journal_db, struct err *err)
{
    struct files_store *store = (struct files_store *)base;

    (void)journal_db;
    for (enum files_folder folder = FILES_CONVERSATIONS; folder < FILES_FOLDERS; folder++) {
        if (fsync(files_dir_fd(store->dir, folder)) < 0)
            return err_set_errno(err, ERR_SYSTEM, "cannot sync %s", files_dir_path(store->dir));
    }
    return 0;
}

static int64_t foreign_version(struct store *base, struct db *journal_db)
{
    (void)journal_db;
    return files_visits(((struct files_store *)base)->dir);
}

static void files_free(struct store *base)
{
    struct files_store *store = (struct files_store *)base;

    if (!store)
        return;
    for (int folder = 0; folder < FILES_FOLDERS; folder++)
        files_names_deinit(&store->left[folder]);
    files_dir_close(store->dir);
    pthread_mutex_destroy(&store->sweep_lock);
    free(store);
}

struct store *store_files_new(const char *dir, struct vault *vault, bool announces,
                              struct err *err)
{
    static const struct store_ops ops = {
        .name = "files",
        .joins_journal = false,
        .free = files_free,
        .load = load,
        .history = history,
        .summaries = summaries,
        .list = files_list,
        .size = files_size,
        .fields = fields,
        .items = items,
        .values = values,
        .stats = files_stats,
        .apply = files_apply,
        .sweep = files_sweep,
        .scrub = scrub,
        .backup = files_backup,
        .foreign_version = foreign_version,
    };
    struct files_store *store = xcalloc(1, sizeof(*store));

    store->base.ops = &ops;
    store->vault = vault;
    pthread_mutex_init(&store->sweep_lock, NULL);
    if (files_dir_open(dir, announces, &store->dir, err) < 0) {
        files_free(&store->base);
        return NULL;
    }
    return &store->base;
}
