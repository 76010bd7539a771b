/*
 * The fence from inside, on this kernel and on what older ones have, as whoever runs the tests
 * and as an ordinary user. Each case is two processes: a supervisor and what it confines.
 */
#include "agent/fence.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/fence_landlock.h"
#include "agent/meta.h"
#include "base/buf.h"
#include "base/file.h"
#include "tests/test.h"

#define NOBODY       65534
#define NOT_PREPARED 120
#define NOT_ENTERED  121

/* Below /tmp, where an ordinary user can follow. */
static char dir[64];
static char *run_dir, *workspace, *secrets, *beyond;
static pid_t test_pid;

static char *at(const char *directory, const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static char *make_dir(const char *name)
{
    char *path = at(dir, name);
    struct err err = { 0 };

    if (file_make_dirs(path, 0755, &err) != 0)
        fail_msg("%s", err.message);
    return path;
}

static void make_file(const char *directory, const char *name, const char *text)
{
    AUTO_FREE char *path = at(directory, name);
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_msg("%s: %d", path, errno);
}

/* Whoever plays the agent: root without its capabilities is held by mode bits, too. */
static void open_up(const char *path, mode_t mode)
{
    if ((getuid() == 0 && chown(path, NOBODY, NOBODY) != 0) || chmod(path, mode) != 0)
        fail_msg("open up %s", path);
}

static int lay_out(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/threadkeeper-fence.XXXXXX");
    if (!mkdtemp(dir) || chmod(dir, 0755) != 0)
        return -1;
    test_pid = getpid();
    free(make_dir("state/runs/one/outbox"));
    free(make_dir("state/runs/one/tmp"));
    run_dir = make_dir("state/runs/one");
    workspace = make_dir("workspace");
    secrets = make_dir("workspace/secrets");
    beyond = make_dir("beyond");
    make_file(run_dir, AGENT_FILE_PROMPT, "a question");
    make_file(run_dir, AGENT_FILE_OUTPUT, "");
    make_file(run_dir, AGENT_FILE_ERRORS, "");
    make_file(run_dir, AGENT_FILE_META, "{}");
    make_file(workspace, "readable", "text");
    make_file(secrets, "token", "hidden");
    make_file(beyond, "victim", "still here");
    for (const char *const *name =
             (const char *const[]){ "state/runs/one/outbox", "state/runs/one/tmp",
                                    "state/runs/one", "workspace", "workspace/readable",
                                    "workspace/secrets/token", "beyond", "beyond/victim",
                                    "state/runs/one/meta.json", NULL };
         *name; name++) {
        AUTO_FREE char *path = at(dir, *name);

        struct stat info;

        open_up(path, stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? 0777 : 0666);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(run_dir);
    free(workspace);
    free(secrets);
    free(beyond);
    return file_remove_tree(dir, NULL);
}

struct inside {
    struct fence_features features;
    enum agent_fence fence;
    enum agent_mode mode;
    bool as_nobody;
    int64_t max_processes;
    char *read[2]; /* agent.fence_read */
    char *denied[2];
    int (*body)(void); /* its result is the case's: 0 or an errno */
};

static struct agent_meta meta_of(struct inside *inside, char **argv, char **hidden)
{
    return (struct agent_meta){
        .dialect = (char *)"text",
        .workspace = workspace,
        .argv = argv,
        .max_output_bytes = 1 << 20,
        .fence = { .fence = inside->fence,
                   .mode = inside->mode,
                   .read = inside->read,
                   .hidden = hidden,
                   .denied = inside->denied,
                   .command_size = 1,
                   .max_processes = inside->max_processes },
    };
}

static _Noreturn void confine(struct fence *fence, int (*body)(void))
{
    const char *step = "";
    struct err err = { 0 };

    if (fence_enter(fence, &step, &err) != 0) {
        fprintf(stderr, "step %s: %s\n", step, err.message);
        _exit(NOT_ENTERED);
    }
    _exit(body());
}

static _Noreturn void supervise(struct inside *inside)
{
    char *argv[] = { (char *)"/bin/true", NULL };
    char *hidden[] = { secrets, NULL };
    struct agent_meta meta = meta_of(inside, argv, hidden);
    struct fence *fence = NULL;
    struct err err = { 0 };
    int status = 0;
    pid_t child = 0;

    if (inside->as_nobody &&
        (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0))
        _exit(NOT_PREPARED);
    prctl(PR_SET_DUMPABLE, 1);
    if (fence_prepare_with(&meta, run_dir, &inside->features, &fence, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        _exit(NOT_PREPARED);
    }
    child = fork();
    if (child == 0)
        confine(fence, inside->body);
    while (waitpid(child, &status, WNOHANG) == 0) {
        struct pollfd look = { .fd = fence_notify_fd(fence), .events = POLLIN };

        if (poll(&look, 1, 2) > 0)
            fence_serve(fence);
    }
    fence_release(fence);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int result_inside(struct inside *inside)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        supervise(inside);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- what is tried ---------------------------------------------------------------------- */

static int open_in(const char *directory, const char *name, int flags)
{
    AUTO_FREE char *path = at(directory, name);
    AUTO_FD int fd = open(path, flags | O_CLOEXEC, 0600);

    return fd < 0 ? errno : 0;
}

static int read_workspace(void)
{
    return open_in(workspace, "readable", O_RDONLY);
}

static int list_workspace(void)
{
    return open_in(workspace, ".", O_RDONLY | O_DIRECTORY);
}

static int write_workspace(void)
{
    return open_in(workspace, "readable", O_WRONLY);
}

static int cut_workspace(void)
{
    return open_in(workspace, "readable", O_RDONLY | O_TRUNC);
}

static int read_secret(void)
{
    return open_in(secrets, "token", O_RDONLY);
}

static int read_beyond(void)
{
    return open_in(beyond, "victim", O_RDONLY);
}

static int cut_beyond(void)
{
    AUTO_FREE char *path = at(beyond, "victim");

    return truncate(path, 0) == 0 ? 0 : errno;
}

/* Neither to read nor to write, which asks Landlock for no right; by both system calls. */
static int cut_beyond_by_mode_3(void)
{
    AUTO_FREE char *path = at(beyond, "victim");
    int fd = open(path, O_ACCMODE | O_TRUNC);

#ifdef SYS_open
    if (fd < 0)
        fd = (int)syscall(SYS_open, path, O_ACCMODE | O_TRUNC);
#endif
    return fd >= 0 ? 0 : errno;
}

static int create_beyond(void)
{
    AUTO_FREE char *path = at(beyond, "victim");

    return creat(path, 0600) >= 0 ? 0 : errno;
}

static int openat2_beyond(void)
{
    AUTO_FREE char *path = at(beyond, "victim");
    struct open_how how = { .flags = O_ACCMODE | O_TRUNC };

    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)) >= 0 ? 0 : errno;
}

static int write_outbox(void)
{
    return open_in(run_dir, "outbox/new", O_WRONLY | O_CREAT);
}

static int write_tmp(void)
{
    return open_in(run_dir, "tmp/new", O_WRONLY | O_CREAT);
}

static int read_prompt(void)
{
    return open_in(run_dir, AGENT_FILE_PROMPT, O_RDONLY);
}

static int read_meta(void)
{
    return open_in(run_dir, AGENT_FILE_META, O_RDONLY);
}

static int read_passwd(void)
{
    return open_in("/etc", "passwd", O_RDONLY);
}

static int run_program(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static int signal_test(void)
{
    return kill(test_pid, 0) == 0 ? 0 : errno;
}

static int signal_supervisor(void)
{
    return kill(getppid(), 0) == 0 ? 0 : errno;
}

static int signal_thread(void)
{
    return syscall(SYS_tkill, test_pid, 0) == 0 ? 0 : errno;
}

static int signal_self(void)
{
    return kill(getpid(), 0) == 0 ? 0 : errno;
}

static int connect_unix(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    AUTO_FREE char *path = at(run_dir, "tmp/s");
    AUTO_FD int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FD int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server, 1) != 0 ||
        connect(client, (struct sockaddr *)&address, sizeof(address)) != 0)
        return errno;
    return 0;
}

/* A socket of somebody else's, where Landlock lets nobody look. */
static int connect_beyond(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    AUTO_FREE char *path = at(beyond, "socket");
    AUTO_FD int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

static int connect_beyond_by_link(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    AUTO_FREE char *path = at(beyond, "socket");
    AUTO_FREE char *link = at(run_dir, "tmp/link");
    AUTO_FD int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(link);
    if (symlink(path, link) != 0)
        return EIO;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", link);
    return connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

static in_port_t service_port; /* of a server on the loopback; in network order */

static int connect_service(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = service_port,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    AUTO_FD int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

static int connect_service_mapped(void)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = service_port };
    AUTO_FD int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
    return connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

static int chmod_beyond(void)
{
    AUTO_FREE char *path = at(beyond, "mine");

    return chmod(path, 0) == 0 ? 0 : errno;
}

/* Through a descriptor that may only read. */
static int chmod_readable(void)
{
    AUTO_FREE char *path = at(workspace, "mine");
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fchmod(fd, 0640) == 0 ? 0 : errno;
}

static int change_own(void)
{
    const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
    AUTO_FREE char *tmp = at(run_dir, "tmp");
    AUTO_FREE char *path = at(tmp, "own");
    AUTO_FREE char *link = NULL;
    AUTO_FD int directory = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat info;

    if (fd < 0 || chmod(path, 0601) != 0 || stat(path, &info) != 0 ||
        (info.st_mode & 07777) != 0601)
        return 1;
    if (fchmod(fd, 0602) != 0 || stat(path, &info) != 0 || (info.st_mode & 07777) != 0602)
        return 2;
    if (fchmodat(directory, "own", 0603, 0) != 0 || stat(path, &info) != 0 ||
        (info.st_mode & 07777) != 0603)
        return 3;
    link = xasprintf("/proc/self/fd/%d", fd);
    if (chmod(link, 0604) != 0 || stat(path, &info) != 0 || (info.st_mode & 07777) != 0604)
        return 4;
    if (chdir(tmp) != 0 || chmod("own", 0600) != 0 || stat(path, &info) != 0 ||
        (info.st_mode & 07777) != 0600)
        return 5;
    if (utimensat(AT_FDCWD, path, times, 0) != 0 || stat(path, &info) != 0 ||
        info.st_mtim.tv_sec != 2000)
        return 6;
    if (futimens(fd, NULL) != 0 || stat(path, &info) != 0 || info.st_mtim.tv_sec == 2000)
        return 7;
    if (symlink("nowhere", "link") != 0 ||
        utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW) != 0 ||
        lstat("link", &info) != 0 || info.st_mtim.tv_sec != 2000)
        return 8;
    unlink("link");
    return chmod("missing", 0600) == 0 ? 0 : errno == ENOENT ? 0 : 9;
}

static int pretend(void)
{
    AUTO_FREE char *path = at(beyond, "mine");

    if (chown(path, 1, 1) != 0 || setxattr(path, "user.x", "y", 1, 0) != 0)
        return errno;
    return syscall(452 /* fchmodat2 */, AT_FDCWD, path, 0, 0) == 0 ? 0 : errno;
}

#define MANY 300 /* some of the same user's, whom the limit counts, may end meanwhile */

static int fork_in_own_group(void)
{
    int end[2];
    int errnum = -1;
    pid_t child;

    if (pipe(end) != 0)
        return errno;
    child = fork();
    if (child == 0) {
        setsid();
        for (int i = 0; i < MANY; i++) {
            pid_t one = fork();

            if (one == 0) {
                for (;;)
                    pause();
            }
            errnum = one < 0 ? errno : 0;
            if (errnum)
                break;
        }
        if (write(end[1], &errnum, sizeof(errnum)) < 0)
            _exit(1);
        kill(0, SIGKILL);
    }
    if (read(end[0], &errnum, sizeof(errnum)) != sizeof(errnum))
        return EIO;
    waitpid(child, NULL, 0);
    return errnum;
}

/* --- the tests -------------------------------------------------------------------------- */

static struct fence_features here(void)
{
    struct fence_features features;

    fence_probe(&features);
    return features;
}

static void skip_without(bool is_there, const char *what)
{
    if (!is_there) {
        printf("# no %s here\n", what);
        skip();
    }
}

struct expectation {
    int (*body)(void);
    const char *name;
    int ask, write; /* what it gives in these modes */
};

static const struct expectation expectations[] = {
    { read_workspace, "reads its workspace", 0, 0 },
    { list_workspace, "lists its workspace", 0, 0 },
    { write_workspace, "writes into its workspace", EACCES, 0 },
    { read_secret, "reads what is hidden inside", EACCES, EACCES },
    { read_beyond, "reads beyond", EACCES, EACCES },
    { write_outbox, "fills its outbox", 0, 0 },
    { write_tmp, "uses its TMPDIR", 0, 0 },
    { read_prompt, "reads its prompt", 0, 0 },
    { read_meta, "reads its meta.json", EACCES, EACCES },
    { read_passwd, "reads names of users", 0, 0 },
    { run_program, "runs a program", 0, 0 },
    { signal_test, "signals the daemon", EPERM, EPERM },
    { signal_supervisor, "signals its supervisor", EPERM, EPERM },
    { signal_thread, "signals a thread of the daemon", EPERM, EPERM },
    { signal_self, "signals itself", 0, 0 },
    { connect_unix, "connects to its own socket", 0, 0 },
};

static void check_all(const struct fence_features *features, bool as_nobody,
                      const char *because)
{
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        const struct expectation *one = &expectations[i];
        struct inside inside = { .features = *features,
                                 .body = one->body,
                                 .as_nobody = as_nobody,
                                 .mode = AGENT_MODE_ASK };
        AUTO_FREE char *text = xasprintf("%s: %s", because, one->name);

        CHECK_INT(result_inside(&inside), one->ask, text);
        inside.mode = AGENT_MODE_WRITE;
        CHECK_INT(result_inside(&inside), one->write, text);
    }
}

static void an_agent_has_what_it_needs_and_nothing_more(void **state)
{
    struct fence_features features = here();

    (void)state;
    skip_without(features.landlock_abi > 0, "Landlock");
    check_all(&features, false, "this kernel");
}

static void so_it_is_on_older_kernels(void **state)
{
    struct fence_features features = here();
    int newest = features.landlock_abi;

    (void)state;
    skip_without(newest > 2, "newer Landlock");
    features.landlock_abi = 2; /* Linux 6.1 */
    check_all(&features, false, "version 2");
    features.has_connect_watch = false;
    features.landlock_abi = newest < 5 ? newest : 5;
    check_all(&features, false, "version 5, connect() unwatched");
}

static void so_it_is_for_an_ordinary_user(void **state)
{
    struct fence_features features = here();

    (void)state;
    skip_without(getuid() == 0, "root to become somebody else");
    skip_without(features.landlock_abi > 0, "Landlock");
    check_all(&features, true, "nobody");
}

static void nothing_is_cut_short_where_landlock_does_not_see_it(void **state)
{
    static const struct expectation cases[] = {
        { cut_beyond, "truncate()", 0, 0 },
        { cut_workspace, "open() to read, with O_TRUNC", 0, 0 },
        { cut_beyond_by_mode_3, "open() for neither, with O_TRUNC", 0, 0 },
        { create_beyond, "creat()", 0, 0 },
        { openat2_beyond, "openat2()", 0, 0 },
    };
    struct inside inside = { .features = here() };
    AUTO_FREE char *victim = at(beyond, "victim");
    struct stat info;

    (void)state;
    skip_without(inside.features.landlock_abi > 2, "newer Landlock");
    for (int abi = 2; abi <= 3; abi++) {
        inside.features.landlock_abi = abi;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            inside.body = cases[i].body;
            CHECK_INT(result_inside(&inside) != 0, 1, cases[i].name);
            CHECK_INT(stat(victim, &info) == 0 && info.st_size > 0, 1, cases[i].name);
        }
    }
    inside.fence = AGENT_FENCE_OFF;
    inside.body = cut_workspace;
    CHECK_INT(result_inside(&inside), 0, "without a fence it is");
}

