#include "memory/files_doc.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define ESCAPED_MAX ((size_t)256 << 20)

static const char *const role_names[] = { [MEMORY_ROLE_USER] = "user",
                                          [MEMORY_ROLE_ASSISTANT] = "assistant",
                                          [MEMORY_ROLE_SYSTEM] = "system" };
static const char *const kind_names[] = {
    [STORE_ITEM_PREFERENCE] = "preference", [STORE_ITEM_FACT] = "fact"
};

const char *files_item_kind_name(enum store_item_kind kind)
{
    return kind_names[kind];
}

static int role_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
        if (strcmp(role_names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- members ----------------------------------------------------------------------------- */

const char *files_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

int64_t files_number(const json_t *object, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(object, name));
}

void files_set_number(json_t *object, const char *name, int64_t number)
{
    json_object_set_new(object, name, json_integer(number));
}

/* What enters was made UTF-8 long before; whatever slipped through is kept as well as can be.
 */
static json_t *string_of(const char *text)
{
    AUTO_FREE char *clean = NULL;
    json_t *string = json_string(text);

    if (string)
        return string;
    clean = utf8_clean_copy(text, strlen(text), ESCAPED_MAX);
    return json_string(clean);
}

void files_seal_text(json_t *object, const char *name, const struct vault *vault,
                     const char *text)
{
    AUTO_FREE char *sealed = vault ? vault_seal(vault, text, strlen(text)) : NULL;

    json_object_set_new(object, name, string_of(sealed ? sealed : text));
}

int files_open_text(const json_t *object, const char *name, const struct vault *vault,
                    char **ret_text, struct err *err)
{
    return vault_open_text(vault, files_text(object, name), ret_text, err);
}

/* The JSON of `text` when printing it gives the same text again, else NULL. */
static json_t *faithful_json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    AUTO_FREE char *printed = NULL;

    if (!value)
        return NULL;
    printed = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (printed && strcmp(printed, text) == 0)
        return value;
    json_decref(value);
    return NULL;
}

void files_seal_json(json_t *object, const char *name, const struct vault *vault,
                     const char *json_text)
{
    AUTO_FREE char *name_text = xasprintf("%s_text", name);
    json_t *value = vault ? NULL : faithful_json(json_text);

    json_object_del(object, name);
    json_object_del(object, name_text);
    if (value)
        json_object_set_new(object, name, value);
    else
        files_seal_text(object, name_text, vault, json_text);
}

int files_open_json(const json_t *object, const char *name, const struct vault *vault,
                    char **ret_json, struct err *err)
{
    AUTO_FREE char *name_text = xasprintf("%s_text", name);
    const json_t *value = json_object_get(object, name);

    if (value)
        *ret_json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    else if (json_object_get(object, name_text))
        return files_open_text(object, name_text, vault, ret_json, err);
    else
        *ret_json = NULL;
    return 0;
}

bool files_has_expired(const json_t *object, int64_t now_ms)
{
    int64_t expires_ms = files_number(object, "expires_ms");

    return expires_ms != STORE_NEVER && expires_ms <= now_ms;
}

/* ---- turns and summaries ----------------------------------------------------------------- */

json_t *files_turn_new(const struct memory_turn *turn, const struct vault *vault,
                       int64_t stored_wall_s)
{
    json_t *object = json_object();

    files_set_number(object, "seq", turn->seq);
    json_object_set_new(object, "role", json_string(role_names[turn->role]));
    json_object_set_new(object, "author", string_of(turn->author ? turn->author : ""));
    files_seal_text(object, "text", vault, turn->text);
    json_object_set_new(object, "slack_ts", string_of(turn->slack_ts ? turn->slack_ts : ""));
    files_set_number(object, "at", turn->at_wall_s);
    files_set_number(object, "stored", stored_wall_s);
    files_set_number(object, "tokens", turn->tokens);
    if (turn->metadata && *turn->metadata)
        files_seal_json(object, "metadata", vault, turn->metadata);
    return object;
}

int files_turn_open(const json_t *object, const struct vault *vault, struct files_turn *ret,
                    struct err *err)
{
    struct files_turn turn = { 0 };

    if (files_open_text(object, "text", vault, &turn.text, err) < 0 ||
        files_open_json(object, "metadata", vault, &turn.metadata, err) < 0) {
        files_turn_deinit(&turn);
        return -1;
    }
    turn.turn =
        (struct memory_turn){ .seq = files_number(object, "seq"),
                              .role = (enum memory_role)role_of(files_text(object, "role")),
                              .author = files_text(object, "author"),
                              .text = turn.text,
                              .slack_ts = files_text(object, "slack_ts"),
                              .at_wall_s = files_number(object, "at"),
                              .tokens = files_number(object, "tokens"),
                              .metadata = turn.metadata };
    *ret = turn;
    return 0;
}

void files_turn_deinit(struct files_turn *turn)
{
    free(turn->text);
    free(turn->metadata);
    *turn = (struct files_turn){ 0 };
}

json_t *files_summary_new(const struct store_summary *summary, const struct vault *vault)
{
    json_t *object = json_object();

    files_set_number(object, "version", summary->version);
    files_set_number(object, "first_seq", summary->first_seq);
    files_set_number(object, "last_seq", summary->last_seq);
    files_set_number(object, "made", summary->made_wall_s);
    files_set_number(object, "tokens", summary->tokens);
    json_object_set_new(object, "source", string_of(summary->source ? summary->source : ""));
    files_seal_text(object, "text", vault, summary->text);
    files_seal_text(object, "pinned", vault, summary->pinned ? summary->pinned : "");
    return object;
}

/* ---- whole documents --------------------------------------------------------------------- */

