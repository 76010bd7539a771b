#include "bot/fencing.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/environment.h"
#include "agent/fence.h"
#include "agent/fence_cgroup.h"
#include "base/alloc.h"
#include "bot/wiring.h"

#define LOG_MODULE "bot.fence"
#include "base/log.h"

#define MISSING_MAX_BYTES 4096

static const char *const modes[] = { "auto", "on", "off" }; /* enum config_fence */

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static void add(char ***list, size_t *count, const char *path)
{
    if (!path || !path[0])
        return;
    *list = xrealloc(*list, *count + 2, sizeof(**list));
    (*list)[(*count)++] = xstrdup(path);
    (*list)[*count] = NULL;
}

/* As config/check.c finds it: below systemd's credentials, or beside the configuration. */
static void add_token_file(char ***list, size_t *count, const char *path, const char *directory)
{
    const char *credentials = agent_environment_get("CREDENTIALS_DIRECTORY");
    AUTO_FREE char *joined = NULL;

    if (path[0] && path[0] != '/')
        joined = xasprintf("%s/%s", credentials ? credentials : directory, path);
    add(list, count, joined ? joined : path);
}

static char **hidden_of(const struct config *config, const char *workspace)
{
    AUTO_FREE char *directory = directory_of(config->path ? config->path : "");
    AUTO_FREE char *real = realpath(directory, NULL);
    AUTO_FREE char *real_workspace = realpath(workspace, NULL);
    char **list = NULL;
    size_t count = 0;

    add(&list, &count, config->state_dir);
    add(&list, &count, config->path);
    /* A configuration in the workspace itself is hidden alone. */
    if (real && !(real_workspace && strcmp(real, real_workspace) == 0))
        add(&list, &count, real);
    add_token_file(&list, &count, config->slack.app_token_file, directory);
    add_token_file(&list, &count, config->slack.bot_token_file, directory);
    add(&list, &count, agent_environment_get("CREDENTIALS_DIRECTORY"));
    add(&list, &count, config->memory.encryption_key_file);
    add(&list, &count, config->memory.files.dir);
    for (size_t i = 0; i < config->guard.secret_files.count; i++)
        add(&list, &count, config->guard.secret_files.items[i]);
    return list;
}

void fencing_init(struct fencing *fencing, const struct config *config, struct agent_spec *spec)
{
    size_t denied_count = 0;

    fencing->denied = NULL;
    fencing->read = wiring_argv(&config->agent.fence_read);
    fencing->write = wiring_argv(&config->agent.fence_write);
    fencing->hidden = hidden_of(config, spec->workspace);
    add(&fencing->denied, &denied_count, config->admin.listen);
    spec->fence = (enum agent_fence)config->agent.fence;
    spec->fence_read = fencing->read;
    spec->fence_write = fencing->write;
    spec->fence_hidden = (const char *const *)fencing->hidden;
    spec->fence_denied = (const char *const *)fencing->denied;
    spec->max_memory_bytes = config->agent.max_memory_bytes;
    spec->max_processes = config->agent.max_processes;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void fencing_deinit(struct fencing *fencing)
{
    free_list(fencing->hidden);
    free_list(fencing->denied);
    free(fencing->read);
    free(fencing->write);
    *fencing = (struct fencing){ 0 };
}

bool fencing_missing(const struct config *config, struct buf *out)
{
    struct fence_features features;

    if (config->agent.fence == CONFIG_FENCE_OFF)
        return false;
    fence_probe(&features);
    return fence_missing(&features, out) && config->agent.fence == CONFIG_FENCE_ON;
}

void fencing_begin(const struct config *config)
{
    AUTO_BUF struct buf missing = { 0 };
    bool refuses = false;

    if (config->agent.fence == CONFIG_FENCE_OFF) {
        log_warn("agent.fence is off: agents can read and change what this user can");
        return;
    }
    fence_cgroup_begin(config->agent.max_memory_bytes, config->agent.max_processes);
    buf_init(&missing, MISSING_MAX_BYTES);
    refuses = fencing_missing(config, &missing);
    for (const char *line = buf_text(&missing); *line;) {
        size_t len = strcspn(line, "\n");

        log_warn("the fence around agents lacks %.*s", (int)len, line);
        line += line[len] ? len + 1 : len;
    }
    if (refuses)
        log_err("agent.fence is on, so no agent will be started on this host");
}

json_t *fencing_json(const struct config *config)
{
    AUTO_BUF struct buf missing = { 0 };
    struct fence_features features;
    json_t *lines = json_array();

    buf_init(&missing, MISSING_MAX_BYTES);
    fence_probe(&features);
    fence_missing(&features, &missing);
    for (const char *line = buf_text(&missing); *line;) {
        size_t len = strcspn(line, "\n");

        json_array_append_new(lines, json_stringn(line, len));
        line += line[len] ? len + 1 : len;
    }
    return json_pack("{s:s, s:i, s:b, s:b, s:b, s:b, s:o}", "mode", modes[config->agent.fence],
                     "landlock", features.landlock_abi, "seccomp", (int)features.has_seccomp,
                     "metadata", (int)features.has_connect_watch, "memory",
                     (int)features.has_memory_limit, "processes",
                     (int)features.has_process_limit, "missing", lines);
}
