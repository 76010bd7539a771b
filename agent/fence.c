#include "agent/fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/fence_cgroup.h"
#include "agent/fence_landlock.h"
#include "agent/fence_limits.h"
#include "agent/fence_net.h"
#include "agent/fence_reach.h"
#include "agent/fence_rules.h"
#include "agent/fence_seccomp.h"
#include "agent/meta.h"
#include "agent/run_dir.h"
#include "base/alloc.h"

#define MISSING_MAX_BYTES 4096
#define DISK_ENTRIES_MAX  100000 /* files that are looked at; a run with more has enough */
#define DISK_DEPTH_MAX    64
#define FIRST_FD          3 /* behind the streams */
#define GUARDED_MAX       4

enum { OURS, THEIRS };

struct fence {
    const struct agent_meta *meta;
    char *run_dir;
    struct fence_features features;
    int ruleset; /* -1: none */
    struct fence_filter filter;
    int channel[2]; /* to the child, for the listener */
    int listener;
    struct fence_reach *reach; /* what is asked by the listener is judged by it */
    struct fence_group group;
    int64_t kept_bytes; /* in the slot and the chats before this run */
};

/* --- what there is ---------------------------------------------------------------------- */

static void probe_groups(struct fence_features *features, const struct fence_cgroups *cgroups)
{
    for (size_t i = 0; i < cgroups->count; i++) {
        features->has_memory_limit |= cgroups->trees[i].has_memory;
        features->has_process_limit |= cgroups->trees[i].has_pids;
        features->has_group_kill |= cgroups->trees[i].is_unified;
    }
}

void fence_probe(struct fence_features *ret_features)
{
    struct fence_cgroups cgroups;

    *ret_features = (struct fence_features){
        .landlock_abi = fence_landlock_abi(),
        .has_seccomp = fence_seccomp_is_there(),
        .has_connect_watch = fence_net_is_there(),
    };
    fence_cgroup_find(&cgroups);
    probe_groups(ret_features, &cgroups);
}

static void say_essential(const struct fence_features *features, struct buf *out)
{
    if (features->landlock_abi == 0)
        buf_append_text(out, "Landlock: agents could read and change what the daemon's user "
                             "can; mend: Linux 5.19 or newer with landlock in its lsm= list, "
                             "no container that forbids it\n");
    if (!features->has_seccomp)
        buf_append_text(out, "seccomp: system calls are not filtered; mend: a kernel with "
                             "CONFIG_SECCOMP_FILTER\n");
}

bool fence_missing(const struct fence_features *features, struct buf *out)
{
    say_essential(features, out);
    if (features->landlock_abi > 0 && features->landlock_abi < FENCE_LANDLOCK_SCOPE_ABI)
        buf_append_text(out, "signals: only the processes that were there when a run began are "
                             "guarded; mend: Linux 6.12 or newer\n");
    if (!features->has_connect_watch)
        buf_append_text(out, "the host's metadata address: agents can reach it; mend: Linux "
                             "5.19 or newer and kernel.yama.ptrace_scope below 2, or give the "
                             "host no role\n");
    if (!features->has_memory_limit)
        buf_append_text(out, "memory: agent.max_memory has no effect; mend: cgroup v2, and "
                             "Delegate=yes in the systemd unit\n");
    if (!features->has_process_limit)
        buf_append_text(out, "processes: agent.max_processes counts all of the user's; mend: "
                             "as for memory\n");
    return features->landlock_abi == 0 || !features->has_seccomp;
}

/* --- in the supervisor ------------------------------------------------------------------ */

static void add_guarded(pid_t *guarded, size_t *count, pid_t pid)
{
    for (size_t i = 0; i < *count; i++) {
        if (guarded[i] == pid)
            return;
    }
    if (pid > 0)
        guarded[(*count)++] = pid;
}

static int make_filter(struct fence *fence, struct err *err)
{
    pid_t guarded[GUARDED_MAX];
    struct fence_seccomp_options options = {
        .landlock_abi = fence->features.landlock_abi,
        .watches_connect = fence->features.has_connect_watch,
        .changes_nothing = fence->meta->fence.mode != AGENT_MODE_WRITE,
        .guarded = guarded,
    };

    add_guarded(guarded, &options.guarded_count, getpid());
    add_guarded(guarded, &options.guarded_count, getpgrp());
    add_guarded(guarded, &options.guarded_count, getppid());
    add_guarded(guarded, &options.guarded_count, getpgid(getppid()));
    return fence_seccomp_make(&options, &fence->filter, err);
}

