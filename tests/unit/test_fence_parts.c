/* What the fence decides by, without building one: paths, addresses, control groups. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fence_cgroup.h"
#include "agent/fence_git.h"
#include "agent/fence_net.h"
#include "agent/fence_reach.h"
#include "agent/fence_rules.h"
#include "agent/meta.h"
#include "base/file.h"
#include "tests/test.h"

static char *dir;

static int lay_out(void **state)
{
    char path[64] = "/tmp/threadkeeper-parts.XXXXXX";

    (void)state;
    dir = mkdtemp(path) ? xstrdup(path) : NULL;
    return dir ? 0 : -1;
}

static int tear_down(void **state)
{
    int rc = file_remove_tree(dir, NULL);

    (void)state;
    free(dir);
    return rc;
}

/* The path of a new file or, with `text` NULL, of a new directory below ours. */
static char *made(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", dir, name);
    AUTO_FREE char *above = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    struct err err = { 0 };

    if (file_make_dirs(text ? above : path, 0755, &err) != 0 ||
        (text && file_write(path, text, strlen(text), 0755, &err) != 0))
        fail_msg("%s", err.message);
    return path;
}

static void put(const char *name, const char *text)
{
    free(made(name, text));
}

/* --- addresses -------------------------------------------------------------------------- */

