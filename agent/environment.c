#include "agent/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process.h"
#include "agent/run_dir.h"
#include "agent/slot.h"
#include "base/alloc.h"

#define LOG_MODULE "agent.environment"
#include "base/log.h"

#define SYSTEM_PATH "/usr/local/bin:/usr/bin:/bin"

/* What an agent may see of ours without being named in the configuration. */
static const char *const handed_on[] = {
    "HOME",
    "TZ",
    "CURSOR_CONFIG_DIR",
    "CURSOR_DATA_DIR",
    "XDG_CONFIG_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "NODE_USE_ENV_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
};

/* How Slack's tokens begin, after a letter or two of their kind. */
static const char *const token_shapes[] = { "xoxa-", "xoxb-", "xoxc-", "xoxd-",
                                            "xoxe-", "xoxe.", "xoxo-", "xoxp-",
                                            "xoxr-", "xoxs-", "xapp-", "xwfp-" };

/* Caches of tools, which else are below HOME, where the fence lets nobody write. */
static const struct {
    const char *name, *directory; /* below TMPDIR */
} caches[] = {
    { "npm_config_cache", "npm" },
    { "PIP_CACHE_DIR", "pip" },
    { "GOCACHE", "go-build" },
};

struct list {
    char **items;
    size_t count;
};

const char *agent_environment_get(const char *name)
{
    size_t len = strlen(name);

    for (char **at = environ; at && *at; at++) {
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return *at + len + 1;
    }
    return NULL;
}

static bool holds(const struct list *list, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < list->count; i++) {
        if (strncmp(list->items[i], name, len) == 0 && list->items[i][len] == '=')
            return true;
    }
    return false;
}

static void set(struct list *list, const char *name, const char *value)
{
    if (!value || holds(list, name))
        return;
    list->items = xrealloc(list->items, list->count + 2, sizeof(*list->items));
    list->items[list->count++] = xasprintf("%s=%s", name, value);
    list->items[list->count] = NULL;
}

static bool looks_like_slack_token(const char *value)
{
    for (size_t i = 0; value && i < ARRAY_LEN(token_shapes); i++) {
        if (strstr(value, token_shapes[i]))
            return true;
    }
    return false;
}

/* A variable of ours, unless it holds what no agent may have. */
static void hand_on(struct list *list, const char *name)
{
    const char *value = agent_environment_get(name);

    if (looks_like_slack_token(value))
        log_warn("%s holds a Slack token: not handed on, the agent must not have it", name);
    else
        set(list, name, value);
}

/* The directories of the system, and before them the one with the agent's own program: its
 * interpreter often lies beside it. */
static void set_path(struct list *list, const char *program)
{
    const char *slash = program && program[0] == '/' ? strrchr(program, '/') : NULL;
    AUTO_FREE char *path = slash && slash != program
                               ? xasprintf("%.*s:" SYSTEM_PATH, (int)(slash - program), program)
                               : xstrdup(SYSTEM_PATH);

    set(list, "PATH", path);
}

/* Each "NAME=value" of the slot goes before ours of the same name. */
static void set_slot(struct list *list, const char *slot_dir, const char *const *names)
{
    AUTO_FREE char **ours = agent_slot_environment(slot_dir, names);

    for (size_t i = 0; ours[i]; i++) {
        char *equals = strchr(ours[i], '=');

        *equals = '\0';
        set(list, ours[i], equals + 1);
    }
}

static void set_run(struct list *list, const char *run_dir)
{
    AUTO_FREE char *temporary = xasprintf("%s/" RUN_DIR_TMP, run_dir);
    AUTO_FREE char *outbox = xasprintf("%s/" RUN_DIR_OUTBOX, run_dir);

    set(list, "TMPDIR", temporary);
    set(list, "THREADKEEPER_OUTBOX", outbox);
}

/* After what agent.env names. */
static void set_caches(struct list *list, const char *run_dir)
{
    for (size_t i = 0; i < ARRAY_LEN(caches); i++) {
        AUTO_FREE char *path = xasprintf("%s/" RUN_DIR_TMP "/%s", run_dir, caches[i].directory);

        set(list, caches[i].name, path);
    }
}

char **agent_environment_build(const struct agent_environment *wanted)
{
    struct list list = { 0 };
    const char *const *names = wanted->names;

    set(&list, PROCESS_MARK, wanted->run_id); /* first: nobody can name it away */
    set_path(&list, wanted->program);
    set(&list, "LANG", "C.UTF-8");
    set(&list, "LC_ALL", "C.UTF-8");
    set(&list, "TERM", "dumb");
    set(&list, "NO_COLOR", "1");
    if (wanted->run_dir)
        set_run(&list, wanted->run_dir);
    set_slot(&list, wanted->slot_dir, names);
    for (size_t i = 0; i < ARRAY_LEN(handed_on); i++)
        hand_on(&list, handed_on[i]);
    for (size_t i = 0; names && names[i]; i++) {
        if (strncmp(names[i], "SLACK_", strlen("SLACK_")) == 0)
            log_warn("agent.env names %s: not handed on, the agent must not hold it", names[i]);
        else if (names[i][0] && !strchr(names[i], '='))
            hand_on(&list, names[i]);
    }
    if (wanted->run_dir)
        set_caches(&list, wanted->run_dir);
    return list.items;
}

static bool is_program(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

char *agent_environment_find(const char *name)
{
    const char *at = agent_environment_get("PATH");

    if (strchr(name, '/'))
        return is_program(name) ? xstrdup(name) : NULL;
    if (!at || !at[0])
        at = SYSTEM_PATH;
    while (*at) {
        size_t len = strcspn(at, ":");
        AUTO_FREE char *path = xasprintf("%.*s/%s", (int)len, at, name);

        if (len > 0 && at[0] == '/' && is_program(path))
            return take_ptr(&path);
        at += len + (at[len] == ':');
    }
    return NULL;
}

void agent_environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}
