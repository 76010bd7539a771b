#include "config/loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "config/environment.h"
#include "config/option.h"
#include "config/setting.h"

#define EXPANDED_MAX_BYTES 65536
#define PHRASE_MAX_BYTES   2048
#define CHANNELS_KEY       "channels"

void loader_init(struct loader *loader, const char *path, bool needs_slack,
                 struct config *config, struct buf *problems)
{
    *loader = (struct loader){
        .path = path, .needs_slack = needs_slack, .config = config, .problems = problems
    };
    loader->seen = xcalloc(option_count, sizeof(*loader->seen));
}

void loader_deinit(struct loader *loader)
{
    free(loader->seen);
    loader->seen = NULL;
}

void loader_problem(struct loader *loader, struct tree_place place, const char *key,
                    const char *format, ...)
{
    AUTO_FREE char *what = NULL;
    AUTO_BUF struct buf line = { 0 };
    va_list args;

    va_start(args, format);
    what = xvasprintf(format, args);
    va_end(args);
    log_mask_secrets(what); /* a token in the wrong place is quoted like any other value */
    buf_init(&line, strlen(loader->path) + strlen(key) + strlen(what) + 64);
    buf_append_text(&line, loader->path);
    if (place.line)
        buf_printf(&line, ":%zu:%zu", place.line, place.column);
    buf_printf(&line, ": %s%s%s\n", key, *key ? ": " : "", what);
    buf_append_text(loader->problems, buf_text(&line));
    loader->problems_count++;
}

static struct tree_place place_of(const struct tree_node *node)
{
    return (struct tree_place){ node->line, node->column };
}

/* The problem "<wrong>, accepted: <what the option takes>". */
static void refuse(struct loader *loader, const struct tree_node *node, const char *key,
                   const struct option *option, const char *wrong)
{
    AUTO_BUF struct buf accepted = { 0 };

    buf_init(&accepted, PHRASE_MAX_BYTES);
    setting_print_accepted(option, &accepted);
    loader_problem(loader, place_of(node), key, "%s, accepted: %s", wrong, buf_text(&accepted));
}

/* Expands ${NAME}; on -1 the problem has been told, unless it is a token that nobody needs. */
static int expand(struct loader *loader, const struct tree_node *node, const char *key,
                  const struct option *option, struct buf *out)
{
    struct err err = { 0 };

    buf_init(out, EXPANDED_MAX_BYTES);
    if (environment_expand(node->text, option->is_secret, out, &err) == 0 &&
        buf_finish(out, &err) == 0)
        return 0;
    if (err.kind != ERR_TEMP || !option->is_secret || loader->needs_slack)
        refuse(loader, node, key, option, err.message);
    return -1;
}

static void apply_text(struct loader *loader, const struct tree_node *node, const char *key,
                       const struct option *option, void *base)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_BUF struct buf wrong = { 0 };

    buf_init(&wrong, PHRASE_MAX_BYTES);
    if (node->kind == TREE_NONE) {
        refuse(loader, node, key, option, "has no value");
        return;
    }
    if (node->kind != TREE_TEXT) {
        refuse(loader, node, key, option,
               node->kind == TREE_LIST ? "is a list" : "is a section");
        return;
    }
    if (expand(loader, node, key, option, &text) < 0)
        return;
    if (setting_set(option, base, buf_text(&text), &wrong) < 0)
        refuse(loader, node, key, option, buf_text(&wrong));
    else if (option->is_secret)
        log_add_secret(buf_text(&text));
}

static bool apply_item(struct loader *loader, const struct tree_node *node, const char *key,
                       const struct option *option, char **ret_item)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_BUF struct buf wrong = { 0 };

    buf_init(&wrong, PHRASE_MAX_BYTES);
    if (node->kind != TREE_TEXT) {
        refuse(loader, node, key, option, "holds something that is not a text");
        return false;
    }
    if (expand(loader, node, key, option, &text) < 0)
        return false;
    if (setting_check_item(option, buf_text(&text), &wrong) < 0) {
        refuse(loader, node, key, option, buf_text(&wrong));
        return false;
    }
    *ret_item = buf_take(&text);
    return true;
}

static void apply_list(struct loader *loader, const struct tree_node *node, const char *key,
                       const struct option *option, void *base)
{
    char **items;
    size_t count = 0;
    bool is_good = true;

    if (node->kind != TREE_LIST) {
        /* Nothing written is refused too: for a list of who is allowed, empty means everyone.
         */
        refuse(loader, node, key, option,
               node->kind == TREE_NONE ? "has no value (an empty list is written [])"
                                       : "is not a list");
        return;
    }
    if (node->count < (size_t)option->min) {
        refuse(loader, node, key, option, "is empty");
        return;
    }
    items = xcalloc(node->count + 1, sizeof(*items));
    for (size_t i = 0; i < node->count; i++) {
        if (apply_item(loader, node->values[i], key, option, &items[count]))
            count++;
        else
            is_good = false;
    }
    if (is_good)
        setting_set_list(option, base, (const char *const *)items, count);
    for (size_t i = 0; i < count; i++)
        free(items[i]);
    free((void *)items);
}

static void apply_option(struct loader *loader, const struct tree_node *node, const char *key,
                         const struct option *option, void *base)
{
    if (option->type == OPTION_LIST)
        apply_list(loader, node, key, option, base);
    else
        apply_text(loader, node, key, option, base);
}

/* Whether the key at `index` of the map was there before; tells the problem. */
static bool is_repeated(struct loader *loader, const struct tree_node *map, size_t index,
                        const char *key)
{
    const struct tree_node *name = map->keys[index];

    for (size_t i = 0; i < index; i++) {
        if (strcmp(map->keys[i]->text, name->text) == 0) {
            loader_problem(loader, place_of(name), key,
                           "is given twice (first in line %zu), accepted: once",
                           map->keys[i]->line);
            return true;
        }
    }
    return false;
}