static void metadata_is_known_however_it_is_written(void)
{
    static const struct {
        const char *address;
        int family;
        bool is_refused;
    } cases[] = {
        { "169.254.169.254", AF_INET, true },
        { "169.254.170.2", AF_INET, true },
        { "169.254.170.23", AF_INET, true },
        { "169.254.169.253", AF_INET, false }, /* DNS */
        { "169.254.169.123", AF_INET, false }, /* NTP */
        { "127.0.0.1", AF_INET, false },
        { "10.0.0.1", AF_INET, false },
        { "254.169.254.169", AF_INET, false },
        { "fd00:ec2::254", AF_INET6, true },
        { "fd00:ec2::23", AF_INET6, true },
        { "fd00:ec2::253", AF_INET6, false },
        { "::ffff:169.254.169.254", AF_INET6, true },
        { "::ffff:169.254.170.2", AF_INET6, true },
        { "::169.254.169.254", AF_INET6, true },
        { "64:ff9b::169.254.169.254", AF_INET6, true },
        { "::ffff:169.254.169.253", AF_INET6, false },
        { "::1", AF_INET6, false },
        { "2600::1", AF_INET6, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
        bool is_v4 = cases[i].family == AF_INET;
        const void *address = is_v4 ? (const void *)&v4 : (const void *)&v6;
        size_t len = is_v4 ? sizeof(v4) : sizeof(v6);

        inet_pton(cases[i].family, cases[i].address,
                  is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr);
        CHECK_INT(fence_net_is_metadata(address, len), cases[i].is_refused, cases[i].address);
        for (size_t shorter = 0; shorter < 8; shorter++)
            CHECK_INT(fence_net_is_metadata(address, shorter), false, "cut off");
    }
}

static void our_own_services_are_denied_however_they_are_written(void)
{
    static const struct {
        const char *listen;
        const char *address;
        int port;
        bool is_denied;
    } cases[] = {
        { "127.0.0.1:9464", "127.0.0.1", 9464, true },
        { "127.0.0.1:9464", "127.0.0.1", 9465, false },
        { "127.0.0.1:9464", "127.0.0.2", 9464, false },
        { "127.0.0.1:9464", "0.0.0.0", 9464, true }, /* the loopback */
        { "127.0.0.1:9464", "::", 9464, true },
        { "127.0.0.1:9464", "::ffff:0.0.0.0", 9464, true },
        { "127.0.0.1:9464", "::ffff:127.0.0.1", 9464, true },
        { "127.0.0.1:9464", "::1", 9464, false },
        { "127.0.0.1:9464", "10.0.0.1", 9464, false },
        { "10.1.2.3:80", "10.1.2.3", 80, true },
        { "10.1.2.3:80", "0.0.0.0", 80, false },
        { "[::1]:9464", "::1", 9464, true },
        { "::1:9464", "::1", 9464, true },
        { "[::1]:9464", "127.0.0.1", 9464, false },
        { "[::1]:9464", "::", 9464, true },
        { "localhost:9464", "127.0.0.1", 9464, true },
        { "localhost:9464", "::1", 9464, true },
        { "0.0.0.0:9464", "127.0.0.1", 9464, true },
        { "0.0.0.0:9464", "127.9.9.9", 9464, true },
        { "0.0.0.0:9464", "::ffff:127.0.0.1", 9464, true },
        { "0.0.0.0:9464", "203.0.113.77", 9464, false }, /* not of this host */
        { "[::]:9464", "::1", 9464, true },
        { "[::]:9464", "127.0.0.1", 9464, true },
        { "[::]:9464", "127.0.0.1", 80, false },
        { "", "127.0.0.1", 9464, false },
        { "nonsense", "127.0.0.1", 9464, false },
        { "]:9464", "127.0.0.1", 9464, false },
        { "[]:9464", "::", 9464, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *denied[] = { (char *)cases[i].listen, NULL };
        struct fence_rules none = { 0 };
        struct fence_reach *reach = fence_reach_new(&none, denied);
        uint16_t port = htons((uint16_t)cases[i].port);
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port };
        bool is_v4 = inet_pton(AF_INET, cases[i].address, &v4.sin_addr) == 1;
        const void *address = is_v4 ? (const void *)&v4 : (const void *)&v6;
        AUTO_FREE char *because = xasprintf("%s asked for %s port %d", cases[i].listen,
                                            cases[i].address, cases[i].port);

        inet_pton(AF_INET6, cases[i].address, &v6.sin6_addr);
        CHECK_INT(fence_reach_is_denied(reach, address, is_v4 ? sizeof(v4) : sizeof(v6)),
                  cases[i].is_denied, because);
        for (size_t shorter = 0; shorter < 8; shorter++)
            CHECK_INT(fence_reach_is_denied(reach, address, shorter), false, "cut off");
        fence_reach_release(reach);
    }
}

static void sockets_and_modes_are_reached_where_the_run_may_change(void)
{
    static const struct {
        const char *path;
        bool has_socket, may_change;
    } cases[] = {
        { "/run/docker.sock", false, false },
        { "/run/user/1000/bus", false, false },
        { "/run/systemd/private", false, false },
        { "/run/systemd/resolve/io.systemd.Resolve", true, false },
        { "/run/systemd/resolved", false, false },
        { "/run/nscd/socket", true, false },
        { "/run/nscd/socket2", false, false },
        { "/shop/tmp/s", true, true },
        { "/shop", true, true },
        { "/shopping/s", false, false },
        { "/named/s", true, false },
        { "/read/s", false, false },
        { "pipe:[12]", false, true },
        { "/memfd:x (deleted)", false, true },
    };
    struct fence_rule items[] = {
        { (char *)"/shop", FENCE_READ | FENCE_CHANGE },
        { (char *)"/named", FENCE_READ | FENCE_CONNECT },
        { (char *)"/read", FENCE_READ | FENCE_EXECUTE },
        { (char *)"/", FENCE_LIST },
    };
    struct fence_rules rules = { items, ARRAY_LEN(items) };
    struct fence_reach *reach = fence_reach_new(&rules, NULL);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(fence_reach_has_socket(reach, cases[i].path), cases[i].has_socket,
                  cases[i].path);
        CHECK_INT(fence_reach_may_change(reach, cases[i].path), cases[i].may_change,
                  cases[i].path);
    }
    fence_reach_release(reach);
}

/* --- git -------------------------------------------------------------------------------- */

static void a_worktree_counts_when_its_repository_agrees(void **state)
{
    AUTO_FREE char *tree = made("tree", NULL);
    AUTO_FREE char *names = xasprintf("gitdir: %s/repo/.git/worktrees/tree\n", dir);
    AUTO_FREE char *back = xasprintf("%s/tree/.git\n", dir);
    AUTO_FREE char *common = xasprintf("%s/repo/.git", dir);
    struct fence_git git = { 0 };

    (void)state;
    put("tree/.git", names);
    put("repo/.git/worktrees/tree/gitdir", back);
    CHECK_INT(fence_git_find(tree, &git), true, "both point at each other");
    CHECK_TEXT(git.common_dir, common, "the repository");
    fence_git_deinit(&git);
}

