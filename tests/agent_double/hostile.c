#include "tests/agent_double/hostile.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "tests/agent_double/emit.h"
#include "tests/agent_double/hostile_parts.h"

#define ANSWER_MAX_BYTES ((size_t)64 * 1024)

struct hostile_target hostile_target;

/* `own-...` must succeed, fence or not. In this order. */
static const struct attempt {
    const char *name;
    int (*make)(void);
} attempts[] = {
    { "own-tmp", hostile_own_tmp },
    { "own-outbox", hostile_own_outbox },
    { "own-workspace", hostile_own_workspace },
    { "own-stderr", hostile_own_stderr },
    { "own-exec", hostile_own_exec },
    { "own-kill", hostile_own_kill },
    { "own-connect", hostile_own_connect },
    { "own-unix", hostile_own_unix },
    { "own-dns", hostile_own_dns },
    { "config", hostile_config },
    { "config-by-root", hostile_config_by_root },
    { "token", hostile_token },
    { "database", hostile_database },
    { "other-prompt", hostile_other_prompt },
    { "tmp-link", hostile_tmp_link },
    { "outbox-link", hostile_outbox_link },
    { "workspace-link", hostile_workspace_link },
    { "meta-read", hostile_meta_read },
    { "meta-write", hostile_meta_write },
    { "run-dir-write", hostile_run_dir_write },
    { "loose-permissions", hostile_loose_permissions },
    { "workspace-write", hostile_workspace_write },
    { "outside-write", hostile_outside_write },
    { "etc-write", hostile_etc_write },
    { "home-write", hostile_home_write },
    { "shadow", hostile_shadow },
    { "victim-truncate", hostile_victim_truncate },
    { "victim-cut-by-open", hostile_victim_cut_by_open },
    { "victim-link", hostile_victim_link },
    { "victim-move", hostile_victim_move },
    { "victim-remove", hostile_victim_remove },
    { "device", hostile_device },
    { "daemon-environ", hostile_daemon_environ },
    { "daemon-mem", hostile_daemon_mem },
    { "daemon-maps", hostile_daemon_maps },
    { "daemon-descriptors", hostile_daemon_descriptors },
    { "daemon-limits", hostile_daemon_limits },
    { "supervisor-environ", hostile_supervisor_environ },
    { "ptrace-daemon", hostile_ptrace_daemon },
    { "ptrace-supervisor", hostile_ptrace_supervisor },
    { "readv", hostile_readv },
    { "getfd", hostile_getfd },
    { "kill-daemon", hostile_kill_daemon },
    { "kill-daemon-high", hostile_kill_daemon_high },
    { "kill-daemon-group", hostile_kill_daemon_group },
    { "kill-supervisor", hostile_kill_supervisor },
    { "kill-all", hostile_kill_all },
    { "tgkill", hostile_tgkill },
    { "sigqueue", hostile_sigqueue },
    { "pidfd-signal", hostile_pidfd_signal },
    { "descriptors", hostile_descriptors },
    { "forkbomb", hostile_forkbomb },
    { "large-file", hostile_large_file },
    { "mount", hostile_mount },
    { "unshare-user", hostile_unshare_user },
    { "unshare-net", hostile_unshare_net },
    { "clone-user", hostile_clone_user },
    { "clone3", hostile_clone3 },
    { "setns", hostile_setns },
    { "chroot", hostile_chroot },
    { "module", hostile_module },
    { "bpf", hostile_bpf },
    { "perf", hostile_perf },
    { "kexec", hostile_kexec },
    { "reboot", hostile_reboot },
    { "clock", hostile_clock },
    { "keys", hostile_keys },
    { "userfaultfd", hostile_userfaultfd },
    { "io-uring", hostile_io_uring },
    { "handle", hostile_handle },
    { "typing", hostile_typing },
    { "typing-high", hostile_typing_high },
    { "foreign", hostile_foreign },
    { "setuid", hostile_setuid },
    { "metadata", hostile_metadata },
    { "metadata-ecs", hostile_metadata_ecs },
    { "metadata-mapped", hostile_metadata_mapped },
    { "metadata-v6", hostile_metadata_v6 },
    { "metadata-fastopen", hostile_metadata_fastopen },
    { "abstract", hostile_abstract },
    { "vsock", hostile_vsock },
    { "daemonize", hostile_daemonize },
};

static void aim(char *place, size_t size, const struct stage *stage, const char *key,
                const char *otherwise)
{
    snprintf(place, size, "%s", scenario_text(stage->scenario, key, otherwise));
}

