#include "slack/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Every scope in use, and what would not work without it. */
static const struct {
    const char *scope;
    const char *use;
} scopes[] = {
    { "app_mentions:read", "event app_mention" },
    { "chat:write", "chat.*, streams, statuses, event agent_session_stopped" },
    { "reactions:read", "event reaction_added: a stop sign on a question or an answer" },
    { "reactions:write", "reactions.add, reactions.remove" },
    { "users:read", "users.info: who is a guest, a bot, or deleted" },
    { "files:read", "files that people send: their download, files.info" },
    { "files:write", "files.getUploadURLExternal, files.completeUploadExternal" },
    { "channels:history", "event message.channels, conversations.replies and history" },
    { "groups:history", "event message.groups, conversations.replies and history" },
    { "im:history", "event message.im, conversations.replies and history" },
    { "mpim:history", "event message.mpim, conversations.replies and history" },
};

/* Every event in use; those without a scope of their own need none. */
static const char *const events[] = {
    "app_mention",    "message.channels", "message.groups",
    "message.im",     "message.mpim",     "agent_session_stopped",
    "reaction_added", "app_uninstalled",  "tokens_revoked",
};

/*
 * One value of the manifest, by its place. Lists are named by `list`. The order is that of the
 * printed manifest; a key's parents are printed when they change.
 */
enum value_kind { VALUE_TEXT, VALUE_LITERAL, VALUE_SCOPES, VALUE_EVENTS };

static const struct entry {
    const char *path[4]; /* ended by NULL */
    enum value_kind kind;
    const char *value;
} entries[] = {
    { { "_metadata", "major_version" }, VALUE_LITERAL, "1" },
    { { "_metadata", "minor_version" }, VALUE_LITERAL, "1" },
    { { "display_information", "name" }, VALUE_TEXT, "threadkeeper" },
    { { "display_information", "description" },
      VALUE_TEXT,
      "A coding agent in Slack that remembers every conversation" },
    { { "display_information", "background_color" }, VALUE_TEXT, "#1f2937" },
    { { "features", "app_home", "home_tab_enabled" }, VALUE_LITERAL, "false" },
    { { "features", "app_home", "messages_tab_enabled" }, VALUE_LITERAL, "true" },
    { { "features", "app_home", "messages_tab_read_only_enabled" }, VALUE_LITERAL, "false" },
    { { "features", "bot_user", "display_name" }, VALUE_TEXT, "threadkeeper" },
    { { "features", "bot_user", "always_online" }, VALUE_LITERAL, "true" },
    { { "features", "agent_view", "agent_description" },
      VALUE_TEXT,
      "Runs a coding agent on our own host, streams its answer into the thread and remembers "
      "what was said." },
    { { "oauth_config", "scopes", "bot" }, VALUE_SCOPES, NULL },
    { { "settings", "event_subscriptions", "bot_events" }, VALUE_EVENTS, NULL },
    { { "settings", "interactivity", "is_enabled" }, VALUE_LITERAL, "true" },
    { { "settings", "org_deploy_enabled" }, VALUE_LITERAL, "false" },
    { { "settings", "socket_mode_enabled" }, VALUE_LITERAL, "true" },
    { { "settings", "token_rotation_enabled" }, VALUE_LITERAL, "false" },
};

static size_t depth_of(const struct entry *entry)
{
    size_t depth = 0;

    while (depth < ARRAY_LEN(entry->path) && entry->path[depth])
        depth++;
    return depth;
}

/* How many leading keys two entries share, the last one excepted. */
static size_t shared_depth(const struct entry *a, const struct entry *b)
{
    size_t shared = 0;

    while (shared + 1 < depth_of(a) && shared + 1 < depth_of(b) &&
           strcmp(a->path[shared], b->path[shared]) == 0)
        shared++;
    return shared;
}

static void indent(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        buf_append_text(out, "  ");
}

static const char *list_item(enum value_kind kind, size_t i)
{
    if (kind == VALUE_SCOPES)
        return i < ARRAY_LEN(scopes) ? scopes[i].scope : NULL;
    return i < ARRAY_LEN(events) ? events[i] : NULL;
}

static void print_list(const struct entry *entry, size_t depth, bool as_json, struct buf *out)
{
    const char *item;

    if (as_json)
        buf_append_char(out, '[');
    for (size_t i = 0; (item = list_item(entry->kind, i)); i++) {
        buf_append_text(out, as_json && i ? ",\n" : "\n");
        indent(out, depth + 1);
        buf_printf(out, as_json ? "\"%s\"" : "- %s", item);
        if (!as_json && entry->kind == VALUE_SCOPES)
            buf_printf(out, " # %s", scopes[i].use);
    }
    if (as_json) {
        buf_append_char(out, '\n');
        indent(out, depth);
        buf_append_char(out, ']');
    }
}

static void print_value(const struct entry *entry, size_t depth, bool as_json, struct buf *out)
{
    switch (entry->kind) {
    case VALUE_TEXT: /* no quotes or backslashes in the table, so both notations agree */
        buf_printf(out, " \"%s\"", entry->value);
        break;
    case VALUE_LITERAL:
        buf_printf(out, " %s", entry->value);
        break;
    case VALUE_SCOPES:
    case VALUE_EVENTS:
        if (as_json)
            buf_append_char(out, ' ');
        print_list(entry, depth, as_json, out);
        break;
    }
}

static void print_key(const char *key, size_t depth, bool as_json, struct buf *out)
{
    indent(out, depth);
    buf_printf(out, as_json ? "\"%s\":" : "%s:", key);
}

static void close_objects(size_t from, size_t to, struct buf *out)
{
    for (size_t depth = from; depth > to; depth--) {
        buf_append_char(out, '\n');
        indent(out, depth);
        buf_append_char(out, '}');
    }
}

void slack_manifest_print(bool as_json, struct buf *out)
{
    size_t base = as_json ? 1 : 0; /* JSON has an outer object */

    if (as_json)
        buf_append_text(out, "{\n");
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        const struct entry *entry = &entries[i];
        size_t last = depth_of(entry) - 1;
        size_t shared = i ? shared_depth(&entries[i - 1], entry) : 0;

        if (i && as_json) {
            close_objects(depth_of(&entries[i - 1]) - 1, shared, out);
            buf_append_text(out, ",\n");
        }
        for (size_t depth = shared; depth < last; depth++) {
            print_key(entry->path[depth], base + depth, as_json, out);
            buf_append_text(out, as_json ? " {\n" : "\n");
        }
        print_key(entry->path[last], base + last, as_json, out);
        print_value(entry, base + last, as_json, out);
        if (!as_json)
            buf_append_char(out, '\n');
    }
    if (as_json) {
        close_objects(depth_of(&entries[ARRAY_LEN(entries) - 1]) - 1, 0, out);
        buf_append_text(out, "\n}\n");
    }
}

static bool is_granted(const char *granted, const char *scope)
{
    size_t len = strlen(scope);

    while (*granted) {
        size_t item;

        granted += strspn(granted, ", ");
        item = strcspn(granted, ", ");
        if (item == len && memcmp(granted, scope, len) == 0)
            return true;
        granted += item;
    }
    return false;
}

unsigned slack_manifest_missing_scopes(const char *granted, struct buf *out)
{
    unsigned missing = 0;

    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        if (is_granted(granted, scopes[i].scope))
            continue;
        buf_printf(out, "%s%s", missing ? ", " : "", scopes[i].scope);
        missing++;
    }
    return missing;
}