static void a_forged_worktree_does_not_count(void **state)
{
    AUTO_FREE char *tree = made("tree", NULL);
    AUTO_FREE char *other = xasprintf("%s/other/.git", dir);
    AUTO_FREE char *link = xasprintf("%s/linked/.git", dir);
    AUTO_FREE char *linked = made("linked", NULL);
    static const char *const files[] = {
        "gitdir: /etc",
        "gitdir: /etc/worktrees/x",
        "gitdir: ../secret/.git/worktrees/tree",
        "gitdir: ../secret/.git",
        "gitdir: ",
        "",
        "../secret",
        "gitdir: ../secret/.git/worktrees/tree/../../..",
    };
    struct fence_git git = { 0 };

    (void)state;
    put("secret/.git/worktrees/tree/gitdir", other); /* somebody else's worktree */
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        put("tree/.git", files[i]);
        CHECK_INT(fence_git_find(tree, &git), false, files[i]);
    }
    put("real", "gitdir: ../secret/.git/worktrees/tree");
    assert_int_equal(symlink("../real", link), 0);
    CHECK_INT(fence_git_find(linked, &git), false, "a link is not followed");
}

/* --- paths ------------------------------------------------------------------------------ */

/* What the rules allow of a path: those of the longest rule above it, and of all others. */
static unsigned access_of(const struct fence_rules *rules, const char *path)
{
    unsigned access = 0;

    for (size_t i = 0; i < rules->count; i++) {
        size_t len = strlen(rules->items[i].path);

        if (strncmp(rules->items[i].path, path, len) == 0 &&
            (path[len] == '/' || path[len] == '\0'))
            access |= rules->items[i].access;
    }
    return access;
}

static void rules_go_around_what_is_hidden(void **state)
{
    AUTO_FREE char *workspace = made("ws", NULL);
    AUTO_FREE char *program = made("home/.local/share/agent/v1/agent", "#!/bin/sh\n");
    AUTO_FREE char *link = xasprintf("%s/home/.local/bin/agent", dir);
    AUTO_FREE char *links = made("home/.local/bin", NULL);
    AUTO_FREE char *run_dir = made("state/runs/one", NULL);
    AUTO_FREE char *state_dir = xasprintf("%s/state", dir);
    AUTO_FREE char *config = made("ws/etc/config.yaml", "secret");
    AUTO_FREE char *home = xasprintf("%s/home", dir);
    AUTO_FREE char *login = made("home/.cursor", NULL);
    AUTO_FREE char *more = made("more", NULL);
    char *argv[] = { link, NULL };
    char *hidden[] = { config, state_dir, NULL };
    char *read[] = { more, state_dir, (char *)"relative", (char *)"/not/there", NULL };
    struct agent_meta meta = {
        .dialect = (char *)"cursor",
        .workspace = workspace,
        .argv = argv,
        .fence = { .mode = AGENT_MODE_ASK, .hidden = hidden, .read = read, .command_size = 1 }
    };
    static const struct {
        const char *path; /* below ours when it does not begin with a slash */
        unsigned has, has_not;
        const char *because;
    } cases[] = {
        { "ws/a.c", FENCE_READ | FENCE_EXECUTE, FENCE_CHANGE, "the workspace, to read" },
        { "ws/etc", FENCE_LIST, FENCE_READ | FENCE_CHANGE, "holds what is hidden" },
        { "ws/etc/config.yaml", 0, FENCE_READ | FENCE_CHANGE, "is hidden" },
        { "ws/etc/other", FENCE_READ, FENCE_CHANGE, "lies beside it" },
        { "state/threadkeeper.db", 0, FENCE_READ | FENCE_CHANGE, "the database" },
        { "state/runs/two/prompt", 0, FENCE_READ, "another run" },
        { "state/runs/one/meta.json", 0, FENCE_READ, "says who we are" },
        { "state/runs/one/prompt", FENCE_READ, FENCE_CHANGE, "its own prompt" },
        { "state/runs/one/outbox/x", FENCE_READ | FENCE_CHANGE, 0, "its outbox" },
        { "home/.local/share/agent/v1/lib", FENCE_READ | FENCE_EXECUTE, FENCE_CHANGE,
          "beside the program that the link means" },
        { "home/.ssh/id", 0, FENCE_READ | FENCE_CHANGE, "the rest of that home" },
        { "home/.cursor/auth.json", FENCE_READ | FENCE_CHANGE, 0, "its login" },
        { "more/x", FENCE_READ, FENCE_CHANGE, "agent.fence_read" },
        { "/usr/bin/env", FENCE_READ | FENCE_EXECUTE, FENCE_CHANGE, "programs" },
        { "/etc/passwd", FENCE_READ, FENCE_CHANGE | FENCE_EXECUTE, "names of users" },
        { "/etc/shadow", 0, FENCE_READ, "their passwords" },
        { "/etc/threadkeeper/x", 0, FENCE_READ, "the configuration's usual place" },
        { "/dev/null", FENCE_DEVICE, 0, "a device" },
        { "/dev/sda", 0, FENCE_DEVICE | FENCE_READ, "another" },
        { "/proc/self/maps", FENCE_READ, FENCE_CHANGE, "itself" },
    };
    struct fence_rules rules;

    (void)state;
    put("ws/a.c", "int a;");
    put("ws/etc/other", "x");
    put("state/runs/one/prompt", "?");
    free(made("state/runs/one/outbox", NULL));
    assert_int_equal(symlink("../share/agent/v1/agent", link), 0);
    setenv("HOME", home, 1);
    fence_rules_init(&rules, &meta, run_dir);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *path = cases[i].path[0] == '/' ? xstrdup(cases[i].path)
                                                       : xasprintf("%s/%s", dir, cases[i].path);
        unsigned access = access_of(&rules, path);

        CHECK_INT(access & cases[i].has, cases[i].has, cases[i].because);
        CHECK_INT(access & cases[i].has_not, 0, cases[i].because);
    }
    fence_rules_deinit(&rules);
    (void)links;
    (void)program;
    (void)login;
}

