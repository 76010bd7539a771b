/* What the harness asks the program itself: its listener, its log, its command line. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/harness_inside.h"

#define STEP_MS        10
#define ARGS_MAX       32
#define TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)

int daemon_get(struct harness *harness, const char *path, const char **ret_body)
{
    struct http_response response;
    struct err err = { 0 };
    AUTO_FREE char *url = xasprintf("http://127.0.0.1:%d%s", harness->admin_port, path);
    struct http_request request = {
        .method = "GET",
        .url = url,
        .max_response_bytes = TEXT_MAX_BYTES,
        .connect_timeout_ms = 5000,
        .timeout_ms = 30000,
    };
    int status = 0;

    http_response_init(&response);
    if (http_perform(harness->http, &request, &response, &err) == 0)
        status = (int)response.status;
    if (ret_body)
        *ret_body = harness_keep(harness, buf_text(&response.body));
    http_response_deinit(&response);
    return status;
}

void daemon_wait_get(struct harness *harness, const char *path, int status)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (daemon_get(harness, path, NULL) != status) {
        if (clock_now_ms() > until)
            harness_fail(harness, "%s does not come to answer %d", path, status);
        harness_pause_ms(STEP_MS);
    }
}

/* The value of a metric without labels; -1 when there is none. */
int64_t daemon_metric(struct harness *harness, const char *name)
{
    AUTO_FREE char *start = xasprintf("\nthreadkeeper_%s ", name);
    const char *metrics = NULL;
    const char *at;

    if (daemon_get(harness, "/metrics", &metrics) != 200)
        return -1;
    at = strstr(metrics, start);
    return at ? strtoll(at + strlen(start), NULL, 10) : -1;
}

void daemon_wait_metric(struct harness *harness, const char *name, int64_t at_least)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (daemon_metric(harness, name) < at_least) {
        if (clock_now_ms() > until)
            harness_fail(harness, "%s does not come to %lld", name, (long long)at_least);
        harness_pause_ms(STEP_MS);
    }
}

void daemon_wait_log(struct harness *harness, const char *part)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (!strstr(daemon_log(harness), part)) {
        if (clock_now_ms() > until)
            harness_fail(harness, "the daemon's log does not come to hold \"%s\"", part);
        harness_pause_ms(STEP_MS);
    }
}

/* A file in the harness's directory, by name; -1 fails later, in the child. */
static int open_file(const struct harness *harness, const char *name, int flags)
{
    AUTO_FREE char *path = xasprintf("%s/%s", harness->dir, name);

    return open(path, flags | O_CLOEXEC, 0600);
}

static const char *read_text(struct harness *harness, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", harness->dir, name);
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };

    buf_init(&text, TEXT_MAX_BYTES);
    if (file_read(path, &text, &err) < 0)
        harness_fail(harness, "%s", err.message);
    return harness_keep(harness, buf_text(&text));
}

static int wait_for(struct harness *harness, pid_t pid)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_now_ms() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            harness_fail(harness, "the command does not end");
        }
        harness_pause_ms(STEP_MS);
    }
    return harness_exit_status(status);
}

static int run_args(struct harness *harness, const char *const *args, const char *input)
{
    AUTO_FREE char *in_path = xasprintf("%s/command.in", harness->dir);
    struct err err = { 0 };
    pid_t pid;

    if (file_write(in_path, input, strlen(input), 0600, &err) < 0)
        harness_fail(harness, "%s", err.message);

    AUTO_FD int in = open_file(harness, "command.in", O_RDONLY);
    AUTO_FD int out = open_file(harness, "command.out", O_WRONLY | O_CREAT | O_TRUNC);
    AUTO_FD int errors = open_file(harness, "command.err", O_WRONLY | O_CREAT | O_TRUNC);

    pid = harness_spawn(args, in, out, errors);
    if (pid < 0)
        harness_fail(harness, "cannot start %s", args[0]);
    return wait_for(harness, pid);
}

struct program run_threadkeeper(struct harness *harness, const char *input,
                                const char *argument, ...)
{
    AUTO_FREE char *wrap = NULL;
    const char *args[ARGS_MAX];
    size_t count = harness_begin_args(&wrap, args, ARGS_MAX / 2);
    struct program program;
    va_list more;

    harness_write_config(harness);
    args[count++] = "-c";
    args[count++] = harness->config_path;
    va_start(more, argument);
    for (const char *next = argument; next && count < ARGS_MAX - 1;
         next = va_arg(more, const char *))
        args[count++] = next;
    va_end(more);
    args[count] = NULL;
    program.status = run_args(harness, args, input);
    program.out = read_text(harness, "command.out");
    program.err = read_text(harness, "command.err");
    return program;
}