static int make_ruleset(struct fence *fence, struct err *err)
{
    bool has_landlock = fence->features.landlock_abi > 0;
    struct fence_rules rules;

    fence_rules_init(&rules, fence->meta, fence->run_dir);
    fence->reach = fence_reach_new(&rules, fence->meta->fence.denied);
    if (has_landlock)
        fence->ruleset = fence_landlock_new(fence->features.landlock_abi, &rules, err);
    fence_rules_deinit(&rules);
    return has_landlock && fence->ruleset < 0 ? -1 : 0;
}

static void make_group(struct fence *fence)
{
    struct fence_cgroups cgroups;
    const char *run_id = strrchr(fence->run_dir, '/');

    fence_cgroup_find(&cgroups);
    fence_group_make(&cgroups, run_id ? run_id + 1 : fence->run_dir,
                     fence->meta->fence.max_memory_bytes, fence->meta->fence.max_processes,
                     &fence->group);
    fence->features.has_memory_limit = fence->features.has_process_limit = false;
    probe_groups(&fence->features, &fence->group.cgroups);
}

/* The essential parts, where the configuration insists on them. */
static int check_features(const struct fence *fence, struct err *err)
{
    AUTO_BUF struct buf missing = { 0 };

    buf_init(&missing, MISSING_MAX_BYTES);
    say_essential(&fence->features, &missing);
    if (missing.len == 0 || fence->meta->fence.fence != AGENT_FENCE_ON)
        return 0;
    return err_set(err, ERR_INPUT, "agent.fence is on, and this host lacks %.*s",
                   (int)missing.len - 1, buf_text(&missing));
}

static int make_parts(struct fence *fence, struct err *err)
{
    if (check_features(fence, err) != 0)
        return -1;
    make_group(fence);
    /* Behind the group, which may take a right to make. */
    if (fence_set_capabilities_aside() != 0)
        return err_set_errno(err, ERR_SYSTEM, "give up capabilities");
    if (make_ruleset(fence, err) != 0)
        return -1;
    if (!fence->features.has_seccomp)
        return 0;
    if (fence->features.has_connect_watch &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fence->channel) != 0)
        return err_set_errno(err, ERR_SYSTEM, "make a channel");
    return make_filter(fence, err);
}

struct disk_count {
    int64_t bytes;
    int entries;
    bool is_partial; /* there may be more: it is not gone on */
};

static struct disk_count count_kept(const struct fence_spec *spec);

int fence_prepare_with(const struct agent_meta *meta, const char *run_dir,
                       const struct fence_features *features, struct fence **ret_fence,
                       struct err *err)
{
    struct fence *fence = xcalloc(1, sizeof(*fence));

    fence->meta = meta;
    fence->run_dir = xstrdup(run_dir);
    fence->ruleset = fence->channel[OURS] = fence->channel[THEIRS] = fence->listener = -1;
    fence->features = *features;
    fence->kept_bytes = count_kept(&meta->fence).bytes;
    if (meta->fence.fence != AGENT_FENCE_OFF && make_parts(fence, err) != 0) {
        fence_release(fence);
        return -1;
    }
    *ret_fence = fence;
    return 0;
}

int fence_prepare(const struct agent_meta *meta, const char *run_dir, struct fence **ret_fence,
                  struct err *err)
{
    struct fence_features features;

    fence_probe(&features);
    return fence_prepare_with(meta, run_dir, &features, ret_fence, err);
}

