#include "slack/manifest.h"

#include <jansson.h>
#include <yaml.h>

#include "tests/test.h"

#define MANIFEST_MAX_BYTES 65536

static json_t *manifest_as_json(void)
{
    AUTO_BUF struct buf out = { 0 };
    json_error_t why;
    json_t *root;

    buf_init(&out, MANIFEST_MAX_BYTES);
    slack_manifest_print(true, &out);
    root = json_loads(buf_text(&out), JSON_REJECT_DUPLICATES, &why);
    if (!root)
        fail_msg("line %d: %s in\n%s", why.line, why.text, buf_text(&out));
    return root;
}

/* Plain scalars that YAML reads as something else than text; enough for a manifest. */
static json_t *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;

    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            return json_boolean(*text == 't');
        if (strspn(text, "0123456789") == strlen(text))
            return json_integer(strtol(text, NULL, 10));
    }
    return json_string(text);
}

static json_t *yaml_to_json(yaml_document_t *document, const yaml_node_t *node)
{
    json_t *out;

    if (node->type == YAML_SCALAR_NODE)
        return scalar(node);
    if (node->type == YAML_SEQUENCE_NODE) {
        out = json_array();
        for (const yaml_node_item_t *item = node->data.sequence.items.start;
             item < node->data.sequence.items.top; item++)
            json_array_append_new(
                out, yaml_to_json(document, yaml_document_get_node(document, *item)));
        return out;
    }
    out = json_object();
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);

        json_object_set_new(
            out, (const char *)key->data.scalar.value,
            yaml_to_json(document, yaml_document_get_node(document, pair->value)));
    }
    return out;
}

static json_t *manifest_as_yaml(void)
{
    AUTO_BUF struct buf out = { 0 };
    yaml_parser_t parser;
    yaml_document_t document;
    json_t *root;

    buf_init(&out, MANIFEST_MAX_BYTES);
    slack_manifest_print(false, &out);
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)out.data, out.len);
    if (!yaml_parser_load(&parser, &document))
        fail_msg("%s at line %zu in\n%s", parser.problem, parser.problem_mark.line, out.data);
    root = yaml_to_json(&document, yaml_document_get_root_node(&document));
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return root;
}

static void yaml_and_json_say_the_same(void **state)
{
    json_auto_t *json = manifest_as_json();
    json_auto_t *yaml = manifest_as_yaml();

    (void)state;
    assert_true(json_equal(json, yaml));
}

static const char *text_at(const json_t *root, const char *a, const char *b, const char *c)
{
    root = json_object_get(json_object_get(root, a), b);
    return json_string_value(c ? json_object_get(root, c) : root);
}

static void texts_keep_within_slacks_limits(void **state)
{
    static const struct {
        const char *path[3];
        size_t max;
    } cases[] = {
        { { "display_information", "name", NULL }, 35 },
        { { "display_information", "description", NULL }, 140 },
        { { "features", "bot_user", "display_name" }, 80 },
        { { "features", "agent_view", "agent_description" }, 300 },
    };
    json_auto_t *root = manifest_as_json();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *text = text_at(root, cases[i].path[0], cases[i].path[1], cases[i].path[2]);

        size_t len = text ? strlen(text) : 0;

        CHECK_INT(len > 0 && len <= cases[i].max, true, cases[i].path[1]);
    }
}

static void only_known_keys_stand_at_the_top(void **state)
{
    static const char *const known[] = { "_metadata", "display_information", "features",
                                         "oauth_config", "settings" };
    json_auto_t *root = manifest_as_json();
    size_t found = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        found += json_is_object(json_object_get(root, known[i]));
    CHECK_INT(found, ARRAY_LEN(known), "each is there");
    CHECK_INT(json_object_size(root), ARRAY_LEN(known), "Slack refuses unknown keys");
}

static bool holds(const json_t *list, const char *text)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (strcmp(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

static void every_event_has_the_scope_that_slack_wants_for_it(void **state)
{
    static const struct {
        const char *event;
        const char *scope;
    } cases[] = {
        { "app_mention", "app_mentions:read" },
        { "message.channels", "channels:history" },
        { "message.groups", "groups:history" },
        { "message.im", "im:history" },
        { "message.mpim", "mpim:history" },
        { "agent_session_stopped", "chat:write" },
        { "reaction_added", "reactions:read" },
        { "app_uninstalled", NULL },
        { "tokens_revoked", NULL },
    };
    json_auto_t *root = manifest_as_json();
    const json_t *settings = json_object_get(root, "settings");
    const json_t *events =
        json_object_get(json_object_get(settings, "event_subscriptions"), "bot_events");
    const json_t *scopes = json_object_get(
        json_object_get(json_object_get(root, "oauth_config"), "scopes"), "bot");

    (void)state;
    CHECK_INT(json_array_size(events), ARRAY_LEN(cases), "no event is subscribed in vain");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(holds(events, cases[i].event), true, cases[i].event);
        CHECK_INT(!cases[i].scope || holds(scopes, cases[i].scope), true, cases[i].event);
    }
    CHECK_INT(json_is_true(json_object_get(settings, "socket_mode_enabled")), true, "");
    CHECK_INT(json_is_false(json_object_get(settings, "token_rotation_enabled")), true,
              "a rotating token would expire after twelve hours");
    CHECK_INT(
        json_is_true(json_object_get(json_object_get(settings, "interactivity"), "is_enabled")),
        true, "the Retry button");
}

static void missing_scopes_are_named(void **state)
{
    static const struct {
        const char *granted;
        const char *want;
        unsigned count;
    } cases[] = {
        { "files:read,files:write,app_mentions:read,chat:write,reactions:read,reactions:write,"
          "users:read,"
          "channels:history,"
          "groups:history,im:history,mpim:history",
          "", 0 },
        { "files:write,identify, files:read, chat:write "
          ",mpim:history,reactions:read,app_mentions:read,users:read,channels:history,"
          "groups:history,im:history",
          "reactions:write", 1 },
        { "app_mentions:read,chat:write.public,reactions:write,reactions:read,users:read.email,"
          "files:read,files:write,"
          "channels:history,groups:history,im:history,mpim:history",
          "chat:write, users:read", 2 },
        { "",
          "app_mentions:read, chat:write, reactions:read, reactions:write, users:read, "
          "files:read, files:write, channels:history, "
          "groups:history, im:history, mpim:history",
          11 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 1024);
        CHECK_INT(slack_manifest_missing_scopes(cases[i].granted, &out), cases[i].count,
                  cases[i].granted);
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].granted);
    }
}

TEST_MAIN(TEST(yaml_and_json_say_the_same), TEST(texts_keep_within_slacks_limits),
          TEST(only_known_keys_stand_at_the_top),
          TEST(every_event_has_the_scope_that_slack_wants_for_it),
          TEST(missing_scopes_are_named))
