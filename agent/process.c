#include "agent/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/run.h"
#include "base/alloc.h"
#include "base/buf.h"

#define STAT_MAX_BYTES    1024
#define ENVIRON_MAX_BYTES ((size_t)1024 * 1024)
/* Of /proc/<pid>/task/<tid>/children. */
#define CHILDREN_MAX_BYTES ((size_t)1024 * 1024)

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct watched {
    pid_t pid;
    bool is_left; /* no run waits for it any more, but it has a right to live */
} * watched;      /* guarded by registry_lock, as are the next three */
static size_t watched_count;
static size_t watched_capacity;
static unsigned spawning; /* children that are being born and not watched yet */

/* Reads a file of /proc, whose size is not known beforehand. False when it cannot be read. */
static bool read_proc(const char *path, struct buf *out)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char chunk[4096];
    ssize_t got = 0;

    if (fd < 0)
        return false;
    while ((got = read(fd, chunk, sizeof(chunk))) > 0 && !out->overflowed)
        buf_append(out, chunk, (size_t)got);
    return got >= 0;
}

/* The fields behind the name, which stands in parentheses and may itself hold any of them. */
static bool parse_stat(const char *text, struct process_stat *ret_stat)
{
    const char *at = strrchr(text, ')');
    char *end = NULL;
    uint64_t field[23] = { 0 };

    if (!at || at[1] != ' ' || at[2] == '\0')
        return false;
    ret_stat->state = at[2];
    at += 3;
    for (size_t i = 4; i <= 22; i++) {
        errno = 0;
        field[i] = (uint64_t)strtoll(at, &end, 10);
        if (end == at || errno != 0)
            return false;
        at = end;
    }
    ret_stat->parent = (pid_t)field[4];
    ret_stat->group = (pid_t)field[5];
    ret_stat->session = (pid_t)field[6];
    ret_stat->start_ticks = field[22];
    return true;
}

bool process_read_stat(pid_t pid, struct process_stat *ret_stat)
{
    AUTO_BUF struct buf text = { 0 };
    char path[64];

    buf_init(&text, STAT_MAX_BYTES);
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (pid <= 0 || !read_proc(path, &text))
        return false;
    ret_stat->pid = pid;
    return parse_stat(buf_text(&text), ret_stat);
}

int64_t process_age_ms(uint64_t start_ticks)
{
    struct timespec now;
    int64_t ticks_per_s = sysconf(_SC_CLK_TCK);

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
           (int64_t)start_ticks * 1000 / ticks_per_s;
}

void process_boot_id(char out[PROCESS_BOOT_ID_BYTES])
{
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, PROCESS_BOOT_ID_BYTES - 1);
    if (!read_proc("/proc/sys/kernel/random/boot_id", &text))
        buf_clear(&text);
    snprintf(out, PROCESS_BOOT_ID_BYTES, "%s", buf_text(&text));
    out[strcspn(out, "\n")] = '\0';
}

/* Through syscall(): the C library's own wrappers are younger than some hosts we run on. */
static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0U);
}

int process_open(pid_t pid, uint64_t start_ticks)
{
    struct process_stat stat;
    int fd = open_pidfd(pid);

    /* Looked at after the opening: from then on the descriptor cannot mean another process. */
    if (fd >= 0 && (!process_read_stat(pid, &stat) || stat.start_ticks != start_ticks)) {
        close(fd);
        return -1;
    }
    return fd;
}

struct snapshot {
    struct process_stat *items;
    bool *is_member;
    size_t count;
    size_t capacity;
};

static void snapshot_deinit(struct snapshot *snapshot)
{
    free(snapshot->items);
    free(snapshot->is_member);
}

static void snapshot_take(struct snapshot *snapshot)
{
    DIR *proc = opendir("/proc");

    if (!proc)
        return;
    for (;;) {
        const struct dirent *entry = readdir(proc); /* NOLINT(concurrency-mt-unsafe): own DIR */
        struct process_stat stat;

        if (!entry)
            break;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            !process_read_stat((pid_t)strtol(entry->d_name, NULL, 10), &stat))
            continue;
        if (snapshot->count == snapshot->capacity) {
            snapshot->capacity = snapshot->capacity ? snapshot->capacity * 2 : 256;
            snapshot->items =
                xrealloc(snapshot->items, snapshot->capacity, sizeof(*snapshot->items));
        }
        snapshot->items[snapshot->count++] = stat;
    }
    closedir(proc);
    snapshot->is_member = xcalloc(snapshot->count + 1, sizeof(bool));
}