static void modes_of_what_it_may_not_change_stay(void **state)
{
    struct inside inside = { .features = here() };
    AUTO_FREE char *victim = at(beyond, "mine");
    struct stat before, after;

    (void)state;
    make_file(beyond, "mine", "of the user that we are");
    make_file(workspace, "mine", "of the user that we are");
    assert_int_equal(stat(victim, &before), 0);
    for (int is_watched = inside.features.has_connect_watch; is_watched >= 0; is_watched--) {
        inside.features.has_connect_watch = is_watched;
        inside.mode = AGENT_MODE_ASK;
        inside.body = chmod_beyond;
        CHECK_INT(result_inside(&inside), is_watched ? EPERM : 0, "chmod() beyond");
        inside.body = chmod_readable;
        CHECK_INT(result_inside(&inside), is_watched ? EPERM : 0, "what it may read");
        inside.body = pretend;
        CHECK_INT(result_inside(&inside), ENOSYS, "the others");
        inside.mode = AGENT_MODE_WRITE;
        inside.body = chmod_readable;
        CHECK_INT(result_inside(&inside), 0, "of its workspace, in mode write");
        if (is_watched) {
            inside.body = change_own;
            CHECK_INT(result_inside(&inside), 0, "of its own, in mode write");
            inside.mode = AGENT_MODE_ASK;
            CHECK_INT(result_inside(&inside), 0, "of its own, in mode ask");
            inside.mode = AGENT_MODE_WRITE;
            inside.body = chmod_beyond;
            CHECK_INT(result_inside(&inside), EPERM, "beyond, in mode write");
        }
    }
    assert_int_equal(stat(victim, &after), 0);
    CHECK_INT(after.st_mode, before.st_mode, "as it was");
    CHECK_INT(after.st_uid, before.st_uid, "whose it was");
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server, 8) != 0)
        fail_msg("listen at %s: %d", path, errno);
    open_up(path, 0666);
    return server;
}

