/* What the daemon leaves behind among the processes. */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/harness_inside.h"

#define ENVIRON_MAX_BYTES ((size_t)1024 * 1024)
#define RUN_PROCESSES_MAX 1000 /* tries: a killed one may show for a moment */
#define MARK              "THREADKEEPER_RUN="

/* Does a file of /proc hold the path of our directory? */
static bool names_our_dir(const struct harness *harness, const struct buf *bytes)
{
    return memmem(buf_text(bytes), bytes->len, harness->dir, strlen(harness->dir)) != NULL;
}

/* An environment with the mark of a run and a path of ours in it. */
static bool is_marked(const struct harness *harness, const char *pid)
{
    char path[64];
    AUTO_BUF struct buf environment = { 0 };
    struct err err = { 0 };

    snprintf(path, sizeof(path), "/proc/%s/environ", pid);
    buf_init(&environment, ENVIRON_MAX_BYTES);
    return file_read(path, &environment, &err) == 0 &&
           memmem(buf_text(&environment), environment.len, MARK, strlen(MARK)) &&
           names_our_dir(harness, &environment);
}

/* Works where our agents work: then it is one, even when it has wiped its environment. */
static bool is_in_workspace(const struct harness *harness, const char *pid)
{
    char path[64];
    char where[4096];
    ssize_t len;

    snprintf(path, sizeof(path), "/proc/%s/cwd", pid);
    len = readlink(path, where, sizeof(where) - 1);
    if (len < 0)
        return false;
    where[len] = '\0';
    return strcmp(where, harness->workspace) == 0;
}

/* Is it one of the daemon's runs, whatever it has become? */
static bool is_of_our_runs(const struct harness *harness, const char *pid)
{
    return is_marked(harness, pid) || is_in_workspace(harness, pid);
}

static bool is_zombie_of(pid_t parent, const char *pid)
{
    char path[64];
    char text[512] = "";
    FILE *file;
    const char *after_name;

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    after_name = strrchr(text, ')');
    return after_name && after_name[1] == ' ' && after_name[2] == 'Z' &&
           strtol(after_name + 3, NULL, 10) == parent;
}

/* The first process that should not be there; "" for none. */
static void find_leftover(const struct harness *harness, char *ret_pid, size_t size)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;

    *ret_pid = '\0';
    while (proc && !*ret_pid && (entry = readdir(proc))) { /* NOLINT(concurrency-mt-unsafe) */
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if ((harness->daemon_pid && is_zombie_of(harness->daemon_pid, entry->d_name)) ||
            is_of_our_runs(harness, entry->d_name))
            snprintf(ret_pid, size, "%.15s", entry->d_name);
    }
    if (proc)
        closedir(proc);
}

size_t harness_find_runs(struct harness *harness, pid_t *ret_pids, size_t max)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    size_t count = 0;

    while (proc && count < max && (entry = readdir(proc))) { /* NOLINT(concurrency-mt-unsafe) */
        if (isdigit((unsigned char)entry->d_name[0]) && is_of_our_runs(harness, entry->d_name))
            ret_pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    if (proc)
        closedir(proc);
    return count;
}

void harness_end_runs(struct harness *harness)
{
    char pid[32];

    for (int i = 0; i < RUN_PROCESSES_MAX; i++) {
        find_leftover(harness, pid, sizeof(pid));
        if (!*pid)
            return;
        kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
    }
}

void check_nothing_left(struct harness *harness)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    struct timespec step = { .tv_nsec = 20000000 };
    char pid[32];

    for (;;) {
        find_leftover(harness, pid, sizeof(pid));
        if (!*pid)
            return;
        if (clock_now_ms() > until)
            harness_fail(harness,
                         "process %s of a run is still there, or a zombie of the daemon", pid);
        nanosleep(&step, NULL);
    }
}