static bool has_mark(pid_t pid, const char *run_id)
{
    AUTO_BUF struct buf environment = { 0 };
    AUTO_FREE char *mark = xasprintf(PROCESS_MARK "=%s", run_id);
    char path[64];
    const char *at = NULL;
    const char *end = NULL;

    buf_init(&environment, ENVIRON_MAX_BYTES);
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    if (!read_proc(path, &environment))
        return false;
    at = buf_text(&environment);
    for (end = at + environment.len; at < end; at += strlen(at) + 1) {
        if (strcmp(at, mark) == 0)
            return true;
    }
    return false;
}

static bool is_related(const struct snapshot *all, size_t candidate, pid_t own_session)
{
    const struct process_stat *one = &all->items[candidate];

    for (size_t i = 0; i < all->count; i++) {
        const struct process_stat *member = &all->items[i];

        if (!all->is_member[i])
            continue;
        if (one->parent == member->pid)
            return true;
        if (one->session == member->session && member->session > 0 &&
            member->session != own_session)
            return true;
    }
    return false;
}

/* Adds to the members what descends from them or shares a session with them. */
static void add_relatives(struct snapshot *all)
{
    pid_t self = getpid();
    pid_t own_session = getsid(0);
    bool has_grown = true;

    while (has_grown) {
        has_grown = false;
        for (size_t i = 0; i < all->count; i++) {
            if (all->is_member[i] || all->items[i].pid == self || all->items[i].pid == 1)
                continue;
            all->is_member[i] = is_related(all, i, own_session);
            has_grown = has_grown || all->is_member[i];
        }
    }
}

static void find_members(struct snapshot *all, const char *run_id, pid_t leader)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct process_stat *one = &all->items[i];

        if (one->pid == getpid() || one->pid == 1)
            continue;
        all->is_member[i] = (leader > 0 && (one->pid == leader || one->group == leader ||
                                            one->session == leader)) ||
                            has_mark(one->pid, run_id);
    }
    add_relatives(all);
}

void process_signal_one(pid_t pid, uint64_t start_ticks, int signal_number)
{
    AUTO_FD int fd = process_open(pid, start_ticks);
    struct process_stat now;

    /* Without a descriptor the pid is looked at once more, which leaves a gap of microseconds.
     */
    if (fd < 0) {
        if (!process_read_stat(pid, &now) || now.start_ticks != start_ticks)
            return;
        kill(pid, signal_number);
        if (signal_number == SIGTERM)
            kill(pid, SIGCONT);
        return;
    }
    syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0U);
    if (signal_number == SIGTERM)
        syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0U);
}

/* Hidden from /proc, but ours: it stays a zombie until we reap it, so the pid is safe. */
static size_t signal_hidden_children(const struct snapshot *all, int signal_number)
{
    AUTO_BUF struct buf text = { 0 };
    char path[64];
    const char *at = NULL;
    char *end = NULL;
    size_t alive = 0;

    buf_init(&text, CHILDREN_MAX_BYTES);
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    if (!read_proc(path, &text))
        return 0;
    for (at = buf_text(&text);; at = end) {
        pid_t pid = (pid_t)strtol(at, &end, 10);
        struct process_stat stat;
        size_t i = 0;

        if (end == at)
            return alive;
        while (i < all->count && all->items[i].pid != pid)
            i++;
        if (i < all->count || process_read_stat(pid, &stat))
            continue; /* seen, or to be seen the next time */
        alive++;
        if (signal_number != 0)
            kill(pid, signal_number);
    }
}

static size_t signal_members(const struct snapshot *all, int signal_number)
{
    size_t alive = 0;

    for (size_t i = 0; i < all->count; i++) {
        if (!all->is_member[i] || all->items[i].state == 'Z' || all->items[i].state == 'X')
            continue;
        alive++;
        if (signal_number != 0)
            process_signal_one(all->items[i].pid, all->items[i].start_ticks, signal_number);
    }
    return alive;
}

size_t process_signal_run(const char *run_id, pid_t leader, int signal_number)
{
    struct snapshot all = { 0 };
    size_t alive = 0;

    snapshot_take(&all);
    find_members(&all, run_id, leader);
    alive = signal_members(&all, signal_number);
    snapshot_deinit(&all);
    return alive;
}

size_t process_signal_descendants(int signal_number)
{
    struct snapshot all = { 0 };
    size_t alive = 0;

    snapshot_take(&all);
    for (size_t i = 0; i < all.count; i++)
        all.is_member[i] = all.items[i].parent == getpid();
    add_relatives(&all);
    alive = signal_members(&all, signal_number);
    alive += signal_hidden_children(&all, signal_number);
    snapshot_deinit(&all);
    return alive;
}

