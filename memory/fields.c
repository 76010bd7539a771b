#include "memory/fields.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "memory/commit.h"
#include "memory/context.h"
#include "memory/rooms.h"

#define APPEND_TRIES 5

/* ---- what comes in ----------------------------------------------------------------------- */

static json_t *parse(const char *text, struct err *err)
{
    json_error_t why;
    json_t *value;

    if (strlen(text) > FIELD_MAX_BYTES) {
        err_set(err, ERR_INPUT, "a value of %zu bytes is too big, at most %zu", strlen(text),
                FIELD_MAX_BYTES);
        return NULL;
    }
    value = json_loads(text, JSON_DECODE_ANY, &why);
    if (!value)
        err_set(err, ERR_INPUT, "that is no JSON: %s (column %d)", why.text, why.column);
    return value;
}

/* Valid JSON without the white space between its tokens; numbers stay as they were written. */
static char *squeeze(const char *json)
{
    char *out = xcalloc(1, strlen(json) + 1);
    size_t len = 0;
    bool in_string = false;

    for (const char *c = json; *c; c++) {
        if (!in_string && strchr(" \t\r\n", *c))
            continue;
        out[len++] = *c;
        if (in_string && *c == '\\' && c[1])
            out[len++] = *++c;
        else if (*c == '"')
            in_string = !in_string;
    }
    return out;
}

static int check_name(const char *key, const char *name, struct err *err)
{
    size_t len = strlen(name);

    if (!*key)
        return err_set(err, ERR_INPUT, "a conversation's key is not empty");
    if (!len || len > FIELD_NAME_MAX)
        return err_set(err, ERR_INPUT, "a field's name has 1 to %d bytes, not %zu",
                       FIELD_NAME_MAX, len);
    if (!utf8_is_valid(name, len))
        return err_set(err, ERR_INPUT, "a field's name is UTF-8");
    return 0;
}

static int64_t expires_after(int64_t ttl_ms)
{
    int64_t now_ms = clock_wall_us() / 1000;

    if (ttl_ms < 0)
        return STORE_NEVER;
    if (ttl_ms == 0)
        ttl_ms = FIELD_TTL_DEFAULT_MS;
    return ttl_ms > INT64_MAX - now_ms ? STORE_NEVER : now_ms + ttl_ms;
}

/* ---- one field --------------------------------------------------------------------------- */

struct found {
    struct buf *out; /* NULL: only whether it is there */
    size_t len;
    bool is_there;
};

static bool take_value(void *context, const char *name, const char *value, int64_t expires)
{
    struct found *found = context;

    (void)name;
    (void)expires;
    found->is_there = true;
    found->len = strlen(value);
    if (found->out)
        buf_append_text(found->out, value);
    return false;
}

static int find(struct memory *memory, const char *key, const char *name, struct buf *out,
                struct found *ret_found, struct err *err)
{
    struct store *store = memory->store;
    struct found found = { .out = out };

    if (check_name(key, name, err) < 0 ||
        store->ops->fields(store, key, name, take_value, &found, err) < 0)
        return -1;
    *ret_found = found;
    return found.is_there;
}

/* Two who add the last field at once may both find room: the limit guards the store, it is no
 * promise. */
static int check_room(struct memory *memory, const char *key, int64_t more, struct err *err)
{
    struct store_conversation size = { 0 };

    if (memory->store->ops->size(memory->store, key, &size, err) < 0)
        return -1;
    if (size.key && size.fields + more > FIELDS_PER_KEY_MAX)
        return err_set(err, ERR_INPUT, "%s has %lld fields already, at most %d", key,
                       (long long)size.fields, FIELDS_PER_KEY_MAX);
    return 0;
}