static pid_t parent_of(pid_t pid)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/stat", (int)pid);
    char text[512] = "";
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *at = NULL;

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return 0;
    at = strrchr(text, ')');
    return at && strlen(at) > 4 ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

static void take_aim(const struct stage *stage)
{
    char *slash = NULL;

    hostile_target.supervisor = getppid();
    hostile_target.daemon =
        (pid_t)scenario_number(stage->scenario, "daemon", parent_of(hostile_target.supervisor));
    hostile_target.signal_number = (int)scenario_number(stage->scenario, "signal", 0);
    hostile_target.forks = scenario_number(stage->scenario, "forks", 100);
    aim(hostile_target.config, sizeof(hostile_target.config), stage, "config", "/nowhere");
    aim(hostile_target.token, sizeof(hostile_target.token), stage, "token", "/nowhere");
    aim(hostile_target.database, sizeof(hostile_target.database), stage, "database",
        "/nowhere");
    aim(hostile_target.prompt, sizeof(hostile_target.prompt), stage, "prompt", "/nowhere");
    aim(hostile_target.victim, sizeof(hostile_target.victim), stage, "victim", "/nowhere");
    aim(hostile_target.outside, sizeof(hostile_target.outside), stage, "outside", "/nowhere");
    snprintf(hostile_target.run_dir, sizeof(hostile_target.run_dir), "%s", hostile_tmp());
    slash = strrchr(hostile_target.run_dir, '/');
    if (slash)
        *slash = '\0';
    if (!getcwd(hostile_target.workspace, sizeof(hostile_target.workspace)))
        hostile_target.workspace[0] = '\0';
}

/* Whether the parameter `try` (a list between commas, "all" if it is not there) names it. */
static bool is_wanted(const struct stage *stage, const char *name)
{
    const char *list = scenario_text(stage->scenario, "try", "all");
    size_t len = strlen(name);

    if (strcmp(list, "all") == 0)
        return strcmp(name, "daemonize") != 0; /* which is in nobody's way */
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* Fills what it may write, file by file, until somebody ends it. */
static _Noreturn void fill_disk(const struct stage *stage)
{
    char block[4096];

    emit_opening();
    emit_words("filling the disk", 0);
    memset(block, 'x', sizeof(block));
    for (int64_t i = 0; i < scenario_number(stage->scenario, "files", 1000000); i++) {
        AUTO_FREE char *path = xasprintf("%s/file-%d", hostile_tmp(), (int)i);
        AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        for (int k = 0; k < 16; k++) {
            if (write(fd, block, sizeof(block)) < 0)
                poll(NULL, 0, 10);
        }
    }
    for (;;)
        pause();
}

/* Prepares its slot for the next attempt, and fails so that there will be one. */
static int fail_to_come_again(void)
{
    const char *config = getenv("CURSOR_CONFIG_DIR"); /* NOLINT(concurrency-mt-unsafe) */
    AUTO_FREE char *chats = xasprintf("%s/chats", config ? config : "/nowhere");
    AUTO_FREE char *aside = xasprintf("%s.aside", chats);
    AUTO_FREE char *file = xasprintf("%s/cli-config.json", config ? config : "/nowhere");
    AUTO_FD int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);

    rename(chats, aside);
    if (symlink(hostile_target.database, chats) != 0 || fd < 0 || write(fd, "{}", 2) != 2)
        return 2;
    fprintf(stderr, "Error: ENOENT: no such file, rename 'cli-config.json.tmp'\n");
    return 1;
}

int hostile_play(const struct stage *stage)
{
    AUTO_BUF struct buf answer = { 0 };

    if (strcmp(scenario_text(stage->scenario, "try", "all"), "fill-disk") == 0)
        fill_disk(stage);
    take_aim(stage);
    if (scenario_number(stage->scenario, "relink", 0) && scenario_count(stage->scenario) < 1)
        return fail_to_come_again();
    buf_init(&answer, ANSWER_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        int errnum = 0;
        const char *name = NULL;

        if (!is_wanted(stage, attempts[i].name))
            continue;
        errnum = attempts[i].make();
        name = errnum ? strerrorname_np(errnum) : "done";
        buf_printf(&answer, "%s=%s ", attempts[i].name, name ? name : "?");
    }
    buf_append_text(&answer, "end");
    emit_opening();
    emit_words(buf_text(&answer), 0);
    emit_result();
    return 0;
}
