#include "memory/files_batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void raise_to(json_t *object, const char *name, int64_t number)
{
    if (files_number(object, name) < number)
        files_set_number(object, name, number);
}

/* ---- turns ------------------------------------------------------------------------------- */

/* Where a turn of this seq stands or belongs; from the end, where it mostly is. */
static size_t place_of(const json_t *turns, int64_t seq)
{
    size_t i = json_array_size(turns);

    while (i > 0 && files_number(json_array_get(turns, i - 1), "seq") >= seq)
        i--;
    return i;
}

static int check_same_turn(const struct files_batch *batch, const json_t *object,
                           const struct store_mutation *mutation, struct err *err)
{
    struct files_turn there;
    bool same;

    if (files_turn_open(object, batch->store->vault, &there, err) < 0)
        return -1;
    same = there.turn.role == mutation->turn->role &&
           strcmp(there.text, mutation->turn->text) == 0;
    files_turn_deinit(&there);
    return same ? 0
                : err_set(err, ERR_INPUT,
                          "conversation %s was continued elsewhere: turn %lld is another one",
                          mutation->key, (long long)mutation->turn->seq);
}

static void note_speaker(json_t *root, const struct memory_turn *turn)
{
    json_t *people = json_object_get(root, "people");
    const json_t *person;
    size_t i;

    if (turn->role != MEMORY_ROLE_USER || !turn->author || !*turn->author)
        return;
    json_array_foreach(people, i, person)
    {
        if (strcmp(json_string_value(person), turn->author) == 0)
            return;
    }
    json_array_append_new(people, json_string(turn->author));
}

static int append_turn(struct files_batch *batch, struct store_mutation *mutation,
                       struct err *err)
{
    const struct memory_turn *turn = mutation->turn;
    json_t *root = files_edit(batch, FILES_CONVERSATIONS, mutation->key, err);
    json_t *turns = json_object_get(root, "turns");
    size_t place;

    if (!root)
        return -1;
    if (turn->seq <= 0)
        return err_set(err, ERR_INPUT, "a turn without a place in %s", mutation->key);
    place = place_of(turns, turn->seq);
    if (files_number(json_array_get(turns, place), "seq") == turn->seq)
        return check_same_turn(batch, json_array_get(turns, place), mutation, err);
    json_array_insert_new(
        turns, place, files_turn_new(turn, batch->store->vault, batch->now_wall_us / 1000000));
    raise_to(root, "last_seq", turn->seq);
    raise_to(root, "used", turn->at_wall_s);
    note_speaker(root, turn);
    return 0;
}

static int set_window(struct files_batch *batch, struct store_mutation *mutation,
                      struct err *err)
{
    json_t *root = files_edit(batch, FILES_CONVERSATIONS, mutation->key, err);

    if (!root)
        return -1;
    raise_to(root, "window_seq", mutation->seq);
    raise_to(root, "used", batch->now_wall_us / 1000000);
    return 0;
}

static void prune_people(json_t *root)
{
    json_t *people = json_object_get(root, "people");
    const json_t *turn;
    size_t i;

    json_array_clear(people);
    json_array_foreach(json_object_get(root, "turns"), i, turn)
    {
        struct memory_turn said = { .role = strcmp(files_text(turn, "role"), "user") == 0
                                                ? MEMORY_ROLE_USER
                                                : MEMORY_ROLE_ASSISTANT,
                                    .author = files_text(turn, "author") };

        note_speaker(root, &said);
    }
}

int64_t files_erase_turns(json_t *conversation, files_turn_test_fn is_meant,
                          const void *context)
{
    json_t *turns = json_object_get(conversation, "turns");
    json_t *kept = json_array();
    json_t *turn;
    size_t i;
    int64_t erased;

    json_array_foreach(turns, i, turn)
    {
        if (!is_meant(context, turn))
            json_array_append(kept, turn);
    }
    erased = (int64_t)(json_array_size(turns) - json_array_size(kept));
    json_object_set_new(conversation, "turns", kept);
    /* A summary may still tell what they said. */
    if (erased && !json_array_size(json_object_get(conversation, "summaries")))
        prune_people(conversation);
    return erased;
}

