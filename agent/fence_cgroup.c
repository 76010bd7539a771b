#include "agent/fence_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#define LOG_MODULE "agent.cgroup"
#include "base/log.h"

#define TEXT_MAX_BYTES   ((size_t)1024 * 1024)
#define RELEASE_LIMIT_MS 3000
#define RELEASE_LOOK_MS  2
#define LEFTOVER_AGE_S   60 /* a younger empty group may be one that is about to be entered */

/* --- files ------------------------------------------------------------------------------ */

static bool read_text(const char *path, struct buf *out)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char chunk[4096];
    ssize_t got = 0;

    buf_clear(out);
    while (fd >= 0 && (got = read(fd, chunk, sizeof(chunk))) > 0 && !out->overflowed)
        buf_append(out, chunk, (size_t)got);
    return fd >= 0 && got == 0;
}

static int open_in(const char *directory, const char *name, int flags)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

    return open(path, flags | O_CLOEXEC);
}

static bool write_in(const char *directory, const char *name, const char *text)
{
    AUTO_FD int fd = open_in(directory, name, O_WRONLY);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Whether a list of words separated by `separator` holds one. */
static bool has_word(const char *list, char separator, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; at && *at;) {
        if (strncmp(at, word, len) == 0 &&
            (at[len] == separator || at[len] == '\0' || at[len] == '\n'))
            return true;
        at = strchr(at, separator);
        at = at ? at + 1 : NULL;
    }
    return false;
}

static bool lists(const char *directory, const char *name, const char *word)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

    buf_init(&text, TEXT_MAX_BYTES);
    return read_text(path, &text) && has_word(buf_text(&text), ' ', word);
}

/* --- where we are ----------------------------------------------------------------------- */

/* One line of /proc/self/cgroup: "4:memory:/a/b"; v2 is "0::/a". Its path (borrowed, not
 * ended), or NULL when there is none for that controller. */
static const char *group_path(const char *groups, const char *controller, size_t *ret_len)
{
    for (const char *line = groups; line && *line;) {
        const char *end = strchr(line, '\n');
        const char *list = strchr(line, ':');
        const char *path = list ? strchr(list + 1, ':') : NULL;
        AUTO_FREE char *names = path ? xstrndup(list + 1, (size_t)(path - list - 1)) : NULL;

        if (names &&
            (controller ? has_word(names, ',', controller) : strncmp(line, "0::", 3) == 0)) {
            *ret_len = end ? (size_t)(end - path - 1) : strlen(path + 1);
            return path + 1;
        }
        line = end ? end + 1 : NULL;
    }
    return NULL;
}

/* A line of mountinfo: "36 35 98:0 /root /point opts ... - cgroup source super,options". */
struct mount {
    char root[PATH_MAX / 4];
    char point[PATH_MAX / 4];
    char type[32];
    char options[256];
};

/* The word of a line at `index`, from 0 on; false when there is none or no room for it. */
static bool take_word(const char *line, size_t index, char *out, size_t size)
{
    size_t len = 0;

    for (; index > 0; index--) {
        line = strchr(line, ' ');
        if (!line)
            return false;
        line++;
    }
    len = strcspn(line, " ");
    if (len == 0 || len >= size)
        return false;
    memcpy(out, line, len);
    out[len] = '\0';
    return true;
}

static bool parse_mount(const char *line, struct mount *ret_mount)
{
    const char *behind = strstr(line, " - ");

    return behind && take_word(line, 3, ret_mount->root, sizeof(ret_mount->root)) &&
           take_word(line, 4, ret_mount->point, sizeof(ret_mount->point)) &&
           take_word(behind + 3, 0, ret_mount->type, sizeof(ret_mount->type)) &&
           take_word(behind + 3, 2, ret_mount->options, sizeof(ret_mount->options));
}

static void add_tree(struct fence_cgroups *cgroups, const struct mount *mount,
                     const char *groups, const char *controller)
{
    struct fence_cgroup_tree *tree = &cgroups->trees[cgroups->count];
    size_t len = 0;
    const char *path = group_path(groups, controller, &len);
    size_t root_len = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    const char *leaf = NULL;

    if (!path || cgroups->count == FENCE_CGROUP_TREES || len < root_len ||
        strncmp(path, mount->root, root_len) != 0)
        return;
    path += root_len;
    len -= root_len;
    if (len == 1) /* "/" */
        len = 0;
    *tree = (struct fence_cgroup_tree){ .is_unified = !controller, .is_root = len == 0 };
    snprintf(tree->base, sizeof(tree->base), "%s%.*s", mount->point, (int)len, path);
    leaf = strrchr(tree->base, '/');
    if (!controller && len > 0 && strcmp(leaf + 1, FENCE_CGROUP_LEAF) == 0) {
        tree->base[leaf - tree->base] = '\0';
        tree->is_root = strcmp(tree->base, mount->point) == 0;
    }
    tree->has_memory = controller && strcmp(controller, "memory") == 0;
    tree->has_pids = controller && strcmp(controller, "pids") == 0;
    cgroups->count++;
}