static void sockets_of_others_are_out_of_reach(void **state)
{
    struct inside inside = { .features = here(), .mode = AGENT_MODE_WRITE };
    AUTO_FREE char *path = at(beyond, "socket");
    AUTO_FD int server = listen_at(path);

    (void)state;
    (void)server;
    skip_without(inside.features.has_connect_watch, "watch over connect()");
    inside.body = connect_beyond;
    CHECK_INT(result_inside(&inside), EACCES, "a socket beyond");
    inside.read[0] = beyond;
    CHECK_INT(result_inside(&inside), 0, "agent.fence_read names its directory");
    inside.read[0] = NULL;
    inside.body = connect_beyond_by_link;
    CHECK_INT(result_inside(&inside), EACCES, "a link of its own that leads there");
    inside.body = connect_unix;
    CHECK_INT(result_inside(&inside), 0, "a socket of its own");
}

static void our_own_services_are_out_of_reach(void **state)
{
    struct inside inside = { .features = here(), .mode = AGENT_MODE_WRITE };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    AUTO_FD int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FREE char *denied = NULL;

    (void)state;
    skip_without(inside.features.has_connect_watch, "watch over connect()");
    if (bind(server, (struct sockaddr *)&address, len) != 0 || listen(server, 8) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &len) != 0)
        fail_msg("listen: %d", errno);
    service_port = address.sin_port;
    inside.body = connect_service;
    CHECK_INT(result_inside(&inside), 0, "a service of somebody's");
    denied = xasprintf("127.0.0.1:%d", (int)ntohs(service_port));
    inside.denied[0] = denied;
    CHECK_INT(result_inside(&inside), EACCES, "a service of ours");
    inside.body = connect_service_mapped;
    if (result_inside(&inside) != EAFNOSUPPORT) /* a host without IPv6 */
        CHECK_INT(result_inside(&inside), EACCES, "written as IPv6");
}