int memory_field_set(struct memory *memory, const char *key, const char *name,
                     const char *value_json, int64_t ttl_ms, struct err *err)
{
    json_auto_t *value = NULL;
    AUTO_FREE char *squeezed = NULL;
    struct found found = { 0 };
    struct store_mutation mutation = { .kind = STORE_SET_FIELD,
                                       .key = key,
                                       .name = name,
                                       .expires_wall_ms = expires_after(ttl_ms) };

    if (find(memory, key, name, NULL, &found, err) < 0)
        return -1;
    value = parse(value_json, err);
    if (!value || (!found.is_there && check_room(memory, key, 1, err) < 0))
        return err_wrap(err, "field %s", name);
    squeezed = squeeze(value_json);
    mutation.value = squeezed;
    return commit_mutations(&memory->path, &mutation, 1, err);
}

static int make_sets(const char *key, json_t *object, int64_t expires,
                     struct store_mutation *mutations, struct err *err)
{
    const char *name;
    json_t *value;
    size_t count = 0;

    json_object_foreach(object, name, value)
    {
        struct store_mutation *mutation = &mutations[count++];
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        *mutation = (struct store_mutation){ .kind = STORE_SET_FIELD,
                                             .key = key,
                                             .name = name,
                                             .value = text,
                                             .expires_wall_ms = expires };
        if (check_name(key, name, err) < 0)
            return -1;
        if (!text || strlen(text) > FIELD_MAX_BYTES)
            return err_set(err, ERR_INPUT, "field %s is too big, at most %zu bytes", name,
                           FIELD_MAX_BYTES);
    }
    return 0;
}

int memory_field_update(struct memory *memory, const char *key, const char *object_json,
                        int64_t ttl_ms, struct err *err)
{
    json_error_t why;
    json_auto_t *object = json_loads(object_json, 0, &why);
    AUTO_FREE struct store_mutation *mutations = NULL;
    size_t count;
    int rc;

    if (!json_is_object(object))
        return err_set(err, ERR_INPUT, "that is no JSON object%s%s", object ? "" : ": ",
                       object ? "" : why.text);
    count = json_object_size(object);
    if (!count)
        return 0;
    if (count > FIELDS_PER_KEY_MAX)
        return err_set(err, ERR_INPUT, "%zu fields at once, at most %d", count,
                       FIELDS_PER_KEY_MAX);
    mutations = xcalloc(count, sizeof(*mutations));
    rc = make_sets(key, object, expires_after(ttl_ms), mutations, err);
    if (rc == 0)
        rc = check_room(memory, key, (int64_t)count, err);
    if (rc == 0)
        rc = commit_mutations(&memory->path, mutations, count, err);
    for (size_t i = 0; i < count; i++)
        free((char *)mutations[i].value);
    return rc;
}

int memory_field_get(struct memory *memory, const char *key, const char *name,
                     const char *fallback_json, struct buf *out, struct err *err)
{
    struct found found = { 0 };
    int rc = find(memory, key, name, out, &found, err);

    if (rc == 0 && fallback_json)
        buf_append_text(out, fallback_json);
    return rc;
}

int memory_field_contains(struct memory *memory, const char *key, const char *name,
                          struct err *err)
{
    struct found found = { 0 };

    return find(memory, key, name, NULL, &found, err);
}

int memory_field_delete(struct memory *memory, const char *key, const char *name,
                        struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_DELETE_FIELD, .key = key, .name = name };

    if (check_name(key, name, err) < 0 ||
        commit_mutations(&memory->path, &mutation, 1, err) < 0)
        return -1;
    return mutation.count > 0;
}

/* ---- all of a conversation --------------------------------------------------------------- */

int memory_fields_visit(struct memory *memory, const char *key, store_value_fn visit,
                        void *context, struct err *err)
{
    return memory->store->ops->fields(memory->store, key, NULL, visit, context, err);
}

int64_t memory_fields_clear(struct memory *memory, const char *key, struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_CLEAR_FIELDS, .key = key };

    return commit_mutations(&memory->path, &mutation, 1, err) < 0 ? -1 : mutation.count;
}

int64_t memory_fields_set_ttl(struct memory *memory, const char *key, int64_t ttl_ms,
                              struct err *err)
{
    struct store_mutation mutation = { .kind = STORE_EXPIRE_FIELDS,
                                       .key = key,
                                       .expires_wall_ms = expires_after(ttl_ms) };

