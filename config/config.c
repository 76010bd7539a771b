#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "config/check.h"
#include "config/environment.h"
#include "config/loader.h"
#include "config/option.h"
#include "config/setting.h"
#include "config/tree.h"

#define FILE_MAX_BYTES (1 << 20)

static void channel_deinit(struct config_channel *channel)
{
    for (size_t i = 0; i < option_channel_count; i++)
        setting_free(&option_channel_table[i], channel);
    free(channel->id);
}

static void config_free(struct config *config)
{
    for (size_t i = 0; i < option_count; i++)
        setting_free(&option_table[i], config);
    for (size_t i = 0; i < config->channels_count; i++)
        channel_deinit(&config->channels[i]);
    free(config->channels);
    free(config->path);
    free(config);
}

struct config *config_ref(struct config *config)
{
    __atomic_add_fetch(&config->ref_count, 1, __ATOMIC_RELAXED);
    return config;
}

void config_unref(struct config *config)
{
    if (config && __atomic_sub_fetch(&config->ref_count, 1, __ATOMIC_ACQ_REL) == 0)
        config_free(config);
}

/* Slack's method names are put behind it. */
static void end_in_slash(char **url)
{
    size_t len = strlen(*url);

    if (len && (*url)[len - 1] == '/')
        return;
    *url = xrealloc(*url, len + 2, 1);
    memcpy(*url + len, "/", 2);
}

static void apply(struct loader *loader, const struct buf *text)
{
    struct tree_node *root = NULL;
    struct tree_place place = { 1, 1 };
    struct err err = { 0 };

    loader_apply_presets(loader);
    if (tree_parse(buf_text(text), text->len, &root, &place, &err) < 0) {
        loader_problem(loader, place, "", "%s", err.message);
        return;
    }
    loader_apply_tree(loader, root);
    tree_free(root);
    loader_apply_environment(loader);
    check_read_tokens(loader);
    check_whole(loader);
    end_in_slash(&loader->config->slack.api_url);
}

int config_load(const char *path, bool needs_slack, struct config **ret_config,
                struct buf *problems, struct err *err)
{
    struct config *config;
    struct loader loader;
    AUTO_BUF struct buf text = { 0 };
    size_t problems_count;

    buf_init(&text, FILE_MAX_BYTES);
    if (file_read(path, &text, err) < 0) {
        buf_printf(problems, "%s: %s\n", path, err ? err->message : "cannot be read");
        return -1;
    }
    config = xcalloc(1, sizeof(*config));
    config->ref_count = 1;
    config->path = xstrdup(path);
    loader_init(&loader, path, needs_slack, config, problems);
    apply(&loader, &text);
    problems_count = loader.problems_count;
    loader_deinit(&loader);
    if (text.data)
        explicit_bzero(text.data, text.len); /* it may hold tokens */
    if (problems_count) {
        config_unref(config);
        return err_set(err, ERR_INPUT, "%s: %zu problem%s", path, problems_count,
                       problems_count == 1 ? "" : "s");
    }
    *ret_config = config;
    return 0;
}

const struct config_channel *config_find_channel(const struct config *config, const char *id)
{
    for (size_t i = 0; i < config->channels_count; i++) {
        if (strcmp(config->channels[i].id, id) == 0)
            return &config->channels[i];
    }
    return NULL;
}

void config_hide_secrets_from_environment(void)
{
    environment_hide_secrets();
}

void config_each_secret(const struct config *config, config_secret_fn on_secret, void *context)
{
    for (size_t i = 0; i < option_count; i++) {
        const char *text = option_table[i].is_secret && option_table[i].type == OPTION_TEXT
                               ? setting_text(&option_table[i], config)
                               : NULL;

        if (text && *text)
            on_secret(context, "", text);
    }
    environment_each_secret(on_secret, context);
    for (size_t i = 0; i < config->agent.env.count; i++) {
        const char *name = config->agent.env.items[i];
        const char *value = environment_get(name);

        if (value && *value)
            on_secret(context, name, value);
    }
}
