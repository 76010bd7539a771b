#include "tests/agent_double/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

static char *base64(const char *bytes, size_t len)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = xcalloc(len / 3 + 1, 4 + 1);
    char *at = out;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = 0;

        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (i + k < len ? (unsigned char)bytes[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *at++ = digits[group >> (18 - 6 * k) & 63];
    }
    for (size_t k = len % 3; k != 0 && k < 3; k++) /* padding for a last group of 1 or 2 */
        at[(ptrdiff_t)k - 3] = '=';
    return out;
}

static json_t *strings(char **list, int count)
{
    json_t *array = json_array();

    for (int i = 0; i != count && list[i]; i++) {
        AUTO_FREE char *clean = utf8_clean_copy(list[i], strlen(list[i]), SIZE_MAX / 8);

        json_array_append_new(array, json_string(clean));
    }
    return array;
}

static json_t *open_descriptors(void)
{
    json_t *array = json_array();
    DIR *directory = opendir("/proc/self/fd");

    for (;;) {
        const struct dirent *entry =
            directory ? readdir(directory) : NULL; /* NOLINT(concurrency-mt-unsafe) */
        long fd = 0;

        if (!entry)
            break;
        fd = strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && fd != dirfd(directory))
            json_array_append_new(array, json_integer(fd));
    }
    if (directory)
        closedir(directory);
    return array;
}

/* The numbers of the blocked (`is_mask`) or else the ignored signals. */
static json_t *signals(bool is_mask)
{
    json_t *array = json_array();
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number <= 31; number++) {
        struct sigaction action;

        if (is_mask ? sigismember(&blocked, number) == 1
                    : sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            json_array_append_new(array, json_integer(number));
    }
    return array;
}

static json_t *limit(int which)
{
    struct rlimit value;

    if (getrlimit((__rlimit_resource_t)which, &value) != 0 || value.rlim_cur == RLIM_INFINITY)
        return json_integer(-1);
    return json_integer((json_int_t)value.rlim_cur);
}

static void append_line(const struct scenario *scenario, json_t *record)
{
    char path[4200];
    AUTO_FREE char *text = json_dumps(record, JSON_COMPACT);
    AUTO_FD int fd = -1;

    snprintf(path, sizeof(path), "%s/fake-cursor-agent.log", scenario->directory);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && text)
        dprintf(fd, "%s\n", text);
}

void record_start(const struct scenario *scenario, int argc, char **argv, const char *input,
                  size_t input_len, bool has_input_eof)
{
    int64_t at_us = clock_now_us(); /* before the work of looking around */
    AUTO_FREE char *encoded = base64(input, input_len);
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    mode_t mask = umask(077);
    json_auto_t *record = NULL;

    umask(mask);
    if (!scenario->directory[0])
        return;
    record = json_pack(
        "{s:s, s:o, s:o, s:s*, s:i, s:i, s:i, s:s, s:b, s:o, s:o, s:o, s:i, s:o, "
        "s:o, s:I, s:I}",
        "scenario", scenario->name, "argv", strings(argv, argc), "env", strings(environ, -1),
        "cwd", cwd, "pid", (int)getpid(), "pgid", (int)getpgrp(), "sid", (int)getsid(0),
        "stdin", encoded, "stdin_eof", (int)has_input_eof, "fds", open_descriptors(), "blocked",
        signals(true), "ignored", signals(false), "umask", (int)mask, "limit_core",
        limit(RLIMIT_CORE), "limit_fsize", limit(RLIMIT_FSIZE), "at_ms",
        (json_int_t)clock_now_ms(), "at_us", (json_int_t)at_us);
    if (record)
        append_line(scenario, record);
}

void record_signal(const struct scenario *scenario, int signal_number)
{
    json_auto_t *record = json_pack("{s:i, s:i, s:I}", "pid", (int)getpid(), "signal",
                                    signal_number, "at_ms", (json_int_t)clock_now_ms());

    if (scenario->directory[0] && record)
        append_line(scenario, record);
}