/* By its own hand, or by what agent.fence_write names: links lead to nothing that is hidden. */
static void a_link_of_a_run_opens_nothing(void **state)
{
    AUTO_FREE char *workspace = made("state/worktrees/x", NULL);
    AUTO_FREE char *run_dir = made("state/runs/one", NULL);
    AUTO_FREE char *state_dir = xasprintf("%s/state", dir);
    AUTO_FREE char *database = made("state/threadkeeper.db", "secret");
    AUTO_FREE char *log = made("state/logs/log", "secret");
    AUTO_FREE char *slot = made("state/slots/0", NULL);
    AUTO_FREE char *config = made("state/slots/0/config", NULL);
    AUTO_FREE char *chats = made("state/chats/abc", NULL);
    AUTO_FREE char *link = xasprintf("%s/chats", config);
    AUTO_FREE char *shared = made("shared", NULL);
    AUTO_FREE char *planted = xasprintf("%s/more", shared);
    AUTO_FREE char *itself = xasprintf("gitdir: %s\n", workspace);
    AUTO_FREE char *back = xasprintf("%s/.git\n", workspace);
    char *argv[] = { (char *)"/bin/true", NULL };
    char *hidden[] = { state_dir, NULL };
    char *write[] = { shared, planted, NULL };
    struct agent_meta meta = { .dialect = (char *)"text",
                               .workspace = workspace,
                               .argv = argv,
                               .fence = { .mode = AGENT_MODE_WRITE,
                                          .hidden = hidden,
                                          .write = write,
                                          .slot_dir = slot,
                                          .chats_dir = chats,
                                          .command_size = 1 } };
    struct fence_rules rules;

    (void)state;
    assert_int_equal(symlink(database, link), 0);
    assert_int_equal(symlink(database, planted), 0);
    put("state/worktrees/x/.git", itself); /* a worktree of the state directory */
    put("state/worktrees/x/gitdir", back);
    fence_rules_init(&rules, &meta, run_dir);
    CHECK_INT(access_of(&rules, database), 0, "neither by the slot nor by what it may write");
    CHECK_INT(access_of(&rules, log), 0, "nor by its workspace");
    CHECK_INT(access_of(&rules, chats) & FENCE_CHANGE, FENCE_CHANGE, "its chats");
    CHECK_INT(access_of(&rules, config) & FENCE_CHANGE, FENCE_CHANGE, "its slot");
    CHECK_INT(access_of(&rules, workspace) & FENCE_CHANGE, FENCE_CHANGE, "its workspace");
    fence_rules_deinit(&rules);
}

