#include "tests/agent_double/scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

static void take_words(struct scenario *scenario, const char *text)
{
    size_t at = strspn(text, " \t\r\n");
    size_t len = strcspn(text + at, " \t\r\n");

    snprintf(scenario->name, sizeof(scenario->name), "%.*s", (int)len, text + at);
    snprintf(scenario->parameters, sizeof(scenario->parameters), "%s", text + at + len);
}

static bool read_file(struct scenario *scenario, const char *directory)
{
    char path[4200];
    char text[4096];
    AUTO_FREE char *absolute = NULL;
    AUTO_FD int fd = -1;
    ssize_t got = 0;

    if (!directory || !directory[0])
        return false;
    snprintf(path, sizeof(path), "%s/fake-cursor-agent.scenario", directory);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    got = read(fd, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    take_words(scenario, text);
    absolute = realpath(directory, NULL); /* the working directory will change */
    snprintf(scenario->directory, sizeof(scenario->directory), "%s",
             absolute ? absolute : directory);
    return true;
}

void scenario_choose(const char *program, const struct arguments *arguments,
                     struct scenario *ret_scenario)
{
    const char *config_dir = getenv("CURSOR_CONFIG_DIR"); /* NOLINT(concurrency-mt-unsafe) */
    const char *workspace = arguments->workspace ? arguments->workspace : ".";
    const char *name = strrchr(program, '@');

    memset(ret_scenario, 0, sizeof(*ret_scenario));
    if (read_file(ret_scenario, config_dir) || read_file(ret_scenario, workspace))
        return;
    if (name && name[1])
        take_words(ret_scenario, name + 1);
    else
        take_words(ret_scenario, arguments->scenario ? arguments->scenario : "ok");
}

const char *scenario_text(const struct scenario *scenario, const char *key,
                          const char *otherwise)
{
    static char value[4096];
    const char *at = scenario->parameters;
    size_t key_len = strlen(key);

    while (*at) {
        size_t len = strcspn(at, " \t\r\n");

        if (len > key_len && strncmp(at, key, key_len) == 0 && at[key_len] == '=') {
            snprintf(value, sizeof(value), "%.*s", (int)(len - key_len - 1), at + key_len + 1);
            return value;
        }
        at += len;
        at += strspn(at, " \t\r\n");
    }
    return otherwise;
}

int64_t scenario_number(const struct scenario *scenario, const char *key, int64_t otherwise)
{
    const char *text = scenario_text(scenario, key, NULL);

    return text ? strtoll(text, NULL, 10) : otherwise;
}

int64_t scenario_count(const struct scenario *scenario)
{
    char path[4200];
    char byte = '.';
    AUTO_FD int fd = -1;
    off_t size = 0;

    snprintf(path, sizeof(path), "%s/fake-cursor-agent.count",
             scenario->directory[0] ? scenario->directory : ".");
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return 0;
    size = lseek(fd, 0, SEEK_END);
    return write(fd, &byte, 1) == 1 ? (int64_t)size : 0;
}