/* A key as it may be shown in a message: cut, on one line. */
static char *shown_key(const char *section, const char *name)
{
    AUTO_BUF struct buf shown = { 0 };

    buf_init(&shown, 400);
    buf_printf(&shown, "%s%s", section, *section ? "." : "");
    for (size_t i = 0; i < 64 && name[i]; i++)
        buf_append(&shown, (unsigned char)name[i] < 0x20 ? "?" : &name[i], 1);
    return buf_take(&shown);
}

static void apply_channel(struct loader *loader, const struct tree_node *name,
                          const struct tree_node *map)
{
    struct config *config = loader->config;
    struct config_channel *channel;
    AUTO_FREE char *section = shown_key(CHANNELS_KEY, name->text);
    const char *why = value_check_channel(name->text);

    if (why) {
        loader_problem(loader, place_of(name), section,
                       "%s, accepted: a channel id such as C012AB3CD", why);
        return;
    }
    if (map->kind != TREE_MAP) {
        loader_problem(loader, place_of(map), section,
                       "has no options inside, accepted: such as { mode: write }");
        return;
    }
    config->channels =
        xrealloc(config->channels, config->channels_count + 1, sizeof(*config->channels));
    channel = &config->channels[config->channels_count++];
    *channel = (struct config_channel){ .id = xstrdup(name->text) };
    for (size_t i = 0; i < map->count; i++) {
        AUTO_FREE char *key = shown_key(section, map->keys[i]->text);
        const struct option *option =
            option_find(option_channel_table, option_channel_count, map->keys[i]->text);

        if (is_repeated(loader, map, i, key))
            continue;
        if (!option) {
            loader_problem(loader, place_of(map->keys[i]), key,
                           "is not an option of a channel, the nearest one is %s",
                           option_find_nearest(option_channel_table, option_channel_count,
                                               map->keys[i]->text));
            continue;
        }
        apply_option(loader, map->values[i], key, option, channel);
        if (strcmp(option->key, "mode") == 0)
            channel->has_mode = true;
    }
}

static void apply_channels(struct loader *loader, const struct tree_node *map)
{
    if (map->kind == TREE_NONE)
        return;
    if (map->kind != TREE_MAP) {
        loader_problem(loader, place_of(map), CHANNELS_KEY,
                       "is not a section, accepted: channel ids with their options inside");
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        AUTO_FREE char *key = shown_key(CHANNELS_KEY, map->keys[i]->text);

        if (!is_repeated(loader, map, i, key))
            apply_channel(loader, map->keys[i], map->values[i]);
    }
}

static void apply_section(struct loader *loader, const struct tree_node *map,
                          const char *section)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct tree_node *value = map->values[i];
        AUTO_FREE char *key = shown_key(section, map->keys[i]->text);
        const struct option *option = option_find(option_table, option_count, key);

        if (is_repeated(loader, map, i, key))
            continue;
        if (option) {
            struct loader_seen *seen = &loader->seen[option - option_table];
            size_t problems_count = loader->problems_count;

            apply_option(loader, value, key, option, loader->config);
            *seen = (struct loader_seen){ place_of(value),
                                          loader->problems_count > problems_count };
        } else if (strcmp(key, CHANNELS_KEY) == 0) {
            apply_channels(loader, value);
        } else if (!option_find_section(key)) {
            loader_problem(loader, place_of(map->keys[i]), key,
                           "is not an option, the nearest one is %s",
                           option_find_nearest(option_table, option_count, key));
        } else if (value->kind == TREE_MAP) {
            apply_section(loader, value, key);
        } else if (value->kind != TREE_NONE) { /* all its options commented out is fine */
            loader_problem(loader, place_of(value), key,
                           "is a section, accepted: options inside it");
        }
    }
}

void loader_apply_tree(struct loader *loader, const struct tree_node *root)
{
    if (root->kind == TREE_MAP)
        apply_section(loader, root, "");
    else if (root->kind != TREE_NONE)
        loader_problem(loader, place_of(root), "",
                       "the file is not a map of options, accepted: such as slack: { ... }");
}

void loader_apply_presets(struct loader *loader)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const char *preset = option->preset ? option->preset : "\"\"";
        struct tree_node *node = NULL;
        struct tree_place place;

        if (tree_parse(preset, strlen(preset), &node, &place, NULL) == 0)
            apply_option(loader, node, option->key, option, loader->config);
        tree_free(node);
    }
}

void loader_apply_environment(struct loader *loader)
{
    static const struct tree_place nowhere = { 0 };
    const char *path = loader->path;

    loader->path = "environment"; /* where these problems are */
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const char *value = option->variable ? environment_get(option->variable) : NULL;
        AUTO_BUF struct buf wrong = { 0 };
        AUTO_BUF struct buf accepted = { 0 };
        AUTO_FREE char *seconds = NULL;

        buf_init(&wrong, PHRASE_MAX_BYTES);
        buf_init(&accepted, PHRASE_MAX_BYTES);
        /* Elsewhere SESSION_TTL=3600 means seconds. */
        if (value && option->type == OPTION_DURATION && *value &&
            value[strspn(value, "0123456789")] == '\0') {
            seconds = xasprintf("%ss", value);
            value = seconds;
        }
        if (!value || !*value || setting_set(option, loader->config, value, &wrong) == 0)
            continue;
        setting_print_accepted(option, &accepted);
        loader_problem(loader, nowhere, option->variable, "%s (it overrides %s), accepted: %s",
                       buf_text(&wrong), option->key, buf_text(&accepted));
    }
    loader->path = path;
}