    return commit_mutations(&memory->path, &mutation, 1, err) < 0 ? -1 : mutation.count;
}

/* ---- lists ------------------------------------------------------------------------------- */

/* A list does not grow past FIELD_MAX_BYTES: whoever appends for ever, and keeps all, is told.
 */
static int check_list(struct memory *memory, const struct store_mutation *mutation,
                      size_t value_len, struct err *err)
{
    struct found found = { 0 };
    int rc = find(memory, mutation->key, mutation->name, NULL, &found, err);

    if (rc < 0)
        return -1;
    if (mutation->edit == STORE_EDIT_EXTEND && mutation->index > 0)
        value_len = 0; /* what it pushes out makes room */
    if (found.len + value_len > FIELD_MAX_BYTES)
        return err_set(err, ERR_INPUT, "list %s would have more than %zu bytes", mutation->name,
                       FIELD_MAX_BYTES);
    return rc == 0 ? check_room(memory, mutation->key, 1, err) : 0;
}

static int edit(struct memory *memory, struct store_mutation *mutation, struct err *err)
{
    mutation->kind = STORE_EDIT_FIELD;
    mutation->expires_wall_ms = expires_after(0);
    if (check_name(mutation->key, mutation->name, err) < 0 ||
        (mutation->value &&
         check_list(memory, mutation, strlen(mutation->value) + 1, err) < 0) ||
        commit_mutations(&memory->path, mutation, 1, err) < 0)
        return err_wrap(err, "list %s", mutation->name);
    return 0;
}

int memory_list_append(struct memory *memory, const char *key, const char *name,
                       const char *value_json, int64_t keep, struct err *err)
{
    json_auto_t *value = parse(value_json, err);
    AUTO_FREE char *squeezed = NULL;
    AUTO_FREE char *array = NULL;
    struct store_mutation mutation = {
        .key = key, .name = name, .edit = STORE_EDIT_EXTEND, .index = keep
    };

    if (!value)
        return -1;
    squeezed = squeeze(value_json);
    array = xasprintf("[%s]", squeezed);
    mutation.value = array;
    return edit(memory, &mutation, err);
}

int memory_list_extend(struct memory *memory, const char *key, const char *name,
                       const char *array_json, int64_t keep, struct err *err)
{
    json_auto_t *array = parse(array_json, err);
    struct store_mutation mutation = {
        .key = key, .name = name, .edit = STORE_EDIT_EXTEND, .value = array_json, .index = keep
    };

    if (!array)
        return -1;
    if (!json_is_array(array))
        return err_set(err, ERR_INPUT, "a list is extended by a JSON array");
    return edit(memory, &mutation, err);
}

int memory_list_insert(struct memory *memory, const char *key, const char *name, int64_t index,
                       const char *value_json, struct err *err)
{
    json_auto_t *value = parse(value_json, err);
    struct store_mutation mutation = {
        .key = key, .name = name, .edit = STORE_EDIT_INSERT, .value = value_json, .index = index
    };

    return value ? edit(memory, &mutation, err) : -1;
}

int memory_list_pop(struct memory *memory, const char *key, const char *name, struct buf *out,
                    struct err *err)
{
    AUTO_BUF struct buf result = { 0 };
    struct store_mutation mutation = {
        .key = key, .name = name, .edit = STORE_EDIT_POP, .result = &result
    };

    buf_init(&result, FIELD_MAX_BYTES);
    if (edit(memory, &mutation, err) < 0 || buf_finish(&result, err) < 0)
        return -1;
    buf_append(out, buf_text(&result), result.len);
    return result.len > 0; /* no JSON value is empty */
}

int memory_list_remove(struct memory *memory, const char *key, const char *name,
                       const char *value_json, struct err *err)
{
    json_auto_t *value = parse(value_json, err);
    struct store_mutation mutation = {
        .key = key, .name = name, .edit = STORE_EDIT_REMOVE, .value = value_json
    };

    if (!value || edit(memory, &mutation, err) < 0)
        return -1;
    return mutation.count > 0;
}