/* One home for all: what each of these runs may change there. */
static void runs_with_a_slot_leave_nothing_in_the_home(void **state)
{
    AUTO_FREE char *workspace = made("ws", NULL);
    AUTO_FREE char *run_dir = made("state/runs/one", NULL);
    AUTO_FREE char *slot = made("state/slots/0", NULL);
    AUTO_FREE char *home = made("home", NULL);
    static const struct {
        const char *dialect, *path;
        bool has_slot;
        unsigned has, has_not;
    } cases[] = {
        { "cursor", "home/.cursor/hooks.json", true, FENCE_READ, FENCE_CHANGE | FENCE_APPEND },
        { "cursor", "home/.config/cursor/auth.json", true, FENCE_APPEND, FENCE_CHANGE },
        { "cursor", "home/.cache/cursor-compile-cache/x", true, FENCE_READ, FENCE_CHANGE },
        { "cursor", "home/.cursor/hooks.json", false, FENCE_READ | FENCE_CHANGE, 0 },
        { "codex", "home/.codex/auth.json", false, FENCE_READ | FENCE_CHANGE, 0 }, /* made */
        { "opencode", "home/.local/share/opencode/x", false, FENCE_CHANGE, 0 },
        { "text", "home/.gitconfig", false, FENCE_READ, FENCE_CHANGE },
        { "text", "home/.config/git/config", false, FENCE_READ, FENCE_CHANGE },
        { "text", "home/.config/git/credentials", false, 0, FENCE_READ },
        { "text", "home/.codex/auth.json", false, 0, FENCE_READ },
    };
    char *argv[] = { (char *)"/bin/true", NULL };

    (void)state;
    put("home/.cursor/hooks.json", "{}");
    put("home/.config/cursor/auth.json", "{}");
    put("home/.cache/cursor-compile-cache/x", "code");
    put("home/.gitconfig", "[user]");
    put("home/.config/git/config", "[user]");
    put("home/.config/git/credentials", "secret");
    setenv("HOME", home, 1);
    unsetenv("XDG_CONFIG_HOME");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", dir, cases[i].path);
        struct agent_meta meta = { .dialect = (char *)cases[i].dialect,
                                   .workspace = workspace,
                                   .argv = argv,
                                   .fence = { .slot_dir = cases[i].has_slot ? slot : NULL,
                                              .command_size = 1 } };
        struct fence_rules rules;
        unsigned access = 0;

        fence_rules_init(&rules, &meta, run_dir);
        access = access_of(&rules, path);
        CHECK_INT(access & cases[i].has, cases[i].has, cases[i].path);
        CHECK_INT(access & cases[i].has_not, 0, cases[i].path);
        fence_rules_deinit(&rules);
    }
}

static void a_program_in_a_home_is_allowed_alone(void **state)
{
    AUTO_FREE char *program = made("home/agent", "#!/bin/sh\n");
    AUTO_FREE char *home = xasprintf("%s/home", dir);
    AUTO_FREE char *beside = made("home/secret", "x");
    AUTO_FREE char *run_dir = made("state/runs/one", NULL);
    AUTO_FREE char *workspace = made("ws", NULL);
    char *argv[] = { program, NULL };
    struct agent_meta meta = { .dialect = (char *)"text",
                               .workspace = workspace,
                               .argv = argv,
                               .fence = { .command_size = 1 } };
    struct fence_rules rules;

    (void)state;
    setenv("HOME", home, 1);
    fence_rules_init(&rules, &meta, run_dir);
    CHECK_INT(access_of(&rules, program) & FENCE_EXECUTE, FENCE_EXECUTE, "it runs");
    CHECK_INT(access_of(&rules, beside) & FENCE_READ, 0, "its neighbours stay unread");
    fence_rules_deinit(&rules);
}

/* --- control groups --------------------------------------------------------------------- */

#define V2_MOUNT "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                       \
    "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" \
    "31 23 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"     \
    "32 23 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"

