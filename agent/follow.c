#include "agent/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/meta.h"
#include "base/alloc.h"

#define LOG_MODULE "agent.follow"
#include "base/log.h"

#define ERRORS_MAX_BYTES  ((off_t)1024 * 1024)
#define ERRORS_TAIL_BYTES ((size_t)32 * 1024)

static int open_file(const char *run_dir, const char *name, int flags, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, name);
    int fd = open(path, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        err_set_errno(err, ERR_SYSTEM, "open %s", path);
    return fd;
}

static int open_notices(const char *run_dir)
{
    AUTO_FREE char *output = xasprintf("%s/%s", run_dir, AGENT_FILE_OUTPUT);
    AUTO_FREE char *errors = xasprintf("%s/%s", run_dir, AGENT_FILE_ERRORS);
    AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0 || inotify_add_watch(fd, output, IN_MODIFY) < 0 ||
        inotify_add_watch(fd, errors, IN_MODIFY) < 0) {
        char text[128];

        log_warn("no file notices (%s): looking every %d ms instead",
                 err_errno_text(errno, text, sizeof(text)), AGENT_FOLLOW_POLL_MS);
        return -1;
    }
    return take_fd(&fd);
}

int agent_follow_init(struct agent_follow *follow, const char *run_dir, struct err *err)
{
    AUTO_FD int output = open_file(run_dir, AGENT_FILE_OUTPUT, O_RDONLY, err);
    AUTO_FD int errors = output < 0 ? -1 : open_file(run_dir, AGENT_FILE_ERRORS, O_RDWR, err);

    memset(follow, 0, sizeof(*follow));
    follow->output_fd = follow->errors_fd = follow->notice_fd = -1;
    if (output < 0 || errors < 0)
        return -1;
    follow->output_fd = take_fd(&output);
    follow->errors_fd = take_fd(&errors);
    follow->notice_fd = open_notices(run_dir);
    buf_init(&follow->kept_errors, ERRORS_TAIL_BYTES);
    return 0;
}

void agent_follow_deinit(struct agent_follow *follow)
{
    int *const fds[] = { &follow->output_fd, &follow->errors_fd, &follow->notice_fd };

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] > 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    buf_deinit(&follow->kept_errors);
}

size_t agent_follow_read(struct agent_follow *follow, char *chunk, size_t size)
{
    ssize_t got = pread(follow->output_fd, chunk, size, follow->offset);

    if (got <= 0)
        return 0;
    follow->offset += got;
    return (size_t)got;
}

static void append_tail(int fd, struct buf *out)
{
    char bytes[ERRORS_TAIL_BYTES];
    struct stat info;
    off_t from = 0;
    ssize_t got = 0;

    if (fstat(fd, &info) != 0)
        return;
    if (info.st_size > (off_t)sizeof(bytes))
        from = info.st_size - (off_t)sizeof(bytes);
    got = pread(fd, bytes, sizeof(bytes), from);
    if (got > 0)
        buf_append(out, bytes, (size_t)got);
}

void agent_follow_look(struct agent_follow *follow)
{
    char notices[4096];
    struct stat info;

    while (follow->notice_fd >= 0 && read(follow->notice_fd, notices, sizeof(notices)) > 0)
        continue;
    if (fstat(follow->errors_fd, &info) != 0 || info.st_size <= ERRORS_MAX_BYTES)
        return;
    buf_clear(&follow->kept_errors);
    append_tail(follow->errors_fd, &follow->kept_errors);
    if (ftruncate(follow->errors_fd, 0) == 0 && !follow->was_cut)
        log_warn("an agent wrote over %lld bytes to stderr; kept the end",
                 (long long)ERRORS_MAX_BYTES);
    follow->was_cut = true;
}

void agent_follow_read_errors(const struct agent_follow *follow, struct buf *out)
{
    buf_append(out, buf_text(&follow->kept_errors), follow->kept_errors.len);
    append_tail(follow->errors_fd, out);
}
