#include "agent/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/process.h"
#include "agent/slot.h"
#include "base/alloc.h"

#define LOG_MODULE "agent.environment"
#include "base/log.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* What an agent may see of ours without being named in the configuration. */
static const char *const handed_on[] = {
    "HOME",
    "TZ",
    "TMPDIR",
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

char **agent_environment_build(const char *const *names, const char *run_id,
                               const char *slot_dir)
{
    struct list list = { 0 };
    const char *path = agent_environment_get("PATH");
    const char *lang = agent_environment_get("LANG");

    set(&list, PROCESS_MARK, run_id); /* first: nobody can name it away */
    set(&list, "PATH", path && path[0] ? path : DEFAULT_PATH);
    set(&list, "LANG", lang && lang[0] ? lang : "C.UTF-8");
    set(&list, "TERM", "dumb");
    set(&list, "NO_COLOR", "1");
    set_slot(&list, slot_dir, names);
    for (size_t i = 0; i < ARRAY_LEN(handed_on); i++)
        set(&list, handed_on[i], agent_environment_get(handed_on[i]));
    for (size_t i = 0; names && names[i]; i++) {
        if (strncmp(names[i], "SLACK_", strlen("SLACK_")) == 0)
            log_warn("agent.env names %s: not handed on, the agent must not hold it", names[i]);
        else if (names[i][0] && !strchr(names[i], '='))
            set(&list, names[i], agent_environment_get(names[i]));
    }
    return list.items;
}

void agent_environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}