static size_t find_watched_locked(pid_t pid)
{
    size_t i = 0;

    while (i < watched_count && watched[i].pid != pid)
        i++;
    return i;
}

static void watch_locked(pid_t pid)
{
    size_t i = find_watched_locked(pid);

    if (i == watched_count) {
        if (watched_count == watched_capacity) {
            watched_capacity = watched_capacity ? watched_capacity * 2 : 16;
            watched = xrealloc(watched, watched_capacity, sizeof(*watched));
        }
        watched_count++;
    }
    watched[i] = (struct watched){ .pid = pid };
}

static void forget_locked(pid_t pid)
{
    size_t i = find_watched_locked(pid);

    if (i == watched_count)
        return;
    watched[i] = watched[--watched_count];
    if (watched_count == 0) {
        free(watched);
        watched = NULL;
        watched_capacity = 0;
    }
}

void process_watch(pid_t pid)
{
    pthread_mutex_lock(&registry_lock);
    watch_locked(pid);
    pthread_mutex_unlock(&registry_lock);
}

void process_unwatch(pid_t pid)
{
    size_t i = 0;

    pthread_mutex_lock(&registry_lock);
    i = find_watched_locked(pid);
    if (i < watched_count)
        watched[i].is_left = true;
    pthread_mutex_unlock(&registry_lock);
}

int process_spawn(const char *path, const posix_spawn_file_actions_t *actions,
                  const posix_spawnattr_t *attributes, char *const *argv,
                  char *const *environment, pid_t *ret_pid, struct err *err)
{
    pid_t pid = 0;
    int errnum = 0;
    char text[128];

    /* Not locked over posix_spawn, which takes its time: the loop wants this lock, too. But a
     * child that ends at once must not be taken for an orphan, so none is taken meanwhile. */
    pthread_mutex_lock(&registry_lock);
    spawning++;
    pthread_mutex_unlock(&registry_lock);
    errnum = posix_spawn(&pid, path, actions, attributes, argv, environment);
    pthread_mutex_lock(&registry_lock);
    spawning--;
    if (errnum == 0)
        watch_locked(pid);
    pthread_mutex_unlock(&registry_lock);
    agent_reap_first_orphans(); /* those that were left meanwhile */
    if (errnum != 0)
        return err_set(err, ERR_SYSTEM, "start %s: %s", path,
                       err_errno_text(errnum, text, sizeof(text)));
    *ret_pid = pid;
    return 0;
}

bool process_has_ended(pid_t pid, siginfo_t *ret_info)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return false;
    *ret_info = info;
    return true;
}

void process_reap(pid_t pid)
{
    siginfo_t info;

    pthread_mutex_lock(&registry_lock);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
    forget_locked(pid);
    pthread_mutex_unlock(&registry_lock);
}

/* Reaps `pid` unless a run waits for it, or might; then it is false. */
static bool reap_orphan(pid_t pid)
{
    siginfo_t info;
    bool is_orphan = false;
    size_t i = 0;

    pthread_mutex_lock(&registry_lock);
    i = find_watched_locked(pid);
    is_orphan = spawning == 0 && (i == watched_count || watched[i].is_left);
    if (is_orphan) {
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
        forget_locked(pid);
    }
    pthread_mutex_unlock(&registry_lock);
    return is_orphan;
}

bool agent_reap_first_orphans(void)
{
    siginfo_t info;

    do {
        memset(&info, 0, sizeof(info));
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return true;
    } while (reap_orphan(info.si_pid));
    return false;
}

void agent_reap_orphans(void)
{
    struct snapshot all = { 0 };

    if (agent_reap_first_orphans())
        return;
    /* A zombie that a run waits for hides those behind it from P_ALL: look at each child. */
    snapshot_take(&all);
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].parent == getpid() && all.items[i].state == 'Z')
            reap_orphan(all.items[i].pid);
    }
    snapshot_deinit(&all);
}

size_t process_kill_strays(void)
{
    struct snapshot all = { 0 };
    size_t alive = 0;

    /* The lock keeps what is being born out: it is watched before anybody else gets here. */
    pthread_mutex_lock(&registry_lock);
    snapshot_take(&all);
    for (size_t i = 0; i < all.count && spawning == 0; i++)
        all.is_member[i] = all.items[i].parent == getpid() &&
                           find_watched_locked(all.items[i].pid) == watched_count;
    add_relatives(&all);
    alive = signal_members(&all, SIGKILL);
    pthread_mutex_unlock(&registry_lock);
    snapshot_deinit(&all);
    return alive;
}

int agent_become_subreaper(struct err *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return err_set_errno(err, ERR_SYSTEM, "become the reaper of orphans");
    return 0;
}
