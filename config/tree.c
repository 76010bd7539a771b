#include "config/tree.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/alloc.h"

struct builder {
    struct tree_node *root;
    struct tree_node *open[TREE_DEPTH_MAX]; /* the lists and maps around the next event */
    size_t depth;
    struct tree_node *key; /* read, and waiting for its value in the innermost map */
    size_t nodes;
    bool is_done;
};

void tree_free(struct tree_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys)
            tree_free(node->keys[i]);
        tree_free(node->values[i]);
    }
    free((void *)node->keys);
    free((void *)node->values);
    free(node->text);
    free(node);
}

static struct tree_node *node_new(enum tree_kind kind, const yaml_event_t *event)
{
    struct tree_node *node = xcalloc(1, sizeof(*node));

    node->kind = kind;
    node->line = event->start_mark.line + 1;
    node->column = event->start_mark.column + 1;
    return node;
}

static bool is_nothing(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;

    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

static void grow(struct tree_node *parent)
{
    if (parent->count & (parent->count + 1))
        return; /* room is made at 0, 1, 3, 7, ... */
    parent->values =
        xrealloc((void *)parent->values, 2 * parent->count + 1, sizeof(struct tree_node *));
    if (parent->kind == TREE_MAP)
        parent->keys =
            xrealloc((void *)parent->keys, 2 * parent->count + 1, sizeof(struct tree_node *));
}

/* Puts a finished or just opened node where it belongs; adopts it. */
static int place_node(struct builder *builder, struct tree_node *node, struct err *err)
{
    struct tree_node *parent = builder->depth ? builder->open[builder->depth - 1] : NULL;

    if (++builder->nodes > TREE_NODES_MAX) {
        tree_free(node);
        return err_set(err, ERR_INPUT, "holds more than %d values", TREE_NODES_MAX);
    }
    if (!parent) {
        builder->root = node;
        return 0;
    }
    if (parent->kind == TREE_MAP && !builder->key) {
        if (node->kind != TREE_TEXT) {
            tree_free(node);
            return err_set(err, ERR_INPUT, "the name of an option is missing here");
        }
        builder->key = node;
        return 0;
    }
    grow(parent);
    if (parent->kind == TREE_MAP)
        parent->keys[parent->count] = take_ptr(&builder->key);
    parent->values[parent->count++] = node;
    return 0;
}

static int add_scalar(struct builder *builder, const yaml_event_t *event, struct err *err)
{
    struct tree_node *node;
    const char *text = (const char *)event->data.scalar.value;

    if (event->data.scalar.anchor || event->data.scalar.tag)
        return err_set(err, ERR_INPUT, "anchors and tags are not accepted");
    if (strlen(text) != event->data.scalar.length)
        return err_set(err, ERR_INPUT, "the text holds a NUL character");
    node = node_new(is_nothing(event) ? TREE_NONE : TREE_TEXT, event);
    if (node->kind == TREE_TEXT)
        node->text = xstrdup(text);
    return place_node(builder, node, err);
}

static int open_node(struct builder *builder, enum tree_kind kind, const yaml_event_t *event,
                     bool is_decorated, struct err *err)
{
    struct tree_node *node;

    if (is_decorated)
        return err_set(err, ERR_INPUT, "anchors and tags are not accepted");
    if (builder->depth == TREE_DEPTH_MAX)
        return err_set(err, ERR_INPUT, "nested deeper than %d levels", TREE_DEPTH_MAX);
    node = node_new(kind, event);
    if (place_node(builder, node, err) < 0)
        return -1;
    builder->open[builder->depth++] = node;
    return 0;
}

static int take_event(struct builder *builder, const yaml_event_t *event, struct err *err)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(builder, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(builder, TREE_LIST, event,
                         event->data.sequence_start.anchor || event->data.sequence_start.tag,
                         err);
    case YAML_MAPPING_START_EVENT:
        return open_node(builder, TREE_MAP, event,
                         event->data.mapping_start.anchor || event->data.mapping_start.tag,
                         err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder->depth--;
        return 0;
    case YAML_ALIAS_EVENT:
        return err_set(err, ERR_INPUT, "aliases are not accepted");
    case YAML_DOCUMENT_START_EVENT:
        if (builder->root)
            return err_set(err, ERR_INPUT, "a second document begins here, one is accepted");
        return 0;
    case YAML_STREAM_END_EVENT:
        builder->is_done = true;
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    }
    return 0;
}

static int fail_parser(const yaml_parser_t *parser, struct tree_place *ret_place,
                       struct err *err)
{
    ret_place->line = parser->problem_mark.line + 1;
    ret_place->column = parser->problem_mark.column + 1;
    if (parser->error == YAML_READER_ERROR) {
        ret_place->line = parser->mark.line + 1;
        ret_place->column = parser->mark.column + 1;
    }
    return err_set(err, ERR_INPUT, "this is not YAML: %s%s%s",
                   parser->context ? parser->context : "", parser->context ? ", " : "",
                   parser->problem ? parser->problem : "it cannot be read");
}

int tree_parse(const char *bytes, size_t len, struct tree_node **ret_root,
               struct tree_place *ret_place, struct err *err)
{
    struct builder builder = { 0 };
    yaml_parser_t parser;
    int rc = 0;

    if (!yaml_parser_initialize(&parser))
        return err_set(err, ERR_SYSTEM, "libyaml has no memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, len);
    while (rc == 0 && !builder.is_done) {
        yaml_event_t event;

        if (!yaml_parser_parse(&parser, &event)) {
            rc = fail_parser(&parser, ret_place, err);
            break;
        }
        rc = take_event(&builder, &event, err);
        if (rc < 0)
            *ret_place =
                (struct tree_place){ event.start_mark.line + 1, event.start_mark.column + 1 };
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    tree_free(builder.key);
    if (rc < 0) {
        tree_free(builder.root);
        return -1;
    }
    if (!builder.root) {
        builder.root = xcalloc(1, sizeof(*builder.root));
        builder.root->line = builder.root->column = 1;
    }
    *ret_root = builder.root;
    return 0;
}

/* Whether the text means itself without quotes, whatever reads it. */
static bool is_plain(const char *text)
{
    static const char *const words[] = { "true", "false", "yes", "no",  "on",
                                         "off",  "y",     "n",   "null" };

    if (!isalnum((unsigned char)*text) && *text != '/')
        return false;
    for (const char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("_./-", *c))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return false;
    }
    return true;
}

void tree_print_text(struct buf *out, const char *text)
{
    if (is_plain(text)) {
        buf_append_text(out, text);
        return;
    }
    buf_append_char(out, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_printf(out, "\\%c", *c);
        else if (*c == '\n')
            buf_append_text(out, "\\n");
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            buf_printf(out, "\\x%02x", (unsigned char)*c);
        else
            buf_append_char(out, *c);
    }
    buf_append_char(out, '"');
}