static void without_a_fence_only_the_basics_hold(void **state)
{
    struct inside inside = { .features = here(), .fence = AGENT_FENCE_OFF };
    static const struct expectation cases[] = {
        { read_secret, "reads what would be hidden", 0, 0 },
        { read_beyond, "reads beyond", 0, 0 },
        { write_workspace, "writes into its workspace", 0, 0 },
        { read_meta, "reads its meta.json", 0, 0 },
        { signal_test, "might signal the daemon", 0, 0 },
        { signal_thread, "might signal a thread", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        inside.body = cases[i].body;
        CHECK_INT(result_inside(&inside), 0, cases[i].name);
    }
}

static void processes_are_counted_where_no_group_does(void **state)
{
    struct inside inside = {
        .features = here(), .as_nobody = true, .max_processes = 20, .body = fork_in_own_group
    };

    (void)state;
    skip_without(getuid() == 0, "root to become somebody else");
    inside.features.has_process_limit = false;
    CHECK_INT(result_inside(&inside), EAGAIN, "so many are too many");
    inside.max_processes = 0;
    CHECK_INT(result_inside(&inside), 0, "without a limit they are not");
}

static void on_refuses_to_run_without_what_is_essential(void **state)
{
    static const struct {
        int landlock_abi;
        bool has_seccomp;
        enum agent_fence fence;
        const char *lacks; /* NULL: it runs */
    } cases[] = {
        { 0, true, AGENT_FENCE_ON, "Landlock" }, { 2, false, AGENT_FENCE_ON, "seccomp" },
        { 0, false, AGENT_FENCE_ON, "seccomp" }, { 0, true, AGENT_FENCE_AUTO, NULL },
        { 0, false, AGENT_FENCE_AUTO, NULL },    { 0, false, AGENT_FENCE_OFF, NULL },
    };
    char *argv[] = { (char *)"/bin/true", NULL };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct inside inside = { .fence = cases[i].fence };
        struct fence_features features = { .landlock_abi = cases[i].landlock_abi,
                                           .has_seccomp = cases[i].has_seccomp };
        struct agent_meta meta = meta_of(&inside, argv, NULL);
        struct err err = { 0 };
        struct fence *fence = NULL;
        pid_t child = fork(); /* capabilities are put aside */
        int status = 0;

        if (child == 0) {
            int rc = fence_prepare_with(&meta, run_dir, &features, &fence, &err);
            bool is_good = cases[i].lacks ? rc != 0 && err.kind == ERR_INPUT &&
                                                strstr(err.message, cases[i].lacks) &&
                                                strstr(err.message, "mend:")
                                          : rc == 0;

            if (!is_good)
                fprintf(stderr, "rc %d: %s\n", rc, err.message);
            fence_release(fence);
            _exit(!is_good);
        }
        waitpid(child, &status, 0);
        CHECK_INT(status, 0, cases[i].lacks ? cases[i].lacks : "goes on");
    }
}