static bool is_below(const void *context, const json_t *turn)
{
    return files_number(turn, "seq") < *(const int64_t *)context;
}

static bool is_at(const void *context, const json_t *turn)
{
    return files_number(turn, "seq") == *(const int64_t *)context;
}

static int erase_turns(struct files_batch *batch, struct store_mutation *mutation,
                       struct err *err)
{
    json_t *root = NULL;
    int rc = files_edit_if_there(batch, FILES_CONVERSATIONS, mutation->key, &root, err);

    if (rc <= 0)
        return rc;
    mutation->count = files_erase_turns(
        root, mutation->kind == STORE_TRIM_TURNS ? is_below : is_at, &mutation->seq);
    return 0;
}

static int erase(struct files_batch *batch, struct store_mutation *mutation, struct err *err)
{
    struct files_draft *draft = files_take_up(batch, FILES_CONVERSATIONS, mutation->key, err);

    if (!draft)
        return -1;
    if (mutation->seq > 0 && files_number(draft->root, "last_seq") >= mutation->seq)
        return 0;
    mutation->count = (int64_t)json_array_size(json_object_get(draft->root, "turns"));
    files_erase_draft(draft);
    return 0;
}

/* ---- summaries --------------------------------------------------------------------------- */

static int set_summary(struct files_batch *batch, struct store_mutation *mutation,
                       struct err *err)
{
    const struct store_summary *summary = mutation->summary;
    json_t *root = files_edit(batch, FILES_CONVERSATIONS, mutation->key, err);
    json_t *list = json_object_get(root, "summaries");
    json_t *object;
    size_t i = json_array_size(list);

    if (!root)
        return -1;
    object = files_summary_new(summary, batch->store->vault);
    while (i > 0 && files_number(json_array_get(list, i - 1), "version") >= summary->version)
        i--;
    if (files_number(json_array_get(list, i), "version") == summary->version)
        json_array_set_new(list, i, object);
    else
        json_array_insert_new(list, i, object);
    while (json_array_size(list) > STORE_SUMMARIES_MAX)
        json_array_remove(list, 0);
    return 0;
}