void fence_cgroup_parse(const char *mountinfo, const char *groups,
                        struct fence_cgroups *ret_cgroups)
{
    static const char *const controllers[] = { "memory", "pids" };
    struct mount mount;

    *ret_cgroups = (struct fence_cgroups){ 0 };
    for (const char *line = mountinfo; line && *line;) {
        const char *end = strchr(line, '\n');
        AUTO_FREE char *one = xstrndup(line, end ? (size_t)(end - line) : strlen(line));

        if (parse_mount(one, &mount) && strcmp(mount.type, "cgroup2") == 0)
            add_tree(ret_cgroups, &mount, groups, NULL);
        for (size_t i = 0; i < ARRAY_LEN(controllers) && parse_mount(one, &mount); i++) {
            if (strcmp(mount.type, "cgroup") == 0 &&
                has_word(mount.options, ',', controllers[i]))
                add_tree(ret_cgroups, &mount, groups, controllers[i]);
        }
        line = end ? end + 1 : NULL;
    }
}

/* Whether somebody gave us this group to divide further. */
static bool is_ours(const struct fence_cgroup_tree *tree)
{
    static const char *const marks[] = { "user.delegate", "trusted.delegate" };
    struct stat info;
    char value[4] = "";

    if (stat(tree->base, &info) != 0 || access(tree->base, W_OK) != 0)
        return false;
    if (tree->is_root || (geteuid() != 0 && info.st_uid == geteuid()))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (getxattr(tree->base, marks[i], value, sizeof(value)) == 1 && value[0] == '1')
            return true;
    }
    return false;
}

void fence_cgroup_find(struct fence_cgroups *ret_cgroups)
{
    AUTO_BUF struct buf mountinfo = { 0 };
    AUTO_BUF struct buf groups = { 0 };
    struct fence_cgroups all;

    *ret_cgroups = (struct fence_cgroups){ 0 };
    buf_init(&mountinfo, TEXT_MAX_BYTES);
    buf_init(&groups, TEXT_MAX_BYTES);
    if (!read_text("/proc/self/mountinfo", &mountinfo) ||
        !read_text("/proc/self/cgroup", &groups))
        return;
    fence_cgroup_parse(buf_text(&mountinfo), buf_text(&groups), &all);
    for (size_t i = 0; i < all.count; i++) {
        struct fence_cgroup_tree *tree = &all.trees[i];

        if (!is_ours(tree))
            continue;
        if (tree->is_unified) {
            tree->has_memory = lists(tree->base, "cgroup.subtree_control", "memory");
            tree->has_pids = lists(tree->base, "cgroup.subtree_control", "pids");
        }
        ret_cgroups->trees[ret_cgroups->count++] = *tree;
    }
}

/* --- one run ---------------------------------------------------------------------------- */

static void write_number(const char *directory, const char *name, int64_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, number);
    if (!write_in(directory, name, text))
        log_warn("cannot write %s to %s/%s", text, directory, name);
}

static void set_limits(const struct fence_cgroup_tree *tree, const char *directory,
                       int64_t max_memory_bytes, int64_t max_processes)
{
    if (tree->has_pids && max_processes > 0)
        write_number(directory, "pids.max", max_processes);
    if (!tree->has_memory || max_memory_bytes <= 0)
        return;
    write_number(directory, tree->is_unified ? "memory.max" : "memory.limit_in_bytes",
                 max_memory_bytes);
    if (tree->is_unified) { /* all of a run or nothing: a half of it would hang */
        write_in(directory, "memory.oom.group", "1");
        write_in(directory, "memory.swap.max", "0");
    }
}

void fence_group_make(const struct fence_cgroups *cgroups, const char *run_id,
                      int64_t max_memory_bytes, int64_t max_processes,
                      struct fence_group *ret_group)
{
    *ret_group = (struct fence_group){ 0 };
    snprintf(ret_group->name, sizeof(ret_group->name), FENCE_CGROUP_PREFIX "%s", run_id);
    for (size_t i = 0; i < cgroups->count; i++) {
        const struct fence_cgroup_tree *tree = &cgroups->trees[i];
        AUTO_FREE char *directory = xasprintf("%s/%s", tree->base, ret_group->name);
        int fd = -1;

        if (mkdir(directory, 0755) != 0 && errno != EEXIST)
            continue;
        set_limits(tree, directory, max_memory_bytes, max_processes);
        fd = open_in(directory, "cgroup.procs", O_WRONLY);
        if (fd < 0) {
            rmdir(directory);
            continue;
        }
        ret_group->procs_fds[ret_group->cgroups.count] = fd;
        ret_group->cgroups.trees[ret_group->cgroups.count++] = *tree;
    }
}

int fence_group_enter(const struct fence_group *group)
{
    for (size_t i = 0; i < group->cgroups.count; i++) {
        if (write(group->procs_fds[i], "0", 1) != 1)
            return -1;
    }
    return 0;
}