static void the_group_of_the_runs_is_found(void)
{
    static const struct {
        const char *mounts, *groups;
        const char *bases[FENCE_CGROUP_TREES];
        const char *because;
    } cases[] = {
        { V2_MOUNT,
          "0::/system.slice/threadkeeper.service\n",
          { "/sys/fs/cgroup/system.slice/threadkeeper.service" },
          "a service" },
        { V2_MOUNT,
          "0::/system.slice/threadkeeper.service/daemon\n",
          { "/sys/fs/cgroup/system.slice/threadkeeper.service" },
          "a service whose daemon has stepped into its leaf" },
        { V2_MOUNT, "0::/\n", { "/sys/fs/cgroup" }, "a container" },
        { V1_MOUNTS,
          "5:memory:/a/b\n4:cpu,cpuacct:/\n8:pids:/\n0::/\n",
          { "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/pids" },
          "the old hierarchies, each by itself" },
        { "29 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
          "0::/docker/x/inner\n",
          { "/sys/fs/cgroup/inner" },
          "a part of the tree is mounted" },
        { "29 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
          "0::/elsewhere\n",
          { NULL },
          "not the part that we are in" },
        { "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "0::/\n", { NULL }, "none" },
        { "", "", { NULL }, "nothing" },
        { "garbage\n - cgroup2\n", "::\n:", { NULL }, "garbage" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fence_cgroups cgroups;
        size_t want = 0;

        fence_cgroup_parse(cases[i].mounts, cases[i].groups, &cgroups);
        for (; want < FENCE_CGROUP_TREES && cases[i].bases[want]; want++)
            CHECK_TEXT(want < cgroups.count ? cgroups.trees[want].base : NULL,
                       cases[i].bases[want], cases[i].because);
        CHECK_INT(cgroups.count, want, cases[i].because);
    }
}

/* Plain files in the place of the kernel's: what is written where. */
static void limits_are_written_as_each_hierarchy_wants_them(void **state)
{
    struct fence_cgroups cgroups = { .count = 2 };
    struct fence_group group;
    static const struct {
        const char *name, *want;
    } files[] = {
        { "v2/threadkeeper-run-x/memory.max", "1000000" },
        { "v2/threadkeeper-run-x/pids.max", "50" },
        { "v2/threadkeeper-run-x/memory.oom.group", "1" },
        { "v1/threadkeeper-run-x/memory.limit_in_bytes", "1000000" },
    };

    (void)state;
    snprintf(cgroups.trees[0].base, sizeof(cgroups.trees[0].base), "%s/v2", dir);
    cgroups.trees[0].is_unified = cgroups.trees[0].has_memory = cgroups.trees[0].has_pids =
        true;
    snprintf(cgroups.trees[1].base, sizeof(cgroups.trees[1].base), "%s/v1", dir);
    cgroups.trees[1].has_memory = true;
    put("v2/threadkeeper-run-x/cgroup.procs", "");
    put("v1/threadkeeper-run-x/cgroup.procs", "");
    put("v2/threadkeeper-run-x/memory.swap.max", "");
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(files[i].name, "");
    fence_group_make(&cgroups, "x", 1000000, 50, &group);
    CHECK_INT(group.cgroups.count, 2, "both");
    CHECK_INT(fence_group_enter(&group), 0, "steps in");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", dir, files[i].name);
        AUTO_BUF struct buf text = { 0 };

        buf_init(&text, 100);
        assert_int_equal(file_read(path, &text, NULL), 0);
        CHECK_TEXT(buf_text(&text), files[i].want, files[i].name);
    }
    fence_group_release(&group); /* cannot remove what holds files, and does not wait for it */
}

/* With the kernel's, where there are some that are ours. */
static void nobody_outlives_its_group(void **state)
{
    struct fence_cgroups cgroups;
    struct fence_group group;
    int pipe_fds[2];
    char byte = 0;
    pid_t child = 0;
    int status = 0;

    (void)state;
    fence_cgroup_find(&cgroups);
    if (cgroups.count == 0) {
        printf("# no control group is ours here\n");
        skip();
    }
    assert_int_equal(pipe(pipe_fds), 0);
    fence_group_make(&cgroups, strrchr(dir, '.') + 1, 0, 0, &group);
    CHECK_INT(group.cgroups.count, cgroups.count, "in each tree");
    child = fork();
    if (child == 0) {
        if (fence_group_enter(&group) != 0 || write(pipe_fds[1], "x", 1) != 1)
            _exit(1);
        setsid();
        for (;;)
            pause();
    }
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    fence_group_release(&group);
    waitpid(child, &status, 0);
    CHECK_INT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, 1, "killed with its group");
    for (size_t i = 0; i < cgroups.count; i++) {
        AUTO_FREE char *path = xasprintf("%s/" FENCE_CGROUP_PREFIX "%s", cgroups.trees[i].base,
                                         strrchr(dir, '.') + 1);

        CHECK_INT(access(path, F_OK), -1, "and the group is gone");
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, lay_out, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(metadata_is_known_however_it_is_written),
        TEST(our_own_services_are_denied_however_they_are_written),
        TEST(sockets_and_modes_are_reached_where_the_run_may_change),
        CASE(a_worktree_counts_when_its_repository_agrees),
        CASE(a_forged_worktree_does_not_count),
        CASE(rules_go_around_what_is_hidden),
        CASE(a_link_of_a_run_opens_nothing),
        CASE(runs_with_a_slot_leave_nothing_in_the_home),
        CASE(a_program_in_a_home_is_allowed_alone),
        TEST(the_group_of_the_runs_is_found),
        CASE(limits_are_written_as_each_hierarchy_wants_them),
        CASE(nobody_outlives_its_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
