#include "agent/fence_rules.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/environment.h"
#include "agent/fence_git.h"
#include "agent/meta.h"
#include "agent/run_dir.h"
#include "agent/slot.h"
#include "base/alloc.h"

#define READ_AND_RUN (FENCE_READ | FENCE_EXECUTE)
#define ALL          (READ_AND_RUN | FENCE_CHANGE)

#define EXPANDED_MAX    4096 /* entries of a directory that also holds something hidden */
#define SHEBANG_BYTES   256
#define MODULES         "/node_modules/"
#define MODULES_NO_TAIL "/node_modules"

static const char *const system_trees[] = {
    "/usr",   "/bin",    "/sbin", "/lib",       "/lib32",
    "/lib64", "/libx32", "/opt",  "/nix/store", "/var/lib/ca-certificates",
};

/* Names, users, time zones, certificates, the loader, shells: nothing that is a secret. */
static const char *const system_settings[] = {
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/etc/bindresvport.blacklist",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/cursor",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitattributes",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/machine-id",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/openssl",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/java",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/rpc",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/system-release",
    "/etc/terminfo",
    "/etc/timezone",
    "/etc/xattr.conf",
};

static const char *const devices[] = { "/dev/null",   "/dev/zero",    "/dev/full",
                                       "/dev/random", "/dev/urandom", "/dev/tty" };

/* Where agents keep login, settings and caches: below HOME, or named by a variable. The
 * installation itself is not among them: what a run changes there, the next one executes. */
static const struct {
    const char *dialect;
    const char *below_home[6];
    const char *variables[3];
} own_state[] = {
    { "cursor",
      { ".cursor", ".config/cursor", ".cache/cursor-compile-cache", ".cache/cursor" },
      { "CURSOR_CONFIG_DIR", "CURSOR_DATA_DIR" } },
    { "claude",
      { ".claude", ".claude.json", ".config/claude", ".cache/claude",
        ".cache/claude-cli-nodejs" },
      { "CLAUDE_CONFIG_DIR" } },
    { "codex", { ".codex", ".cache/codex" }, { "CODEX_HOME" } },
    { "gemini", { ".gemini", ".cache/gemini", ".config/gemini" }, { "GEMINI_CLI_HOME" } },
    { "opencode",
      { ".config/opencode", ".local/share/opencode", ".local/state/opencode",
        ".cache/opencode" },
      { "OPENCODE_CONFIG_DIR" } },
};

struct builder {
    struct fence_rules *rules;
    char **hidden; /* real paths, ended by NULL */
    size_t hidden_count;
};

static void add(struct fence_rules *rules, const char *path, unsigned access)
{
    rules->items = xrealloc(rules->items, rules->count + 1, sizeof(*rules->items));
    rules->items[rules->count++] =
        (struct fence_rule){ .path = xstrdup(path), .access = access };
}

/* Whether `path` is `below` itself or a directory above it. */
static bool holds(const char *path, const char *below)
{
    size_t len = strlen(path);

    if (strcmp(path, "/") == 0)
        return true;
    return strncmp(path, below, len) == 0 && (below[len] == '/' || below[len] == '\0');
}

enum secrecy { OPEN, HOLDS_HIDDEN, IS_HIDDEN };

static enum secrecy secrecy_of(const struct builder *builder, const char *path)
{
    enum secrecy secrecy = OPEN;

    for (size_t i = 0; i < builder->hidden_count; i++) {
        if (strcmp(path, builder->hidden[i]) == 0)
            return IS_HIDDEN;
        if (holds(path, builder->hidden[i]))
            secrecy = HOLDS_HIDDEN;
    }
    return secrecy;
}

static void hide(struct builder *builder, const char *path)
{
    AUTO_FREE char *real = realpath(path, NULL);

    if (!real)
        return;
    builder->hidden =
        xrealloc(builder->hidden, builder->hidden_count + 2, sizeof(*builder->hidden));
    builder->hidden[builder->hidden_count++] = take_ptr(&real);
    builder->hidden[builder->hidden_count] = NULL;
}

static void allow_around(const struct builder *builder, const char *directory, unsigned access);

/* A path without links in it. */
static void allow_real(const struct builder *builder, const char *path, unsigned access)
{
    switch (secrecy_of(builder, path)) {
    case OPEN:
        add(builder->rules, path, access);
        break;
    case HOLDS_HIDDEN:
        allow_around(builder, path, access);
        break;
    case IS_HIDDEN:
        break;
    }
}