static int clear_list(struct files_batch *batch, struct store_mutation *mutation,
                      const char *name, struct err *err)
{
    json_t *root = NULL;
    int rc = files_edit_if_there(batch, FILES_CONVERSATIONS, mutation->key, &root, err);

    if (rc <= 0)
        return rc;
    files_drop_expired(root, batch->now_wall_us / 1000);
    mutation->count = (int64_t)json_array_size(json_object_get(root, name));
    json_array_clear(json_object_get(root, name));
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------ */

int64_t files_drop_expired(json_t *conversation, int64_t now_ms)
{
    json_t *fields = json_object_get(conversation, "fields");
    int64_t dropped = 0;

    for (size_t i = json_array_size(fields); i-- > 0;) {
        if (files_has_expired(json_array_get(fields, i), now_ms)) {
            json_array_remove(fields, i);
            dropped++;
        }
    }
    return dropped;
}

/* The named element of a list in order of name, or where it belongs. */
static bool find_named(const json_t *list, const char *name, size_t *ret_place)
{
    const json_t *object;
    size_t i;

    json_array_foreach(list, i, object)
    {
        int order = strcmp(files_text(object, "name"), name);

        if (order >= 0) {
            *ret_place = i;
            return order == 0;
        }
    }
    *ret_place = json_array_size(list);
    return false;
}

static int put_field(struct files_batch *batch, struct store_mutation *mutation,
                     const char *value, int64_t expires_wall_ms, struct err *err)
{
    json_t *root = files_edit(batch, FILES_CONVERSATIONS, mutation->key, err);
    json_t *fields = json_object_get(root, "fields");
    json_t *name = json_string(mutation->name);
    json_t *field;
    size_t place;

    if (!root || !name) {
        json_decref(name);
        return root ? err_set(err, ERR_INPUT, "a field's name must be UTF-8") : -1;
    }
    field = json_pack("{s:o}", "name", name);
    files_seal_json(field, "value", batch->store->vault, value);
    files_set_number(field, "expires_ms", expires_wall_ms);
    if (find_named(fields, mutation->name, &place))
        json_array_set_new(fields, place, field);
    else
        json_array_insert_new(fields, place, field);
    raise_to(root, "used", batch->now_wall_us / 1000000);
    return 0;
}

static int edit_field(struct files_batch *batch, struct store_mutation *mutation,
                      struct err *err)
{
    struct files_draft *draft = files_take_up(batch, FILES_CONVERSATIONS, mutation->key, err);
    int64_t expires_wall_ms = mutation->expires_wall_ms;
    AUTO_FREE char *old = NULL;
    AUTO_FREE char *new = NULL;
    const json_t *fields;
    const json_t *field;
    size_t place;

    if (!draft)
        return -1;
    fields = json_object_get(draft->root, "fields");
    if (find_named(fields, mutation->name, &place)) {
        field = json_array_get(fields, place);
        if (!files_has_expired(field, batch->now_wall_us / 1000)) {
            if (files_open_json(field, "value", batch->store->vault, &old, err) < 0)
                return -1;
            expires_wall_ms = files_number(field, "expires_ms");
        }
    }
    if (store_edit_json(mutation, old, &new, err) < 0)
        return -1;
    return new ? put_field(batch, mutation, new, expires_wall_ms, err) : 0;
}

static int delete_field(struct files_batch *batch, struct store_mutation *mutation,
                        struct err *err)
{
    json_t *root = NULL;
    json_t *fields;
    size_t place;
    int rc = files_edit_if_there(batch, FILES_CONVERSATIONS, mutation->key, &root, err);

    if (rc <= 0)
        return rc;
    files_drop_expired(root, batch->now_wall_us / 1000);
    fields = json_object_get(root, "fields");
    if (find_named(fields, mutation->name, &place)) {
        json_array_remove(fields, place);
        mutation->count = 1;
    }
    return 0;
}

static int expire_fields(struct files_batch *batch, struct store_mutation *mutation,
                         struct err *err)
{
    json_t *root = NULL;
    json_t *field;
    size_t i;
    int rc = files_edit_if_there(batch, FILES_CONVERSATIONS, mutation->key, &root, err);

    if (rc <= 0)
        return rc;
    files_drop_expired(root, batch->now_wall_us / 1000);
    json_array_foreach(json_object_get(root, "fields"), i, field)
    {
        files_set_number(field, "expires_ms", mutation->expires_wall_ms);
        mutation->count++;
    }
    return 0;
}

/* ---- all of them ------------------------------------------------------------------------- */

int files_change_conversation(struct files_batch *batch, struct store_mutation *mutation,
                              struct err *err)
{
    switch (mutation->kind) {
    case STORE_APPEND_TURN:
        return append_turn(batch, mutation, err);
    case STORE_SET_WINDOW:
        return set_window(batch, mutation, err);
    case STORE_TRIM_TURNS:
    case STORE_ERASE_TURN:
        return erase_turns(batch, mutation, err);
    case STORE_ERASE:
        return erase(batch, mutation, err);
    case STORE_SET_SUMMARY:
        return set_summary(batch, mutation, err);
    case STORE_DROP_SUMMARIES:
        return clear_list(batch, mutation, "summaries", err);
    case STORE_SET_FIELD:
        return put_field(batch, mutation, mutation->value, mutation->expires_wall_ms, err);
    case STORE_DELETE_FIELD:
        return delete_field(batch, mutation, err);
    case STORE_CLEAR_FIELDS:
        return clear_list(batch, mutation, "fields", err);
    case STORE_EXPIRE_FIELDS:
        return expire_fields(batch, mutation, err);
    case STORE_EDIT_FIELD:
        return edit_field(batch, mutation, err);
    default:
        return err_set(err, ERR_INPUT, "no such mutation: %d", (int)mutation->kind);
    }
}
