/* What the daemon leaves behind among the processes. */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/harness_inside.h"

#define ENVIRON_MAX_BYTES ((size_t)1024 * 1024)
#define RUN_PROCESSES_MAX 1000 /* tries: a killed one may show for a moment */
#define MARK              "THREADKEEPER_RUN="

/* Is there such a directory? */
static bool is_run(const struct harness *harness, const char *kind, const char *id)
{
    AUTO_FREE char *path = xasprintf("%s/%s/%.64s", harness->state_dir, kind, id);
    DIR *dir = opendir(path);

    if (dir)
        closedir(dir);
    return dir != NULL;
}

/* Does /proc/PID/environ say that the process belongs to a run in our state directory? */
static bool is_of_our_runs(const struct harness *harness, const char *pid)
{
    char path[64];
    struct buf environment;
    struct err err = { 0 };
    bool is_ours = false;

    snprintf(path, sizeof(path), "/proc/%s/environ", pid);
    buf_init(&environment, ENVIRON_MAX_BYTES);
    if (file_read(path, &environment, &err) == 0) {
        const char *at = buf_text(&environment);
        const char *end = at + environment.len;

        for (; at < end && !is_ours; at += strlen(at) + 1)
            is_ours = strncmp(at, MARK, sizeof(MARK) - 1) == 0 &&
                      (is_run(harness, "runs", at + sizeof(MARK) - 1) ||
                       is_run(harness, "summaries", at + sizeof(MARK) - 1));
    }
    buf_deinit(&environment);
    return is_ours;
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
        if (harness->daemon_pid ? is_zombie_of(harness->daemon_pid, entry->d_name)
                                : is_of_our_runs(harness, entry->d_name))
            snprintf(ret_pid, size, "%.15s", entry->d_name);
    }
    if (proc)
        closedir(proc);
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
                         harness->daemon_pid ? "process %s is a zombie of the daemon"
                                             : "process %s of a run is still there",
                         pid);
        nanosleep(&step, NULL);
    }
}