/* The field's array, new; an empty one when the field is not there. */
static json_t *read_list(struct memory *memory, const char *key, const char *name,
                         struct buf *text, bool *ret_is_there, struct err *err)
{
    struct found found = { 0 };
    json_t *array;

    if (find(memory, key, name, text, &found, err) < 0)
        return NULL;
    *ret_is_there = found.is_there;
    if (!found.is_there)
        return json_array();
    array = json_loads(buf_text(text), JSON_DECODE_ANY, NULL);
    if (json_is_array(array))
        return array;
    json_decref(array);
    err_set(err, ERR_INPUT, "field %s is no list", name);
    return NULL;
}

int memory_list_get(struct memory *memory, const char *key, const char *name, struct buf *out,
                    struct err *err)
{
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *array = NULL;
    bool is_there = false;

    buf_init(&text, SIZE_MAX);
    array = read_list(memory, key, name, &text, &is_there, err);
    if (!array)
        return -1;
    buf_append_text(out, is_there ? buf_text(&text) : "[]");
    return is_there;
}

int64_t memory_list_length(struct memory *memory, const char *key, const char *name,
                           struct err *err)
{
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *array = NULL;
    bool is_there = false;

    buf_init(&text, SIZE_MAX);
    array = read_list(memory, key, name, &text, &is_there, err);
    return array ? (int64_t)json_array_size(array) : -1;
}

/* ---- history ----------------------------------------------------------------------------- */

static int check_turn(const char *key, const struct memory_turn *turn, struct err *err)
{
    json_auto_t *metadata = NULL;

    if (!*key)
        return err_set(err, ERR_INPUT, "a conversation's key is not empty");
    if (!utf8_is_valid(turn->text, strlen(turn->text)))
        return err_set(err, ERR_INPUT, "a message is UTF-8");
    if (!turn->metadata || !*turn->metadata)
        return 0;
    metadata = parse(turn->metadata, err);
    if (!metadata)
        return err_wrap(err, "metadata");
    return json_is_object(metadata) ? 0 : err_set(err, ERR_INPUT, "metadata is a JSON object");
}

/* The next seq is taken from the conversation as it stands; somebody else may be quicker. */
int memory_message_add(struct memory *memory, const char *key, const struct memory_turn *turn,
                       struct err *err)
{
    struct memory_turn added = *turn;
    struct err local = { 0 };
    int rc = -1;

    if (check_turn(key, turn, err) < 0)
        return -1;
    if (!added.at_wall_s)
        added.at_wall_s = clock_wall_s();
    if (!added.tokens)
        added.tokens = memory_estimate_tokens(turn->text, strlen(turn->text));
    for (int i = 0; i < APPEND_TRIES && rc < 0; i++) {
        struct conversation *conversation = NULL;

        if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, &local) < 0)
            break;
        rc = memory_conversation_commit(memory, conversation, &added, 1, NULL, 0, LEDGER_DONE,
                                        &local);
        memory_conversation_end(memory, conversation);
        if (rc < 0 && local.kind != ERR_INPUT)
            break;
    }
    if (rc < 0 && err)
        *err = local;
    return rc;
}

int memory_messages_visit(struct memory *memory, const char *key, size_t limit,
                          store_visit_turn_fn visit, void *context, struct err *err)
{
    struct store_range range = { .limit = limit };

    return memory->store->ops->history(memory->store, key, &range, visit, context, err);
}

int64_t memory_message_count(struct memory *memory, const char *key, struct err *err)
{
    struct store_conversation size = { 0 };

    return memory_size(memory, key, &size, err) < 0 ? -1 : size.turns;
}

int memory_size(struct memory *memory, const char *key, struct store_conversation *ret_size,
                struct err *err)
{
    struct store_conversation size = { 0 };

    if (memory->store->ops->size(memory->store, key, &size, err) < 0)
        return -1;
    *ret_size = size;
    return 0;
}
