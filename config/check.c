#include "config/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "config/environment.h"
#include "config/option.h"
#include "config/setting.h"

#define TOKEN_FILE_MAX_BYTES 4096
#define CREDENTIAL_STORE     "/etc/credstore" /* where systemd takes credentials from */

static const struct option *option_of(const char *key)
{
    return option_find(option_table, option_count, key);
}

static const struct loader_seen *seen_of(const struct loader *loader, const char *key)
{
    return &loader->seen[option_of(key) - option_table];
}

static struct tree_place place_of(const struct loader *loader, const char *key)
{
    return seen_of(loader, key)->place;
}

/*
 * Relative to $CREDENTIALS_DIRECTORY when systemd set one, else to the configuration's folder.
 * What is not there may be in systemd's store: a command that root gives by hand then has the
 * token that the daemon has.
 */
static char *resolve_path(const struct loader *loader, const char *path)
{
    const char *credentials = environment_get("CREDENTIALS_DIRECTORY");
    const char *slash = strrchr(loader->path, '/');
    AUTO_FREE char *beside = NULL;
    AUTO_FREE char *stored = NULL;

    if (*path == '/')
        return xstrdup(path);
    if (credentials && *credentials)
        return xasprintf("%s/%s", credentials, path);
    beside = slash ? xasprintf("%.*s/%s", (int)(slash - loader->path), loader->path, path)
                   : xstrdup(path);
    stored = xasprintf(CREDENTIAL_STORE "/%s", path);
    if (access(beside, F_OK) < 0 && access(stored, F_OK) == 0)
        return take_ptr(&stored);
    return take_ptr(&beside);
}

/* A FIFO or a device in that place could stall the daemon or never end. */
static int read_small_file(const char *path, struct buf *out, struct err *err)
{
    struct stat info;

    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return err_set(err, ERR_INPUT, "%s is not a regular file", path);
    return file_read(path, out, err);
}

static void read_token(struct loader *loader, const char *token_key, const char *file_key,
                       const char *file)
{
    AUTO_FREE char *path = resolve_path(loader, file);
    AUTO_BUF struct buf token = { 0 };
    AUTO_BUF struct buf wrong = { 0 };
    struct err err = { 0 };

    buf_init(&token, TOKEN_FILE_MAX_BYTES);
    buf_init(&wrong, TOKEN_FILE_MAX_BYTES);
    if (read_small_file(path, &token, &err) < 0) {
        if (loader->needs_slack)
            loader_problem(loader, place_of(loader, file_key), file_key,
                           "%s, accepted: a file that holds the token", err.message);
        return;
    }
    while (token.len && strchr("\r\n", buf_text(&token)[token.len - 1]))
        buf_truncate(&token, token.len - 1);
    if (!token.len || strlen(buf_text(&token)) != token.len)
        loader_problem(loader, place_of(loader, file_key), file_key,
                       "%s holds %s, accepted: a file that holds the token and nothing else",
                       path, token.len ? "a NUL character" : "nothing");
    else if (setting_set(option_of(token_key), loader->config, buf_text(&token), &wrong) < 0)
        loader_problem(loader, place_of(loader, file_key), file_key,
                       "what %s holds %s, accepted: %s", path, buf_text(&wrong),
                       option_of(token_key)->accepted);
    else
        log_add_secret(buf_text(&token));
    if (token.data)
        explicit_bzero(token.data, token.len);
}

struct token {
    const char *key;
    const char *file_key;
    char **value;
    char *const *file;
};

static void read_one(struct loader *loader, const struct token *token)
{
    bool is_masked = strcmp(*token->value, VALUE_MASK) == 0;

    if (**token->file && **token->value)
        loader_problem(loader, place_of(loader, token->file_key), token->file_key,
                       "is given beside %s, accepted: one of the two", token->key);
    else if (**token->file)
        read_token(loader, token->key, token->file_key, *token->file);
    if (!is_masked)
        return;
    if (loader->needs_slack)
        loader_problem(loader, place_of(loader, token->key), token->key,
                       "is the mask of a listing, accepted: %s",
                       option_of(token->key)->accepted);
    **token->value = '\0';
}

void check_read_tokens(struct loader *loader)
{
    struct config *config = loader->config;
    const struct token tokens[] = {
        { "slack.app_token", "slack.app_token_file", &config->slack.app_token,
          &config->slack.app_token_file },
        { "slack.bot_token", "slack.bot_token_file", &config->slack.bot_token,
          &config->slack.bot_token_file },
    };

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        read_one(loader, &tokens[i]);
}

/* A token that was refused has its problem already. */
static void check_given(struct loader *loader, const char *key, const char *file_key,
                        const char *token)
{
    struct tree_place place = place_of(loader, key);

    if (*token || !loader->needs_slack || seen_of(loader, key)->is_refused ||
        place_of(loader, file_key).line)
        return;
    if (!place.line)
        place = (struct tree_place){ 1, 1 };
    loader_problem(loader, place, key, "is missing, accepted: %s, or %s",
                   option_of(key)->accepted, file_key);
}

static void check_env(struct loader *loader)
{
    const struct config_list *names = &loader->config->agent.env;

    for (size_t i = 0; i < names->count; i++) {
        if (environment_is_secret(names->items[i]))
            loader_problem(loader, place_of(loader, "agent.env"), "agent.env",
                           "\"%s\" holds a Slack token, accepted: %s", names->items[i],
                           option_of("agent.env")->accepted);
    }
}

void check_whole(struct loader *loader)
{
    const struct config *config = loader->config;

    check_given(loader, "slack.app_token", "slack.app_token_file", config->slack.app_token);
    check_given(loader, "slack.bot_token", "slack.bot_token_file", config->slack.bot_token);
    check_env(loader);
    if (config->slack.ping_timeout_ms < config->slack.ping_interval_ms) {
        struct tree_place place = place_of(loader, "slack.ping_timeout");

        if (!place.line)
            place = place_of(loader, "slack.ping_interval");
        loader_problem(loader, place, "slack.ping_timeout",
                       "is shorter than slack.ping_interval, accepted: at least that long");
    }
}