int files_doc_new(enum files_folder folder, const char *key, json_t **ret_root, struct err *err)
{
    json_t *root = NULL;

    switch (folder) {
    case FILES_CONVERSATIONS:
        root = json_pack("{s:s, s:i, s:i, s:i, s:i, s:[], s:[], s:[], s:[]}", "key", key,
                         "last_seq", 0, "window_seq", 0, "used", 0, "touched", 0, "people",
                         "turns", "summaries", "fields");
        break;
    case FILES_PEOPLE:
        root = json_pack("{s:s, s:[]}", "key", key, "items");
        break;
    case FILES_VALUES:
        root = json_pack("{s:s, s:s, s:i}", "key", key, "value", "", "expires_ms", 0);
        break;
    case FILES_FOLDERS:
        break;
    }
    if (!root)
        return err_set(err, ERR_INPUT, "a key must be UTF-8");
    *ret_root = root;
    return 0;
}

/* The elements are objects with these members: i an integer, s a text, then their names. */
static int check_list(const json_t *root, const char *list_name, const char *types,
                      const char *const *names, struct err *why)
{
    const json_t *list = json_object_get(root, list_name);
    const json_t *object;
    size_t i;

    if (!json_is_array(list))
        return err_set(why, ERR_INPUT, "\"%s\" is no list", list_name);
    json_array_foreach(list, i, object)
    {
        for (size_t name = 0; types[name]; name++) {
            const json_t *member = json_object_get(object, names[name]);

            if (types[name] == 'i' ? !json_is_integer(member) : !json_is_string(member))
                return err_set(why, ERR_INPUT, "\"%s\" in \"%s\" is missing or no %s",
                               names[name], list_name, types[name] == 'i' ? "number" : "text");
        }
    }
    return 0;
}

static int check_turns(const json_t *root, struct err *why)
{
    static const char *const names[] = { "seq", "at", "stored", "text", "role" };
    const json_t *turn;
    int64_t before = 0;
    size_t i;

    if (check_list(root, "turns", "iiiss", names, why) < 0)
        return -1;
    json_array_foreach(json_object_get(root, "turns"), i, turn)
    {
        if (files_number(turn, "seq") <= before)
            return err_set(why, ERR_INPUT, "turns are not in order");
        if (role_of(files_text(turn, "role")) < 0)
            return err_set(why, ERR_INPUT, "no such role: %s", files_text(turn, "role"));
        before = files_number(turn, "seq");
    }
    if (before > files_number(root, "last_seq"))
        return err_set(why, ERR_INPUT, "\"last_seq\" is below that of a turn");
    return 0;
}

static int check_conversation(const json_t *root, struct err *why)
{
    static const char *const summary_names[] = { "version", "first_seq", "last_seq", "text" };
    static const char *const field_names[] = { "name" };
    const json_t *person;
    size_t i;

    if (!json_is_integer(json_object_get(root, "last_seq")) ||
        !json_is_integer(json_object_get(root, "window_seq")) ||
        !json_is_integer(json_object_get(root, "used")) ||
        !json_is_integer(json_object_get(root, "touched")) ||
        !json_is_array(json_object_get(root, "people")))
        return err_set(why, ERR_INPUT, "the head is not complete");
    json_array_foreach(json_object_get(root, "people"), i, person)
    {
        if (!json_is_string(person))
            return err_set(why, ERR_INPUT, "somebody in \"people\" has no name");
    }
    if (check_turns(root, why) < 0 ||
        check_list(root, "summaries", "iiis", summary_names, why) < 0)
        return -1;
    return check_list(root, "fields", "s", field_names, why);
}

int files_doc_check(enum files_folder folder, const char *name, const json_t *root,
                    struct err *why)
{
    static const char *const item_names[] = { "kind", "name" };
    const char *key = json_string_value(json_object_get(root, "key"));
    AUTO_FREE char *own_name = key ? files_name(key) : NULL;

    if (!own_name || strcmp(own_name, name) != 0)
        return err_set(why, ERR_INPUT, "it is not the file of its key");
    switch (folder) {
    case FILES_CONVERSATIONS:
        return check_conversation(root, why);
    case FILES_PEOPLE:
        return check_list(root, "items", "ss", item_names, why);
    case FILES_VALUES:
    case FILES_FOLDERS:
        break;
    }
    return json_is_string(json_object_get(root, "value"))
               ? 0
               : err_set(why, ERR_INPUT, "\"value\" is missing");
}

/* ---- printing ---------------------------------------------------------------------------- */

static int append_bytes(const char *bytes, size_t len, void *context)
{
    buf_append(context, bytes, len);
    return 0;
}

static void print_value(const json_t *value, struct buf *out)
{
    json_dump_callback(value, append_bytes, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

static void print_list(const json_t *list, struct buf *out)
{
    const json_t *element;
    size_t i;

    buf_append_char(out, '[');
    json_array_foreach(list, i, element)
    {
        buf_append_text(out, i ? ",\n  " : "\n  ");
        print_value(element, out);
    }
    buf_append_text(out, json_array_size(list) ? "\n]" : "]");
}

void files_doc_print(const json_t *root, struct buf *out)
{
    const char *before = "{\n";
    const char *name;
    json_t *value;

    /* The type wants it to be changeable; nothing is changed here. */
    json_object_foreach((json_t *)root, name, value)
    {
        json_t *quoted = json_string(name);

        buf_append_text(out, before);
        print_value(quoted, out);
        json_decref(quoted);
        buf_append_text(out, ": ");
        if (json_is_array(value))
            print_list(value, out);
        else
            print_value(value, out);
        before = ",\n";
    }
    buf_append_text(out, "\n}\n");
}
