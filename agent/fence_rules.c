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
#include "agent/fence_home.h"
#include "agent/meta.h"
#include "agent/run_dir.h"
#include "base/alloc.h"

#define READ_AND_RUN (FENCE_READ | FENCE_EXECUTE)

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

struct builder {
    struct fence_rules *rules;
    char **hidden; /* real paths, ended by NULL */
    size_t hidden_count;
};

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

static bool is_below_hidden(const struct builder *builder, const char *path)
{
    for (size_t i = 0; i < builder->hidden_count; i++) {
        if (holds(builder->hidden[i], path))
            return true;
    }
    return false;
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
        fence_rules_add(builder->rules, path, access);
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
    fence_rules_add(builder->rules, directory, FENCE_LIST);
    while (count++ < EXPANDED_MAX &&
           (entry = readdir(listing)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        AUTO_FREE char *path =
            xasprintf("%s/%s", strcmp(directory, "/") == 0 ? "" : directory, entry->d_name);

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            allow_real(builder, path, access);
    }
    closedir(listing);
}

/* A path below what is hidden is allowed only by its very name, never because a link leads to
 * it: somewhere above, a run may have made that link. */
static void allow(const struct builder *builder, const char *path, unsigned access)
{
    AUTO_FREE char *real = path && path[0] == '/' ? realpath(path, NULL) : NULL;

    if (real && (strcmp(real, path) == 0 || !is_below_hidden(builder, real)))
        allow_real(builder, real, access);
}

/* What no run can have put a link into the place of. */
static void allow_wherever_it_leads(const struct builder *builder, const char *path,
                                    unsigned access)
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
        allow_wherever_it_leads(builder, found, READ_AND_RUN);
    }
    allow_wherever_it_leads(builder, at, READ_AND_RUN);
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
        fence_rules_add(builder->rules, devices[i], FENCE_DEVICE);
    fence_rules_add(builder->rules, "/proc", FENCE_READ);
    fence_rules_add(builder->rules, "/sys", FENCE_READ);
}

static bool ends_with(const char *path, const char *tail)
{
    size_t len = strlen(path), tail_len = strlen(tail);

    return len >= tail_len && strcmp(path + len - tail_len, tail) == 0;
}

static void allow_workspace(const struct builder *builder, const struct agent_meta *meta)
{
    bool may_write = meta->fence.mode == AGENT_MODE_WRITE;
    unsigned access = may_write ? FENCE_ALL : READ_AND_RUN;
    struct fence_git git = { 0 };

    allow_wherever_it_leads(builder, meta->workspace, access);
    if (!fence_git_find(meta->workspace, &git))
        return;
    if (is_below_hidden(builder, git.common_dir) && !ends_with(git.common_dir, "/.git")) {
        fence_git_deinit(&git); /* a workspace that calls itself one of the daemon's own */
        return;
    }
    allow_real(builder, git.common_dir, READ_AND_RUN);
    if (may_write) { /* what a commit changes; not the hooks and settings that others run by */
        allow_real(builder, git.worktree_dir, FENCE_ALL);
        allow_real_below(builder, git.common_dir, "objects", FENCE_ALL);
        allow_real_below(builder, git.common_dir, "refs/heads/threadkeeper", FENCE_ALL);
        allow_real_below(builder, git.common_dir, "logs/refs/heads/threadkeeper", FENCE_ALL);
    }
    fence_git_deinit(&git);
}

static void allow_home(const struct builder *builder, const struct agent_meta *meta)
{
    struct fence_rules wanted;

    fence_home_init(&wanted, meta);
    for (size_t i = 0; i < wanted.count; i++)
        allow(builder, wanted.items[i].path, wanted.items[i].access);
    fence_rules_deinit(&wanted);
}

/* Not the directory itself: meta.json says who we are, and to whom signals are sent. */
static void allow_run(const struct builder *builder, const char *run_dir)
{
    allow_below(builder, run_dir, AGENT_FILE_PROMPT, FENCE_READ);
    allow_below(builder, run_dir, AGENT_FILE_OUTPUT, FENCE_APPEND); /* as /dev/stdout */
    allow_below(builder, run_dir, AGENT_FILE_ERRORS, FENCE_APPEND);
    allow_below(builder, run_dir, RUN_DIR_INBOX, FENCE_READ);
    allow_below(builder, run_dir, RUN_DIR_OUTBOX, FENCE_ALL);
    allow_below(builder, run_dir, RUN_DIR_TMP, FENCE_ALL);
}

/* By the names that the daemon chose: what the slot links to is the agent's word. */
static void allow_slot(const struct builder *builder, const struct fence_spec *spec)
{
    allow(builder, spec->slot_dir, FENCE_ALL);
    allow(builder, spec->chats_dir, FENCE_ALL);
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
    allow_slot(&builder, &meta->fence);
    allow_home(&builder, meta);
    for (size_t i = 0; meta->fence.read && meta->fence.read[i]; i++)
        allow(&builder, meta->fence.read[i], READ_AND_RUN | FENCE_CONNECT);
    for (size_t i = 0; meta->fence.write && meta->fence.write[i]; i++)
        allow(&builder, meta->fence.write[i], FENCE_ALL | FENCE_DEVICE | FENCE_CONNECT);
    for (size_t i = 0; i < builder.hidden_count; i++)
        free(builder.hidden[i]);
    free(builder.hidden);
}

void fence_rules_add(struct fence_rules *rules, const char *path, unsigned access)
{
    rules->items = xrealloc(rules->items, rules->count + 1, sizeof(*rules->items));
    rules->items[rules->count++] =
        (struct fence_rule){ .path = xstrdup(path), .access = access };
}

void fence_rules_deinit(struct fence_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].path);
    free(rules->items);
    *rules = (struct fence_rules){ 0 };
}