/* v1 has no switch that kills all: whoever forks meanwhile is met in the next pass. */
static void kill_each(const char *directory)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_FREE char *path = xasprintf("%s/cgroup.procs", directory);
    const char *at = NULL;

    buf_init(&text, TEXT_MAX_BYTES);
    read_text(path, &text);
    for (at = buf_text(&text); at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        pid_t pid = (pid_t)strtol(at, NULL, 10);

        if (pid > 1 && pid != getpid())
            kill(pid, SIGKILL);
    }
}

/* Zombies keep nobody from removing a group. */
static void remove_group(const char *directory)
{
    int64_t until_ms = clock_now_ms() + RELEASE_LIMIT_MS;

    while (rmdir(directory) != 0 && errno == EBUSY) {
        if (!write_in(directory, "cgroup.kill", "1"))
            kill_each(directory);
        if (clock_now_ms() >= until_ms) {
            log_err("%s: what is in it does not die of SIGKILL", directory);
            return;
        }
        poll(NULL, 0, RELEASE_LOOK_MS);
    }
}

void fence_group_release(struct fence_group *group)
{
    for (size_t i = 0; i < group->cgroups.count; i++) {
        AUTO_FREE char *directory =
            xasprintf("%s/%s", group->cgroups.trees[i].base, group->name);

        close(group->procs_fds[i]);
        remove_group(directory);
    }
    *group = (struct fence_group){ 0 };
}

void fence_group_release_run(const char *run_id)
{
    struct fence_cgroups cgroups;

    fence_cgroup_find(&cgroups);
    for (size_t i = 0; i < cgroups.count; i++) {
        AUTO_FREE char *directory =
            xasprintf("%s/" FENCE_CGROUP_PREFIX "%s", cgroups.trees[i].base, run_id);

        if (access(directory, F_OK) == 0)
            remove_group(directory);
    }
}

/* --- the daemon ------------------------------------------------------------------------- */

/* A group that hands out controllers may not hold processes, so we leave it first; the true
 * root of the hierarchy may, and is not ours to change. */
static void hand_out_controllers(struct fence_cgroup_tree *tree)
{
    AUTO_FREE char *leaf = xasprintf("%s/" FENCE_CGROUP_LEAF, tree->base);
    AUTO_FREE char *type = xasprintf("%s/cgroup.type", tree->base);

    if (access(type, F_OK) != 0 || !lists(tree->base, "cgroup.controllers", "pids"))
        return;
    if ((mkdir(leaf, 0755) != 0 && errno != EEXIST) || !write_in(leaf, "cgroup.procs", "0")) {
        log_warn("cannot step into %s; runs have no limits of memory and processes", leaf);
        return;
    }
    tree->has_pids = write_in(tree->base, "cgroup.subtree_control", "+pids");
    tree->has_memory = write_in(tree->base, "cgroup.subtree_control", "+memory");
}

/* Empty groups go; those in which a run lives get their limits again. */
static void look_after_groups(const struct fence_cgroup_tree *tree, int64_t max_memory_bytes,
                              int64_t max_processes)
{
    DIR *listing = opendir(tree->base);
    const struct dirent *entry = NULL;

    while (listing && (entry = readdir(listing)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        AUTO_FREE char *directory = xasprintf("%s/%s", tree->base, entry->d_name);
        struct stat info;

        if (strncmp(entry->d_name, FENCE_CGROUP_PREFIX, strlen(FENCE_CGROUP_PREFIX)) != 0 ||
            stat(directory, &info) != 0)
            continue;
        if (clock_wall_s() - info.st_ctime >= LEFTOVER_AGE_S && rmdir(directory) == 0)
            continue;
        if (tree->is_unified && !tree->is_root)
            set_limits(tree, directory, max_memory_bytes, max_processes);
    }
    if (listing)
        closedir(listing);
}

void fence_cgroup_begin(int64_t max_memory_bytes, int64_t max_processes)
{
    struct fence_cgroups cgroups;

    fence_cgroup_find(&cgroups);
    for (size_t i = 0; i < cgroups.count; i++) {
        struct fence_cgroup_tree *tree = &cgroups.trees[i];

        if (tree->is_unified && !(tree->has_memory && tree->has_pids))
            hand_out_controllers(tree);
        look_after_groups(tree, max_memory_bytes, max_processes);
    }
}

void fence_cgroup_end(void)
{
    struct fence_cgroups cgroups;

    fence_cgroup_find(&cgroups);
    for (size_t i = 0; i < cgroups.count; i++) {
        const struct fence_cgroup_tree *tree = &cgroups.trees[i];
        AUTO_FREE char *leaf = xasprintf("%s/" FENCE_CGROUP_LEAF, tree->base);

        /* Only where it was we who handed them out. */
        if (tree->is_unified && access(leaf, F_OK) == 0) {
            write_in(tree->base, "cgroup.subtree_control", "-memory");
            write_in(tree->base, "cgroup.subtree_control", "-pids");
        }
    }
}
