#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/option.h"
#include "config/setting.h"
#include "config/tree.h"

#define LINE_COLUMNS 96

static const char example_head[] =
    "# threadkeeper.yaml - every option with its default. Only the two tokens must be set; "
    "what\n"
    "# is left out keeps its default.\n"
    "#\n"
    "# Durations: 500ms 30s 15m 24h 30d. Sizes: 64KiB 64MiB 1GiB. ${NAME} stands for an\n"
    "# environment variable, $${ for a plain ${. `threadkeeper check` tells what is wrong with "
    "a\n"
    "# configuration; `systemctl reload threadkeeper` brings a changed one into force, except "
    "for\n"
    "# the options marked (restart).\n";

static const char *const channels_help =
    "What differs in one channel. The key is the channel's id.";

static size_t depth_of(const char *key)
{
    size_t depth = 0;

    for (; (key = strchr(key, '.')) != NULL; key++)
        depth++;
    return depth;
}

static const char *name_of(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

static void indent(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        buf_append_text(out, "  ");
}

/* Wraps `text` into comment lines. */
static void print_comment(struct buf *out, size_t depth, const char *text)
{
    size_t room = LINE_COLUMNS - 2 * depth - 2;

    while (*text) {
        size_t len = strlen(text);

        if (len > room) {
            len = room;
            while (len && text[len] != ' ')
                len--;
        }
        indent(out, depth);
        buf_printf(out, "# %.*s\n", (int)len, text);
        text += len + (text[len] == ' ');
    }
}

/* Opens the sections that `key` is in and `before` was not. */
static void open_sections(struct buf *out, const char *before, const char *key, bool with_help)
{
    for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - key);
        AUTO_FREE char *section = xstrndup(key, len);
        size_t depth = depth_of(section);

        if (strncmp(before, key, len + 1) == 0)
            continue;
        if (with_help) {
            buf_append_char(out, '\n');
            print_comment(out, depth, option_find_section(section)->help);
        }
        indent(out, depth);
        buf_printf(out, "%s:\n", name_of(section));
    }
}

/* The help of an option, what it accepts and what else there is to know about it. */
static void print_help(const struct option *option, struct buf *out)
{
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, 4096);
    buf_printf(&text, "%s Accepted: ", option->help);
    setting_print_accepted(option, &text);
    buf_append_char(&text, '.');
    if (option->variable)
        buf_printf(&text, " The environment variable %s overrides it.", option->variable);
    if (option->needs_restart)
        buf_append_text(&text, " (restart)");
    print_comment(out, depth_of(option->key), buf_text(&text));
}

static void print_channels_example(struct buf *out)
{
    buf_append_char(out, '\n');
    print_comment(out, 0, channels_help);
    buf_append_text(out, "channels:\n  # C012AB3CD:\n");
    for (size_t i = 0; i < option_channel_count; i++)
        buf_printf(out, "  #   %s: %s # %s\n", option_channel_table[i].key,
                   option_channel_table[i].example, option_channel_table[i].help);
}

void config_print_example(struct buf *out)
{
    const char *before = "";

    buf_append_text(out, example_head);
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const char *value = option->example ? option->example : option->preset;
        bool is_left_out = !option->preset && !option->is_secret;

        if (strcmp(option->key, "memory.scope") == 0)
            print_channels_example(out);
        open_sections(out, before, option->key, true);
        if (!strchr(option->key, '.'))
            buf_append_char(out, '\n');
        print_help(option, out);
        indent(out, depth_of(option->key));
        buf_printf(out, "%s%s: %s\n", is_left_out ? "# " : "", name_of(option->key), value);
        before = option->key;
    }
}

static void print_channel(const struct config_channel *channel, struct buf *out)
{
    buf_printf(out, "  %s: {", channel->id);
    for (size_t i = 0, shown = 0; i < option_channel_count; i++) {
        const struct option *option = &option_channel_table[i];

        if (!setting_is_set(option, channel) ||
            (option->type == OPTION_CHOICE && !channel->has_mode))
            continue;
        buf_printf(out, "%s %s: ", shown++ ? "," : "", option->key);
        setting_print(option, channel, out);
    }
    buf_append_text(out, " }\n");
}

static void print_channels(const struct config *config, struct buf *out)
{
    buf_append_text(out, config->channels_count ? "channels:\n" : "channels: {}\n");
    for (size_t i = 0; i < config->channels_count; i++)
        print_channel(&config->channels[i], out);
}

/* A token that came from a file is shown by its file, so that the listing loads again. */
static bool is_shown(const struct config *config, const struct option *option)
{
    if (option->offset == offsetof(struct config, slack.app_token))
        return !*config->slack.app_token_file;
    if (option->offset == offsetof(struct config, slack.bot_token))
        return !*config->slack.bot_token_file;
    return true;
}

void config_print_effective(const struct config *config, struct buf *out)
{
    const char *before = "";

    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];

        if (!is_shown(config, option))
            continue;
        if (strcmp(option->key, "memory.scope") == 0)
            print_channels(config, out);
        open_sections(out, before, option->key, false);
        indent(out, depth_of(option->key));
        buf_printf(out, "%s: ", name_of(option->key));
        setting_print(option, config, out);
        buf_append_char(out, '\n');
        before = option->key;
    }
}

static void add_name(struct buf *names, const char *name)
{
    buf_printf(names, "%s%s", names->len ? ", " : "", name);
}

static bool equal_channels(const struct config *before, const struct config *after)
{
    if (before->channels_count != after->channels_count)
        return false;
    for (size_t i = 0; i < after->channels_count; i++) {
        const struct config_channel *now = &after->channels[i];
        const struct config_channel *old = config_find_channel(before, now->id);

        if (!old || old->has_mode != now->has_mode)
            return false;
        for (size_t j = 0; j < option_channel_count; j++) {
            if (!setting_equals(&option_channel_table[j], old, now))
                return false;
        }
    }
    return true;
}

void config_compare(const struct config *before, const struct config *after,
                    struct buf *applied, struct buf *needs_restart)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];

        if (!setting_equals(option, before, after))
            add_name(option->needs_restart ? needs_restart : applied, option->key);
    }
    if (!equal_channels(before, after))
        add_name(applied, "channels");
}