/* Names may be listed everywhere below; contents not where something is hidden. */
static void allow_around(const struct builder *builder, const char *directory, unsigned access)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry = NULL;
    size_t count = 0;

    if (!listing)
        return;
    add(builder->rules, directory, FENCE_LIST);
    while (count++ < EXPANDED_MAX &&
           (entry = readdir(listing)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        AUTO_FREE char *path =
            xasprintf("%s/%s", strcmp(directory, "/") == 0 ? "" : directory, entry->d_name);

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            allow_real(builder, path, access);
    }
    closedir(listing);
}

static void allow(const struct builder *builder, const char *path, unsigned access)
{
    AUTO_FREE char *real = path && path[0] == '/' ? realpath(path, NULL) : NULL;

    if (real)
        allow_real(builder, real, access);
}

static void allow_below(const struct builder *builder, const char *directory, const char *name,
                        unsigned access)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

    allow(builder, path, access);
}

/* In a directory that a run may have written, whose entries may be links: not followed. */
static void allow_real_below(const struct builder *builder, const char *directory,
                             const char *name, unsigned access)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

    allow_real(builder, path, access);
}

/* --- the command ------------------------------------------------------------------------ */

/* The directory that a program was installed into, to be freed. With Node's modules the one
 * that holds all of them: a program there needs the others. */
static char *installation_of(const char *real)
{
    const char *modules = strstr(real, MODULES);
    const char *slash = strrchr(real, '/');

    if (modules)
        return xstrndup(real, (size_t)(modules - real) + strlen(MODULES_NO_TAIL));
    return xstrndup(real, (size_t)(slash - real));
}

/* A home or the like is not an installation: a program that lies there is allowed alone. */
static bool is_installation(const struct builder *builder, const char *directory)
{
    static const char *const shared[] = { "",     "/tmp", "/var/tmp", "/home", "/root",
                                          "/etc", "/var", "/srv",     "/run",  "/dev" };
    AUTO_FREE char *home = NULL;
    const char *named = agent_environment_get("HOME");

    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        if (strcmp(directory, shared[i]) == 0)
            return false;
    }
    home = named ? realpath(named, NULL) : NULL;
    return !(home && holds(directory, home)) && secrecy_of(builder, directory) == OPEN;
}

/* The interpreter of a script: itself, and what `env` would find. */
static void allow_interpreter(const struct builder *builder, const char *script)
{
    char line[SHEBANG_BYTES];
    AUTO_FD int fd = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
    char *at = line + 2;
    size_t len = 0;

    if (got < 3 || line[0] != '#' || line[1] != '!')
        return;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    at += strspn(at, " \t");
    len = strcspn(at, " \t");
    if (at[len]) {
        AUTO_FREE char *found = NULL;
        char *argument = at + len + 1;

        at[len] = '\0';
        argument += strspn(argument, " \t");
        argument[strcspn(argument, " \t")] = '\0';
        found = argument[0] && argument[0] != '-' ? agent_environment_find(argument) : NULL;
        allow(builder, found, READ_AND_RUN);
    }
    allow(builder, at, READ_AND_RUN);
}

static void allow_program(const struct builder *builder, const char *path)
{
    AUTO_FREE char *real = realpath(path, NULL);
    AUTO_FREE char *directory = NULL;
    struct stat info;

    if (!real || stat(real, &info) != 0 || !S_ISREG(info.st_mode) ||
        secrecy_of(builder, real) == IS_HIDDEN)
        return;
    directory = installation_of(real);
    if (is_installation(builder, directory))
        allow(builder, directory, READ_AND_RUN);
    else
        allow(builder, real, READ_AND_RUN);
    allow_interpreter(builder, real);
}

/* The program and, behind an interpreter, the script: what the configuration names. */
static void allow_command(const struct builder *builder, const struct agent_meta *meta)
{
    for (size_t i = 0; i < meta->fence.command_size && meta->argv[i]; i++) {
        AUTO_FREE char *found = i == 0 ? agent_environment_find(meta->argv[0]) : NULL;

        if (found)
            allow_program(builder, found);
        else if (meta->argv[i][0] == '/')
            allow_program(builder, meta->argv[i]);
    }
}

/* --- the rest --------------------------------------------------------------------------- */

static void allow_system(const struct builder *builder)
{
    for (size_t i = 0; i < ARRAY_LEN(system_trees); i++)
        allow(builder, system_trees[i], READ_AND_RUN);
    for (size_t i = 0; i < ARRAY_LEN(system_settings); i++)
        allow(builder, system_settings[i], FENCE_READ);
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        add(builder->rules, devices[i], FENCE_DEVICE);
    add(builder->rules, "/proc", FENCE_READ);
    add(builder->rules, "/sys", FENCE_READ);
}

