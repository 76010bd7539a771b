#include "agent/fence_limits.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

/* Over the daemon's own. */
#define OOM_SCORE_ADJUSTMENT "500"
#define MAX_DESCRIPTORS      65536

static int drop_bounding_set(void)
{
    for (unsigned long capability = 0;; capability++) {
        int is_there = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);

        if (is_there < 0) /* behind the last one */
            return 0;
        if (is_there > 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return -1;
    }
}

struct capabilities {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
};

static int get_capabilities(struct capabilities *capabilities)
{
    memset(capabilities, 0, sizeof(*capabilities));
    capabilities->header.version = _LINUX_CAPABILITY_VERSION_3;
    return (int)syscall(SYS_capget, &capabilities->header, capabilities->sets);
}

/* Keeps those of the first set that `kept` names, as permitted ones that are not in force. */
static int keep_capabilities(struct capabilities *capabilities, unsigned kept)
{
    unsigned permitted = capabilities->sets[0].permitted & kept;

    /* Who has none may not be allowed the call either: systemd counts it as @privileged. */
    if (capabilities->sets[0].permitted == 0 && capabilities->sets[1].permitted == 0)
        return 0;
    memset(capabilities->sets, 0, sizeof(capabilities->sets));
    capabilities->sets[0].permitted = permitted;
    return (int)syscall(SYS_capset, &capabilities->header, capabilities->sets);
}

int fence_set_capabilities_aside(void)
{
    struct capabilities capabilities;

    if (get_capabilities(&capabilities) != 0)
        return -1;
    /* Who may not change the bounding set has nothing that it could bound: without privileges
     * nothing is gained by an exec. */
    if ((capabilities.sets[0].effective & (1U << CAP_SETPCAP)) && drop_bounding_set() != 0)
        return -1;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return -1;
    return keep_capabilities(&capabilities, 1U << CAP_DAC_OVERRIDE);
}

void fence_use_capabilities(bool are_used)
{
    struct capabilities capabilities;

    if (get_capabilities(&capabilities) != 0 || capabilities.sets[0].permitted == 0)
        return;
    capabilities.sets[0].effective = are_used ? capabilities.sets[0].permitted : 0;
    syscall(SYS_capset, &capabilities.header, capabilities.sets);
}

int fence_drop_capabilities(void)
{
    struct capabilities capabilities;

    return get_capabilities(&capabilities) == 0 ? keep_capabilities(&capabilities, 0) : -1;
}

static int set_limit(int which, rlim_t value)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
    struct rlimit before;

    if (getrlimit((__rlimit_resource_t)which, &before) == 0 && before.rlim_max < value)
        return 0; /* already tighter */
    return setrlimit((__rlimit_resource_t)which, &limit);
}

int fence_limit_resources(int64_t max_file_bytes)
{
    if (set_limit(RLIMIT_CORE, 0) != 0 || set_limit(RLIMIT_NOFILE, MAX_DESCRIPTORS) != 0)
        return -1;
    return set_limit(RLIMIT_FSIZE, (rlim_t)max_file_bytes);
}

/* The threads of a process when it is of user `uid`, else 0. */
static int64_t threads_of(const char *pid, uid_t uid)
{
    char path[288];
    char text[1024];
    struct stat info;
    const char *at = NULL;
    AUTO_FD int fd = -1;
    ssize_t got = 0;

    snprintf(path, sizeof(path), "/proc/%s", pid);
    if (stat(path, &info) != 0 || info.st_uid != uid)
        return 0;
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    text[got > 0 ? got : 0] = '\0';
    at = strrchr(text, ')'); /* field 2; the number of threads is field 20 */
    for (int field = 2; at && field < 20; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : 1;
}

int fence_limit_processes(int64_t max_processes)
{
    DIR *proc = opendir("/proc");
    int64_t count = 0;

    if (!proc)
        return -1;
    for (;;) {
        const struct dirent *entry = readdir(proc); /* NOLINT(concurrency-mt-unsafe): own DIR */

        if (!entry)
            break;
        if (isdigit((unsigned char)entry->d_name[0]))
            count += threads_of(entry->d_name, getuid());
    }
    closedir(proc);
    return set_limit(RLIMIT_NPROC, (rlim_t)(count + max_processes));
}

void fence_offer_to_oom_killer(void)
{
    AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, OOM_SCORE_ADJUSTMENT, strlen(OOM_SCORE_ADJUSTMENT)) < 0)
        return;
}