int fence_notify_fd(const struct fence *fence)
{
    return fence->listener >= 0 ? fence->listener : fence->channel[OURS];
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* What the child sent: the listener, unless it ended before. */
static void take_listener(struct fence *fence)
{
    char byte = 0;
    struct iovec data = { .iov_base = &byte, .iov_len = 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t got = recvmsg(fence->channel[OURS], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fence->listener, CMSG_DATA(header), sizeof(int));
    close_fd(&fence->channel[OURS]);
}

void fence_serve(struct fence *fence)
{
    close_fd(&fence->channel[THEIRS]); /* after the fork it is the child's alone */
    if (fence->listener < 0)
        take_listener(fence);
    else if (!fence_net_serve(fence->listener, fence->reach))
        close_fd(&fence->listener);
}

static void delete_fence(struct fence *fence)
{
    close_fd(&fence->ruleset);
    close_fd(&fence->channel[OURS]);
    close_fd(&fence->channel[THEIRS]);
    close_fd(&fence->listener);
    fence_filter_deinit(&fence->filter);
    fence_reach_release(fence->reach);
    free(fence->run_dir);
    free(fence);
}

void fence_release(struct fence *fence)
{
    if (!fence)
        return;
    if (fence->group.cgroups.count > 0) {
        fence_use_capabilities(true);
        fence_group_release(&fence->group);
        fence_use_capabilities(false);
    }
    delete_fence(fence);
}

/* --- in the child ----------------------------------------------------------------------- */

/* One byte goes with it: a message of ancillary data alone is none. */
static int send_listener(const struct fence *fence, int listener)
{
    char byte = 0;
    struct iovec data = { .iov_base = &byte, .iov_len = 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    struct cmsghdr *header = NULL;

    memset(&control, 0, sizeof(control));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &listener, sizeof(int));
    return sendmsg(fence->channel[THEIRS], &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* What every agent gets, with a fence or without: the step that failed, or NULL. */
static const char *enter_basics(const struct fence *fence)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return "privileges";
    fence_offer_to_oom_killer();
    /* What it builds may be larger than what it says. */
    if (fence_limit_resources(FENCE_DISK_OUTPUTS * fence->meta->max_output_bytes) != 0)
        return "limits";
    return close_range(FIRST_FD, ~0U, CLOSE_RANGE_CLOEXEC) != 0 ? "descriptors" : NULL;
}

static const char *enter_filter(const struct fence *fence)
{
    int listener = -1;

    if (fence_seccomp_enter(&fence->filter, &listener) != 0 ||
        (listener >= 0 && send_listener(fence, listener) != 0))
        return "seccomp";
    close_fd(&listener);
    return NULL;
}

static const char *enter_parts(const struct fence *fence)
{
    int64_t max_processes = fence->meta->fence.max_processes;

    if (fence_drop_capabilities() != 0)
        return "capabilities";
    if (fence_group_enter(&fence->group) != 0)
        return "group";
    if (max_processes > 0 && !fence->features.has_process_limit &&
        fence_limit_processes(max_processes) != 0)
        return "processes";
    if (fence->ruleset >= 0 &&
        fence_landlock_enter(fence->ruleset, fence->features.landlock_abi) != 0)
        return "landlock";
    return fence->filter.program ? enter_filter(fence) : NULL;
}

int fence_enter(struct fence *fence, const char **ret_step, struct err *err)
{
    const char *step = enter_basics(fence);

    if (!step && fence->meta->fence.fence != AGENT_FENCE_OFF)
        step = enter_parts(fence);
    if (!step)
        return 0;
    *ret_step = step;
    return err_set_errno(err, ERR_SYSTEM, "confine it");
}

/* --- the disk --------------------------------------------------------------------------- */

/* A directory that we may not look into, or that lies too deep, hides how much is in it. */
static void count_below(struct disk_count *count, int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry = NULL;

    if (!listing) {
        /* Or it was removed or exchanged meanwhile. */
        count->is_partial |= fd >= 0 || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP);
        if (fd >= 0)
            close(fd);
        return;
    }
    while (!count->is_partial &&
           (entry = readdir(listing)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        struct stat info;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(listing), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            count->is_partial |= errno != ENOENT;
            continue;
        }
        count->bytes += (int64_t)info.st_blocks * 512;
        if (++count->entries > DISK_ENTRIES_MAX ||
            (S_ISDIR(info.st_mode) && depth == DISK_DEPTH_MAX))
            count->is_partial = true;
        else if (S_ISDIR(info.st_mode))
            count_below(count, dirfd(listing), entry->d_name, depth + 1);
    }
    closedir(listing);
}

static void count_in(struct disk_count *count, const char *directory, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

    count_below(count, AT_FDCWD, path, 0);
}

/* What outlives a run, or may have been there before it. */
static struct disk_count count_kept(const struct fence_spec *spec)
{
    struct disk_count count = { 0 };

    if (spec->slot_dir)
        count_in(&count, spec->slot_dir, ".");
    if (spec->chats_dir)
        count_in(&count, spec->chats_dir, ".");
    return count;
}

bool fence_is_within_disk(const struct fence *fence, int64_t *ret_bytes)
{
    struct disk_count count = count_kept(&fence->meta->fence);

    count.bytes -= fence->kept_bytes;
    count_in(&count, fence->run_dir, RUN_DIR_TMP);
    count_in(&count, fence->run_dir, RUN_DIR_OUTBOX);
    *ret_bytes = count.bytes;
    return !count.is_partial &&
           count.bytes <= FENCE_DISK_OUTPUTS * fence->meta->max_output_bytes;
}