static void what_is_missing_is_named_with_its_mend(void **state)
{
    static const struct {
        struct fence_features features;
        bool is_essential;
        const char *says; /* "": nothing */
    } cases[] = {
        { { 7, true, true, true, true, true }, false, "" },
        { { 0, true, true, true, true, true }, true, "Landlock:" },
        { { 2, true, true, true, true, true }, false, "signals:" },
        { { 7, false, true, true, true, true }, true, "seccomp:" },
        { { 7, true, false, true, true, true }, false, "metadata address:" },
        { { 7, true, true, false, true, true }, false, "memory:" },
        { { 7, true, true, true, false, true }, false, "processes:" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf text = { 0 };

        buf_init(&text, 4096);
        CHECK_INT(fence_missing(&cases[i].features, &text), cases[i].is_essential,
                  cases[i].says);
        CHECK_HOLDS(buf_text(&text), cases[i].says, "what");
        CHECK_INT(cases[i].says[0] ? strstr(buf_text(&text), "mend:") != NULL : text.len == 0,
                  1, "and the mend");
    }
}

static void what_a_run_writes_is_counted(void **state)
{
    struct inside inside = { .fence = AGENT_FENCE_OFF };
    char *argv[] = { (char *)"/bin/true", NULL };
    struct agent_meta meta = meta_of(&inside, argv, NULL);
    struct fence_features features = { 0 };
    AUTO_FREE char *megabyte = xcalloc(1, (1 << 20) + 1);
    AUTO_FREE char *slot = make_dir("slot");
    AUTO_FREE char *chats = make_dir("chats");
    struct fence *fence = NULL;
    struct err err = { 0 };
    int64_t bytes = 0;

    (void)state;
    memset(megabyte, 'x', 1 << 20);
    make_file(slot, "before", megabyte);
    meta.max_output_bytes = (int64_t)1 << 20;
    meta.fence.slot_dir = slot;
    meta.fence.chats_dir = chats;
    assert_int_equal(fence_prepare_with(&meta, run_dir, &features, &fence, &err), 0);
    CHECK_INT(fence_is_within_disk(fence, &bytes), 1, "nothing yet");
    CHECK_INT(bytes < 100000, 1, "the slot's older files are not this run's");
    for (int i = 0; i < FENCE_DISK_OUTPUTS; i++) {
        char name[32];

        snprintf(name, sizeof(name), "tmp/file-%d", i);
        make_file(run_dir, name, megabyte);
    }
    make_file(run_dir, "outbox/file", megabyte);
    make_file(slot, "after", megabyte);
    make_file(chats, "after", megabyte);
    CHECK_INT(fence_is_within_disk(fence, &bytes), 0, "ten megabytes");
    CHECK_INT(bytes >= (FENCE_DISK_OUTPUTS + 3) << 20, 1, "of all four places");
    fence_release(fence);
}

/* As an ordinary user, for root looks into everything. */
static void what_a_run_hides_is_not_within_the_limit(void **state)
{
    struct inside inside = { .fence = AGENT_FENCE_OFF };
    char *argv[] = { (char *)"/bin/true", NULL };
    AUTO_FREE char *chats = make_dir("chats");
    AUTO_FREE char *locked = make_dir("chats/locked");
    AUTO_BUF struct buf deep = { 0 };
    pid_t child = -1;
    int status = 0;

    (void)state;
    buf_init(&deep, 4096);
    buf_append_text(&deep, "chats/d");
    open_up(chats, 0777);
    open_up(locked, 0777);
    child = fork();
    if (child == 0) {
        struct agent_meta meta = meta_of(&inside, argv, NULL);
        struct fence_features features = { 0 };
        struct fence *fence = NULL;
        int64_t bytes = 0;

        if (getuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(10);
        meta.fence.chats_dir = chats;
        if (fence_prepare_with(&meta, run_dir, &features, &fence, NULL) != 0 ||
            !fence_is_within_disk(fence, &bytes))
            _exit(1);
        if (chmod(locked, 0) != 0 || fence_is_within_disk(fence, &bytes))
            _exit(2);
        if (chmod(locked, 0700) != 0 || !fence_is_within_disk(fence, &bytes))
            _exit(3);
        for (int depth = 0; depth < 70; depth++, buf_append_text(&deep, "/d")) {
            AUTO_FREE char *path = at(dir, buf_text(&deep));

            if (mkdir(path, 0700) != 0)
                _exit(11);
        }
        _exit(fence_is_within_disk(fence, &bytes) ? 4 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0, "the step that went wrong");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, lay_out, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_agent_has_what_it_needs_and_nothing_more),
        CASE(so_it_is_on_older_kernels),
        CASE(so_it_is_for_an_ordinary_user),
        CASE(nothing_is_cut_short_where_landlock_does_not_see_it),
        CASE(sockets_of_others_are_out_of_reach),
        CASE(our_own_services_are_out_of_reach),
        CASE(modes_of_what_it_may_not_change_stay),
        CASE(without_a_fence_only_the_basics_hold),
        CASE(processes_are_counted_where_no_group_does),
        CASE(on_refuses_to_run_without_what_is_essential),
        CASE(what_is_missing_is_named_with_its_mend),
        CASE(what_a_run_writes_is_counted),
        CASE(what_a_run_hides_is_not_within_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
