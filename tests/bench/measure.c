#include "tests/bench/measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define APPENDS         500
#define SPAWNS          15
#define ROW_BYTES       500 /* a message's row in the ledger, about */
#define PROC_FILE_BYTES 65536
#define CPU_FIELD       14 /* utime in /proc/PID/stat; stime follows */
#define US_PER_S        1000000

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

int64_t measure_quantile(int64_t *values, size_t count, unsigned permille)
{
    if (!count)
        return 0;
    qsort(values, count, sizeof(values[0]), compare);
    return values[(count - 1) * permille / 1000];
}

int64_t measure_append_us(const char *directory)
{
    AUTO_FREE char *path = xasprintf("%s/floor", directory);
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int64_t took_us[APPENDS];
    char row[ROW_BYTES];

    memset(row, 'x', sizeof(row));
    for (size_t i = 0; i < APPENDS; i++) {
        int64_t before_us = clock_now_us();

        if (write(fd, row, sizeof(row)) != (ssize_t)sizeof(row) || fdatasync(fd) < 0)
            return -1;
        took_us[i] = clock_now_us() - before_us;
    }
    unlink(path);
    return measure_quantile(took_us, APPENDS, 500);
}

int64_t measure_spawn_us(char *const *argv)
{
    posix_spawn_file_actions_t actions;
    int64_t took_us[SPAWNS];
    bool failed = false;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (size_t i = 0; i < SPAWNS && !failed; i++) {
        int64_t before_us = clock_now_us();
        pid_t pid = 0;
        int status = 0;

        failed = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0 ||
                 waitpid(pid, &status, 0) != pid || status != 0;
        took_us[i] = clock_now_us() - before_us;
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed ? -1 : measure_quantile(took_us, SPAWNS, 500);
}

/* "" when it cannot be read. */
static char *read_proc(const char *path)
{
    AUTO_BUF struct buf text;
    struct err err = { 0 };

    buf_init(&text, PROC_FILE_BYTES);
    return file_read(path, &text, &err) == 0 ? buf_take(&text) : xstrdup("");
}

/* The number behind "name:" at the start of a line. */
static int64_t number_of(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            return strtoll(line + len + 1, NULL, 10);
    }
    return -1;
}

int64_t measure_memory_kb(pid_t pid, const char *name)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/status", (int)pid);
    AUTO_FREE char *text = read_proc(path);

    return number_of(text, name);
}

int64_t measure_cpu_us(pid_t pid)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/stat", (int)pid);
    AUTO_FREE char *text = read_proc(path);
    const char *at = strrchr(text, ')'); /* behind the name, which may hold blanks */
    int64_t ticks = 0;

    if (!at)
        return -1;
    for (int field = 2; field < CPU_FIELD; field++) {
        at = strchr(at + 1, ' ');
        if (!at)
            return -1;
    }
    for (int i = 0; i < 2; i++) {
        char *end;

        ticks += strtoll(at, &end, 10);
        at = end;
    }
    return ticks * US_PER_S / sysconf(_SC_CLK_TCK);
}

int64_t measure_wakeups(pid_t pid)
{
    AUTO_FREE char *path = xasprintf("/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    struct dirent *entry;
    int64_t total = 0;

    while (tasks && (entry = readdir(tasks))) { /* NOLINT(concurrency-mt-unsafe): one stream */
        AUTO_FREE char *status = xasprintf("%s/%s/status", path, entry->d_name);
        AUTO_FREE char *text = read_proc(status);
        int64_t switches = number_of(text, "voluntary_ctxt_switches");

        total += switches > 0 ? switches : 0;
    }
    if (tasks)
        closedir(tasks);
    return total;
}