static void allow_workspace(const struct builder *builder, const struct agent_meta *meta)
{
    bool may_write = meta->fence.mode == AGENT_MODE_WRITE;
    unsigned access = may_write ? ALL : READ_AND_RUN;
    struct fence_git git = { 0 };

    allow(builder, meta->workspace, access);
    if (!fence_git_find(meta->workspace, &git))
        return;
    allow_real(builder, git.common_dir, READ_AND_RUN);
    if (may_write) { /* what a commit changes; not the hooks and settings that others run by */
        allow_real(builder, git.worktree_dir, ALL);
        allow_real_below(builder, git.common_dir, "objects", ALL);
        allow_real_below(builder, git.common_dir, "refs", ALL);
        allow_real_below(builder, git.common_dir, "logs", ALL);
    }
    fence_git_deinit(&git);
}

/* In its slot a run may have put a link in the place of such a directory. */
static bool is_in_slot(const struct agent_meta *meta, const char *path)
{
    return path && meta->fence.slot_dir && holds(meta->fence.slot_dir, path);
}

static void allow_own_state(const struct builder *builder, const struct agent_meta *meta)
{
    const char *home = agent_environment_get("HOME");

    for (size_t i = 0; i < ARRAY_LEN(own_state); i++) {
        if (strcmp(own_state[i].dialect, meta->dialect) != 0)
            continue;
        for (size_t k = 0; home && own_state[i].below_home[k]; k++)
            allow_below(builder, home, own_state[i].below_home[k], ALL);
        for (size_t k = 0; own_state[i].variables[k]; k++) {
            const char *path = agent_environment_get(own_state[i].variables[k]);

            if (!is_in_slot(meta, path))
                allow(builder, path, ALL);
        }
    }
}

/* Not the directory itself: meta.json says who we are, and to whom signals are sent. */
static void allow_run(const struct builder *builder, const char *run_dir)
{
    allow_below(builder, run_dir, AGENT_FILE_PROMPT, FENCE_READ);
    allow_below(builder, run_dir, AGENT_FILE_OUTPUT, FENCE_APPEND); /* as /dev/stdout */
    allow_below(builder, run_dir, AGENT_FILE_ERRORS, FENCE_APPEND);
    allow_below(builder, run_dir, RUN_DIR_INBOX, FENCE_READ);
    allow_below(builder, run_dir, RUN_DIR_OUTBOX, ALL);
    allow_below(builder, run_dir, RUN_DIR_TMP, ALL);
}

static void allow_slot(const struct builder *builder, const char *slot_dir)
{
    AUTO_FREE char **directories = agent_slot_writable(slot_dir);

    for (size_t i = 0; directories[i]; i++)
        allow(builder, directories[i], ALL);
}

static char *directory_above(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash != path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
}

static void hide_all(struct builder *builder, const struct agent_meta *meta,
                     const char *run_dir)
{
    AUTO_FREE char *runs_dir = directory_above(run_dir);

    hide(builder, runs_dir);
    hide(builder, "/etc/threadkeeper");
    for (size_t i = 0; meta->fence.hidden && meta->fence.hidden[i]; i++)
        hide(builder, meta->fence.hidden[i]);
}

void fence_rules_init(struct fence_rules *rules, const struct agent_meta *meta,
                      const char *run_dir)
{
    struct builder builder = { .rules = rules };

    *rules = (struct fence_rules){ 0 };
    hide_all(&builder, meta, run_dir);
    allow_system(&builder);
    allow_command(&builder, meta);
    allow_workspace(&builder, meta);
    allow_run(&builder, run_dir);
    allow_slot(&builder, meta->fence.slot_dir);
    allow_own_state(&builder, meta);
    for (size_t i = 0; meta->fence.read && meta->fence.read[i]; i++)
        allow(&builder, meta->fence.read[i], READ_AND_RUN | FENCE_CONNECT);
    for (size_t i = 0; meta->fence.write && meta->fence.write[i]; i++)
        allow(&builder, meta->fence.write[i], ALL | FENCE_DEVICE | FENCE_CONNECT);
    for (size_t i = 0; i < builder.hidden_count; i++)
        free(builder.hidden[i]);
    free(builder.hidden);
}

void fence_rules_deinit(struct fence_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].path);
    free(rules->items);
    *rules = (struct fence_rules){ 0 };
}
